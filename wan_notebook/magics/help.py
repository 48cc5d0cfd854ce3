"""Help drawn from the parsers: what ``%wan?`` and ``%wan help`` show, and the tables of the README."""

import argparse
import textwrap
from collections.abc import Iterable
from typing import Final

from ..errors import CellError
from ..text import did_you_mean, shown
from .options import ALIASES, CONFIG_KEYS, EXAMPLES, cell_parser, command_parsers, find_command
from .parser import LineParser

_LEFT: Final = 30
_WIDTH: Final = 100
_HEAD: Final = """\
%%wan [options]     the text below is the prompt; {name} stands for a variable
%wan make TEXT      the same in one line; options before or after the text
_wan                the last job of another cell: -i _wan goes on from its picture"""
_EXAMPLE: Final = """\
Example
  %%wan -i photo --size 2K -n 2 --seed 5
  A watercolour of {animal} in the snow.
  Negative prompt: text, frame"""


def help_text() -> str:
    """Return the help that ``%wan?`` and ``%%wan?`` show."""
    options = ["Options", *_columns(_option_rows(cell_parser()))]
    rows = [*_columns((parser.synopsis, parser.summary) for parser in command_parsers().values())]
    return "\n\n".join([_HEAD, "\n".join(options), "\n".join(["Commands", *rows]), _EXAMPLE])


def topic_help(topic: str) -> str:
    """Return the help of a command or an option, with an example. Raise ``CellError`` for anything else."""
    word = topic.lower().lstrip("-%")
    parser = find_command(word)
    found = [_command_help(parser)] if parser is not None else []
    names: list[str] = [*filter(None, command_parsers()), *ALIASES]
    for option in cell_parser().options[1:]:
        flags = [name.lstrip("-") for name in option.option_strings]
        names += flags
        if word in flags:
            found.append("\n".join([_flags(option), f"  {option.help}", "", f"Example: {EXAMPLES[option.dest]}"]))
    if not found:
        hint = did_you_mean(word, names) or "`%wan?` lists all of them."
        raise CellError(f"{shown(topic)} is not a command or an option.", hint=hint)
    return "\n\n".join(found)


def options_table_markdown() -> str:
    """Return the table of options as the README shows it."""
    return _markdown("Option", _option_rows(cell_parser()))


def commands_table_markdown() -> str:
    """Return the table of commands as the README shows it."""
    return _markdown("Command", [(parser.synopsis, parser.summary) for parser in command_parsers().values()])


def _command_help(parser: LineParser) -> str:
    details = [*CONFIG_KEYS.items()] if parser.prog.endswith("config") else []
    rows = _columns(
        [*details, *_option_rows(parser)] if parser.prog != "%wan make" else [("…", "all options of %%wan")]
    )
    return "\n".join([parser.synopsis, f"  {parser.summary}", *rows, "", f"Example: {parser.example}"])


def _option_rows(parser: LineParser) -> list[tuple[str, str]]:
    return [(_flags(action), str(action.help)) for action in parser.options if action.dest != "help"]


def _flags(action: argparse.Action) -> str:
    """Return an option as help shows it: ``-i, --image IMAGE``."""
    value = f" [{action.metavar}]" if action.nargs == "?" else f" {action.metavar}" if action.nargs != 0 else ""
    return ", ".join(action.option_strings[:2]) + value


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for left, right in rows:
        texts = textwrap.wrap(right, _WIDTH - _LEFT - 4, break_on_hyphens=False)
        if len(left) > _LEFT:
            lines.append(f"  {left}")
            left = ""
        lines += [f"  {left if number == 0 else '':{_LEFT}}  {text}" for number, text in enumerate(texts)]
    return lines


def _markdown(head: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = [(left.replace("|", "\\|"), right.replace("|", "\\|")) for left, right in rows]
    return "\n".join([f"| {head} | What it does |", "|---|---|", *(f"| `{left}` | {right} |" for left, right in cells)])
