"""How things read: text from outside made harmless, times, sizes and costs, and how each status looks.

A status is an icon, a word and a sentence, never a colour alone. The colours are middle tones with a contrast of 3:1
on white as well as on JupyterLab's dark ground, since a saved page cannot know where it will be read.
"""

import datetime as dt
import os
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from ..budget import list_price, price_of
from ..database import JobRow
from ..models import MODEL
from ..money import format_amount
from ..request import ImageRequest
from ..text import safe_text
from ..validation import expected_size

SEPARATOR: Final = " · "


def safe_line(text: object, max_chars: int = 0) -> str:
    """Return safe text on one line, cut to ``max_chars`` (0: not cut) with an ellipsis."""
    flat = " ".join(safe_text(text).split())
    return flat if not max_chars or len(flat) <= max_chars else flat[: max_chars - 1].rstrip() + "…"


def join_facts(parts: Sequence[str]) -> str:
    """Join the facts that are not empty with a middle dot."""
    return SEPARATOR.join(part for part in parts if part)


def terminal_width(text: str) -> int:
    """Return how many columns a text takes in a terminal: wide East Asian characters two, combining ones none."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") - bool(unicodedata.combining(char)) for char in text)


def format_day(at: float) -> str:
    """Return a local day: ``24 Nov``, with the year if it is not this one."""
    moment = dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone()
    year = "" if moment.year == dt.datetime.now().astimezone().year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}"


def format_time(at: float | None) -> str:
    """Return a local time: ``24 Nov 14:32``; nothing for None."""
    return "" if at is None else f"{format_day(at)} {dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone():%H:%M}"


def format_duration(seconds: float | None) -> str:
    """Return ``8.4 s``, ``2 min 5 s`` or ``3 h 10 min``; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_eta(remaining_s: tuple[float, float] | None) -> str:
    """Return the time left as a person would say it; nothing as long as nothing is known.

    Parameters
    ----------
    remaining_s
        The 80 % interval of the remaining time, in seconds.
    """
    if remaining_s is None:
        return ""
    low, high = remaining_s
    middle = (max(0.0, low) + high) / 2
    if high < 1 or middle < 4:
        return "longer than usual" if high < 1 else "a few seconds more"
    step = 1 if middle < 10 else 5
    return f"about {round(middle / step) * step} s more" if middle < 90 else f"about {round(middle / 60)} min more"


def relative_path(path: Path) -> str:
    """Return a path from the notebook's folder, with ``/``: what Jupyter serves as a link."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def size_of(row: JobRow) -> str:
    """Return the size of a job's pictures, or what was asked for: ``1280×1280``."""
    saved = next((picture for picture in row.pictures if picture.saved_at and picture.width_px), None)
    return f"{saved.width_px}×{saved.height_px}" if saved else row.size_tier.replace("*", "×")


def format_expected_size(request: ImageRequest) -> str:
    """Return the expected size and whose shape it is: ``≈1108×1478, shape of image 3 (ref)``."""
    expected = expected_size(request)
    if expected is None:  # its last picture is not here yet
        return f"shape of image {len(request.images)} ({request.images[-1].name})" if request.images else ""
    width_px, height_px, whose = expected
    return f"{width_px}×{height_px}" if whose in ("as asked", "default") else f"≈{width_px}×{height_px}, {whose}"


def format_cost_max(row: JobRow) -> str:
    """Return the most that an open job can cost."""
    if row.is_simulated:
        return "$0.00 simulated"
    if row.reserved_amount is not None:
        return f"up to {format_amount(row.reserved_amount, row.reserved_currency or 'USD')}"
    listed = price_of({row.model: row.n}, {row.model: list_price(row.provider, row.model, row.base_url)})
    return f"up to {format_amount(listed.amount, listed.currency)} ({listed.note})" if listed else "price unknown"


def other_model(row: JobRow) -> str:
    """Return the model of a job, if it is not the usual one."""
    return "" if row.model == MODEL else safe_line(row.model, 40)


def duration_of(row: JobRow) -> float | None:
    """Return how long the service worked in seconds, by its own clock if it tells."""
    if row.duration_s is not None or row.finished_at is None or row.accepted_at is None:
        return row.duration_s
    return max(0.0, row.finished_at - row.accepted_at)


class Tone(StrEnum):
    """The colours of states."""

    GREY = "#808080"
    BLUE = "#3d84d6"
    GREEN = "#2f9659"
    AMBER = "#b57a1c"
    RED = "#d7494b"


class StatusStyle(NamedTuple):
    """An icon, a word, what it means in a few words, and its colour."""

    icon: str
    word: str
    meaning: str
    tone: Tone


STYLES: Final = {
    "saved": StatusStyle("✓", "saved", "", Tone.GREEN),
    "not sent": StatusStyle("○", "not sent", "nothing was paid", Tone.GREY),
    "cancelled": StatusStyle("■", "cancelled", "", Tone.GREY),
    "expired": StatusStyle("∅", "expired", "the service no longer has it", Tone.AMBER),
    "refused": StatusStyle("⊘", "refused", "the service did not accept it", Tone.RED),
    "failed": StatusStyle("✕", "failed", "the service could not make it", Tone.RED),
    "in doubt": StatusStyle("?", "in doubt", "the service may or may not have accepted it", Tone.AMBER),
    "queued": StatusStyle("○", "queued", "Recorded, about to be sent", Tone.GREY),
    "sending": StatusStyle("↑", "sending", "on its way to the service", Tone.BLUE),
    "accepted": StatusStyle("◔", "accepted", "the service has it", Tone.BLUE),
    "running": StatusStyle("◐", "running", "the service is making it", Tone.BLUE),
    "succeeded": StatusStyle("↓", "succeeded", "made; being downloaded", Tone.BLUE),
}
"""By the words of `status_words`; the last of several jobs' stands for all: what is open, then what needs a person."""
