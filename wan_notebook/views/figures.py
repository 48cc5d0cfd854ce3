"""One picture with its caption, and how several of them stand together.

They are cells of a table whose styles let them flow and wrap like words; without any style it is a plain grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from wan_notebook.states import JobState
from wan_notebook.views import html as h
from wan_notebook.views.looks import headline, is_final, look
from wan_notebook.views.model import JobView, PictureView
from wan_notebook.views.thumbs import FEW, Thumb, shown_size

SMALL: Final = "font-size:92%;line-height:1.5"
_ALT_CHARACTERS: Final = 120
_NOTE_CHARACTERS: Final = 2000  # the signed address of a picture that could not be saved is long


@dataclass(frozen=True)
class Layout:
    """How wide a figure is (CSS), the box that its picture fits in (px), and cells a row where styles are removed."""

    width: str
    max_width: int
    max_height: int
    per_row: int = 1
    gap_px: int = 14
    is_lean: bool = False
    """Many pictures: each does without the words and links that another one has already."""


# One column where two would be cramped: the middle term is huge below 560 px and negative above.
_ALONE: Final = Layout("width:100%", 1024, 680, gap_px=0)
_PAIRS: Final = Layout("width:clamp(50% - 16px,(560px - 100%)*999,100% - 14px);max-width:640px", 640, 640)
_GRID: Final = Layout("width:clamp(148px,25% - 16px,256px)", 256, 256, per_row=3)


_MANY: Final = replace(_GRID, is_lean=True)


def layout_for(count: int) -> Layout:
    """Return the layout of ``count`` pictures together."""
    if count <= 1:
        return _ALONE
    if count <= 4:
        return _PAIRS
    return _GRID if count <= FEW else _MANY


def size_text(picture: PictureView) -> str:
    """Return ``1280×1280 px``."""
    known = picture.width_px and picture.height_px
    return f"{picture.width_px}×{picture.height_px} px" if known else ""


def seed_text(seed: int | None) -> str:
    """Return ``seed 5``; nothing for an unknown one."""
    return f"seed {seed}" if seed is not None else ""


def caption(picture: PictureView, job: JobView) -> str:
    """Return the lines under a picture: what to paste, its seed and file; its size, cost and time; remarks."""
    first = (
        h.code(h.one_line(picture.expr, 60)) if picture.expr else "",
        h.unbroken(seed_text(picture.seed)),
        h.unbroken(h.one_line(picture.seed_note, 60)),
        h.unbroken("rewrite on" if job.rewrite else ""),
        h.link(picture.file, h.unbroken("full file")) if picture.file and can_be_had(picture) else "",
    )
    texts = (size_text(picture), h.one_line(picture.cost_text, 80), h.one_line(picture.time_text, 40))
    marks = h.facts(("★ starred" if picture.starred else "", "rejected" if picture.rejected else ""))
    lines = [
        h.div(h.facts(first)),
        h.div(h.facts(h.unbroken(text) for text in texts), h.MUTED),
        h.div(marks),
        h.div(h.rich(h.one_line(picture.note, _NOTE_CHARACTERS)), h.MUTED) if picture.note else "",
    ]
    return h.div("".join(lines), SMALL, "padding:6px 0 0", "overflow-wrap:anywhere")


def alt_text(picture: PictureView, job: JobView, *, is_lean: bool = False) -> str:
    """Return what a person who does not see the picture is told."""
    name = picture.expr or f"{picture.job_id}[{picture.index}]"
    seed = f", seed {picture.seed}" if picture.seed is not None else ""
    prompt = "" if is_lean else h.one_line(job.prompt, _ALT_CHARACTERS)
    return f"{name}{seed}" + (f": {prompt}" if prompt else "")


def image(picture: PictureView, job: JobView, thumb: Thumb, layout: Layout) -> str:
    """Return the picture itself, linked to its file; its place is reserved before it is decoded."""
    # The picture's own size, not its copy's: where bytes are few a smaller copy is drawn as large as its neighbours.
    whole = (picture.width_px, picture.height_px) if picture.width_px and picture.height_px else ()
    width, height = shown_size(
        *(whole or (thumb.width_px, thumb.height_px)), max_width=layout.max_width, max_height=layout.max_height
    )
    alt = h.esc(alt_text(picture, job, is_lean=layout.is_lean))
    look = "max-width:100%;height:auto;border-radius:4px;vertical-align:top;display:inline-block;margin:0"
    tag = f'<img src="{thumb.url}" alt="{alt}" width="{width}" height="{height}" style="{look}">'
    return tag if layout.is_lean else h.link(picture.file, tag)


def can_be_had(picture: PictureView) -> bool:
    """Say whether there are bytes behind a picture's caption."""
    return picture.data is not None or bool(picture.previews) or picture.kind != "image"


def no_image(picture: PictureView, job: JobView) -> str:
    """Say why a picture is not shown, and where its file is or was."""
    where = h.bdi(h.one_line(picture.file or picture.full_path, 200))
    if picture.kind != "image":
        text = f"▶ {h.esc(picture.kind)}, kept as a file: {h.link(picture.file, where)}"
    elif not (picture.file or picture.full_path):
        text = "∅ No picture" if is_final(job.state) else "↓ Being fetched"
    elif not can_be_had(picture):
        text = f"∅ The file is missing: {where}"
    else:
        text = f"∅ This file cannot be shown as a picture: {h.link(picture.file, where)}"
    return h.div(text, SMALL, "border:1px dashed rgba(128,128,128,.6);border-radius:4px;padding:24px 12px")


def figure(
    picture: PictureView, job: JobView, thumb: Thumb | None, layout: Layout, *, above: str = "", below: str = ""
) -> str:
    """Return a picture with its caption, and HTML above and below both."""
    shown = image(picture, job, thumb, layout) if thumb else no_image(picture, job)
    return cell(above + shown + caption(picture, job) + below, layout)


def placeholder(job: JobView, layout: Layout) -> str:
    """Stand in for a job of a grid that has no picture: its state, seed and reason in the same place."""
    seen = look(job.state)
    reason = h.one_line(job.error_lines[0], 160) if job.error_lines else headline(job)
    doubt = f"%wan show {job.job_id}" if job.state == JobState.IN_DOUBT else ""
    inner = (
        h.div(state_mark(job.state))
        + h.div(h.esc(seed_text(job.seed)), SMALL)
        + h.div(h.rich(reason), SMALL, h.MUTED, "overflow-wrap:anywhere")
        + (h.div(h.code(doubt), SMALL) if doubt else "")
    )
    box = h.div(inner, f"border:1px dashed {seen.tone};border-radius:4px;padding:14px 12px")
    return cell(box, layout)


def state_mark(state: str, *, bold: bool = True) -> str:
    """Return a state as coloured icon and word."""
    seen = look(state)
    word = f"<b>{h.esc(seen.word)}</b>" if bold else h.unbroken(seen.word)
    return f'<span style="color:{seen.tone};font-weight:bold">{h.esc(seen.icon)}</span> {word}'


def cell(inner: str, layout: Layout) -> str:
    """Put a figure's HTML into a cell that flows with its neighbours."""
    gap = f"0 {layout.gap_px}px 14px 0"
    return f'<td valign="top" style="display:inline-block;{layout.width};padding:{gap};{h.LEFT}">{inner}</td>'


def grid(cells: Sequence[str], layout: Layout) -> str:
    """Let figures flow: as many side by side as there is room for."""
    if not cells:
        return ""
    rows = [cells[i : i + layout.per_row] for i in range(0, len(cells), layout.per_row)]
    inner = "".join(f'<tr style="display:inline;padding:0;background:none">{"".join(row)}</tr>' for row in rows)
    block = f"display:block;border:none;font-size:inherit;color:inherit;margin:10px -{layout.gap_px}px 0 0"
    return f'<table style="{block}"><tbody style="display:block">{inner}</tbody></table>'
