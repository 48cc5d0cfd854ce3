"""What past jobs teach about running ones: how long they will take, by kind of job."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ledger import DurationKey, JobRow, Ledger
from ..schedule import Durations
from ..states import JobState


class Estimates:
    """One learned law of durations for each provider, model, mode, size tier and count of pictures."""

    def __init__(self, ledger: Ledger, hint_s: Callable[[JobRow], Sequence[float]]) -> None:
        self._ledger = ledger
        self._hint_s = hint_s
        self._kinds: dict[DurationKey, Durations] = {}

    def kind(self, row: JobRow) -> Durations:
        """Return the law of a job's kind, read from the ledger the first time."""
        key = key_of(row)
        if key not in self._kinds:
            self._kinds[key] = Durations(self._ledger.durations(key) or self._hint_s(row))
        return self._kinds[key]

    def remaining_s(self, row: JobRow, now: float) -> tuple[float, float] | None:
        """Return the 80 % interval of a running job's remaining seconds, or None if the past says nothing."""
        if JobState(row.state) not in (JobState.ACCEPTED, JobState.RUNNING) or row.accepted_at is None:
            return None
        return self.kind(row).model.eta(max(0.0, now - row.accepted_at))


def key_of(row: JobRow) -> DurationKey:
    """Return the kind of job that a row is, for durations."""
    return DurationKey(provider=row.provider, model=row.model, mode=row.mode, size_tier=row.size_tier, n=row.n)
