"""Opening the database: the one place for PRAGMAs, the journal's kind, the schema's version and its migrations."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa

from . import schema
from .faults import LedgerError, explain

Journal = Literal["auto", "wal", "rollback"]

BUSY_TIMEOUT_S: Final = 10.0
"""How long to wait for another kernel's transaction. Ours last milliseconds, but a sleeping disk or a backup program
may hold the file for seconds, and failing early would turn such a moment into a refused picture."""

NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "afpfs", "ceph", "lustre", "gpfs", "beegfs"}
    | {"glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.ceph", "fuse.davfs", "davfs", "fuse.rclone", "fuse.s3fs"}
    | {"fuse.gcsfuse", "fuse.juicefs", "virtiofs", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse", "drvfs", "pvfs2", "orangefs"}
)
"""Where the memory that WAL shares between processes is not shared between machines: WAL would damage the file."""

MINIMUM_SQLITE: Final = (3, 35, 0)  # UPDATE … RETURNING

_MOUNTS = Path("/proc/mounts")


def on_network_filesystem(path: Path, mounts: str | None = None) -> bool:
    """Say whether a path lies on a network filesystem; ``mounts`` is the text of ``/proc/mounts``."""
    if str(path).startswith(("\\\\", "//")):
        return True
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return False
    folder = path.absolute()
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # The kernel writes space, tab, newline and backslash in a mount point as three octal digits.
        point = Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind in NETWORK_FILESYSTEMS


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file. Transactions are begun by our own statements, so that each begins as what it is.

    ``read_only`` reads a file on a medium that nobody can write, where SQLite's own files beside it cannot be made.
    """
    mode = "ro&immutable=1" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA foreign_keys=ON")
    # A commit must survive a power cut: with NORMAL the newest ones of a WAL may be lost.
    connection.execute("PRAGMA synchronous=FULL")
    # Emptying the trash must leave no prompt in the free space of the file.
    connection.execute("PRAGMA secure_delete=ON")
    return connection


def prepare(
    path: Path,
    *,
    journal: Journal = "auto",
    mounts: str | None = None,
    migrations: Mapping[int, Sequence[str]] = schema.MIGRATIONS,
    version: int = schema.SCHEMA_VERSION,
) -> None:
    """Create the ledger or bring it up to date; choose its journal. Raises ``LedgerError``."""
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise LedgerError(
            f"This Python's SQLite is {sqlite3.sqlite_version}; the ledger needs 3.35 or newer.",
            hint="Use a newer Python, or conda's or your system's newer sqlite package.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = connect(path)
        try:
            refuse_newer(path, connection, version)
            _choose_journal(path, connection, journal, mounts)
            _migrate(path, connection, migrations, version)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise explain(path, error) from error


def check_readable(path: Path) -> None:
    """Make sure that a ledger which cannot be written can be read. Raises ``LedgerError``."""
    try:
        with contextlib.closing(connect(path, read_only=True)) as connection:
            refuse_newer(path, connection, schema.SCHEMA_VERSION)
    except sqlite3.Error as error:
        raise explain(path, error) from error


def _choose_journal(path: Path, connection: sqlite3.Connection, journal: Journal, mounts: str | None) -> None:
    rollback = journal == "rollback" or (journal == "auto" and on_network_filesystem(path, mounts))
    if not rollback and _set_journal(connection, "WAL") == "wal":
        return
    if journal == "wal":
        raise LedgerError(
            f"The ledger {path} cannot use a write-ahead log here.",
            hint="Leave the journal on auto, or move the folder to a local disk.",
        )
    if (got := _set_journal(connection, "DELETE")) != "delete":
        raise LedgerError(
            f"The ledger {path} lies on a network drive and is kept open with another journal ({got}).",
            hint="Close the other kernels that use this folder, then repeat.",
        )


def _set_journal(connection: sqlite3.Connection, mode: str) -> str:
    return str(connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0]).lower()


def refuse_newer(path: Path, connection: sqlite3.Connection, version: int) -> int:
    """Return the file's schema version; raise ``LedgerError`` if a newer program wrote it."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > version:
        raise LedgerError(
            f"The ledger {path} was written by a newer wan_notebook (schema {found}; this one knows {version}).",
            hint="Upgrade: pip install --upgrade wan-notebook. Nothing was changed.",
        )
    return found


def _refuse_foreign(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise LedgerError(
            f"{path} is a database of something else.", hint="Move it away, or set WAN_HOME to another folder."
        )


def _migrate(path: Path, connection: sqlite3.Connection, migrations: Mapping[int, Sequence[str]], version: int) -> None:
    if refuse_newer(path, connection, version) == version:
        return
    # The version is read again inside: two kernels may open a new file at once. An error leaves the transaction open,
    # and closing the connection takes it back.
    connection.execute("BEGIN IMMEDIATE")
    found = refuse_newer(path, connection, version)
    if found == 0:
        _refuse_foreign(path, connection)
    steps = schema.create_script() if found == 0 else []
    for at in range(found or schema.SCHEMA_VERSION, version):
        steps += migrations[at]
    for statement in steps:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={version}")
    connection.execute("COMMIT")


def _up_to_date(path: Path, connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a file that cannot be written as this version reads it: if it is an older one, a copy in memory."""
    if refuse_newer(path, connection, schema.SCHEMA_VERSION) == schema.SCHEMA_VERSION:
        return connection
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.backup(copy)
    connection.close()
    _migrate(path, copy, schema.MIGRATIONS, schema.SCHEMA_VERSION)
    return copy


def reading_pool(path: Path, *, read_only: bool = False) -> sa.Pool:
    """Return a pool of a few connections for reads, which cannot write."""

    def open_reader() -> Any:
        connection = connect(path, read_only=read_only)
        if read_only:
            connection = _up_to_date(path, connection)
        connection.execute("PRAGMA query_only=ON")
        return connection

    return sa.QueuePool(open_reader, pool_size=4, max_overflow=12)


def dialect() -> sa.Dialect:
    """Return the dialect that statements are compiled for."""
    from sqlalchemy.dialects import sqlite

    made: Any = sqlite.dialect()
    return made  # type: ignore[no-any-return]
