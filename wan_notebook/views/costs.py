"""Spend as a small chart with its table. With styles a bar is a coloured block; without them it is block characters."""

from __future__ import annotations

from typing import Final

from wan_notebook.views import html as h
from wan_notebook.views.looks import BLUE, plural
from wan_notebook.views.model import CostRowView, CostSection, CostView
from wan_notebook.views.tables import Bundle, Column, as_bundle, data_table
from wan_notebook.views.terminal_tables import block_bar, cost_text

_BLOCKS: Final = 20
_ROWS: Final = 60
_COLUMNS: Final = (
    Column("", is_unbroken=True, min_width="10em"),
    Column("", is_spare=True, min_width="6em"),
    Column("Spent", is_number=True, min_width="10em"),
    Column("Pictures", is_number=True),
    Column("Jobs", is_number=True),
)


def cost_bundle(view: CostView) -> Bundle:
    """Return the spend by day, notebook or tag, with its total and what the caps still allow."""
    head = h.facts(
        (
            f"<b>Cost</b> {h.bdi(h.one_line(view.total_text, 200))}",
            plural(view.pictures, "picture"),
            plural(view.jobs, "job"),
            h.bdi(h.one_line(view.reserved_text, 120)) if view.reserved_text else "",
        )
    )
    caps = "".join(h.div(h.rich(h.one_line(line, 300))) for line in view.budget_lines)
    notes = "".join(h.div(h.rich(h.one_line(line, 300)), h.MUTED) for line in view.notes)
    sections = "".join(_section(section) for section in view.sections if section.rows)
    html = h.frame(h.div(head) + caps + sections + h.div(notes, "margin-top:8px"), BLUE)
    return as_bundle(html, cost_text(view), "cost")


def _section(section: CostSection) -> str:
    # One scale a currency: bars of different currencies must not be compared by length.
    most = {row.currency: max(r.amount for r in section.rows if r.currency == row.currency) for row in section.rows}
    body = [_row(row, most[row.currency]) for row in section.rows[:_ROWS]]
    left = len(section.rows) - len(body)
    foot = h.facts((f"and {left} more" if left > 0 else "", h.rich(section.note)))
    title = h.div(h.esc(section.title), "margin:14px 0 2px;font-weight:bold")
    return title + data_table(_COLUMNS, body, foot)


def _row(row: CostRowView, most: float) -> tuple[str, ...]:
    share = min(1.0, max(0.0, row.amount / most)) if most > 0 else 0.0
    return (
        h.bdi(h.one_line(row.label, 48)),
        bar(share),
        h.bdi(h.one_line(row.amount_text, 80)),
        str(row.pictures) if row.pictures else "0",
        str(row.jobs) if row.jobs else "0",
    )


def bar(share: float) -> str:
    """Return a bar of a share from 0 to 1: a block by style, and the characters that show when styles are removed."""
    if share <= 0:
        return "&nbsp;"
    width = max(0.5, round(share * 100, 1))
    block = f'<div style="width:{width:g}%;height:12px;background-color:{BLUE};border-radius:2px;min-width:2px"></div>'
    return f'<div style="min-width:6em">{block}<span style="display:none">{block_bar(share, _BLOCKS)}</span></div>'
