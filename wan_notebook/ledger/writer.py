"""One thread that writes: what is queued becomes one durable transaction; an operation that fails undoes itself alone.

An operation's future resolves after the commit that holds it, never before. Not safe across ``os.fork``: a child must
not use the file at all (``session`` sees to it).
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from .connect import connect
from .faults import LedgerError, concerns_file, explain, is_busy
from .tx import Tx

T = TypeVar("T")

BATCH_MAX: Final = 256
"""The most operations that share a commit: bounds how long the first of them waits."""

GATHER_S: Final = 0.001
"""How long a commit waits for company while others are writing too. One that comes alone is written at once: only what
was queued during the commit before it waits, and to share one costs less than to be woken for each."""

CLOSE_S: Final = 0.4
"""How long closing waits for the queue to be written; a kernel's shutdown may not be held up for half a second."""


class Operation(Generic[T]):
    """One piece of work inside a transaction, and the future of its result."""

    def __init__(self, work: Callable[[Tx], T], at: float) -> None:
        self.work = work
        self.at = at
        self.future: Future[T] = Future()
        # A future that counts as running cannot be cancelled: an awaiting task that is cancelled must not take back
        # the row that says what was paid for.
        self.future.set_running_or_notify_cancel()
        self.withdrawn = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self, connection: sqlite3.Connection, *, alone: bool) -> bool:
        """Do the work; say whether it succeeded. An error of the disk is raised, and ends the transaction.

        ``alone``: in a savepoint, so that an error of its own undoes it and nothing else.
        """
        self.error = None
        if alone:
            connection.execute("SAVEPOINT operation")
        try:
            self.result = self._work_unless_withdrawn(connection)
        except Exception as error:
            if concerns_file(error):
                raise
            self.error = error
            if alone:
                connection.execute("ROLLBACK TO operation")
        if alone:
            connection.execute("RELEASE operation")
        return self.error is None

    def _work_unless_withdrawn(self, connection: sqlite3.Connection) -> T:
        if self.withdrawn:
            raise LedgerError("The change was withdrawn before it was made.")
        return self.work(Tx(connection, self.at))

    def resolve(self, path: Path) -> None:
        """Tell whoever waits."""
        if isinstance(self.error, sqlite3.Error | OSError):
            fault = explain(path, self.error)
            fault.__cause__ = self.error
            self.future.set_exception(fault)
        elif self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]


class Writer:
    """The writing thread of one ledger."""

    def __init__(self, path: Path, wall_clock: Callable[[], float]) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._queue: queue.SimpleQueue[Operation[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_this_thread(self) -> bool:
        """Whether the caller runs on the writing thread (in a future's callback), where waiting would never end."""
        return threading.current_thread() is self._thread

    def operation(self, work: Callable[[Tx], T]) -> Operation[T]:
        """Make an operation that is not queued yet."""
        return Operation(work, self._wall_clock())

    def put(self, operation: Operation[T]) -> Future[T]:
        """Queue an operation; its future resolves once it is durable."""
        with self._lock:
            if not self._closed:
                self._queue.put(operation)
                if self._thread is None:  # a ledger that is only read has none
                    self._thread = threading.Thread(target=self._serve, name="wan-ledger", daemon=True)
                    self._thread.start()
                return operation.future
        operation.future.set_exception(LedgerError(f"The ledger {self._path} is closed."))
        return operation.future

    def close(self) -> None:
        """Write what is queued and stop, waiting 0.4 s at most; what takes longer goes on in the background."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
            thread = self._thread
        if thread is not None and not self.is_this_thread:
            thread.join(CLOSE_S)

    def _serve(self) -> None:
        while self._commit(self._take()):
            pass
        self._drop()

    def _take(self) -> list[Operation[Any] | None]:
        if self._queue.empty():
            batch = [self._queue.get()]
        else:
            time.sleep(GATHER_S)
            batch = []
        with contextlib.suppress(queue.Empty):
            while len(batch) < BATCH_MAX:
                batch.append(self._queue.get_nowait())
        return batch

    def _commit(self, batch: list[Operation[Any] | None]) -> bool:
        operations = [operation for operation in batch if operation is not None]
        if operations:
            self._transact(operations)
        for operation in operations:
            operation.resolve(self._path)
        return None not in batch

    def _transact(self, operations: list[Operation[Any]]) -> None:
        try:
            if self._connection is None:
                self._connection = connect(self._path)
            # Savepoints are a third of the work, and errors are rare: only then is all done again, with them.
            if not self._run_all(self._connection, operations, alone=False) and len(operations) > 1:
                self._run_all(self._connection, operations, alone=True)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens, or all writes hang
            # After a failed commit the connection's state is not worth trusting: the next batch opens a new one.
            self._drop()
            self._fail(operations, error)

    def _run_all(self, connection: sqlite3.Connection, operations: list[Operation[Any]], *, alone: bool) -> bool:
        """Run operations in one transaction; say whether it was committed: not so if one fails that is not alone."""
        # IMMEDIATE: what an operation reads stays true until it is committed, whatever other kernels do.
        connection.execute("BEGIN IMMEDIATE")
        for operation in operations:
            if not operation.run(connection, alone=alone) and not alone:
                connection.execute("ROLLBACK")
                return False
        connection.execute("COMMIT")
        return True

    def _fail(self, operations: list[Operation[Any]], error: Exception) -> None:
        if len(operations) > 1 and not is_busy(error):
            # On a disk that is almost full one large operation must not take the small ones with it.
            for operation in operations:
                self._transact([operation])
            return
        for operation in operations:
            operation.error = operation.error or error

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()  # rolls back what is open
            self._connection = None
