"""What a verification shows: a table that survives saving, and the same as text."""

from __future__ import annotations

from typing import Any, Final

from ..bundle import Check, Verification
from ..views import html as h
from ..views.looks import GREEN, RED
from ..views.tables import Column, as_bundle, data_table

_COLUMNS: Final = (
    Column("", is_unbroken=True),
    Column("Cell", is_unbroken=True),
    Column("Picture", is_unbroken=True),
    Column("Found", is_unbroken=True),
    Column("File, and how to get it back", is_spare=True),
)
_ROWS: Final = 400


def verification_bundle(found: Verification) -> tuple[dict[str, str], dict[str, Any]]:
    """Return a verification as a MIME bundle: what is wrong first, all the rest folded away."""
    return as_bundle(_html(found), verification_text(found, with_rows=False), "verify")


def _html(found: Verification) -> str:
    tone = GREEN if found.is_ok else RED
    head = h.facts((f"<b>{h.esc(found.summary)}</b>", h.bdi(h.one_line(found.what, 120))))
    notes = "".join(h.div(f"Note: {h.esc(note)}", h.MUTED) for note in found.notes)
    wrong = data_table(_COLUMNS, [_row(check) for check in found.problems[:_ROWS]]) if found.problems else ""
    sound = [check for check in found.checks if check.is_ok]
    rest = data_table(_COLUMNS, [_row(check) for check in sound[:_ROWS]]) if sound else ""
    return h.frame(h.div(head) + notes + wrong + h.details(f"{len(sound)} present and unchanged", rest), tone)


def _row(check: Check) -> tuple[str, ...]:
    icon, tone = ("✓", GREEN) if check.is_ok else ("✕", RED)
    file = h.bdi(h.one_line(check.file, 200)) if check.file else ""
    return (
        f'<span style="color:{tone};font-weight:bold">{icon}</span>',
        h.esc(check.cell),
        h.code(check.expr),
        h.esc(check.finding.value),
        file + h.div(f"→ {h.rich(check.hint)}" if check.hint else ""),
    )


def verification_text(found: Verification, *, with_rows: bool = True) -> str:
    """Return a verification as lines; without ``with_rows`` only what is wrong is listed."""
    shown = found.checks if with_rows else found.problems
    lines = [line for check in shown for line in _lines(check)]
    return "\n".join([found.summary, *(f"  note: {h.one_line(note)}" for note in found.notes), *lines])


def _lines(check: Check) -> list[str]:
    mark = "ok" if check.is_ok else "!!"
    cell, file = h.one_line(check.cell), h.one_line(check.file, 200)
    line = f"  {mark}  {cell}  {check.expr}  {check.finding.value}  {file}".rstrip()
    return [line, f"      → {h.plain_of(check.hint)}"] if check.hint else [line]


def size_text(size_bytes: int) -> str:
    """Write a number of bytes: ``312 KB``, ``2.1 MB``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    if size_bytes < 1024**2:
        return f"{size_bytes / 1024:.0f} KB"
    return f"{size_bytes / 1024**2:.1f} MB"
