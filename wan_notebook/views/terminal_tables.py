"""The tables as plain text: aligned columns, block characters for bars, a path a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wan_notebook.views import html as h
from wan_notebook.views.looks import look, plural
from wan_notebook.views.model import CompareItem, CostSection, CostView, DoctorView, DryRunView, HistoryView, StatusView
from wan_notebook.views.terminal import columns, picture_cells

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_LEVELS: Final = {"ok": "✓", "warning": "!", "problem": "✕", "info": "·"}


def block_bar(share: float, blocks: int) -> str:
    """Return a bar of block characters, exact to an eighth; anything above nothing shows."""
    eighths = max(1, round(min(1.0, share) * blocks * 8)) if share > 0 else 0
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def bytes_text(size: int) -> str:
    """Return ``312 KB``, ``2.4 MB``."""
    if size < 1_000:
        return f"{size} B"
    return f"{size / 1_000:.0f} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def history_text(view: HistoryView) -> str:
    """Return the history as text."""
    if not view.rows:
        nothing = "Nothing found." if view.filter_text else "Nothing was made yet."
        return "\n".join([nothing, *_lines(view.trash_text)])
    head = ["job", "time", "state", "mode", "size", "seed", "n", "took", "cost", "", "prompt"]
    body = [
        [
            row.job_id,
            row.when_text,
            f"{look(row.state).icon} {look(row.state).word}",
            row.mode,
            row.size_text,
            str(row.seed) if row.seed is not None else "",
            str(row.n),
            row.duration_text,
            row.cost_text,
            row.cost_source,
            ("★ " if row.starred else "") + ("(in the trash) " if row.is_trashed else "") + h.one_line(row.prompt, 60),
        ]
        for row in view.rows
    ]
    lines = columns([head, *([h.one_line(c, 64) for c in line] for line in body)], indent="", right=(5, 6, 7, 8))
    shown = len(view.rows)
    count = plural(view.total_rows, "job") if shown >= view.total_rows else f"{shown} of {view.total_rows} jobs"
    totals = h.SEPARATOR.join((count, plural(view.total_pictures, "picture"), h.one_line(view.total_text, 160)))
    return h.safe_text("\n".join([*lines, totals, *_lines(view.more_text, view.trash_text)]))


def _lines(*texts: str) -> list[str]:
    return [h.one_line(h.plain_of(text), 200) for text in texts if text]


def cost_text(view: CostView) -> str:
    """Return the spend as text, with bars."""
    totals = (h.one_line(view.total_text, 200), plural(view.pictures, "picture"), plural(view.jobs, "job"))
    lines = [f"Cost {h.SEPARATOR.join(part for part in (*totals, h.one_line(view.reserved_text, 120)) if part)}"]
    lines += [h.one_line(h.plain_of(line), 300) for line in (*view.budget_lines, *view.notes)]
    for section in view.sections:
        if section.rows:
            lines += ["", h.one_line(section.title, 80), *_cost_rows(section)]
    return h.safe_text("\n".join(lines))


def _cost_rows(section: CostSection) -> list[str]:
    most = {row.currency: max(r.amount for r in section.rows if r.currency == row.currency) for row in section.rows}
    cells = [
        [
            h.one_line(row.label, 40),
            block_bar(row.amount / most[row.currency] if most[row.currency] > 0 else 0, 24),
            h.one_line(row.amount_text, 80),
            plural(row.pictures, "picture"),
        ]
        for row in section.rows[:200]
    ]
    return [*columns(cells), *([f"  {h.one_line(h.plain_of(section.note), 200)}"] if section.note else [])]


def compare_text(items: Sequence[CompareItem], title: str = "") -> str:
    """Return a comparison as text: one line a picture."""
    lines = [h.one_line(title, 80) or "Compare"]
    lines += columns([[h.one_line(i.label, 40), *picture_cells(i.picture, full_paths=False)] for i in items[:100]])
    return h.safe_text("\n".join(lines))


def dry_run_text(view: DryRunView) -> str:
    """Return what would be sent as text."""
    head = ("dry run, nothing was sent", view.mode, view.expected_size_text, view.most_text)
    lines = [h.SEPARATOR.join(h.one_line(part, 200) for part in head if part)]
    if view.answered_text:
        lines.append(f"  {h.one_line(h.plain_of(view.answered_text), 200)}")
    if view.endpoint:
        lines.append(
            f"  {h.one_line(view.endpoint, 300)}"
            + (f"  × {view.calls}, each with its seed{view.seeds_text}" if view.calls > 1 else "")
        )
    cells = [
        [
            f"image {i + 1}",
            h.one_line(image.name, 60),
            f"{image.width_px}×{image.height_px}" if image.width_px else "",
            bytes_text(image.size_bytes) if image.width_px else "",
            f"sha256 {image.sha256[:16]}" if image.sha256 else "",
            h.one_line(h.plain_of(image.note), 200),
        ]
        for i, image in enumerate(view.images)
    ]
    lines += columns(cells, right=(3,))
    lines += [f"  Note: {h.one_line(h.plain_of(note), 400)}" for note in view.notes[:20]]
    return h.safe_text("\n".join([*lines, h.safe_text(view.request_json[:20_000])]))


def status_text(view: StatusView) -> str:
    """Return where one stands as text."""
    lines = columns([[h.one_line(name, 40), h.one_line(h.plain_of(text), 300)] for name, text in view.lines], indent="")
    return h.safe_text("\n".join([*lines, *(h.one_line(h.plain_of(line), 300) for line in view.next_lines)]))


def doctor_text(view: DoctorView) -> str:
    """Return the checks as text, each with its hint below it."""
    width = max((h.cell_width(h.one_line(line.name, 60)) for line in view.lines), default=0)
    lines = [h.one_line(view.title, 80)]
    for line in view.lines:
        name = h.one_line(line.name, 60)
        pad = " " * (width - h.cell_width(name))
        lines.append(f"  {_LEVELS.get(line.level, '·')} {name}{pad}  {h.one_line(h.plain_of(line.text), 400)}")
        if line.hint:
            lines.append(f"    {' ' * width}  → {h.one_line(h.plain_of(line.hint), 400)}")
    return h.safe_text("\n".join(lines))
