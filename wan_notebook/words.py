"""Split a magic line into words, by hand.

``shlex`` turns ``d["key"]`` into ``d[key]``, splits ``resize((512, 512))`` and fails on ``cat's``; here an expression
stays as it was typed. Spaces, dashes and quotes that come with text pasted from documents are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import CellError

DASHES: Final = "-‐‑‒–—―−"
"""The hyphen-minus, and what word processors make of it."""

IMAGE_SUFFIXES: Final = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)

_PLAIN_DASHES: Final = dict.fromkeys(map(ord, DASHES), "-")
_INVISIBLE: Final = "\u200b\u2060\ufeff"
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}
_CLOSING_QUOTE: Final = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’"}
_STRING_PREFIXES: Final = {"", "r", "b", "f", "u", "rb", "br", "rf", "fr"}
_PLACE: Final = re.compile(r"(https?|file|s3|gs)://|data:|~[^\s/\\]*[/\\]|\.{0,2}[/\\]|[A-Za-z]:[/\\]", re.IGNORECASE)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE: Final = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|([nrt\\"']))""")


@dataclass(frozen=True)
class Word:
    """A piece of a line: what was typed, what it means, and where the next piece may begin."""

    text: str
    value: str
    end: int
    quoted: bool = False


@dataclass(frozen=True)
class OptionWord:
    """The name of an option with plain dashes, as it was typed, where the name begins and where it ends."""

    flag: str
    text: str
    name_start: int
    end: int


def is_space(character: str) -> bool:
    """Say whether a character separates words; non-breaking and zero-width spaces do."""
    return character.isspace() or character in _INVISIBLE


def skip_spaces(line: str, start: int) -> int:
    """Return the first position from ``start`` on that is no space."""
    while start < len(line) and is_space(line[start]):
        start += 1
    return start


def word_end(line: str, start: int) -> int:
    """Return where the next space is, or the line's end."""
    while start < len(line) and not is_space(line[start]):
        start += 1
    return start


def option_at(line: str, start: int) -> OptionWord | None:
    """Read the name of an option that begins here; None for ``-1``, ``-`` and words that are no option.

    A pasted dash may stand for one or for two: a single letter gets one, a longer name two.
    """
    name_start = start
    while name_start < len(line) and line[name_start] in DASHES:
        name_start += 1
    end = name_start
    while end < len(line) and line[end] != "=" and not is_space(line[end]):
        end += 1
    dashes, name = line[start:name_start], line[name_start:end].translate(_PLAIN_DASHES)
    if not dashes or not name or not (name[0].isalpha() or name[0] == "_"):
        return None
    if dashes.strip("-"):
        dashes = "-" if len(name) == 1 or name[1].isdigit() else "--"
    return OptionWord(dashes + name, line[start:end], name_start, end)


def looks_like_place(text: str) -> bool:
    """Say whether a word begins as a URL or a path does, whatever follows."""
    return _PLACE.match(text) is not None


def has_image_suffix(text: str) -> bool:
    """Say whether a word ends as an image file's name does."""
    return text.lower().endswith(IMAGE_SUFFIXES)


def text_at(line: str, start: int) -> Word:
    r"""Read a quoted text (quotes removed, ``\n`` and the like replaced) or a bare word. Raises ``CellError``."""
    if start < len(line) and line[start] in _CLOSING_QUOTE:
        end = _quote_end(line, start)
        # 'tis and the like: an apostrophe that nothing closes is part of a bare word
        if end is not None:
            after = word_end(line, end)
            if after != end:
                raise CellError(
                    f"{line[end:after]} stands directly after the closing quote of {line[start:end]}.",
                    hint="Put a space between them, or use the other kind of quotes around the text.",
                )
            return Word(line[start:end], unescape(line[start + 1 : end - 1]), end, quoted=True)
        if line[start] != "'" and line[start] != "‘":
            raise _unclosed(line, start)
    end = word_end(line, start)
    return Word(line[start:end], line[start:end], end)


def expression_at(line: str, start: int, *, lists: bool = False) -> Word:
    """Read a balanced expression, a path or a URL up to the next space outside brackets and quotes.

    With ``lists`` a comma at the end goes on after the space (``5, 9, 12``). Raises ``CellError`` for what is not
    closed, with its column.
    """
    bare = word_end(line, start)
    if looks_like_place(line[start:bare]):
        return Word(line[start:bare], line[start:bare], bare)
    try:
        end = _balanced_end(line, start, lists=lists)
    except CellError:
        if has_image_suffix(line[start:bare]):
            return Word(line[start:bare], line[start:bare], bare)
        raise
    return Word(line[start:end], _plain_spaces(line[start:end]), end)


def split_list(text: str) -> list[str]:
    """Split the inside of ``[a, f(b, c), "d,e"]`` at its own commas. Raises ``CellError`` if it is not balanced."""
    inside, parts, begin, position = text.strip()[1:-1], [], 0, 0
    while position < len(inside):
        if inside[position] == ",":
            parts.append(inside[begin:position])
            begin = position = position + 1
        else:
            position = _step(inside, position)
    parts.append(inside[begin:])
    return [part.strip() for part in parts if part.strip()]


def unquoted(text: str) -> str | None:
    """Return what stands between the quotes of a word that is one quoted text; None for every other word.

    Backslashes stay, except before a quote: a Windows path is no Python literal.
    """
    if len(text) < 2 or text[0] not in _CLOSING_QUOTE or text[:3] in ('"""', "'''"):
        return None
    if _quote_end(text, 0) != len(text):
        return None
    return text[1:-1].replace("\\" + text[-1], text[-1])


def quote(text: str) -> str:
    """Write a text so that ``text_at`` reads it back; bare if it can be."""
    if text and text[0] not in _CLOSING_QUOTE and text[0] not in DASHES and not any(map(_needs_quotes, text)):
        return text
    return quoted(text)


def quoted(text: str) -> str:
    """Write a text in quotes, on one line, so that ``unescape`` gives it back."""
    return '"' + "".join(map(_escaped, text)) + '"'


def unescape(text: str) -> str:
    r"""Replace ``\n``, ``\t``, ``\\``, ``\"`` and ``\u2028``; every other backslash stays."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPES[m[2]], text)


def _needs_quotes(character: str) -> bool:
    return is_space(character) or not _is_shown(character)


def _is_shown(character: str) -> bool:
    # a joiner is part of an emoji or a letter; beyond the first plane \u cannot name a character
    return character.isprintable() or character in "\u200c\u200d" or ord(character) > 0xFFFF


def _escaped(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    if character == " " or (_is_shown(character) and not is_space(character)):
        return character
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\u{ord(character):04x}")


def _quote_end(line: str, start: int) -> int | None:
    """Return the position after the quote that closes the one at ``start``; a backslash protects a quote."""
    closing, position = _CLOSING_QUOTE[line[start]], start + 1
    while position < len(line):
        if line[position] == "\\":
            position += 2
        elif line[position] == closing:
            return position + 1
        else:
            position += 1
    return None


def _balanced_end(line: str, start: int, *, lists: bool) -> int:
    position = start
    while position < len(line):
        if not is_space(line[position]):
            position = _step(line, position, start=start)
            continue
        after = skip_spaces(line, position)
        if not lists or after == len(line) or not (line[position - 1] == "," or line[after] == ","):
            break
        position = after
    return position


def _step(line: str, position: int, *, start: int = 0) -> int:
    """Return the position after one character, one quoted string, or one pair of brackets with all that is in it."""
    if _opens_string(line, position, start):
        end = _quote_end(line, position)
        if end is None:
            raise _unclosed(line, position)
        return end
    if line[position] not in "([{":
        return position + 1
    open_at = [position]
    position += 1
    while open_at and position < len(line):
        character = line[position]
        if _opens_string(line, position, start):
            end = _quote_end(line, position)
            if end is None:
                raise _unclosed(line, position)
            position = end
            continue
        if character in "([{":
            open_at.append(position)
        elif character in _PAIRS:
            if line[open_at[-1]] != _PAIRS[character]:
                raise CellError(
                    f"{character} in column {position + 1} closes {line[open_at[-1]]} of column {open_at[-1] + 1}.",
                    hint="Close every bracket with its own kind.",
                )
            open_at.pop()
        position += 1
    if open_at:
        raise _unclosed(line, open_at[-1])
    return position


def _opens_string(line: str, position: int, start: int) -> bool:
    """Say whether a quote opens a string: at a word's start or after an operator, not in ``cat's.jpg``."""
    if line[position] not in _CLOSING_QUOTE:
        return False
    before = position
    while before > start and (line[before - 1].isalnum() or line[before - 1] == "_"):
        before -= 1
    return line[before:position].lower() in _STRING_PREFIXES


def _unclosed(line: str, position: int) -> CellError:
    sign = line[position]
    kind = "quote" if sign in _CLOSING_QUOTE else "bracket"
    return CellError(
        f"the {kind} {sign} in column {position + 1} is not closed: {line[position : position + 24]}",
        hint=f"Close it with {_CLOSING_QUOTE.get(sign) or {v: k for k, v in _PAIRS.items()}[sign]}",
    )


def _plain_spaces(text: str) -> str:
    """Replace non-breaking spaces by plain ones outside strings: Python does not read them."""
    pieces, position = [], 0
    while position < len(text):
        if _opens_string(text, position, 0):
            end = _quote_end(text, position) or len(text)
            pieces.append(text[position:end])
        else:
            end = position + 1
            pieces.append(" " if is_space(text[position]) else text[position])
        position = end
    return "".join(pieces)
