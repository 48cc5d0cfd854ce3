"""Static outputs of jobs, pictures and comparisons: MIME bundles that need neither JavaScript nor styles."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..images import BadImageError, data_url, thumbnail
from .card import Card, JobEntry, PictureItem, versions_card
from .formatting import safe_line, safe_text
from .html import render
from .status_style import explanation, style_of, ways_out
from .text import card_text
from .thumbnails import FEW, HTML_MAX_BYTES, MAX_SHOWN, Thumbnails, copy_plan, sheet_max_bytes, shown_size

if TYPE_CHECKING:
    from ..jobs import Job, Picture
    from ..session import Session

Bundle = tuple[dict[str, str], dict[str, Any]]

SCHEMA: Final = 1
PROMPT_MAX_CHARS: Final = 2_500
ARTICLE_MAX_CHARS: Final = 40_000
_METADATA_MAX_BYTES: Final = 40_000
_TEXT_SCALES: Final = (1.0, 0.4, 0.15, 0.05, 0.01)


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


def layout_for(count: int) -> Layout:
    """Return the layout of ``count`` pictures together."""
    if count <= 1:
        return _ALONE
    return _PAIRS if count <= 4 else _GRID._replace(is_lean=count > FEW)


def job_bundle(job: "Job", session: "Session") -> Bundle:
    """Return the static output of a job: HTML, plain text and, with pictures, one JPEG contact sheet.

    The whole stays within 400 KB for any number of pictures and any length of text. ``metadata["wan"]`` names jobs,
    request hashes and picture hashes, for verification.
    """
    return card_bundle(Card(job, session))


def picture_bundle(picture: "Picture", session: "Session") -> Bundle:
    """Return the static output of one picture, with what is known of its job."""
    return card_bundle(Card(picture.job, session, only=picture.row))


def versions_bundle(job: "Job", session: "Session") -> Bundle:
    """Return every stored result of a job's request, newest first."""
    return card_bundle(versions_card(job, session))


def pages_bundles(job: "Job", session: "Session") -> list[Bundle]:
    """Return as many outputs as all pictures of a job need, each within the bytes of one."""
    pages: list[list[int]] = [[]]
    weight = 0
    for position, tracked in enumerate(job.tracked):
        count = max(1, len(tracked.row.pictures))
        if pages[-1] and weight + count > MAX_SHOWN // 2:
            pages.append([])
            weight = 0
        pages[-1].append(position)
        weight += count
    if len(pages) == 1:
        return [job_bundle(job, session)]
    bundles = []
    for number, positions in enumerate(pages, 1):
        card = Card(job, session, title=f"part {number} of {len(pages)}")
        card.entries = [card.entries[position] for position in positions]
        bundles.append(card_bundle(card))
    return bundles


def card_bundle(card: Card) -> Bundle:
    """Return the static output of a card."""
    shown = card.pictures[:MAX_SHOWN]
    thumbnails = Thumbnails(card.storage)
    side_px, max_bytes = copy_plan(len(card.pictures))
    copies = thumbnails.get_all([picture.record for picture in shown], max_px=side_px, max_bytes=max_bytes)
    urls = {
        id(picture.record): data_url(copy, "image/webp")
        for picture, copy in zip(shown, copies, strict=True)
        if copy is not None
    }
    sheet = thumbnails.sheet([picture.record for picture in card.pictures]) if urls else None
    metadata = card_metadata(card)
    left = HTML_MAX_BYTES - _json_bytes(metadata) - (sheet_max_bytes(len(shown)) * 4 // 3 if sheet else 0)
    data = {"text/plain": card_text(card), "text/html": _fitting(card, urls, left)}
    if sheet:
        data["image/jpeg"] = base64.b64encode(sheet).decode("ascii")
    return data, {"wan": metadata}


def _fitting(card: Card, urls: dict[int, str], max_bytes: int) -> str:
    """Return the card's HTML, with long texts cut as far as its bytes demand."""
    page = ""
    for scale in _TEXT_SCALES:
        page = _card_html(card, urls, scale)
        if _json_bytes(page) <= max_bytes:
            break
    return page


def _card_html(card: Card, urls: dict[int, str], text_scale: float) -> str:
    entries = card.entries
    is_grid = len(entries) > 1
    count = len(card.pictures) if not is_grid else max(2, min(len(card.pictures) or len(entries), MAX_SHOWN))
    return render(
        "card",
        card=card,
        entries=entries[:MAX_SHOWN],
        tone=style_of(card.status).tone,
        figures=_figures(urls),
        layout=layout_for(count),
        article_layout=Layout("width:100%;max-width:640px", 640, 480, gap_px=0),
        sections=any(len(entry.items) > 1 for entry in entries),
        prompt_chars=max(60, int(PROMPT_MAX_CHARS * text_scale)),
        article_chars=int(ARTICLE_MAX_CHARS * text_scale) // max(1, len(entries)),
        max_shown=MAX_SHOWN,
        explanation=explanation,
        ways_out=ways_out,
        chunks=chunks,
    )


def _figures(urls: dict[int, str]) -> Callable[[PictureItem, Layout], dict[str, Any]]:
    def figure(picture: PictureItem, layout: Layout) -> dict[str, Any]:
        """Return the picture's copy and its size in CSS px: its own size, not its copy's, so that all look alike."""
        record = picture.record
        width_px, height_px = shown_size(
            record.width_px or 256,
            record.height_px or 256,
            max_width_px=layout.max_width_px,
            max_height_px=layout.max_height_px,
        )
        return {"url": urls.get(id(record), ""), "width_px": width_px, "height_px": height_px}

    return figure


def chunks(cells: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Return a sequence in pieces of ``size``: the rows of a table whose styles may be removed."""
    return [cells[start : start + size] for start in range(0, len(cells), size)]


def card_metadata(card: Card) -> dict[str, Any]:
    """Return what names this output's jobs and pictures to a program; jobs beyond its bytes are counted."""
    entries: list[dict[str, Any]] = []
    size = 0
    for entry in card.entries:
        named = _entry_metadata(entry, card)
        size += _json_bytes(named)
        if size > _METADATA_MAX_BYTES:
            break
        entries.append(named)
    left_off = len(card.entries) - len(entries)
    return {"schema": SCHEMA, "jobs": entries, **({"jobs_left_off": left_off} if left_off else {})}


def _entry_metadata(entry: JobEntry, card: Card) -> dict[str, Any]:
    return {
        "id": safe_line(entry.row.id, 80),
        "state": safe_line(entry.row.status, 80),
        "fingerprint_asked": safe_line(entry.row.request_hash, 120),
        "fingerprint_sent": safe_line(entry.row.request_hash_with_seed, 120),
        "sha256": [p.record.sha256 for p in entry.pictures if card.only is None or p.record is card.only],
    }


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
    prompt: str = ""
    job_id: str = ""
    sha256: str = ""


def compare_bundle(
    items: Sequence[CompareItem],
    *,
    common: Sequence[tuple[str, str]] = (),
    columns: int | None = None,
    title: str = "",
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
    title
        The heading; ``Compare`` if empty.
    """
    shown = items[:MAX_SHOWN]
    side_px, max_bytes = copy_plan(len(shown))
    urls = [_copy_url(item.data, side_px, max_bytes) for item in shown]
    layout = layout_for(max(2, len(shown)))
    sizes = [
        shown_size(
            item.width_px or 256,
            item.height_px or 256,
            max_width_px=layout.max_width_px,
            max_height_px=layout.max_height_px,
        )
        for item in shown
    ]
    html = render(
        "compare",
        title=title or "Compare",
        rows=chunks(list(zip(shown, urls, sizes, strict=True)), columns or layout.per_row),
        is_fixed=columns is not None,
        common=list(common),
        layout=layout,
        left_off=len(items) - len(shown),
        count=len(items),
    )
    lines = [title or "Compare", *(f"  all: {name} {safe_line(value, 200)}" for name, value in common)]
    for item in items[:100]:
        said = [f"{name} {value}" for name, value in item.facts]
        lines.append(f"  {safe_line(' · '.join([item.label, *said]), 300)}")
    jobs = list(dict.fromkeys(item.job_id for item in items if item.job_id))[:MAX_SHOWN]
    hashes = [item.sha256 for item in items if item.sha256][: 4 * MAX_SHOWN]
    metadata = {"schema": SCHEMA, "view": "compare", "ids": jobs, "sha256": hashes}
    return {"text/html": html, "text/plain": safe_text("\n".join(lines))}, {"wan": metadata}


def _copy_url(data: bytes, side_px: int, max_bytes: int) -> str:
    try:
        copy, _, _ = thumbnail(data, max_px=side_px, max_bytes=max_bytes)
    except BadImageError:
        return ""
    return data_url(copy, "image/webp")
