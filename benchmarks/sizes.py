"""How much is measured: the usual, or what a ``BENCH_…`` variable says."""

from __future__ import annotations

import os


def sizes(name: str, *usual: int) -> list[int]:
    """Return what ``BENCH_<name>`` says, numbers with commas between them, else the usual ones; each at least 1."""
    said = os.environ.get(f"BENCH_{name}", "")
    return [max(1, int(number)) for number in said.split(",") if number.strip()] or list(usual)


def size(name: str, usual: int) -> int:
    """Return one such number."""
    return sizes(name, usual)[0]
