"""Jobs in doubt: looked for at the service, settled as a person decides. Nothing is chosen for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..client import Client
from ..errors import CellError, WanError
from ..jobs import Job, LiveJob
from ..jobs.submit import accept
from ..ledger import JobRow, LedgerConflict
from ..runtime import Runtime
from ..settings import Settings
from ..states import JobState
from ..wire import Phase, Submitted, TaskState
from .home import Home
from .providers import Providers

WINDOW = dt.timedelta(hours=14)
"""The service's times carry no zone (WAN_API §3): a task may stand anywhere within the world's zones."""

CLOSE_S = 180.0
QUARTER_S = 900.0


@dataclass(frozen=True)
class Candidate:
    """A task of the service that may be the job's, with how well it fits (0–1) and why."""

    task_id: str
    confidence: float
    why: str
    state: TaskState


class Kernel(Protocol):
    """What is needed of the session."""

    runtime: Runtime
    providers: Providers
    wall_clock: Callable[[], float]

    def settings(self, provider: str | None = None) -> Settings:
        """Return the settings as they are now."""

    def need_home(self) -> Home:
        """Return the folder with its ledger and engine."""

    def submit_again(self, job: Job, doubtful: Sequence[LiveJob]) -> Job:
        """Order anew what is in doubt, and give that up; both or neither."""

    def refresh(self, job: Job) -> None:
        """Read a job's rows again."""


class Doubts:
    """What can be known and done about a submit whose outcome nobody knows."""

    def __init__(self, session: Kernel) -> None:
        self._session = session

    def candidates(self, row: JobRow) -> list[Candidate]:
        """Return the service's tasks that may be this job, best first. Raises ``WanError`` if it cannot be asked."""
        client = self._client(row)
        if not client.can_list:
            return []
        at = dt.datetime.fromtimestamp(row.sending_at or row.created_at, tz=dt.UTC).replace(tzinfo=None)
        work = client.list_tasks(start=at - WINDOW, end=at + WINDOW)
        tasks = self._session.runtime.submit(work).result(timeout=120)
        known = self._known_tasks()
        found = [match(row, task) for task in tasks if task.task_id not in known]
        return sorted((c for c in found if c is not None), key=lambda c: -c.confidence)

    def explain(self, job: Job) -> str:
        """Say what is known about each job in doubt, and the three choices."""
        lines = [line for live in job.lives if live.state is JobState.IN_DOUBT for line in self._explain(live)]
        return "\n".join(lines) or f"job {job.id} is {job.status}, not in doubt."

    def resolve(self, job: Job, choice: str, task_id: str = "") -> str:
        """Carry out a choice. Raises ``CellError`` if it does not fit, ``WanError`` if the service denies the task."""
        doubtful = [live for live in job.lives if live.state is JobState.IN_DOUBT]
        if not doubtful and not (choice == "adopt" and job.lives[0].state is JobState.EXPIRED):
            message = f"job {job.id} is {job.status}, not in doubt; there is nothing to resolve."
            raise CellError(message, hint=f"Look at it with `%wan show {job.id}`.")
        if choice == "adopt":
            return self._adopt(job, doubtful[0] if doubtful else job.lives[0], task_id)
        if choice == "again":
            try:
                again = self._session.submit_again(job, doubtful)
            except LedgerConflict as conflict:
                raise _decided(job, conflict) from None
            return f"sent again as job {again.id}. If the first one arrived too, both are billed."
        if choice != "abandon":
            message = f"{choice!r} is no choice."
            raise CellError(message, hint=f"Use: %wan resolve {job.id} adopt TASK, again, or abandon.")
        for live in doubtful:
            try:
                self._abandon(live, "given up by a person's decision")
            except LedgerConflict as conflict:
                self._session.refresh(job)
                raise _decided(job, conflict) from None
        return f"job {job.id} is given up. If it arrived, it is made and billed, and not fetched."

    def _explain(self, live: LiveJob) -> list[str]:
        row = live.row
        lines = [
            f"job {row.id} may or may not have reached {row.provider} ({row.error_message.rstrip('.') or 'no reply'})."
        ]
        try:
            found = self.candidates(row)
        except WanError as error:
            lines.append(f"  its list of tasks could not be read: {error.message}")
        else:
            if not self._client(row).can_list:
                lines.append(f"  {row.provider} has no list of tasks; look at its web page.")
            elif not found:
                lines.append("  none of its unclaimed tasks of that time fits: it probably did not arrive.")
            lines += [f"  {c.task_id}: fits {c.confidence:.0%} ({c.why}), {c.state.phase}" for c in found[:5]]
        if salvaged := self._salvaged(row):
            lines.append(f"  {salvaged}: read from the reply that was cut, and not confirmed by the service.")
        command = f"%wan resolve {row.id}"
        return [*lines, f"  {command} adopt TASK   fetch that task's pictures, pay once",
                f"  {command} again        send it again, knowingly: it may be billed twice",
                f"  {command} abandon      give it up"]  # fmt: skip

    def _salvaged(self, row: JobRow) -> str:
        """Return the task id that was read from a cut reply, if there was one."""
        events = self._session.need_home().ledger.events(row.id)
        return next((str(e.detail["salvaged"]) for e in reversed(events) if e.detail.get("salvaged")), "")

    def _adopt(self, job: Job, live: LiveJob, task_id: str) -> str:
        client, home = self._client(live.row), self._session.need_home()
        if not task_id or task_id in self._known_tasks() - {live.row.task_id}:
            message = f"the task {task_id} is another job's already." if task_id else "no task is named."
            raise CellError(message, hint=f"See which fit: `%wan resolve {live.id}`. Nothing was changed.")
        state = self._session.runtime.submit(client.status(task_id)).result(timeout=60)
        if state.phase is Phase.UNKNOWN:
            message = f"{live.row.provider} does not know a task {task_id}."
            raise CellError(message, hint="Check the id; nothing was changed.")
        reply = Submitted(task_id, state.request_id, state.raw_status)
        work = accept(live, reply, home.engine.moves, how="adopted by hand", expect=live.state)
        try:
            self._session.runtime.submit(work).result(timeout=60)
        except LedgerConflict as conflict:
            live.changed(home.ledger.get(live.id))
            raise _decided(job, conflict) from None
        home.engine.start([live])
        return f"job {live.id} has task {task_id} now; its pictures will be fetched."

    def _abandon(self, live: LiveJob, reason: str) -> None:
        # Not `refused`: if it did arrive it was billed, so its cost stays unknown rather than nothing.
        work = self._session.need_home().engine.moves.to(
            live,
            JobState.EXPIRED,
            detail={"how": reason},
            expect=JobState.IN_DOUBT,
            error_message=reason,
            finished_at=self._session.wall_clock(),
        )
        self._session.runtime.submit(work).result(timeout=60)

    def _client(self, row: JobRow) -> Client:
        return self._session.providers.client_of_row(self._session.settings, row)

    def _known_tasks(self) -> set[str]:
        return {task for task in self._session.need_home().ledger.task_ids() if task}


def _decided(job: Job, conflict: LedgerConflict) -> CellError:
    """Say that somebody else, or the reply after all, was first."""
    message = f"job {conflict.job_id} is not in doubt any more; it is {conflict.current}. Nothing was changed."
    return CellError(message, hint=f"Look at it with `%wan show {job.id}`.")


def match(
    row: JobRow, task: TaskState, *, parse: Callable[[str], dt.datetime | None] | None = None
) -> Candidate | None:
    """Return how well a task fits a job: by model, and by the time of the submit up to a time zone's offset."""
    if task.model and task.model != row.model:
        return None
    sent_s = row.sending_at or row.created_at
    if task.created_at is not None:  # a Unix time, which needs no zone
        off_s, zone = abs(task.created_at - sent_s), ""
    elif (at := (parse or _read_time)(task.submitted_at_text)) is not None:
        apart_s = (at - dt.datetime.fromtimestamp(sent_s, tz=dt.UTC).replace(tzinfo=None)).total_seconds()
        if abs(apart_s) > WINDOW.total_seconds() + CLOSE_S:
            return None
        # Zones differ by quarters of an hour: what remains of the distance tells the moment within one.
        off_s, zone = abs(apart_s - round(apart_s / QUARTER_S) * QUARTER_S), ", up to a time zone"
    else:
        return Candidate(task.task_id, 0.1, "the model fits, its time is not told", task)
    closeness = max(0.0, 1.0 - off_s / CLOSE_S)
    if not zone and not closeness:
        return None
    prompt = 0.0 if not task.prompt else (0.3 if task.prompt == row.prompt else -0.5)
    confidence = min(0.95, max(0.05, 0.6 * closeness + prompt))
    why = f"submitted {off_s:.0f} s apart{zone}" + (", same prompt" if prompt > 0 else "")
    return Candidate(task.task_id, confidence, why, task)


def _read_time(text: str) -> dt.datetime | None:
    for pattern in ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S"):
        try:
            return dt.datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - the service's times carry no zone
        except ValueError:
            continue
    return None
