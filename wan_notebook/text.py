"""Small helpers for texts that people read."""

import difflib
from collections.abc import Iterable, Sequence

_BYTE_UNITS = ("bytes", "KB", "MB", "GB")


def pluralize(count: int, noun: str) -> str:
    """Return ``1 picture``, ``3 pictures``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return ``Did you mean --size?`` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"Did you mean {near[0]}?" if near else ""


def file_size(size_bytes: float) -> str:
    """Return a size as people write it: ``812 bytes``, ``1.4 MB`` (decimal units)."""
    size = float(size_bytes)
    for unit in _BYTE_UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_BYTE_UNITS[-1]}"


def one_line(text: object, max_chars: int = 80) -> str:
    """Return a text as one safe line: white space and control characters folded, cut with an ellipsis."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1].rstrip()}…"


def ranges(numbers: Sequence[int], dash: str = "–") -> list[str]:
    """Write sorted numbers with runs of three and more as ranges: ``['5–8', '12']``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}{dash}{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
