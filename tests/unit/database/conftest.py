"""Fixtures of the database's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.database.kit import Clock, ledger
from wan_notebook.database import Database


@pytest.fixture
def clock() -> Clock:
    """Time at noon."""
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    """A ledger of its own."""
    with ledger(tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path, database: Database, clock: Clock) -> Iterator[Database]:
    """The same ledger, opened by another kernel."""
    with ledger(tmp_path, clock) as opened:
        yield opened


@pytest.fixture(scope="module")
def one_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One ledger for all that is tried on it."""
    with ledger(tmp_path_factory.mktemp("ledger")) as opened:
        yield opened
