"""Work that follows changes: coalesced, one at a time, never on the thread that tells of a change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ..runtime import Runtime

log = logging.getLogger(__name__)
PAUSE_S: Final = 0.1  # at most ten updates a second: a front end that gets more falls behind


class Follower:
    """Runs ``work`` in a worker thread soon after ``touch``; touched meanwhile, it runs once more.

    ``settle_s`` waits for the next change before it begins (typing); ``again_s`` repeats while ``is_busy`` says so.
    """

    def __init__(
        self,
        runtime: Runtime,
        work: Callable[[], None],
        *,
        settle_s: float = 0.0,
        again_s: float | None = None,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._runtime, self._work = runtime, work
        self._settle_s, self._again_s, self._is_busy = settle_s, again_s, is_busy
        self._dirty = asyncio.Event()
        self._is_closed = False
        self._task = runtime.submit(self._follow())

    def touch(self) -> None:
        """Ask for the work; may be called from any thread, and returns at once."""
        if not self._is_closed:
            self._runtime.call(self._dirty.set)

    def close(self) -> None:
        """End it."""
        self._is_closed = True
        self._task.cancel()

    async def _follow(self) -> None:
        while True:
            await self._changed()
            try:
                await self._runtime.in_worker(self._work)
            except Exception:  # the thread's boundary: one failed update must not end all later ones
                log.exception("an update of the panel")
            await asyncio.sleep(PAUSE_S)

    async def _changed(self) -> None:
        waits_s = self._again_s if self._is_busy() else None
        try:
            async with asyncio.timeout(waits_s):
                await self._dirty.wait()
        except TimeoutError:
            return
        while self._dirty.is_set():
            self._dirty.clear()
            if self._settle_s:
                await asyncio.sleep(self._settle_s)
