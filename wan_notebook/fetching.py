"""Without a notebook: collect open jobs at login or from cron, and decide about those in doubt."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .errors import SettingsError, WanError
from .folders import FOLDER_NAME, LEDGER_NAME, known_folders, store_folder
from .jobs import LiveJob
from .jobs.outcome import error_of, was_never_sent
from .session import Session
from .settings import KEY_VARIABLE, Sources
from .states import JobState

COMMAND = "python -m wan_notebook"


def run_fetch(folder: Path | None, *, timeout_s: float) -> int:
    """Follow every open job of a folder to its end; 0 unless something needs a person: in doubt, or not to be had.

    ``folder`` holds a ledger, or a ``wan-pictures/`` that does. Without one, it is the folder that a notebook here
    would use, and where there is none (cron starts in the home folder) every folder that this person has used.
    """
    end = time.monotonic() + timeout_s
    folders = [folder] if folder is not None or _is_near() else list(known_folders())
    with ExitStack() as opened:
        sessions = [opened.enter_context(_session(found)) for found in folders]
        begun = [_begun(session, alone=len(sessions) == 1) for session in sessions]
        if not any(begun) and None not in begun:
            print("Nothing is open.")  # noqa: T201 - a command line
        keyless = [
            live for session, lives in zip(sessions, begun, strict=True) for live in _keyless(session, lives or ())
        ]
        codes = [_told(lives or (), _place(found), end) for found, lives in zip(folders, begun, strict=True)]
        return max([*codes, int(None in begun), int(not all(live.is_settled for live in keyless))])


def run_resolve(job_id: str, choice: str, task_id: str, folder: Path | None, *, timeout_s: float) -> int:
    """Decide about a job in doubt; without a choice say what is known. 1 while it still needs a person."""
    with _session(folder) as session:
        job = session.job(job_id)
        if not choice:
            print(_outside(session.doubts.explain(job), _place(folder)))  # noqa: T201 - a command line
            return int(any(live.state is JobState.IN_DOUBT for live in job.lives))
        known = len(session.last)
        print(_outside(session.doubts.resolve(job, choice, task_id), _place(folder)))  # noqa: T201
        followed = [job] if choice == "adopt" else [again for _, again in session.last[known:]]
        lives = [live for one in followed for live in one.lives]
        return _told(lives, _place(folder), time.monotonic() + timeout_s)


def report(live: LiveJob, place: str = "") -> str:
    """Say in words what a job is, and what to do where a person has to."""
    row = live.row
    if live.state is JobState.SAVED:
        files = [picture.file for picture in row.pictures if picture.saved_at]
        said = " ".join(files) or "no picture was made"
        return f"{row.id}  saved  {said}" + (
            f"  ({row.missing} of those asked for did not come)" if row.missing else ""
        )
    if was_never_sent(row):
        return f"{row.id}  never sent: the program ended first; nothing was paid. Run the script again to ask."
    if live.state is JobState.IN_DOUBT:
        lines = [f"{row.id}  in_doubt: it may or may not have reached {row.provider}. It is not sent again by itself."]
        command = f"{COMMAND} resolve {row.id}"
        ways = (("", "what is known of it"), (" adopt TASK", "fetch that task's pictures, pay once"),
                (" again", "send it again: it may be billed twice"), (" abandon", "give it up"))  # fmt: skip
        return "\n".join([*lines, *(f"    {command}{way}{place}  {what}" for way, what in ways)])
    if row.is_final:
        return f"{row.id}  {live.state}: {error_of(row).message}"
    told = _outside(live.note, place) or "it goes on at the service"
    return f"{row.id}  {live.state}, not finished: {told}. `{COMMAND} fetch{place}` looks again"


def needs_a_person(live: LiveJob) -> bool:
    """Whether nothing more happens by itself, although the pictures may exist."""
    return live.state is JobState.IN_DOUBT or bool(live.stopped and not live.is_settled)


def _begun(session: Session, *, alone: bool) -> list[LiveJob] | None:
    """Take up what is open; None for a folder that cannot be read, which must not hold up the others."""
    try:
        return session.resume()
    except WanError as error:
        if alone:
            raise
        print("\n".join(error.lines()), file=sys.stderr)  # noqa: T201
        return None


def _keyless(session: Session, lives: Sequence[LiveJob]) -> list[LiveJob]:
    """Return, and say, what is asked for without a key: cron has another environment than the notebook had."""
    asked = [live for live in lives if live.state in (JobState.ACCEPTED, JobState.RUNNING)]
    names = sorted({live.row.provider for live in asked} & set(KEY_VARIABLE))
    without = [name for name in names if session.settings(name).provider.key is None]
    for name in without:
        looked = f"looked in {KEY_VARIABLE[name]} and in what `%wan login` stored"
        print(f"no key for {name} ({looked}): its open jobs cannot be asked for.", file=sys.stderr)  # noqa: T201
    return [live for live in asked if live.row.provider in without]


def _told(lives: Sequence[LiveJob], place: str, end: float) -> int:
    for live in lives:
        with suppress(TimeoutError):
            live.settled().result(max(0.0, end - time.monotonic()))
        print(report(live, place))  # noqa: T201 - a command line
    return int(any(map(needs_a_person, lives)))


def _is_near() -> bool:
    near = store_folder(Path.cwd(), os.environ)
    return bool(os.environ.get("WAN_HOME", "").strip()) or (near / LEDGER_NAME).is_file()


def _outside(text: str, place: str) -> str:
    """Word a notebook's advice for a command line."""
    text = re.sub(r"%wan (resolve \S+(?: adopt TASK| again| abandon)?)", rf"{COMMAND} \1{place}", text)
    return text.replace("%wan resume", f"{COMMAND} fetch{place}")


def _place(folder: Path | None) -> str:
    return f" --folder {shlex.quote(str(folder))}" if folder is not None else ""


@contextmanager
def _session(folder: Path | None) -> Iterator[Session]:
    env = dict(os.environ)
    if folder is not None:
        found = next((one for one in (folder, folder / FOLDER_NAME) if (one / LEDGER_NAME).is_file()), None)
        if found is None:
            message = f"{folder} holds no {LEDGER_NAME}."
            raise SettingsError(message, hint=f"Name a folder such as {FOLDER_NAME}, or one that holds it.")
        env["WAN_HOME"] = str(found)
    session = Session(Sources(env=env))
    try:
        yield session
    finally:
        session.close()
