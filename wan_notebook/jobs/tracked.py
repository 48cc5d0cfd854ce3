"""What this kernel knows of one job: its row, what need not be recorded, and who wants to hear of changes."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from ..database import SETTLED, JobRow, Status
from ..text import pluralize

if TYPE_CHECKING:
    from ..request import ImageRequest

log = logging.getLogger(__name__)
Listener = Callable[["TrackedJob"], None]


class TrackedJob:
    """One job of the ledger as this kernel follows it: changed on the background loop only, read from any thread.

    Attributes
    ----------
    row
        The newest row of the ledger.
    request
        The request, in the kernel that made the job.
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
    """

    def __init__(
        self, row: JobRow, estimate: Callable[[JobRow], tuple[float, float] | None] = lambda _row: None
    ) -> None:
        self.row = row
        self.request: ImageRequest | None = None
        self.progress: float | None = None
        self.note = self.stopped = self.unwritten_task = ""
        self.work: asyncio.Task[None] | None = None
        self.is_sending = False
        self._estimate = estimate
        self._listeners: list[Listener] = []
        self._waiters: list[Future[None]] = []
        self._guard = threading.Lock()

    @property
    def id(self) -> str:
        """The job's id in the ledger."""
        return self.row.id

    @property
    def status(self) -> Status:
        """Where the job stands."""
        return self.row.status

    @property
    def eta_s(self) -> tuple[float, float] | None:
        """The interval of seconds in which the task probably ends; None if nothing is known."""
        return self._estimate(self.row)

    @property
    def is_settled(self) -> bool:
        """Whether the job is over, or in doubt until a person decides."""
        return self.status in SETTLED

    @property
    def ends_waiting(self) -> bool:
        """Whether it would be in vain to wait: the job is settled, or nobody works on it."""
        return bool(self.stopped) or self.is_settled

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(self)`` after each change, on the background loop; return what ends it."""
        with self._guard:
            self._listeners = [*self._listeners, listener]

        def unsubscribe() -> None:
            with self._guard:
                self._listeners = [other for other in self._listeners if other is not listener]

        return unsubscribe

    def settled(self) -> Future[None]:
        """Return a future that is done once waiting is over."""
        future: Future[None] = Future()
        with self._guard:
            if not self.ends_waiting:
                self._waiters.append(future)
                return future
        future.set_result(None)
        return future

    def changed(self, row: JobRow | None = None) -> None:
        """Take over a new row, if any, and tell everybody."""
        if row is not None:
            self.row = row
        with self._guard:
            listeners, waiters = self._listeners, self._waiters if self.ends_waiting else []
            if waiters:
                self._waiters = []
        for waiter in waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)
        for listener in listeners:
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
    """Return a future that is done once waiting for every one of these jobs is over."""
    together: Future[None] = Future()
    left = {job.id for job in jobs}

    def one_is_settled(job_id: str, _future: Future[None]) -> None:
        left.discard(job_id)
        if not left and together.set_running_or_notify_cancel():
            together.set_result(None)

    for job in jobs:
        job.settled().add_done_callback(partial(one_is_settled, job.id))
    return together


def goodbye(jobs: Iterable[TrackedJob]) -> str:
    """Return the last line of a script whose jobs are not over; empty if all are."""
    told: dict[str, list[str]] = {}
    for job in jobs:
        if job.unwritten_task:  # nothing else knows this id any more
            adopt = f"run `python -m wan_notebook resolve {job.id} adopt {job.unwritten_task}` once there is room"
            told[f"could not be recorded ({adopt})"] = [job.id]
        elif job.status is Status.INTENT:
            told.setdefault("not sent (the program ended first, nothing was paid)", []).append(job.id)
        elif job.status is Status.SENDING:
            told.setdefault("being sent (`python -m wan_notebook fetch` says what is known)", []).append(job.id)
        elif not job.is_settled:
            told.setdefault(
                "going on at the service (`python -m wan_notebook fetch` collects the pictures)", []
            ).append(job.id)
    parts = [f"{pluralize(len(ids), 'job')} {what}: {', '.join(ids[:5])}" for what, ids in told.items()]
    return f"wan_notebook: {'; '.join(parts)}. End the script with job.result() to have its pictures." if parts else ""
