"""``python -m wan_notebook demo``: the quickstart notebook, headless, on the simulator, whatever keys are set."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import CellError, SettingsError, WanError
from .folders import FOLDER_NAME, LEDGER_NAME
from .jobs.outcome import cost_of_row
from .ledger import HistoryQuery, JobRow, Ledger
from .money import Total
from .text import count_of

NOTEBOOK = "01_quickstart.ipynb"
TIMEOUT_S = 300
_OURS = ("WAN_", "DASHSCOPE_")


def run_demo(output: Path) -> int:
    """Run the notebook, write it and an HTML page into ``output``, print what was made; 1 if there is no picture."""
    output = output.absolute()
    source = notebooks_folder()
    try:
        shutil.copytree(source / "data", output / "data", dirs_exist_ok=True)
    except OSError as error:
        message = f"{output} cannot be written ({error.strerror or error})."
        raise SettingsError(
            message, hint="Name another folder: `python -m wan_notebook demo --output FOLDER`."
        ) from error
    store = output / FOLDER_NAME
    print(f"Running {NOTEBOOK} on the built-in simulator; no key is used, nothing is billed.", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="wan-demo-") as private:
        executed = _execute(source / NOTEBOOK, output, simulated(os.environ, store, Path(private)))
    page = _export(executed)
    print(f"notebook  {executed}\npage      {page}")  # noqa: T201 - a command line
    return _report(store)


def _report(store: Path) -> int:
    rows, count = _rows(store), 0
    for row in rows:
        for picture in (p for p in row.pictures if p.saved_at):
            count += 1
            facts = f"{picture.width_px}×{picture.height_px}  seed {row.seed}"
            print(f"picture   {store / picture.file}  {facts}")  # noqa: T201
    print(f"{count_of(count, 'picture')} of {count_of(len(rows), 'job')}, {Total.of(cost_of_row(row) for row in rows)}")  # noqa: T201
    print("Open the page in a browser; it needs no network." if count else "No picture was made.")  # noqa: T201
    return 0 if count else 1


def notebooks_folder() -> Path:
    """Return the folder of the notebooks: inside the installed package, or beside it in a checkout."""
    inside, beside = Path(__file__).parent / "notebooks", Path(__file__).parent.parent / "notebooks"
    for folder in (inside, beside):
        if (folder / NOTEBOOK).is_file():
            return folder
    message = f"{NOTEBOOK} is not there."
    raise SettingsError(message, hint="Install the package anew, or run this in a checkout.")


def simulated(env: Mapping[str, str], store: Path, private: Path) -> dict[str, str]:
    """Return a kernel's environment with the simulator and nothing of the person's: no key, budget, stored setting."""
    kept = {name: value for name, value in env.items() if not name.startswith(_OURS)}
    return {
        **kept,
        "WAN_PROVIDER": "simulator",
        "WAN_HOME": str(store),
        "WAN_SIMULATOR_SECONDS": "1",
        "XDG_CONFIG_HOME": str(private / "config"),
        "XDG_DATA_HOME": str(private / "data"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns about its own interpreter
    }


def _execute(notebook: Path, output: Path, env: Mapping[str, str]) -> Path:
    nbformat, client, errors = _tools()
    document = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(output)}}
    runner = client(document, timeout=TIMEOUT_S, kernel_name="python3", resources=resources, config=encrypted())
    target = output / notebook.name
    try:
        runner.execute(env=dict(env))
    except errors as error:
        message = f"the notebook stopped: {_last_line(error)}"
        raise WanError(message, hint=f"{target} shows the cell.") from error
    finally:  # what was made until an error is worth seeing
        nbformat.write(document, target)
    return target


def encrypted() -> Any:
    """Let kernel and client encrypt what they say where both can; without it the kernel warns on every start."""
    import zmq
    from jupyter_client.manager import KernelManager
    from traitlets.config import Config

    can = zmq.has("curve") and "transport_encryption" in KernelManager.class_trait_names()
    return Config({"KernelManager": {"transport_encryption": "auto"}} if can else {})


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


def _export(notebook: Path) -> Path:
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    target.write_text(page, encoding="utf-8")
    return target


def _tools() -> tuple[Any, Any, tuple[type[Exception], ...]]:
    try:
        import nbconvert  # noqa: F401 - checked before the kernel starts
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellControlSignal, DeadKernelError
    except ImportError as error:
        message = "the demo needs Jupyter's notebook tools."
        raise CellError(message, hint='Run `pip install "wan-notebook[notebook]"`.') from error
    return nbformat, NotebookClient, (CellControlSignal, DeadKernelError)


def _rows(store: Path) -> list[JobRow]:
    if not (store / LEDGER_NAME).is_file():
        return []
    with Ledger.open(store / LEDGER_NAME) as ledger:
        rows = list(ledger.history(HistoryQuery(limit=1000, descending=False)).rows)
        for row in rows:
            row.details  # noqa: B018 - read before the ledger closes
        return rows
