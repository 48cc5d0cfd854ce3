"""The states of a job, and which of them are final (DESIGN: states of a job)."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """``intent → sending → accepted → running → succeeded → saved``, and the ways out."""

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


FINAL = frozenset({JobState.SAVED, JobState.REFUSED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})
"""Nothing more happens by itself, and no money is reserved. ``in_doubt`` is not here: a person decides."""

SETTLED = FINAL | {JobState.IN_DOUBT}
"""Nothing more happens without a person: waiting ends here."""

OPEN = frozenset(JobState) - FINAL
"""Still costing or owing something: counts as reserved in budgets and is joined rather than bought again."""

FREE = frozenset({JobState.REFUSED, JobState.FAILED, JobState.CANCELLED})
"""Ended without a price (WAN_API §4: failed tasks cost nothing)."""

_NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.INTENT: frozenset({JobState.SENDING, JobState.REFUSED, JobState.CANCELLED}),
    # `cancelled` follows only what certainly did not arrive: refused connections, 429, while it waits for the next try.
    JobState.SENDING: frozenset(
        {JobState.SENDING, JobState.ACCEPTED, JobState.REFUSED, JobState.CANCELLED, JobState.IN_DOUBT}
    ),
    JobState.IN_DOUBT: frozenset({JobState.ACCEPTED, JobState.REFUSED, JobState.CANCELLED, JobState.EXPIRED}),
    JobState.ACCEPTED: frozenset(
        {JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}),
    JobState.SUCCEEDED: frozenset({JobState.SAVED, JobState.EXPIRED}),
    # A task thought lost may still be found: an expired job can be adopted again by its id.
    JobState.EXPIRED: frozenset({JobState.ACCEPTED, JobState.SUCCEEDED, JobState.SAVED}),
}


def may_follow(old: JobState, new: JobState) -> bool:
    """Say whether ``new`` may follow ``old``."""
    return new in _NEXT.get(old, frozenset())
