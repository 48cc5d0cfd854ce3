"""Words, numbers and signs of the methods paragraph, and their escaping for Markdown and LaTeX."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip  # strftime's depend on the machine's language


@dataclass(frozen=True)
class Style:
    """How a paragraph is written: ``text`` escapes a value of the record, ``code`` sets it in a typewriter face."""

    text: Callable[[str], str]
    code: Callable[[str], str]
    times: str
    dash: str


def listed(parts: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def span_of(times: Sequence[float], dash: str) -> str:
    """Return the days (UTC) that times span: ``on 24–26 November 2026``."""
    first, last = _day(min(times)), _day(max(times))
    if first == last:
        return f"on {first.day} {_month(first)} {first.year}"
    if first.year != last.year:
        return f"between {first.day} {_month(first)} {first.year} and {last.day} {_month(last)} {last.year}"
    if first.month != last.month:
        return f"between {first.day} {_month(first)} and {last.day} {_month(last)} {last.year}"
    return f"on {first.day}{dash}{last.day} {_month(last)} {last.year}"


def _day(at: float) -> dt.date:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).date()


def _month(day: dt.date) -> str:
    return _MONTHS[day.month - 1]


def version_key(text: str) -> list[Any]:
    """Return what sorts versions: 0.9 before 0.10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"[.\-+]", text[:60])]


_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "×": r"$\times$",
    "–": "--",
}


def latex_text(text: str) -> str:
    """Escape text for LaTeX; control characters are dropped, since they end or hide a line there."""
    return "".join(_LATEX.get(c, c) for c in text if c.isprintable())


def markdown_text(text: str) -> str:
    """Escape text for Markdown, HTML included."""
    return re.sub(r"([\\`*_{}\[\]#|~$<>&])", r"\\\1", "".join(c for c in text if c.isprintable()))


def markdown_code(text: str) -> str:
    """Set a name in Markdown's typewriter face."""
    return f"`{''.join(c for c in text if c.isprintable() and c != '`')}`"


MARKDOWN: Final = Style(markdown_text, markdown_code, "×", "–")
LATEX: Final = Style(latex_text, lambda name: rf"\texttt{{{latex_text(name)}}}", r"$\times$", "--")
