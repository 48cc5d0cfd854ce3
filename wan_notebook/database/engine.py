"""Opening the database: SQLite files with their PRAGMAs and journal, servers by URL, and the schema's version."""

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from ..errors import StoreError
from ..text import one_line
from .models import Base, MetaRow
from .status import read_only_uri

SCHEMA_VERSION: Final = 3
NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "afpfs", "ceph", "lustre", "gpfs", "beegfs"}
    | {"glusterfs", "davfs", "virtiofs", "vboxsf", "prl_fs", "drvfs", "pvfs2", "orangefs"}
)
"""With ``fuse.*``: where the memory that a write-ahead log shares between processes is not shared between machines."""

_UNWRITABLE: Final = ("it cannot be opened or written", "Check that its folder exists, and make both writable.")
_REASONS: Final = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space there, then try again."),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "Check its free space, its quota and the disk itself."),
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM), _UNWRITABLE),
    sqlite3.SQLITE_BUSY: ("another program keeps it locked", "Close that program, then try again."),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "Restore it from a backup; the picture files are not affected."),
    sqlite3.SQLITE_NOTADB: ("it is not a ledger", "Move the file away, or set WAN_HOME to another folder."),
}
_MADE: Final = """
SELECT type, sql FROM sqlite_master
WHERE sql IS NOT NULL AND NOT (type = 'table' AND name LIKE 'sqlite~_%' ESCAPE '~')
"""
"""What the file was made with, but tables of SQLite's own."""
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")
"""Ends a journal that names a "super-journal", as those of transactions on several files do; ours never are."""


class DatabaseUnavailable(StoreError):
    """The file or server cannot be read or written now: disk full, locked, connection lost. Later it may be."""


class DatabaseEngine:
    """An open database: its transactions, its clock, and its end. ``Database`` adds what is stored.

    ``path`` is None for a server.
    """

    def __init__(self, engine: sa.Engine, place: str, path: Path | None, wall_clock: Callable[[], float]) -> None:
        self.place, self.path, self.opened = place, path, path.stat() if path else None
        self._engine, self._wall_clock = engine, wall_clock
        self._pid, self._current = os.getpid(), threading.local()

    @classmethod
    def open(
        cls, path_or_url: Path | str, *, wall_clock: Callable[[], float] = time.time, read_only: bool = False
    ) -> Self:
        """Open a ledger, creating it or bringing it up to date.

        Parameters
        ----------
        path_or_url : Path or str
            An SQLite file, or the URL of a server such as ``postgresql+psycopg://host/team``.
        wall_clock : callable
            Unix seconds; a server uses its own clock.
        read_only : bool
            Change nothing. A file that cannot be written is opened this way by itself.

        Raises
        ------
        StoreError
            If the file is a link, belongs to another program or a newer version, or is not made as we make it.
        DatabaseUnavailable
            If it cannot be read.
        """
        if isinstance(path_or_url, str) and "://" in path_or_url:
            return cls(*_open_server(path_or_url), None, wall_clock)
        path = Path(path_or_url)
        for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))):
            if file.is_symlink() or file.is_fifo():
                raise StoreError(f"{file} is a link or a pipe; no ledger is opened through one.", hint="Remove it.")
            if file.name.endswith("-journal") and file.is_file() and _last_bytes(file) == _JOURNAL_MAGIC:
                raise StoreError(f"{file} names another file, which SQLite would delete.", hint="Delete it.")
        if not read_only:
            try:
                return cls(_open_file(path), str(path), path, wall_clock)
            except DatabaseUnavailable as error:
                if not path.is_file() or _reason(error.__cause__) is not _UNWRITABLE:
                    raise
        return cls(_open_read_only(path), str(path), path, wall_clock)

    def close(self, *, is_forked: bool = False) -> None:
        """Close all connections, but not a parent's in a process that was forked. May be called twice."""
        self._engine.dispose(close=not is_forked)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self, lock: str = "") -> Iterator[Session]:
        """Open a session whose changes are one transaction: all or none, and durable when it ends.

        Transactions with the same ``lock`` wait for each other; SQLite's writers are alone anyway.
        """
        # IMMEDIATE: what a transaction reads stays true until it is committed, whatever other kernels do.
        with self.reading("BEGIN IMMEDIATE") as session:
            if lock and self.path is None:
                session.execute(_lock(lock))
            yield session

    @contextmanager
    def reading(self, begin: str = "BEGIN") -> Iterator[Session]:
        """Open a session that sees one snapshot of what is committed; ``begin`` is how SQLite is told."""
        if os.getpid() != self._pid:
            message = f"The ledger {self.place} is used by the process that this one was forked from."
            raise StoreError(message, hint="Open it again in this process.")
        if (current := getattr(self._current, "session", None)) is not None:
            yield current  # a method that calls another one: both are one transaction
            return
        pool = self._engine.pool
        try:
            with explained(self.place), Session(self._engine, expire_on_commit=False) as session, session.begin():
                self._current.session = session
                if self.path is not None:
                    session.connection().exec_driver_sql(begin)
                yield session
        finally:
            self._current.session = None
            if pool is not self._engine.pool:  # closed meanwhile: what this transaction used has come back after that
                pool.dispose()

    def now(self) -> float:
        """Return the time in Unix seconds: the server's if there is one, since hosts disagree."""
        if self.path is not None:
            return self._wall_clock()
        with self.reading() as session:
            return float(session.scalar(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))) or 0.0)

    @property
    def file_warning(self) -> str:
        """What is wrong with the permissions of the file, for ``%wan doctor``; empty if nothing."""
        if self.path is None or os.name == "nt" or not self.path.stat().st_mode & 0o002:
            return ""
        return f"{self.path} can be changed by every user of this machine. Run: chmod o-rwx {self.path}"


def _last_bytes(file: Path) -> bytes:
    # Another kernel may just have ended its transaction, and the journal with it.
    with explained(str(file)), suppress(FileNotFoundError), file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(_JOURNAL_MAGIC)))
        return opened.read()
    return b""


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn errors of the database into ones that name the ledger, what happened to it, and what to do."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError, sqlite3.Error, OSError) as error:
        what, hint = _reason(error)
        raise DatabaseUnavailable(f"The ledger {place} could not be used: {what}.", hint=hint) from error
    except (UnicodeError, OverflowError, StaleDataError) as error:  # the last one: a key that is not a number
        raise StoreError(f"The ledger {place} cannot hold this value: {one_line(error)}.") from error
    except ImportError as error:
        hint = 'Install it: pip install "wan-notebook[postgres]"'
        raise StoreError(f"The ledger {place} needs the module {error.name}.", hint=hint) from error


def _reason(error: BaseException | None) -> tuple[str, str]:
    """Return what happened and what to do; an extended code of SQLite carries its primary one in the low byte."""
    said = getattr(error, "orig", None) or error
    default = (str(said).partition("\n")[0], "Run `%wan doctor` to check the folder and the connection.")
    return _REASONS.get(getattr(said, "sqlite_errorcode", 0) & 0xFF, default)


def on_network_filesystem(path: Path, mounts: str | None = None) -> bool:
    """Say whether a path lies on a network filesystem; ``mounts`` is the text of ``/proc/mounts``."""
    if mounts is None:
        with suppress(OSError):
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    folder, best, kind = path.absolute(), -1, ""
    for fields in (line.split(" ") for line in (mounts or "").splitlines() if line.count(" ") > 2):
        # The kernel writes space, tab, newline and backslash in a mount point as three octal digits.
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return str(path).startswith(("\\\\", "//")) or kind in NETWORK_FILESYSTEMS or kind.startswith("fuse.")


def _open_server(address: str) -> tuple[sa.Engine, str]:
    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):  # which is not shown: it may hold a password
        hint = "Write WAN_LEDGER like postgresql+psycopg://host/team, or unset it."
        raise StoreError("WAN_LEDGER is not the address of a database.", hint=hint) from None
    place = url.render_as_string(hide_password=True)
    with explained(place):
        engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
        _create_or_migrate(engine, place)
    return engine, place


def _open_file(path: Path) -> sa.Engine:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with explained(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError, PermissionError):  # what cannot be written is told by SQLite
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o660))  # prompts are private: nothing for others
        with closing(_connect(uri)) as connection:
            # Without shared memory SQLite itself stays with DELETE.
            connection.execute(f"PRAGMA journal_mode={'DELETE' if on_network_filesystem(path) else 'WAL'}")
        with _kept(_sqlite_engine(uri)) as engine:
            _create_or_migrate(engine, str(path))
        return engine


def _open_read_only(path: Path) -> sa.Engine:
    with explained(str(path)):
        with _kept(_sqlite_engine(read_only_uri(path))) as engine, engine.connect() as connection:
            _checked_version(connection, str(path))  # an older one is read as it is: schema 3 only added tables
        return engine


def _connect(uri: str) -> sqlite3.Connection:
    # Our transactions take milliseconds; a backup program may hold the file for seconds.
    connection = sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")  # one odd text stops no query
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 * 2**20)  # one row of a foreign file must not fill the memory
    try:
        for pragma in (
            "foreign_keys=ON",
            "synchronous=FULL",  # a commit survives a power cut, in a write-ahead log too
            "secure_delete=ON",  # emptying the trash leaves no prompt in the free space of the file
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:  # a damaged file, or none of ours: nothing keeps it open
        connection.close()
        raise
    return connection


def _sqlite_engine(uri: str) -> sa.Engine:
    return sa.create_engine("sqlite://", creator=lambda: _connect(uri), poolclass=sa.QueuePool, hide_parameters=True)


@contextmanager
def _kept(engine: sa.Engine) -> Iterator[sa.Engine]:
    """Close an engine's connections if it turns out that its ledger is not used."""
    try:
        yield engine
    except BaseException:
        engine.dispose()
        raise


def _create_or_migrate(engine: sa.Engine, place: str) -> None:
    """Create what is missing, in one transaction: two kernels may open a new ledger at the same moment."""
    with engine.begin() as connection:
        is_server = connection.dialect.name != "sqlite"
        connection.execute(_lock("schema") if is_server else sa.text("BEGIN IMMEDIATE"))
        found = _checked_version(connection, place)
        if found == SCHEMA_VERSION:
            return
        if found == 1:  # all else that a later schema has are tables
            connection.exec_driver_sql("ALTER TABLE pictures ADD COLUMN recipe_sha256 TEXT DEFAULT '' NOT NULL")
        _create_all(connection)
        if is_server:
            connection.execute(sa.insert(MetaRow).values(key="schema", value=str(SCHEMA_VERSION)))
        else:
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


def _create_all(connection: sa.Connection) -> None:
    Base.metadata.create_all(connection)
    for statement in Path(__file__).with_name("unused.sql").read_text(encoding="utf-8").split(";\n")[:-1]:
        connection.exec_driver_sql(statement)


def _checked_version(connection: sa.Connection, place: str) -> int:
    """Return the schema's version, 0 for an empty database; raise ``StoreError`` for what must not be used."""
    if connection.dialect.name != "sqlite":
        has_tables, schema = sa.inspect(connection).has_table("meta"), MetaRow.key == "schema"
        version = int(connection.scalar(sa.select(MetaRow.value).where(schema)) or 0) if has_tables else 0
    else:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        made = connection.exec_driver_sql(_MADE).all()
        if version == 0 and made:
            hint = "Move it away, or set WAN_HOME to another folder."
            raise StoreError(f"{place} is the database of another program.", hint=hint)
        what = ", ".join({kind for kind, sql in made if _spelled(sql) not in _our_statements()})
        if made and not what:
            what = _orphans(connection)
        if what and version <= SCHEMA_VERSION:
            hint = "Do not use it; restore it from a backup."
            raise StoreError(f"The ledger {place} has what wan_notebook never makes: {what}.", hint=hint)
    if version > SCHEMA_VERSION:
        known = f"schema {version}; this one knows {SCHEMA_VERSION}"
        message = f"The ledger {place} was written by a newer wan_notebook ({known}). Nothing was changed."
        raise StoreError(message, hint="Upgrade: pip install --upgrade wan-notebook")
    return version


@cache
def _our_statements() -> frozenset[str]:
    """Return what makes our tables and indexes: others may change, hide or refuse what is written."""
    engine = sa.create_engine("sqlite://", poolclass=sa.NullPool)  # which closes what it opened
    with engine.begin() as connection:
        _create_all(connection)
        return frozenset(_spelled(sql) for _, sql in connection.exec_driver_sql(_MADE))


def _spelled(sql: str) -> str:
    """Return a statement without white space, and without the column that an update of schema 1 puts last."""
    return re.sub(r",recipe_sha256TEXTDEFAULT''NOTNULL|WITHOUTROWID", "", re.sub(r"\s", "", sql))


def _orphans(connection: sa.Connection) -> str:
    """Name a table with rows of a job that is still to come, which would take them for its own."""
    last = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM jobs").scalar_one()
    tables = [table for table in Base.metadata.sorted_tables if "job_seq" in table.primary_key.columns]
    later = ((table.name, sa.select(table.c.job_seq).where(table.c.job_seq > last).limit(1)) for table in tables)
    known = set(sa.inspect(connection).get_table_names())
    return next((f"{name} of no job" for name, rows in later if name in known and connection.execute(rows).first()), "")


def _lock(what: str) -> sa.Select[Any]:
    """Make transactions of a server wait for each other; the end of the transaction lets go."""
    return sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(what)))
