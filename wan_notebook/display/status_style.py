"""How each status looks and what it says: one vocabulary for cards, tables, panel and terminal.

A status is an icon, a word and a sentence, never a colour alone. The colours are middle tones with a contrast of 3:1
on white as well as on JupyterLab's dark ground, since a saved page cannot know where it will be read.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..database import FINAL, FREE, SETTLED, Status
from ..jobs import is_not_sent
from .formatting import format_cost_max

if TYPE_CHECKING:
    from ..database import JobRow

GREY: Final = "#808080"
BLUE: Final = "#3d84d6"
GREEN: Final = "#2f9659"
AMBER: Final = "#b57a1c"
RED: Final = "#d7494b"


class StatusStyle(NamedTuple):
    """An icon, a word, what it means in a few words, and its colour."""

    icon: str
    word: str
    meaning: str
    tone: str


NOT_SENT: Final = "not_sent"
"""Shown in place of ``refused`` for a job that never left this machine."""

STYLES: Final[dict[str, StatusStyle]] = {
    Status.INTENT: StatusStyle("○", "queued", "Recorded, about to be sent", GREY),
    Status.SENDING: StatusStyle("↑", "sending", "on its way to the service", BLUE),
    Status.ACCEPTED: StatusStyle("◔", "accepted", "the service has it", BLUE),
    Status.RUNNING: StatusStyle("◐", "running", "the service is making it", BLUE),
    Status.SUCCEEDED: StatusStyle("↓", "succeeded", "made; being downloaded", BLUE),
    Status.SAVED: StatusStyle("✓", "saved", "", GREEN),
    Status.REFUSED: StatusStyle("⊘", "refused", "the service did not accept it", RED),
    NOT_SENT: StatusStyle("○", "not sent", "nothing was paid", GREY),
    Status.FAILED: StatusStyle("✕", "failed", "the service could not make it", RED),
    Status.CANCELLED: StatusStyle("■", "cancelled", "", GREY),
    Status.IN_DOUBT: StatusStyle("?", "in doubt", "the service may or may not have accepted it", AMBER),
    Status.EXPIRED: StatusStyle("∅", "expired", "the service no longer has it", AMBER),
}
_ORDER: Final = tuple(STYLES)
_WORST_FIRST: Final = (
    Status.IN_DOUBT,
    Status.FAILED,
    Status.REFUSED,
    Status.EXPIRED,
    Status.CANCELLED,
    NOT_SENT,
)


def shown_status(row: "JobRow") -> str:
    """Return the key of a row's style: its status, or ``not_sent``."""
    return NOT_SENT if is_not_sent(row) else str(row.status)


def style_of(status: str) -> StatusStyle:
    """Return how a status looks; one that only a newer version knows is shown by its name."""
    return STYLES.get(status) or StatusStyle("•", status.replace("_", " "), "", GREY)


def row_style(row: "JobRow") -> StatusStyle:
    """Return how a row's status looks."""
    return style_of(shown_status(row))


def overall_status(rows: Sequence["JobRow"]) -> str:
    """Return the status that stands for several jobs: one that is open, then what needs a person, then saved."""
    statuses = [shown_status(row) for row in rows]
    open_ones = [status for status, row in zip(statuses, rows, strict=True) if row.status not in SETTLED]
    if open_ones:
        return max(open_ones, key=lambda status: _ORDER.index(status) if status in STYLES else -1)
    return next((status for status in _WORST_FIRST if status in statuses), Status.SAVED)


def count_statuses(rows: Iterable["JobRow"]) -> str:
    """Return how many jobs are in which status: ``1 running, 6 saved, 1 failed``."""
    counts = Counter(shown_status(row) for row in rows)
    known = [status for status in _ORDER if status in counts]
    return ", ".join(f"{counts[s]} {style_of(s).word}" for s in [*known, *sorted(counts.keys() - set(known))])


def cost_sentence(row: "JobRow", cost_text: str) -> str:
    """Say what a job without pictures cost: nothing where the service never bills it, else what is known."""
    if cost_text:
        return cost_text
    if is_not_sent(row):
        return "Nothing: it was not sent."
    if row.status == Status.IN_DOUBT:
        reserved = f" Until you decide, budgets count it as {format_cost_max(row)}."
        return f"Unknown: if it arrived, the service makes it and bills it.{reserved}"
    if row.status == Status.EXPIRED:
        return "Unknown: if it was made, it was billed."
    if row.status in FREE:
        return f"Nothing: a {row_style(row).word} job is not billed."
    return format_cost_max(row)


def ways_out(row: "JobRow") -> list[tuple[str, str]]:
    """Return the three ways out of doubt, each a command and what it does; none is chosen for the person."""
    command = f"%wan resolve {row.id}"
    return [
        (f"{command} adopt {row.task_id or 'TASK'}", "you found it in the service's list: fetch it, pay once"),
        (f"{command} again", "send it again: if the first one arrived too, both are billed"),
        (f"{command} abandon", "give it up: if it arrived, it is made and billed, but not fetched"),
    ]


def explanation(row: "JobRow") -> str:
    """Explain a status that came without an error text."""
    if row.status == Status.IN_DOUBT:
        return "The connection broke while the request was being sent. It is not sent again by itself."
    if row.status == Status.EXPIRED:
        return "The service keeps results for 24 hours; these were not fetched in that time."
    if row.status == Status.CANCELLED:
        return "It was cancelled before the service made anything."
    return "The service gave no reason." if row.status in FINAL else ""
