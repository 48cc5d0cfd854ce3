"""Read a magic line: words that keep Python expressions whole, then options, and all problems together.

``shlex`` turns ``d["key"]`` into ``d[key]``, splits ``resize((512, 512))`` and fails on ``cat's.jpg``. Here a word
goes on through brackets and quotes, and spaces, dashes and quotes pasted from documents are understood. argparse holds
the options; it does not read them, since it would stop at the first problem.
"""

import argparse
import re
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from ..errors import Problem
from ..images import looks_like_image
from ..template import quoted, unescape
from ..text import EXPOSED_HINT, did_you_mean, looks_like_key, one_line

DASHES: Final = "-‐‑‒–—―−"
"""The hyphen-minus, and what word processors make of it."""
QUOTES: Final = "\"'“„‘"
_SPACE: Final = r"\s\u200b\u2060\ufeff"
_ANY_SPACE: Final = re.compile(rf"[{_SPACE}]")
_BARE: Final = re.compile(rf"[^{_SPACE}]+")
_FLAG: Final = re.compile(rf"(?P<dashes>[{DASHES}]+)(?P<name>[^\W\d][^={_SPACE}]*)(?P<equals>=?)")
_STRING: Final = r"""(?:"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*'|“[^”]*”|„[^“]*“|‘[^’]*’)"""
_QUOTED: Final = re.compile(_STRING, re.DOTALL)
# A quote opens a string at a word's start or after an operator, not in cat's.jpg.
_PIECE: Final = re.compile(rf"(?<!\w)[rbfu]{{0,2}}{_STRING}|\w+|.", re.DOTALL | re.IGNORECASE)
_BRACKETS: Final = {"(": ")", "[": "]", "{": "}"}
LOCATION: Final = re.compile(r"(?i)(https?|file|s3|gs)://|data:|~[^\s/\\]*[/\\]|\.{0,2}[/\\]|[a-z]:[/\\]")
"""How a URL or a path begins, whatever follows."""
_NEEDS_NO_QUOTES: Final = re.compile(r"[\w.:/*+@#%,;&=<>|~^$][\w.:/*+@#%,;&=<>|~^$-]*")


# Words ---------------------------------------------------------------------------------------------------------------


class Word(NamedTuple):
    """One word of a line: ``text`` is ``line[start:end]``; ``fault`` says which quote or bracket is not closed."""

    text: str
    start: int
    end: int
    fault: str = ""


def split_line(line: str, start: int = 0) -> list[Word]:
    """Split a line into words; a word with an open bracket or quote ends at the next space and has a ``fault``."""
    words = []
    while bare := _BARE.search(line, start):
        start, end, fault = *bare.span(), ""
        flag = _FLAG.match(line, start)
        value_at = flag.end() if flag and flag["equals"] else start
        value = line[value_at:end]
        if not LOCATION.match(value):
            stop, open_at = _end_of_value(line, value_at, _ANY_SPACE)
            if open_at is None:
                end = stop
            elif not looks_like_image(value):
                fault = f"the {line[open_at]} in column {open_at + 1} is not closed."
        words.append(Word(line[start:end], start, end, fault))
        start = end
    return words


def flag_of(word: str) -> tuple[str, str | None] | None:
    """Read the option that a word begins with: ``—seed=5`` gives ``--seed`` and ``5``, or None without a value.

    None for ``-1``, ``--`` and words that are not options. A pasted dash may stand for one or for two: a single letter
    gets one, a longer name two. ``-n3`` is ``-n=3``.
    """
    match = _FLAG.match(word)
    if match is None:
        return None
    dashes, name = match["dashes"], "-".join(re.split(f"[{DASHES}]", match["name"]))
    value = word[match.end() :] if match["equals"] else None
    if count := re.fullmatch(r"-?n(\d+)", name):
        name, value = "n", count[1]
    if dashes.strip("-"):
        dashes = "-" if len(name) == 1 else "--"
    return dashes + name, value


def split_list(text: str) -> list[str]:
    """Split the inside of ``[a, f(b, c), "d,e"]`` at its own commas; the brackets must be balanced."""
    inside, parts, start = text.strip()[1:-1], [], 0
    while start < len(inside):
        end, _ = _end_of_value(inside, start, re.compile(","))
        parts.append(inside[start:end].strip())
        start = end + 1
    return [part for part in parts if part]


def unquoted(text: str) -> str | None:
    """Return what stands between the quotes of a word that is one quoted text; None for every other word.

    Backslashes stay, except before a quote: a Windows path is not a Python literal.
    """
    return text[1:-1].replace("\\" + text[-1], text[-1]) if _QUOTED.fullmatch(text) else None


def quote(text: str) -> str:
    """Write a text so that it is read back as one value: bare if it can be, else in quotes."""
    return text if _NEEDS_NO_QUOTES.fullmatch(text) else quoted(text)


def _end_of_value(line: str, start: int, stop: re.Pattern[str]) -> tuple[int, int | None]:
    """Return the next ``stop`` outside brackets and strings, and the place of what is not closed, if anything."""
    open_at: list[int] = []
    for piece in _PIECE.finditer(line, start):
        char, at = piece[0], piece.start()
        if char in _BRACKETS:
            open_at.append(at)
        elif char in _BRACKETS.values() and open_at:
            if _BRACKETS[line[open_at[-1]]] != char:
                break
            open_at.pop()
        elif char in QUOTES and (open_at or char not in "'‘") and not line[at - 1 : at].isalnum():
            return at, at  # outside brackets 'tis is a word with an apostrophe
        elif not open_at and stop.match(char):
            return at, None
    return len(line), open_at[-1] if open_at else None


# Options -------------------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    """The type of an argument's value; as argparse's ``type`` it documents the argument and keeps the text as it is."""

    IMAGE = "picture"
    NUMBER = "number"
    SEED = "seeds"
    SIZE = "size"
    TEXT = "text"
    TAG = "tag"
    CHOICE = "choice"
    DURATION = "duration"
    SINCE = "time"
    JOB = "job"
    JOB_OR_FILE = "job or file"
    BATCH = "batch"
    ROWS = "rows"
    PATH = "path"

    def __call__(self, text: str) -> str:
        """Return the text unchanged: values are checked together, with the notebook's variables."""
        return text


EXPRESSIONS: Final = frozenset({Kind.IMAGE, Kind.NUMBER, Kind.SEED, Kind.JOB, Kind.JOB_OR_FILE, Kind.ROWS})
REPEATABLE: Final = frozenset({"image", "tags", "words"})
_METAVARS: Final = {Kind.NUMBER: "N", Kind.DURATION: "SECONDS", Kind.JOB_OR_FILE: "JOB"}
_AS_IT_IS: Final = "In quotes or with --raw it is sent as it is."


Argument = tuple[str, Kind | None, str, dict[str, Any]]
"""Names of an option (``-i --image``) or a positional word, its kind (None for a switch), help, and for argparse."""


class LineParser(argparse.ArgumentParser):
    """The arguments of ``%%wan`` or of one command, and how they are read from a line.

    ``least`` is how many positional words must be given; ``synopsis`` and ``example`` are for the help.
    """

    def __init__(
        self, prog: str, summary: str, example: str, synopsis: str, *arguments: Argument, least: int = 0
    ) -> None:
        super().__init__(prog=prog, description=summary, add_help=False, allow_abbrev=False)
        self.summary, self.example, self.synopsis, self.least = summary, example, synopsis, least
        self.options: list[argparse.Action] = []
        self.named: dict[str, argparse.Action] = {}
        self.positionals: list[argparse.Action] = []
        for names, kind, text, more in (("-h --help", None, "show this help", {}), *arguments):
            usual: dict[str, Any] = {} if "action" in more else {"action": "store_true"}
            if kind is not None:  # choices are not checked by argparse either
                usual = {"type": kind, "metavar": _METAVARS.get(kind, kind.name)}
            if not names.startswith("-"):
                usual |= {"nargs": "*", "default": ()} if names == "words" else {"nargs": "?"}
            action = self.add_argument(*names.split(), help=text, **usual | more)
            (self.options if action.option_strings else self.positionals).append(action)
            self.named |= dict.fromkeys(action.option_strings, action)

    def read(self, line: str) -> "ReadLine":
        """Read options and positional words in any order; nothing is raised, problems are listed."""
        read = ReadLine(self, split_line(line))
        while read.read_options():
            read.read_word()
        if missing := [one for one in self.positionals[: self.least] if not getattr(read.options, one.dest)]:
            read.needs(*(str(one.metavar) for one in missing))
        return read

    def read_with_text(self, line: str) -> "ReadLine":
        """Read ``options TEXT options``: the options stand before the text, or after it as an unbroken tail."""
        read = ReadLine(self, split_line(line))
        read.read_options()
        words = list(read.words)
        if not words:
            return read  # what reads the text says that it is empty
        is_marked = words[0].text == "--"
        read.text = line[words[0].start + 2 * is_marked :].strip()
        if not read.problems:
            read.former = argparse.Namespace(**vars(read.options)), read.text
        if not is_marked and not read.options.raw:
            # The tail begins where nothing but options follows.
            starts = [at for at in range(1, len(words)) if flag_of(words[at].text)]
            end = next((at for at in starts if not ReadLine(self, words[at:]).read_options()), len(words))
            read.words = deque(words[end:])
            read.read_options()
            if not read.options.raw:
                read.check_text(words[:end])
            read.text = line[words[0].start : words[end - 1].end]
        return read


class ReadLine:
    """What a line says, while it is read from left to right and afterwards.

    ``options`` holds texts as typed (None for what is not given) and True or False for switches. ``text`` is the
    prompt of ``%wan make``; ``former`` are options and text as the first edition read them: options only before the
    text, which was taken verbatim. ``pending`` is the option at the end whose value is still to come.
    """

    def __init__(self, parser: LineParser, words: Sequence[Word]) -> None:
        self.parser, self.words, self.text = parser, deque(words), ""
        self.options = argparse.Namespace(**{one.dest: one.default for one in (*parser.options, *parser.positionals)})
        self.former: tuple[argparse.Namespace, str] | None = None
        self.pending: argparse.Action | None = None
        self.problems: list[Problem] = []

    def is_given(self, action: argparse.Action) -> bool:
        """Say whether an argument that can stand only once is there already."""
        return action.dest not in REPEATABLE and getattr(self.options, action.dest) != action.default

    def next_word(self) -> argparse.Action | None:
        """Return the argument that a word would be that is not an option."""
        return next((action for action in self.parser.positionals if not self.is_given(action)), None)

    def problem(self, name: str, message: str, hint: str = "") -> None:
        """Note what is wrong with an option or the line."""
        self.problems.append(Problem(name, "", message, hint))

    def read_options(self) -> bool:
        """Read options with their values as long as there are any; say whether words are left."""
        while self.words and (flag := flag_of(self.words[0].text)) and (action := self.parser.named.get(flag[0])):
            (name, value), fault = flag, self.words.popleft().fault
            if action.nargs != 0:
                self._value(action, name, value, fault)
                continue
            values = {"true": True, "false": False}
            if value is None and name == "--prompt-extend" and self.words and self.words[0].text.lower() in values:
                value = self.words.popleft().text
            is_yes = values.get((value or "true").lower())
            if is_yes is None:
                self.problem(name, f"takes no value such as {value!r}.", f"Write {name} or {name}=false.")
            else:
                self._set(action, is_yes is not name.startswith("--no-"))
        return bool(self.words)

    def read_word(self) -> None:
        """Read a word that is not a known option: a positional, an unknown option, or too much."""
        prog, is_flag = self.parser.prog, flag_of(self.words[0].text) is not None
        if not is_flag and (action := self.next_word()):
            word = self.words.popleft()
            self._set_text(action, prog, word.text, word.fault)
            return
        stray = [self.words.popleft().text]  # with what follows, which was meant as its value: one problem, not two
        while self.words and not flag_of(self.words[0].text):
            stray.append(self.words.popleft().text)
        if any(map(looks_like_key, stray)):
            self.problem(prog, "what looks like a key was not used.", EXPOSED_HINT)
        elif is_flag:
            self._unknown(stray[0])
        else:
            hint = "A value with spaces needs quotes; for another picture repeat -i; the prompt goes below this line."
            hint = hint if prog == "%%wan" else f"Example: `{self.parser.example}`"
            self.problem(prog, f"{one_line(' '.join(stray), 60)!r} is unexpected.", hint)

    def check_text(self, words: Sequence[Word]) -> None:
        """Refuse what looks like an option inside a text: it would be sent, and paid for, as words."""
        for word, flag in ((word.text, flag_of(word.text)) for word in words):
            if flag and flag[0] in self.parser.named:
                self.problem(word, "stands inside the text.", f"Put it before or after the text. {_AS_IT_IS}")
            elif flag and word.startswith("--"):
                self._unknown(word, _AS_IT_IS)

    def _unknown(self, word: str, more: str = "") -> None:
        topic, name = self.parser.prog.strip("%").removeprefix("wan").removesuffix(" make"), word.partition("=")[0]
        hint = did_you_mean(name.lower(), self.parser.named) or f"`%wan help{topic}` lists the options."
        self.problem(name, "unknown option.", f"{hint} {more}".strip())

    def needs(self, *missing: str) -> None:
        """Note which words are missing, unless something else is wrong or help is asked for."""
        if not self.problems and not self.options.help:
            self.problem(self.parser.prog, f"needs {' and '.join(missing)}.", f"Example: `{self.parser.example}`")

    def _set(self, action: argparse.Action, value: object) -> None:
        before = getattr(self.options, action.dest)
        if action.dest in REPEATABLE:
            value = [*(before or ()), value]
        elif before not in (action.default, value):
            self.problem(action.option_strings[0], "is given more than once.", "Keep one.")
        setattr(self.options, action.dest, value)

    def _value(self, action: argparse.Action, name: str, value: str | None, fault: str) -> None:
        """Read the value of an option, which stands behind its ``=`` or in the next word."""
        if not value:
            if not self.words or (value is None and flag_of(self.words[0].text)):
                self.pending = None if self.words else action
                if action.nargs == "?":
                    self._set(action, action.const)
                else:
                    hint = f"Write {name} {action.metavar}; a value that begins with a dash needs quotes."
                    self.problem(name, "needs a value.", hint)
                return
            value, _, _, fault = self.words.popleft()
        while self.words:  # `5, 9` are seeds, `1 week` is a time
            following = self.words[0].text
            has_comma = action.type is Kind.SEED and (value.endswith(",") or following.startswith(","))
            if not has_comma and not (action.type is Kind.SINCE and value.isdecimal() and following.isalpha()):
                break
            value = f"{value} {self.words.popleft().text}"
        self._set_text(action, name, value, fault)

    def _set_text(self, action: argparse.Action, name: str, typed: str, fault: str) -> None:
        """Set an argument to a value without its quotes, or note why it cannot be read."""
        if fault and (action.type in EXPRESSIONS or typed[0] in QUOTES):
            self.problem(name, fault, "Close every quote and bracket.")
            self.words.clear()  # nobody knows what the rest of the line belongs to
            return
        inner = unquoted(typed)
        if inner is not None and action.type not in EXPRESSIONS:
            typed = inner if action.type is Kind.PATH else unescape(typed[1:-1])
        self._set(action, typed)
