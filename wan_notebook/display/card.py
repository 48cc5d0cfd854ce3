"""What a card says about its jobs: facts worked out from rows when they are asked for, as text and for the live card.

The same facts become HTML in ``templates/card.html.j2``.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ..database import FREE, SETTLED, Status
from ..errors import WanError
from ..jobs import Job, cost_of, error_of, is_not_sent, seeds_text
from ..money import Source, Total, format_amount
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
    style_of,
)
from .html import plain_text
from .table import align

if TYPE_CHECKING:
    from ..database import JobRow, PictureRow
    from ..jobs import TrackedJob
    from ..session import Session

CellText = Callable[[Job, "Session"], str]
_hooks: dict[str, CellText] = {}
_PICTURES_MAX: Final = 100
_TEXT_MAX_CHARS: Final = 4_000
_LINES_MAX: Final = 12
_LIVE_ROWS_MAX: Final = 24


def set_cell_text(cell_text: CellText | None) -> None:
    """Say what writes the ``%%wan`` cell that asks for a job: the layer of magics does, which display cannot import."""
    _hooks.pop("cell_text", None)
    if cell_text is not None:
        _hooks["cell_text"] = cell_text


@dataclass(frozen=True)
class PictureItem:
    """One picture of a card, with what its caption says; ``index`` counts within the whole job."""

    entry: "JobEntry"
    record: "PictureRow"
    index: int

    @property
    def expression(self) -> str:
        """What to paste to get the picture: ``fox[0]``."""
        name = self.entry.card.job.name
        return f"{name}[{self.index}]" if name else f"{self.entry.row.id}[{self.record.index}]"

    @property
    def seed_facts(self) -> list[str]:
        """The seed, and which of several pictures with this seed it is."""
        row = self.entry.row
        which = f"{self.record.index + 1} of {len(row.pictures)}" if len(row.pictures) > 1 else ""
        return [row_seed(row), which]

    @property
    def size_facts(self) -> list[str]:
        """The size, what this picture cost of its job's bill, and how long the service worked."""
        row, record, cost = self.entry.row, self.record, cost_of(self.entry.row)
        size = f"{record.width_px}×{record.height_px} px" if record.width_px else ""
        each = "$0.00 simulated" if row.is_simulated else str(cost)
        if cost.amount is not None and cost.source in (Source.REPORTED, Source.ESTIMATED):
            amount = (cost.amount / max(1, len(row.pictures))).quantize(Decimal("0.0001")).normalize()
            each = f"{'≈' if cost.source is Source.ESTIMATED else ''}{format_amount(amount, cost.currency)}"
        return [size, each, format_duration(duration_of(row))]

    @property
    def path(self) -> str:
        """The file, empty without one; from the notebook's folder, since a full path tells whose computer it was."""
        if not (self.record.saved_at and self.record.file):
            return ""
        path = self.entry.card.storage.path(self.record.file)
        return str(path) if self.entry.card.full_paths else relative_path(path)

    @property
    def note(self) -> str:
        """A remark: a size that differs, a missing picture's reason, where the bytes of a damaged one are."""
        if not self.record.corrupt_file:
            return self.record.note
        kept = f"{self.record.note}; the bytes are kept in {self.record.corrupt_file}".lstrip("; ")
        expires_at = self.entry.row.expires_at
        if not self.record.url or expires_at is None:
            return kept
        return f"{kept}; the service has it until {format_time(expires_at)}: {self.record.url}"

    @property
    def alt(self) -> str:
        """What a person who does not see the picture is told."""
        named = ", ".join(part for part in (self.expression, self.seed_facts[0]) if part)
        prompt = safe_line(self.entry.row.prompt, 120)
        return f"{named}: {prompt}" if prompt else named


@dataclass(frozen=True)
class JobEntry:
    """One job of a card. ``first_index`` is the index of its first picture within the whole job."""

    card: "Card"
    tracked: "TrackedJob"
    first_index: int

    @property
    def row(self) -> "JobRow":
        return self.tracked.row

    @property
    def style(self) -> StatusStyle:
        return row_style(self.row)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.row.status in SETTLED

    @property
    def is_replay(self) -> bool:
        return self.row.id in self.card.job.replayed

    @property
    def headline(self) -> str:
        """What the status means in a few words."""
        return "no pictures" if self.row.status == Status.SAVED and not self.row.pictures else self.style.meaning

    @property
    def reason(self) -> str:
        """Why a job of a grid has no picture."""
        row = self.row
        if row.status == Status.IN_DOUBT:
            return f"{self.style.meaning}: `%wan show {row.id}`"
        return error_of(row).message if self.is_over and row.status != Status.SAVED else self.headline

    @property
    def cost_text(self) -> str:
        """What it cost, once that is known."""
        if self.is_replay:
            return "from store · $0.00"
        is_billed = self.row.status in (Status.SAVED, Status.SUCCEEDED, Status.EXPIRED)
        return str(cost_of(self.row)) if is_billed and (self.row.cost_source or self.row.is_simulated) else ""

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was asked for; once it is saved, how long the service worked."""
        if self.row.saved_at and (took_s := duration_of(self.row)) is not None:
            return took_s
        end = self.row.saved_at or self.row.finished_at or self.card.session.wall_clock()
        return max(0.0, end - self.row.created_at)

    @property
    def eta_text(self) -> str:
        return format_eta(self.card.job.worker.remaining_s(self.row))

    @property
    def expected(self) -> list[tuple[str, str]]:
        """What is known beforehand of an open job."""
        row = self.row
        is_kept = row.status in (Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED) and row.expires_at
        return [
            ("Price", format_cost_max(row)),
            ("Expected size", format_expected_size(self.card.job.request)),
            ("Result kept", f"until {format_time(row.expires_at)}" if is_kept else ""),
            ("Now", self.tracked.note),
        ]

    @property
    def outcome(self) -> list[tuple[str, str]]:
        """What happened to a job that ended without pictures, what that cost, and the ways on."""
        row, error = self.row, error_of(self.row)
        if not self.is_over or row.status == Status.SAVED:
            return []
        ways = [row.error_hint, *ways_out(row)] if row.status == Status.IN_DOUBT else [error.hint]
        return [
            ("What happened", error.message),
            ("Cost", cost_sentence(row, self.cost_text)),
            *(("What next", way) for way in ways if way),
        ]

    @property
    def lines(self) -> list[str]:
        """The outcome, a line each."""
        return [safe_line(f"{name}: {said}".removeprefix("What happened: "), 600) for name, said in self.outcome]

    @property
    def can_cancel(self) -> bool:
        if self.row.status not in (Status.INTENT, Status.ACCEPTED, Status.RUNNING):
            return False
        try:
            return self.row.status == Status.INTENT or self.card.session.clients.client_for(self.row).can_cancel
        except WanError:
            return False

    @property
    def notes(self) -> list[str]:
        """Remarks, one line each; pieces between backticks are commands."""
        row = self.row
        found = [f"this row was imported on {format_day(row.imported_at)}"] if row.imported_at is not None else []
        if row.purged_at is not None:
            found.append("its pictures, inputs and prompt were deleted from the trash")
        elif row.trashed_at is not None:
            undo = f"`%wan trash {row.id} --undo` takes it out"
            found.append(f"in the trash since {format_day(row.trashed_at)}: {undo}")
        damage = f"this row of the ledger is damaged: {row.damage}" if row.damage else ""
        return [note for note in (*found, damage, *row.notes) if note]

    @property
    def missing_text(self) -> str:
        """How many pictures did not come, and why as far as the service said."""
        if not self.row.missing or self.row.status != Status.SAVED:
            return ""
        asked = self.row.missing + len([p for p in self.row.pictures if p.saved_at])
        reasons = "; ".join(dict.fromkeys(p.note for p in self.row.pictures if p.note and not p.saved_at))
        return f"{self.row.missing} of {asked} did not come" + (f": {reasons}" if reasons else "")

    @property
    def replay_text(self) -> str:
        return f"from store · $0.00 · {format_day(self.row.created_at)}" if self.is_replay else ""

    @cached_property
    def items(self) -> list[str | PictureItem]:
        """Pictures in the service's order, with the texts that it wrote between them."""
        records = {record.index: record for record in self.row.pictures}
        found: list[str | PictureItem] = []
        index = self.first_index
        for item in self.row.items:
            if "text" in item:
                found.append(str(item["text"]))
            elif (record := records.get(item.get("picture", -1))) is not None:
                found.append(PictureItem(self, record, index))
                index += bool(record.saved_at)
        return found

    @property
    def pictures(self) -> list[PictureItem]:
        return [item for item in self.items if isinstance(item, PictureItem)]


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
        self.storage = job.worker.storage
        has_seeds = only is None and len(job.tracked) > 1 and any(seed is not None for seed in job.seeds)
        self.title = title or (seeds_text(job.seeds) if has_seeds else "")

    @cached_property
    def entries(self) -> list[JobEntry]:
        found, first_index = [], 0
        for tracked in self.job.tracked:
            if self.only is None or self.only in tracked.row.pictures:
                found.append(JobEntry(self, tracked, first_index))
            first_index += sum(1 for record in tracked.row.pictures if record.saved_at)
        return found

    @property
    def rows(self) -> "list[JobRow]":
        return [entry.row for entry in self.entries]

    @property
    def pictures(self) -> list[PictureItem]:
        shown = [picture for entry in self.entries for picture in entry.pictures]
        return [p for p in shown if p.record is self.only] if self.only is not None else shown

    @property
    def style(self) -> StatusStyle:
        """The look of the status that stands for all jobs: an open one, then what needs a person, then saved."""
        order = list(STYLES)
        statuses = map(shown_status, self.rows)
        return style_of(max(statuses, key=lambda status: order.index(status) if status in STYLES else -1))

    @property
    def summary(self) -> str:
        """The status of all jobs: one word if they are alike, else ``1 running, 1 failed, 6 saved``."""
        counts = Counter(map(shown_status, self.rows))
        order = [*reversed(STYLES), *sorted(counts.keys() - STYLES.keys())]
        several = ", ".join(f"{counts[status]} {style_of(status).word}" for status in order if status in counts)
        return several if len(counts) > 1 else self.style.word

    @property
    def total_text(self) -> str:
        """What this call cost in all; what came from the store cost nothing now and says so itself."""
        costs = [cost_of(row) for row in self.rows if row.id not in self.job.replayed]
        if len(self.entries) == 1 or not costs:
            return ""
        is_practice = {cost.source for cost in costs} == {Source.SIMULATED}
        text = "$0.00 simulated" if is_practice else str(Total.of(costs))
        return text if text.endswith("unknown") else f"total {text}"

    @property
    def served_lines(self) -> list[tuple[str, str]]:
        """What came from the store, and how to have a new picture; once for all jobs of which the same is true."""
        served = [entry for entry in self.entries if entry.is_replay]
        # A cell without a seed asks anew when it is run again.
        may_buy = self.session.replay_mode(self.session.settings()) != "only"
        seedless = {e.replay_text for e in served if e.row.request_hash != e.row.request_hash_with_seed}
        counts = Counter(entry.replay_text for entry in served)
        is_part = len(self.entries) > 1 and (len(counts) > 1 or len(served) < len(self.entries))
        return [
            (
                f"{count} of {len(self.entries)} {text}" if is_part else text,
                "run again for a new picture" if may_buy and text in seedless else "",
            )
            for text, count in counts.items()
        ]

    @property
    def practice_text(self) -> str:
        """Why these are practice pictures, where nobody chose the simulator."""
        settings = self.session.settings()
        is_chosen = settings.is_provider_named or settings.provider != "simulator"
        is_practice = not is_chosen and any(row.is_simulated for row in self.rows)
        return "practice picture: no key · `%wan login`" if is_practice else ""

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(note for entry in self.entries for note in entry.notes))

    @property
    def count_text(self) -> str:
        return pluralize(len(self.pictures), "picture")

    @property
    def show_command(self) -> str:
        return f"%wan show {self.rows[0].id}"

    @cached_property
    def cell_text(self) -> str:
        """The ``%%wan`` cell that asks the same, if somebody can write it."""
        write = _hooks.get("cell_text")
        return write(self.job, self.session) if write is not None else ""


def versions_card(job: Job, session: "Session") -> Card:
    """Return every stored result of a job's request as one card, newest first."""
    row = job.rows[0]
    by_seed = row.request_hash == row.request_hash_with_seed
    rows = job.worker.database.results(row.request_hash, with_seed=by_seed)
    tracked = [job.worker.track(one) for one in reversed(rows)]
    together = Job(tracked, job.worker, request=job.request)
    return Card(together, session, title=f"{pluralize(len(rows), 'version')} of one request, newest first")


def row_seed(row: "JobRow") -> str:
    """Return ``seed 5``; nothing if the service chose none."""
    return "" if row.seed is None else f"seed {row.seed}"


def cost_sentence(row: "JobRow", cost_text: str) -> str:
    """Say what a job without pictures cost: nothing where the service never bills it, else what is known."""
    if cost_text:
        return cost_text
    if is_not_sent(row):
        return "Nothing: it was not sent."
    if row.status == Status.IN_DOUBT:
        reserved = f" Until you decide, budgets count it as {format_cost_max(row)}."
        return f"Unknown: if it arrived, the service makes it and bills it.{reserved}"
    if row.status in FREE:
        return f"Nothing: a {row_style(row).word} job is not billed."
    return "Unknown: if it was made, it was billed."


def ways_out(row: "JobRow") -> list[str]:
    """Return the three ways out of doubt, each a command and what it does; none is chosen for the person."""
    command = f"%wan resolve {row.id}"
    return [
        f"`{command} adopt {row.task_id or 'TASK'}` · you found it in the service's list: fetch it, pay once",
        f"`{command} again` · send it again: if the first one arrived too, both are billed",
        f"`{command} abandon` · give it up: if it arrived, it is made and billed, but not fetched",
    ]


# As text -------------------------------------------------------------------------------------------------------------


def card_line(card: Card) -> str:
    """Return one line: ``✓ a3f9c2 saved · text to image · 2 pictures · seed 5 · $0.06 · “a fox”``."""
    first, row = card.entries[0], card.entries[0].row
    if len(card.entries) > 1:
        served = [text for text, _ in card.served_lines]
        head = [f"{card.style.icon} {card.summary}", card.title, card.count_text, card.total_text, *served]
        return safe_line(join_facts(head), 240)
    cost = first.replay_text or first.cost_text or ("" if first.is_over else format_cost_max(row))
    parts = [
        f"{first.style.icon} {row.id} {first.style.word}",
        "" if card.pictures else first.headline,
        row.mode,
        card.count_text if card.pictures else "",
        row_seed(row),
        cost or "not billed",
        f"“{safe_line(row.prompt, 60)}”" if row.prompt else "",
    ]
    return safe_line(join_facts(parts), 240)


def card_text(card: Card) -> str:
    """Return a whole card as text: aligned, one line a picture with its file's path."""
    first, is_alone = card.entries[0], len(card.entries) == 1
    lines = [*(again for _, again in card.served_lines), card.practice_text]
    if is_alone and not first.is_over:
        lines.append(join_facts([said for _, said in first.expected] + [first.eta_text]))
    lines = [card_line(card), *map(plain_text, lines + first.lines * is_alone)]
    is_article = is_alone and len(first.items) > len(first.pictures)
    lines += _article_lines(first) if is_article else _picture_lines(card)
    lines += [entry.missing_text for entry in card.entries]
    lines += ["rewrite on"] if any(entry.row.rewrite and entry.pictures for entry in card.entries) else []
    lines += [f"Note: {safe_line(plain_text(note), 400)}" for note in card.notes[:_LINES_MAX]]
    return safe_text("\n  ".join(line for line in lines if line.strip()))


def _picture_lines(card: Card) -> list[str]:
    cells: list[list[str]] = []
    for entry in card.entries:
        mark = [f"{entry.style.icon} {entry.style.word}"] if len(card.entries) > 1 else []
        cells += [[*mark, *_picture_cells(picture)] for picture in card.pictures if picture.entry is entry]
        if mark and not entry.pictures:
            cells.append(
                [*mark, entry.row.id, row_seed(entry.row), "", "", "", safe_line(plain_text(entry.reason), 160)]
            )
    lines = align(cells[:_PICTURES_MAX], indent="")
    lines += [f"{p.expression}: {safe_line(plain_text(p.note), 2000)}" for p in card.pictures if p.note and not p.path]
    left = len(cells) - _PICTURES_MAX
    return [*lines, f"and {left} more: {card.show_command} --all"] if left > 0 else lines


def _picture_cells(picture: PictureItem) -> list[str]:
    seed, which = picture.seed_facts
    cells = [picture.expression, f"{seed} ({which})" if which else seed, *picture.size_facts]
    return [*(safe_line(cell, 60) for cell in cells), safe_line(picture.path, 400)]


def _article_lines(entry: JobEntry) -> list[str]:
    lines, left = [], _TEXT_MAX_CHARS
    for item in entry.items[: 2 * _PICTURES_MAX]:
        if isinstance(item, str):
            lines += safe_text(item[:left]).strip().split("\n")
            left = max(0, left - len(item))
        else:
            lines += align([_picture_cells(item)], indent="▣ ")
    return lines


# As a live card's state ----------------------------------------------------------------------------------------------


def live_state(card: Card) -> dict[str, Any]:
    """Return what the live card shows, as plain JSON: Python words everything, the page only counts seconds."""
    entries, first = card.entries, card.entries[0]
    if len(entries) == 1:
        facts = [first.headline, card.title, first.row.mode, f"job {first.row.id}"]
    else:
        facts = [card.title, first.row.mode, card.total_text, f"{len(entries)} jobs"]
    practice = [f"◇ {card.practice_text}"] if card.practice_text else []
    notes = [safe_line(note, 400) for note in card.notes[:_LINES_MAX]]
    return {
        "icon": card.style.icon,
        "word": card.summary,
        "tone": card.style.tone,
        "facts": [safe_line(text, 120) for text in facts if text],
        "lines": [*practice, *(f"Note: {note}" for note in notes)],
        "jobs": [_live_job(entry) for entry in _entries_with_rows(entries)],
        "jobs_left_off": max(0, len(entries) - _LIVE_ROWS_MAX),
        "done": all(entry.is_over for entry in entries),
        "show": card.show_command,
        "pictures": len(card.pictures),
        "thumbs": [],
    }


def _entries_with_rows(entries: Sequence[JobEntry]) -> list[JobEntry]:
    """Return the jobs that have a line each: all of a few; of many those that are not saved, then others, in order."""
    by_need = sorted(range(len(entries)), key=lambda at: (entries[at].row.status == Status.SAVED, at))
    return [entries[at] for at in sorted(by_need[:_LIVE_ROWS_MAX])]


def _live_job(entry: JobEntry) -> dict[str, Any]:
    row, (price, expected, kept, note) = entry.row, [said for _, said in entry.expected]
    size = size_of(row) if row.status == Status.SAVED else expected
    cost = entry.cost_text or ("" if entry.is_over else price)
    facts = [row_seed(row), cost, size, f"result kept {kept}" if kept else ""]
    return {
        "id": row.id,
        "state": shown_status(row),
        "icon": entry.style.icon,
        "word": entry.style.word,
        "tone": entry.style.tone,
        "label": row_seed(row) or row.id,
        "elapsed_s": entry.elapsed_s,
        "ticking": not entry.is_over,
        "progress": 1.0 if row.status == Status.SAVED else entry.tracked.progress,
        "eta": entry.eta_text or safe_line(note, 200),
        "facts": [safe_line(text, 120) for text in facts if text],
        "reason": safe_line(plain_text(entry.reason), 200) if entry.is_over else "",
        "can_cancel": entry.can_cancel,
        "lines": entry.lines,
    }
