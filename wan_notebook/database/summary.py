"""Count the open jobs of a ledger with the standard library alone: what ``%load_ext`` can afford.

Nothing is created, and a damaged ledger is reported, never raised: loading the extension must not fail because of it.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .status import OPEN, Status

WAIT_S: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class OpenSummary:
    """Open jobs of a ledger, by count.

    ``unsent`` were never sent, ``sending`` have no answer yet (their kernel may be gone), ``running`` are at the
    service, ``to_fetch`` are finished and not all on disk. ``earliest_expiry`` (Unix seconds) is when the service
    begins to delete results. ``problem`` is not empty if the ledger could not be read.
    """

    unsent: int = 0
    sending: int = 0
    running: int = 0
    to_fetch: int = 0
    in_doubt: int = 0
    earliest_expiry: float | None = None
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.unsent or self.sending or self.running or self.to_fetch or self.in_doubt or self.problem)


def count_open(path: Path) -> OpenSummary:
    """Count the open jobs of the ledger in a file; an empty summary if there is no file."""
    if not path.is_file():
        return OpenSummary()
    statuses = sorted(OPEN)
    marks = ", ".join("?" for _ in statuses)
    query = f"SELECT state, count(*), min(expires_at) FROM jobs WHERE state IN ({marks}) GROUP BY state"  # noqa: S608
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True, timeout=WAIT_S)) as connection:
            rows = connection.execute(query, [status.value for status in statuses]).fetchall()
    except (sqlite3.Error, OSError) as error:
        return OpenSummary(problem=f"{path}: {error}")
    counts = {state: count for state, count, _ in rows}
    return OpenSummary(
        unsent=counts.get(Status.INTENT, 0),
        sending=counts.get(Status.SENDING, 0),
        running=counts.get(Status.ACCEPTED, 0) + counts.get(Status.RUNNING, 0),
        to_fetch=counts.get(Status.SUCCEEDED, 0),
        in_doubt=counts.get(Status.IN_DOUBT, 0),
        earliest_expiry=min((expiry for *_, expiry in rows if expiry is not None), default=None),
    )


def read_only_uri(path: Path) -> str:
    """Return the address under which SQLite can read a file without changing anything beside it."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:  # a read-only medium: no room for SQLite's own files
            return f"{uri}&immutable=1"
    return uri
