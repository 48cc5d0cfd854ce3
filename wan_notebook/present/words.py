"""Times, durations and links, as a person reads them."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

_FAR = 4


def day_text(at: float) -> str:
    """Write a day: ``24 Nov``, with the year if it is not this one."""
    moment = dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone()
    year = "" if moment.year == dt.datetime.now().astimezone().year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}"


def when_text(at: float | None) -> str:
    """Write a local time: ``24 Nov 14:32``."""
    if at is None:
        return ""
    return f"{day_text(at)} {dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone():%H:%M}"


def duration_text(seconds: float | None) -> str:
    """Write a duration: ``8.4 s``, ``2 min 5 s``, ``3 h 10 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def eta_text(remaining_s: tuple[float, float] | None) -> str:
    """Write an 80 % interval of the remaining time: ``about 8–14 s more``."""
    if remaining_s is None:
        return ""
    low, high = (max(0, round(s)) for s in remaining_s)
    if high < 1:
        return "any moment"
    end = f"{-(-high // 60)} min" if high >= 120 else f"{high} s"
    if low == 0:
        return f"any moment, within {end}"
    if high >= 120:
        return f"about {low} s to {end} more" if low < 60 else f"about {low // 60}–{end} more"
    return f"about {end} more" if low == high else f"about {low}–{end} more"


def relative_link(path: Path, base: Path) -> str:
    """Return a path from the notebook's folder, with ``/``: what Jupyter serves as a link."""
    try:
        relative = Path(os.path.relpath(path, base))
    except ValueError:  # another drive
        return path.as_posix()
    # Far away it is no link that Jupyter could serve; then the full path says more.
    return path.as_posix() if relative.parts[:_FAR] == ("..",) * _FAR else relative.as_posix()
