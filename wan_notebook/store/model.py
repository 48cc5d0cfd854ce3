"""What the store says of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Saved(NamedTuple):
    """A file in the store: its path relative to the folder, the hash of its bytes in hex, and their number."""

    file: str
    file_sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Staged:
    """Bytes that are safe on the disk and have no name yet; ``file`` is the one they are meant to get."""

    temporary: Path
    file: str
    file_sha256: str
    size_bytes: int
    sidecar: str = ""


@dataclass(frozen=True)
class Usage:
    """How much the folder holds, everything counted."""

    size_bytes: int
    files: int
