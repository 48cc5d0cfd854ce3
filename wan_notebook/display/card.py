"""What a card says about its jobs: facts worked out from rows, as one line, as text and as the live card's state.

The same facts become HTML in ``templates/card.html.j2``.
"""

from collections import Counter
from contextlib import suppress
from typing import Any, Final

from ..database import FREE, SETTLED, JobRow, PictureRow, Status
from ..errors import WanError
from ..jobs import DISPLAY, Job, TrackedJob, cost_of, error_of, seeds_text, status_words
from ..money import Source, Total
from ..session import Session
from ..text import pluralize
from .formatting import (
    STYLES,
    duration_of,
    format_cost_max,
    format_day,
    format_duration,
    format_eta,
    format_expected_size,
    join_facts,
    other_model,
    relative_path,
    safe_line,
    size_of,
)
from .html import plain_text

_LINES_MAX: Final = 100


class PictureItem:
    """One picture of a card, with what its caption says; ``expression`` is what to paste to get it: ``fox[0]``.

    ``url`` is a small copy of it as a data URL, where it is shown.
    """

    def __init__(self, card: "Card", row: JobRow, record: PictureRow) -> None:
        self.record, self.path, self.url, name = record, "", "", card.job.name
        index = card.saved.get((row.id, record.index))
        self.expression = f"{row.id}[{record.index}]" if index is None or not name else f"{name}[{index}]"
        if record.saved_at and record.file:  # a full path would tell whose computer it was
            path = card.storage.path(record.file)
            self.path = str(path) if card.full_paths else relative_path(path)
        seed = "" if row.seed is None else f"seed {row.seed}"
        which = f"{record.index + 1} of {len(row.pictures)}" if len(row.pictures) > 1 else ""
        size = f"{record.width_px}×{record.height_px} px" if record.width_px else ""
        self.facts = [seed, which, size, "rewrite on" if row.rewrite else "", format_duration(duration_of(row))]
        kept = f"the bytes are kept in {record.corrupt_file}" if record.corrupt_file else ""
        self.note = "; ".join(filter(None, [record.note, kept]))
        self.alt = f"{self.expression}{seed and ', '}{seed}: {safe_line(row.prompt, 120)}"


class JobEntry:
    """One job of a card: what its row says, and its pictures with the texts between them in the service's order.

    In ``lines`` and ``notes`` pieces between backticks are commands.
    """

    def __init__(self, card: "Card", tracked: TrackedJob) -> None:
        self.card, self.tracked = card, tracked
        self.row = row = tracked.row
        self.style, error = STYLES[status_words(row)], error_of(row)
        self.is_over, self.is_saved = row.status in SETTLED, row.status is Status.SAVED
        self.is_replay = row.id in card.job.replayed
        self.seed = "" if row.seed is None else f"seed {row.seed}"
        self.label = self.seed or row.id
        self.eta = format_eta(card.job.worker.remaining_s(row))
        self.lines = [said for said in (error.message, error.hint) if said and self.is_over and not self.is_saved]
        self.cost_text = "" if self.is_over else format_cost_max(row)
        if row.status in (Status.SAVED, Status.EXPIRED) and not self.is_replay:
            self.cost_text = str(cost_of(row)) if row.cost_source or row.is_simulated else ""
        self.elapsed_s = max(0.0, (row.saved_at or row.finished_at or card.session.wall_clock()) - row.created_at)
        size = size_of(row) if self.is_saved else format_expected_size(card.job.request)
        self.facts = [fact for fact in (self.seed, self.cost_text, size) if fact]
        records = {record.index: record for record in row.pictures}
        self.items: list[str | PictureItem] = []
        for item in row.items:
            record = records.get(item.get("picture", -1))
            if "text" in item:
                self.items.append(str(item["text"]))
            elif record is not None and (record.saved_at or self.is_over) and card.only in (None, record):
                self.items.append(PictureItem(card, row, record))
        self.pictures = [item for item in self.items if isinstance(item, PictureItem)]

    @property
    def can_cancel(self) -> bool:
        if self.row.status in (Status.ACCEPTED, Status.RUNNING):
            with suppress(WanError):  # no key is set for its service
                return self.card.session.clients.client_for(self.row).can_cancel
        return self.row.status is Status.INTENT

    @property
    def notes(self) -> list[str]:
        row, missed = self.row, [picture for picture in self.row.pictures if not picture.saved_at]
        reasons = "".join(dict.fromkeys(f": {picture.note}" for picture in missed if picture.note))
        asked = (row.missing or 0) + len(row.pictures) - len(missed)
        notes = {
            f"{row.missing} of {asked} did not come{reasons}": row.missing and self.is_saved,
            "this row was imported": row.imported_at is not None,
            "its pictures, inputs and prompt were deleted from the trash": row.purged_at is not None,
            f"in the trash: `%wan trash {row.id} --undo` takes it out": row.trashed_at and row.purged_at is None,
            f"this row of the ledger is damaged: {row.damage}": row.damage,
        }
        return [*row.notes, *(note for note, holds in notes.items() if holds)]


class Card:
    """One output: one job, or several tasks as one labelled grid.

    Parameters
    ----------
    job
        What a cell made.
    session
        Whose settings and services the facts depend on.
    only, part
        Show this one picture of the job, or these of its tasks.
    title
        A line for the head; the seeds of several tasks if empty.
    full_paths
        Name files by their whole path: for a terminal, where nothing is a link.
    """

    def __init__(
        self,
        job: Job,
        session: Session,
        *,
        only: PictureRow | None = None,
        part: slice = slice(None),
        title: str = "",
        full_paths: bool = False,
    ) -> None:
        self.job, self.session, self.only, self.full_paths = job, session, only, full_paths
        self.storage = job.worker.storage
        self.saved = {(picture.tracked.id, picture.position): picture.index for picture in job.saved_pictures}
        entries = [JobEntry(self, one) for one in job.tracked if only is None or only in one.row.pictures]
        self.entries = entries[part]
        self.pictures = [picture for entry in self.entries for picture in entry.pictures]
        has_seeds = len(entries) > 1 and any(seed is not None for seed in job.seeds)
        self.title = title or (seeds_text(job.seeds) if has_seeds else "")
        # First what is open, then what needs a person, then saved: the first stands for all.
        order = list(STYLES.values())
        styles = Counter(sorted((entry.style for entry in self.entries), key=order.index, reverse=True))
        self.style = next(iter(styles))
        counts = [f"{count} {style.word}" for style, count in styles.items()]
        self.summary = ", ".join(counts) if len(counts) > 1 else self.style.word
        self.show_command = f"%wan show {self.entries[0].row.id}"

    @property
    def facts(self) -> list[str]:
        """The head, after the status: what it is, how many pictures there are, what they cost in all."""
        first = self.entries[0]
        count = sum(not first.is_saved or picture.record.saved_at is not None for picture in self.pictures)
        modes = {entry.row.mode for entry in self.entries}
        cost, meaning = first.cost_text if first.is_over else "", first.style.meaning
        if len(self.entries) > 1:  # what came from the store cost nothing now, and says so itself
            billable = [entry.row for entry in self.entries if not (entry.is_replay or entry.row.status in FREE)]
            costs, meaning = [cost_of(row) for row in billable], ""
            is_practice = {each.source for each in costs} == {Source.SIMULATED}
            cost = "$0.00 simulated" if is_practice else f"total {Total.of(costs)}" if costs else ""
        pictures = pluralize(count, "picture") if count or first.is_saved else ""
        if self.only and first.row.picture_count > count:  # the cost is that of all
            pictures = f"{count} of {pluralize(first.row.picture_count, 'picture')}"
        facts = [meaning, self.title, other_model(first.row), first.row.mode if len(modes) == 1 else "", pictures, cost]
        return [safe_line(fact, 120) for fact in facts if fact]

    @property
    def lines(self) -> list[str]:
        """What came from the store and how to have a new picture; and why it is practice, if nobody chose that."""
        settings, lines = self.session.settings(), []
        if served := [entry.row for entry in self.entries if entry.is_replay]:
            part = f"{len(served)} of {len(self.entries)} " if len(served) < len(self.entries) else ""
            # A cell without a seed asks anew when it is run again.
            is_seedless = any(row.request_hash != row.request_hash_with_seed for row in served)
            may_buy = is_seedless and self.session.replay_mode(settings) != "only"
            again = "run again for a new picture" if may_buy else ""
            lines.append(join_facts([f"↺ {part}from store", "$0.00", format_day(served[0].created_at), again]))
        is_chosen = settings.is_provider_named or settings.provider != "simulator"
        if not is_chosen and any(entry.row.is_simulated for entry in self.entries):
            lines.append("◇ practice pictures: no key · `%wan login`")
        return lines

    @property
    def notes(self) -> list[str]:
        """The remarks of all jobs, each once."""
        notes = dict.fromkeys([*self.job.notes, *(note for entry in self.entries for note in entry.notes)])
        return [f"Note: {safe_line(note, 400)}" for note in notes][:12]

    @property
    def cell_text(self) -> str:
        """The ``%%wan`` cell that asks the same, if somebody can write it."""
        return str(DISPLAY["cell"](self.job, self.session))


def card_text(card: Card) -> str:
    """Return a whole card as text: one line about it, then one line a picture with its file's path."""
    first, is_alone = card.entries[0], len(card.entries) == 1
    prompt = f"“{safe_line(first.row.prompt, 60)}”" if is_alone and first.row.prompt else ""
    which = [f"job {first.row.id}", first.seed] if is_alone else []
    lines = [join_facts([f"{card.style.icon} {card.summary}", *card.facts, *which, prompt]), *card.lines]
    if is_alone and not first.is_over:
        lines.append(join_facts([*first.facts, first.tracked.note, first.eta]))
    for entry in card.entries[:_LINES_MAX]:
        lines += entry.lines if is_alone else [f"{entry.style.icon} {entry.label}: {line}" for line in entry.lines[:1]]
        for item in entry.items[:_LINES_MAX]:
            if isinstance(item, PictureItem):
                lines += [join_facts([item.expression, *item.facts, item.path]), item.note]
            else:
                lines += item[:4_000].split("\n")
    return "\n  ".join(safe_line(plain_text(line), 2_000) for line in [*lines, *card.notes] if line.strip())


def live_state(card: Card) -> dict[str, Any]:
    """Return what the live card shows, as plain JSON: Python words everything, the page only counts seconds."""
    entries = card.entries
    # Of many jobs those that are not saved have a row first.
    rows = sorted(entries, key=lambda entry: entry.is_saved)[:24]
    jobs = [
        {
            "id": entry.row.id,
            "state": status_words(entry.row),
            "icon": entry.style.icon,
            "word": entry.style.word,
            "tone": entry.style.tone,
            "label": entry.label,
            "elapsed_s": entry.elapsed_s,
            "ticking": not entry.is_over,
            "progress": 1.0 if entry.is_saved else entry.tracked.progress,
            "eta": entry.eta or safe_line(entry.tracked.note, 200),
            "facts": [safe_line(fact, 120) for fact in entry.facts],
            "reason": safe_line(plain_text(entry.lines[0]), 200) if entry.lines else "",
            "can_cancel": entry.can_cancel,
            "lines": [safe_line(line, 600) for line in entry.lines],
        }
        for entry in sorted(rows, key=entries.index)
    ]
    return {
        "icon": card.style.icon,
        "word": card.summary,
        "tone": card.style.tone,
        "facts": [*card.facts, f"job {entries[0].row.id}" if len(entries) == 1 else f"{len(entries)} jobs"],
        "lines": [*card.lines, *card.notes],
        "jobs": jobs,
        "jobs_left_off": len(entries) - len(rows),
        "show": card.show_command,
    }
