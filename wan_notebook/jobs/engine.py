"""The engine: takes up jobs that are on disk and brings each to its end, on the one background thread.

It decides who works on a job; what is done is in ``course``, and what jobs of one account share in ``services``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ..errors import WanError
from ..ledger import JobRow, LedgerConflict, PictureRecord
from ..recipe import strip
from ..states import JobState
from .cancel import cancel_all
from .course import Course
from .estimate import Estimates
from .leases import Leases
from .live import LiveJob
from .moves import Moves
from .parts import Parts
from .services import Services
from .waiting import WaitingInputs
from .watching import Watcher

log = logging.getLogger(__name__)
WIND_UP_LOOK_S = 0.01
CANCEL_S = 60.0
"""How long a person waits for the service's word on a cancel: longer than the client's own limit for one call."""


class Engine:
    """Everything that happens to a job after it is on disk."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.moves = Moves(parts.ledger, wall_clock=parts.wall_clock, sleep=parts.sleep)
        self.estimates = Estimates(parts.ledger, parts.hint_for)
        self.lives: dict[str, LiveJob] = {}
        self.services = Services(parts)
        self.leases = Leases(parts.ledger, wall_clock=parts.wall_clock, sleep=parts.sleep)
        self.inputs = WaitingInputs(parts.ledger, parts.store, parts.picture_of, self.moves, self.live)
        self._course = Course(parts, self.moves, self.services, self.estimates, self.inputs)
        self._watcher = Watcher(parts.ledger, self.leases, self._take_over, parts.sleep)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._mine: dict[str, LiveJob] = {}

    # From any thread -------------------------------------------------------------------------------------------------

    def live(self, row: JobRow) -> LiveJob:
        """Return this kernel's view of a job, the same one each time."""
        live = self.lives.setdefault(row.id, LiveJob(row))
        if live.row is not row and live.state is not row.state and row.id not in self._mine:
            live.row = row  # another kernel moved it
            self.parts.runtime.call(live.changed)
        return live

    def start(self, lives: Sequence[LiveJob]) -> None:
        """Bring new jobs to their end; returns at once."""
        self._mine |= {live.id: live for live in lives}
        self.parts.runtime.call(self._start, lives)

    def take_up(self, rows: Sequence[JobRow]) -> list[LiveJob]:
        """Take up jobs that an earlier kernel left, or watch those that another one owns."""
        lives = [self.live(row) for row in rows]
        self.parts.runtime.submit(self._take_up(lives))
        return lives

    def cancel(self, jobs: Sequence[LiveJob]) -> str:
        """Cancel what can be cancelled; return an honest answer. Waits for the service's word."""
        work = cancel_all(jobs, self.parts.client_for, self.moves, lambda live: live.id in self._running)
        try:
            return self.parts.runtime.submit(work).result(timeout=CANCEL_S)
        except TimeoutError:
            return f"the service did not say within {CANCEL_S:.0f} s whether it cancelled; the cards will tell."

    def read_picture(self, picture: PictureRecord, *, clean: bool) -> bytes:
        """Return a picture's bytes; ``clean`` as the service sent them."""
        data = self.parts.store.read(picture.file)
        return strip(data) if clean else data

    def path_of(self, relative: str) -> Path:
        """Return where a file of the store lies."""
        return self.parts.store.folder / relative

    def call_back(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a person's function where it may wait."""
        self.parts.runtime.call_back(fn, *args)

    @property
    def mine(self) -> tuple[LiveJob, ...]:
        """The jobs that this kernel works on."""
        return tuple(self._mine.values())

    def unsent(self) -> list[LiveJob]:
        """Return the jobs that are about to be sent; one that waits for another's picture is not."""
        states = (JobState.INTENT, JobState.SENDING)
        return [live for live in self.mine if live.state in states and not live.row.pending_inputs]

    def let_go(self) -> None:
        """Release the leases, so that another kernel need not wait for them to run out; nobody waits here in vain."""
        self.leases.release(self._owned())
        self._course.end()
        for live in self.lives.values():
            if not live.ends_waiting:
                live.stop("the session that followed it was closed.")

    def leave(self) -> None:
        """In a forked process: the parent works on these jobs."""
        for live in self.lives.values():
            live.leave("another process, which was forked, asked for it; `%wan show` or wan.history() has it later.")

    def forget_clients(self) -> None:
        """Go on with new keys and addresses."""
        self.parts.runtime.call(self.services.forget)

    def hurry(self) -> None:
        """The program ends: an id that waits for room on the disk is tried again at once."""
        self.parts.runtime.call(self.moves.hurry)

    async def wind_up(self) -> None:
        """End the work of this kernel: a submit under way is waited for, since its answer holds the task's id."""
        self.moves.hurry()
        self.services.end()
        while left := dict(self._running):
            for job_id, task in left.items():
                if not self.lives[job_id].is_sending:
                    task.cancel()
            await asyncio.wait(left.values(), timeout=WIND_UP_LOOK_S)

    # On the loop -----------------------------------------------------------------------------------------------------

    def _start(self, lives: Sequence[LiveJob]) -> None:
        self.services.by_hand()
        for live in lives:
            self._watcher.remove(live.id)
            self._spawn(live, is_new=True)
        self._keep()

    async def _take_up(self, lives: Sequence[LiveJob]) -> None:
        self.services.by_hand()
        free = [live for live in lives if live.id not in self._running and not live.is_settled]
        try:
            mine = await self.leases.claim([live.row for live in free])
        except WanError as error:
            for live in free:
                live.stop(error.message)
            return
        for live in free:
            if live.id in mine and live.id not in self._running:
                self._watcher.remove(live.id)
                live.row = mine[live.id]
                self._take_over(live)
        self._watcher.add([live for live in free if live.id not in mine])
        self._watcher.add([live for live in lives if live.state is JobState.IN_DOUBT])
        self._keep()

    def _take_over(self, live: LiveJob) -> None:
        live.stopped = ""
        self._mine[live.id] = live
        self._spawn(live, is_new=False)
        self._keep()

    def _spawn(self, live: LiveJob, *, is_new: bool) -> None:
        if live.id in self._running:
            return
        task = asyncio.get_running_loop().create_task(self._guarded(live, is_new=is_new), name=f"wan-job-{live.id}")
        self._running[live.id] = task
        task.add_done_callback(lambda _task: self._running.pop(live.id, None))

    async def _guarded(self, live: LiveJob, *, is_new: bool) -> None:
        """Run a job; a fault of ours or of the disk is shown on its card instead of vanishing in a thread."""
        try:
            await self._course.run(live, is_new=is_new)
        except LedgerConflict as conflict:
            log.info("job %s was moved by another kernel (%s)", live.id, conflict)
            await self._watch_instead(live)
        except WanError as error:
            log.warning("job %s: %s", live.id, error)
            live.stop(error.message)
        except Exception as error:  # the thread's boundary: it must be seen, and must not end the others
            log.exception("job %s", live.id)
            live.stop(f"internal error: {type(error).__name__}: {error}")
        if live.ends_waiting:
            held = self._mine.pop(live.id, None)
            if held is not None and not live.is_settled:
                self.leases.release([live.id])
            if live.state is JobState.IN_DOUBT:
                self._watcher.add([live])

    async def _watch_instead(self, live: LiveJob) -> None:
        self._mine.pop(live.id, None)
        try:
            row = await asyncio.get_running_loop().run_in_executor(None, self.parts.ledger.get, live.id)
            live.changed(row)
        except WanError as error:
            live.stop(error.message)
        if not live.ends_waiting:
            self._watcher.add([live])

    def _lost(self, job_ids: Collection[str]) -> None:
        """Another kernel took these while this one slept: show what it does, and send or ask nothing more."""
        for job_id in job_ids:
            live, task = self._mine.get(job_id), self._running.get(job_id)
            if live is None or live.is_settled or live.is_sending or task is None:
                continue  # a POST under way is never cut: its answer holds the task's id
            self._mine.pop(job_id)
            task.cancel()
            self._watcher.add([live])

    def _owned(self) -> list[str]:
        return [job_id for job_id, live in list(self._mine.items()) if not live.is_settled]

    def _keep(self) -> None:
        self.leases.keep(self._owned, self._lost, self._share_limits)

    async def _share_limits(self) -> None:
        rows = await asyncio.get_running_loop().run_in_executor(None, self.parts.ledger.open_jobs)
        self.services.share(rows, self.leases.owner.token, self.parts.wall_clock())


__all__ = ["Engine", "Parts"]
