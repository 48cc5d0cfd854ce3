"""``%wan`` and ``%%wan``: lines and cells read into requests, requests written as cells, and every command.

What ``%load_ext`` does not need is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .guard import last_resort
from .help import commands_table_markdown, help_text, options_table_markdown, topic_help
from .magics import Extension, open_lines, transform_lines
from .options import cell_parser, command_parsers

if TYPE_CHECKING:
    from .cell import CellCall, read_cell, read_make
    from .commands import read_command
    from .commands.doctor import Check, examine
    from .completion import Completion, Known, complete
    from .frontend import front_end, show_jobs_in_cells
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
    from .template import escape, expand, literal, split_negative, text_notes
    from .tokenize import quote, split_line

_LAZY = {
    "cell": ("CellCall", "read_cell", "read_make"),
    "commands": ("read_command",),
    "commands.doctor": ("Check", "examine"),
    "completion": ("Completion", "Known", "complete"),
    "frontend": ("front_end", "show_jobs_in_cells"),
    "render_cell": (
        *("CellText", "cell_of_job", "cell_of_metadata", "cell_of_request"),
        *("cell_of_row", "quoted_path", "write_cell"),
    ),
    "runner": ("Runner",),
    "template": ("escape", "expand", "literal", "split_negative", "text_notes"),
    "tokenize": ("quote", "split_line"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "CellCall",
    "CellText",
    "Check",
    "Completion",
    "Extension",
    "Known",
    "Runner",
    "cell_of_job",
    "cell_of_metadata",
    "cell_of_request",
    "cell_of_row",
    "cell_parser",
    "command_parsers",
    "commands_table_markdown",
    "complete",
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
    "read_make",
    "show_jobs_in_cells",
    "split_line",
    "split_negative",
    "text_notes",
    "topic_help",
    "transform_lines",
    "write_cell",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
