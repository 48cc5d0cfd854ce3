"""Tables that survive saving: history, status, doctor. Rows and columns are real ones and need no style to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from wan_notebook.images import data_url
from wan_notebook.views import html as h
from wan_notebook.views.figures import state_mark
from wan_notebook.views.looks import AMBER, BLUE, GREEN, GREY, RED, plural
from wan_notebook.views.model import DoctorView, HistoryRowView, HistoryView, PictureView, Preview, StatusView
from wan_notebook.views.terminal_tables import doctor_text, history_text, status_text
from wan_notebook.views.thumbs import HTML_BYTES, shown_size, small_copies

Bundle = tuple[dict[str, str], dict[str, Any]]

THUMB_PX: Final = 64
THUMB_BYTES: Final = 1_800
_SHOWN_PX: Final = (64, 48)
_LINE: Final = "border-bottom:1px solid rgba(128,128,128,.25)"
_LEVELS: Final = {
    "ok": ("✓", "ok", GREEN),
    "warning": ("!", "warning", AMBER),
    "problem": ("✕", "problem", RED),
    "info": ("·", "info", GREY),
}


@dataclass(frozen=True)
class Column:
    """A column's head, and whether its cells are numbers (to the right) or may not break."""

    title: str
    is_number: bool = False
    is_unbroken: bool = False
    is_spare: bool = False
    """Takes the width that the others leave."""
    min_width: str = ""


def as_bundle(html: str, text: str, view: str) -> Bundle:
    """Return a table's MIME bundle."""
    return {"text/html": h.without_math(html), "text/plain": text}, {"wan": {"schema": 1, "view": view}}


def cell(inner: str, column: Column, *, tag: str = "td", muted: bool = False) -> str:
    """Return one cell of a data table."""
    rules = (
        f"text-align:{'right' if column.is_number else 'left'}",
        "vertical-align:middle" if tag == "td" else "vertical-align:bottom",
        "padding:5px 14px 5px 0",
        "line-height:1.5",
        "white-space:nowrap" if column.is_number or column.is_unbroken else "overflow-wrap:anywhere;min-width:11em",
        f"min-width:{column.min_width}" if column.min_width else "",
        "font-variant-numeric:tabular-nums" if column.is_number else "",
        "font-weight:normal" if tag == "th" else "",
        "width:99%" if column.is_spare else "",
        h.MUTED if muted else "",
    )
    scope = ' scope="col"' if tag == "th" else ""
    align = ' align="right"' if column.is_number else ' align="left"'
    return f"<{tag}{scope}{align}{h.style(*rules)}>{inner}</{tag}>"


def data_table(columns: Sequence[Column], body: Sequence[Sequence[str]], foot: str = "") -> str:
    """Return a table with a head and, across all columns, a foot; wide ones scroll in their own box."""
    kept = [i for i, c in enumerate(columns) if any(row[i] for row in body)]
    head = "".join(cell(h.esc(columns[i].title), columns[i], tag="th", muted=True) for i in kept)
    line = f'<tr style="background:none;{_LINE}">'
    rows = "".join(line + "".join(cell(row[i], columns[i]) for i in kept) + "</tr>" for row in body)
    last = f'<tr style="background:none"><td colspan="{len(kept)}" style="{h.LEFT};padding:8px 0 2px">{foot}</td></tr>'
    return (
        f'<div style="overflow-x:auto"><table cellpadding="3" style="{h.TABLE};table-layout:auto">'
        f'<thead><tr style="background:none;{_LINE}">{head}</tr></thead><tbody>{rows}</tbody>'
        f"{f'<tfoot>{last}</tfoot>' if foot else ''}</table></div>"
    )


# ------------------------------------------------------------------ history

_HISTORY: Final = (
    Column("", is_unbroken=True),
    Column("Time, job", is_unbroken=True),
    Column("Prompt, mode, size", is_spare=True),
    Column("Seed", is_number=True),
    Column("n", is_number=True),
    Column("State, took", is_unbroken=True),
    Column("Cost, source", is_number=True),
)


def history_bundle(view: HistoryView) -> Bundle:
    """Return the history as a table with thumbnails of 64 px and the totals of all that matched."""
    pictures = [row.picture for row in view.rows if row.picture is not None]
    html = ""
    for each in (THUMB_BYTES, 900, 500, 0):  # many rows: smaller thumbnails, at last none
        thumbs = _thumbs(pictures, each)
        html = _history_html(view, thumbs)
        if len(html.encode("utf-8")) <= HTML_BYTES * 9 // 10:
            break
    while len(html.encode("utf-8")) > HTML_BYTES * 9 // 10:  # the foot says how many of all are shown
        keep = len(view.rows) * HTML_BYTES * 8 // 10 // len(html.encode("utf-8"))
        view = replace(view, rows=view.rows[: max(1, keep)])
        html = _history_html(view, {})
    return as_bundle(html, history_text(view), "history")


def _thumbs(pictures: Sequence[PictureView], bytes_each: int) -> dict[int, str]:
    if not bytes_each:
        return {}
    made = small_copies(pictures, max_px=THUMB_PX, bytes_each=bytes_each)
    return {id(p): thumb_tag(p, s) for p, s in zip(pictures, made, strict=True) if s is not None}


def _history_html(view: HistoryView, thumbs: dict[int, str]) -> str:
    title = h.facts(("<b>History</b>", h.bdi(h.one_line(view.filter_text, 200)) if view.filter_text else ""))
    if not view.rows:
        nothing = h.div("Nothing found." if view.filter_text else "Nothing was made yet.")
        return h.frame(h.div(title) + nothing + h.div(h.rich(view.trash_text), h.MUTED), GREY)
    table = data_table(_HISTORY, [_history_row(row, thumbs) for row in view.rows], _history_foot(view))
    return h.frame(h.div(title, "margin-bottom:4px") + table, GREY)


def _history_row(row: HistoryRowView, thumbs: dict[int, str]) -> tuple[str, ...]:
    star = "★ " if row.starred else ""
    labels = (
        h.esc(row.mode),
        h.unbroken(h.one_line(row.size_text, 24)),
        h.code(row.name) if row.name else "",
        "in the trash" if row.is_trashed else "",
        *(f"#{h.bdi(h.one_line(t, 40))}" for t in row.tags[:6]),
    )
    source = row.cost_source if row.cost_source not in row.cost_text else ""
    return (
        thumbs.get(id(row.picture), "") if row.picture is not None else "",
        h.unbroken(h.one_line(row.when_text, 24)) + _below(h.code(row.job_id)),
        f"{star}{h.bdi(h.one_line(row.prompt, 90))}" + _below(h.facts(labels)),
        h.esc(row.seed) if row.seed is not None else "",
        h.esc(row.n),
        state_mark(row.state, bold=False) + _below(h.unbroken(h.one_line(row.duration_text, 24))),
        h.unbroken(h.one_line(row.cost_text, 40)) + _below(h.esc(source)),
    )


def _below(html: str) -> str:
    return h.div(html, "font-size:88%", h.MUTED)


def _history_foot(view: HistoryView) -> str:
    shown = len(view.rows)
    count = plural(view.total_rows, "job") if shown >= view.total_rows else f"{shown} of {view.total_rows} jobs"
    totals = (f"<b>{count}</b>", plural(view.total_pictures, "picture"), h.bdi(h.one_line(view.total_text, 160)))
    return h.facts(totals) + "".join(h.div(h.rich(text), h.MUTED) for text in (view.more_text, view.trash_text))


def thumb_tag(picture: PictureView, small: Preview) -> str:
    """Return a thumbnail for a table's cell, linked to its file."""
    width, height = shown_size(small.width_px, small.height_px, max_width=_SHOWN_PX[0], max_height=_SHOWN_PX[1])
    look = "max-width:none;border-radius:3px;display:inline-block;margin:0;vertical-align:middle"
    source = data_url(small.data, small.mime)
    alt = h.esc(picture.expr or picture.job_id)
    tag = f'<img src="{source}" alt="{alt}" width="{width}" height="{height}" style="{look}">'
    return h.link(picture.file, tag)


# ------------------------------------------------------------------ status and doctor


def status_bundle(view: StatusView) -> Bundle:
    """Return where one stands, and what to type next."""
    table = h.rows([(h.one_line(name, 40), h.rich(text)) for name, text in view.lines])
    following = "".join(h.div(h.rich(line)) for line in view.next_lines)
    return as_bundle(h.frame(table + h.div(following, "margin-top:8px"), BLUE), status_text(view), "status")


def doctor_bundle(view: DoctorView) -> Bundle:
    """Return what the checks found: one row each, with its level in words and the hint."""
    worst = next((level for level in ("problem", "warning") if any(x.level == level for x in view.lines)), "ok")
    columns = (Column("", is_unbroken=True), Column("Check", is_unbroken=True), Column("Found", is_spare=True))
    body = []
    for line in view.lines:
        icon, word, tone = _LEVELS.get(line.level, _LEVELS["info"])
        mark = f'<span style="color:{tone};font-weight:bold">{icon}</span> {word}'
        found = h.rich(line.text) + h.div(f"→ {h.rich(line.hint)}" if line.hint else "")
        body.append((mark, h.bdi(h.one_line(line.name, 60)), found))
    html = h.frame(h.div(f"<b>{h.esc(view.title)}</b>") + data_table(columns, body), _LEVELS[worst][2])
    return as_bundle(html, doctor_text(view), "doctor")
