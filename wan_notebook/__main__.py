"""The command line: ``python -m wan_notebook demo``, ``fetch``, ``resolve``, ``verify``."""

import argparse
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import RecipeError, SettingsError, WanError
from .settings import FOLDER_NAME, KEY_VARIABLE, LEDGER_NAME, SettingsLoader

if TYPE_CHECKING:
    from .jobs import TrackedJob
    from .session import Session

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
    from .research import verify_notebook

    with _session(SettingsLoader(cwd=arguments.notebook.absolute().parent)) as session:
        try:
            found = verify_notebook(session, arguments.notebook)
        except RecipeError as error:
            print("\n".join(error.lines()))
            return 2
    print(found.table(with_sound=True).to_text())
    return 0 if found.is_ok else 1


def _fetch(arguments: argparse.Namespace) -> int:
    """Follow every open job of a folder to its end; 0 unless something needs a person.

    Without a folder it is the one that a notebook here would use, and where there is none (cron starts in the home
    folder) every folder that this person has used.
    """
    end = time.monotonic() + arguments.timeout
    named, loader = arguments.named or arguments.folder, SettingsLoader()
    is_near = bool(os.environ.get("WAN_HOME", "").strip()) or (loader.folder / LEDGER_NAME).is_file()
    folders: list[Path | None] = [named] if named is not None or is_near else [*loader.known_folders()]
    needs_person = was_open = False
    with ExitStack() as opened:
        # All are resumed before the first one is waited for.
        found: list[tuple[Path | None, Session, list[TrackedJob]]] = []
        for folder in folders:
            session = opened.enter_context(_session(_loader_of(folder)))
            try:
                found.append((folder, session, session.resume()))
            except WanError as error:  # a folder that cannot be read must not hold up the others
                if len(folders) == 1:
                    raise
                print("\n".join(error.lines()), file=sys.stderr)
                needs_person = was_open = True
            if session.left_alone:
                print(session.left_alone, file=sys.stderr)
        for folder, session, tracked in found:
            keyless = _without_key(session, tracked)
            needs_person |= _followed(tracked, _option(folder), end)
            needs_person |= not all(one.is_settled for one in keyless)
            was_open |= bool(tracked)
    if not was_open:
        print("Nothing is open.")
    return int(needs_person)


def _resolve(arguments: argparse.Namespace) -> int:
    """Decide about a job in doubt; without a choice say what is known. 1 while it still needs a person."""
    from .jobs import explain

    option = _option(arguments.folder)
    with _session(_loader_of(arguments.folder)) as session:
        job = session.job(arguments.job)
        if not arguments.choice:
            print(_for_command_line(explain(job), option))
            return int(any(tracked.status == "in_doubt" for tracked in job.tracked))
        known = len(session.last)
        print(_for_command_line(session.resolve(job, arguments.choice, arguments.task), option))
        followed = [job] if arguments.choice == "adopt" else [again for _, again in session.last[known:]]
        tracked = [one for some in followed for one in some.tracked]
        return int(_followed(tracked, option, time.monotonic() + arguments.timeout))


@contextmanager
def _session(loader: SettingsLoader) -> "Iterator[Session]":
    from .session import Session

    session = Session(loader)
    try:
        yield session
    finally:
        session.close()


def _loader_of(folder: Path | None) -> SettingsLoader:
    if folder is None:
        return SettingsLoader()
    for found in (folder, folder / FOLDER_NAME):
        if (found / LEDGER_NAME).is_file():
            return SettingsLoader(folder=found.absolute())
    message = f"{folder} holds no {LEDGER_NAME}."
    raise SettingsError(message, hint=f"Name a folder such as {FOLDER_NAME}, or one that holds it.")


def _without_key(session: "Session", tracked: "Sequence[TrackedJob]") -> "list[TrackedJob]":
    """Return, and report, the jobs that cannot be asked for: cron has another environment than the notebook had."""
    asked = [one for one in tracked if one.status in ("accepted", "running")]
    names = {one.row.provider for one in asked if session.settings(one.row.provider).key is None}
    for name in sorted(names):
        looked = f"looked in {KEY_VARIABLE[name]} and in what `%wan login` stored"
        print(f"no key for {name} ({looked}): its open jobs cannot be asked for.", file=sys.stderr)
    return [one for one in asked if one.row.provider in names]


def _followed(tracked: "Sequence[TrackedJob]", option: str, end: float) -> bool:
    """Wait for jobs, say how each ended, and return whether any needs a person."""
    for one in tracked:
        with suppress(TimeoutError):
            one.settled().result(max(0.0, end - time.monotonic()))
        print(_report(one, option))
    return any(one.status == "in_doubt" or bool(one.stopped and not one.is_settled) for one in tracked)


def _report(tracked: "TrackedJob", option: str) -> str:
    """Say in words how a job stands, and what to do where a person has to."""
    from .jobs import error_of, is_not_sent, status_words

    row = tracked.row
    if row.status == "saved":
        files = [picture.file for picture in row.pictures if picture.saved_at]
        missing = f"  ({row.missing} of those asked for did not come)" if row.missing else ""
        return f"{row.id}  saved  {' '.join(files) or 'no picture was made'}{missing}"
    if is_not_sent(row) or row.status == "intent":
        return f"{row.id}  not sent: nothing was paid. Run the script again to send it."
    if row.status == "in_doubt":
        ways = {
            "": "what is known of it",
            " adopt TASK": "fetch that task's pictures, pay once",
            " again": "send it again: it may be billed twice",
            " abandon": "give it up",
        }
        lines = [f"{row.id}  in doubt: {row.provider} may or may not have it. It is not sent again by itself."]
        lines += [f"    {COMMAND} resolve {row.id}{way}{option}  {meaning}" for way, meaning in ways.items()]
        return "\n".join(lines)
    if row.is_final:
        return f"{row.id}  {status_words(row)}: {error_of(row).message}"
    note = _for_command_line(tracked.note, option) or "it goes on at the service"
    return f"{row.id}  {status_words(row)}, not finished: {note}. `{COMMAND} fetch{option}` looks again"


def _for_command_line(text: str, option: str) -> str:
    """Word a notebook's advice for a command line."""
    text = re.sub(r"%wan (resolve \S+(?: adopt TASK| again| abandon)?)", rf"{COMMAND} \1{option}", text)
    return text.replace("%wan resume", f"{COMMAND} fetch{option}")


def _option(folder: Path | None) -> str:
    return f" --folder {shlex.quote(str(folder))}" if folder is not None else ""


if __name__ == "__main__":
    sys.exit(main())
