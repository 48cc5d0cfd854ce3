"""What is known of a job: what its row means to a person, and ``TrackedJob``, which tells whenever that changes."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ..database import FINAL, FREE, NOT_SENT, SETTLED, JobRow, Status
from ..errors import JobCancelled, JobError, JobExpired, JobFailed, JobInDoubt, JobNotSent, JobRefused
from ..money import Cost, Source
from ..text import one_line, pluralize
from ..validation import Mode

if TYPE_CHECKING:
    from ..request import ImageRequest
    from .poll import DurationLaw

log = logging.getLogger(__name__)


def is_not_sent(row: JobRow) -> bool:
    """Say whether a job ended without ever leaving this machine."""
    first_edition = "never sent: the program ended first; nothing was paid"
    return row.status is Status.REFUSED and (row.error_code == NOT_SENT or row.error_message == first_edition)


def status_words(row: JobRow) -> str:
    """Return a job's status as people say it."""
    word = "queued" if row.status is Status.INTENT else row.status.value.replace("_", " ")
    return "not sent" if is_not_sent(row) else word


def cost_of(row: JobRow) -> Cost:
    """Return what a job cost. Failed, refused and cancelled jobs cost nothing (WAN_API §4)."""
    if row.status in FREE or (row.is_simulated and row.cost_amount is None):
        return Cost.zero(Source.SIMULATED if row.is_simulated else Source.REPORTED)
    return row.cost


def fewest_pictures(row: JobRow) -> int:
    """Return how many pictures a success promises at least: ``n``, where it is not an upper limit (WAN_API §1)."""
    asked = row.parameters.get("n")
    return asked if row.mode in (Mode.EDIT, Mode.TEXT_TO_IMAGE) and isinstance(asked, int) else 1


_ENDINGS: Mapping[Status, tuple[type[JobError], str, str]] = {
    Status.REFUSED: (JobRefused, "was not accepted; nothing was paid", "Fix what is named above, then run it again."),
    Status.FAILED: (JobFailed, "failed; failed jobs cost nothing", "Change the prompt or the picture and run again."),
    Status.CANCELLED: (JobCancelled, "was cancelled", "Run the cell again to make it after all."),
    Status.EXPIRED: (
        JobExpired,
        "expired: the service keeps results for 24 hours",
        "Pictures that are on disk stay. To make (and pay for) new ones, run with --fresh.",
    ),
    Status.IN_DOUBT: (
        JobInDoubt,
        "may or may not have reached the service; it is not sent again by itself, since that could be paid twice",
        "Decide with `%wan resolve {id}`: adopt its task, send it again, or abandon it.",
    ),
}
_NOT_SENT = (JobNotSent, "was not sent; nothing was paid", "Run the cell again; `%wan doctor` checks key and network.")
_EXPIRED_EARLY = (  # a proxy may have refused the address, or another account's key may have been used
    "Its 24 hours are not over: `%wan resolve {id} adopt {task}` fetches once more. "
    "To make (and pay for) new pictures, run with --fresh."
)


def error_of(row: JobRow) -> JobError:
    """Return the error that stands for a job which ended without its pictures."""
    is_unsent = is_not_sent(row)
    waiting = (JobError, f"is {status_words(row)}", "Wait for it with `%wan wait {id}`.")
    kind, text, hint = _NOT_SENT if is_unsent else _ENDINGS.get(row.status, waiting)
    if row.status is Status.EXPIRED and row.task_id and (row.finished_at or 0.0) < (row.expires_at or 0.0):
        hint = _EXPIRED_EARLY
    hint = hint.format(id=row.id, task=row.task_id)
    if row.error_hint:
        hint = f"{row.error_hint} {hint}" if row.status is Status.IN_DOUBT else row.error_hint
    said = row.error_message[:1].upper() + row.error_message[1:]
    if row.error_code and not is_unsent:  # the service's words stand as they came
        said = f"{row.error_code}: {row.error_message}" if row.error_message else row.error_code
    said = f" {said.rstrip('.')}." if said else ""
    asked = f" Request id {row.request_id}." if row.request_id and row.status is not Status.CANCELLED else ""
    return kind(f"job {row.id} {text}.{said}{asked}", job_id=row.id, hint=hint)


def seeds_text(seeds: Sequence[int | None]) -> str:
    """Return ``seeds 7, 8``, ``seeds 7 to 14 (8)`` where more than four count up, or the first four and how many more.

    No seed is named that was not used.
    """
    known = [seed for seed in seeds if seed is not None]
    if len(known) > 4 and known == list(range(known[0], known[0] + len(known))):
        return f"seeds {known[0]} to {known[-1]} ({len(known)})"
    more = f" and {len(known) - 4} more" if len(known) > 4 else ""
    return f"seed{'s' if len(known) > 1 else ''} {', '.join(map(str, known[:4]))}{more}"


def status_line(rows: Sequence[JobRow], mode: str) -> str:
    """Return one line about one or several jobs that belong together, the same whether made or from the store."""
    statuses = " ".join(sorted({status_words(row) for row in rows}))
    count = sum(1 for row in rows for picture in row.pictures if picture.saved_at)
    facts = [
        statuses,
        mode,
        pluralize(count, "picture") if count else "",
        seeds_text([row.seed for row in rows]),
    ]
    return f"<Job {rows[0].id}: {', '.join(filter(None, facts))}, {one_line(rows[0].prompt, 41)!r}>"


# A job as this kernel follows it --------------------------------------------------------------------------------------

Listener = Callable[["TrackedJob"], None]


class TrackedJob:
    """One job of the ledger as this kernel follows it: changed on the background loop only, read from any thread.

    Attributes
    ----------
    row
        The newest row of the ledger.
    request
        The request, in the kernel that made the job.
    law
        How long such tasks take, in the kernel that polls it.
    progress
        Between 0 and 1 while the service says so.
    note
        One line for the card: the place in the queue, the reason of a retry.
    stopped
        Why nobody works on the job although it is not over; empty otherwise.
    work
        What runs the job in this kernel, if anything does.
    is_sending
        Whether its POST is under way.
    unwritten_task
        The id of the task that the service has made while the disk does not take it.
    in_batch
        Whether a batch sends it: it then goes on waiting when its account is refused.
    """

    def __init__(self, row: JobRow) -> None:
        self.row, self.id = row, row.id
        self.request: ImageRequest | None = None
        self.law: DurationLaw | None = None
        self.progress: float | None = None
        self.note = self.stopped = self.unwritten_task = ""
        self.work: asyncio.Task[None] | None = None
        self.is_sending = self.in_batch = False
        self._listeners: list[Listener] = []

    @property
    def status(self) -> Status:
        """Where the job stands."""
        return self.row.status

    def listen(self, listener: Listener) -> Callable[[], object]:
        """Call ``listener(self)`` after each change, on the background loop; return what ends it."""
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def settled(self) -> Future[None]:
        """Return a future that is done once waiting is over."""
        return all_settled([self])

    def changed(self, row: JobRow | None = None) -> None:
        """Take over a new row, if any, and tell everybody."""
        self.row = row or self.row
        for listener in self._listeners.copy():  # other threads add to it
            try:
                listener(self)
            except Exception:  # a display that fails must not stop the job
                log.exception("a listener of job %s failed", self.id)

    def noted(self, note: str) -> None:
        """Show a line on the card."""
        if note != self.note:
            self.note = note
            self.changed()

    def stop(self, reason: str) -> None:
        """Say why nobody works on the job any more."""
        self.note = self.stopped = reason
        self.changed()


def all_settled(jobs: Sequence[TrackedJob]) -> Future[None]:
    """Return a future that is done once these jobs are over, or nobody works on them any more."""
    together: Future[None] = Future()

    def look(_job: TrackedJob | None = None) -> None:
        if all(job.stopped or job.status in SETTLED for job in jobs):
            with suppress(InvalidStateError):  # two threads looked at once, or nobody waits any more
                together.set_result(None)

    unsubscribes = [job.listen(look) for job in jobs]  # before the first look: no change falls in between
    together.add_done_callback(lambda _: [unsubscribe() for unsubscribe in unsubscribes])
    look()
    return together


_LAST_WORDS = {
    Status.INTENT: "not sent (the program ended first, nothing was paid)",
    **dict.fromkeys(
        (Status.SENDING, Status.IN_DOUBT), "being sent (`python -m wan_notebook fetch` says what is known)"
    ),
}


def goodbye(jobs: Iterable[TrackedJob]) -> str:
    """Return the last line of a script whose jobs are not over; empty if all are."""
    told = defaultdict[str, list[str]](list)
    for job in jobs:
        running = "going on at the service (`python -m wan_notebook fetch` collects the pictures)"
        what = _LAST_WORDS.get(job.status, running)
        if job.unwritten_task:  # nothing else knows this id any more
            adopt = f"`python -m wan_notebook resolve {job.id} adopt {job.unwritten_task}`"
            what = f"could not be recorded (run {adopt} once there is room)"
        if job.status not in FINAL:
            told[what].append(job.id)
    parts = [f"{pluralize(len(ids), 'job')} {what}: {', '.join(ids[:5])}" for what, ids in told.items()]
    return f"wan_notebook: {'; '.join(parts)}. End the script with job.result() to have its pictures." if parts else ""
