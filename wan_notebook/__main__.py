"""The command line: ``python -m wan_notebook demo``, ``fetch``, ``resolve``, ``verify``."""

import argparse
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from .database import FINAL
from .errors import SettingsError, WanError
from .jobs import TrackedJob, error_of, explain, is_not_sent, status_words
from .research import verify_notebook
from .session import Session
from .settings import FOLDER_NAME, KEY_VARIABLE, LEDGER_NAME, SettingsLoader
from .text import safe_text

COMMAND = "python -m wan_notebook"


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except WanError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Wan 2.6 Image in notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run the quickstart notebook on the built-in simulator")
    demo.add_argument("--output", type=Path, default=Path("wan-demo"), help="folder to write to (wan-demo)")
    demo.set_defaults(run=_demo)
    waiting = argparse.ArgumentParser(add_help=False)
    waiting.add_argument("--timeout", type=float, default=900.0, help="seconds to wait at most (900)")
    waiting.add_argument("--folder", type=Path, help="a folder of pictures (default: the nearest one)")
    fetch = commands.add_parser("fetch", parents=[waiting], help="collect the pictures of open jobs")
    everywhere = "a folder of pictures, or its project (default: the nearest one, else all of yours)"
    fetch.add_argument("named", metavar="folder", nargs="?", type=Path, help=everywhere)
    fetch.set_defaults(run=_fetch)
    resolve = commands.add_parser("resolve", parents=[waiting], help="decide about a job that may have arrived or not")
    resolve.add_argument("job", help="the job's id, or its beginning; alone, what is known of it")
    resolve.add_argument("choice", nargs="?", choices=("adopt", "again", "abandon"))
    resolve.add_argument("task", nargs="?", default="", help="with adopt: the service's task")
    resolve.set_defaults(run=_resolve)
    verify = commands.add_parser("verify", help="check that every picture a notebook shows is present and unchanged")
    verify.add_argument("notebook", type=Path, help="the notebook's file; exit code 0 well, 1 not, 2 unreadable")
    verify.set_defaults(run=_verify)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    from .demo import run_demo

    return run_demo(arguments.output)


def _verify(arguments: argparse.Namespace) -> int:
    with closing(Session(SettingsLoader(cwd=arguments.notebook.absolute().parent))) as session:
        try:
            found = verify_notebook(session, arguments.notebook)
        except WanError as error:
            print("\n".join(error.lines()))
            return 2
    print(found.table().to_text())
    return int(bool(found.problems))


def _fetch(arguments: argparse.Namespace) -> int:
    """Follow every open job of a folder to its end; 0 unless something needs a person.

    Without a folder it is the one that a notebook here would use, and where there is none (cron starts in the home
    folder) every folder that this person has used.
    """
    end = time.monotonic() + arguments.timeout
    named, loader = arguments.named or arguments.folder, SettingsLoader()
    is_near = bool(os.environ.get("WAN_HOME", "").strip()) or (loader.folder / LEDGER_NAME).is_file()
    needs_person, found = False, []
    with ExitStack() as opened:
        for folder in [named] if named is not None or is_near else loader.known_folders():
            try:  # all are resumed before the first one is waited for
                session = opened.enter_context(closing(_session(folder)))
                found.append((session, session.resume(), _option(folder)))
            except WanError as error:  # a folder that cannot be read must not hold up the others
                print("\n".join(error.lines()), file=sys.stderr)
                needs_person = True
        for session, tracked, option in found:
            print(session.left_alone, end="\n" * bool(session.left_alone), file=sys.stderr)
            needs_person |= _followed(session, tracked, option, end)
    if not needs_person and not any(tracked for _, tracked, _ in found):
        print("Nothing is open.")
    return int(needs_person)


def _resolve(arguments: argparse.Namespace) -> int:
    """Decide about a job in doubt; without a choice say what is known. 1 while it still needs a person."""
    option = _option(arguments.folder)
    with closing(_session(arguments.folder)) as session:
        job = session.job(arguments.job)
        if not arguments.choice:
            print(_for_command_line(explain(job), option))
            return int(any(tracked.status == "in_doubt" for tracked in job.tracked))
        known = len(session.last)
        print(_for_command_line(session.resolve(job, arguments.choice, arguments.task), option))
        followed = [job] if arguments.choice == "adopt" else [again for _, again in session.last[known:]]
        tracked = [one for some in followed for one in some.tracked]
        return int(_followed(session, tracked, option, time.monotonic() + arguments.timeout))


def _session(folder: Path | None) -> Session:
    if folder is None:
        return Session(SettingsLoader())
    for found in (folder, folder / FOLDER_NAME):
        if (found / LEDGER_NAME).is_file():
            return Session(SettingsLoader(folder=found.absolute()))
    message = f"{folder} holds no {LEDGER_NAME}."
    raise SettingsError(message, hint=f"Name a folder such as {FOLDER_NAME}, or one that holds it.")


def _followed(session: Session, tracked: Sequence[TrackedJob], option: str, end: float) -> bool:
    """Wait for jobs, say how each ended, and return whether any needs a person."""
    needs_person = False
    for one in tracked:
        with suppress(TimeoutError):
            one.settled().result(max(0.0, end - time.monotonic()))
        provider, no_key = one.row.provider, ""
        if provider in KEY_VARIABLE and session.settings(provider).key is None:  # cron has another environment
            no_key = f"no key for {provider} in {KEY_VARIABLE[provider]} or from `%wan login`"
        print(_for_command_line(f"{one.id}  {_report(session, one, no_key)}", option))
        needs_person |= one.status == "in_doubt" or bool(one.status not in FINAL and (one.stopped or no_key))
    return needs_person


def _report(session: Session, tracked: TrackedJob, no_key: str) -> str:
    """Say in words how a job stands, and what to do where a person has to."""
    row = tracked.row
    if row.status == "saved":
        missing = f"  ({row.missing} of those asked for did not come)" if row.missing else ""
        return f"saved  {' '.join(picture.file for picture in row.pictures if picture.saved_at)}{missing}"
    if is_not_sent(row) or row.status == "intent":
        return "not sent: nothing was paid. Run the script again to send it."
    if row.status == "in_doubt":
        return f"in doubt\n{explain(session.job(row.id))}"
    if row.status in FINAL:
        return f"{status_words(row)}: {error_of(row).message}"
    why = no_key or tracked.note or "it goes on at the service"
    return f"{status_words(row)}, not finished: {why}. `%wan resume` looks again"


def _for_command_line(text: str, option: str) -> str:
    """Word a notebook's advice for a command line; a ledger's words must not steer the terminal."""
    text = re.sub(r"%wan (resolve \S+(?: adopt TASK| again| abandon)?)", rf"{COMMAND} \1{option}", safe_text(text))
    return text.replace("%wan resume", f"{COMMAND} fetch{option}")


def _option(folder: Path | None) -> str:
    return f" --folder {shlex.quote(str(folder))}" if folder is not None else ""


if __name__ == "__main__":
    sys.exit(main())
