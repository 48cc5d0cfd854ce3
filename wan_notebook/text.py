"""Texts that people read: small helpers, and keeping keys out, whether pasted by mistake or echoed by a service."""

import base64
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

# Embeddings, overrides and isolates would reorder what stands around them; marks (LRM, RLM) cannot leave a <bdi>.
_SUSPICIOUS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]")
_LINE_BREAKS: Final = re.compile("\r\n?|[\u2028\u2029\x0b\x0c\x85]")


def pluralize(count: int, noun: str) -> str:
    """Return ``1 picture``, ``3 pictures``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return ``Did you mean --size?`` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"Did you mean {near[0]}?" if near else ""


def file_size(size_bytes: float) -> str:
    """Return a size as people write it: ``812 bytes``, ``1.4 MB`` (decimal units)."""
    size, unit = float(size_bytes), "bytes"
    for larger in ("KB", "MB", "GB"):
        size, unit = (size / 1000, larger) if size >= 1000 else (size, unit)
    return f"{size:.{0 if unit == 'bytes' or size >= 100 else 1}f} {unit}"


def safe_text(text: object) -> str:
    """Return text whose control and reordering characters are visible and do not act; newlines and tabs stay."""
    return _SUSPICIOUS.sub(lambda found: f"[U+{ord(found[0]):04X}]", _LINE_BREAKS.sub("\n", str(text)))


def one_line(text: object, max_chars: int = 80) -> str:
    """Return a text as one safe line: white space and control characters folded, cut with an ellipsis."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1].rstrip()}…"


def ranges(numbers: Sequence[int], dash: str = "–") -> list[str]:
    """Write sorted numbers with runs of three and more as ranges: ``['5–8', '12']``."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return [f"{run[0]}{dash}{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]


# Keys ----------------------------------------------------------------------------------------------------------------

HIDDEN: Final = "•••"
EXPOSED_HINT: Final = "Delete it from this cell: a saved notebook would keep it. `%wan login` asks for a key unseen."
_MARKED: Final = re.compile(r"(?<![\w-])(?:sk|ak|pk)-(?=[\w-]*\d)[\w-]{8,}")
_SHORT_KEY_CHARS: Final = 8
_SPLIT: Final = r"[\W_]{0,4}"
"""What may stand between two characters of a key: lines, quotes, separators, what has no width."""


def looks_like_key(word: str) -> bool:
    """Say whether a word may be a key: marked as one (``sk-…``), or long and random."""
    bare = word.strip().strip("\"'")
    return bool(_MARKED.fullmatch(bare) or re.fullmatch(r"(?a)(?=.*\d)(?=.*[A-Za-z])[\w+=-]{20,}", bare))


def plain_code(code: str) -> str:
    """Return a service's error code in one spelling: ``InvalidParameter`` and ``invalid_parameter`` are the same."""
    return code.lower().replace("_", "")


def shown(word: str) -> str:
    """Return what was typed, quoted for a message, or dots if it may be a key."""
    return HIDDEN if looks_like_key(word) else repr(word)


def mask_keys(text: str) -> str:
    """Hide every word of a text that is marked as a key (``sk-…``)."""
    return _MARKED.sub(HIDDEN, text) if "k-" in text else text


class KeyMask:
    """Finds and hides keys in texts: as they are, reversed, encoded, as codes of characters, split or in halves."""

    def __init__(self, *keys: str) -> None:
        each = dict.fromkeys(filter(None, keys))
        self._patterns = [re.compile(pattern, re.IGNORECASE) for key in each for pattern in _patterns(key)]

    def is_in(self, *texts: str) -> bool:
        """Say whether a key stands in one of these texts in any of these forms."""
        return any(pattern.search(text) for pattern in self._patterns for text in texts)

    def hide(self, text: str) -> str:
        """Return the text with every form of the keys replaced by dots."""
        for pattern in self._patterns:
            text = pattern.sub(HIDDEN, text)
        return text

    def mask(self, text: str) -> str:
        """Return the text with every form of the keys replaced by dots, other marked keys too."""
        return mask_keys(self.hide(text))


def _patterns(key: str) -> Iterator[str]:
    if len(key) < _SHORT_KEY_CHARS:  # "key" or "x" stands in for a key in a test and is part of many words and links
        yield rf"(?<![^\s\"']){re.escape(key)}(?![^\s\"'.,:;])"
        return
    key = key.encode(errors="replace").decode()  # a variable may hold any bytes
    for raw in (key.encode(), key[::-1].encode()):
        # As it is or by its code, in hex (%73, %2573, 0x73, \\x73, \\u0073, U+0073, &#x73;), decimal (&#115;) or octal.
        spelled = [f"(?:{re.escape(chr(byte))}|{byte:02x}|{byte}|{byte:03o})" for byte in raw]
        yield rf"{_SPLIT}(?:(?:25){{1,3}}|0?x|u\+?0{{2,6}})?".join(spelled)
    for encode, block_bytes, block_chars in ((base64.b64encode, 3, 4), (base64.b32encode, 5, 8)):
        for offset in range(block_bytes):  # of a longer text that holds the key at any offset
            encoded = encode(b"\0" * offset + key.encode()).decode()
            core = encoded[block_chars if offset else 0 : len(encoded) - block_chars]
            if len(core) >= _SHORT_KEY_CHARS:
                yield _SPLIT.join({"+": "[+-]", "/": "[/_]"}.get(char, re.escape(char)) for char in core)
    if len(key) >= 24:  # a long part of it: a cut echo
        yield from (re.escape(part) for part in (key[: len(key) // 2], key[len(key) // 2 :]))
