"""One picture on its way to the disk: where it stands, what of it is in memory, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..client import DownloadProgress
from ..ledger import PictureRecord


@dataclass
class Held:
    """Bytes kept in memory because the disk is full, up to a bound."""

    most_bytes: int = 256 * 1024 * 1024
    bytes_now: int = 0

    def has_room(self) -> bool:
        """Whether one more picture may be kept."""
        return self.bytes_now < self.most_bytes

    def take(self, count: int) -> None:
        """Count what is kept."""
        self.bytes_now += count

    def release(self, count: int) -> None:
        """Count what was written."""
        self.bytes_now -= count


@dataclass(frozen=True)
class Fetched:
    """What became of one picture: saved, kept aside as no picture, gone for good, or left for a person to see to."""

    record: PictureRecord
    how: Literal["saved", "aside", "gone", "left"]
    reason: str = ""


@dataclass(eq=False)
class Attempt:
    """One picture on its way to the disk, over as many fetches as it takes."""

    picture: PictureRecord
    part: Path
    progress: DownloadProgress = field(default_factory=DownloadProgress)
    data: bytes | None = None
    held_bytes: int = 0
    sha256: str = ""
    failures: int = 0
    refreshed: int = 0
