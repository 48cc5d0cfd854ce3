"""Split a magic line into words that keep Python expressions whole.

``shlex`` turns ``d["key"]`` into ``d[key]``, splits ``resize((512, 512))`` and fails on ``cat's.jpg``. Here a word
goes on through brackets and quotes, and typographic spaces, dashes and quotes pasted from documents are understood.
"""

import re
from dataclasses import dataclass
from typing import Final

from ..images import looks_like_image

DASHES: Final = "-‐‑‒–—―−"
"""The hyphen-minus, and what word processors make of it."""
QUOTES: Final = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’"}
"""Each opening quote with the one that closes it."""
_SPACE: Final = r"\s\u200b\u2060\ufeff"
_ANY_SPACE: Final = re.compile(rf"[{_SPACE}]")
_COMMA: Final = re.compile(",")
_BARE: Final = re.compile(rf"[^{_SPACE}]+")
_FLAG: Final = re.compile(rf"(?P<dashes>[{DASHES}]+)(?P<name>[^\W\d][^={_SPACE}]*)(?P<equals>=?)")
_COUNT: Final = re.compile(r"-?n(\d+)")
_PLAIN_DASHES: Final = dict.fromkeys(map(ord, DASHES), "-")
_CLOSES: Final = {")": "(", "]": "[", "}": "{"}
_GROUPING: Final = {*QUOTES, *_CLOSES, *_CLOSES.values()}
_STRING_PREFIX: Final = re.compile(r"(?:^|[^\w])(?:r|b|f|u|rb|br|rf|fr)?\Z", re.IGNORECASE)
_STRINGS: Final = {  # a backslash protects a quote
    opening: re.compile(rf"{opening}(?:\\.|[^\\{closing}])*{closing}", re.DOTALL) for opening, closing in QUOTES.items()
}
_LOCATION: Final = re.compile(
    r"(https?|file|s3|gs)://|data:|~[^\s/\\]*[/\\]|\.{0,2}[/\\]|[A-Za-z]:[/\\]", re.IGNORECASE
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE: Final = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|([nrt\\"']))""")
_WRITTEN: Final = {char: f"\\{letter}" for letter, char in _ESCAPES.items()}


@dataclass(frozen=True)
class Word:
    """One word of a line: ``text`` is ``line[start:end]``; ``fault`` says which quote or bracket is not closed."""

    text: str
    start: int
    end: int
    fault: str = ""


@dataclass(frozen=True)
class Flag:
    """An option's name at the beginning of a word: ``—seed=5`` has the name ``--seed`` and the value ``5``."""

    name: str
    typed: str
    value: str | None


def split_line(line: str, start: int = 0) -> list[Word]:
    """Split a line into words; a word with an open bracket or quote ends at the next space and has a ``fault``."""
    words = []
    while bare := _BARE.search(line, start):
        flag = _FLAG.match(line, bare.start())
        value_start = flag.end() if flag and flag["equals"] else bare.start()
        value, end, fault = line[value_start : bare.end()], bare.end(), ""
        if not is_location(value):
            end, open_at = _balanced_end(line, value_start)
            if open_at is not None:
                end, fault = bare.end(), f"the {line[open_at]} in column {open_at + 1} is not closed."
                fault = "" if looks_like_image(value) else fault
        words.append(Word(line[bare.start() : end], bare.start(), end, fault))
        start = end
    return words


def flag_of(word: str) -> Flag | None:
    """Read the option that a word begins with; None for ``-1``, ``--`` and words that are not options.

    A pasted dash may stand for one or for two: a single letter gets one, a longer name two. ``-n3`` is ``-n=3``.
    """
    match = _FLAG.match(word)
    if match is None:
        return None
    dashes, name = match["dashes"], match["name"].translate(_PLAIN_DASHES)
    value = word[match.end() :] if match["equals"] else None
    if count := _COUNT.fullmatch(name):
        name, value = "n", count[1]
    if dashes.strip("-"):
        dashes = "-" if len(name) == 1 else "--"
    return Flag(dashes + name, match["dashes"] + match["name"], value)


def is_location(text: str) -> bool:
    """Say whether a word begins as a URL or a path does, whatever follows."""
    return _LOCATION.match(text) is not None


def plain_spaces(text: str) -> str:
    """Return a text with ordinary spaces in place of all others, which Python does not read."""
    return _ANY_SPACE.sub(" ", text)


def split_list(text: str) -> list[str]:
    """Split the inside of ``[a, f(b, c), "d,e"]`` at its own commas; the brackets must be balanced."""
    inside, parts, start = text.strip()[1:-1], [], 0
    while start < len(inside):
        end, open_at = _balanced_end(inside, start, _COMMA)
        end = end if open_at is None else len(inside)
        parts.append(inside[start:end].strip())
        start = end + 1
    return [part for part in parts if part]


def unquoted(text: str) -> str | None:
    """Return what stands between the quotes of a word that is one quoted text; None for every other word.

    Backslashes stay, except before a quote: a Windows path is not a Python literal.
    """
    is_quoted = text[:1] in _STRINGS and text[:3] not in ('"""', "'''") and _STRINGS[text[0]].fullmatch(text)
    return text[1:-1].replace("\\" + text[-1], text[-1]) if is_quoted else None


def quote(text: str) -> str:
    """Write a text so that it is read back as one value: bare if it can be, else in quotes."""
    is_bare = text and text[0] not in DASHES and all(_is_plain(char) and char not in _GROUPING for char in text)
    return text if is_bare else quoted(text)


def quoted(text: str) -> str:
    """Write a text in double quotes, on one line, so that ``unescape`` gives it back."""
    return f'"{"".join(map(_escaped, text))}"'


def unescape(text: str) -> str:
    r"""Replace ``\n``, ``\t``, ``\\``, ``\"`` and ``\u2028``; every other backslash stays."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPES[m[2]], text)


def _balanced_end(line: str, start: int, separator: re.Pattern[str] = _ANY_SPACE) -> tuple[int, int | None]:
    """Return the next separator outside brackets and quotes, and where the bracket or quote is that nothing closes."""
    open_at: list[int] = []
    position = start
    while position < len(line):
        char = line[position]
        # A quote opens a string at a word's start or after an operator, not in cat's.jpg.
        if char in QUOTES and _STRING_PREFIX.search(line[max(start, position - 3) : position]):
            string = _STRINGS[char].match(line, position)
            if string is None and (open_at or char not in "'‘"):  # 'tis: an apostrophe is part of a bare word
                return start, position
            position = string.end() if string else position + 1
            continue
        if char in "([{":
            open_at.append(position)
        elif char in _CLOSES and open_at:
            if line[open_at[-1]] != _CLOSES[char]:
                break
            open_at.pop()
        elif not open_at and separator.match(char):
            break
        position += 1
    return position, open_at[-1] if open_at else None


def _is_plain(char: str) -> bool:
    # A joiner is part of an emoji or a letter; beyond the first plane \u cannot name a character.
    return (char.isprintable() or char in "\u200c\u200d" or ord(char) > 0xFFFF) and not _ANY_SPACE.match(char)


def _escaped(char: str) -> str:
    is_kept = char == " " or (_is_plain(char) and char not in '\\"')
    return char if is_kept else _WRITTEN.get(char, f"\\u{ord(char):04x}")
