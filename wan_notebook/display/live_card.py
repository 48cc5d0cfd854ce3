"""The live cards: anywidgets that follow what runs, and in the end give their place to the static output."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from ..errors import StoreError, WanError
from ..session import Session
from .batch_card import batch_bundle, batch_state, batch_text, show_command
from .card import Card, card_text, live_state
from .gallery import job_bundle
from .html import STATIC, static_module
from .table import Bundle, Table

log = logging.getLogger(__name__)

UPDATE_EVERY_S: Final = 0.1
"""At most ten updates a second: above a thousand messages a second Jupyter drops them."""
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone; and a page takes a long silence for a restart of the kernel."""
COUNT_EVERY_S: Final = 1.0
COUNT_SHARE: Final = 0.02
"""The most of a core that counting may take: a batch of 10,000 costs the ledger tens of milliseconds a look."""
SILENCE_S: Final = 8.0
"""The longest that nothing is sent although nothing has changed."""


class LiveCard(anywidget.AnyWidget):
    """One card in one cell: a widget while the job runs, then the static output in its place.

    Its trait holds plain JSON; it counts seconds by itself.
    """

    _esm = static_module(STATIC / "card.js")
    _css = STATIC / "card.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, shown: Any, session: Session) -> None:
        self._shown, self._session = shown, session
        super().__init__()
        self.refresh()
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        # A widget's own repr lists its traits, pictures included, in every text/plain.
        return card_text(Card(self._shown, self._session))

    def start(self) -> None:
        """Display the card from the cell's own thread, then follow what it shows on the background loop.

        Below it stands what JupyterLab shows of an unfinished job once the kernel is gone; until then it is hidden.
        It shows "model not found" for a widget of an earlier kernel, whatever else that output holds.
        """
        from IPython.display import display

        handle, table = display(self, display_id=True), self.last_words()
        html = f'<div class="wan-card-static">{table.to_html()}</div>'
        static = {"text/html": html, "text/plain": table.to_text()}
        fallback = display(static, raw=True, display_id=True)
        self._session.background.submit(self._follow(handle, fallback))

    def refresh(self, html: str = "") -> None:
        """Send what is new; once all is over with the static output, for a page that was reloaded in mid-run."""
        now, state = self._session.wall_clock(), {**self.state(), "html": html}
        state["folder"] = f"{Path.cwd().as_uri()}/"  # where the links of the output begin
        if {**self.view, "sent_at": 0} != {**state, "sent_at": 0} or now >= self.view["sent_at"] + SILENCE_S:
            self.view = {**state, "sent_at": now}

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            # The page's clock may be wrong; a reloaded page counts on from this answer.
            self.send({"kind": "clock", "now": self._session.wall_clock()})
        elif kind == "cancel":
            self._session.background.call_back(self.cancel, *content.get("jobs", ()))

    async def _follow(self, handle: Any, fallback: Any) -> None:
        """Bring changes to the page; replace both outputs once everything is settled."""
        in_thread = self._session.background.in_thread
        try:
            await self.watch()
            data, metadata = await in_thread(self.bundle)
            # After a page reload the update of the output does not arrive: the widget shows the pictures itself.
            await in_thread(self.refresh, data["text/html"])
            handle.update(data, metadata=metadata, raw=True)
            # JupyterLab and nbconvert show nothing for it, and nbval compares nothing.
            fallback.update({"text/latex": ""}, raw=True)
        except Exception:  # the thread's boundary: a display that failed must not look like a job that runs for ever
            log.exception("the card of %s", self._shown.id)

    # What differs between a job and a batch ---------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what the page shows, as plain JSON."""
        return live_state(Card(self._shown, self._session))

    def bundle(self) -> Bundle:
        """Return the static output."""
        return job_bundle(self._shown, self._session)

    def last_words(self) -> Table:
        """Return what is told once the kernel is gone."""
        card, job_id = Card(self._shown, self._session), self._shown.id
        told = f"The live card ended with its kernel: `{card.show_command}` brings the pictures of job {job_id}."
        return Table(lines=[told, "The cell that asks the same:"], code=card.cell_text)

    def cancel(self, *jobs: str) -> None:
        """Cancel what the page asks for."""
        self._shown.worker.cancel([tracked for tracked in self._shown.tracked if tracked.id in jobs])

    async def watch(self) -> None:
        """Bring changes to the page until all is over; coalesced, since hundreds a second would be dropped."""
        changed = asyncio.Event()
        unsubscribe = [tracked.listen(lambda _: changed.set()) for tracked in self._shown.tracked]
        try:
            while not self._shown.is_done:
                changed.clear()
                await self._session.background.in_thread(self.refresh)
                await asyncio.sleep(UPDATE_EVERY_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), REFRESH_EVERY_S)
        finally:
            for stop in unsubscribe:
                stop()


class LiveBatchCard(LiveCard):
    """The card of a batch, whose counts are asked for once a second, whatever its size."""

    _esm = static_module(STATIC / "batch.js")
    _asked = ""
    _answer: Sequence[str] = ()

    def __repr__(self) -> str:
        return batch_text(self._shown)

    def state(self) -> dict[str, Any]:
        began_s, state = time.thread_time(), batch_state(self._shown)
        self._pause_s = max(COUNT_EVERY_S, (time.thread_time() - began_s) / COUNT_SHARE)
        return {**state, "asked": self._asked, "answer": list(self._answer)}

    def bundle(self) -> Bundle:
        return batch_bundle(self._shown)

    def last_words(self) -> Table:
        return Table(lines=[f"The live card ended with its kernel: `{show_command(self._shown)}` brings the pictures."])

    def cancel(self, *_jobs: str) -> None:
        try:
            self._asked, self._answer = "asked", self._shown.cancel().splitlines()
        except WanError as error:
            self._asked, self._answer = "refused", error.lines()
        self.refresh()

    async def watch(self) -> None:
        while not self.view["is_over"]:
            await asyncio.sleep(self._pause_s)
            with suppress(StoreError):  # a ledger that is locked for a while
                await self._session.background.in_thread(self.refresh)
