"""Help for people, drawn from the table in ``options.py``: what ``%wan?`` shows and the README's tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from .options import CELL_OPTIONS, SUBCOMMANDS, Option, Subcommand

_LEFT: Final = 30
_WIDTH: Final = 100
_HEAD: Final = """\
%%wan [options]     the cell's text is the prompt; {name} stands for a variable
%wan make TEXT      the same in one line
_wan                the last job of another cell: -i _wan goes on from its picture"""
_EXAMPLE: Final = """\
Example
  %%wan -i photo --size 2K -n 2 --seed 5
  A watercolour of {animal} in the snow.
  Negative prompt: text, frame"""


def help_text() -> str:
    """Return the help that ``%wan?`` and ``%%wan?`` show."""
    options = ["Options", *_columns([(o.shown, o.help) for o in CELL_OPTIONS])]
    commands = ["Commands", *_columns([(_typed(s), s.help) for s in SUBCOMMANDS])]
    return "\n\n".join([_HEAD, "\n".join(options), "\n".join(commands), _EXAMPLE])


def subcommand_help(command: Subcommand) -> str:
    """Return the help of one subcommand, with its options."""
    head = f"{_typed(command)}\n  {command.help}"
    return "\n".join([head, *_columns([*command.details, *((o.shown, o.help) for o in command.options)])])


def options_table_markdown(options: Sequence[Option] = CELL_OPTIONS) -> str:
    """Return the table of options as the README shows it."""
    return _markdown("Option", [(o.shown, o.help) for o in options])


def subcommands_table_markdown() -> str:
    """Return the table of subcommands as the README shows it."""
    return _markdown("Command", [(_typed(s), s.help) for s in SUBCOMMANDS])


def _typed(command: Subcommand) -> str:
    name = "" if command.name == "status" else "/".join((command.name, *command.aliases))
    return " ".join(("%wan", name, command.usage)).rstrip()


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    lines = []
    for left, right in rows:
        texts = textwrap.wrap(right, _WIDTH - _LEFT - 4, break_on_hyphens=False) or [""]
        if len(left) > _LEFT:
            lines.append(f"  {left}")
            left = ""
        lines += [f"  {head:{_LEFT}}  {text}" for head, text in zip([left] + [""] * len(texts), texts, strict=False)]
    return lines


def _markdown(head: str, rows: list[tuple[str, str]]) -> str:
    cells = [(_cell(left), _cell(right)) for left, right in rows]
    return "\n".join([f"| {head} | What it does |", "|---|---|", *(f"| `{left}` | {right} |" for left, right in cells)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
