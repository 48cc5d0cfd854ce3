"""A picture's file as it was written: the picture as the service sent it, and what the file says of itself.

Each part has its own hash. The hash of the whole file would say no more, and cost as much again as the picture's.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple, Protocol

from wan_notebook.recipe import chunks

Piece = bytes | memoryview


class Embedded(NamedTuple):
    """A file with its recipe: its bytes in pieces, one behind the other, and the hash of the recipe's part in hex."""

    pieces: tuple[Piece, ...]
    recipe_sha256: str


class Hashes(Protocol):
    """What was recorded of a file, in hex; ``file_sha256`` of the whole one, where an older version wrote it."""

    @property
    def sha256(self) -> str:
        """Hash of the picture as the service sent it."""

    @property
    def recipe_sha256(self) -> str:
        """Hash of the part that holds the recipe; empty if there is none."""

    @property
    def file_sha256(self) -> str:
        """Hash of everything; empty where the recipe's is recorded."""


def put_in(data: bytes, recipe_json: str, parameters: str) -> Embedded:
    """Put a recipe into a PNG, in front of one that is there already; ``changed_in`` tells the two apart."""
    head, block, rest = chunks.put_in(data, recipe_json, parameters)
    return Embedded((head, block, rest), _sha256(block))


def changed_in(data: bytes, recorded: Hashes) -> Literal["", "picture", "recipe"]:
    """Say what of a file is not as it was written: the picture, or only the recipe in it; empty if all is."""
    head, block, rest = chunks.parts(data)
    if _sha256(head, rest) != recorded.sha256:
        if not block or _sha256(data) != recorded.sha256:
            return "picture"
        block = b""  # it is no part of ours: the picture came with it
    if recorded.file_sha256:
        return "" if _sha256(data) == recorded.file_sha256 else "recipe"
    return "" if (_sha256(block) if block else "") == recorded.recipe_sha256 else "recipe"


def _sha256(*pieces: Piece) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()
