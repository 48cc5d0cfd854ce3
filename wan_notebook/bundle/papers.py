"""The files of a bundle that are written for it: what to install, and what this is and how to run it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import PurePosixPath
from typing import Final

from ..ledger import JobRow
from .manifest import LEDGER_LINES

REQUIREMENTS: Final = "requirements.txt"
README: Final = "README.md"

_BASE: Final = (
    "wan-notebook",
    "anywidget",
    "httpx",
    "ipykernel",
    "ipython",
    "ipywidgets",
    "jupyterlab",
    "nest-asyncio",
    "pillow",
    "platformdirs",
    "pydantic",
    "rocrate",
    "SQLAlchemy",
    "starlette",
)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # reads every installed package's list of files


def requirements(imported: Iterable[str]) -> bytes:
    """Return the versions that are installed here, of this package's parts and of what the cells import."""
    names = {name.lower(): name for name in _BASE}
    foreign = [module for module in imported if module not in sys.stdlib_module_names]
    distributions = _distributions() if foreign else {}
    for module in foreign:
        for name in distributions.get(module, ()):
            names.setdefault(name.lower().replace("_", "-"), name)
    lines = [f"# made with Python {platform.python_version()}"]
    for _, name in sorted(names.items()):
        try:
            lines.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return ("\n".join(lines) + "\n").encode()


def readme(notebook: str, rows: Sequence[JobRow]) -> bytes:
    """Return what a person who unzips the bundle reads first."""
    pictures = sum(row.picture_count for row in rows)
    simulated = sum(row.picture_count for row in rows if row.simulated)
    how_many = "All" if simulated == pictures else f"{simulated}"
    practice = f" {how_many} of them are practice pictures of the built-in simulator." if simulated else ""
    shown = "picture" if pictures == 1 else f"{pictures} pictures"
    name = PurePosixPath(notebook)
    text = f"""# {name.stem}

The notebook `{notebook}` with the {shown} that it shows, the pictures that were given as inputs, and the
record of how each was made.{practice}

    python -m venv .venv && . .venv/bin/activate
    pip install -r {REQUIREMENTS}
    jupyter lab {notebook}

Run all cells: the pictures come from `wan-pictures/`. No key and no network are needed, nothing is asked of a service
and nothing is paid; a cell whose answer is not there is an error, never a purchase.

`python -m wan_notebook verify {notebook}` checks that every picture is present and unchanged. `{LEDGER_LINES}` holds
the record as one JSON object a job, `manifest.json` the size and SHA-256 of every file, `ro-crate-metadata.json` the
same as an RO-Crate. `%wan bundle --open FILE.zip` adds all of it to a project of your own.
"""
    return text.encode()
