"""Run whole notebooks headless on the simulator, and look at what they show."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from PIL import Image

from tests.environment import ROOT, private_environment
from wan_notebook.demo import encrypted
from wan_notebook.ledger import HistoryQuery, JobRow, Ledger

NOTEBOOKS = ROOT / "notebooks"


def kernel_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a kernel with the simulator, a store in `folder`, and a private home."""
    return {
        **os.environ,
        **private_environment(folder / "home"),
        "PYTHONPATH": str(ROOT),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "WAN_PROVIDER": "simulator",
        "WAN_SIMULATOR_SECONDS": "0.2",
        "WAN_HOME": str(folder / "wan-pictures"),
        **more,
    }


def execute(document: Any, folder: Path, **env: str) -> None:
    """Run a notebook in `folder`; its outputs are in it afterwards. Raises what nbclient raises."""
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(document, timeout=120, kernel_name="python3", resources=resources, config=encrypted())
    client.execute(env=kernel_environment(folder, **env))


def pictures_of(cell: Any) -> list[Image.Image]:
    """Return the contact sheets of a cell's outputs: what a front end without HTML shows."""
    found = [output.data["image/jpeg"] for output in cell.get("outputs", ()) if "image/jpeg" in output.get("data", {})]
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in found]


def jobs_of(folder: Path) -> list[JobRow]:
    """Return every job of a folder's ledger."""
    with Ledger.open(folder / "wan-pictures" / "ledger.db") as ledger:
        return list(ledger.history(HistoryQuery(limit=1000)).rows)
