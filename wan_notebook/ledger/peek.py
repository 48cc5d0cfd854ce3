"""A glance at a ledger without SQLAlchemy: what ``%load_ext`` can afford. It reads, and makes nothing.

A database of a folder that does not exist yet is not created, and a damaged one is reported, never raised: loading the
extension must not fail because of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wan_notebook.states import JobState

from .clauses import OPEN_CLAUSE

_WAIT_S = 0.2
_QUERY = f"SELECT state, count(*), min(expires_at) FROM jobs WHERE {OPEN_CLAUSE} GROUP BY state"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class OpenSummary:
    """What is open in a ledger, by count. ``earliest_expiry`` (Unix seconds) is when pictures begin to be gone.

    ``unsent`` were never sent, ``sending`` have no answer yet (their kernel may be dead), ``unfetched`` are finished
    and not all on disk. ``problem`` is not empty if the ledger could not be read.
    """

    unsent: int = 0
    sending: int = 0
    running: int = 0
    unfetched: int = 0
    in_doubt: int = 0
    earliest_expiry: float | None = None
    problem: str = ""

    def __bool__(self) -> bool:
        return any((self.unsent, self.sending, self.running, self.unfetched, self.in_doubt, self.problem))


def peek_open(path: Path) -> OpenSummary:
    """Count the open jobs of the ledger in this file; an empty summary if there is no file."""
    if not path.is_file():
        return OpenSummary()
    try:
        return _peek(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            return OpenSummary(problem=f"{path}: {error}")
    except (sqlite3.Error, OSError) as error:
        return OpenSummary(problem=f"{path}: {error}")
    try:  # on a medium that is read-only SQLite cannot make its files beside it
        return _peek(path, "mode=ro&immutable=1")
    except (sqlite3.Error, OSError) as error:
        return OpenSummary(problem=f"{path}: {error}")


def _peek(path: Path, mode: str) -> OpenSummary:
    uri = f"{path.absolute().as_uri()}?{mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)) as connection:
        return _summary(connection.execute(_QUERY))


def _summary(rows: Iterable[tuple[Any, ...]]) -> OpenSummary:
    counts: dict[str, int] = {}
    expiries = []
    for state, count, expires_at in rows:
        counts[state] = count
        if expires_at is not None:
            expiries.append(expires_at)
    return OpenSummary(
        unsent=counts.get(JobState.INTENT, 0),
        sending=counts.get(JobState.SENDING, 0),
        running=sum(counts.get(state, 0) for state in (JobState.ACCEPTED, JobState.RUNNING)),
        unfetched=counts.get(JobState.SUCCEEDED, 0),
        in_doubt=counts.get(JobState.IN_DOUBT, 0),
        earliest_expiry=min(expiries, default=None),
    )
