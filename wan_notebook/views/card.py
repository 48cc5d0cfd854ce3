"""The live card: an anywidget that counts by itself and is updated from any thread.

The only module of the cell's output that needs a widget library; import it when a live front end is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from wan_notebook.views.live import live_state, same_but_for_time, thumbs_of
from wan_notebook.views.model import CardView
from wan_notebook.views.terminal import card_line

_STATIC: Final = Path(__file__).parent / "static"
WORD_EVERY_S: Final = 8.0
"""A running card hears from the kernel at least so often; card_clock.js takes longer silence for a restart."""


class LiveCard(anywidget.AnyWidget):
    """A card whose traits hold plain JSON: ``view``, and ``thumbs`` once there are pictures.

    ``on_cancel`` is called with the ids of the jobs whose Cancel was clicked, on whichever thread the kernel handles
    messages; it must only pass the wish on. ``wall_clock`` gives unix seconds.
    """

    _esm = "\n".join((_STATIC / name).read_text("utf-8") for name in ("card_clock.js", "card.js"))
    _css = _STATIC / "card.css"
    view = traitlets.Dict().tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)

    def __init__(
        self,
        card: CardView,
        *,
        on_cancel: Callable[[Sequence[str]], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._lock = threading.Lock()
        self._wall_clock = wall_clock
        self._on_cancel = on_cancel
        self._line = card_line(card)
        super().__init__(view={**live_state(card), "sent_at": wall_clock()})
        self.on_msg(self._receive)
        if card.pictures:
            self.update(card)

    def update(self, card: CardView) -> bool:
        """Show a card's newest state; return whether anything had to be sent. Callers keep to 10 updates a second."""
        with self._lock:
            view = {**live_state(card), "sent_at": self._wall_clock()}
            thumbs: list[bytes] | None = None
            if view["done"] and card.pictures:
                # Pushed, not asked for: after a reload the page must get them even while a cell computes.
                if self.view.get("pictures") == view["pictures"] and self.thumbs:
                    view["thumbs"] = self.view["thumbs"]
                else:
                    view["thumbs"], thumbs = thumbs_of(card)
            passed_s = view["sent_at"] - self.view["sent_at"]
            must_speak = passed_s >= WORD_EVERY_S and not view["done"]
            if not must_speak and same_but_for_time(self.view, view, passed_s):
                return False
            self._line = card_line(card)
            with self.hold_sync():  # pictures and their captions arrive together
                if thumbs is not None:
                    self.thumbs = thumbs
                self.view = view
            return True

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            # The page's clock may be wrong; a reloaded page counts on from this answer.
            self.send({"kind": "clock", "now": self._wall_clock()})
        elif kind == "cancel" and self._on_cancel is not None:
            mine = {job["id"] for job in self.view["jobs"]}
            wanted = [job for job in content.get("jobs", ()) if job in mine]
            if wanted:
                self._on_cancel(wanted)

    def __repr__(self) -> str:
        # A widget's own repr lists its traits, pictures included, in every text/plain.
        return self._line
