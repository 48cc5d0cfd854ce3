"""Read a magic line: argparse holds the options, a tokenizer finds their values, and all problems come together."""

import argparse
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from ..errors import CellError, Problem
from ..text import EXPOSED_HINT, did_you_mean, looks_like_key, one_line, pluralize
from .tokenize import QUOTES, Flag, Word, flag_of, split_line, unescape, unquoted


class Kind(StrEnum):
    """The type of an argument's value; as argparse's ``type`` it documents the argument and keeps the text as it is."""

    IMAGE = "picture"
    NUMBER = "whole number"
    SEED = "seeds"
    SIZE = "size"
    TEXT = "text"
    TAG = "tag"
    TAGS = "tags"
    NAME = "variable name"
    CHOICE = "choice"
    DURATION = "duration"
    SINCE = "time"
    JOB = "job"
    JOB_OR_FILE = "job or file"
    PATH = "path"
    WORDS = "words"

    def __call__(self, text: str) -> str:
        """Return the text unchanged: values are checked together, with the notebook's variables."""
        return text


EXPRESSIONS: Final = frozenset({Kind.IMAGE, Kind.NUMBER, Kind.SEED, Kind.JOB, Kind.JOB_OR_FILE})
REPEATABLE: Final = frozenset({"image", "tags"})
_METAVARS: Final = {Kind.NUMBER: "N", Kind.DURATION: "SECONDS", Kind.JOB_OR_FILE: "JOB"}
YES: Final = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False, "1": True, "0": False}
_ELSEWHERE: Final = {  # names that other tools use
    **dict.fromkeys(("--width", "--height", "--resolution"), "--size 1280x720"),
    **dict.fromkeys(("--no", "--neg", "--negative-prompt"), "--negative"),
    **dict.fromkeys(("--input", "--images", "--img", "--init", "--init-image", "--reference"), "-i"),
    **dict.fromkeys(("--num", "--count", "--batch"), "-n"),
    **dict.fromkeys(("--out", "--output"), "--as, or `%wan save JOB PATH`"),
    "--name": "--as",
}
_NOT_HERE: Final = ("--steps", "--cfg", "--cfg-scale", "--guidance", "--sampler", "--style", "--stylize", "--v", "--q")
_AS_IT_IS: Final = "In quotes or with --raw it is sent as it is."


class LineError(CellError):
    """Everything that is wrong with a line, and with the request behind it; ``consequence`` is what it led to."""

    def __init__(self, problems: Sequence[Problem], *, consequence: str = "nothing was sent") -> None:
        self.problems = tuple(problem.masked() for problem in problems)
        self.consequence = consequence
        super().__init__("; ".join(str(problem) for problem in self.problems))

    def lines(self) -> list[str]:
        """Return one line a problem."""
        head = f"{pluralize(len(self.problems), 'problem')}, {self.consequence}"
        return [head, *(f"  • {problem}" for problem in self.problems)]


class LineParser(argparse.ArgumentParser):
    """The arguments of ``%%wan`` or of one command, and how they are read from a line.

    ``least`` is how many positional words must be given; ``synopsis`` and ``example`` are for the help.
    """

    def __init__(self, prog: str, summary: str, example: str = "", *, synopsis: str = "", least: int = 0) -> None:
        super().__init__(prog=prog, description=summary, add_help=False, allow_abbrev=False)
        self.summary, self.example, self.synopsis, self.least = summary, example, synopsis, least
        self.options: list[argparse.Action] = []
        self.positionals: list[argparse.Action] = []
        self.argument("-h --help", help="show this help", action="store_true")

    def argument(self, names: str, kind: Kind | None = None, help: str = "", **keywords: Any) -> None:
        """Add an option by its names, or a positional; ``kind`` is None for a switch, ``choices`` are not checked."""
        if kind is not None:
            keywords = {"type": kind, "metavar": _METAVARS.get(kind, kind.name), **keywords}
        if not names.startswith("-"):
            keywords["nargs"] = "*" if kind in (Kind.WORDS, Kind.TAGS) else "?"
        action = self.add_argument(*names.split(), help=help, **keywords)
        (self.options if action.option_strings else self.positionals).append(action)

    def switches(self, **helps: str) -> None:
        """Add switches: ``dry_run="…"`` is ``--dry-run`` with its help."""
        for name, text in helps.items():
            self.argument(f"--{name.replace('_', '-')}", help=text, action="store_true")

    def find(self, name: str) -> argparse.Action | None:
        """Return the option of this name."""
        return next((option for option in self.options if name in option.option_strings), None)

    def positional(self, count: int) -> argparse.Action | None:
        """Return the positional that the word after ``count`` others is; the last one may take several."""
        if count < len(self.positionals):
            return self.positionals[count]
        return self.positionals[-1] if self.positionals and self.positionals[-1].nargs == "*" else None

    def read(self, line: str) -> "ReadLine":
        """Read options and positional words in any order; nothing is raised, problems are listed."""
        read = ReadLine(self, split_line(line))
        while read.read_options():
            read.read_word()
        return read.finished()

    def read_with_text(self, line: str) -> "ReadLine":
        """Read ``options TEXT options``: the options stand before the text, or after it as an unbroken tail."""
        read = ReadLine(self, split_line(line))
        read.read_options()
        words = list(read.words)
        if not words:
            return read.finished(needs_text=True)
        is_marked = words[0].text == "--"
        read.text = line[words[0].start + 2 * is_marked :].strip()
        if not read.problems:
            read.earlier = ReadLine(self, (), options=argparse.Namespace(**vars(read.options)), text=read.text)
        if not is_marked and not read.options.raw:
            # The tail begins where nothing but options follows.
            starts = [at for at in range(1, len(words)) if flag_of(words[at].text)]
            end = next((at for at in starts if not ReadLine(self, words[at:]).read_options()), len(words))
            read.words = deque(words[end:])
            read.read_options()
            if not read.options.raw:
                read.check_text(words[:end])
            read.text = line[words[0].start : words[end - 1].end]
        return read.finished()


@dataclass
class ReadLine:
    """What a line says, while it is read from left to right and afterwards.

    ``options`` holds texts as typed (None for what is not given) and True or False for switches. ``text`` is the
    prompt of ``%wan make``. ``earlier`` is the first edition's reading of the same line: options only before the
    text, which was taken verbatim. ``seen`` keeps what was typed, by destination. ``pending`` is the option at the
    end whose value is still to come.
    """

    parser: LineParser
    given: Sequence[Word]
    options: argparse.Namespace = field(default_factory=argparse.Namespace)
    text: str = ""
    problems: list[Problem] = field(default_factory=list)
    earlier: "ReadLine | None" = None
    positionals: list[str] = field(default_factory=list)
    seen: dict[str, list[str]] = field(default_factory=dict)
    pending: argparse.Action | None = None

    def __post_init__(self) -> None:
        self.words = deque(self.given)
        defaults = {action.dest: action.default for action in (*self.parser.options, *self.parser.positionals)}
        self.options = argparse.Namespace(**defaults | vars(self.options))

    def problem(self, name: str, message: str, hint: str = "") -> None:
        """Note what is wrong with an option or the line."""
        self.problems.append(Problem(name, "", message, hint))

    def read_options(self) -> bool:
        """Read options with their values as long as there are any; say whether words are left."""
        while self.words and (flag := flag_of(self.words[0].text)) and (action := self.parser.find(flag.name)):
            fault = self.words.popleft().fault
            if action.nargs == 0:
                self._switch(action, flag)
            else:
                self._value(action, flag, fault)
        return bool(self.words)

    def read_word(self) -> None:
        """Read a word that is not a known option: a positional, an unknown option, or too much."""
        action = self.parser.positional(len(self.positionals))
        if flag := flag_of(self.words[0].text):
            self.problem(flag.typed, "unknown option.", self._suggestion(flag))
            self._skip()  # what follows was meant as its value: one problem, not two
        elif action is not None:
            word = self.words.popleft()
            text = self._plain(action, self.parser.prog, word.text, word.fault)
            self.positionals += [] if text is None else [text]
        else:
            self._stray()

    def check_text(self, words: Sequence[Word]) -> None:
        """Refuse what looks like an option inside a text: it would be sent, and paid for, as words."""
        for flag in filter(None, (flag_of(word.text) for word in words)):
            if self.parser.find(flag.name):
                self.problem(flag.typed, "stands inside the text.", f"Put it before or after the text. {_AS_IT_IS}")
            elif flag.typed.startswith("--"):
                self.problem(flag.typed, "unknown option.", f"{self._suggestion(flag)} {_AS_IT_IS}")

    def finished(self, *, needs_text: bool = False) -> Self:
        """Return what was read; a missing word is a problem too."""
        missing = [str(action.metavar) for action in self.parser.positionals[len(self.positionals) : self.parser.least]]
        missing += ["a text"] if needs_text else []
        if missing and not self.problems and not self.options.help:
            self.problem(self.parser.prog, f"needs {' and '.join(missing)}.", f"Example: `{self.parser.example}`")
        for position, action in enumerate(self.parser.positionals):
            values = self.positionals[position:]
            setattr(self.options, action.dest, values if action.nargs == "*" else next(iter(values), None))
        return self

    # ------------------------------------------------------------------------------------------------------------------

    def _set(self, action: argparse.Action, typed: str, value: object) -> None:
        before = self.seen.setdefault(action.dest, [])
        before.append(typed)
        if action.dest in REPEATABLE:
            value = [*(getattr(self.options, action.dest) or ()), value]
        elif len(set(before)) > 1:
            self.problem(action.option_strings[0], f"is given more than once: {' and '.join(before)}.", "Keep one.")
        setattr(self.options, action.dest, value)

    def _switch(self, action: argparse.Action, flag: Flag) -> None:
        value = flag.value
        if value is None and flag.name == "--prompt-extend" and self.words and self.words[0].text.lower() in YES:
            value = self.words.popleft().text
        is_yes = YES.get((value or "yes").lower())
        if is_yes is None:
            self.problem(flag.name, f"takes no value such as {value!r}.", f"Write {flag.name} or {flag.name}=false.")
            return
        is_on = is_yes is not flag.name.startswith("--no-")
        self._set(action, flag.name if value is None else f"{flag.name}={value}", is_on)

    def _value(self, action: argparse.Action, flag: Flag, fault: str) -> None:
        value = flag.value
        if not value:
            following = flag_of(self.words[0].text) if self.words and value is None else None
            if not self.words or following:
                self.pending = None if self.words else action
                if action.nargs == "?":
                    self._set(action, flag.name, action.const)
                elif following and not self.parser.find(following.name):
                    quoted = f'{flag.name} "{following.typed}"'
                    self.problem(
                        flag.name, "needs a value.", f"A value that begins with a dash needs quotes: {quoted}."
                    )
                    self._skip()
                else:
                    self.problem(flag.name, "needs a value.", f"Write {flag.name} {action.metavar}.")
                return
            word = self.words.popleft()
            value, fault = word.text, word.fault
        while action.type is Kind.SEED and self.words and (value.endswith(",") or self.words[0].text[0] == ","):
            value = f"{value} {self.words.popleft().text}"  # `5, 9 ,12` is one value
        text = self._plain(action, flag.name, value, fault)
        if text is not None:
            self._set(action, value, text)

    def _plain(self, action: argparse.Action, name: str, typed: str, fault: str) -> str | None:
        """Return a value without its quotes; None, with a problem, for what cannot be read."""
        if fault and (action.type in EXPRESSIONS or (typed[0] in QUOTES and typed[0] not in "'‘")):
            self.problem(name, fault, "Close every quote and bracket.")
            self.words.clear()  # nobody knows what the rest of the line belongs to
            return None
        inner = unquoted(typed)
        if inner is None or action.type in EXPRESSIONS:
            return typed
        return inner if action.type is Kind.PATH else unescape(typed[1:-1])

    def _suggestion(self, flag: Flag) -> str:
        name = flag.name.lower()
        if name in _NOT_HERE:
            return "Wan has no such setting: leave it out."
        known = [name for option in self.parser.options for name in option.option_strings]
        if hint := f"Did you mean {_ELSEWHERE[name]}?" if name in _ELSEWHERE else did_you_mean(name, known):
            return hint
        command = self.parser.prog.lstrip("%").removeprefix("wan").removesuffix(" make")
        return f"`%wan{' help' if command else '?'}{command}` lists the options."

    def _skip(self) -> list[str]:
        """Drop the next word, and what follows it up to the next option; return them."""
        skipped = [self.words.popleft().text]
        while self.words and not flag_of(self.words[0].text):
            skipped.append(self.words.popleft().text)
        return skipped

    def _stray(self) -> None:
        words = self._skip()
        text = " ".join(words)
        if any(map(looks_like_key, words)):
            self.problem(self.parser.prog, "what looks like a key was not used.", EXPOSED_HINT)
        elif not self.parser.prog.startswith("%%"):
            self.problem(self.parser.prog, f"unexpected argument: {text}.", f"Example: `{self.parser.example}`")
        else:
            typed = [values[-1] for values in self.seen.values()][-1:]
            hint = f'A value with spaces needs quotes or brackets ("{typed[0]} {text}"). ' if typed else ""
            hint = f"For another picture repeat -i: -i {text}. " if typed and [*self.seen][-1] == "image" else hint
            hint += "The prompt goes below this line, or into `%wan make TEXT`."
            self.problem("%%wan", f"{one_line(text, 60)!r} is not an option.", hint)
