"""The live card: an anywidget that counts seconds by itself and hears of changes from the background loop."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from ..database import Status
from .card import Card, JobEntry
from .formatting import safe_line, safe_text
from .gallery import job_bundle
from .html import plain_text
from .status_style import cost_sentence, explanation, style_of, ways_out
from .text import card_line
from .thumbnails import Thumbnails

if TYPE_CHECKING:
    from ..jobs import Job, TrackedJob
    from ..session import Session

log = logging.getLogger(__name__)

UPDATE_EVERY_S: Final = 0.1
"""At most ten updates a second: above a thousand messages a second Jupyter drops them."""
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone."""
WORD_EVERY_S: Final = 8.0
"""A running card hears from the kernel at least so often; the page takes longer silence for a restart."""
_ROWS_MAX: Final = 24
_THUMBS_MAX: Final = 8
_THUMB_PX: Final = 256
_THUMB_MAX_BYTES: Final = 12_000
_LINES_MAX: Final = 8
_CLOCK_DRIFT_S: Final = 1.5


def static_module(*names: str, folder: Path = Path(__file__).parent / "static") -> str:
    """Return an ES module for anywidget: the shared helpers, then the widget's own file."""
    shared = (Path(__file__).parent / "static" / "shared.js").read_text("utf-8")
    return "\n".join([shared, *((folder / name).read_text("utf-8") for name in names)])


def live_state(card: Card) -> dict[str, Any]:
    """Return what the live card shows, as plain JSON: Python words everything, the page only counts seconds."""
    entries, status = card.entries, card.status
    one = entries[0] if len(entries) == 1 else None
    style = style_of(status)
    if one is not None:
        facts = [one.headline, card.title, one.row.mode, f"job {one.row.id}"]
    else:
        facts = [card.title, entries[0].row.mode, card.total_text, f"{len(entries)} jobs"]
    lines = [*(f"◇ {text}" for text in card.practice_lines), *(f"Note: {note}" for note in card.notes[:_LINES_MAX])]
    shown = {
        "state": status,
        "icon": style.icon,
        "word": card.summary,
        "tone": style.tone,
        "facts": [safe_line(text, 120) for text in facts if text],
        "lines": [safe_line(line, 400) for line in lines],
        "jobs": [_job_state(entry) for entry in _entries_with_rows(entries)],
        "jobs_left_off": max(0, len(entries) - _ROWS_MAX),
        "done": all(entry.is_over for entry in entries),
        "show": card.show_command,
        "pictures": len(card.pictures),
        "thumbs": [],
    }
    return {name: _safe(value) for name, value in shown.items()}


def _entries_with_rows(entries: Sequence[JobEntry]) -> list[JobEntry]:
    """Return the jobs that have a line each: all of a few; of many those that are not saved, then others, in order."""
    if len(entries) <= _ROWS_MAX:
        return list(entries)
    kept = sorted(range(len(entries)), key=lambda at: (entries[at].row.status == Status.SAVED, at))[:_ROWS_MAX]
    return [entries[at] for at in sorted(kept)]


def _job_state(entry: JobEntry) -> dict[str, Any]:
    style, row = entry.style, entry.row
    facts = [
        f"seed {row.seed}" if row.seed is not None else "",
        entry.cost_text or ("" if entry.is_over else entry.cost_max_text),
        entry.expected_size_text,
        f"result kept {entry.kept_text}" if entry.kept_text else "",
    ]
    return {
        "id": row.id,
        "state": entry.status,
        "icon": style.icon,
        "word": style.word,
        "tone": style.tone,
        "label": f"seed {row.seed}" if row.seed is not None else row.id,
        "elapsed_s": round(entry.elapsed_s, 1) if entry.is_over else entry.elapsed_s,
        "ticking": not entry.is_over,
        "progress": 1.0 if row.status == Status.SAVED else entry.tracked.progress,
        "eta": entry.eta_text,
        "facts": [safe_line(text, 120) for text in facts if text],
        "reason": safe_line(plain_text(_reason(entry)), 200) if entry.is_over else "",
        "can_cancel": entry.can_cancel and not entry.is_over,
        "lines": [safe_line(line, 600) for line in _ending_lines(entry)],
    }


def _reason(entry: JobEntry) -> str:
    """Return why a job of a grid has no picture, on one line."""
    if entry.row.status == Status.IN_DOUBT:
        return f"{entry.style.meaning}: `%wan show {entry.row.id}`"
    return entry.error.message if entry.error else entry.headline


def _ending_lines(entry: JobEntry) -> list[str]:
    """Return what happened, what it cost and what to do next, for a job that ended without pictures."""
    row = entry.row
    if not entry.is_over or row.status == Status.SAVED:
        return []
    happened = entry.error.message if entry.error else explanation(row)
    lines = [happened, f"Cost: {cost_sentence(row, entry.cost_text)}"]
    if row.status == Status.IN_DOUBT:
        return lines + [f"`{command}` · {meaning}" for command, meaning in ways_out(row)]
    return [*lines, *([f"Next: {entry.error.hint}"] if entry.error and entry.error.hint else [])]


def _safe(value: Any) -> Any:
    """Return plain data with every text in it safe to show and to encode."""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, dict):
        return {key: _safe(inner) for key, inner in value.items()}
    return [_safe(inner) for inner in value] if isinstance(value, list) else value


def _thumbs_of(card: Card) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return captions and small copies of the first pictures, for a page that was reloaded while the job ran."""
    shown = card.pictures[:_THUMBS_MAX]
    copies = Thumbnails(card.storage).get_all(
        [picture.record for picture in shown], max_px=_THUMB_PX, max_bytes=_THUMB_MAX_BYTES
    )
    captions, kept = [], []
    for picture, copy in zip(shown, copies, strict=True):
        if copy is None:
            continue
        facts = [picture.seed_text, picture.group_text, picture.size_text, picture.cost_text, picture.time_text]
        caption = {"alt": picture.alt, "code": picture.expression, "facts": [text for text in facts if text]}
        captions.append(_safe({**caption, "mime": "image/webp"}))
        kept.append(copy)
    return captions, kept


def is_same_but_time(old: Mapping[str, Any], new: Mapping[str, Any], passed_s: float) -> bool:
    """Say whether ``new`` shows nothing that the page does not show already, ``passed_s`` after ``old``."""
    without = {"jobs": None, "sent_at": None}
    if {**old, **without} != {**new, **without} or len(old["jobs"]) != len(new["jobs"]):
        return False
    for before, after in zip(old["jobs"], new["jobs"], strict=True):
        if {**before, "elapsed_s": None} != {**after, "elapsed_s": None}:
            return False
        counted = before["elapsed_s"] + (passed_s if before["ticking"] else 0.0)
        if abs(counted - after["elapsed_s"]) > _CLOCK_DRIFT_S:
            return False
    return True


class LiveCard(anywidget.AnyWidget):
    """A card whose traits hold plain JSON: ``view``, and ``thumbs`` once there are pictures."""

    _esm = static_module("card.js")
    _css = Path(__file__).parent / "static" / "card.css"
    view = traitlets.Dict().tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)

    def __init__(self, job: "Job", session: "Session") -> None:
        self._lock = threading.Lock()
        self._job, self._session = job, session
        card = Card(job, session)
        self._line = card_line(card)
        super().__init__(view={**live_state(card), "sent_at": session.wall_clock()})
        self.on_msg(self._receive)
        if card.pictures:
            self.refresh()

    def __repr__(self) -> str:
        # A widget's own repr lists its traits, pictures included, in every text/plain.
        return self._line

    def refresh(self) -> None:
        """Send the newest state, unless the page shows it already. Callers keep to ten calls a second."""
        with self._lock:
            card = Card(self._job, self._session)
            view = {**live_state(card), "sent_at": self._session.wall_clock()}
            thumbs: list[bytes] | None = None
            if view["done"] and view["pictures"]:
                if self.view.get("pictures") == view["pictures"] and self.thumbs:
                    view["thumbs"] = self.view["thumbs"]
                else:
                    view["thumbs"], thumbs = _thumbs_of(card)
            passed_s = view["sent_at"] - self.view["sent_at"]
            is_due = passed_s >= WORD_EVERY_S and not view["done"]
            if not is_due and is_same_but_time(self.view, view, passed_s):
                return
            self._line = card_line(card)
            with self.hold_sync():  # pictures and their captions arrive together
                if thumbs is not None:
                    self.thumbs = thumbs
                self.view = view

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            # The page's clock may be wrong; a reloaded page counts on from this answer.
            self.send({"kind": "clock", "now": self._session.wall_clock()})
        elif kind == "cancel":
            wanted = [tracked for tracked in self._job.tracked if tracked.id in content.get("jobs", ())]
            if wanted:
                self._session.background.call_back(self._job.project.worker.cancel, wanted)


class LiveDisplay:
    """One card in one cell: a widget while the job runs, then the static output in its place."""

    def __init__(self, job: "Job", session: "Session") -> None:
        self._job, self._session = job, session
        self._changed = asyncio.Event()
        self._handle: Any = None
        self._card: LiveCard | None = None

    def start(self) -> None:
        """Display the card from the cell's own thread, then follow the job on the background loop."""
        from IPython.display import display

        self._card = LiveCard(self._job, self._session)
        self._handle = display(self._card, display_id=True)
        self._session.background.submit(self._follow(self._card))

    def _on_change(self, _tracked: "TrackedJob") -> None:
        self._changed.set()

    async def _follow(self, card: LiveCard) -> None:
        """Bring changes to the card, coalesced; replace it once everything is settled."""
        background = self._session.background
        unsubscribe = [tracked.listen(self._on_change) for tracked in self._job.tracked]
        try:
            while not self._job.is_done:
                await self._next_change()
                if not self._job.is_done:
                    await background.in_thread(card.refresh)
                    await asyncio.sleep(UPDATE_EVERY_S)
            data, metadata = await background.in_thread(job_bundle, self._job, self._session)
            # After a page reload the update of the output does not arrive: the widget shows the pictures itself.
            await background.in_thread(card.refresh)
            self._handle.update(data, metadata=metadata, raw=True)
        except Exception:  # the thread's boundary: a display that failed must not look like a job that runs for ever
            log.exception("the card of job %s", self._job.id)
        finally:
            for stop in unsubscribe:
                stop()

    async def _next_change(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_EVERY_S):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()


__all__ = ["LiveCard", "LiveDisplay", "is_same_but_time", "live_state", "static_module"]
