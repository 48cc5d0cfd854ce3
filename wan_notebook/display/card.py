"""What a card says about its jobs: facts worked out from rows, as one line, as text and as the live card's state.

The same facts become HTML in ``templates/card.html.j2``.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ..database import SETTLED, Status
from ..errors import WanError
from ..jobs import Job, cost_of, error_of, seeds_text
from ..money import Source, Total
from ..text import pluralize
from .formatting import (
    STYLES,
    StatusStyle,
    duration_of,
    format_cost_max,
    format_day,
    format_duration,
    format_eta,
    format_expected_size,
    format_time,
    join_facts,
    relative_path,
    row_style,
    safe_line,
    safe_text,
    shown_status,
    size_of,
)
from .html import plain_text
from .table import align

if TYPE_CHECKING:
    from ..database import PictureRow
    from ..jobs import TrackedJob
    from ..session import Session

CellText = Callable[[Job, "Session"], str]
_hooks: dict[str, CellText] = {}
_TEXT_MAX_CHARS: Final = 4_000
_PICTURE_LINES_MAX: Final = 100
_NOTES_MAX: Final = 12
_LIVE_ROWS_MAX: Final = 24


def set_cell_text(cell_text: CellText) -> None:
    """Say what writes the ``%%wan`` cell that asks for a job: the layer of magics does, which display cannot import."""
    _hooks["cell_text"] = cell_text


@dataclass(eq=False)
class PictureItem:
    """One picture of a card, with what its caption says."""

    record: "PictureRow"
    expression: str
    """What to paste to get the picture: ``fox[0]``."""
    facts: list[str]
    path: str
    note: str
    alt: str
    url: str = ""
    """A small copy of it as a data URL, where it is shown."""


class JobEntry:
    """One job of a card: what its row says, and its pictures with the texts between them in the service's order."""

    def __init__(self, card: "Card", tracked: "TrackedJob", first_index: int) -> None:
        self.card, self.tracked, self.row = card, tracked, tracked.row
        self.style = row_style(self.row)
        self.is_over = self.row.status in SETTLED
        self.is_replay = self.row.id in card.job.replayed
        self.seed = "" if self.row.seed is None else f"seed {self.row.seed}"
        self.label = self.seed or self.row.id
        self.eta = format_eta(card.job.worker.remaining_s(self.row))
        self.items: list[str | PictureItem] = []
        records, index = {record.index: record for record in self.row.pictures}, first_index
        for item in self.row.items:
            record = records.get(item.get("picture", -1))
            if "text" in item:
                self.items.append(str(item["text"]))
            elif record is not None and (record.saved_at or self.is_over):
                if card.only in (None, record):
                    self.items.append(self._picture(record, index))
                index += bool(record.saved_at)
        self.pictures = [item for item in self.items if isinstance(item, PictureItem)]

    def _picture(self, record: "PictureRow", index: int) -> PictureItem:
        """Describe a picture; ``index`` counts the saved ones of the whole job."""
        row, name, path = self.row, self.card.job.name, ""
        expression = f"{name}[{index}]" if name else f"{row.id}[{record.index}]"
        if record.saved_at and record.file:  # a full path would tell whose computer it was
            whole = self.card.storage.path(record.file)
            path = str(whole) if self.card.full_paths else relative_path(whole)
        size = f"{record.width_px}×{record.height_px} px" if record.width_px else ""
        which = f"{record.index + 1} of {len(row.pictures)}" if len(row.pictures) > 1 else ""
        notes = [record.note]
        if record.corrupt_file:
            notes.append(f"the bytes are kept in {record.corrupt_file}")
            notes.append(f"the service has it until {format_time(row.expires_at)}: {record.url}" if record.url else "")
        return PictureItem(
            record=record,
            expression=expression,
            facts=[self.seed, which, size, "rewrite on" if row.rewrite else "", format_duration(duration_of(row))],
            path=path,
            note="; ".join(filter(None, notes)),
            alt=f"{expression}{self.seed and ', '}{self.seed}: {safe_line(row.prompt, 120)}",
        )

    @property
    def cost_text(self) -> str:
        """What it cost, once that is known; of an open job, the most that it can cost."""
        if not self.is_over:
            return format_cost_max(self.row)
        is_billed = self.row.status in (Status.SAVED, Status.EXPIRED) and not self.is_replay
        return str(cost_of(self.row)) if is_billed and (self.row.cost_source or self.row.is_simulated) else ""

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was asked for; once it is saved, how long the service worked."""
        if self.row.saved_at and (took_s := duration_of(self.row)) is not None:
            return took_s
        end = self.row.saved_at or self.row.finished_at or self.card.session.wall_clock()
        return max(0.0, end - self.row.created_at)

    @property
    def facts(self) -> list[str]:
        """What is known of the job: seed, cost, size, and until when the service keeps the result of an open one."""
        row = self.row
        is_made = row.status in (Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED) and row.expires_at
        size = size_of(row) if row.status is Status.SAVED else format_expected_size(self.card.job.request)
        return [self.seed, self.cost_text, size, f"result kept until {format_time(row.expires_at)}" if is_made else ""]

    @property
    def reason(self) -> str:
        """Why a job has no picture; pieces between backticks are commands."""
        if self.row.status is Status.IN_DOUBT:
            return f"{self.style.meaning}: `%wan show {self.row.id}`"
        return error_of(self.row).message if self.is_over and self.row.status is not Status.SAVED else ""

    @property
    def lines(self) -> list[str]:
        """What happened to a job that ended without pictures, and the way on."""
        error = error_of(self.row)
        is_bad = self.is_over and self.row.status is not Status.SAVED
        return [safe_line(said, 600) for said in (error.message, error.hint) if said] if is_bad else []

    @property
    def can_cancel(self) -> bool:
        if self.row.status not in (Status.INTENT, Status.ACCEPTED, Status.RUNNING):
            return False
        try:
            return self.row.status is Status.INTENT or self.card.session.clients.client_for(self.row).can_cancel
        except WanError:
            return False

    @property
    def notes(self) -> list[str]:
        """Remarks, one line each; pieces between backticks are commands."""
        row, notes = self.row, list(self.row.notes)
        if row.missing and row.status is Status.SAVED:
            asked = row.missing + sum(1 for picture in row.pictures if picture.saved_at)
            reasons = [f": {picture.note}" for picture in row.pictures if picture.note and not picture.saved_at]
            notes.append(f"{row.missing} of {asked} did not come{''.join(dict.fromkeys(reasons))}")
        if row.imported_at is not None:
            notes.append(f"this row was imported on {format_day(row.imported_at)}")
        if row.purged_at is not None:
            notes.append("its pictures, inputs and prompt were deleted from the trash")
        elif row.trashed_at is not None:
            notes.append(f"in the trash: `%wan trash {row.id} --undo` takes it out")
        if row.damage:
            notes.append(f"this row of the ledger is damaged: {row.damage}")
        return notes


class Card:
    """One output: one job, or several tasks as one labelled grid.

    Parameters
    ----------
    job
        What a cell made.
    session
        Whose settings and services the facts depend on.
    only
        Show this one picture of the job.
    title
        A line for the head; the seeds of several tasks if empty.
    full_paths
        Name files by their whole path: for a terminal, where nothing is a link.
    """

    def __init__(
        self,
        job: Job,
        session: "Session",
        *,
        only: "PictureRow | None" = None,
        title: str = "",
        full_paths: bool = False,
    ) -> None:
        self.job, self.session, self.only, self.full_paths = job, session, only, full_paths
        self.storage, self.title = job.worker.storage, title
        self.entries: list[JobEntry] = []
        first_index = 0
        for tracked in job.tracked:
            if only is None or only in tracked.row.pictures:
                self.entries.append(JobEntry(self, tracked, first_index))
            first_index += sum(1 for record in tracked.row.pictures if record.saved_at)
        if not title and len(self.entries) > 1 and any(seed is not None for seed in job.seeds):
            self.title = seeds_text(job.seeds)

    @property
    def pictures(self) -> list[PictureItem]:
        return [picture for entry in self.entries for picture in entry.pictures]

    @cached_property
    def styles(self) -> Counter[StatusStyle]:
        """How often each status is there: first what is open, then what needs a person, then saved."""
        order = list(STYLES)
        statuses = sorted(self.entries, key=lambda entry: -order.index(shown_status(entry.row)))
        return Counter(entry.style for entry in statuses)

    @property
    def style(self) -> StatusStyle:
        """The look of the status that stands for all jobs."""
        return next(iter(self.styles))

    @property
    def summary(self) -> str:
        """The status of all jobs: one word if they are alike, else ``1 running, 1 failed, 6 saved``."""
        counts = [f"{count} {style.word}" for style, count in self.styles.items()]
        return ", ".join(counts) if len(counts) > 1 else self.style.word

    @property
    def facts(self) -> list[str]:
        """The head, after the status: what it is, how many pictures there are, what they cost in all."""
        first, pictures = self.entries[0], self.pictures
        modes = {entry.row.mode for entry in self.entries}
        cost, meaning = first.cost_text if first.is_over else "", first.style.meaning
        if len(self.entries) > 1:
            # What came from the store cost nothing now, and says so itself.
            costs = [cost_of(entry.row) for entry in self.entries if not entry.is_replay]
            is_practice = {each.source for each in costs} == {Source.SIMULATED}
            cost = "$0.00 simulated" if is_practice else f"total {Total.of(costs)}" if costs else ""
            meaning = ""
        count = pluralize(len(pictures), "picture") if pictures or first.row.status is Status.SAVED else ""
        facts = [meaning, self.title, first.row.mode if len(modes) == 1 else "", count, cost]
        return [safe_line(fact, 120) for fact in facts if fact]

    @property
    def lines(self) -> list[str]:
        """What came from the store and how to have a new picture; and why it is practice, if nobody chose that."""
        lines, settings = [], self.session.settings()
        served = [entry.row for entry in self.entries if entry.is_replay]
        if served:
            part = f"{len(served)} of {len(self.entries)} " if len(served) < len(self.entries) else ""
            # A cell without a seed asks anew when it is run again.
            is_seedless = any(row.request_hash != row.request_hash_with_seed for row in served)
            may_buy = is_seedless and self.session.replay_mode(settings) != "only"
            again = "run again for a new picture" if may_buy else ""
            lines.append(join_facts([f"↺ {part}from store", "$0.00", format_day(served[0].created_at), again]))
        is_chosen = settings.is_provider_named or settings.provider != "simulator"
        if not is_chosen and any(entry.row.is_simulated for entry in self.entries):
            lines.append(f"◇ practice picture{'s' if len(self.pictures) > 1 else ''}: no key · `%wan login`")
        return lines

    @property
    def notes(self) -> list[str]:
        """The remarks of all jobs, each once."""
        notes = dict.fromkeys(note for entry in self.entries for note in entry.notes)
        return [f"Note: {safe_line(note, 400)}" for note in notes][:_NOTES_MAX]

    @property
    def show_command(self) -> str:
        return f"%wan show {self.entries[0].row.id}"

    @cached_property
    def cell_text(self) -> str:
        """The ``%%wan`` cell that asks the same, if somebody can write it."""
        return _hooks["cell_text"](self.job, self.session) if _hooks else ""


def versions_card(job: Job, session: "Session") -> Card:
    """Return every stored result of a job's request as one card, newest first."""
    row = job.rows[0]
    by_seed = row.request_hash == row.request_hash_with_seed
    rows = job.worker.database.results(row.request_hash, with_seed=by_seed)
    together = Job([job.worker.track(one) for one in reversed(rows)], job.worker, request=job.request)
    return Card(together, session, title=f"{pluralize(len(rows), 'version')} of one request, newest first")


def card_line(card: Card) -> str:
    """Return one line: ``✓ a3f9c2 saved · text to image · 2 pictures · $0.06 · seed 5 · “a fox”``."""
    first = card.entries[0]
    if len(card.entries) > 1:
        return safe_line(join_facts([f"{card.style.icon} {card.summary}", *card.facts]), 240)
    prompt = f"“{safe_line(first.row.prompt, 60)}”" if first.row.prompt else ""
    parts = [f"{first.style.icon} {first.row.id} {first.style.word}", *card.facts, first.seed, prompt]
    return safe_line(join_facts(parts), 240)


def card_text(card: Card) -> str:
    """Return a whole card as text: aligned, one line a picture with its file's path."""
    first, is_alone = card.entries[0], len(card.entries) == 1
    lines = [card_line(card), *card.lines]
    if is_alone:
        lines += first.lines if first.is_over else [join_facts([*first.facts, first.tracked.note, first.eta])]
    shown = card.pictures[:_PICTURE_LINES_MAX]
    cells = [[*(safe_line(cell, 60) for cell in (p.expression, *p.facts)), safe_line(p.path, 400)] for p in shown]
    line_of = dict(zip(shown, align(cells, indent=""), strict=True))
    for entry in card.entries[:_PICTURE_LINES_MAX]:
        if not is_alone and not entry.pictures:
            lines.append(safe_line(f"{entry.style.icon} {entry.style.word}  {entry.label}  {entry.reason}", 240))
        for item in entry.items:
            if isinstance(item, str):
                lines += safe_text(item[:_TEXT_MAX_CHARS]).strip().split("\n")
            elif item in line_of:
                lines += [line_of[item], f"{item.expression}: {safe_line(item.note, 2000)}" if item.note else ""]
    left = len(card.pictures) - len(shown)
    lines += [f"and {left} more: {card.show_command} --all"] if left else []
    return safe_text("\n  ".join(line for line in map(plain_text, lines + card.notes) if line.strip()))


def live_state(card: Card) -> dict[str, Any]:
    """Return what the live card shows, as plain JSON: Python words everything, the page only counts seconds."""
    entries = card.entries
    # Of many jobs those that are not saved have a row first.
    rows = sorted(entries, key=lambda entry: entry.row.status is Status.SAVED)[:_LIVE_ROWS_MAX]
    which = f"job {entries[0].row.id}" if len(entries) == 1 else f"{len(entries)} jobs"
    return {
        "icon": card.style.icon,
        "word": card.summary,
        "tone": card.style.tone,
        "facts": [*card.facts, which],
        "lines": [*card.lines, *card.notes],
        "jobs": [_live_job(entry) for entry in sorted(rows, key=entries.index)],
        "jobs_left_off": len(entries) - len(rows),
        "done": all(entry.is_over for entry in entries),
        "show": card.show_command,
        "pictures": len(card.pictures),
        "thumbs": [],
    }


def _live_job(entry: JobEntry) -> dict[str, Any]:
    row = entry.row
    return {
        "id": row.id,
        "state": shown_status(row),
        "icon": entry.style.icon,
        "word": entry.style.word,
        "tone": entry.style.tone,
        "label": entry.label,
        "elapsed_s": entry.elapsed_s,
        "ticking": not entry.is_over,
        "progress": 1.0 if row.status is Status.SAVED else entry.tracked.progress,
        "eta": entry.eta or safe_line(entry.tracked.note, 200),
        "facts": [safe_line(text, 120) for text in entry.facts if text],
        "reason": safe_line(plain_text(entry.reason), 200),
        "can_cancel": entry.can_cancel,
        "lines": entry.lines,
    }
