"""A key that cannot be shown by accident: the one type in which keys travel."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NoReturn

MASK: Final = "•••"
SHORT: Final = 8


class Secret:
    """A masked string; only ``reveal`` gives it back."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key, for the one header that needs it."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """Return 12 hex digits that tell keys apart without giving one away."""
        return hashlib.sha256(b"wan-notebook key\0" + self._value.encode()).hexdigest()[:12]

    def mask(self, text: str) -> str:
        """Return the text with the key replaced wherever it stands; a very short one only where it is a word."""
        if len(self._value) >= SHORT:
            return text.replace(self._value, MASK)
        # "key" or "x" is a stand-in for a test, and part of many words.
        return re.sub(rf"(?<![\w-]){re.escape(self._value)}(?![\w-])", MASK, text) if self._value else text

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
