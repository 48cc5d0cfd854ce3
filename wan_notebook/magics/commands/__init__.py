"""The commands of ``%wan``: each takes its typed options and a context, and shows what it did."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from ...errors import CellError, Problem, RequestError
from ...text import EXPOSED_HINT, did_you_mean, looks_like_key, one_line
from ..expressions import read_value
from ..options import ALIASES, command_parsers, find_command
from ..parser import Kind, LineError
from ..tokenize import flag_of, split_line
from .context import Context

_MODULE_OF: Final = {
    **dict.fromkeys(("", "help", "history"), "history"),
    **dict.fromkeys(("show", "wait", "cancel", "resume", "resolve", "save", "star", "tag", "trash"), "jobs"),
    **dict.fromkeys(("cost", "budget"), "costs"),
    **dict.fromkeys(("config", "doctor", "nest"), "setup"),
    **dict.fromkeys(("login", "logout"), "login"),
    **dict.fromkeys(("panel", "recall"), "panel"),
    **dict.fromkeys(("bundle", "verify", "methods"), "research"),
}


@dataclass(frozen=True)
class Command:
    """One ``%wan`` line: the command's name, and its options by destination, each in its type."""

    name: str
    options: argparse.Namespace


def run_command(line: str, context: Context) -> None:
    """Carry out one line."""
    command = read_command(line, context.namespace)
    module = import_module(f".{_MODULE_OF[command.name]}", __name__)
    run: Callable[[argparse.Namespace, Context], None] = getattr(module, f"run_{command.name or 'status'}")
    run(command.options, context)


def read_command(line: str, namespace: Mapping[str, Any] = MappingProxyType({})) -> Command:
    """Read what follows ``%wan``. Jobs stay as typed: the session looks them up.

    Raises
    ------
    CellError
        With the nearest command, or with everything that is wrong.
    """
    words = split_line(line)
    first = words[0].text if words else "status"
    if (flag := flag_of(first)) and flag.name in ("-h", "--help"):
        first = "help"
    parser = find_command(first)
    if parser is None:
        raise _unknown_command(line.strip(), first)
    read = parser.read(line[words[0].end :] if words else "")
    name = parser.prog.removeprefix("%wan").strip()
    if read.options.help:
        return Command("help", argparse.Namespace(topic=name or None))
    problems = list(read.problems)
    for action in (*parser.options, *parser.positionals):
        texts = getattr(read.options, action.dest)
        field = action.option_strings[0] if action.option_strings else parser.prog
        values = []
        for text in texts if isinstance(texts, list) else [texts] if isinstance(texts, str) else []:
            try:
                value = read_value(action, text, namespace, choices=parser.choices[action.dest], name=field)
                values.append(_moment(value) if action.type is Kind.SINCE else value)
            except RequestError as error:
                problems += error.problems
            except CellError as error:
                problems.append(Problem(field, "", error.message, error.hint))
        if values:
            setattr(read.options, action.dest, values if isinstance(texts, list) else values[0])
    if problems:
        raise LineError(problems, consequence="nothing was done")
    return Command(name, read.options)


def _moment(text: str) -> float | None:
    from ...history import parse_since

    return parse_since(text)


def _unknown_command(line: str, first: str) -> CellError:
    if any(map(looks_like_key, line.split())):
        return CellError("that looks like a key; it was not used.", hint=EXPOSED_HINT)
    make = f"For a picture: `%wan make {one_line(line, 80)}`"
    if flag_of(first):
        return CellError(f"{first} stands before any command.", hint=make)
    known = [*filter(None, command_parsers()), *ALIASES]
    near = did_you_mean(first.lower(), known, cutoff=0.6 if first == line else 0.75)
    return CellError(f"{first!r} is not a command.", hint=f"{near} {make}. `%wan?` lists all commands.".strip())


__all__ = ["Command", "Context", "read_command", "run_command"]
