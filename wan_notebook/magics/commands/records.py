"""Commands on what is kept: status, help, history, cost, budget, panel, recall, bundle, verify, methods."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from textwrap import fill
from typing import Any

from ...budget import parse_budget
from ...database import HistoryQuery
from ...display import FrontEnd, Table, cost_table, history_table, publish, status_table, table_bundle
from ...errors import CellError, RecipeError, StoreError
from ...files import explained, read_file
from ...images import looks_like_image
from ...kernel import notebook_path
from ...metadata import ForeignMetadata, Metadata, read_any, read_sidecar
from ...research import find_notebook, methods_paragraph, open_bundle, verify_notebook, write_bundle
from ..frontend import cells_run
from ..options import help_text, topic_help
from ..render_cell import cell_of_metadata, cell_of_row
from ..runner import Runner


def run_status(_options: argparse.Namespace, runner: Runner) -> None:
    """Show the state of things in a few lines, and what to do next."""
    publish(table_bundle(status_table(runner.session)))


def run_help(options: argparse.Namespace, runner: Runner) -> None:
    """Show the help, or that of one command or option."""
    runner.show_text(topic_help(options.topic) if options.topic else help_text())


def run_history(options: argparse.Namespace, runner: Runner) -> None:
    """Show what was asked and made, newest first."""
    query = HistoryQuery(
        words=" ".join(options.words),
        status=options.state or ("open" if options.running else None),
        since=options.since,
        tags=tuple(options.tags or ()),
        notebook="" if options.notebook is None else options.notebook or notebook_path(runner.shell),
        seed=options.seed,
        batch=options.batch or "",
        is_folded=not options.batch,
        starred=options.starred,
        only_trashed=options.trash,
        limit=20 if options.limit is None else options.limit,
    )
    publish(table_bundle(history_table(runner.session, query, everywhere=options.everywhere)))


def run_cost(options: argparse.Namespace, runner: Runner) -> None:
    """Show what was spent."""
    publish(table_bundle(cost_table(runner.session, by=options.by, everywhere=options.everywhere)))


def run_budget(options: argparse.Namespace, runner: Runner) -> None:
    """Show, set or remove budgets."""
    text, message = " ".join(options.words), ""
    budgets = runner.session.budgets
    if text.lower() == "off":
        removed = "; ".join(budget.text for budget in budgets.remove(options.per))
        message = f"removed: {removed}" if removed else "nothing to remove"
    elif text:
        budget = parse_budget(text, per=options.per)
        budgets.set(budget)
        message = f"set: {budget.text}"
    publish(table_bundle(Table(title="Budget", facts=[message], lines=budgets.lines())))


# Panel and recall ----------------------------------------------------------------------------------------------------


def run_panel(options: argparse.Namespace, runner: Runner) -> None:
    """Open the panel, filled in from a job or a picture if one is named; nothing runs."""
    if runner.panel is None or getattr(runner.shell, "kernel", None) is None:
        raise CellError("the panel needs a notebook.", hint="Here `%wan make a fox in snow` makes a picture.")
    from IPython.display import display

    panel = runner.panel().Panel(runner.session, shell=runner.shell)
    if options.job:
        panel.recall(*_recall(options.job, runner))
    display(panel)


def run_recall(options: argparse.Namespace, runner: Runner) -> None:
    """Insert a cell below without running it: the panel's, or the one that made a picture."""
    text, notes = _recall(options.job, runner)
    runner.shell.set_next_input(text)
    runner.show_text("\n".join([*(f"# {note}" for note in notes), text]))


def _recall(word: str, runner: Runner) -> tuple[str, tuple[str, ...]]:
    """Return a cell's text, and what could not be carried over. Raise ``CellError`` or ``RecipeError``."""
    if word == "panel" and word not in runner.namespace:
        panel = runner.panel().latest() if runner.panel else None
        if panel is None:
            raise CellError("no panel is open.", hint="Open one: `%wan panel`.")
        return panel.cell, ()
    name = os.path.expanduser(word.strip("\"'"))  # noqa: PTH111 - takes any text for a path, as the next line
    if os.path.isfile(name):  # noqa: PTH113
        cell, notes = cell_of_metadata(_metadata_of(Path(name)), runner.session)
        return str(cell), notes
    if "/" in word or looks_like_image(word):
        raise CellError(f"there is no file {word}.", hint="Check the path; it starts from the notebook's folder.")
    job, index = runner.picks(word)[0]
    row = job.rows[0] if index is None else job[index].tracked.row
    return str(cell_of_row(runner.session.request_of(row), row, runner.session.project().storage.folder)), ()


def _metadata_of(path: Path) -> Metadata | ForeignMetadata:
    """Return what a picture or its sidecar says about its making."""
    sidecar = path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
    with explained(path, "read", "Give a picture, or its .json."):
        found = None if path is sidecar else read_any(read_file(path))
        if found is None and sidecar.is_file():
            found = read_sidecar(read_file(sidecar).decode("utf-8", "replace"))
    if found is None:
        hint = "Only pictures made here or by a tool such as A1111, InvokeAI or ComfyUI say how they were made."
        raise RecipeError(f"{path.name} carries no recipe.", hint=hint)
    return found


# Research ------------------------------------------------------------------------------------------------------------


def run_bundle(options: argparse.Namespace, runner: Runner) -> None:
    """Pack this notebook with its pictures, or open somebody's bundle."""
    if options.open:
        runner.say(*open_bundle(Path(options.open).expanduser(), runner.session))
        return
    if not options.path:
        raise CellError("`%wan bundle` needs a path.", hint="Write `%wan bundle paper.zip`, or `--open paper.zip`.")
    target = Path(options.path).expanduser()
    lines = write_bundle(
        runner.session,
        _notebook(runner),
        target if target.suffix else target.with_suffix(".zip"),
        shown=_shown(runner),
        tags=options.tags or (),
        all_versions=options.all_takes,
        # An address of an input may be one of the notebook's variables.
        texts=[value for value in runner.namespace.values() if isinstance(value, str) and len(value) < 2000],
    )
    runner.say(*lines)


def run_verify(options: argparse.Namespace, runner: Runner) -> None:
    """Check that every picture that the notebook shows is present and unchanged; a problem fails the cell."""
    path, kernel = (Path(options.path).expanduser(), {}) if options.path else _this_notebook(runner)
    found = verify_notebook(runner.session, path, **kernel)
    publish(table_bundle(found.table(), "verify"))
    if found.problems:
        raise StoreError(f"{found.summary}.", hint="The table says how to get each one back.")


def run_methods(options: argparse.Namespace, runner: Runner) -> None:
    """Show the paragraph for the paper, about the pictures that this notebook shows."""
    path, kernel = _this_notebook(runner)
    text = methods_paragraph(runner.session, path, tags=options.tags or (), latex=options.latex, **kernel)
    # Line ends mean nothing to LaTeX, and a notebook breaks a long line within a word.
    lines = fill(text, 88, break_long_words=False, break_on_hyphens=False)
    data = {"text/plain": lines} if options.latex else {"text/markdown": text, "text/plain": text}
    publish((data, {"wan": {"schema": 1, "view": "methods"}}))


def _this_notebook(runner: Runner) -> tuple[Path | None, dict[str, Any]]:
    """Return this notebook's file, and what its kernel showed and ran.

    No file if its outputs are not those of this run: headless, it is written when the run ends.
    """
    kernel = {"shown": _shown(runner), "cells_run": cells_run(runner.shell)}
    if not (runner.front_end is FrontEnd.HEADLESS and kernel["shown"]):
        with suppress(CellError):
            return _notebook(runner), kernel
    return None, kernel


def _shown(runner: Runner) -> list[str]:
    """Return the ids of the jobs that this kernel showed, oldest first; then those of its batches."""
    session, found = runner.session, dict.fromkeys(row.id for _, job in runner.session.last for row in job.rows)
    for run in session.runs.values():
        found |= dict.fromkeys(task.job_id for task in session.project().database.batch_tasks(run.batch))
    return list(found)


def _notebook(runner: Runner) -> Path:
    return find_notebook(notebook_path(runner.shell), Path.cwd())
