"""Let nbval run notebooks beside tests (`-p tests.nbval_homes`): each has a home and pictures of its own."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.environment import ROOT, private_environment

FOLDER = tempfile.TemporaryDirectory(prefix="wan-notebooks-")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cells `notebook`."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("notebook")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set what a kernel inherits that is started for this cell."""
    if item.path.suffix == ".ipynb":
        home = Path(FOLDER.name) / item.path.stem
        os.environ.update(private_environment(home), WAN_HOME=str(home / "wan-pictures"), PYTHONPATH=str(ROOT))
        os.environ.update(WAN_PROVIDER="simulator", WAN_SIMULATOR_SECONDS="0.3")
        os.environ.pop("MPLBACKEND", None)  # a test's, where one ran before: a notebook draws inline


def pytest_unconfigure() -> None:
    """Remove them."""
    FOLDER.cleanup()
