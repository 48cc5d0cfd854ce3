"""The live cards: anywidgets that follow what runs, and in the end give their place to the static output."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from ..errors import StoreError, WanError
from ..jobs import Job
from ..session import Session
from .batch_card import batch_bundle, batch_state, batch_text
from .card import Card, card_text, live_state
from .gallery import job_bundle
from .html import STATIC, static_module
from .table import Bundle, Table

if TYPE_CHECKING:
    from ..batch import Batch  # type: ignore[import-untyped, import-not-found, unused-ignore]

log = logging.getLogger(__name__)

UPDATE_EVERY_S: Final = 0.1
"""At most ten updates a second: above a thousand messages a second Jupyter drops them."""
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone; and a page takes a long silence for a restart of the kernel."""
COUNT_EVERY_S: Final = 1.0
"""The counts of a batch of 10,000 cost the ledger about ten milliseconds."""
SILENCE_S: Final = 8.0
"""The longest that nothing is sent although nothing has changed."""


class _Live(anywidget.AnyWidget):
    """One card in one cell: a widget while something runs, then the static output in its place.

    Its trait holds plain JSON.
    """

    _css = STATIC / "card.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session) -> None:
        self._session = session
        super().__init__()
        self.refresh()
        self.on_msg(self._receive)

    def state(self) -> dict[str, Any]:
        """Return what the page shows, as plain JSON."""
        raise NotImplementedError

    def bundle(self) -> Bundle:
        """Return the static output."""
        raise NotImplementedError

    def last_words(self) -> Table:
        """Return what is told once the kernel is gone."""
        raise NotImplementedError

    def cancel(self, jobs: Any) -> None:
        """Cancel what the page asks for, without waiting."""
        raise NotImplementedError

    async def watch(self) -> None:
        """Bring changes to the page until all is over."""
        raise NotImplementedError

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
            self._session.background.call_back(self.cancel, content.get("jobs", ()))

    async def _follow(self, handle: Any, fallback: Any) -> None:
        """Replace both outputs once everything is settled."""
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
            log.exception("a live card")


class LiveCard(_Live):
    """The card of a job; it counts seconds by itself."""

    _esm = static_module(STATIC / "card.js")

    def __init__(self, job: Job, session: Session) -> None:
        self._job = job
        super().__init__(session)

    def __repr__(self) -> str:
        # A widget's own repr lists its traits, pictures included, in every text/plain.
        return card_text(Card(self._job, self._session))

    def state(self) -> dict[str, Any]:
        return live_state(Card(self._job, self._session))

    def bundle(self) -> Bundle:
        return job_bundle(self._job, self._session)

    def last_words(self) -> Table:
        card = Card(self._job, self._session)
        told = f"The live card ended with its kernel: `{card.show_command}` brings the pictures of job {self._job.id}."
        return Table(lines=[told, "The cell that asks the same:"], code=card.cell_text)

    def cancel(self, jobs: Any) -> None:
        self._job.worker.cancel([tracked for tracked in self._job.tracked if tracked.id in jobs])

    async def watch(self) -> None:
        """Coalesce changes: hundreds a second would be dropped."""
        changed = asyncio.Event()
        unsubscribe = [tracked.listen(lambda _: changed.set()) for tracked in self._job.tracked]
        try:
            while not self._job.is_done:
                changed.clear()
                await self._session.background.in_thread(self.refresh)
                await asyncio.sleep(UPDATE_EVERY_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), REFRESH_EVERY_S)
        finally:
            for stop in unsubscribe:
                stop()


class LiveBatchCard(_Live):
    """The card of a batch, whose counts are asked for once a second, whatever its size."""

    _esm = static_module(STATIC / "batch.js")

    def __init__(self, batch: "Batch", session: Session) -> None:
        self._batch, self._is_over = batch, False
        self._asked, self._answer = "", list[str]()
        super().__init__(session)

    def __repr__(self) -> str:
        return batch_text(self._batch)

    def state(self) -> dict[str, Any]:
        state = batch_state(self._batch)
        self._is_over = state["is_over"]
        return {**state, "asked": self._asked, "answer": self._answer}

    def bundle(self) -> Bundle:
        return batch_bundle(self._batch)

    def last_words(self) -> Table:
        show = batch_state(self._batch)["show"]
        return Table(
            lines=[f"The live card ended with its kernel: `{show}` brings the pictures, and its cell goes on."]
        )

    def cancel(self, jobs: Any) -> None:  # noqa: ARG002 - there is one button
        self._asked, self._answer = "asked", []
        self.refresh()
        try:
            self._answer = self._batch.cancel().splitlines()
        except WanError as error:
            self._asked, self._answer = "refused", error.lines()
        self.refresh()

    async def watch(self) -> None:
        while not self._is_over:
            await asyncio.sleep(COUNT_EVERY_S)
            with suppress(StoreError):  # a ledger that is locked for a while
                await self._session.background.in_thread(self.refresh)
