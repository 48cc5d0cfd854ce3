"""``%wan`` and ``%%wan``: lines and cells read into requests, requests written as cells, and every command."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .magics import Extension, open_lines, transform_lines
from .options import (
    cell_parser,
    command_parsers,
    commands_table_markdown,
    help_text,
    options_table_markdown,
    topic_help,
)

if TYPE_CHECKING:
    from .cell import read_cell, read_make
    from .commands.setup import examine
    from .completion import Known, complete
    from .frontend import show_jobs_in_cells
    from .render_cell import (
        CellText,
        cell_of_job,
        cell_of_metadata,
        cell_of_request,
        cell_of_row,
        quoted_path,
        write_cell,
    )
    from .runner import Runner, last_resort, read_command
    from .template import escape, expand, literal, split_negative, text_notes
    from .tokenize import quote, split_line

_LATER = ("frontend", "tokenize", "template", "cell", "completion", "render_cell", "runner", "commands.setup")
"""Modules that are loaded on first use: `%load_ext` does not need them."""

__all__ = [
    "CellText",
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
    for module in _LATER if name in __all__ else ():
        if hasattr(found := import_module(f"{__name__}.{module}"), name):
            return getattr(found, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
