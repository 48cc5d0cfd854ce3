"""The statuses of a job, the transitions between them, and a glance at what is open in a ledger.

Imports nothing heavy: `%load_ext` reads this, and goes on where a ledger is damaged.

::

    intent → sending → accepted → running → succeeded → saved
               │  └→ refused, in_doubt        └→ failed, cancelled, expired
               └→ intent, with proof that no task was made
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

GLANCE_WAIT_S: Final = 0.2


class Status(StrEnum):
    """Where a job stands; the values are those of the column ``jobs.state``."""

    INTENT = "intent"
    SENDING = "sending"
    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SAVED = "saved"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"


FINAL: Final = frozenset({Status.SAVED, Status.REFUSED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
"""Nothing more happens, and no money is reserved. ``in_doubt`` is not here: a person decides."""

SETTLED: Final = FINAL | {Status.IN_DOUBT}
"""Nothing more happens without a person: waiting ends here."""

OPEN: Final = frozenset(Status) - FINAL
"""Still costs or owes something: counts as reserved in budgets, and is joined rather than bought again."""

FREE: Final = frozenset({Status.REFUSED, Status.FAILED, Status.CANCELLED})
"""Ended without a price (WAN_API §4: failed tasks cost nothing)."""

BILLED: Final = frozenset({Status.SUCCEEDED, Status.SAVED, Status.EXPIRED})
"""Ended at the service with a bill: without a reported amount the cost is unknown, never 0."""

IN_FLIGHT: Final = frozenset({Status.SENDING, Status.ACCEPTED, Status.RUNNING})
"""Holds one of the account's places at the service."""

NOT_SENT: Final = "not_sent"
"""Key of a transition's detail, and an ``error_code``: the reason why the service certainly made no task."""

BATCH_KEY: Final = "batch"
"""Key in a row's ``versions``: the name or cell of its batch, by which requests without a seed find their pictures."""

OCCURRENCE_KEY: Final = "meeting"
"""Key in a row's ``versions``: which occurrence of its request (in its cell, kernel or batch) it answers, from 0.

``0-2`` where a loop asked again while the job was open, and got the same.
"""

TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    **dict.fromkeys(FINAL, frozenset()),
    Status.INTENT: frozenset({Status.SENDING, Status.REFUSED, Status.CANCELLED}),
    Status.SENDING: frozenset(
        {Status.INTENT, Status.SENDING, Status.ACCEPTED, Status.REFUSED, Status.CANCELLED, Status.IN_DOUBT}
    ),
    Status.IN_DOUBT: frozenset({Status.ACCEPTED, Status.REFUSED, Status.CANCELLED, Status.EXPIRED}),
    Status.ACCEPTED: frozenset({Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED}),
    Status.SUCCEEDED: frozenset({Status.SAVED, Status.EXPIRED}),
    # A task thought lost may still be found: an expired job can be adopted again by its id.
    Status.EXPIRED: frozenset({Status.ACCEPTED, Status.SUCCEEDED, Status.SAVED}),
}

STATES: Final = ("queued", "running", "saved", "refused", "failed", "cancelled", "in doubt", "expired", "not sent")
"""Plain words for the states of a job."""

PLAIN_WORDS: Final[Mapping[str, frozenset[Status]]] = {
    **{status.value: frozenset({status}) for status in Status},
    "open": OPEN,
    **dict.fromkeys(("waiting", "queued"), frozenset({Status.INTENT})),
    "running": frozenset({Status.ACCEPTED, Status.RUNNING}),
    "made": frozenset({Status.SUCCEEDED}),
    "done": frozenset({Status.SAVED}),
    "canceled": frozenset({Status.CANCELLED}),
    "unsure": frozenset({Status.IN_DOUBT}),
}
"""What people say for statuses. "not sent" is an error code, see database.py."""


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
        return self != OpenSummary()


def count_open(path: Path) -> OpenSummary:
    """Count the open jobs of the ledger in a file; an empty summary if there is no file."""
    if not path.is_file() or path.with_name(f"{path.name}-journal").is_fifo():  # SQLite would wait for ever
        return OpenSummary()
    columns = "state, count(*), min(CASE WHEN expires_at BETWEEN 0 AND 1e10 THEN expires_at END)"
    states = ", ".join(f"'{status}'" for status in OPEN)
    query = f"SELECT {columns} FROM jobs WHERE state IN ({states}) GROUP BY state"  # noqa: S608 - our own words
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True, timeout=GLANCE_WAIT_S)) as connection:
            rows = connection.execute(query).fetchall()
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
        with closing(sqlite3.connect(uri, uri=True, timeout=GLANCE_WAIT_S)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:  # a read-only medium: no room for SQLite's own files
            return f"{uri}&immutable=1"
    return uri
