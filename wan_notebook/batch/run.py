"""One kernel's work on a batch: its tasks are written down, sent in the order of rows, and followed to their end."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Final

from ..database import SETTLED, BatchRow, Status
from ..errors import WanError
from ..jobs import NOT_SENT_YET
from ..project import request_of_row

if TYPE_CHECKING:
    from ..jobs import TrackedJob
    from ..request import ImageRequest
    from ..session import Session

log = logging.getLogger(__name__)

Write = Callable[[], "Mapping[str, ImageRequest]"]
"""Writes some tasks down, and returns the requests that only this kernel knows whole, by the ids of their jobs."""
RENEW_EVERY_S: Final = 20.0
LOOK_EVERY_S: Final = 1.0
PACE_OVER: Final = 50
"""The pace is that of so many tasks."""


class Run:
    """What one kernel does for a batch.

    Parameters
    ----------
    session
        Whose worker sends and follows.
    batch
        The batch's row.
    writes
        What writes its tasks down, a transaction each.
    sends
        Whether waiting tasks are sent; without it only those are followed that were sent.

    Attributes
    ----------
    written, done
        Are done when all tasks are written down, and when nothing more happens here.
    stopped
        Why nothing more is sent, although not all is over; empty otherwise.
    """

    def __init__(self, session: "Session", batch: BatchRow, writes: Sequence[Write] = (), *, sends: bool) -> None:
        project = session.project()
        self.worker, self.database, self.storage = project.worker, project.database, project.storage
        self.session, self.batch, self.sends = session, batch, sends
        self.written, self.done, self.stopped = Future[None](), Future[None](), ""
        self._writes = writes
        self._requests: dict[str, ImageRequest] = {}
        self._is_left = False
        self._ended_at_s = deque[float](maxlen=PACE_OVER)
        self._in_thread = session.background.in_thread
        session.background.submit(self._run())

    @property
    def pace_per_s(self) -> float | None:
        """How many tasks end in a second, of late; None before two have."""
        ended = list(self._ended_at_s)
        took_s = ended[-1] - ended[0] if len(ended) > 1 else 0.0
        return (len(ended) - 1) / took_s if took_s > 0 else None

    def stop(self, reason: str) -> None:
        """Send nothing more; what is under way is followed to its end."""
        self.stopped = self.stopped or reason

    def leave(self) -> None:
        """Leave the batch to another run of this kernel, once nothing is being written."""
        self._is_left = True
        self.stop("It is run by a later call.")
        wait([self.written])

    # On the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self.worker.wake()
        writing, renewing = asyncio.ensure_future(self._write()), asyncio.ensure_future(self._renew())
        try:
            await self._feed(writing)
            if not self._is_left:
                await self._end()
        except Exception as error:  # the thread's boundary: whoever waits must hear of it
            is_known = isinstance(error, WanError)
            log.log(logging.WARNING if is_known else logging.ERROR, "a batch: %s", error, exc_info=not is_known)
            self.stop(error.message if isinstance(error, WanError) else f"An unexpected error: {type(error).__name__}.")
        finally:
            writing.cancel()
            renewing.cancel()
            for future in (self.written, self.done):
                if not future.done():
                    future.set_result(None)

    async def _write(self) -> None:
        try:
            for write in self._writes:
                if not self.stopped:
                    self._requests |= await self._in_thread(write)
        except WanError as error:
            self.stop(error.message)
        finally:
            self._writes = ()
            self.written.set_result(None)

    async def _renew(self) -> None:
        while self.sends:
            await self.worker.sleep(RENEW_EVERY_S)
            await self._in_thread(self.database.hold_batch, self.batch, self.worker.owner)

    async def _feed(self, writing: "asyncio.Future[None]") -> None:
        """Follow the open tasks, a few at a time in the order of rows, so that 10,000 take no memory."""
        live: dict[asyncio.Future[None], TrackedJob] = {}
        after, at_once = 0, max(8, 2 * self.session.settings(self.batch.provider).in_flight)
        while True:
            is_written = writing.done()
            found: list[TrackedJob] = []
            if not self.stopped and len(live) < at_once:
                after, found = await self._in_thread(self._next, after, at_once - len(live))
                self.worker.follow(found)
                live |= {asyncio.wrap_future(job.settled()): job for job in found}
            if not live and (self.stopped or (is_written and not found)):
                return
            waits = [*live, *([] if is_written else [writing])]
            await asyncio.wait(waits, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for job in [live.pop(future) for future in list(live) if future.done()]:
                if job.status is not Status.CANCELLED:
                    self._ended_at_s.append(self.worker.clock())
                job.request = None  # it may hold pictures
                if self.sends and job.status not in SETTLED:
                    self.stop(job.stopped)

    def _next(self, after: int, count: int) -> "tuple[int, list[TrackedJob]]":
        """Return the next open tasks, with their requests where they are sent from here, and the last one's number."""
        tasks = self.database.batch_tasks(self.batch, after=after, limit=count, only_open=True)
        ids = dict.fromkeys(task.job_id for task in tasks)  # equal rows with a seed share a job
        rows = self.database.jobs(ids)
        jobs = [self.worker.track(rows[job_id]) for job_id in ids]
        for job in jobs if self.sends else ():
            job.in_batch, job.stopped = True, ""
            if job.status is Status.INTENT:
                request = self._requests.pop(job.id, None) or request_of_row(job.row, self.storage)
                job.request = request.replace(seed=job.row.seed)
        return (tasks[-1].seq if tasks else after), jobs

    async def _end(self) -> None:
        """Write down that all is over, or why it is not."""
        counts = await self._in_thread(self.database.batch_counts, self.batch)
        is_over = not self.stopped and set(counts) <= SETTLED
        change = {"finished_at": self.worker.wall_clock()} if is_over else {"paused_reason": self.stopped}
        if self.sends:
            await self._in_thread(self.database.set_batch, self.batch, **change)
            await self._in_thread(self.database.release_batch, self.batch, self.worker.owner)
            await self._in_thread(self.worker.refresh, self.worker.mine)  # whoever waits for one hears of it
        elif counts[Status.INTENT]:
            self.stop(NOT_SENT_YET)
