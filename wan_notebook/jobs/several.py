"""Several jobs seen as one: which state they are in together, what they cost together."""

from __future__ import annotations

from collections.abc import Sequence

from ..money import Cost, Total
from ..states import SETTLED, JobState
from .live import LiveJob

_ORDER = (
    JobState.IN_DOUBT,
    JobState.FAILED,
    JobState.REFUSED,
    JobState.EXPIRED,
    JobState.CANCELLED,
    JobState.INTENT,
    JobState.SENDING,
    JobState.ACCEPTED,
    JobState.RUNNING,
    JobState.SUCCEEDED,
    JobState.SAVED,
)


def furthest(lives: Sequence[LiveJob]) -> LiveJob:
    """Return the job that is furthest from being saved."""
    running = [live for live in lives if live.state not in SETTLED]
    return min(running or lives, key=lambda live: _ORDER.index(live.state))


def together(costs: Sequence[Cost]) -> Cost:
    """Return one cost for several, unknown unless all have the same source and currency."""
    sources = {(cost.source, cost.currency) for cost in costs}
    amounts = [cost.amount for cost in costs]
    if len(sources) == 1 and None not in amounts:
        source, currency = next(iter(sources))
        total = sum((a for a in amounts if a is not None), start=type(amounts[0])(0) if amounts[0] is not None else 0)
        return Cost(total, currency, source, costs[0].note)  # type: ignore[arg-type]
    return Cost(note=str(Total.of(costs)), parts=tuple(costs))
