"""The manifest: what a bundle holds, with sizes and hashes. Strict to read, closed to newer versions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ..errors import RecipeError
from ..folders import FOLDER_NAME
from .names import checked_name, refuse_twins, shown

NAME: Final = "manifest.json"
SCHEMA: Final = "wan-notebook/bundle"
VERSION: Final = 1
LEDGER_LINES: Final = "ledger.jsonl"

MAX_BYTES: Final = 64 * 1024 * 1024
"""A manifest line has some 200 bytes; no study has so many pictures."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_ADDRESS: Final = re.compile(r"url:[0-9a-f]{64}\Z")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file of a bundle; ``sha256`` is of its bytes, in hex."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle holds.

    ``notebook`` is its notebook's path, ``named`` are files that its cells name, ``fetched`` kept copies of addresses
    (by the address's hash) in the store. The store is always ``wan-pictures/``.
    """

    notebook: str
    items: tuple[Item, ...]
    named: tuple[str, ...] = ()
    fetched: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    made_by: str = ""

    @property
    def by_path(self) -> dict[str, Item]:
        """The items by path."""
        return {item.path: item for item in self.items}

    def to_bytes(self) -> bytes:
        """Return the JSON text, the same for the same content."""
        content = {
            "schema": SCHEMA,
            "version": VERSION,
            "made_by": self.made_by,
            "notebook": self.notebook,
            "store": FOLDER_NAME,
            "ledger": LEDGER_LINES,
            "named": list(self.named),
            "fetched": dict(sorted(self.fetched.items())),
            "files": [{"path": i.path, "size_bytes": i.size_bytes, "sha256": i.sha256} for i in self.items],
        }
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest of any origin; ``RecipeError`` for a newer version, or for anything that is not sound."""
    content = load_object(data, NAME)
    if content.get("schema") != SCHEMA:
        raise RecipeError("This is no bundle of wan_notebook: its manifest says something else.")
    _check_version(content.get("version"))
    files = _list(content, "files")
    items = tuple(_item(entry) for entry in files)
    refuse_twins([item.path for item in items])
    paths = {item.path for item in items}
    fetched = content.get("fetched", {})
    if not isinstance(fetched, dict) or not all(_is_fetched(k, v, paths) for k, v in fetched.items()):
        raise _damaged("its fetched addresses")
    named = _list(content, "named")
    if not all(isinstance(name, str) and name in paths for name in named):
        raise _damaged("its named files")
    notebook = content.get("notebook")
    if not isinstance(notebook, str) or notebook not in paths or not notebook.endswith(".ipynb"):
        raise _damaged("its notebook")
    if LEDGER_LINES not in paths or content.get("ledger") != LEDGER_LINES or content.get("store") != FOLDER_NAME:
        raise _damaged("its ledger or store")
    return Manifest(notebook=notebook, items=items, named=tuple(named), fetched=fetched)


def load_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse one JSON object of any origin; ``RecipeError`` for what is none, nests too deep, or has no JSON numbers."""
    try:
        value = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"The bundle's {what} is damaged: it is no JSON.") from error
    if not isinstance(value, dict):
        raise RecipeError(f"The bundle's {what} is damaged: it is no object.")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _check_version(version: object) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _damaged("its version")
    if version > VERSION:
        raise RecipeError(
            f"This bundle has version {version}; this wan_notebook reads up to {VERSION}. Nothing was unpacked.",
            hint="Update it: pip install -U wan-notebook.",
        )


def _damaged(what: str) -> RecipeError:
    return RecipeError(f"The bundle's manifest is damaged: {what} cannot be read. Nothing was unpacked.")


def _list(content: Mapping[str, Any], name: str) -> list[Any]:
    value = content.get(name, [])
    if not isinstance(value, list):
        raise _damaged(f"its {name}")
    return value


def _item(entry: object) -> Item:
    if not isinstance(entry, dict):
        raise _damaged("a file's entry")
    path, size, digest = entry.get("path"), entry.get("size_bytes"), entry.get("sha256")
    if not isinstance(path, str):
        raise _damaged("a file's name")
    checked_name(path)
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**53:
        raise _damaged(f"the size of {shown(path)}")
    if not isinstance(digest, str) or not _SHA256.match(digest):
        raise _damaged(f"the hash of {shown(path)}")
    return Item(path=path, size_bytes=size, sha256=digest)


def _is_fetched(key: object, file: object, paths: set[str]) -> bool:
    named = isinstance(key, str) and isinstance(file, str)
    return named and bool(_ADDRESS.match(str(key))) and f"{FOLDER_NAME}/{file}" in paths
