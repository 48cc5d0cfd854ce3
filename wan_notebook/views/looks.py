"""How each state of a job looks and what it says: one vocabulary for gallery, live card, tables and terminal.

A state is an icon, a word and a sentence, never a colour alone. The colours are middle tones that keep a contrast of
3:1 on white as well as on JupyterLab's dark ground, since a saved page cannot know where it will be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from wan_notebook.states import FINAL, FREE, JobState
from wan_notebook.views.model import CardView, JobView

GREY: Final = "#808080"
BLUE: Final = "#3d84d6"
GREEN: Final = "#2f9659"
AMBER: Final = "#b57a1c"
RED: Final = "#d7494b"


@dataclass(frozen=True)
class Look:
    """The icon, the word, what it means in a few words, and its colour."""

    icon: str
    word: str
    meaning: str
    tone: str


NEVER_SENT: Final = "never_sent"
"""What is shown of a job that is refused in the ledger, although no service ever saw it."""

LOOKS: Final[dict[str, Look]] = {
    JobState.INTENT: Look("○", "queued", "written down, about to be sent", GREY),
    JobState.SENDING: Look("↑", "sending", "on its way to the service", BLUE),
    JobState.ACCEPTED: Look("◔", "accepted", "sent, the service has it", BLUE),
    JobState.RUNNING: Look("◐", "running", "the service is making it", BLUE),
    JobState.SUCCEEDED: Look("↓", "succeeded", "made; being fetched and saved", BLUE),
    JobState.SAVED: Look("✓", "saved", "", GREEN),
    JobState.REFUSED: Look("⊘", "refused", "the service did not accept it", RED),
    NEVER_SENT: Look("○", "never sent", "the program ended first; nothing was paid", GREY),
    JobState.FAILED: Look("✕", "failed", "the service could not make it", RED),
    JobState.CANCELLED: Look("■", "cancelled", "", GREY),
    JobState.IN_DOUBT: Look("?", "in doubt", "it may have been accepted, or not", AMBER),
    JobState.EXPIRED: Look("∅", "expired", "the service keeps it no longer", AMBER),
}
_ORDER: Final = tuple(LOOKS)
_WORST_FIRST: Final = (
    JobState.IN_DOUBT,
    JobState.FAILED,
    JobState.REFUSED,
    JobState.EXPIRED,
    JobState.CANCELLED,
    NEVER_SENT,
)


def look(state: str) -> Look:
    """Return how a state looks; one that a newer ledger knows is shown by its name."""
    return LOOKS.get(state) or Look("•", state.replace("_", " "), "", GREY)


def is_final(state: str) -> bool:
    """Say whether nothing more happens by itself and nothing is owed."""
    return state in FINAL or state == NEVER_SENT


def plural(count: int, noun: str) -> str:
    """Return ``1 picture`` or ``2 pictures``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def summary(jobs: Iterable[JobView]) -> str:
    """Return how many jobs are in which state: ``1 running, 6 saved, 1 failed``."""
    counts = Counter(job.state for job in jobs)
    known = [state for state in _ORDER if state in counts]
    return ", ".join(f"{counts[s]} {look(s).word}" for s in [*known, *sorted(counts.keys() - set(known))])


def total_phrase(card: CardView) -> str:
    """Return ``total $0.24 reported``, or ``up to $0.24`` as it is; of what has no price at all, only that."""
    text = " ".join(card.total_text.split())
    if text.endswith(" unknown") and text.split()[0].isdecimal() and len(text.split()) == 2:
        return "price unknown"
    return text if not text or text.startswith("up to") else f"total {text}"


def served_lines(jobs: Sequence[JobView]) -> list[tuple[str, str]]:
    """Return what came from the store and how to have a new picture, once for all jobs of which the same is true."""
    served = [job for job in jobs if job.replay_text]
    again = {job.replay_text: job.again_text for job in reversed(served) if job.again_text}
    counts = Counter(job.replay_text for job in served)
    some = len(counts) > 1 or len(served) < len(jobs)
    return [
        (f"{count} of {len(jobs)} {text}" if some and len(jobs) > 1 else text, again.get(text, ""))
        for text, count in counts.items()
    ]


def card_state(card: CardView) -> str:
    """Return the state that stands for the whole card: still open first, then what needs a person, then saved."""
    states = [job.state for job in card.jobs]
    open_ones = [s for s in states if not is_final(s) and s != JobState.IN_DOUBT]
    if open_ones:
        return max(open_ones, key=lambda s: _ORDER.index(s) if s in LOOKS else -1)
    return next((s for s in _WORST_FIRST if s in states), JobState.SAVED)


def cost_sentence(job: JobView) -> str:
    """Say what a job without pictures cost: nothing, if the service never bills it; else the truth that is known."""
    if job.cost_text:
        return job.cost_text
    match job.state:
        case JobState.IN_DOUBT:
            held = f" Until you decide, the budget counts it as {job.most_text}." if job.most_text else ""
            return "Unknown: if it arrived, the service makes it and bills it." + held
        case JobState.EXPIRED:
            return "Unknown: if it was made, it was billed."
        case "never_sent":
            return "Nothing: it was never sent."
        case state if state in FREE:
            return f"Nothing: a {look(state).word} job is not billed."
    return job.most_text


def next_sentence(job: JobView) -> str:
    """Say what to do next, for a state that ends without a picture."""
    if job.next_text:
        return job.next_text
    match job.state:
        case JobState.REFUSED:
            return "Correct what is named above, then run the cell again."
        case JobState.FAILED:
            return "Run the cell again to ask anew, or change the prompt or the pictures first."
        case JobState.CANCELLED:
            return "Run the cell again to ask anew."
        case "never_sent":
            return "Run the same cell or line again to ask."
        case JobState.EXPIRED:
            adopt = f"`%wan resolve {job.job_id} adopt {job.task_id or 'TASK'}` looks for it once more"
            return f"{adopt}. To have new pictures, at their price, run the cell again."
    return ""


def choices(job: JobView) -> tuple[tuple[str, str], ...]:
    """Return the three ways out of doubt: a command, and what it does. None is chosen for the person."""
    command = f"%wan resolve {job.job_id}"
    return (
        (f"{command} adopt {job.task_id or 'TASK'}", "you found it in the service's list: fetch it, pay once"),
        (f"{command} again", "send it again: if the first one arrived too, both are billed"),
        (f"{command} abandon", "give it up: if it arrived, it is made and billed, and not fetched"),
    )


def headline(job: JobView) -> str:
    """Return the meaning of a job's state in words, with what only this job knows."""
    if job.state == JobState.SAVED:
        return "" if job.pictures else "0 pictures"
    if job.cancel_requested and not is_final(job.state):
        return "cancel requested"
    return look(job.state).meaning
