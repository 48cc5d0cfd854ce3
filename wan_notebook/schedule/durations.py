"""What past tasks tell about the next one: a law of durations, learned, with an honest prior.

The density is a kernel estimate on the logarithm of the duration, because durations of tasks spread by factors, not by
seconds. A weak prior of a few pseudo-observations keeps it honest when the past is short and beyond the longest task
seen. Tasks that are still running count as well: they are known to last longer than they already did, and a model that
learned only from the first finishers of a batch would think all tasks short.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

SHORTEST_S = 0.01
"""Shorter durations count as this long: clocks of services have a resolution of a millisecond or worse."""

LONGEST_S = 24 * 3600.0
"""The service forgets a task after this (WAN_API section 4): a longer duration is a broken clock, not a task."""

MEMORY = 200
"""Newest durations that a model is learned from: the service of last month is not the service of today."""

_GRID_END_S = 48 * 3600.0
_COARSE_STEP = 1.12  # ratio of neighbouring grid times where nothing was seen
_FINE_STEP = 1.012  # and where durations were seen
_KERNEL_REACH = 4.0  # bandwidths; beyond it a kernel is 0 or 1
_TYPICAL_SPREAD = 0.4  # of log durations, for the bandwidth while few are known
_SPREAD_WEIGHT = 3.0  # durations that this typical spread is worth
_NARROWEST_SPREAD = 0.04
_PRIOR_WEIGHT = 2.0  # pseudo-observations
_BANDWIDTHS = (0.9, 0.6, 0.4)  # of spread * count ** -0.2; the likeliest is taken
_REFIT_AFTER = 0.15  # new durations, as a part of those that the model knows
_PICKED_FROM = 60  # durations compared when the bandwidth is picked: the cost grows with the square


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


def prior_cdf(time_s: float) -> float:
    """Return the probability, before anything is known, that a task takes at most `time_s` seconds.

    The documented example took 21 s (WAN_API section 3); real durations are unknown, hence the width. A small part is
    immediate (simulators, cached answers), and a small part has no scale at all, so that a task which has run for an
    hour is expected to take another, not to finish at any moment.
    """
    if time_s <= 0:
        return 0.0
    log_s = math.log(time_s)
    usual = _normal_cdf((log_s - math.log(18.0)) / 0.7)
    instant = _normal_cdf((log_s - math.log(0.2)) / 0.8)
    scaleless = time_s / (time_s + 60.0)
    return 0.88 * usual + 0.08 * instant + 0.04 * scaleless


def usable(durations_s: Iterable[float]) -> list[float]:
    """Return the durations that can be true, the newest `MEMORY` of them, clamped to `SHORTEST_S`.

    Negative, endless, not-a-number and longer-than-`LONGEST_S` values are dropped: they come from broken clocks.
    """
    kept = [max(SHORTEST_S, float(value)) for value in durations_s if 0 <= value <= LONGEST_S]
    return kept[-MEMORY:]


@dataclass(frozen=True, slots=True)
class DurationModel:
    """Answer how long a task of one kind takes. Built by `fit`; every look-up is a bisection in a grid."""

    count: int
    longest_s: float
    times_s: tuple[float, ...] = field(repr=False)
    cdf_at: tuple[float, ...] = field(repr=False)
    area_at: tuple[float, ...] = field(repr=False)

    @classmethod
    def fit(cls, past_s: Sequence[float] = (), running_s: Iterable[float] = ()) -> DurationModel:
        """Learn from the durations of finished tasks (seconds, newest last) and the ages of those still running."""
        past = usable(past_s)
        ages = sorted(value for value in running_s if 0 < value <= LONGEST_S)
        times = _grid(past)
        mass = [_PRIOR_WEIGHT * prior_cdf(time) for time in times]
        mass[-1] = _PRIOR_WEIGHT
        if past:
            logs = sorted(math.log(value) for value in past)
            _add_kernels(mass, [math.log(time) for time in times[1:]], logs, _bandwidth(logs))
        cdf = _cdf(mass, times, ages)
        steps = (0.5 * (cdf[i] + cdf[i + 1]) * (times[i + 1] - times[i]) for i in range(len(times) - 1))
        area = tuple(accumulate(steps, initial=0.0))
        return cls(len(past), max(past, default=0.0), tuple(times), tuple(cdf), area)

    def _cell(self, time_s: float) -> tuple[int, float]:
        """Return the grid cell of a time and how far into it the time lies (0 to 1)."""
        times = self.times_s
        if not time_s > 0:
            return 0, 0.0
        index = bisect_right(times, time_s) - 1
        if index >= len(times) - 1:
            return len(times) - 2, 1.0
        return index, (time_s - times[index]) / (times[index + 1] - times[index])

    def cdf(self, time_s: float) -> float:
        """Return the probability that a task takes at most `time_s` seconds."""
        index, part = self._cell(time_s)
        low = self.cdf_at[index]
        return low + part * (self.cdf_at[index + 1] - low)

    def area(self, time_s: float) -> float:
        """Return the integral of the cdf from 0 to `time_s`, in seconds."""
        index, part = self._cell(time_s)
        width = part * (self.times_s[index + 1] - self.times_s[index])
        low = self.cdf_at[index]
        rise = part * (self.cdf_at[index + 1] - low)
        return self.area_at[index] + width * (low + 0.5 * rise)

    def hazard(self, time_s: float) -> float:
        """Return the rate, per second, at which a task that still runs at `time_s` finishes."""
        index, _part = self._cell(time_s)
        width = self.times_s[index + 1] - self.times_s[index]
        return (self.cdf_at[index + 1] - self.cdf_at[index]) / (width * self._survival(time_s))

    def _survival(self, time_s: float) -> float:
        return max(1e-12, 1.0 - self.cdf(time_s))

    def quantile(self, p: float, *, elapsed_s: float = 0.0) -> float:
        """Return the duration that a share `p` of the tasks still running at `elapsed_s` does not exceed."""
        reached = self.cdf(elapsed_s)
        wanted = reached + min(1.0, max(0.0, p)) * (1.0 - reached)
        index = min(bisect_right(self.cdf_at, wanted), len(self.cdf_at) - 1) - 1
        low, high = self.cdf_at[index], self.cdf_at[index + 1]
        part = (wanted - low) / (high - low) if high > low else 0.0
        time_s = self.times_s[index] + min(1.0, part) * (self.times_s[index + 1] - self.times_s[index])
        return max(time_s, elapsed_s)

    def finished_since(self, last_s: float, now_s: float) -> float:
        """Return the probability that a task which ran at the age `last_s` has finished at the age `now_s`."""
        return max(0.0, self.cdf(now_s) - self.cdf(last_s)) / self._survival(last_s)

    def waste_since(self, last_s: float, now_s: float) -> float:
        """Return the seconds that a task which ran at `last_s` is expected to lie finished and unseen at `now_s`."""
        seen = self.cdf(last_s) * (now_s - last_s)
        return max(0.0, self.area(now_s) - self.area(last_s) - seen) / self._survival(last_s)

    def eta(self, elapsed_s: float) -> tuple[float, float] | None:
        """Return the 80 % interval of the REMAINING seconds of a task that runs at `elapsed_s`.

        None: the task runs longer than all that is known of its kind can tell.
        """
        if not 0 <= elapsed_s < LONGEST_S:
            return None
        return (
            self.quantile(0.1, elapsed_s=elapsed_s) - elapsed_s,
            self.quantile(0.9, elapsed_s=elapsed_s) - elapsed_s,
        )


def _grid(past: Sequence[float]) -> list[float]:
    """Return grid times from 0 on: fine around the durations seen, coarse elsewhere."""
    fine_from, fine_to = (min(past) * 0.5, max(past) * 2.0) if past else (0.5, 120.0)
    times = [0.0, SHORTEST_S / 2]
    while times[-1] < _GRID_END_S:
        step = _FINE_STEP if fine_from <= times[-1] <= fine_to else _COARSE_STEP
        times.append(times[-1] * step)
    return times


def _spread(logs: Sequence[float]) -> float:
    """Return the standard deviation of log durations, drawn towards the typical one while they are few."""
    count = len(logs)
    mean = math.fsum(logs) / count
    squares = math.fsum((value - mean) ** 2 for value in logs)
    wide = math.sqrt((squares + _SPREAD_WEIGHT * _TYPICAL_SPREAD**2) / (count - 1 + _SPREAD_WEIGHT))
    return max(_NARROWEST_SPREAD, wide)


def _bandwidth(logs: Sequence[float]) -> float:
    """Return the kernel width under which each duration is likeliest, judged by the others."""
    base = _spread(logs) * math.pow(len(logs), -0.2)
    if len(logs) < 10:
        return base * _BANDWIDTHS[0]
    some = logs[:: max(1, len(logs) // _PICKED_FROM)]

    def score(factor: float) -> float:
        width = base * factor
        total = 0.0
        for i, x in enumerate(some):
            near = sum(
                math.exp(-0.5 * ((x - y) / width) ** 2) for j, y in enumerate(some) if j != i and abs(x - y) < 4 * width
            )
            total += math.log(near / width + 0.01 * len(some))
        return total

    return base * max(_BANDWIDTHS, key=score)


def _add_kernels(mass: list[float], log_times: Sequence[float], logs: Sequence[float], width: float) -> None:
    """Add to the mass at each grid time (the first is time 0) one smoothed step for each duration."""
    reach = _KERNEL_REACH * width
    first = last = 0  # durations [first, last) are near this grid time; those before `first` lie wholly below it
    for i, log_time in enumerate(log_times, start=1):
        while last < len(logs) and logs[last] < log_time + reach:
            last += 1
        while first < last and logs[first] < log_time - reach:
            first += 1
        mass[i] += first + sum(_normal_cdf((log_time - logs[k]) / width) for k in range(first, last))


def _cdf(mass: Sequence[float], times: Sequence[float], ages: Sequence[float]) -> list[float]:
    """Turn mass into a cdf that knows of the tasks still running (the Susarla-Van Ryzin estimate).

    In each cell the hazard is the mass that falls into it over everything that can still fall: the mass beyond and the
    running tasks older than the cell.
    """
    total = mass[-1]
    if not ages:
        return [min(1.0, value / total) for value in mass]
    survival = 1.0
    cdf = [0.0]
    for i in range(1, len(times)):
        at_risk = total - mass[i - 1] + len(ages) - bisect_right(ages, times[i - 1])
        if at_risk > 0:
            survival *= max(0.0, 1.0 - (mass[i] - mass[i - 1]) / at_risk)
        cdf.append(1.0 - survival)
    return cdf


class Durations:
    """The durations of one kind of task (provider, model, mode, size tier, n) and the model fitted to them."""

    __slots__ = ("_new", "_past", "model")

    def __init__(self, past_s: Iterable[float] = ()) -> None:
        """Start from the durations of the past in seconds, newest last."""
        self._past = usable(past_s)
        self._new = 0
        self.model = DurationModel.fit(self._past)

    def add(self, duration_s: float) -> bool:
        """Remember a duration in seconds; return True when enough are new for `refit` to pay."""
        self._past.extend(usable([duration_s]))
        del self._past[:-MEMORY]
        self._new += 1
        return self._new > _REFIT_AFTER * self.model.count

    def refit(self, running_s: Iterable[float] = ()) -> None:
        """Fit the model to all that is known, the ages (seconds) of running tasks included."""
        self.model = DurationModel.fit(self._past, running_s)
        self._new = 0
