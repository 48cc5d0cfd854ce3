"""``%wan`` and ``%%wan``: lines and cells read into requests, requests written as cells, and every command.

What is heavy is loaded on first use, so that ``%load_ext`` imports only what it registers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .completion import Completion, Known, complete
from .expressions import duration_s
from .frontend import cells_run, front_end
from .guard import last_resort
from .help import commands_table_markdown, help_text, options_table_markdown, topic_help
from .magics import Extension, open_lines, transform_lines
from .options import cell_parser, command_parsers
from .template import Expanded, escape, expand, literal, split_negative
from .tokenize import quote, split_line

if TYPE_CHECKING:
    from .cell import CellCall, read_cell
    from .commands import Command, read_command
    from .commands.doctor import Check, examine
    from .render_cell import (
        CellText,
        cell_of_job,
        cell_of_metadata,
        cell_of_request,
        cell_of_row,
        quoted_path,
        write_cell,
    )
    from .runner import Runner

_LAZY = {
    **dict.fromkeys(("CellCall", "read_cell"), "cell"),
    **dict.fromkeys(("Command", "read_command"), "commands"),
    **dict.fromkeys(("Check", "examine"), "commands.doctor"),
    **dict.fromkeys(("CellText", "cell_of_job", "cell_of_metadata", "cell_of_request", "cell_of_row"), "render_cell"),
    **dict.fromkeys(("quoted_path", "write_cell"), "render_cell"),
    "Runner": "runner",
}

__all__ = [
    "CellCall",
    "CellText",
    "Check",
    "Command",
    "Completion",
    "Expanded",
    "Extension",
    "Known",
    "Runner",
    "cell_of_job",
    "cell_of_metadata",
    "cell_of_request",
    "cell_of_row",
    "cell_parser",
    "cells_run",
    "command_parsers",
    "commands_table_markdown",
    "complete",
    "duration_s",
    "escape",
    "examine",
    "expand",
    "front_end",
    "help_text",
    "last_resort",
    "literal",
    "open_lines",
    "options_table_markdown",
    "quote",
    "quoted_path",
    "read_cell",
    "read_command",
    "split_line",
    "split_negative",
    "topic_help",
    "transform_lines",
    "write_cell",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
