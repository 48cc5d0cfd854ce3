"""Where tasks and input pictures are kept: in memory, or in a small SQLite file that several processes share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from .inputs import InputPicture
from .order import Order
from .tasks import LIFETIME_S, Dialect, Task

# A picture may be fetched until a day after its task ended: forget a task only well after that.
KEPT_S = 2 * LIFETIME_S
BUSY_TIMEOUT_S = 10.0


class TaskStore(Protocol):
    """Keep tasks and inputs for about two days."""

    def add(self, task: Task) -> None:
        """Keep a new task, and forget those that are long gone."""

    def get(self, task_id: str) -> Task | None:
        """Find a task."""

    def cancel(self, task_id: str, at: float) -> None:
        """Note when a task was cancelled."""

    def of_account(self, account: str) -> list[Task]:
        """List an account's tasks, oldest first."""

    def add_input(self, picture: InputPicture, at: float) -> None:
        """Keep an input picture, or note that it was used again."""

    def get_input(self, input_id: str) -> InputPicture | None:
        """Find an input picture."""


class MemoryStore:
    """Keep everything in this process."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._inputs: dict[str, tuple[InputPicture, float]] = {}
        self._lock = threading.Lock()

    def add(self, task: Task) -> None:
        """Keep a new task, and forget those that are long gone."""
        horizon = task.submitted_at - KEPT_S
        with self._lock:
            while (oldest := next(iter(self._tasks.values()), None)) and oldest.submitted_at < horizon:
                del self._tasks[oldest.task_id]
            while (used := next(iter(self._inputs.values()), None)) and used[1] < horizon:
                del self._inputs[used[0].input_id]
            self._tasks[task.task_id] = task

    def get(self, task_id: str) -> Task | None:
        """Find a task."""
        return self._tasks.get(task_id)

    def cancel(self, task_id: str, at: float) -> None:
        """Note when a task was cancelled."""
        with self._lock:
            self._tasks[task_id] = replace(self._tasks[task_id], canceled_at=at)

    def of_account(self, account: str) -> list[Task]:
        """List an account's tasks, oldest first."""
        with self._lock:
            return [task for task in self._tasks.values() if task.account == account]

    def add_input(self, picture: InputPicture, at: float) -> None:
        """Keep an input picture, or note that it was used again."""
        with self._lock:
            self._inputs.pop(picture.input_id, None)
            self._inputs[picture.input_id] = (picture, at)

    def get_input(self, input_id: str) -> InputPicture | None:
        """Find an input picture."""
        kept = self._inputs.get(input_id)
        return kept[0] if kept else None


_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY, account TEXT NOT NULL, dialect TEXT NOT NULL, task_order TEXT NOT NULL,
    submitted_at REAL NOT NULL, duration_s REAL NOT NULL, canceled_at REAL
);
CREATE INDEX IF NOT EXISTS tasks_by_account ON tasks (account, submitted_at);
CREATE TABLE IF NOT EXISTS inputs (
    input_id TEXT PRIMARY KEY, width_px INTEGER NOT NULL, height_px INTEGER NOT NULL,
    jpeg BLOB NOT NULL, used_at REAL NOT NULL
);
"""
_TASK_COLUMNS = "task_id, account, dialect, task_order, submitted_at, duration_s, canceled_at"


class SqliteStore:
    """Keep everything in a file; a connection for each call, so that threads, forks and processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as database:
            database.executescript(_SCHEMA)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # The default rollback journal: unlike WAL it is safe on a network filesystem as well.
        database = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S)
        try:
            with database:
                yield database
        finally:
            database.close()

    def add(self, task: Task) -> None:
        """Keep a new task, and forget those that are long gone."""
        row = (task.task_id, task.account, task.dialect, task.order.to_json())
        horizon = task.submitted_at - KEPT_S
        with self._connect() as database:
            database.execute("DELETE FROM tasks WHERE submitted_at < ?", (horizon,))
            database.execute("DELETE FROM inputs WHERE used_at < ?", (horizon,))
            database.execute(
                f"INSERT INTO tasks ({_TASK_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (constant)
                (*row, task.submitted_at, task.duration_s, task.canceled_at),
            )

    def get(self, task_id: str) -> Task | None:
        """Find a task."""
        tasks = self._select("task_id = ?", task_id)
        return tasks[0] if tasks else None

    def cancel(self, task_id: str, at: float) -> None:
        """Note when a task was cancelled."""
        with self._connect() as database:
            database.execute("UPDATE tasks SET canceled_at = ? WHERE task_id = ?", (at, task_id))

    def of_account(self, account: str) -> list[Task]:
        """List an account's tasks, oldest first."""
        return self._select("account = ? ORDER BY submitted_at, rowid", account)

    def add_input(self, picture: InputPicture, at: float) -> None:
        """Keep an input picture, or note that it was used again."""
        row = (picture.input_id, picture.width_px, picture.height_px, picture.jpeg, at)
        with self._connect() as database:
            database.execute("INSERT OR REPLACE INTO inputs VALUES (?, ?, ?, ?, ?)", row)

    def get_input(self, input_id: str) -> InputPicture | None:
        """Find an input picture."""
        query = "SELECT input_id, width_px, height_px, jpeg FROM inputs WHERE input_id = ?"
        with self._connect() as database:
            row = database.execute(query, (input_id,)).fetchone()
        return InputPicture(*row) if row else None

    def _select(self, condition: str, value: str) -> list[Task]:
        query = f"SELECT {_TASK_COLUMNS} FROM tasks WHERE {condition}"  # noqa: S608 (constants of this class)
        with self._connect() as database:
            rows = database.execute(query, (value,)).fetchall()
        return [_task(row) for row in rows]


def _task(row: tuple[Any, ...]) -> Task:
    task_id, account, dialect, order, submitted_at, duration_s, canceled_at = row
    return Task(
        task_id=task_id,
        account=account,
        dialect=cast(Dialect, dialect),
        order=Order.from_json(order),
        submitted_at=submitted_at,
        duration_s=duration_s,
        canceled_at=canceled_at,
    )
