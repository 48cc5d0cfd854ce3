"""``python -m wan_notebook demo``: the quickstart notebook, headless, on the simulator, whatever keys are set."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from .database import Database, HistoryQuery
from .errors import CellError, WanError
from .files import explained
from .jobs import cost_of
from .money import Total
from .settings import FOLDER_NAME, LEDGER_NAME
from .text import pluralize

NOTEBOOK = "01_quickstart.ipynb"
QUIET = ["--log-level=ERROR"]
"""For kernels: without it they warn on every start that nothing is encrypted inside this machine."""


def run_demo(output: Path) -> int:
    """Run the notebook, write it and an HTML page into ``output``, print what was made; 1 if there is no picture."""
    output = output.absolute()
    source = Path(__file__).parent / "notebooks"
    if not source.is_dir():  # a checkout has them beside the package
        source = source.parent.parent / "notebooks"
    with explained(output):
        shutil.copytree(source / "data", output / "data", dirs_exist_ok=True)
    folder = output / FOLDER_NAME
    print(f"Running {NOTEBOOK} on the built-in simulator; no key is used, nothing is billed.", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="wan-demo-") as private:
        env, target = simulated(os.environ, folder, Path(private)), output / NOTEBOOK
        execute(source / NOTEBOOK, output, env, timeout_s=300, target=target)
        from nbconvert import HTMLExporter

        page = target.with_suffix(".html")
        page.write_text(HTMLExporter().from_filename(str(target))[0], encoding="utf-8")
    with Database.open(folder / LEDGER_NAME, read_only=True) as database:
        rows = database.history(HistoryQuery(limit=1000, descending=False)).rows
    pictures = [(row.seed, picture) for row in rows for picture in row.pictures if picture.saved_at]
    shown = [f"picture   {folder / p.file}  {p.width_px}×{p.height_px}  seed {seed}" for seed, p in pictures]
    made = f"{pluralize(len(pictures), 'picture')}, {Total.of(cost_of(row) for row in rows)}"
    print(f"notebook  {target}", f"page      {page}", *shown, made, sep="\n")  # noqa: T201 - a command line
    return 0 if pictures else 1


def simulated(env: Mapping[str, str], folder: Path, private: Path) -> dict[str, str]:
    """Return a kernel's environment with the simulator and nothing of the person's: no key, budget, stored setting."""
    kept = {name: value for name, value in env.items() if not name.startswith(("WAN_", "DASHSCOPE_"))}
    return {
        **kept,
        "WAN_PROVIDER": "simulator",
        "WAN_HOME": str(folder),
        "WAN_SIMULATOR_SECONDS": "1",
        "XDG_CONFIG_HOME": str(private / "config"),
        "XDG_DATA_HOME": str(private / "data"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns about its own interpreter
    }


def execute(
    notebook: Path, folder: Path, env: Mapping[str, str], *, timeout_s: float, target: Path | None = None
) -> Any:
    """Run a notebook in a folder and return it with its outputs, written to ``target`` too, even if it stops.

    Raises ``CellError`` without the ``notebook`` extra, ``WanError`` if the notebook stops.
    """
    try:
        from nbclient import NotebookClient
        from nbclient.exceptions import CellControlSignal, DeadKernelError

        nbformat: Any = import_module("nbformat")
    except ImportError as error:
        hint = 'Run `pip install "wan-notebook[notebook]"`.'
        raise CellError("running a notebook needs Jupyter's notebook tools.", hint=hint) from error
    with warnings.catch_warnings(action="ignore"):  # about ids that older notebooks lack
        document = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(document, timeout=round(timeout_s), resources=resources, extra_arguments=QUIET)
    try:
        client.execute(env=dict(env))
    except (CellControlSignal, DeadKernelError) as error:
        said = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        hint = f"{target} shows the cell." if target else ""
        raise WanError(f"{notebook.name} does not run: {said[-1].strip()}", hint=hint) from error
    finally:  # what was made until an error is worth seeing
        if target:
            nbformat.write(document, target)
    return document
