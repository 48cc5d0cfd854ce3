"""What makes ledgers cheap for tests, which open a thousand of them where a kernel opens one.

SQLAlchemy keeps compiled statements by engine, and a new ledger takes 31 more: both are paid once a process.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from wan_notebook.database import Database

_COMPILED: dict[Any, Any] = {}


class SharedSQLite(SQLiteDialect_pysqlite):
    """SQLite's dialect, equal to that of every other engine: it is in the keys of what is compiled."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedSQLite)

    def __hash__(self) -> int:
        return hash(SharedSQLite)


def share_compiled_statements() -> None:
    """Let all engines of this process use one cache."""
    registry.register("sqlite", __name__, SharedSQLite.__name__)

    @event.listens_for(Engine, "engine_connect")
    def _use_shared(connection: Connection) -> None:
        connection.execution_options(compiled_cache=_COMPILED)


def opening_copies_of(empty: Path) -> Callable[..., Database]:
    """Return `Database.open` that begins a new file with a copy of an empty ledger.

    The tests of the database itself see the original.
    """
    original = Database.open
    original(empty).close()
    content = empty.read_bytes()

    def opened(path: Path | str, **options: Any) -> Database:
        is_new = isinstance(path, Path) and path.parent.is_dir() and not os.path.lexists(path)
        if is_new and "read_only" not in options and "unit/database" not in os.environ.get("PYTEST_CURRENT_TEST", ""):
            made = path.with_name(f"empty-{os.urandom(4).hex()}")
            made.touch(0o660)
            made.write_bytes(content)
            made.rename(path)
        return original(path, **options)

    return opened
