"""Tasks: what was asked, how a task's state follows from the clock, and where tasks are stored."""

import re
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

Provider = Literal["gateway", "dashscope"]

LIFETIME_S = 24 * 3600.0
"""How long the services keep a task after its submit, and a result after the task's end (WAN_API §4)."""

_DIRECTIVE = re.compile(r"\[\[(\w+)(?::([\w.]+))?\]\]")


class TaskState(StrEnum):
    """DashScope's words for the states of a task; the gateway has its own."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


@dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """An accepted request: everything that its pictures depend on.

    `inputs` are reduced JPEGs in base64, or addresses; `images_n` is how many pictures are made, `withheld_n` how many
    more are replaced by a reason.
    """

    model: str
    is_interleaved: bool
    prompt: str
    negative_prompt: str = ""
    inputs: tuple[str, ...] = ()
    width_px: int
    height_px: int
    images_n: int
    withheld_n: int = 0
    prompt_extend: bool = True
    watermark: bool = False
    seed: int

    @property
    def is_text_to_image(self) -> bool:
        """Whether one picture was asked for by text alone, so that it comes without accompanying text."""
        return self.is_interleaved and not self.inputs and self.images_n == 1


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. Times are Unix seconds; its state is a function of the time alone."""

    task_id: str
    account: str
    provider: Provider
    request: TaskRequest
    submitted_at: float
    pending_s: float
    duration_s: float
    canceled_at: float | None = None

    @property
    def scheduled_at(self) -> float:
        """When the task stops waiting and starts to run, or is cancelled before that."""
        return min(self.submitted_at + self.pending_s, self.ends_at)

    @property
    def ends_at(self) -> float:
        """When the task is over."""
        return self.submitted_at + self.duration_s if self.canceled_at is None else self.canceled_at

    @property
    def failure_code(self) -> str:
        """The code with which the task fails, as its prompt asks, or is cancelled; otherwise an empty string."""
        if self.canceled_at is not None:
            return "TaskCanceled"
        directives = directives_of(self.request.prompt)
        return (directives["fail"] or "DataInspectionFailed") if "fail" in directives else ""

    def state(self, now: float) -> TaskState:
        """Return the state at a time."""
        if self.canceled_at is not None:
            return TaskState.CANCELED
        if now >= self.ends_at:
            return TaskState.FAILED if self.failure_code else TaskState.SUCCEEDED
        return TaskState.RUNNING if now >= self.scheduled_at else TaskState.PENDING


def directives_of(prompt: str) -> dict[str, str]:
    """Return the `[[name:value]]` directives of a prompt."""
    return dict(_DIRECTIVE.findall(prompt))


_DOCUMENT = TypeAdapter(Task)


class TaskStore:
    """Tasks in SQLite: in memory, or in a file that several processes may share.

    A file is opened for each operation, so that threads, forked processes and other kernels can use it too.
    Tasks are kept for two days: a result may be fetched until a day after its task ended.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._memory = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._memory.close)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS simulated_tasks (task_id TEXT PRIMARY KEY, account TEXT NOT NULL, "
                "submitted_at REAL NOT NULL, ends_at REAL NOT NULL, document TEXT NOT NULL)"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            database = self._memory
            if self._path is not None:  # a rollback journal, not WAL: the file may lie on a network filesystem
                database = sqlite3.connect(self._path, timeout=10.0, isolation_level="IMMEDIATE")
            try:
                with database:
                    yield database
            finally:
                if database is not self._memory:
                    database.close()

    def add(self, task: Task, *, in_flight_max: int) -> bool:
        """Store a task, unless its account has `in_flight_max` tasks in process already (0: no limit).

        Counting and storing are one transaction, so that the limit holds over all processes.
        """
        now = task.submitted_at
        count = "SELECT count(*) FROM simulated_tasks WHERE account = ? AND ends_at > ?"
        with self._transaction() as database:
            database.execute("DELETE FROM simulated_tasks WHERE submitted_at < ?", (now - 2 * LIFETIME_S,))
            running = database.execute(count, (task.account, now)).fetchone()[0]
            if in_flight_max and running >= in_flight_max:
                return False
            row = (task.task_id, task.account, now, task.ends_at, _DOCUMENT.dump_json(task))
            database.execute("INSERT INTO simulated_tasks VALUES (?, ?, ?, ?, ?)", row)
        return True

    def tasks(self, task_id: str | None = None) -> list[Task]:
        """Return the tasks, oldest first: all, or the one with this id."""
        query = "SELECT document FROM simulated_tasks WHERE ?1 IS NULL OR task_id = ?1 ORDER BY submitted_at, rowid"
        with self._transaction() as database:
            return [_DOCUMENT.validate_json(document) for (document,) in database.execute(query, (task_id,))]

    def cancel(self, task: Task, at: float) -> None:
        """Store that a task was cancelled at a time."""
        document = _DOCUMENT.dump_json(replace(task, canceled_at=at))
        query = "UPDATE simulated_tasks SET ends_at = ?, document = ? WHERE task_id = ?"
        with self._transaction() as database:
            database.execute(query, (at, document, task.task_id))
