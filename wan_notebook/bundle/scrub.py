"""Taking out of text what says whose machine it was: folders of this machine, signatures of addresses, keys."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..folders import FOLDER_NAME
from .document import Document

_SIGNED: Final = re.compile(
    r"(?i)(https?://[^\s\"'<>\\?]+)\?[^\s\"'<>\\]*\b(?:sig|signature|x-amz-\w+|token|expires|ossaccesskeyid|sign)=[^\s\"'<>\\]*"
)
_PLACE: Final = re.compile(
    r"(?<![\w/.:~)-])(?:/(?:home|Users|root|mnt|media|data|tmp|var|srv|opt|scratch|work|private)|[A-Z]:\\{1,2}\w+)"
    r"[/\\][^\s\"'<>()\\,;]+"
)
_BINARY: Final = ("image/", "video/", "audio/", "application/pdf")
KEY_REMOVED: Final = "(key removed)"


@dataclass(frozen=True)
class Scrubber:
    """Replaces what is private. ``places`` are (pattern, replacement), the longest folder first."""

    places: tuple[tuple[re.Pattern[str], str], ...]
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, *, root: Path, store: Path, secrets: Iterable[str], home: Path | None = None) -> Scrubber:
        """Return the scrubber of a project on this machine; ``secrets`` are keys and their fingerprints."""
        places = {
            str(store): FOLDER_NAME,
            str(root): ".",
            sys.prefix: "(python)",
            sys.base_prefix: "(python)",
            tempfile.gettempdir(): "(temporary)",
            str(home or Path.home()): "~",
        }
        spelled = {text: new for old, new in places.items() for text in _spellings(old)}
        ordered = sorted(spelled.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        compiled = tuple((re.compile(rf"{re.escape(old)}(?![\w-])"), new) for old, new in ordered)
        return cls(compiled, tuple(sorted({s for s in secrets if len(s) >= 8}, key=len, reverse=True)))

    def text(self, value: str) -> str:
        """Return a text without what is private."""
        for secret in self.secrets:
            value = value.replace(secret, KEY_REMOVED)
        for pattern, new in self.places:
            value = pattern.sub(new, value)
        return _SIGNED.sub(r"\1?(signature removed)", value) if "://" in value else value

    def data(self, value: Any) -> Any:
        """Return plain data with every text of it scrubbed; encoded pictures are left as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.data(item) for item in value]
        if isinstance(value, dict):
            return {k: v if str(k).startswith(_BINARY) else self.data(v) for k, v in value.items()}
        return value

    def notebook(self, document: Document, original: bytes) -> bytes:
        """Return a notebook's bytes with its outputs and metadata scrubbed; the cells' text is the record and stays.

        The very bytes given if there was nothing to take out.
        """
        content = {key: value if key == "cells" else self.data(value) for key, value in document.content.items()}
        content["cells"] = [self._cell(cell) for cell in document.content["cells"]]
        if content == document.content:
            return original
        try:
            return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
        except UnicodeEncodeError:  # half a character
            return (json.dumps(content, indent=1) + "\n").encode()

    def secrets_in(self, text: str) -> bool:
        """Say whether a text holds a key."""
        return any(secret in text for secret in self.secrets)

    def _cell(self, cell: Any) -> Any:
        if not isinstance(cell, dict):
            return self.data(cell)
        return {key: value if key in ("source", "attachments") else self.data(value) for key, value in cell.items()}


def places_left(document: Document) -> list[str]:
    """Return what still looks like a path of this machine, in code and in outputs: for a person to judge."""
    found = dict.fromkeys(match[0].rstrip(".:") for text in _texts(document.content) for match in _PLACE.finditer(text))
    return list(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not str(key).startswith((*_BINARY, "text/html")):  # ours say the same as text/plain
                yield from _texts(item)


def _spellings(place: str) -> Iterator[str]:
    """Yield how a folder may be written: as it is, resolved, and with the slashes of Python's own texts."""
    for path in {place, str(Path(place).resolve())}:
        if len(Path(path).parts) > 1:  # not the root of a disk
            yield from {path, path.replace("\\", "\\\\"), path.replace("\\", "/")}
