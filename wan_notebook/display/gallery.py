"""Static outputs of jobs, pictures and comparisons: MIME bundles that need neither JavaScript nor styles.

Any number of pictures stays within the bytes of one output: quality gives way first, then size, then number. Small
copies are made once and kept in the folder's cache, since decoding a 2048² PNG takes 100 ms, which a replayed cell
does not have.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from ..database import JobRow, PictureRow
from ..errors import StoreError
from ..figure import CompareItem, Comparison
from ..files import atomic_write
from ..images import BadImageError, contact_sheet, data_url, thumbnail
from ..jobs import Job, Picture
from ..session import Session
from ..storage import Storage
from ..text import pluralize
from .card import Card, card_text
from .formatting import join_facts, safe_line
from .html import render
from .table import Bundle

MAX_SHOWN: Final = 64
"""More pictures than this are counted, not shown: at the bytes that are left their copies would say nothing."""
OUTPUT_MAX_BYTES: Final = 400_000
_SHEET_MAX_BYTES: Final = 40_000
_TEXT_BYTES: Final = 40_000  # head, prompt, parameters and metadata


class Layout(NamedTuple):
    """How figures stand together: CSS width, the box of each picture in px, cells a row where styles are removed."""

    width: str
    max_width_px: int
    max_height_px: int
    per_row: int = 1


# Of two columns one is left where both would be cramped: the middle term is huge below 560 px and negative above.
_ALONE: Final = Layout("width:100%", 854, 480)
_PAIRS: Final = Layout("width:clamp(50% - 16px,(560px - 100%)*999,100% - 14px);max-width:640px", 640, 480)
_THREE: Final = Layout(
    "width:max(clamp(33.3% - 16px,(720px - 100%)*999,50% - 16px),min((560px - 100%)*999,100% - 14px));max-width:640px",
    640,
    480,
)
_GRID: Final = Layout("width:clamp(148px,25% - 16px,256px)", 256, 256, per_row=3)
_ARTICLE: Final = Layout("width:100%;max-width:640px", 640, 480)


def shown_size(width_px: int | None, height_px: int | None, max_width_px: int, max_height_px: int) -> tuple[int, int]:
    """Return the size in CSS px at which a picture is shown within a box; it is never enlarged."""
    width, height = width_px or 256, height_px or 256
    scale = min(1.0, max_width_px / width, max_height_px / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def layout_of(count: int, *, is_alone: bool = False) -> tuple[Layout, dict[str, Any]]:
    """Return the layout of so many pictures, and the longest side in px and most bytes of each one's copy."""
    side_px, enough_bytes = (1024, 180_000) if count <= 1 else (640, 54_000) if count <= 4 else (256, 12_000)
    share = (OUTPUT_MAX_BYTES - _SHEET_MAX_BYTES * 4 // 3 - _TEXT_BYTES) // max(1, min(count, MAX_SHOWN))
    layout = _ALONE if is_alone and count <= 1 else _THREE if count == 3 else _PAIRS if count <= 4 else _GRID
    return layout, {"max_px": side_px, "max_bytes": min(enough_bytes, (share - 1_500) * 3 // 4)}


def job_bundle(job: Job, session: Session, *, full_paths: bool = False) -> Bundle:
    """Return the static output of a job: HTML, plain text and, with pictures, one JPEG contact sheet.

    The whole stays within 400 KB for any number of pictures and any length of text. ``metadata["wan"]`` names jobs,
    request hashes and picture hashes, for verification.
    """
    return _card_bundle(Card(job, session, full_paths=full_paths))


def picture_bundle(picture: Picture, session: Session) -> Bundle:
    """Return the static output of one picture, with what is known of its job."""
    return _card_bundle(Card(picture.job, session, only=picture.row))


def versions_bundle(job: Job, session: Session) -> Bundle:
    """Return every stored result of a job's request, newest first."""
    row, worker = job.rows[0], job.worker
    rows = worker.database.results(row.request_hash, with_seed=row.request_hash == row.request_hash_with_seed)
    versions = Job([worker.track(one) for one in reversed(rows or [row])], worker, request=job.request)
    return _card_bundle(
        Card(versions, session, title=f"{pluralize(len(rows), 'version')} of one request, newest first")
    )


def pages_bundles(job: Job, session: Session) -> list[Bundle]:
    """Return as many outputs as all pictures of a job need, each within the bytes of one."""
    most, count = max(len(tracked.row.pictures) or 1 for tracked in job.tracked), len(job.tracked)
    step = max(1, MAX_SHOWN // 2 // most)
    titles = {at: f"from {at + 1} of {count}" if count > step else "" for at in range(0, count, step)}
    return [_card_bundle(Card(job, session, part=slice(at, at + step), title=title)) for at, title in titles.items()]


def _card_bundle(card: Card) -> Bundle:
    pictures, entries = card.pictures, card.entries[:MAX_SHOWN]
    shown = pictures[:MAX_SHOWN]
    layout, limits = layout_of(max(len(pictures), len(entries)), is_alone=len(card.entries) == 1)
    copies = [small_copy(card.storage, picture.record, **limits) for picture in shown]
    for picture, copy in zip(shown, copies, strict=True):
        picture.url = data_url(copy, "image/webp") if copy else ""
    named = [(entry.row, [picture.record for picture in entry.pictures]) for entry in entries]
    data, metadata = {"text/plain": card_text(card)}, jobs_metadata(named, len(card.entries))
    data |= sheet_data(card.storage, [picture.record for picture in shown], copies)
    left_bytes = OUTPUT_MAX_BYTES - json_bytes([data, metadata])
    for text_scale in (1.0, 0.4, 0.15, 0.05, 0.01):  # long texts are cut as far as the bytes demand
        data["text/html"] = render(
            "card",
            card=card,
            entries=entries,
            shown=shown,
            left_off=max(len(pictures) - len(shown), len(card.entries) - len(entries)),
            shown_size=shown_size,
            layout=layout,
            article_layout=_ARTICLE,
            has_links=len(shown) <= 16,
            prompt_chars=max(60, int(2_500 * text_scale)),
            article_chars=int(40_000 * text_scale) // len(entries),
        )
        if json_bytes(data["text/html"]) <= left_bytes:
            break
    return data, metadata


def jobs_metadata(jobs: Sequence[tuple[JobRow, Sequence[PictureRow]]], count: int) -> dict[str, Any]:
    """Return the metadata that names jobs and pictures to programs; of ``count`` jobs those left off are counted."""
    named = [
        {
            "id": safe_line(row.id, 80),
            "state": row.status.value,
            "fingerprint_asked": safe_line(row.request_hash, 120),
            "fingerprint_sent": safe_line(row.request_hash_with_seed, 120),
            "sha256": [safe_line(record.sha256, 80) for record in records[:MAX_SHOWN]],
        }
        for row, records in jobs
    ]
    left_off = {"jobs_left_off": count - len(named)} if count > len(named) else {}
    return {"wan": {"schema": 1, "jobs": named, **left_off}}


def sheet_data(storage: Storage, records: Sequence[PictureRow], copies: Sequence[bytes | None]) -> dict[str, str]:
    """Return one JPEG of all pictures, for readers that take no HTML; nothing if there are none."""
    if not (sources := [copy for copy in copies if copy is not None]):
        return {}
    make = partial(contact_sheet, sources, max_bytes=_SHEET_MAX_BYTES, max_px=512)
    return {"image/jpeg": base64.b64encode(_kept(storage, "-sheet.jpg", records, make)).decode("ascii")}


def json_bytes(value: Any) -> int:
    """Return how many bytes a value takes in a notebook's file."""
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def compare_bundle(comparison: Comparison) -> Bundle:
    """Return pictures side by side or in a table, within the bytes of one output; what is left off is counted."""
    items, axes = comparison.items, comparison.axes
    layout, limits = layout_of(min(len(items), MAX_SHOWN))
    cells: list[list[Sequence[int]]] = [[range(len(items))[:MAX_SHOWN]]]
    if axes is not None:
        layout, cells = _table_plan(comparison)
        share = (OUTPUT_MAX_BYTES - 1.5 * _TEXT_BYTES) // sum(len(cell) for line in cells for cell in line)
        side_px = 480 if layout.max_width_px > 200 else 256
        limits = {"max_px": side_px, "max_bytes": int(min(40_000, share * 0.75 - 600))}
    numbers = [at for line in cells for cell in line for at in cell]
    shown, count = [items[at] for at in numbers], sum(not item.missing for item in items)
    urls = {at: _url_of(items[at], limits) for at in numbers}
    missing = [pluralize(count, "picture"), f"{len(items) - count} missing" if count < len(items) else ""]
    data = {"text/plain": _compare_text(comparison, missing)}
    for text_chars in (1.0, 0.4, 0.1):
        data["text/html"] = render(
            "compare",
            comparison=comparison,
            urls=urls,
            cells=cells,
            shown_size=shown_size,
            layout=layout,
            head_facts=missing,
            label_chars=int(160 * text_chars),
            fact_chars=int(300 * text_chars),
            left_off=count - sum(not item.missing for item in shown),
        )
        if json_bytes(data) <= OUTPUT_MAX_BYTES - 10_000:
            break
    jobs = list(dict.fromkeys(item.picture.tracked.id for item in shown if item.picture))
    hashes = [item.picture.row.sha256 for item in shown if item.picture]
    return data, {"wan": {"schema": 1, "view": "compare", "ids": jobs, "sha256": hashes}}


def _table_plan(comparison: Comparison) -> tuple[Layout, list[list[Sequence[int]]]]:
    """Return how pictures stand in the cells of a table, and those cells that are shown."""
    columns, per_line = min(len(comparison.cells[0]), 16), comparison.per_line
    per_cell = min(max(len(cell) for line in comparison.cells for cell in line), 2 * MAX_SHOWN // columns)
    rows = max(1, 2 * MAX_SHOWN // (columns * per_cell))
    width_px = max(64, min(320, 880 // (columns * per_line) - 14))
    layout = Layout(f"width:calc({100 / per_line:.3f}% - 15px)", width_px, width_px * 3 // 2, per_line)
    return layout, [[cell[:per_cell] for cell in line[:columns]] for line in comparison.cells[:rows]]


def _url_of(item: CompareItem, limits: Mapping[str, Any]) -> str:
    """Return a small copy of a picture as a data URL; empty if there is none."""
    with suppress(BadImageError, StoreError):
        if item.picture is not None:
            copy = small_copy(item.picture.job.worker.storage, item.picture.row, **limits)
        else:
            copy = thumbnail(item.data, **limits)[0] if item.data else None
        return data_url(copy, "image/webp") if copy else ""
    return ""


def _compare_text(comparison: Comparison, head: Sequence[str]) -> str:
    """Return one line a picture, in a table with its place."""
    items, lines = comparison.items, [join_facts([comparison.title, *(head if comparison.axes else ())])]
    lines += [f"in common: {name} {value}" for name, value in comparison.common]
    for item in items[:100]:
        lines.append(join_facts([*item.place, item.label, *map(" ".join, item.facts), item.missing]))
    return "\n  ".join(safe_line(line, 300) for line in lines)


def small_copy(storage: Storage, record: PictureRow, *, max_px: int, max_bytes: int) -> bytes | None:
    """Return a picture's copy as WebP; None for a video, a file that is gone, or bytes that are no picture."""
    if record.kind != "image" or not record.saved_at or not record.file:
        return None

    def make() -> bytes:
        return thumbnail(storage.read(record.file), max_px=max_px, max_bytes=max_bytes)[0]

    with suppress(StoreError, BadImageError):
        return _kept(storage, f"-{max_px}-{max_bytes}.webp", [record], make)
    return None


def _kept(storage: Storage, suffix: str, records: Sequence[PictureRow], make: Callable[[], bytes]) -> bytes:
    """Return a copy from the folder's cache, else make it; a cache that cannot be written fails nothing."""
    # The hash that a foreign ledger gives a picture may be any text.
    name = hashlib.sha256("\n".join(record.sha256 for record in records).encode()).hexdigest()[:24]
    relative = f".cache/{name}{suffix}"
    with suppress(StoreError):
        return storage.read(relative)
    data = make()
    with suppress(OSError, StoreError):
        path = storage.path(relative)
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, data)
    return data
