"""What all parts of the panel share: a trait that follows changes, and answers to the page's messages.

Changes and messages come on any thread. None of them waits there: updates are made on the background threads, at most
ten a second, and each message is answered in a thread of its own.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .panel import Panel

Message = Mapping[str, Any]
UPDATE_EVERY_S: Final = 0.1
"""A front end that gets more than ten updates a second falls behind."""


class Feed:
    """One part of the panel, under its ``name`` in the page's messages: each kind has a method ``on_…``."""

    name = ""
    repeat_s: float | None = None
    """An update comes so often without a change; None: only after one."""

    def __init__(self, panel: "Panel") -> None:
        self.panel, self.session, self.project = panel, panel.session, panel.session.project()
        panel.parts[self.name] = self
        self._changed = asyncio.Event()
        self.start()
        self._task = self.session.background.submit(self._follow())

    def start(self) -> None:
        """Set up what the part keeps, before its first update."""

    def update(self) -> None:
        """Bring the part's trait up to date."""

    def touch(self, *_: object) -> None:
        """Ask for an update; returns at once, on any thread."""
        if not self._task.done():
            self.session.background.call(self._changed.set)

    def close(self) -> None:
        """End the updates."""
        self._task.cancel()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.repeat_s)
            self._changed.clear()
            await self.session.background.in_thread(self.panel.guarded, self.update)
            await asyncio.sleep(UPDATE_EVERY_S)
