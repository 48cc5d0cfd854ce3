"""What the store says of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Saved(NamedTuple):
    """A file in the store: its path relative to the folder, and the number of its bytes."""

    file: str
    size_bytes: int


@dataclass(frozen=True)
class Staged:
    """Bytes that are safe on the disk and have no name yet; ``file`` is the one they are meant to get."""

    temporary: Path
    file: str
    size_bytes: int
    sidecar: str = ""


@dataclass(frozen=True)
class Usage:
    """How much the folder holds, everything counted."""

    size_bytes: int
    files: int
