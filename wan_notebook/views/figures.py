"""One picture with its caption, and how several of them stand together.

A figure is a small table of its own: with styles the tables flow and wrap like words, with none they float (``align``),
and with neither they stand below each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wan_notebook.states import JobState
from wan_notebook.views import html as h
from wan_notebook.views.looks import headline, look
from wan_notebook.views.model import JobView, PictureView
from wan_notebook.views.thumbs import Thumb, shown_size

SMALL: Final = "font-size:92%;line-height:1.5"
_ALT_CHARACTERS: Final = 120


@dataclass(frozen=True)
class Layout:
    """How wide a figure is (CSS) and the box that its picture fits in, in px."""

    width: str
    max_width: int
    max_height: int


# One column where two would be cramped: the middle term is huge below 560 px and negative above.
_ALONE: Final = Layout("width:100%", 1024, 680)
_PAIRS: Final = Layout("width:clamp(50% - 16px,(560px - 100%)*999,100%);max-width:640px", 640, 640)
_GRID: Final = Layout("width:clamp(150px,25% - 16px,256px)", 256, 256)


def layout_for(count: int) -> Layout:
    """Return the layout of ``count`` pictures together."""
    if count <= 1:
        return _ALONE
    return _PAIRS if count <= 4 else _GRID


def size_text(picture: PictureView) -> str:
    """Return ``1280 × 1280 px``."""
    known = picture.width_px and picture.height_px
    return f"{picture.width_px} × {picture.height_px} px" if known else ""


def seed_text(seed: int | None, note: str = "") -> str:
    """Return ``seed 5 · 3 of 4, one batch``."""
    return h.SEPARATOR.join(part for part in (f"seed {seed}" if seed is not None else "", note) if part)


def caption(picture: PictureView, job: JobView) -> str:
    """Return the lines under a picture: what to paste and its seed; size, cost, time; the file."""
    first = h.facts(
        (
            h.code(h.one_line(picture.expr, 60)) if picture.expr else "",
            h.esc(h.one_line(seed_text(picture.seed, picture.seed_note), 80)),
            "rewrite on" if job.rewrite else "",
        )
    )
    second = [
        h.esc(t) for t in (size_text(picture), h.one_line(picture.cost_text, 80), h.one_line(picture.time_text, 40))
    ]
    marks = h.facts(("★ starred" if picture.starred else "", "rejected" if picture.rejected else ""))
    file = h.link(picture.file, "full file") if picture.file else ""
    lines = [
        h.div(first),
        h.div(h.facts([*second, file]), h.MUTED),
        h.div(marks),
        h.div(h.rich(h.one_line(picture.note, 300)), h.MUTED) if picture.note else "",
    ]
    return h.div("".join(lines), SMALL, "padding:6px 0 0", "overflow-wrap:anywhere")


def alt_text(picture: PictureView, job: JobView) -> str:
    """Return what a person who does not see the picture is told."""
    name = picture.expr or f"{picture.job_id}[{picture.index}]"
    seed = f", seed {picture.seed}" if picture.seed is not None else ""
    prompt = h.one_line(job.prompt, _ALT_CHARACTERS)
    return f"{name}{seed}" + (f": {prompt}" if prompt else "")


def image(picture: PictureView, job: JobView, thumb: Thumb, layout: Layout) -> str:
    """Return the picture itself, linked to its file; its place is reserved before it is decoded."""
    width, height = shown_size(
        thumb.width_px, thumb.height_px, max_width=layout.max_width, max_height=layout.max_height
    )
    tag = (
        f'<img src="{thumb.url}" alt="{h.esc(alt_text(picture, job))}" width="{width}" height="{height}" '
        'style="max-width:100%;height:auto;border-radius:4px;vertical-align:top;display:inline-block;margin:0">'
    )
    return h.link(picture.file, tag)


def no_image(picture: PictureView) -> str:
    """Say why a picture is not shown, and where its file is or was."""
    where = h.bdi(h.one_line(picture.file or picture.full_path, 200))
    if picture.kind != "image":
        text = f"▶ {h.esc(picture.kind)}, kept as a file: {h.link(picture.file, where)}"
    elif picture.data is None and not picture.previews:
        text = f"∅ The file is missing: {where}" if picture.file or picture.full_path else "∅ The file is missing"
    else:
        text = f"∅ This file cannot be shown as a picture: {h.link(picture.file, where)}"
    return h.div(text, SMALL, "border:1px dashed rgba(128,128,128,.6);border-radius:4px;padding:24px 12px")


def table(inner: str, layout: Layout) -> str:
    """Put a figure's HTML into a table that flows with its neighbours."""
    flow = "display:inline-table;float:none;table-layout:fixed;vertical-align:top;margin:0 14px 14px 0"
    return (
        f'<table align="left" style="{flow};{layout.width};border-collapse:collapse;border:none;font-size:inherit;'
        f'color:inherit"><tr style="background:none"><td style="{h.LEFT};padding:0">{inner}</td></tr></table>'
    )


def figure(picture: PictureView, job: JobView, thumb: Thumb | None, layout: Layout) -> str:
    """Return a picture with its caption."""
    shown = image(picture, job, thumb, layout) if thumb else no_image(picture)
    return table(shown + caption(picture, job), layout)


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
    return table(box, layout)


def state_mark(state: str) -> str:
    """Return a state as coloured icon and bold word."""
    seen = look(state)
    return f'<span style="color:{seen.tone};font-weight:bold">{h.esc(seen.icon)}</span> <b>{h.esc(seen.word)}</b>'


def row(figures: Sequence[str]) -> str:
    """Let figures flow; the break ends the floating where no style did."""
    if not figures:
        return ""
    inner = "".join(figures)
    return f'<div style="margin:10px -14px 0 0">{inner}<br clear="all" style="display:none"></div>'
