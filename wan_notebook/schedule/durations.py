"""What past tasks tell about the next one: how long it will take, and when it is likely to have finished unseen."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from .density import LONGEST_S, MEMORY, PRIOR_WEIGHT, estimate, usable

_REFIT_AFTER = 0.13  # new durations, as a part of those that the model knows
_ETA_TAIL = 0.12  # left out on either side of an interval of 80 %: learned laws are drawn a little wide
_ETA_DOUBTFUL_TAIL = 0.06
_ETA_SUPPORT = 2.0  # durations known beyond an age, below which the law is doubtful there,
_ETA_LATE = 0.4  # if fewer tasks than this share run on
_ETA_ENDS = 0.004  # share of tasks that run on, below which nothing is said
_SIGHTINGS_FIRST = 4  # running tasks that are news to a model of few durations
_SIGHTINGS_GROWTH = 1.4
_WELL_KNOWN = 20
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class DurationModel:
    """Answer how long a task of one kind takes. Built by `fit`; every look-up is a bisection in a grid."""

    count: int
    """Durations it was learned from."""
    running: int
    """Tasks still running whose ages it knows."""
    times_s: tuple[float, ...] = field(repr=False)
    cdf_at: tuple[float, ...] = field(repr=False)
    area_at: tuple[float, ...] = field(repr=False)

    @classmethod
    def fit(cls, past_s: Sequence[float] = (), running_s: Iterable[float] = ()) -> DurationModel:
        """Learn from the durations of finished tasks (seconds, newest last) and the ages of those still running."""
        past = usable(past_s)
        ages = sorted(value for value in running_s if 0 < value <= LONGEST_S)
        times, cdf = estimate(past, ages)
        steps = (0.5 * (cdf[i] + cdf[i + 1]) * (times[i + 1] - times[i]) for i in range(len(times) - 1))
        area = tuple(accumulate(steps, initial=0.0))
        return cls(len(past), len(ages), tuple(times), tuple(cdf), area)

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

    def quantile(self, p: float, *, elapsed_s: float = 0.0, until_s: float = math.inf) -> float:
        """Return the duration that a share `p` of the tasks which end between `elapsed_s` and `until_s` keep to."""
        reached = self.cdf(elapsed_s)
        wanted = reached + min(1.0, max(0.0, p)) * (self.cdf(until_s) - reached)
        index = min(bisect_right(self.cdf_at, wanted), len(self.cdf_at) - 1) - 1
        low, high = self.cdf_at[index], self.cdf_at[index + 1]
        part = (wanted - low) / (high - low) if high > low else 0.0
        time_s = self.times_s[index] + min(1.0, part) * (self.times_s[index + 1] - self.times_s[index])
        return min(max(time_s, elapsed_s), until_s)

    def finished_since(self, last_s: float, now_s: float) -> float:
        """Return the probability that a task which ran at the age `last_s` has finished at the age `now_s`."""
        return max(0.0, self.cdf(now_s) - self.cdf(last_s)) / self._survival(last_s)

    def waste_since(self, last_s: float, now_s: float) -> float:
        """Return the seconds that a task which ran at `last_s` is expected to lie finished and unseen at `now_s`."""
        seen = self.cdf(last_s) * (now_s - last_s)
        return max(0.0, self.area(now_s) - self.area(last_s) - seen) / self._survival(last_s)

    def age_of_waste(self, last_s: float, waste_s: float) -> float:
        """Return the age at which the waste since `last_s` reaches `waste_s` (both in seconds)."""
        times, areas = self.times_s, self.area_at
        reached = self.cdf(last_s)
        # The waste at a grid time t is (area(t) - reached * t - start) / survival, and it only grows.
        start = self.area(last_s) - reached * last_s
        wanted = waste_s * self._survival(last_s) + start
        low, high = bisect_right(times, last_s), len(times) - 1
        while low < high:
            middle = (low + high) // 2
            if areas[middle] - reached * times[middle] >= wanted:
                high = middle
            else:
                low = middle + 1
        if low > high:
            return math.inf
        # Within the cell the cdf is a line, so the missing waste is a quadratic in the time from `before_s` on.
        before_s = max(last_s, times[low - 1])
        missing = wanted - (self.area(before_s) - reached * before_s)
        height = max(0.0, self.cdf(before_s) - reached)
        slope = (self.cdf_at[low] - self.cdf_at[low - 1]) / (times[low] - times[low - 1])
        root = height + math.sqrt(height * height + max(0.0, 2.0 * slope * missing))
        return min(times[low], before_s + max(0.0, 2.0 * missing / root)) if root > 0 else times[low]

    def eta(self, elapsed_s: float) -> tuple[float, float] | None:
        """Return the 80 % interval of the REMAINING seconds of a task that runs at `elapsed_s`.

        Where hardly any known duration lies beyond, the interval is drawn wider, for the law itself is doubtful there.
        None: the task runs longer than nearly all that is known of its kind.
        """
        if not 0 <= elapsed_s < LONGEST_S:
            return None
        beyond = 1.0 - self.cdf(elapsed_s)
        if beyond < _ETA_ENDS:
            return None
        doubtful = beyond < _ETA_LATE and beyond * (self.count + PRIOR_WEIGHT) < _ETA_SUPPORT
        tail = _ETA_DOUBTFUL_TAIL if doubtful else _ETA_TAIL
        low_s = self.quantile(tail, elapsed_s=elapsed_s)
        return low_s - elapsed_s, self.quantile(1.0 - tail, elapsed_s=elapsed_s) - elapsed_s


class Durations:
    """The durations of one kind of task (provider, model, mode, size tier, n) and the model fitted to them."""

    __slots__ = ("_guesses", "_new", "_past", "_sightings", "_sightings_wanted", "model")

    def __init__(self, past_s: Iterable[float] = ()) -> None:
        """Start from the durations of the past in seconds, newest last."""
        self._past = usable(past_s)
        self._new = 0
        self._guesses = 0
        self._sightings = 0
        self._sightings_wanted = _SIGHTINGS_FIRST
        self.model = DurationModel.fit(self._past)

    def guess_s(self, last_s: float, found_s: float) -> float:
        """Guess the duration of a task that ran at the age `last_s` and had finished at the age `found_s`.

        The guesses are spread over the interval as the model has it (in golden steps, hence evenly): a middle would
        heap them up where the polls happen to be.
        """
        self._guesses += 1
        part = (self._guesses * _GOLDEN) % 1.0
        return self.model.quantile(part, elapsed_s=last_s, until_s=max(last_s, found_s))

    def add(self, duration_s: float) -> bool:
        """Remember a duration in seconds; return True when enough are new for `refit` to pay."""
        self._past.extend(usable([duration_s]))
        del self._past[:-MEMORY]
        self._new += 1
        return self._new > _REFIT_AFTER * self.model.count

    def seen_running(self) -> bool:
        """Note that a task was seen running; return True when a model of few durations should know of such tasks.

        In a first batch the first polls that come too early then spare all others the same.
        """
        self._sightings += 1
        if self.model.count >= _WELL_KNOWN or self._sightings < self._sightings_wanted:
            return False
        self._sightings_wanted = math.ceil(self._sightings_wanted * _SIGHTINGS_GROWTH)
        return True

    def refit(self, running_s: Iterable[float] = ()) -> None:
        """Fit the model to all that is known, the ages (seconds) of running tasks included."""
        self.model = DurationModel.fit(self._past, running_s)
        self._new = 0
