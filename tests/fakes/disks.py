"""Disks that take nothing for a while: for picture files, and for the ledger."""

import builtins
import errno
import io
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa


class FullDisk:
    """A folder on a disk that is full or read-only as long as `errno` is set. The ledger, beside it, is not touched."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errno = 0
        self.refused = 0
        self._folder = str(folder)
        opened, os_open = builtins.open, os.open

        def open_file(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if set(mode) & set("wax+"):
                self._check(file)
            return opened(file, mode, *args, **options)

        def open_descriptor(path: Any, flags: int, *args: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._check(path)
            return os_open(path, flags, *args, **options)

        monkeypatch.setattr(builtins, "open", open_file)
        monkeypatch.setattr(io, "open", open_file)
        monkeypatch.setattr(os, "open", open_descriptor)
        for name in ("link", "rename", "replace"):
            monkeypatch.setattr(os, name, self._of_two(getattr(os, name)))
        made = shutil.disk_usage
        monkeypatch.setattr(shutil, "disk_usage", lambda path: made(path)._replace(**self._left()))

    def _left(self) -> dict[str, int]:
        return {"free": 0} if self.errno == errno.ENOSPC else {}

    def _check(self, path: Any) -> None:
        if self.errno and not isinstance(path, int) and os.fspath(path).startswith(self._folder):
            self.refused += 1
            raise OSError(self.errno, os.strerror(self.errno), os.fspath(path))

    def _of_two(self, original: Any) -> Any:
        def call(source: Any, target: Any, **options: Any) -> Any:
            self._check(target)
            return original(source, target, **options)

        return call


class FullLedger:
    """Lets every write to a database fail as on a full disk, as long as `is_full`."""

    def __init__(self) -> None:
        self.is_full = False
        self.refused = 0
        sa.event.listen(sa.Engine, "do_execute", self._execute)

    def _execute(self, _cursor: Any, statement: str, _parameters: Any, _context: Any) -> None:
        if self.is_full and statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            self.refused += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    def close(self) -> None:
        """Take the listener away."""
        sa.event.remove(sa.Engine, "do_execute", self._execute)
