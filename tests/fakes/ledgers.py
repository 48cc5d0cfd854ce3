"""What makes ledgers cheap for tests, which open a thousand of them where a kernel opens one."""

import contextlib
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from wan_notebook.database import Database

open_really = Database.open


def make_ledgers_cheap(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let every new ledger begin as a copy of an empty one, and all ledgers share the statements that are compiled."""
    # What is compiled is found by its dialect, and each engine has one of its own.
    patch.setattr(SQLiteDialect, "__eq__", lambda self, other: type(self) is type(other))
    patch.setattr(SQLiteDialect, "__hash__", lambda self: hash(type(self)))
    patch.setattr(sa, "create_engine", partial(sa.create_engine, execution_options={"compiled_cache": {}}))
    empty = folder / "empty.db"
    open_really(empty).close()

    def opened(path: Path | str, **options: Any) -> Database:
        if isinstance(path, Path) and path.parent.is_dir() and not os.path.lexists(path) and "read_only" not in options:
            copy = shutil.copy(empty, path.with_name(f"{os.urandom(4).hex()}.db"))
            with contextlib.suppress(FileExistsError):  # made by another kernel meanwhile
                os.link(copy, path)
            copy.unlink()
        return open_really(path, **options)

    patch.setattr(Database, "open", opened)
