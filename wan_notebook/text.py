"""Numbers as people write them."""

from __future__ import annotations

from collections.abc import Sequence


def count_of(number: int, noun: str) -> str:
    """Return ``1 picture``, ``3 pictures``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def was(number: int) -> str:
    """Return the verb that fits a number."""
    return "was" if number == 1 else "were"


def is_or_are(number: int) -> str:
    """Return the verb that fits a number."""
    return "is" if number == 1 else "are"


def runs_of(numbers: Sequence[int], dash: str) -> list[str]:
    """Write sorted numbers with runs of three and more as ranges: ``5–8``, ``12``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{r[0]}{dash}{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs]
