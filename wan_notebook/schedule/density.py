"""Estimate a law of durations: a kernel density on logarithms, a weak prior, and what tasks still running tell.

The logarithm, because durations of tasks spread by factors, not by seconds. The prior of a few pseudo-observations
keeps the law honest when the past is short and beyond the longest task seen. A task still running is known to last
longer than it already did; a law learned only from the first finishers of a batch would think all tasks short.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

SHORTEST_S = 0.001
"""Shorter durations count as this long: clocks of services have a resolution of a millisecond or worse."""

LONGEST_S = 24 * 3600.0
"""The service forgets a task after this (WAN_API section 4): a longer duration is a broken clock, not a task."""

MEMORY = 200
"""Newest durations that a model is learned from: the service of last month is not the service of today."""

PRIOR_WEIGHT = 3.0
"""Durations that the prior counts for."""

_GRID_END_S = 48 * 3600.0
_FINE_STEP = 1.012  # ratio of neighbouring grid times where durations were seen,
_USUAL_STEP = 1.03  # where they may be expected,
_COARSE_STEP = 1.12  # and elsewhere
_USUAL_S = (0.5, 300.0)
_KERNEL_REACH = 4.0  # bandwidths; beyond it a kernel is 0 or 1
_TYPICAL_SPREAD = 0.4  # of log durations, for the bandwidth while few are known
_SPREAD_WEIGHT = 8.0  # durations that this typical spread is worth
_NARROWEST_SPREAD = 0.04
_BANDWIDTHS = (0.9, 0.6, 0.4)  # of spread * count ** -0.2; the likeliest is taken
_TABLE_STEPS = 512  # of the normal cdf, a standard deviation
_PICKED_FROM = 60  # durations compared when the bandwidth is picked: the cost grows with the square


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


@lru_cache(maxsize=4096)  # one fit after the other asks at the same times
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
    return 0.92 * usual + 0.04 * instant + 0.04 * scaleless


def usable(durations_s: Iterable[float]) -> list[float]:
    """Return the durations that can be true, the newest `MEMORY` of them, clamped to `SHORTEST_S`.

    Negative, endless, not-a-number and longer-than-`LONGEST_S` values are dropped: they come from broken clocks.
    """
    kept = [max(SHORTEST_S, float(value)) for value in durations_s if 0 <= value <= LONGEST_S]
    return kept[-MEMORY:]


def estimate(past: Sequence[float], ages: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return a grid of times in seconds, from 0 on, and the cdf at each.

    `past` holds usable durations in any order, `ages` those of running tasks in ascending order.
    """
    times = _grid(past)
    mass = [PRIOR_WEIGHT * prior_cdf(time) for time in times]
    mass[-1] = PRIOR_WEIGHT
    if past:
        logs = sorted(math.log(value) for value in past)
        _add_kernels(mass, [math.log(time) for time in times[1:]], logs, _bandwidth(logs))
    return times, _cdf(mass, times, ages)


def _grid(past: Sequence[float]) -> list[float]:
    """Return grid times from 0 on: fine around the durations seen, coarse where none is expected."""
    seen = (min(past) * 0.5, max(past) * 2.0) if past else (math.inf, math.inf)
    times = [0.0, SHORTEST_S / 2]
    while times[-1] < _GRID_END_S:
        if seen[0] <= times[-1] <= seen[1]:
            step = _FINE_STEP
        else:
            step = _USUAL_STEP if _USUAL_S[0] <= times[-1] <= _USUAL_S[1] else _COARSE_STEP
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
    some = logs[:: math.ceil(len(logs) / _PICKED_FROM)]
    return base * max(_BANDWIDTHS, key=lambda factor: _likelihood(some, base * factor))


def _likelihood(logs: Sequence[float], width: float) -> float:
    """Return how likely each of some ascending logs is by the others, under a kernel of this width."""
    near = [0.0] * len(logs)
    reach, scale = _KERNEL_REACH * width, -0.5 / (width * width)
    for i, x in enumerate(logs):
        for j in range(i + 1, len(logs)):
            apart = logs[j] - x
            if apart >= reach:
                break
            weight = math.exp(scale * apart * apart)
            near[i] += weight
            near[j] += weight
    return sum(math.log(weight / width + 0.01 * len(logs)) for weight in near)


@cache
def _normal_table() -> list[float]:
    """Return the normal cdf from -reach to +reach, in steps fine enough that none shows in a law."""
    count = int(_KERNEL_REACH * _TABLE_STEPS)
    return [_normal_cdf(step / _TABLE_STEPS) for step in range(-count, count + 2)]


def _add_kernels(mass: list[float], log_times: Sequence[float], logs: Sequence[float], width: float) -> None:
    """Add to the mass at each grid time (the first is time 0) one smoothed step for each duration."""
    reach, scale = _KERNEL_REACH * width, _TABLE_STEPS / width
    table, middle = _normal_table(), _KERNEL_REACH * _TABLE_STEPS + 0.5
    first = last = 0  # durations [first, last) are near this grid time; those before `first` lie wholly below it
    for i, log_time in enumerate(log_times, start=1):
        while last < len(logs) and logs[last] < log_time + reach:
            last += 1
        while first < last and logs[first] < log_time - reach:
            first += 1
        start = log_time * scale + middle
        mass[i] += first + sum([table[int(start - value * scale)] for value in logs[first:last]])


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
