"""The live card: an anywidget that counts seconds by itself and hears of changes from the background loop."""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from .card import Card, PictureItem, card_line, live_state
from .gallery import Thumbnails, job_bundle
from .html import STATIC, static_module

if TYPE_CHECKING:
    from ..jobs import Job, TrackedJob
    from ..session import Session

log = logging.getLogger(__name__)

UPDATE_EVERY_S: Final = 0.1
"""At most ten updates a second: above a thousand messages a second Jupyter drops them."""
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone; and a page takes a long silence for a restart of the kernel."""
_THUMBS_MAX: Final = 8
_THUMB: Final = {"max_px": 256, "max_bytes": 12_000}


class LiveCard(anywidget.AnyWidget):
    """One card in one cell: a widget while the job runs, then the static output in its place.

    Its traits hold plain JSON: ``view``, and ``thumbs`` once there are pictures.
    """

    _esm = static_module(STATIC / "card.js")
    _css = STATIC / "card.css"
    view = traitlets.Dict().tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)

    def __init__(self, job: "Job", session: "Session") -> None:
        self._job, self._session = job, session
        self._changed = asyncio.Event()
        self._handle: Any = None
        super().__init__()
        self.refresh()
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        # A widget's own repr lists its traits, pictures included, in every text/plain.
        return card_line(Card(self._job, self._session))

    def start(self) -> None:
        """Display the card from the cell's own thread, then follow the job on the background loop."""
        from IPython.display import display

        self._handle = display(self, display_id=True)
        self._session.background.submit(self._follow())

    def refresh(self) -> None:
        """Send the newest state; with its pictures once all is over, for a page that was reloaded in mid-run."""
        card = Card(self._job, self._session)
        view = {**live_state(card), "sent_at": self._session.wall_clock()}
        with self.hold_sync():  # pictures and their captions arrive together
            if view["done"] and view["pictures"]:
                shown = card.pictures[:_THUMBS_MAX]
                copies = Thumbnails(card.storage).get_all([picture.record for picture in shown], **_THUMB)
                found = [(_caption(item), copy) for item, copy in zip(shown, copies, strict=True) if copy]
                view["thumbs"], self.thumbs = [caption for caption, _ in found], [copy for _, copy in found]
            self.view = view

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            # The page's clock may be wrong; a reloaded page counts on from this answer.
            self.send({"kind": "clock", "now": self._session.wall_clock()})
        elif kind == "cancel":
            wanted = [tracked for tracked in self._job.tracked if tracked.id in content.get("jobs", ())]
            if wanted:
                self._session.background.call_back(self._job.worker.cancel, wanted)

    def _on_change(self, _tracked: "TrackedJob") -> None:
        self._changed.set()

    async def _follow(self) -> None:
        """Bring changes to the page, coalesced; replace the card once everything is settled."""
        in_thread = self._session.background.in_thread
        unsubscribe = [tracked.listen(self._on_change) for tracked in self._job.tracked]
        try:
            while not self._job.is_done:
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_EVERY_S):
                        await self._changed.wait()
                self._changed.clear()
                if not self._job.is_done:
                    await in_thread(self.refresh)
                    await asyncio.sleep(UPDATE_EVERY_S)
            data, metadata = await in_thread(job_bundle, self._job, self._session)
            # After a page reload the update of the output does not arrive: the widget shows the pictures itself.
            await in_thread(self.refresh)
            self._handle.update(data, metadata=metadata, raw=True)
        except Exception:  # the thread's boundary: a display that failed must not look like a job that runs for ever
            log.exception("the card of job %s", self._job.id)
        finally:
            for stop in unsubscribe:
                stop()


def _caption(picture: PictureItem) -> dict[str, Any]:
    facts = [text for text in (*picture.seed_facts, *picture.size_facts) if text]
    return {"alt": picture.alt, "code": picture.expression, "facts": facts, "mime": "image/webp"}
