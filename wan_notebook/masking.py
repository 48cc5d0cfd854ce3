"""Keeping keys out of texts: keys that were pasted by mistake, and one known key in all its forms."""

import base64
import hashlib
import re
from typing import Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "•••"
EXPOSED_HINT: Final = "Delete it from this cell: a saved notebook would keep it. `%wan login` asks for a key unseen."
_MARKED: Final = re.compile(r"(?<![\w-])(?:sk|ak|pk)-(?=[\w-]*\d)[\w-]{8,}")
_LONG: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+=-]{20,}", re.ASCII)
_SHORT_KEY_CHARS: Final = 8
_PART_CHARS: Final = 12


def looks_like_key(word: str) -> bool:
    """Say whether a word may be a key: marked as one (``sk-…``), or long and random."""
    bare = word.strip().strip("\"'")
    return _MARKED.fullmatch(bare) is not None or _LONG.fullmatch(bare) is not None


def shown(word: str) -> str:
    """Return what was typed, quoted for a message, or dots if it may be a key."""
    return HIDDEN if looks_like_key(word) else repr(word)


def mask_keys(text: str) -> str:
    """Hide every word of a text that is marked as a key (``sk-…``)."""
    return _MARKED.sub(HIDDEN, text) if "k-" in text else text


def key_fingerprint(key: str) -> str:
    """Return 12 hex digits that tell keys apart without giving one away."""
    return hashlib.sha256(b"wan-notebook key\0" + key.encode()).hexdigest()[:12]


class KeyMask:
    """Finds and hides one key in texts: as it is, in base64, hex or percent form, split or in halves."""

    __slots__ = ("_long", "_patterns")

    def __init__(self, key: str) -> None:
        self._long = len(key) >= _SHORT_KEY_CHARS
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in _patterns(key)] if key else []

    def __repr__(self) -> str:
        return "KeyMask(•••)"

    def is_in(self, text: str) -> bool:
        """Say whether the key stands in a text in any of these forms."""
        return any(pattern.search(text) for pattern in self._patterns)

    def mask(self, text: str) -> str:
        """Return the text with every form of the key replaced by dots, other marked keys too."""
        for pattern in self._patterns:
            text = pattern.sub(HIDDEN, text)
        return mask_keys(text)


def _patterns(key: str) -> list[str]:
    if len(key) < _SHORT_KEY_CHARS:  # "key" or "x" stands in for a key in a test and is part of many words
        return [rf"(?<![\w-]){re.escape(key)}(?![\w-])"]
    raw = key.encode()
    forms = {key, quote(key, safe=""), quote_plus(key), raw.hex(), "".join(f"%{byte:02x}" for byte in raw)}
    for offset in range(3):  # base64 of a longer text that holds the key at any offset
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        core = encoded[4 if offset else 0 : len(encoded) - 4] if len(encoded) > 12 else encoded
        forms |= {core, core.replace("+", "-").replace("/", "_")}
    patterns = [re.escape(form) for form in sorted(forms, key=len, reverse=True) if len(form) >= _SHORT_KEY_CHARS]
    # Split over lines or by separators, and a long part of it (a cut echo).
    patterns.append(r"[\s.,;:|_\"'+\\-]{0,3}".join(re.escape(char) for char in key))
    if len(key) >= 2 * _PART_CHARS:
        half = len(key) // 2
        patterns += [re.escape(key[:half]), re.escape(key[half:])]
    return patterns
