"""Everything as plain text, for a terminal and for ``text/plain``: aligned, one line a picture with its file's path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wan_notebook.states import FREE, JobState
from wan_notebook.views import html as h
from wan_notebook.views.looks import (
    NEVER_SENT,
    card_state,
    choices,
    cost_sentence,
    headline,
    is_final,
    look,
    next_sentence,
    plural,
    served_lines,
    summary,
    total_phrase,
)
from wan_notebook.views.model import CardView, JobView, PictureView, TextView

_PICTURES: Final = 100
_TEXT_CHARACTERS: Final = 4_000
_LINES: Final = 12


def job_line(job: JobView) -> str:
    """Return one line for ``print(job)``: ``✓ a3f9c2 saved · text to image · 2 pictures · seed 5 · $0.06``."""
    seen = look(job.state)
    count = len(job.pictures)
    parts = (
        f"{seen.icon} {job.job_id} {seen.word}",
        headline(job) if not count else "",
        job.mode,
        plural(count, "picture") if count else "",
        f"seed {job.seed}" if job.seed is not None else "",
        job.replay_text or job.cost_text or ("not billed" if job.state in (*FREE, NEVER_SENT) else job.most_text),
        f"“{h.one_line(job.prompt, 60)}”" if job.prompt else "",
    )
    return h.one_line(h.SEPARATOR.join(part for part in parts if part), 240)


def card_line(card: CardView) -> str:
    """Return one line for a card of any number of jobs."""
    if len(card.jobs) == 1:
        return job_line(card.jobs[0])
    parts = (
        f"{look(card_state(card)).icon} {summary(card.jobs)}",
        card.title,
        plural(len(card.pictures), "picture"),
        total_phrase(card),
        *(text for text, _ in served_lines(card.jobs)),
    )
    return h.one_line(h.SEPARATOR.join(part for part in parts if part), 240)


def waiting_line(card: CardView, width: int) -> str:
    """Return one line about a job that is waited for, of at most ``width`` columns: a longer one cannot be replaced."""
    first = card.jobs[0]
    several = len(card.jobs) > 1
    parts = (
        f"{look(card_state(card)).icon} {summary(card.jobs) if several else look(first.state).word}",
        f"{first.elapsed_s:.0f} s" if first.elapsed_s is not None else "",
        f"{first.progress:.0%}" if first.progress is not None and not several else "",
        first.eta_text,
        first.notes[-1] if first.notes else "",
        f"job {first.job_id}",
        "" if several else first.expires_text,  # last: on a narrow terminal it is what may go
    )
    line = h.one_line(h.SEPARATOR.join(part for part in parts if part), max(8, width))
    while h.cell_width(line) > width and len(line) > 8:
        line = f"{line[:-2].rstrip()}…"
    return line


def columns(lines: Sequence[Sequence[str]], *, indent: str = "  ", right: Sequence[int] = ()) -> list[str]:
    """Align cells in columns by their width in a terminal; the numbered ones to the right, the last one ragged."""
    count = max((len(line) for line in lines), default=0)
    full = [[*line, *[""] * (count - len(line))] for line in lines]
    widths = [max(h.cell_width(line[i]) for line in full) for i in range(count)]
    out = []
    for line in full:
        cells = []
        for i, cell in enumerate(line):
            pad = " " * (widths[i] - h.cell_width(cell))
            cells.append(pad + cell if i in right else cell + pad)
        out.append((indent + "  ".join(cell for cell, width in zip(cells, widths, strict=True) if width)).rstrip())
    return out


def picture_cells(picture: PictureView, *, full_paths: bool) -> list[str]:
    """Return a picture's cells: expression, seed, size, cost, time, path (from the notebook's folder, or absolute)."""
    size = f"{picture.width_px}×{picture.height_px}" if picture.width_px and picture.height_px else ""
    seed = f"seed {picture.seed}" if picture.seed is not None else ""
    texts = (
        picture.expr or f"{picture.job_id}[{picture.index}]",
        f"{seed} ({picture.seed_note})" if picture.seed_note and seed else seed or picture.seed_note,
        size,
        picture.cost_text,
        picture.time_text,
        (picture.full_path or picture.file) if full_paths else (picture.file or picture.full_path),
    )
    return [*(h.one_line(t, 60) for t in texts[:-1]), h.one_line(texts[-1], 400)]


def card_text(card: CardView, *, full_paths: bool = False) -> str:
    """Return a whole card as text.

    A saved notebook gets paths from its own folder, since an absolute one tells whose computer it was; a terminal asks
    for ``full_paths``.
    """
    lines = [card_line(card)]
    if len(card.jobs) == 1:
        lines += job_body(card.jobs[0], full_paths=full_paths)
    else:
        lines += _several(card, full_paths=full_paths)
    return h.safe_text("\n".join(lines))


def job_body(job: JobView, *, full_paths: bool = False) -> list[str]:
    """Return the lines under a job's first one."""
    lines: list[str] = []
    if job.again_text and job.replay_text:
        lines.append(f"  {h.one_line(h.plain_of(job.again_text), 200)}")
    if job.simulated_note:
        lines.append(f"  {h.one_line(h.plain_of(job.simulated_note), 400)}")
    lines += _trouble(job)
    lines += _items(job, full_paths=full_paths)
    if job.missing:
        lines.append(f"  {plural(job.missing, 'picture')} asked for and not delivered")
    if job.rewrite and job.pictures:
        lines.append("  rewrite on")
    return [*lines, *(f"  Note: {h.one_line(h.plain_of(note), 400)}" for note in job.notes[:_LINES])]


def _items(job: JobView, *, full_paths: bool) -> list[str]:
    if len(job.items) == len(job.pictures):
        lines = columns([picture_cells(p, full_paths=full_paths) for p in job.pictures[:_PICTURES]])
        unsaved = [p for p in job.pictures[:_PICTURES] if p.note and not p.file]
        lines += [f"  {p.expr}: {h.one_line(h.plain_of(p.note), 2000)}" for p in unsaved]
        left = len(job.pictures) - _PICTURES
        return [*lines, f"  and {left} more: %wan show {job.job_id} --all"] if left > 0 else lines
    lines = []
    left = _TEXT_CHARACTERS
    for item in job.items[: 2 * _PICTURES]:
        if isinstance(item, TextView):
            text = h.safe_text(item.text[:left]).strip()
            left = max(0, left - len(item.text))
            lines += [f"  {line}".rstrip() for line in text.split("\n")] if text else []
        else:
            lines += columns([picture_cells(item, full_paths=full_paths)], indent="  ▣ ")
    return lines


def _trouble(job: JobView) -> list[str]:
    if job.state == JobState.SAVED:
        return []
    lines = [f"  {h.one_line(line, 600)}" for line in job.error_lines[:_LINES]]
    if not is_final(job.state) and job.state != JobState.IN_DOUBT:
        known = (job.most_text, job.expected_size_text, job.eta_text, job.expires_text)
        shown = h.SEPARATOR.join(h.one_line(text, 200) for text in known if text)
        return [*lines, f"  {shown}"] if shown else lines
    lines.append(f"  Cost: {h.one_line(cost_sentence(job), 300)}")
    if job.state == JobState.IN_DOUBT:
        return lines + columns([(h.one_line(command, 200), what) for command, what in choices(job)])
    if following := next_sentence(job):
        lines.append(f"  Next: {h.one_line(h.plain_of(following), 400)}")
    return lines


def _several(card: CardView, *, full_paths: bool) -> list[str]:
    cells: list[list[str]] = []
    for job in card.jobs:
        mark = f"{look(job.state).icon} {look(job.state).word}"
        if job.pictures:
            cells += [[mark, *picture_cells(p, full_paths=full_paths)] for p in job.pictures]
        else:
            seed = f"seed {job.seed}" if job.seed is not None else ""
            reason = job.error_lines[0] if job.error_lines else headline(job)
            cells.append([mark, job.job_id, seed, "", "", "", h.one_line(reason, 160)])
    lines = columns(cells[:_PICTURES])
    command = card.show_command or f"%wan show {card.jobs[0].job_id}"
    if len(cells) > _PICTURES:
        lines.append(f"  and {len(cells) - _PICTURES} more: {command} --all")
    served = dict.fromkeys(h.one_line(h.plain_of(j.simulated_note), 400) for j in card.jobs if j.simulated_note)
    again = dict.fromkeys(h.one_line(h.plain_of(text), 200) for _, text in served_lines(card.jobs) if text)
    rewritten = ["  rewrite on"] if any(job.rewrite and job.pictures for job in card.jobs) else []
    notes = dict.fromkeys(h.one_line(h.plain_of(note), 400) for job in card.jobs for note in job.notes)
    remarks = [f"  Note: {note}" for note in list(notes)[:_LINES]]
    return [*(f"  {line}" for line in (*again, *served)), *lines, *rewritten, *remarks]
