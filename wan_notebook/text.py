"""Numbers as people write them."""

from __future__ import annotations

from collections.abc import Sequence


def runs_of(numbers: Sequence[int], dash: str) -> list[str]:
    """Write sorted numbers with runs of three and more as ranges: ``5–8``, ``12``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{r[0]}{dash}{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs]
