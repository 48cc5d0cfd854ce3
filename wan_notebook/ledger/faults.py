"""What can go wrong with the ledger, in words for people."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wan_notebook.errors import StoreError, WanError
from wan_notebook.states import JobState


class LedgerError(StoreError):
    """The ledger cannot be read or written, or has no such row."""


class LedgerConflict(WanError):
    """The job is no longer where the caller thought: another kernel moved it, or holds it.

    ``current`` is its state now, ``holder`` the token of the kernel that holds it (empty if nobody does).
    """

    def __init__(self, message: str, *, job_id: str, current: JobState, holder: str = "") -> None:
        super().__init__(message, hint="Read the job again: its row tells the truth.")
        self.job_id = job_id
        self.current = current
        self.holder = holder


_WORDS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space there, then repeat."),
    sqlite3.SQLITE_IOERR: (
        "the disk reports an error",
        "Check its free space, its quota and the disk itself, or set WAN_HOME to a folder on another one.",
    ),
    sqlite3.SQLITE_READONLY: (
        "it is read-only",
        "Make the file and its folder writable, or set WAN_HOME to another folder.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "Check that its folder exists and is writable, or set WAN_HOME to another folder.",
    ),
    sqlite3.SQLITE_PERM: ("access is denied", "Check the file's permissions, or set WAN_HOME to another folder."),
    sqlite3.SQLITE_BUSY: (
        "another program has kept it locked",
        "Close other programs that have the file open, then repeat; nothing was changed.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged",
        "Restore it from a backup, or move it away to begin a new one: the picture files are not touched by that.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "it is no ledger",
        "Move the file away, or set WAN_HOME to another folder.",
    ),
}


_OF_THE_FILE = frozenset(_WORDS) | {sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL}


def _primary(error: BaseException) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else -1  # an extended code carries the primary one in its low byte


def concerns_file(error: BaseException) -> bool:
    """Say whether an error is about the file or the disk, so that the whole transaction is lost."""
    return isinstance(error, sqlite3.Error) and _primary(error) in _OF_THE_FILE


def is_busy(error: BaseException) -> bool:
    """Say whether another program held the file for all the time that we wait."""
    return isinstance(error, sqlite3.Error) and _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_unwritable(error: BaseException | None) -> bool:
    """Say whether the file may still be read: only writing it, or its journal beside it, is impossible."""
    codes = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
    return isinstance(error, sqlite3.Error) and _primary(error) in codes


def explain(path: Path, error: BaseException) -> LedgerError:
    """Turn an error of SQLite into one that names the file, what happened to it, and what to do."""
    what, hint = _WORDS.get(_primary(error), (f"SQLite says: {error}", "Run %wan doctor; it checks the folder."))
    return LedgerError(f"The ledger {path} could not be used: {what}.", hint=hint)
