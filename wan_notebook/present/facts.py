"""What a ledger's row says, in the words of a card: costs, times, sizes, parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from ..jobs.outcome import cost_of_row, error_of
from ..ledger import JobRow, PictureRecord
from ..money import Cost, Source, Total, format_amount
from ..request import ImageRequest
from ..rules import Mode, expected_size
from ..states import FREE, JobState
from . import words

TROUBLE: Final = FREE | {JobState.IN_DOUBT, JobState.EXPIRED}


def expected_text(request: ImageRequest) -> str:
    """Return the expected size and whose shape it is: ``≈1108×1478, shape of image 3 (ref)``."""
    expected = expected_size(request)
    if expected is None:  # its last picture is not here yet
        return f"shape of image {len(request.images)} ({request.images[-1].name})"
    width, height, whose = expected
    return f"{width}×{height}" if whose in ("as asked", "default") else f"≈{width}×{height}, {whose}"


def total(costs: Sequence[Cost]) -> str:
    """Return what this call cost: what came from the store cost nothing now, and says so itself."""
    if not costs:
        return ""
    sources = {cost.source for cost in costs}
    return "$0.00 simulated" if sources == {Source.SIMULATED} else str(Total.of(costs))


def cost_text(row: JobRow, *, is_replay: bool) -> str:
    """Return what a job cost, once that is known."""
    if is_replay:
        return "from store · $0.00"
    if row.state in (JobState.SAVED, JobState.SUCCEEDED, JobState.EXPIRED) and (row.cost_source or row.simulated):
        return str(cost_of_row(row))
    return ""


def each_text(row: JobRow) -> str:
    """Return what one picture cost: the bill divided by what was made."""
    cost, count = cost_of_row(row), max(1, len(row.pictures))
    if cost.amount is None or cost.source not in (Source.REPORTED, Source.ESTIMATED):
        return "$0.00 simulated" if row.simulated else str(cost)
    each = (cost.amount / count).quantize(Decimal("0.0001")).normalize()
    return f"{'≈' if cost.source is Source.ESTIMATED else ''}{format_amount(each, cost.currency)}"


def most_text(row: JobRow) -> str:
    """Return the most that an open job can cost."""
    if row.simulated:
        return "$0.00 simulated"
    if row.reserved_amount is None:
        return "price unknown"
    return f"up to {format_amount(row.reserved_amount, row.reserved_currency or 'USD')}"


def elapsed_s(row: JobRow, now: float) -> float:
    """Return how long a job has taken so far; once it is saved, what every other view says that it took."""
    if row.saved_at and (took := took_s(row)) is not None:
        return took
    end = row.saved_at or row.finished_at
    return max(0.0, (end or now) - row.created_at)


def took_s(row: JobRow) -> float | None:
    """Return how long the service worked, by its own clock if it says so."""
    if row.duration_s is not None:
        return row.duration_s
    if row.finished_at is None or row.accepted_at is None:
        return None
    return max(0.0, row.finished_at - row.accepted_at)


def expires_text(row: JobRow) -> str:
    """Return until when the service keeps a result that is not fetched yet."""
    if row.expires_at is None or row.state not in (JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED):
        return ""
    return f"until {words.when_text(row.expires_at)}"


def error_lines(row: JobRow) -> tuple[str, ...]:
    """Return what went wrong with a job, in its error's words."""
    return (error_of(row).message,) if row.state in TROUBLE else ()


def picture_note(row: JobRow, record: PictureRecord) -> str:
    """Return the remark on a picture; of bytes that are no picture, where they are kept and where they came from."""
    if not record.corrupt_file:
        return record.note
    kept = f"{record.note}; the bytes are kept in {record.corrupt_file}".lstrip("; ")
    if not record.url or row.expires_at is None:
        return kept
    return f"{kept}; the service has it until {words.when_text(row.expires_at)}: {record.url}"


def parameters(row: JobRow) -> tuple[tuple[str, str], ...]:
    """Return what else was sent, under the names that a person knows it by."""
    sent = row.parameters
    # Counts that are always 1 there say nothing: a task of text to image makes one picture, an article asks once.
    hidden = {Mode.TEXT_TO_IMAGE: ("n", "max_images"), Mode.ILLUSTRATED: ("n",)}.get(Mode(row.mode), ())
    shown = [name for name in _LABELS if sent.get(name) is not None and name not in hidden]
    known = [(_LABELS[name][0], _LABELS[name][1](sent[name])) for name in shown]
    others = [(name.replace("_", " ").capitalize(), str(value)) for name, value in sorted(sent.items())
              if name not in _LABELS and name not in _ELSEWHERE]  # fmt: skip
    return (*known, *others)


def trash_notes(row: JobRow) -> tuple[str, ...]:
    """Say that a job is in the trash, and the way back as long as there is one."""
    if row.trashed_at is None:
        return ()
    if row.purged_at is not None:
        return ("its pictures, inputs and prompt were deleted from the trash",)
    return (f"in the trash since {words.day_text(row.trashed_at)}: `%wan trash {row.id} --undo` takes it out",)


def _size(value: object) -> str:
    text = str(value)
    return f"{text.replace('*', '×')} px" if "*" in text else text


def _on_off(value: object) -> str:
    return "on" if value else "off"


_LABELS: Final[Mapping[str, tuple[str, Callable[[object], str]]]] = {
    "size": ("Size asked", _size),
    "n": ("Pictures asked", str),
    "max_images": ("Pictures at most", str),
    "watermark": ("Watermark", _on_off),
}
_ELSEWHERE: Final = frozenset({"seed", "negative_prompt", "enable_interleave", "prompt_extend"})
"""What has a row of its own."""
