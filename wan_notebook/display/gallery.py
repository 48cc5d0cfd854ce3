"""Static outputs of jobs, pictures and comparisons: MIME bundles that need neither JavaScript nor styles.

Any number of pictures stays within the bytes of one output: quality gives way first, then size, then number. Small
copies are made once and kept in the folder's cache, since decoding a 2048² PNG takes 100 ms, which a replayed cell
does not have.
"""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import StoreError
from ..files import atomic_write
from ..images import BadImageError, contact_sheet, data_url, thumbnail
from .card import Card, JobEntry, card_text, versions_card
from .formatting import join_facts, safe_line, safe_text
from .html import render
from .table import Bundle

if TYPE_CHECKING:
    from ..database import PictureRow
    from ..jobs import Job, Picture
    from ..session import Session
    from ..storage import Storage

SCHEMA: Final = 1
MAX_SHOWN: Final = 64
"""More pictures than this are counted, not shown: at the bytes that are left their copies would say nothing."""
HTML_MAX_BYTES: Final = 400_000
FEW: Final = 16
"""Up to here captions are full and the contact sheet is large."""
PROMPT_MAX_CHARS: Final = 2_500
ARTICLE_MAX_CHARS: Final = 40_000
_METADATA_MAX_BYTES: Final = 40_000
_TEXT_SCALES: Final = (1.0, 0.4, 0.15, 0.05, 0.01)
_SHEET_MAX_BYTES: Final = 60_000
_SHEET_PX: Final = 512
_TEXT_BYTES: Final = 24_000  # head, prompt and parameters
_CAPTION_BYTES: Final = 1_500  # a figure's HTML, its line of text and its metadata
_ENOUGH_BYTES: Final = {1024: 180_000, 640: 54_000, 256: 12_000}
_DECODERS: Final = 2  # the decoder releases the GIL; more threads gained nothing


class Layout(NamedTuple):
    """How figures stand together: CSS width, the box of each picture in px, cells a row where styles are removed."""

    width: str
    max_width_px: int
    max_height_px: int
    per_row: int = 1
    gap_px: int = 14
    is_lean: bool = False
    """Many pictures: captions do without what another one has said already."""


# Of two columns one is left where both would be cramped: the middle term is huge below 560 px and negative above.
_ALONE: Final = Layout("width:100%", 854, 480, gap_px=0)
_PAIRS: Final = Layout("width:clamp(50% - 16px,(560px - 100%)*999,100% - 14px);max-width:640px", 640, 480)
_GRID: Final = Layout("width:clamp(148px,25% - 16px,256px)", 256, 256, per_row=3)
_ARTICLE: Final = Layout("width:100%;max-width:640px", 640, 480, gap_px=0)


def layout_for(count: int) -> Layout:
    """Return the layout of ``count`` pictures together."""
    if count <= 1:
        return _ALONE
    return _PAIRS if count <= 4 else _GRID._replace(is_lean=count > FEW)


def shown_size(width_px: int | None, height_px: int | None, max_width_px: int, max_height_px: int) -> tuple[int, int]:
    """Return the size in CSS px at which a picture is shown within a box; it is never enlarged."""
    width, height = width_px or 256, height_px or 256
    scale = min(1.0, max_width_px / width, max_height_px / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def job_bundle(job: "Job", session: "Session", *, full_paths: bool = False) -> Bundle:
    """Return the static output of a job: HTML, plain text and, with pictures, one JPEG contact sheet.

    The whole stays within 400 KB for any number of pictures and any length of text. ``metadata["wan"]`` names jobs,
    request hashes and picture hashes, for verification.
    """
    return _card_bundle(Card(job, session, full_paths=full_paths))


def picture_bundle(picture: "Picture", session: "Session") -> Bundle:
    """Return the static output of one picture, with what is known of its job."""
    return _card_bundle(Card(picture.job, session, only=picture.row))


def versions_bundle(job: "Job", session: "Session") -> Bundle:
    """Return every stored result of a job's request, newest first."""
    return _card_bundle(versions_card(job, session))


def pages_bundles(job: "Job", session: "Session") -> list[Bundle]:
    """Return as many outputs as all pictures of a job need, each within the bytes of one."""
    pages: list[list[JobEntry]] = [[]]
    weight = 0
    for entry in Card(job, session).entries:
        own = max(1, len(entry.row.pictures))
        if pages[-1] and weight + own > MAX_SHOWN // 2:
            pages.append([])
            weight = 0
        pages[-1].append(entry)
        weight += own
    bundles = []
    for number, entries in enumerate(pages, 1):
        card = Card(job, session, title=f"part {number} of {len(pages)}" if len(pages) > 1 else "")
        card.entries = entries
        bundles.append(_card_bundle(card))
    return bundles


def _card_bundle(card: Card) -> Bundle:
    shown = card.pictures[:MAX_SHOWN]
    thumbnails = Thumbnails(card.storage)
    side_px, max_bytes = _copy_plan(len(card.pictures))
    copies = thumbnails.get_all([picture.record for picture in shown], max_px=side_px, max_bytes=max_bytes)
    urls = {at: data_url(copy, "image/webp") for at, copy in zip(shown, copies, strict=True) if copy is not None}
    sheet = thumbnails.sheet([picture.record for picture in card.pictures]) if urls else None
    metadata = _card_metadata(card)
    left = HTML_MAX_BYTES - _json_bytes(metadata) - (_sheet_max_bytes(len(shown)) * 4 // 3 if sheet else 0)
    page = ""
    for text_scale in _TEXT_SCALES:  # long texts are cut as far as the bytes demand
        page = _card_html(card, urls, text_scale)
        if _json_bytes(page) <= left:
            break
    data = {"text/plain": card_text(card), "text/html": page}
    if sheet:
        data["image/jpeg"] = base64.b64encode(sheet).decode("ascii")
    return data, {"wan": metadata}


def _card_html(card: Card, urls: dict[Any, str], text_scale: float) -> str:
    entries, count = card.entries, len(card.pictures)
    return render(
        "card",
        card=card,
        entries=entries[:MAX_SHOWN],
        urls=urls,
        shown_size=shown_size,
        layout=layout_for(count if len(entries) == 1 else max(2, min(count or len(entries), MAX_SHOWN))),
        article_layout=_ARTICLE,
        prompt_chars=max(60, int(PROMPT_MAX_CHARS * text_scale)),
        article_chars=int(ARTICLE_MAX_CHARS * text_scale) // max(1, len(entries)),
        max_shown=MAX_SHOWN,
    )


def _card_metadata(card: Card) -> dict[str, Any]:
    """Return what names this output's jobs and pictures to a program; jobs beyond its bytes are counted."""
    jobs: list[dict[str, Any]] = []
    size = 0
    for entry in card.entries:
        jobs.append(
            {
                "id": safe_line(entry.row.id, 80),
                "state": safe_line(entry.row.status, 80),
                "fingerprint_asked": safe_line(entry.row.request_hash, 120),
                "fingerprint_sent": safe_line(entry.row.request_hash_with_seed, 120),
                "sha256": [p.record.sha256 for p in entry.pictures if card.only is None or p.record is card.only],
            }
        )
        size += _json_bytes(jobs[-1])
        if size > _METADATA_MAX_BYTES:
            jobs.pop()
            break
    left_off = len(card.entries) - len(jobs)
    return {"schema": SCHEMA, "jobs": jobs, **({"jobs_left_off": left_off} if left_off else {})}


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


# Comparisons ---------------------------------------------------------------------------------------------------------


class CompareItem(NamedTuple):
    """One picture of a comparison: its bytes, ``label`` above it, and below it the facts in which it differs."""

    label: str
    data: bytes
    mime: str = "image/png"
    width_px: int = 0
    height_px: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    job_id: str = ""
    sha256: str = ""


def compare_bundle(
    items: Sequence[CompareItem], *, common: Sequence[tuple[str, str]] = (), columns: int | None = None
) -> Bundle:
    """Return pictures side by side.

    Parameters
    ----------
    items
        The pictures, at most 64 are shown.
    common
        Facts that all pictures share, as pairs of name and value: said once.
    columns
        Pictures a row; as many as there is room for if None.
    """
    shown = items[:MAX_SHOWN]
    html = render(
        "compare",
        items=shown,
        urls=[_copy_url(item.data, *_copy_plan(len(shown))) for item in shown],
        shown_size=shown_size,
        columns=columns,
        common=common,
        layout=layout_for(max(2, len(shown))),
        left_off=len(items) - len(shown),
    )
    lines = ["Compare", *(f"all: {name} {safe_line(value, 200)}" for name, value in common)]
    lines += [join_facts([item.label, *(f"{name} {value}" for name, value in item.facts)]) for item in items[:100]]
    jobs = list(dict.fromkeys(item.job_id for item in items if item.job_id))[:MAX_SHOWN]
    hashes = [item.sha256 for item in items if item.sha256][: 4 * MAX_SHOWN]
    metadata = {"schema": SCHEMA, "view": "compare", "ids": jobs, "sha256": hashes}
    text = safe_text("\n  ".join(safe_line(line, 300) for line in lines))
    return {"text/html": html, "text/plain": text}, {"wan": metadata}


def _copy_url(data: bytes, max_px: int, max_bytes: int) -> str:
    try:
        return data_url(thumbnail(data, max_px=max_px, max_bytes=max_bytes)[0], "image/webp")
    except BadImageError:
        return ""


# Small copies --------------------------------------------------------------------------------------------------------


def _copy_plan(count: int) -> tuple[int, int]:
    """Return the longest side in px and the most bytes of each copy in an output of ``count`` pictures."""
    side_px = 1024 if count <= 1 else 640 if count <= 4 else 256
    shown = max(1, min(count, MAX_SHOWN))
    share = (HTML_MAX_BYTES - _sheet_max_bytes(count) * 4 // 3 - _TEXT_BYTES) // shown - _CAPTION_BYTES
    return side_px, min(_ENOUGH_BYTES[side_px], share * 3 // 4)


def _sheet_max_bytes(count: int) -> int:
    return _SHEET_MAX_BYTES if count <= FEW else _SHEET_MAX_BYTES * 2 // 3


class Thumbnails:
    """The small copies of one folder's pictures; a cache that cannot be written fails nothing."""

    def __init__(self, storage: "Storage") -> None:
        self._storage = storage
        self._folder = storage.folder / ".cache"

    def get(self, record: "PictureRow", *, max_px: int, max_bytes: int) -> bytes | None:
        """Return a picture's copy as WebP; None for a video, a file that is gone, or bytes that are no picture."""
        if record.kind != "image" or not record.saved_at or not record.file:
            return None
        name = hashlib.sha256(record.sha256.encode()).hexdigest()[:24]  # that of a foreign ledger may be any text
        path = self._folder / f"{name}-{max_px}-{max_bytes}.webp"
        with suppress(OSError):
            return path.read_bytes()
        try:
            data, _, _ = thumbnail(self._storage.read(record.file), max_px=max_px, max_bytes=max_bytes)
        except (StoreError, BadImageError):
            return None
        return self._kept(path, data)

    def get_all(self, records: Sequence["PictureRow"], *, max_px: int, max_bytes: int) -> list[bytes | None]:
        """Return the copies of several pictures; what must be decoded is decoded on two threads."""
        with ThreadPoolExecutor(_DECODERS) as pool:
            return list(pool.map(lambda record: self.get(record, max_px=max_px, max_bytes=max_bytes), records))

    def sheet(self, records: Sequence["PictureRow"]) -> bytes | None:
        """Return one JPEG of all pictures, for readers that take no HTML; None if there is nothing to show."""
        shown = [record for record in records[:MAX_SHOWN] if record.kind == "image" and record.saved_at]
        name = hashlib.sha256("\n".join(record.sha256 for record in shown).encode()).hexdigest()[:24]
        path = self._folder / f"sheet-{name}.jpg"
        with suppress(OSError):
            return path.read_bytes()
        cell_px = _SHEET_PX // max(1, math.ceil(math.sqrt(len(shown))))
        side_px, max_bytes = _copy_plan(len(records))
        copies = self.get_all(shown, max_px=max(side_px, cell_px), max_bytes=max_bytes)
        sources = [copy for copy in copies if copy is not None]
        if not sources:
            return None
        return self._kept(path, contact_sheet(sources, max_bytes=_sheet_max_bytes(len(records)), max_px=_SHEET_PX))

    def _kept(self, path: Path, data: bytes) -> bytes:
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, data)
        return data
