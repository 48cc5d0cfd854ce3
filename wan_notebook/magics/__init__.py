"""``%wan`` and ``%%wan``: lines and cells read into requests, requests written as cells, and every command."""

from typing import TYPE_CHECKING

from ..lazy import lazily
from .magics import Extension, open_lines, transform_lines
from .options import cell_parser, command_parsers, help_text, option_rows, topic_help

if TYPE_CHECKING:
    from .cell import read_cell, split_negative
    from .completion import Known, complete
    from .frontend import show_jobs_in_cells
    from .render_cell import CellText, cell_of_job, cell_of_metadata, cell_of_row, quoted_path
    from .render_cell import write_cell as write_cell
    from .runner import Runner, last_resort, read_command

__all__ = ["Extension", "Known", "Runner", "cell_parser", "command_parsers", "complete", "read_cell", "read_command"]
__all__ += ["CellText", "cell_of_job", "cell_of_metadata", "cell_of_row", "quoted_path"]
__all__ += ["help_text", "last_resort", "open_lines", "option_rows", "show_jobs_in_cells"]
__all__ += ["split_negative", "topic_help", "transform_lines", "write_cell"]

__getattr__ = lazily(__name__, ("frontend", "cell", "expressions", "completion", "render_cell", "runner"), __all__)
