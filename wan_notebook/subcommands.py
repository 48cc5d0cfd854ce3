"""Read ``%wan SUBCOMMAND …`` into plain data; somebody else carries it out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from .errors import CellError, Problem
from .line import ReadLine, duration_s, line_error, nearest, read_line
from .money import SYMBOLS, read_amount
from .options import Kind, Option, Subcommand, subcommand, subcommand_names
from .secret import EXPOSED, HIDDEN, looks_like_key
from .words import Word, option_at, skip_spaces, unquoted, word_end

_SINCE_MAX_S: Final = 36500 * 86400
_ALL: Final = "%wan? shows them all."


@dataclass(frozen=True)
class SubCall:
    """One ``%wan`` line. ``positionals`` are words as typed (quotes removed); ``options`` holds only what was given.

    Values are typed: flags ``bool``, counts and seeds ``int``, ``timeout`` seconds, ``since`` a ``timedelta`` (so long
    ago) or a naive local ``datetime``, ``tags`` a tuple; a flag that takes a value or not gives ``""`` without one.
    ``make`` has the text as its positional and the options before it, unread, as ``options["line"]``. ``budget`` has
    ``amount`` (``Decimal``) and ``currency``, or ``pictures``, or ``off``; ``config`` has ``settings``, a mapping.
    """

    name: str
    positionals: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def read_subcall(line: str) -> SubCall:
    """Read what stands after ``%wan``. Raises ``CellError`` with the nearest commands or with every problem."""
    start = skip_spaces(line, 0)
    if start == len(line):
        return SubCall("status")
    if option := option_at(line, start):
        if option.flag in ("-h", "--help"):
            return SubCall("help")
        raise _unknown(line.strip())
    end = word_end(line, start)
    command = subcommand(line[start:end])
    if command is None:
        raise _unknown(line.strip())
    read = read_line(line[end:], command.options, places=command.places, help_at=f"%wan help {command.name}")
    if read.says("help"):
        return SubCall("help", (command.name,))
    return _call(command, read)


def _unknown(text: str) -> CellError:
    first, *others = text.split()
    if any(map(looks_like_key, (first, *others))):
        return CellError("that looks like a key; it was not used.", hint=EXPOSED)
    near = difflib.get_close_matches(first.lower(), subcommand_names(), n=3, cutoff=0.6 if not others else 0.75)
    make = f"For a picture: %wan make {text if len(text) <= 80 else text[:77] + '…'}"
    if first[0] in "-–—":
        return CellError(f"{first} stands before any command.", hint=make)
    if near:
        return CellError(f"no command {first}.", hint=f"Nearest: {', '.join(near)}. {make}")
    known = ", ".join(subcommand_names())
    return CellError(f"no command {first}.", hint=f"{make}\n    Commands: {known}. {_ALL}")


def _call(command: Subcommand, read: ReadLine) -> SubCall:
    problems = list(read.problems)
    options: dict[str, Any] = {}
    for option in {given.option.name: given.option for given in read.given}.values():
        value = _option_value(option, read, problems)
        if value is not None:
            options[option.name] = value
    if command.places == (Kind.TEXT_TO_THE_END,):
        words: tuple[str, ...] = (read.rest,) if read.rest else ()
        options = {"line": read.options_text}
    else:
        words = tuple(_plain(word) for word in read.words)
    if len(words) < command.least and not problems:
        problems.append(
            Problem(command.name, "", "something is missing.", f"Write %wan {command.name} {command.usage}")
        )
    check = _CHECKS.get(command.name)
    if check and not problems:
        words = check(command, words, options, problems)
    if problems:
        problems = [replace(p, value=HIDDEN) if looks_like_key(p.value) else p for p in problems]
        spared = "nothing was sent" if command.name == "make" else "nothing was done"
        raise line_error(problems, spared=spared)
    return SubCall(command.name, words, MappingProxyType(options))


def _plain(word: Word) -> str:
    if word.quoted:
        return word.value
    text = unquoted(word.value)
    return word.value if text is None else text


def _option_value(option: Option, read: ReadLine, problems: list[Problem]) -> Any:
    if option.kind is Kind.FLAG:
        return read.says(option.name)
    values = [_value(option, _plain(word), problems) for word in read.words_of(option.name)]
    return tuple(values) if option.repeatable else values[0]


def _value(option: Option, text: str, problems: list[Problem]) -> Any:
    """Return a value in its type; None, with a problem, for what cannot be read."""
    found: Any = text
    message, hint = "cannot be read.", ""
    if option.kind is Kind.CHOICE:
        found = text.lower() if text.lower() in option.choices else None
        message, hint = "is none of the choices.", f"Choose {', '.join(option.choices)}."
    elif option.kind is Kind.NUMBER:
        found = int(text) if re.fullmatch(r"\d{1,10}", text, re.ASCII) else None
        message, hint = "is no whole number.", f"Write {option.flags[0]} 5"
    elif option.kind is Kind.DURATION:
        found = duration_s(text) or None
        message, hint = "is no time.", "Write seconds, 90s or 15m."
    elif option.kind is Kind.SINCE:
        found = read_since(text)
        message, hint = "is no time.", "Write 7d, 12h, or a day such as 2026-11-24."
    elif option.kind is Kind.PATH and not text.strip():
        found, message = None, "is empty."
    if found is None:
        problems.append(Problem(option.flags[0], text, message, hint))
    return found


def read_since(text: str) -> timedelta | datetime | None:
    """Read ``7d`` (so long ago), a day or a moment in ISO form; None if it is no time."""
    seconds = duration_s(text)
    if seconds is not None and not text.strip().isdigit():
        return timedelta(seconds=seconds) if 0 < seconds <= _SINCE_MAX_S else None
    try:
        return datetime.fromisoformat(text) if "-" in text else None
    except ValueError:
        return None


# Words with rules of their own -------------------------------------------------------------------------------------

Words = tuple[str, ...]


def _check_resolve(command: Subcommand, words: Words, _options: dict[str, Any], problems: list[Problem]) -> Words:
    if len(words) < 2:
        return words
    choice = words[1].lower()
    if choice not in command.choices:
        hint = nearest(choice, command.choices) or f"Choose {', '.join(command.choices)}."
        problems.append(Problem("resolve", words[1], "is none of the choices.", hint))
    elif (choice == "adopt") != (len(words) == 3):
        text = "needs the task's id." if choice == "adopt" else f"takes nothing after it, but {words[-1]} is there."
        problems.append(Problem("resolve", choice, text, f"Write %wan resolve {words[0]} {choice}…"))
    return (words[0], choice, *words[2:])


def _check_budget(_command: Subcommand, words: Words, options: dict[str, Any], problems: list[Problem]) -> Words:
    text = " ".join(words)
    if not text:
        return ()
    if text.lower() == "off":
        options["off"] = True
        return ()
    number, _, unit = text.partition(" ")
    if unit.lower() in ("picture", "pictures"):
        if re.fullmatch(r"\d{1,9}", number, re.ASCII):
            options["pictures"] = int(number)
        else:
            problems.append(Problem("budget", number, "is no whole number of pictures.", "Write 40 pictures."))
        return ()
    amount, currency = read_amount(text) or (None, None)
    if amount is None:
        hint = f"Write 5.00, 5.00 CNY ({', '.join(SYMBOLS)}), 40 pictures, or off."
        problems.append(Problem("budget", text, "is no amount.", hint))
    options |= {"amount": amount, "currency": currency}
    return ()


def _check_config(_command: Subcommand, words: Words, options: dict[str, Any], problems: list[Problem]) -> Words:
    settings: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip()
        if not equals or not key:
            is_key = looks_like_key(word)
            hint = EXPOSED if is_key else 'Write KEY=VALUE without spaces, or "KEY=a b".'
            problems.append(Problem("config", HIDDEN if is_key else word, "is no setting.", hint))
        elif key in settings:
            problems.append(Problem("config", key, "is given more than once.", "Keep one."))
        else:
            settings[key] = value.strip()
    if settings:
        options["settings"] = MappingProxyType(settings)
    return ()


def _check_bundle(_command: Subcommand, words: Words, options: dict[str, Any], problems: list[Problem]) -> Words:
    if "open" in options and (words or len(options) > 1):
        problems.append(Problem("--open", "", "stands alone.", f"Write %wan bundle --open {options['open']}"))
    elif not words and "open" not in options:
        problems.append(Problem("bundle", "", "needs a PATH.", "Write %wan bundle paper.zip, or --open paper.zip"))
    return words


def _check_help(_command: Subcommand, words: Words, _options: dict[str, Any], problems: list[Problem]) -> Words:
    found = subcommand(words[0]) if words else None
    if words and found is None:
        problems.append(Problem("help", words[0], "is no command.", nearest(words[0], subcommand_names()) or _ALL))
    return (found.name,) if found else ()


_CHECKS: Final[dict[str, Callable[[Subcommand, Words, dict[str, Any], list[Problem]], Words]]] = {
    "resolve": _check_resolve,
    "budget": _check_budget,
    "config": _check_config,
    "bundle": _check_bundle,
    "help": _check_help,
}
