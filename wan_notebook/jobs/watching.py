"""Jobs that another kernel owns: shown as they are, and taken over when their owner has died.

Those in doubt are looked at too: a person may decide about them in another kernel, or on a command line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from ..errors import WanError
from ..ledger import JobRow, Ledger
from ..states import JobState
from .leases import Leases
from .live import LiveJob

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0


class Watcher:
    """Looks into the ledger, never at the service. Lives on the runtime's loop."""

    def __init__(
        self,
        ledger: Ledger,
        leases: Leases,
        take_over: Callable[[LiveJob], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._ledger, self._leases, self._take_over, self._sleep = ledger, leases, take_over, sleep
        self._watched: dict[str, LiveJob] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, lives: Sequence[LiveJob]) -> None:
        """Watch jobs until they are over, or ours."""
        self._watched |= {live.id: live for live in lives}
        if self._watched and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="wan-watcher")

    def remove(self, job_id: str) -> None:
        """Watch a job no more: it is ours."""
        self._watched.pop(job_id, None)

    async def _run(self) -> None:
        while self._watched:
            await self._sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except WanError as error:  # a locked or full ledger must not end the watching
                log.warning("the ledger could not be looked into: %s", error)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        watched = dict(self._watched)
        rows = await loop.run_in_executor(None, self._ledger.jobs, watched)
        free = []
        for job_id, row in rows.items():
            live = watched[job_id]
            if job_id not in self._watched:
                continue
            if has_moved(live.row, row):
                live.changed(row)
            if live.state is JobState.IN_DOUBT:
                continue
            if live.is_settled:
                self._watched.pop(job_id, None)
            elif self._leases.may_claim(row):
                free.append(row)
        for job_id, row in (await self._leases.claim(free)).items():
            taken = self._watched.pop(job_id, None)
            if taken is not None:
                taken.row = row
                self._take_over(taken)


def has_moved(old: JobRow, new: JobRow) -> bool:
    """Whether a person would see a difference."""
    return old.state != new.state or old.pictures != new.pictures or old.error_message != new.error_message
