"""Static outputs of jobs, pictures and comparisons: MIME bundles that need neither JavaScript nor styles.

Any number of pictures stays within the bytes of one output: quality gives way first, then size, then number. Small
copies are made once and kept in the folder's cache, since decoding a 2048² PNG takes 100 ms, which a replayed cell
does not have.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from ..database import PictureRow
from ..errors import StoreError
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


def _plan(count: int, *, is_alone: bool = False) -> tuple[Layout, dict[str, Any]]:
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
    layout, limits = _plan(max(len(pictures), len(entries)), is_alone=len(card.entries) == 1)
    copies = [small_copy(card.storage, picture.record, **limits) for picture in shown]
    for picture, copy in zip(shown, copies, strict=True):
        picture.url = data_url(copy, "image/webp") if copy else ""
    jobs = [
        {
            "id": safe_line(entry.row.id, 80),
            "state": entry.row.status.value,
            "fingerprint_asked": safe_line(entry.row.request_hash, 120),
            "fingerprint_sent": safe_line(entry.row.request_hash_with_seed, 120),
            "sha256": [safe_line(picture.record.sha256, 80) for picture in entry.pictures[:MAX_SHOWN]],
        }
        for entry in entries
    ]
    left_off = {"jobs_left_off": len(card.entries) - len(jobs)} if len(card.entries) > len(jobs) else {}
    data, metadata = {"text/plain": card_text(card)}, {"wan": {"schema": 1, "jobs": jobs, **left_off}}
    if sources := [copy for copy in copies if copy is not None]:
        records = [picture.record for picture in shown]
        # One JPEG of all pictures, for readers that take no HTML.
        make = partial(contact_sheet, sources, max_bytes=_SHEET_MAX_BYTES, max_px=512)
        sheet = _kept(card.storage, "-sheet.jpg", records, make)
        data["image/jpeg"] = base64.b64encode(sheet).decode("ascii")
    left_bytes = OUTPUT_MAX_BYTES - _json_bytes([data, metadata])
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
        if _json_bytes(data["text/html"]) <= left_bytes:
            break
    return data, metadata


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


class CompareItem(NamedTuple):
    """One picture of a comparison: its bytes, ``label`` above it, and below it the facts in which it differs."""

    label: str
    data: bytes
    size_px: tuple[int, int] = (0, 0)
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
        Facts that the results share, as pairs of name and value: said once.
    columns
        Pictures a row; as many as there is room for if None.
    """
    shown, urls = items[:MAX_SHOWN], list[str]()
    layout, limits = _plan(len(shown))
    for item in shown:
        try:
            urls.append(data_url(thumbnail(item.data, **limits)[0], "image/webp"))
        except BadImageError:
            urls.append("")
    html = render(
        "compare",
        items=shown,
        urls=urls,
        shown_size=shown_size,
        columns=columns,
        common=common,
        layout=layout,
        left_off=len(items) - len(shown),
    )
    lines = ["Compare", *(f"in common: {name} {value}" for name, value in common)]
    lines += [join_facts([item.label, *(f"{name} {value}" for name, value in item.facts)]) for item in items[:100]]
    jobs = list(dict.fromkeys(item.job_id for item in shown if item.job_id))
    metadata = {"schema": 1, "view": "compare", "ids": jobs, "sha256": [item.sha256 for item in shown if item.sha256]}
    return {"text/html": html, "text/plain": "\n  ".join(safe_line(line, 300) for line in lines)}, {"wan": metadata}


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
