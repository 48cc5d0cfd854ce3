"""The statuses of a job and the transitions between them. Imports nothing heavy: `%load_ext` reads this too.

::

    intent → sending → accepted → running → succeeded → saved
               │  └→ refused, in_doubt        └→ failed, cancelled, expired
               └→ intent, with proof that no task was made
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


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

TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = MappingProxyType(
    {
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
)

PLAIN_WORDS: Final[Mapping[str, frozenset[Status]]] = MappingProxyType(
    {
        "open": OPEN,
        "queued": frozenset({Status.INTENT}),
        "waiting": frozenset({Status.INTENT}),
        "running": frozenset({Status.ACCEPTED, Status.RUNNING}),
        "made": frozenset({Status.SUCCEEDED}),
        "done": frozenset({Status.SAVED}),
        "canceled": frozenset({Status.CANCELLED}),
        "unsure": frozenset({Status.IN_DOUBT}),
    }
)
"""What people say for statuses, beside the statuses' own names. "not sent" is an error code, see history.py."""


def may_follow(old: Status, new: Status) -> bool:
    """Say whether ``new`` may follow ``old``."""
    return new in TRANSITIONS.get(old, frozenset())


def sources_of(new: Status, expected: Collection[Status] = ()) -> list[Status]:
    """Return the statuses from which a job may become ``new``, restricted to ``expected`` if that is given.

    Staying in a status must be asked for. Of two kernels that both mean intent → sending, the second one would
    otherwise pass as sending → sending, and pay twice.
    """
    allowed = set(expected) or set(Status) - {new}
    return [old for old in Status if old in allowed and may_follow(old, new)]
