"""When to ask for a task, how long it may still take, and how fast to query at most. Pure: the caller tells the time.

Durations of tasks spread by factors, so their logarithms are taken as normally distributed. For a hazard ``h`` (the
rate at which a task of some age finishes) polls are spaced ``sqrt(2 * cost / h)`` apart, the optimum of the inspection
problem, where ``cost`` is the delay in seconds that one poll is worth.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from statistics import NormalDist

SHORTEST_S = 0.001
LONGEST_S = 24 * 3600.0
"""The service forgets a task after this: a longer duration comes from a broken clock."""

MEMORY = 200
"""Durations that are kept: the service of last month is not the service of today."""

PRIOR_MEDIAN_S = 15.0  # the documented example took 21 s (WAN_API §3); real durations are unknown
PRIOR_SIGMA = 0.6
PRIOR_WEIGHT = 2.0
"""Durations that the prior counts for."""

LATE = 0.995
"""Part of the tasks after which a running one is called late, and no time is promised any more."""


@dataclass(frozen=True, kw_only=True)
class PollSetting:
    """How eagerly to poll.

    ``cost_s`` is the delay that one more poll is worth, ``first_quantile`` the part of the tasks that have finished
    by the first poll; the rest are intervals in seconds. ``first_look_s`` is the latest first poll of a kind of job of
    which nothing is known yet, so that what fails or is instant is seen soon.
    """

    cost_s: float
    first_quantile: float
    min_interval_s: float = 0.25
    max_interval_s: float = 30.0
    first_look_s: float = math.inf


PROMPT = PollSetting(cost_s=0.09, first_quantile=0.08, first_look_s=0.5)
"""About 7 polls for a task of 12 s, seen 0.66 s after it has finished."""

ECONOMICAL = PollSetting(cost_s=0.7, first_quantile=0.2, min_interval_s=1.0, max_interval_s=60.0)
"""About 3 polls for a task of 12 s, seen 1.7 s after it has finished."""


@dataclass(frozen=True)
class DurationLaw:
    """How long tasks of one kind take: the normal distribution of the logarithms of seconds.

    ``count`` durations were learned from. A task is polled by the law as it was when it was taken up: of a batch, the
    short ones finish first, and would teach that all are short.
    """

    logs: NormalDist
    count: int

    @classmethod
    def fit(cls, logs: Collection[float]) -> "DurationLaw":
        """Learn a law; the prior keeps it wide while few durations are known."""
        mean = math.fsum(logs) / len(logs) if logs else math.log(PRIOR_MEDIAN_S)
        squares = PRIOR_WEIGHT * PRIOR_SIGMA**2 + math.fsum((value - mean) ** 2 for value in logs)
        return cls(NormalDist(mean, math.sqrt(squares / (PRIOR_WEIGHT + len(logs)))), len(logs))

    def finished(self, age_s: float) -> float:
        """Return the part of the tasks that have finished by an age."""
        return self.logs.cdf(math.log(age_s)) if age_s > 0 else 0.0

    def quantile_s(self, part: float, *, age_s: float = 0.0) -> float:
        """Return the duration within which this part of the tasks ends that run at an age."""
        reached = self.finished(age_s)
        wanted = min(max(reached + part * (1 - reached), 1e-9), 1 - 1e-9)
        return max(age_s, math.exp(self.logs.inv_cdf(wanted)))

    def hazard_per_s(self, age_s: float) -> float:
        """Return the rate at which tasks of this age finish."""
        z = self.logs.zscore(math.log(age_s))
        # Beyond six sigma the normal tail has no digits left; its hazard tends to z.
        tail = NormalDist().pdf(z) / (1 - NormalDist().cdf(z)) if z < 6 else z
        return tail / (self.logs.stdev * age_s)

    def next_poll_s(self, last_s: float | None, setting: PollSetting) -> float:
        """Return the age at which to poll next; ``last_s`` is the age at the last poll, None before the first."""
        first_s = self.quantile_s(setting.first_quantile)
        if last_s is None:
            return min(first_s, setting.max_interval_s, math.inf if self.count else setting.first_look_s)
        wait_s = math.sqrt(2 * setting.cost_s / max(self.hazard_per_s(max(last_s, SHORTEST_S)), 1e-12))
        wait_s = max(wait_s, first_s - last_s)
        if not self.count and setting.first_look_s < math.inf:
            wait_s = min(wait_s, 2.5 * last_s)  # a service much quicker than the prior is found out by its first tasks
        return last_s + min(max(wait_s, setting.min_interval_s), setting.max_interval_s)

    def remaining_s(self, age_s: float) -> tuple[float, float] | None:
        """Return the interval that holds the remaining seconds of a running task in 8 of 10 cases.

        None if nothing is known of such tasks, or if this one already takes longer than nearly all of them.
        """
        if not self.count or self.finished(age_s) > LATE:
            return None
        return self.quantile_s(0.08, age_s=age_s) - age_s, self.quantile_s(0.92, age_s=age_s) - age_s


class Durations:
    """The durations in seconds of one kind of job (provider, model, mode, size, n), newest last, and their law."""

    def __init__(self, past_s: Iterable[float] = ()) -> None:
        self._logs: deque[float] = deque(maxlen=MEMORY)
        self.add(*past_s)

    def add(self, *durations_s: float) -> None:
        """Learn from finished tasks; what can only come from a broken clock is ignored."""
        self._logs.extend(math.log(max(SHORTEST_S, value)) for value in durations_s if 0 <= value <= LONGEST_S)
        self.law = DurationLaw.fit(self._logs)


class RateLimit:
    """At most ``per_s`` queries in any second (0 = no limit), as the service counts them; times are monotonic seconds.

    A query reaches the service at some moment between being sent and being answered, so it takes up its place from
    the first until one second after the second.
    """

    SHARE_USED = 0.95  # people also query by other means, with the same account
    RECOVERY_S = 60.0

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._answered_s: deque[float] = deque()
        self._under_way = 0
        self._paused_until_s = self._throttled_s = -math.inf

    def take(self, now_s: float) -> float:
        """Count a query and return 0 if it may be sent now, else the seconds after which to ask again."""
        if self._paused_until_s > now_s:
            return self._paused_until_s - now_s
        if self.per_s > 0:
            recovered = min(1.0, 0.5 + 0.5 * (now_s - self._throttled_s) / self.RECOVERY_S)
            usable_per_s = self.per_s * self.SHARE_USED * recovered
            hold_s = 1.01 * max(1.0, 1 / usable_per_s)  # a hundredth more, for clocks that tick unevenly
            while self._answered_s and self._answered_s[0] <= now_s - hold_s:
                self._answered_s.popleft()
            if self._under_way + len(self._answered_s) >= max(1, int(usable_per_s)):
                return max(SHORTEST_S, self._answered_s[0] + hold_s - now_s) if self._answered_s else 0.05
        self._under_way += 1
        return 0.0

    def answered(self, now_s: float) -> None:
        """Note that a query was answered, failed or was given up."""
        self._under_way -= 1
        if self.per_s > 0:
            self._answered_s.append(now_s)

    def pause(self, now_s: float, for_s: float) -> None:
        """Hold back every query; afterwards the rate is half of what it was, and recovers within a minute."""
        self._paused_until_s, self._throttled_s = max(self._paused_until_s, now_s + for_s), now_s

    def resume(self, now_s: float) -> bool:
        """End a pause; say whether there was one."""
        was_paused, self._paused_until_s = self._paused_until_s > now_s, -math.inf
        return was_paused
