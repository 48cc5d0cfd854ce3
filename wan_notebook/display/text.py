"""Cards as plain text, for a terminal and for ``text/plain``: aligned, one line a picture with its file's path."""

from collections.abc import Sequence
from typing import Final

from ..text import pluralize
from .card import Card, JobEntry, PictureItem, TextItem
from .formatting import join_facts, safe_line, safe_text, terminal_width
from .html import plain_text
from .status_style import cost_sentence, explanation, style_of, ways_out

_PICTURES_MAX: Final = 100
_TEXT_MAX_CHARS: Final = 4_000
_LINES_MAX: Final = 12


def card_line(card: Card) -> str:
    """Return one line: ``✓ a3f9c2 saved · text to image · 2 pictures · seed 5 · $0.06 · “a fox”``."""
    style, first = style_of(card.status), card.entries[0]
    count = len(card.pictures)
    if len(card.entries) > 1:
        served = [text for text, _ in card.served_lines]
        head = [f"{style.icon} {card.summary}", card.title, card.count_text, card.total_text, *served]
        return safe_line(join_facts(head), 240)
    cost = first.replay_text or first.cost_text or ("" if first.is_over else first.cost_max_text)
    parts = [
        f"{style.icon} {first.row.id} {style.word}",
        "" if count else first.headline,
        first.row.mode,
        pluralize(count, "picture") if count else "",
        f"seed {first.row.seed}" if first.row.seed is not None else "",
        cost or "not billed",
        f"“{safe_line(first.row.prompt, 60)}”" if first.row.prompt else "",
    ]
    return safe_line(join_facts(parts), 240)


def waiting_line(card: Card, width: int) -> str:
    """Return one line about a job that is waited for, of at most ``width`` columns: a longer one cannot be replaced."""
    first, several = card.entries[0], len(card.entries) > 1
    progress = first.tracked.progress
    parts = [
        f"{style_of(card.status).icon} {card.summary}",
        f"{first.elapsed_s:.0f} s",
        f"{progress:.0%}" if progress is not None and not several else "",
        first.eta_text,
        first.notes[-1] if first.notes else "",
        f"job {first.row.id}",
        "" if several else first.kept_text,  # last: on a narrow terminal it is what may go
    ]
    line = safe_line(join_facts(parts), max(8, width))
    while terminal_width(line) > width and len(line) > 8:
        line = f"{line[:-2].rstrip()}…"
    return line


def align(lines: Sequence[Sequence[str]], *, indent: str = "  ", right: Sequence[int] = ()) -> list[str]:
    """Align cells in columns by their width in a terminal; those in ``right`` to the right, empty columns left out."""
    count = max((len(line) for line in lines), default=0)
    full = [[*line, *[""] * (count - len(line))] for line in lines]
    widths = [max((terminal_width(line[at]) for line in full), default=0) for at in range(count)]
    aligned = []
    for line in full:
        cells = []
        for at, cell in enumerate(line):
            padding = " " * (widths[at] - terminal_width(cell))
            if widths[at]:
                cells.append(padding + cell if at in right else cell + padding)
        aligned.append((indent + "  ".join(cells)).rstrip())
    return aligned


def card_text(card: Card, *, full_paths: bool = False) -> str:
    """Return a whole card as text.

    A saved notebook gets paths from its own folder, since an absolute one tells whose computer it was; a terminal asks
    for ``full_paths``.
    """
    lines = [card_line(card)]
    lines += [f"  {plain_text(again)}" for _, again in card.served_lines if again]
    lines += [f"  {plain_text(text)}" for text in card.practice_lines]
    if len(card.entries) == 1:
        lines += [*_trouble(card.entries[0]), *_items(card, card.entries[0], full_paths=full_paths)]
    else:
        lines += _several(card, full_paths=full_paths)
    lines += [f"  {entry.missing_text}" for entry in card.entries if entry.missing_text]
    if any(entry.row.rewrite and entry.pictures for entry in card.entries):
        lines.append("  rewrite on")
    lines += [f"  Note: {safe_line(plain_text(note), 400)}" for note in card.notes[:_LINES_MAX]]
    return safe_text("\n".join(lines))


def _picture_cells(picture: PictureItem, *, full_paths: bool) -> list[str]:
    seed = f"{picture.seed_text} ({picture.group_text})" if picture.group_text else picture.seed_text
    cells = [picture.expression, seed, picture.size_text, picture.cost_text, picture.time_text]
    path = picture.full_path if full_paths else picture.path
    return [*(safe_line(cell, 60) for cell in cells), safe_line(path, 400)]


def _items(card: Card, entry: JobEntry, *, full_paths: bool) -> list[str]:
    if not entry.is_article:
        shown = card.pictures[:_PICTURES_MAX]
        lines = align([_picture_cells(picture, full_paths=full_paths) for picture in shown])
        noted = [p for p in shown if p.note and not p.path]
        lines += [f"  {p.expression}: {safe_line(plain_text(p.note), 2000)}" for p in noted]
        left = len(card.pictures) - len(shown)
        return [*lines, f"  and {left} more: {card.show_command} --all"] if left > 0 else lines
    lines, left = [], _TEXT_MAX_CHARS
    for item in entry.items[: 2 * _PICTURES_MAX]:
        if isinstance(item, TextItem):
            text = safe_text(item.text[:left]).strip()
            left = max(0, left - len(item.text))
            lines += [f"  {line}".rstrip() for line in text.split("\n")] if text else []
        else:
            lines += align([_picture_cells(item, full_paths=full_paths)], indent="  ▣ ")
    return lines


def _trouble(entry: JobEntry) -> list[str]:
    row = entry.row
    if row.status == "saved":
        return []
    if not entry.is_over:
        known = [entry.cost_max_text, entry.expected_size_text, entry.eta_text, entry.kept_text]
        return [f"  {safe_line(join_facts(known), 400)}"]
    happened = entry.error.message if entry.error else explanation(row)
    lines = [f"  {safe_line(happened, 600)}", f"  Cost: {safe_line(cost_sentence(row, entry.cost_text), 300)}"]
    if row.status == "in_doubt":
        return lines + align([(safe_line(command, 200), meaning) for command, meaning in ways_out(row)])
    hint = entry.error.hint if entry.error else ""
    return [*lines, f"  Next: {safe_line(plain_text(hint), 400)}"] if hint else lines


def _several(card: Card, *, full_paths: bool) -> list[str]:
    cells: list[list[str]] = []
    for entry in card.entries:
        style = entry.style
        mark = f"{style.icon} {style.word}"
        if entry.pictures:
            cells += [[mark, *_picture_cells(picture, full_paths=full_paths)] for picture in entry.pictures]
        else:
            seed = f"seed {entry.row.seed}" if entry.row.seed is not None else ""
            reason = entry.error.message if entry.error else entry.headline
            cells.append([mark, entry.row.id, seed, "", "", "", safe_line(reason, 160)])
    lines = align(cells[:_PICTURES_MAX])
    left = len(cells) - _PICTURES_MAX
    return [*lines, f"  and {left} more: {card.show_command} --all"] if left > 0 else lines
