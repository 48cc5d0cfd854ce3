"""What a handle needs of the engine behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..ledger import PictureRecord
from .live import LiveJob


class Owner(Protocol):
    """What a handle needs of the engine behind it."""

    def cancel(self, jobs: Sequence[LiveJob]) -> str:
        """Ask the service to cancel and return an honest answer."""

    def read_picture(self, picture: PictureRecord, *, clean: bool) -> bytes:
        """Return a picture's bytes, with its recipe or as the service sent them."""

    def path_of(self, relative: str) -> Path:
        """Return where a file of the store lies."""

    def call_back(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a person's function where it may wait."""
