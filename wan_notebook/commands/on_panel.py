"""``%wan panel``, and ``%wan recall panel``: from the panel to a cell."""

from __future__ import annotations

from pathlib import Path

from ..errors import CellError
from ..panel import Panel, latest
from ..panel.recall import recalled_of_file
from ..subcommands import SubCall
from . import on_jobs
from .context import Context
from .recalling import carries_none, read_carrier


def do_panel(call: SubCall, ctx: Context) -> None:
    """Open the panel, filled in from a job or a picture if one is named; nothing runs."""
    if getattr(ctx.shell, "kernel", None) is None:
        message = "the panel needs a notebook."
        raise CellError(message, hint="Here `%wan make a fox in snow` makes a picture.")
    panel = Panel(ctx.session, shell=ctx.shell)
    if word := call.options.get("job", ""):
        _fill(panel, word, ctx)
    from IPython.display import display

    display(panel)


def _fill(panel: Panel, word: str, ctx: Context) -> None:
    path = Path(word).expanduser()
    if not path.is_file():
        job, index = ctx.pictures(word)
        panel.recall_job(job, index)
        return
    path, data = read_carrier(path)
    found = recalled_of_file(data, path.name, ctx.home.store, ctx.presenter().link)
    if found is None:
        raise carries_none(path)
    panel.recall(found)


def do_recall(call: SubCall, ctx: Context) -> None:
    """Insert a cell below without running it: the panel's, or the one that made a picture."""
    if call.positionals[0] != "panel":
        on_jobs.do_recall(call, ctx)
        return
    panel = latest()
    if panel is None:
        message = "no panel is open."
        raise CellError(message, hint="Open one: `%wan panel`.")
    text = panel.cell
    if ctx.shell is not None:
        ctx.shell.set_next_input(text)
    ctx.say(text)
