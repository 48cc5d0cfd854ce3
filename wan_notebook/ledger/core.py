"""What every call of the ledger stands on: the open file, its writing thread, its reading connections."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Self, TypeVar, cast

import sqlalchemy as sa

from . import find
from .connect import Journal, check_readable, prepare, reading_pool
from .faults import LedgerError, explain, is_unwritable
from .job_row import JobDetails
from .tx import Read, Tx
from .writer import Writer

T = TypeVar("T")


class Core:
    """One ledger file, open for this process."""

    def __init__(self, path: Path, wall_clock: Callable[[], float], *, is_read_only: bool = False) -> None:
        self.path = path
        self.is_read_only = is_read_only
        self._wall_clock = wall_clock
        self._pool = reading_pool(path, read_only=is_read_only)
        self._file = _file_of(path)
        self._writer = Writer(path, wall_clock)
        # Runs at exit too; what it holds must not be the ledger itself, or that would live for ever.
        self._closing = weakref.finalize(self, _close, self._writer, self._pool)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        journal: Journal = "auto",
        wall_clock: Callable[[], float] = time.time,
        mounts: str | None = None,
    ) -> Self:
        """Open the ledger in this file, creating it or bringing it up to date. Raises ``LedgerError``.

        ``journal`` is SQLite's: ``auto`` means a write-ahead log, but a rollback journal on a network filesystem
        (told from ``mounts``, by default ``/proc/mounts``). A ledger on a medium that cannot be written is opened
        for reading (``is_read_only``): its pictures can be shown again, and every write says why it cannot be.
        """
        try:
            prepare(path, journal=journal, mounts=mounts)
        except LedgerError as error:
            if not (path.is_file() and is_unwritable(error.__cause__)):
                raise
            check_readable(path)
            return cls(path, wall_clock, is_read_only=True)
        return cls(path, wall_clock)

    def close(self) -> None:
        """Write what is queued and close; waits half a second at most. May be called twice."""
        self._closing()

    def leave(self) -> None:
        """In a forked process: never touch the parent's connections, not even to close them at exit."""
        self._closing.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ how calls reach the file

    def _check_in_place(self) -> None:
        """Raise ``LedgerError`` if the file was deleted, moved or replaced: what is written would never be found."""
        if _file_of(self.path) != self._file:
            raise LedgerError(
                f"The ledger {self.path} was deleted, moved or replaced while this kernel used it. Nothing was sent.",
                hint="Put it back, or restart the kernel to go on with what is there now.",
            )

    def _write(self, work: Callable[[Tx], T]) -> Future[T]:
        return self._writer.put(self._writer.operation(work))

    def _write_now(self, work: Callable[[Tx], T]) -> T:
        if self._writer.is_this_thread:
            message = "a future's callback may not wait for the ledger: it runs on the thread that writes"
            raise RuntimeError(message)
        return self._write(work).result()

    @contextlib.contextmanager
    def _reading(self, *, once: bool = False) -> Iterator[Read]:
        """Yield what reads: one snapshot for all that is asked inside, or ``once`` for a single statement."""
        try:
            checked_out = self._pool.connect()
            try:
                driver = cast("sqlite3.Connection", checked_out.driver_connection)
                if not once:
                    driver.execute("BEGIN")
                yield Tx(driver, self._wall_clock()).read
            finally:
                checked_out.close()  # takes the transaction back
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    def _load(self, seq: int) -> JobDetails:
        with self._reading() as read:
            return find.details_of(read, seq)


def _file_of(path: Path) -> tuple[int, int] | None:
    """Return which file lies there, whatever its name says."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(writer: Writer, pool: sa.Pool) -> None:
    writer.close()
    pool.dispose()
