"""What a card says about its jobs: facts worked out from rows when they are asked for, for HTML, text and live card."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..database import FREE, SETTLED, Status
from ..errors import WanError
from ..jobs import cost_of, error_of
from ..text import pluralize
from .formatting import (
    duration_of,
    format_cost_max,
    format_day,
    format_duration,
    format_each_cost,
    format_eta,
    format_expected_size,
    format_time,
    format_total,
    relative_path,
)
from .status_style import count_statuses, overall_status, row_style, shown_status, style_of

if TYPE_CHECKING:
    from ..database import JobRow, PictureRow
    from ..jobs import Job, TrackedJob
    from ..session import Session

_TROUBLE: Final = FREE | {Status.IN_DOUBT, Status.EXPIRED}
CellText = Callable[["Job", "Session"], str]
_hooks: dict[str, CellText] = {}


def set_cell_text(cell_text: CellText | None) -> None:
    """Say what writes the ``%%wan`` cell that asks for a job: the layer of magics does, which display cannot import."""
    _hooks.pop("cell_text", None)
    if cell_text is not None:
        _hooks["cell_text"] = cell_text


class TextItem(NamedTuple):
    """Text that the service wrote between the pictures of an illustrated text."""

    text: str


@dataclass(frozen=True)
class PictureItem:
    """One picture of a card, with what its caption says; ``index`` counts within the whole job."""

    entry: "JobEntry"
    record: "PictureRow"
    index: int

    @property
    def expression(self) -> str:
        """What to paste to get the picture: ``fox[0]``."""
        job = self.entry.card.job
        return f"{job.name}[{self.index}]" if job.name else f"{self.entry.row.id}[{self.record.index}]"

    @property
    def seed_text(self) -> str:
        return "" if self.entry.row.seed is None else f"seed {self.entry.row.seed}"

    @property
    def group_text(self) -> str:
        """Which of several pictures with one seed this is."""
        count = len(self.entry.row.pictures)
        return f"{self.record.index + 1} of {count}" if count > 1 else ""

    @property
    def path(self) -> str:
        """The file from the notebook's folder; empty if it is not on disk."""
        if not self.record.saved_at:
            return ""
        return relative_path(self.entry.card.storage.path(self.record.file))

    @property
    def full_path(self) -> str:
        return str(self.entry.card.storage.path(self.record.file)) if self.record.saved_at else ""

    @property
    def size_text(self) -> str:
        known = self.record.width_px and self.record.height_px
        return f"{self.record.width_px}×{self.record.height_px} px" if known else ""

    @property
    def cost_text(self) -> str:
        return format_each_cost(self.entry.row)

    @property
    def time_text(self) -> str:
        return format_duration(duration_of(self.entry.row))

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
        return ", ".join(part for part in (self.expression, self.seed_text) if part)


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
    def status(self) -> str:
        return shown_status(self.row)

    @property
    def style(self) -> Any:
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
        if self.row.status == Status.SAVED:
            return "" if self.row.pictures else "no pictures"
        return str(self.style.meaning)

    @property
    def cost_text(self) -> str:
        """What it cost, once that is known."""
        if self.is_replay:
            return "from store · $0.00"
        is_billed = self.row.status in (Status.SAVED, Status.SUCCEEDED, Status.EXPIRED)
        return str(cost_of(self.row)) if is_billed and (self.row.cost_source or self.row.is_simulated) else ""

    @property
    def cost_max_text(self) -> str:
        return format_cost_max(self.row)

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was asked for; once it is saved, how long the service worked."""
        if self.row.saved_at and (took_s := duration_of(self.row)) is not None:
            return took_s
        end = self.row.saved_at or self.row.finished_at or self.card.session.wall_clock()
        return max(0.0, end - self.row.created_at)

    @property
    def eta_text(self) -> str:
        is_running = self.row.status in (Status.ACCEPTED, Status.RUNNING)
        return format_eta(self.tracked.eta_s) if is_running else ""

    @property
    def kept_text(self) -> str:
        """Until when the service keeps a result that is not fetched yet."""
        is_kept = self.row.status in (Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED)
        return f"until {format_time(self.row.expires_at)}" if is_kept and self.row.expires_at else ""

    @property
    def expected_size_text(self) -> str:
        return format_expected_size(self.card.job.request)

    @property
    def can_cancel(self) -> bool:
        if self.row.status == Status.INTENT:
            return True
        if self.row.status not in (Status.ACCEPTED, Status.RUNNING):
            return False
        try:
            return self.card.session.clients.client_for(self.row).can_cancel
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
        damage = [f"this row of the ledger is damaged: {row.damage}"] if row.damage else []
        return [*found, *damage, *row.notes, *([self.tracked.note] if self.tracked.note else [])]

    @property
    def missing_text(self) -> str:
        """How many pictures did not come, and why as far as the service said."""
        if not self.row.missing or self.row.status != Status.SAVED:
            return ""
        asked = self.row.missing + len([p for p in self.row.pictures if p.saved_at])
        reasons = "; ".join(dict.fromkeys(p.note for p in self.row.pictures if p.note and not p.saved_at))
        return f"{self.row.missing} of {asked} did not come" + (f": {reasons}" if reasons else "")

    @property
    def error(self) -> WanError | None:
        """The error that stands for a job without its pictures."""
        return error_of(self.row) if self.row.status in _TROUBLE else None

    @property
    def replay_text(self) -> str:
        return f"from store · $0.00 · {format_day(self.row.created_at)}" if self.is_replay else ""

    @property
    def again_text(self) -> str:
        """How to have a new picture: a cell without a seed asks anew when it is run again."""
        is_seedless = self.row.request_hash != self.row.request_hash_with_seed
        session = self.card.session
        may_buy = session.replay_mode(session.settings()) != "only"
        return "run again for a new picture" if self.is_replay and is_seedless and may_buy else ""

    @property
    def practice_text(self) -> str:
        """Why this is a practice picture, where nobody chose the simulator."""
        settings = self.card.session.settings()
        is_chosen = settings.is_provider_named or settings.provider != "simulator"
        return "" if not self.row.is_simulated or is_chosen else "practice picture: no key · `%wan login`"

    @cached_property
    def items(self) -> list[TextItem | PictureItem]:
        """Texts and pictures in the service's order."""
        records = {record.index: record for record in self.row.pictures}
        found: list[TextItem | PictureItem] = []
        index = self.first_index
        for item in self.row.items:
            if "text" in item:
                found.append(TextItem(str(item["text"])))
            elif (record := records.get(item.get("picture", -1))) is not None:
                found.append(PictureItem(self, record, index))
                index += bool(record.saved_at)
        return found

    @property
    def pictures(self) -> list[PictureItem]:
        return [item for item in self.items if isinstance(item, PictureItem)]

    @property
    def is_article(self) -> bool:
        """Whether text stands between the pictures."""
        return len(self.items) > len(self.pictures)


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
    """

    def __init__(self, job: "Job", session: "Session", *, only: "PictureRow | None" = None, title: str = "") -> None:
        self.job, self.session = job, session
        self.storage = job.project.storage
        self.only = only
        self.title = title or (_seeds_title(job.seeds) if len(job.tracked) > 1 else "")

    @cached_property
    def entries(self) -> list[JobEntry]:
        found, first_index = [], 0
        for tracked in self.job.tracked:
            found.append(JobEntry(self, tracked, first_index))
            first_index += sum(1 for record in tracked.row.pictures if record.saved_at)
        if self.only is None:
            return found
        return [entry for entry in found if any(record is self.only for record in entry.row.pictures)]

    @property
    def rows(self) -> "list[JobRow]":
        return [entry.row for entry in self.entries]

    @property
    def pictures(self) -> list[PictureItem]:
        shown = [picture for entry in self.entries for picture in entry.pictures]
        return [p for p in shown if p.record is self.only] if self.only is not None else shown

    @property
    def status(self) -> str:
        return overall_status(self.rows)

    @property
    def summary(self) -> str:
        """The status of all jobs in words: one word if they are alike, else how many are in which."""
        alike = all(shown_status(row) == self.status for row in self.rows)
        return style_of(self.status).word if alike else count_statuses(self.rows)

    @property
    def total_text(self) -> str:
        """What this call cost in all; what came from the store cost nothing now and says so itself."""
        costs = [cost_of(row) for row in self.rows if row.id not in self.job.replayed]
        text = format_total(costs) if len(self.entries) > 1 else ""
        return f"total {text}" if text and not text.endswith("unknown") else text

    @property
    def served_lines(self) -> list[tuple[str, str]]:
        """What came from the store, and how to have a new picture; once for all jobs of which the same is true."""
        served = [entry for entry in self.entries if entry.is_replay]
        again = {entry.replay_text: entry.again_text for entry in reversed(served) if entry.again_text}
        counts = Counter(entry.replay_text for entry in served)
        is_part = len(self.entries) > 1 and (len(counts) > 1 or len(served) < len(self.entries))
        return [
            (f"{count} of {len(self.entries)} {text}" if is_part else text, again.get(text, ""))
            for text, count in counts.items()
        ]

    @property
    def practice_lines(self) -> list[str]:
        return list(dict.fromkeys(entry.practice_text for entry in self.entries if entry.practice_text))

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys([*self.job.notes, *(note for entry in self.entries for note in entry.notes)]))

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


def versions_card(job: "Job", session: "Session") -> Card:
    """Return every stored result of a job's request as one card, newest first."""
    from ..jobs import Job

    row = job.rows[0]
    by_seed = row.request_hash == row.request_hash_with_seed
    request_hash = row.request_hash_with_seed if by_seed else row.request_hash
    rows = list(reversed(job.project.database.results(request_hash, with_seed=by_seed)))
    tracked = [job.project.worker.track(one) for one in rows]
    together = Job(tracked, job.project, request=job.request)
    return Card(together, session, title=f"{pluralize(len(rows), 'version')} of one request, newest first")


def _seeds_title(seeds: Sequence[int | None]) -> str:
    known = [seed for seed in seeds if seed is not None]
    if len(known) > 1 and known == list(range(known[0], known[0] + len(known))):
        return f"seeds {known[0]}…{known[-1]}"
    return f"seeds {', '.join(map(str, known[:6]))}" + (", …" if len(known) > 6 else "") if known else ""
