"""A key that cannot be shown by accident: the one type in which keys travel; and texts into which one was pasted."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NoReturn

SHORT: Final = 8
HIDDEN: Final = "•••"
EXPOSED: Final = "Delete it from this cell, since a saved notebook would hold it; `%wan login` asks for a key unseen."
_MARKED: Final = re.compile(r"(?<![\w-])(?:sk|ak|pk)-(?=[\w-]*\d)[\w-]{8,}")
_LONG: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+=-]{20,}", re.ASCII)


def looks_like_key(text: str) -> bool:
    """Say whether a word may be a key that was pasted where none belongs: marked as one, or long and random."""
    bare = text.strip().strip("\"'")
    return _MARKED.fullmatch(bare) is not None or _LONG.fullmatch(bare) is not None


def shown(text: str) -> str:
    """Return what was typed, quoted for a message, unless it may be a key."""
    return HIDDEN if looks_like_key(text) else repr(text)


def mask_keys(text: str) -> str:
    """Return a text without anything in it that is marked as a key (``sk-…``)."""
    return _MARKED.sub(HIDDEN, text) if "k-" in text else text


class Secret:
    """A masked string; only ``reveal`` gives it back. ``source`` says where it was found: a variable, a file."""

    __slots__ = ("_value", "fingerprint", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source
        self.fingerprint = hashlib.sha256(b"wan-notebook key\0" + value.encode()).hexdigest()[:12]
        """12 hex digits that tell keys apart without giving one away."""

    def reveal(self) -> str:
        """Return the key, for the one header that needs it."""
        return self._value

    def mask(self, text: str) -> str:
        """Return the text with the key replaced wherever it stands; a very short one only where it is a word."""
        if len(self._value) >= SHORT:
            return text.replace(self._value, HIDDEN)
        # "key" or "x" is a stand-in for a test, and part of many words.
        return re.sub(rf"(?<![\w-]){re.escape(self._value)}(?![\w-])", HIDDEN, text) if self._value else text

    def __repr__(self) -> str:
        return "Secret(•••)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        message = "a key is never written to a file"
        raise TypeError(message)
