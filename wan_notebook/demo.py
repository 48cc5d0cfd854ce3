"""``python -m wan_notebook demo``: the quickstart notebook, headless, on the simulator, whatever keys are set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import CellError, SettingsError
from .folders import FOLDER_NAME, LEDGER_NAME
from .jobs.outcome import cost_of_row
from .ledger import HistoryQuery, JobRow, Ledger

NOTEBOOK = "01_quickstart.ipynb"
TIMEOUT_S = 300
_PRIVATE = ("WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_BASE_URL", "WAN_REPLAY", "WAN_BUDGET")


def run_demo(output: Path) -> int:
    """Run the notebook, write it and an HTML page into ``output``, print what was made; 1 if there is no picture."""
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    source = notebooks_folder()
    shutil.copytree(source / "data", output / "data", dirs_exist_ok=True)
    store = output / FOLDER_NAME
    with _simulated(store):
        executed = _execute(source / NOTEBOOK, output)
        page = _export(executed)
    rows = _rows(store)
    print(f"notebook  {executed}\npage      {page}")  # noqa: T201 - a command line
    count = 0
    for row in rows:
        for picture in (p for p in row.pictures if p.saved_at):
            count += 1
            print(f"picture   {store / picture.file}  seed {row.seed}  {cost_of_row(row)}")  # noqa: T201
    print(f"{count} pictures, {len(rows)} jobs, $0.00: the simulator bills nothing")  # noqa: T201
    return 0 if count else 1


def notebooks_folder() -> Path:
    """Return the folder of the notebooks: inside the installed package, or beside it in a checkout."""
    inside, beside = Path(__file__).parent / "notebooks", Path(__file__).parent.parent / "notebooks"
    for folder in (inside, beside):
        if (folder / NOTEBOOK).is_file():
            return folder
    message = f"{NOTEBOOK} is not there."
    raise SettingsError(message, remedy="Install the package anew, or run this in a checkout.")


@contextmanager
def _simulated(store: Path) -> Iterator[None]:
    """Let the kernel see the simulator and nothing of the person's."""
    before = dict(os.environ)
    for name in _PRIVATE:
        os.environ.pop(name, None)
    os.environ.update(WAN_PROVIDER="simulator", WAN_HOME=str(store), WAN_SIMULATOR_SECONDS="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _execute(notebook: Path, output: Path) -> Path:
    nbformat, client = _tools()
    document = nbformat.read(notebook, as_version=4)
    runner = client(document, timeout=TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(output)}})
    target = output / notebook.name
    try:
        runner.execute()
    finally:  # what was made until an error is worth seeing
        nbformat.write(document, target)
    return target


def _export(notebook: Path) -> Path:
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    target.write_text(page, encoding="utf-8")
    return target


def _tools() -> tuple[Any, Any]:
    try:
        import nbconvert  # noqa: F401 - checked before the kernel starts
        import nbformat
        from nbclient import NotebookClient
    except ImportError as error:
        message = "the demo needs Jupyter's notebook tools."
        raise CellError(message, remedy='Run `pip install "wan-notebook[notebook]"`.') from error
    return nbformat, NotebookClient


def _rows(store: Path) -> list[JobRow]:
    if not (store / LEDGER_NAME).is_file():
        return []
    with Ledger.open(store / LEDGER_NAME) as ledger:
        rows = list(ledger.history(HistoryQuery(limit=1000, descending=False)).rows)
        for row in rows:
            row.details  # noqa: B018 - read before the ledger closes
        return rows
