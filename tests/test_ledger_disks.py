"""The ledger on disks that fill, break or are locked, and in kernels that are killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ledger_kit import DRAFT, create, draft, move, opened
from wan_notebook.errors import StoreError
from wan_notebook.ledger import Ledger, LedgerError, connect, writer
from wan_notebook.states import JobState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    with opened(path) as made:
        yield made


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the write lock, as another kernel or a backup program would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def limited(spare_pages: int) -> Any:
    """Return a ``connect`` whose database may grow by so many pages: SQLite's own full disk."""

    def connected(path: Path, **options: Any) -> sqlite3.Connection:
        connection = connect.connect(path, **options)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + spare_pages}")
        return connection

    return connected


def test_a_full_disk_is_said_and_survived(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the caller learns path and hint; when there is room again, writing goes on."""
    job_id = create(ledger)
    ledger._writer._drop()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "connect", limited(0))
        with pytest.raises(StoreError, match="disk is full") as caught:
            ledger.create_jobs([draft(prompt="狐" * 2000)] * 50)
        assert str(path) in str(caught.value)
        assert "Free some space" in caught.value.hint
        assert ledger.get(job_id).state is JobState.INTENT
    assert move(ledger, job_id, JobState.SENDING).state is JobState.SENDING
    ledger.create_jobs([draft(prompt="狐" * 2000)] * 50)


def test_a_large_change_does_not_take_small_ones_with_it(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an almost full disk the id of a paid task is still written, whoever shares its commit."""
    job_id = create(ledger)
    move(ledger, job_id, JobState.SENDING)
    ledger._writer._drop()
    monkeypatch.setattr(writer, "connect", limited(1))
    with locked(path):
        large = ledger._write(
            lambda tx: tx.connection.execute("INSERT INTO meta VALUES ('x', zeroblob(1000000))").rowcount
        )
        small = ledger.transition(job_id, JobState.ACCEPTED, task_id="paid")
    assert isinstance(large.exception(10), StoreError)
    assert small.result(10).task_id == "paid"


def test_a_file_size_limit_of_the_system_is_survived(path: Path) -> None:
    """A real write error of the system: what was told before it is there, what failed is said, nothing is torn."""
    code = f"""
import resource, signal, sys
from pathlib import Path
from tests.ledger_kit import create
from wan_notebook.errors import StoreError
from wan_notebook.ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Ledger.open(Path({str(path)!r})) as ledger:
    print(create(ledger), flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        for _ in range(200):
            print(create(ledger, prompt="x" * 2000), flush=True)
    except StoreError as error:
        print(error.hint, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        cwd=Path.cwd(),
        env=_environment(),
    )
    assert "Free some space" in done.stderr or "disk" in done.stderr
    told = done.stdout.split()
    assert 1 < len(told) < 200
    with opened(path) as ledger:
        assert [row.id for row in ledger.open_jobs()] == told


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def test_a_locked_file_is_said(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that holds the file for longer than we wait is named as the reason, and nothing was changed."""
    job_id = create(ledger)
    ledger._writer._drop()
    monkeypatch.setattr(connect, "BUSY_TIMEOUT_S", 0.05)
    with locked(path), pytest.raises(LedgerError, match="locked"):
        move(ledger, job_id, JobState.SENDING)
    assert move(ledger, job_id, JobState.SENDING).state is JobState.SENDING


def test_a_damaged_file_is_said(path: Path) -> None:
    """Garbage in the file becomes an error that names it and says that the pictures are safe."""
    with opened(path) as ledger:
        ledger.create_jobs([DRAFT] * 50)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(StoreError, match="damaged") as caught, opened(path) as ledger:
        ledger.open_jobs()
    assert "picture files are not touched" in caught.value.hint


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_kill_9_loses_nothing_that_was_told(path: Path, journal: str) -> None:
    """A kernel that is killed at any moment has on disk every change that it was told of, and no half of another."""
    code = f"""
from pathlib import Path
from tests.ledger_kit import WAY, create, saved_picture
from wan_notebook.ledger import Ledger
ledger = Ledger.open(Path({str(path)!r}), journal={journal!r})
while True:
    job_id = create(ledger, tags=("a", "b"))
    print(job_id, "intent", flush=True)
    for state in WAY:
        ledger.transition(job_id, state, pictures=[saved_picture()], detail={{"x": "y" * 500}}).result()
        print(job_id, state, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=_environment()) as child:
        assert child.stdout is not None
        told = dict(child.stdout.readline().split() for _ in range(150))
        child.kill()
        told |= dict(line.split() for line in child.stdout.read().splitlines() if line.count(" ") == 1)
    order = ["intent", "sending", "accepted", "running", "succeeded", "saved"]
    with opened(path) as ledger:
        for job_id, state in told.items():
            row = ledger.get(job_id)
            assert order.index(row.state) >= order.index(state)
            assert [event.state for event in ledger.events(job_id)] == order[: order.index(row.state) + 1]
            assert len(row.pictures) == (row.state != "intent")
        assert ledger.history().total_rows - len(told) in (0, 1)


def test_nothing_is_ordered_into_a_ledger_that_is_gone(tmp_path: Path) -> None:
    """A file that was deleted or replaced takes writes that nobody finds again: no job is made, so nothing is sent."""
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        ledger.create_jobs([draft()])
        kept = path.read_bytes()
        for change in (path.unlink, lambda: path.write_bytes(kept)):
            change()
            with pytest.raises(LedgerError, match="deleted, moved or replaced"):
                ledger.create_jobs([draft()])
