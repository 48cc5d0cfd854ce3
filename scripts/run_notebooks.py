"""Run the notebooks on the simulator and save them with their outputs, which nbval compares later.

    .venv/bin/python scripts/run_notebooks.py [notebooks/01_quickstart.ipynb ...]

Each one runs from the top in a copy of the folder, with a store and settings of its own, so that nothing of the
person's, and no other notebook's picture, gets into what is saved.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from wan_notebook.demo import QUIET, simulated
from wan_notebook.settings import FOLDER_NAME

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SECONDS = "0.3"
KEPT = ("tags",)  # of a cell's metadata: not when it ran


def run(source: Path) -> None:
    """Execute one notebook in a folder of its own and write it back with its outputs."""
    with tempfile.TemporaryDirectory(prefix="wan-notebooks-") as name:
        folder = Path(name) / "notebooks"
        shutil.copytree(source.parent, folder, ignore=shutil.ignore_patterns(FOLDER_NAME, ".*"))
        notebook = nbformat.read(source, as_version=4)
        env = {
            **simulated(os.environ, folder / FOLDER_NAME, Path(name)),
            "WAN_SIMULATOR_SECONDS": SECONDS,
            "HOME": name,
        }
        resources = {"metadata": {"path": str(folder)}}
        options = {"kernel_name": "python3", "resources": resources, "extra_arguments": QUIET}
        NotebookClient(notebook, timeout=120, **options).execute(env=env)
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in KEPT}
    notebook.metadata.pop("widgets", None)  # JupyterLab does not save them either
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, source)


def main() -> None:
    """Run the notebooks that are named, or all."""
    for source in [Path(name).resolve() for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        start = time.monotonic()
        run(source)
        print(f"{source.name:36}{time.monotonic() - start:6.1f} s{source.stat().st_size / 1000:8.0f} kB", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
