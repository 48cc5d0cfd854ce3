"""Illustrated text as an article: the service's words with its pictures between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from wan_notebook.views import html as h
from wan_notebook.views.figures import Layout, figure, grid, layout_for
from wan_notebook.views.model import JobView, TextView
from wan_notebook.views.thumbs import MAX_SHOWN, Thumb

TEXT_CHARACTERS: Final = 40_000
_COLUMN: Final = "max-width:46em;line-height:1.65"
_HEADING: Final = re.compile(r"^#{1,6}\s+(.*)$")
_BOLD: Final = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")


def paragraphs(text: str) -> str:
    """Return text as paragraphs; of its Markdown only headings and bold are read, all else stays as it is."""
    blocks = re.split(r"\n\s*\n", h.safe_text(text).strip())
    return "".join(_block(block) for block in blocks if block.strip())


def _block(block: str) -> str:
    lines = []
    for line in block.split("\n"):
        heading = _HEADING.match(line.strip())
        escaped = _BOLD.sub(r"<b>\1</b>", h.esc(heading[1] if heading else line))
        lines.append(f"<b>{escaped}</b>" if heading else escaped)
    inner = "<br>".join(lines)
    return f'<p dir="auto" style="margin:10px 0 0;text-align:start;overflow-wrap:anywhere;{_COLUMN}">{inner}</p>'


def article(job: JobView, thumbs: Mapping[int, Thumb], *, text_scale: float = 1.0) -> str:
    """Return texts and pictures in the service's order; text beyond its bytes is counted, and is in the file."""
    count = len(job.pictures)
    base = layout_for(count)
    layout = Layout(f"width:100%;max-width:{base.max_width}px", base.max_width, base.max_height, gap_px=0)
    left = int(TEXT_CHARACTERS * text_scale)
    pieces: list[str] = []
    shown = cut = 0
    for item in job.items:
        if isinstance(item, TextView):
            pieces.append(paragraphs(item.text[:left]))
            cut += len(item.text[left:])
            left = max(0, left - len(item.text))
        elif shown < MAX_SHOWN:
            shown += 1
            pieces.append(grid([figure(item, job, thumbs.get(id(item)), layout)], layout))
    if cut:
        pieces.append(h.div(f"… {cut} more characters: {h.code(f'%wan show {job.job_id} --all')}", h.MUTED))
    if count > shown:
        pieces.append(h.div(f"and {count - shown} more: {h.code(f'%wan show {job.job_id} --all')}"))
    return "".join(pieces)
