"""Without a notebook: collect open jobs at login or from cron, and decide about those in doubt."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import SettingsError
from .folders import LEDGER_NAME
from .jobs import Job, LiveJob
from .jobs.outcome import error_of, was_never_sent
from .session import Session
from .settings import Sources
from .states import JobState

COMMAND = "python -m wan_notebook"


def run_fetch(folder: Path | None, *, timeout_s: float) -> int:
    """Follow every open job of a folder to its end; 0 unless something needs a person: in doubt, or not to be had."""
    with _session(folder) as session:
        lives = session.resume()
        if not lives:
            print("Nothing is open.")  # noqa: T201 - a command line
            return 0
        end = time.monotonic() + timeout_s
        for live in lives:
            with suppress(TimeoutError):
                live.settled().result(max(0.0, end - time.monotonic()))
            print(report(live, _place(folder)))  # noqa: T201
        return int(any(map(needs_a_person, lives)))


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
        return _followed(followed, _place(folder), timeout_s)


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


def _followed(jobs: list[Job], place: str, timeout_s: float) -> int:
    end = time.monotonic() + timeout_s
    lives = [live for job in jobs for live in job.lives]
    for live in lives:
        with suppress(TimeoutError):
            live.settled().result(max(0.0, end - time.monotonic()))
        print(report(live, place))  # noqa: T201 - a command line
    return int(any(map(needs_a_person, lives)))


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
        env["WAN_HOME"] = str(folder)
        if not (folder / LEDGER_NAME).is_file():
            message = f"{folder} holds no {LEDGER_NAME}."
            raise SettingsError(message, remedy="Name a folder such as wan-pictures.")
    session = Session(Sources(env=env))
    try:
        yield session
    finally:
        session.close()
