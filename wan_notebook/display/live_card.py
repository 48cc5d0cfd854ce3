"""The live card: an anywidget that counts seconds by itself and hears of changes from the background loop."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from ..jobs import Job
from ..session import Session
from .card import Card, card_text, live_state
from .gallery import job_bundle
from .html import STATIC, static_module
from .table import Table

log = logging.getLogger(__name__)

UPDATE_EVERY_S: Final = 0.1
"""At most ten updates a second: above a thousand messages a second Jupyter drops them."""
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone; and a page takes a long silence for a restart of the kernel."""


class LiveCard(anywidget.AnyWidget):
    """One card in one cell: a widget while the job runs, then the static output in its place.

    Its trait holds plain JSON.
    """

    _esm = static_module(STATIC / "card.js")
    _css = STATIC / "card.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, job: Job, session: Session) -> None:
        self._job, self._session = job, session
        super().__init__()
        self.refresh()
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        # A widget's own repr lists its traits, pictures included, in every text/plain.
        return card_text(Card(self._job, self._session))

    def start(self) -> None:
        """Display the card from the cell's own thread, then follow the job on the background loop.

        Below it stands what JupyterLab shows of an unfinished job once the kernel is gone; until then it is hidden.
        It shows "model not found" for a widget of an earlier kernel, whatever else that output holds.
        """
        from IPython.display import display

        handle = display(self, display_id=True)
        card = Card(self._job, self._session)
        told = f"The live card ended with its kernel: `{card.show_command}` brings the pictures of job {self._job.id}."
        table = Table(lines=[told, "The cell that asks the same:"], code=card.cell_text)
        html = f'<div class="wan-card-static">{table.to_html()}</div>'
        static = {"text/html": html, "text/plain": table.to_text()}
        fallback = display(static, raw=True, display_id=True)
        self._session.background.submit(self._follow(handle, fallback))

    def refresh(self, html: str = "") -> None:
        """Send the newest state; once all is over with the static output, for a page that was reloaded in mid-run."""
        state = live_state(Card(self._job, self._session))
        folder = f"{Path.cwd().as_uri()}/"  # where the links of the output begin
        self.view = {**state, "sent_at": self._session.wall_clock(), "html": html, "folder": folder}

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            # The page's clock may be wrong; a reloaded page counts on from this answer.
            self.send({"kind": "clock", "now": self._session.wall_clock()})
        elif kind == "cancel":
            wanted = [tracked for tracked in self._job.tracked if tracked.id in content.get("jobs", ())]
            self._session.background.call_back(self._job.worker.cancel, wanted)

    async def _follow(self, handle: Any, fallback: Any) -> None:
        """Bring changes to the page, coalesced; replace both outputs once everything is settled."""
        in_thread, changed = self._session.background.in_thread, asyncio.Event()
        unsubscribe = [tracked.listen(lambda _: changed.set()) for tracked in self._job.tracked]
        try:
            while not self._job.is_done:
                changed.clear()
                await in_thread(self.refresh)
                await asyncio.sleep(UPDATE_EVERY_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), REFRESH_EVERY_S)
            data, metadata = await in_thread(job_bundle, self._job, self._session)
            # After a page reload the update of the output does not arrive: the widget shows the pictures itself.
            await in_thread(self.refresh, data["text/html"])
            handle.update(data, metadata=metadata, raw=True)
            # JupyterLab and nbconvert show nothing for it, and nbval compares nothing.
            fallback.update({"text/latex": ""}, raw=True)
        except Exception:  # the thread's boundary: a display that failed must not look like a job that runs for ever
            log.exception("the card of job %s", self._job.id)
        finally:
            for stop in unsubscribe:
                stop()
