"""``%wan panel``, and ``%wan recall``: from a job, a picture's metadata or the panel to a cell."""

import argparse
from pathlib import Path
from typing import Final

from ...errors import CellError, RecipeError
from ..render_cell import cell_of_metadata, cell_of_row
from .context import Context

_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".json")


def run_panel(options: argparse.Namespace, context: Context) -> None:
    """Open the panel, filled in from a job or a picture if one is named; nothing runs."""
    if context.panel is None or getattr(context.shell, "kernel", None) is None:
        raise CellError("the panel needs a notebook.", hint="Here `%wan make a fox in snow` makes a picture.")
    from IPython.display import display

    panel = context.panel().Panel(context.session, shell=context.shell)
    if options.job:
        path = Path(options.job).expanduser()
        if path.is_file():
            panel.recall_file(*read_carrier(path))
        else:
            panel.recall_job(*context.picks(options.job)[0])
    display(panel)


def run_recall(options: argparse.Namespace, context: Context) -> None:
    """Insert a cell below without running it: the panel's, or the one that made a picture."""
    text, notes = recall(options.job, context)
    if context.shell is not None:
        context.shell.set_next_input(text)
    context.show_text("\n".join([*(f"# {note}" for note in notes), text]))


def recall(word: str, context: Context) -> tuple[str, tuple[str, ...]]:
    """Return a cell's text, and what could not be carried over. Raise ``CellError`` or ``RecipeError``."""
    if word == "panel" and word not in context.namespace:
        panel = context.panel().latest() if context.panel else None
        if panel is None:
            raise CellError("no panel is open.", hint="Open one: `%wan panel`.")
        return panel.cell, ()
    path = Path(word.strip("\"'")).expanduser()
    if path.is_file():
        return _of_file(path, context)
    if len(path.parts) > 1 or path.suffix.lower() in _SUFFIXES:
        raise CellError(f"there is no file {word}.", hint="Check the path; it starts from the notebook's folder.")
    job, index = context.picks(word)[0]
    row = job.rows[0] if index is None else job[index].tracked.row
    folder = context.session.need_project().folder
    return str(cell_of_row(context.session.request_of(row), row, folder)), ()


def read_carrier(path: Path) -> tuple[Path, bytes]:
    """Return the file that carries a picture's metadata, with its bytes: the sidecar where the picture has none.

    Raises
    ------
    CellError
        If it cannot be read.
    """
    from ...metadata import can_embed, read_any

    try:
        data = path.read_bytes()
        sidecar = path.with_name(f"{path.name}.json")
        if path.suffix != ".json" and not can_embed(data) and read_any(data) is None and sidecar.is_file():
            return sidecar, sidecar.read_bytes()
    except OSError as error:
        raise CellError(f"{path} cannot be read ({error.strerror or error}).", hint="Check the path.") from error
    return path, data


def _of_file(path: Path, context: Context) -> tuple[str, tuple[str, ...]]:
    from ...metadata import read_any, read_sidecar

    path, data = read_carrier(path)
    found = read_sidecar(data.decode("utf-8", "replace")) if path.suffix == ".json" else read_any(data)
    if found is None:
        hint = "Only pictures made here or by a tool such as A1111, InvokeAI or ComfyUI say how they were made."
        raise RecipeError(f"{path.name} carries no recipe.", hint=hint)
    cell, notes = cell_of_metadata(found, context.session)
    return str(cell), notes
