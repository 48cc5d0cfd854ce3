"""Read a magic line against a table of options: what was given, and everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .errors import CellError, Problem
from .options import EXPRESSIONS, HELP, Kind, Option
from .secret import EXPOSED, HIDDEN, looks_like_key
from .words import OptionWord, Word, expression_at, option_at, skip_spaces, text_at, word_end

_YES: Final = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False, "1": True, "0": False}
_ELSEWHERE: Final = {  # what other tools call it
    "--ar": "--size 16:9",
    "--aspect": "--size 16:9",
    "--aspect-ratio": "--size 16:9",
    "--width": "--size 1280x720",
    "--height": "--size 1280x720",
    "--no": "--negative",
    "--negative-prompt": "--negative",
    **dict.fromkeys(("--input", "--images", "--img", "--init", "--init-image", "--reference"), "-i"),
    "--num": "-n",
    "--count": "-n",
    "--model": "--provider",
    "--out": "--as, or %wan save JOB PATH",
    "--output": "--as, or %wan save JOB PATH",
}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|sec|m|min|h|d|w|)\Z", re.IGNORECASE | re.ASCII)
_UNIT_S: Final = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Given:
    """One option as it stands on the line: its value, or whether it says yes."""

    option: Option
    flag: str
    word: Word | None = None
    yes: bool = True


@dataclass(frozen=True)
class ReadLine:
    """What a line says. ``words`` are those that belong to no option; ``rest`` is the text from the first one on."""

    given: tuple[Given, ...]
    words: tuple[Word, ...]
    rest: str
    options_text: str
    problems: tuple[Problem, ...]
    hints: tuple[str, ...]

    def words_of(self, name: str) -> tuple[Word, ...]:
        """Return the values of an option, in order."""
        return tuple(g.word for g in self.given if g.option.name == name and g.word is not None)

    def word_of(self, name: str) -> Word | None:
        """Return the value of an option that is given once."""
        return next(iter(self.words_of(name)), None)

    def says(self, name: str) -> bool | None:
        """Return what a flag says, None if it is not given."""
        return next((g.yes for g in reversed(self.given) if g.option.name == name), None)


def read_line(
    line: str, options: Sequence[Option], *, places: Sequence[Kind] | None = None, help_at: str = "%wan?"
) -> ReadLine:
    """Read options and words; nothing is raised, problems are listed.

    ``places`` are the kinds of the words in order, None for a cell's first line, where no word belongs.
    """
    reader = _Reader(line, (*options, HELP), tuple(places or ()), help_at, has_body=places is None)
    reader.read()
    _find_repetitions(reader)
    return ReadLine(
        tuple(reader.given),
        tuple(reader.words),
        reader.rest,
        line[: reader.rest_start].strip(),
        tuple(reader.problems),
        tuple(reader.hints),
    )


def duration_s(text: str) -> float | None:
    """Read ``90``, ``90s``, ``15m``, ``2h``, ``7d`` as seconds; None for what is no duration."""
    match = _DURATION.match(text.strip())
    return float(match[1]) * _UNIT_S[match[2].lower()] if match else None


def nearest(word: str, known: Sequence[str], *, most: int = 3) -> str:
    """Return ``Nearest: a, b.`` for the known words that resemble a word; empty if none does."""
    found = difflib.get_close_matches(word.lower(), known, n=most, cutoff=0.6)
    return f"Nearest: {', '.join(found)}." if found else ""


def line_error(
    problems: Sequence[Problem], more: Sequence[Problem] = (), *, spared: str = "nothing was sent"
) -> CellError:
    """Word the problems of a line, with those of the request behind it, as one error; ``spared`` is what it spared."""
    found = [*problems, *more]
    if len(found) == 1:
        only = found[0]
        return CellError(str(Problem(only.field, only.value, only.message)), hint=only.hint)
    return CellError("\n".join([f"{len(found)} problems, {spared}", *(f"  • {p}" for p in found)]))


@dataclass
class _Reader:
    """The state of reading one line, from left to right."""

    line: str
    options: tuple[Option, ...]
    places: tuple[Kind, ...]
    help_at: str
    has_body: bool
    position: int = 0
    given: list[Given] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    rest: str = ""
    rest_start: int | None = None
    problems: list[Problem] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def read(self) -> None:
        while True:
            self.position = skip_spaces(self.line, self.position)
            if self.position >= len(self.line):
                return
            option = option_at(self.line, self.position)
            try:
                if option:
                    self._read_option(option)
                else:
                    self._read_word()
            except CellError as error:
                # where a bracket or quote is open, nobody knows what the rest of the line is
                name = option.flag if option else "line"
                self.problems.append(Problem(name, "", error.message, error.hint))
                return

    def _read_option(self, typed: OptionWord) -> None:
        flag, value_at = typed.flag, typed.end
        found = self._find(flag)
        if found is None and (short := self._find(flag[:2])) and short.kind is Kind.NUMBER and flag[2:3].isdigit():
            found, flag, value_at = short, flag[:2], typed.name_start + 1  # -n3
        if found is None:
            self._unknown(typed)
            return
        if typed.text != typed.flag and found is not HELP:
            self.hints.append(f"{typed.text} was read as {flag}")
        self.position = value_at
        if found.kind is Kind.FLAG:
            self._read_flag(found, flag)
        else:
            self._read_value(found, flag)

    def _find(self, flag: str) -> Option | None:
        return next((o for o in self.options if flag in o.flags or flag in o.off), None)

    def _unknown(self, typed: OptionWord) -> None:
        known = [flag for option in self.options for flag in (*option.flags, *option.off)]
        flag = typed.flag.lower()
        hint = f"Nearest: {_ELSEWHERE[flag]}." if flag in _ELSEWHERE else nearest(flag, known)
        self.problems.append(
            Problem(typed.text, "", f"unknown option. {hint}".strip(), f"{self.help_at} shows them all.")
        )
        self.position = word_end(self.line, typed.end)
        # what follows was meant as its value: one problem, not two
        while (at := skip_spaces(self.line, self.position)) < len(self.line) and not option_at(self.line, at):
            self.position = word_end(self.line, at)

    def _read_flag(self, option: Option, flag: str) -> None:
        yes = flag not in option.off
        if self.line[self.position : self.position + 1] == "=":
            word = text_at(self.line, self.position + 1)
            self.position = word.end
            said = _YES.get(word.value.lower())
            if said is None:
                self.problems.append(
                    Problem(flag, word.text, "takes no value.", f"Write {flag} alone, or {flag}=false.")
                )
                return
            yes = yes is said
        elif flag in option.says_which:
            at = skip_spaces(self.line, self.position)
            end = word_end(self.line, at)
            if self.line[at:end].lower() in ("true", "false"):
                yes, self.position = self.line[at:end].lower() == "true", end
        self.given.append(Given(option, flag, yes=yes))

    def _read_value(self, option: Option, flag: str) -> None:
        has_equals = self.line[self.position : self.position + 1] == "="
        at = skip_spaces(self.line, self.position + has_equals)
        following = None if has_equals and at == self.position + 1 else option_at(self.line, at)
        if at >= len(self.line) or following:
            self._missing(option, flag, following)
            return
        lists = option.kind is Kind.SEED
        is_expression = option.kind in EXPRESSIONS
        word = expression_at(self.line, at, lists=lists) if is_expression else text_at(self.line, at)
        self.position = word.end
        self.given.append(Given(option, flag, word))

    def _missing(self, option: Option, flag: str, following: OptionWord | None) -> None:
        if option.value_optional:
            self.given.append(Given(option, flag, Word("", "", self.position)))
            return
        hint = f"Write {flag} {option.metavar}"
        if following and not self._find(following.flag):
            hint += f'; a value that begins with a dash needs quotes: {flag} "{following.text}"'
            self.position = following.end  # it was meant as the value: one problem, not two
        self.problems.append(Problem(flag, "", "its value is missing.", f"{hint}."))

    def _read_word(self) -> None:
        if self.places[:1] == (Kind.TEXT_TO_THE_END,):
            dashes = self.line[self.position : word_end(self.line, self.position)] == "--"
            self.rest_start, self.rest = self.position, self.line[self.position + 2 * dashes :].strip()
            self.position = len(self.line)
            return
        count = len(self.words)
        kind = self.places[min(count, len(self.places) - 1)] if self.places else None
        if kind is None or (count >= len(self.places) and kind is not Kind.WORDS):
            self._stray()
            return
        word = (expression_at if kind in EXPRESSIONS else text_at)(self.line, self.position)
        self.words.append(word)
        self.position = word.end

    def _stray(self) -> None:
        start = self.position
        while self.position < len(self.line) and not option_at(self.line, self.position):
            self.position = skip_spaces(self.line, word_end(self.line, self.position))
        text = self.line[start : self.position].strip()
        message, hint = self._about_stray(text)
        if not self.has_body and any(map(looks_like_key, text.split())):
            text, message, hint = HIDDEN, "looks like a key; it was not used.", EXPOSED
        self.problems.append(Problem("line", text if len(text) < 60 else f"{text[:57]}…", message, hint))

    def _about_stray(self, text: str) -> tuple[str, str]:
        last = self.given[-1] if self.given else None
        if not self.has_body:
            return "is one word too many.", f"{self.help_at} shows how it is written."
        if last and last.word and last.option.kind is Kind.IMAGE and re.match(r"[\w~./\"'\[]", text):
            more = (
                f" For another picture repeat {last.flag}: {last.flag} {last.word.text.rstrip(',')} {last.flag} {text}"
            )
        elif last and last.word and not last.word.quoted and last.option.kind in EXPRESSIONS:
            example = f"{last.flag} ({last.word.text} {text.split()[0]} …)"
            more = f" An expression with spaces needs brackets: {example}."
        elif last and last.word and last.option.kind is Kind.NAME:
            more = f" A variable's name has no spaces: {last.flag} {'_'.join([last.word.text, *text.split()])}."
        elif last and last.word and not last.word.quoted:
            more = f' A text with spaces needs quotes: {last.flag} "{last.word.text} {text}".'
        elif last and text.lower() in _YES:
            more = f" Write {last.flag}={text}."
        else:
            more = ""
        return "is no option.", f"The prompt belongs in the cell's text below, or in %wan make TEXT.{more}"


def _find_repetitions(reader: _Reader) -> None:
    for option in reader.options:
        found = [g for g in reader.given if g.option is option]
        if option.kind is Kind.FLAG and len({g.yes for g in found}) > 1:
            both = " and ".join(dict.fromkeys(g.flag for g in found))
            reader.problems.append(Problem(found[-1].flag, "", f"{both} contradict each other.", "Keep one."))
        elif option.kind is not Kind.FLAG and not option.repeatable and len(found) > 1:
            values = " and ".join(g.word.text for g in found if g.word)
            reader.problems.append(Problem(found[-1].flag, "", f"is given more than once: {values}.", "Keep one."))
