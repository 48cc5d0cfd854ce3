"""How fast to ask: all queries of a kernel together stay below the service's limit in any second.

The service counts queries when they reach it, which we do not see. A query reaches it between being sent and being
answered, so each one holds its place in the limit from the moment it is sent until one second after its answer. However
long the network or a busy machine holds queries back, no second at the service can then see more than the limit.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW_S = 1.0
"""The service counts queries over this time."""

SHARE_USED = 0.95
"""Part of the limit that is used: people also ask by other means, with the same account."""

_HOLD_S = WINDOW_S + 0.01  # a hundredth more, for clocks that tick unevenly
_HALVE_AT_MOST_EVERY_S = 1.0  # answers to queries sent before the first 429 tell nothing new
_RECOVERY_S = 60.0  # from nothing back to the full rate
_SLOWEST_PER_S = 0.05
_USUAL_PER_S = 20.0  # the limit that DashScope documents (WAN_API section 3)


class Pacer:
    """Decide whether a query may be sent now. Plain state; the caller tells the time (monotonic seconds)."""

    def __init__(self, *, queries_per_s: float = 20.0, share: float = 1.0) -> None:
        """Keep to a `share` (0 to 1) of `queries_per_s`; 0 queries a second means no limit."""
        self._share = share
        self.set_limit(queries_per_s)
        self._next_s = -math.inf
        self._paused_until_s = -math.inf
        self._under_way = 0
        self._answered_s: deque[float] = deque()
        self._slow_per_s = math.inf  # the rate after the last 429, from which it recovers
        self._slow_since_s = -math.inf
        self._recovery_per_s2 = 0.0

    def set_limit(self, queries_per_s: float) -> None:
        """Keep to this limit from now on; what is under way and was answered lately still counts."""
        if not 0 <= queries_per_s < math.inf:
            raise ValueError(f"queries_per_s must be 0 (no limit) or a positive number, got {queries_per_s}")
        self._limit_per_s = queries_per_s
        self.set_share(self._share)

    def set_share(self, share: float) -> None:
        """Use this part (0 to 1) of the limit from now on: the kernels of a person share one limit."""
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share}")
        self._share = share
        usable = self._limit_per_s * SHARE_USED * share
        self._full_per_s = usable if usable > 0 else math.inf
        whole = max(1, min(math.floor(self._limit_per_s * share + 1e-9), math.ceil(usable - 1e-9)))
        self._places = whole if usable > 0 else math.inf

    def rate_per_s(self, now_s: float) -> float:
        """Return the present rate in queries a second (infinity: no limit)."""
        recovered = self._slow_per_s + self._recovery_per_s2 * max(0.0, now_s - self._slow_since_s)
        return min(self._full_per_s, recovered)

    def _forget(self, now_s: float) -> None:
        while self._answered_s and self._answered_s[0] <= now_s - _HOLD_S:
            self._answered_s.popleft()

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until a query may be sent: 0 = now, infinity = not before an answer comes."""
        self._forget(now_s)
        wait_s = max(0.0, self._next_s - now_s, self._paused_until_s - now_s)
        places = self._places - self._under_way
        if places <= 0:
            return math.inf
        if len(self._answered_s) >= places:
            leaving_s = self._answered_s[len(self._answered_s) - int(places)]
            wait_s = max(wait_s, leaving_s + _HOLD_S - now_s)
        return wait_s

    def take(self, now_s: float) -> bool:
        """Count a query that is sent now, if it may be; `answered` must follow, whatever becomes of it."""
        if self.wait_s(now_s) > 0:
            return False
        interval_s = 1.0 / self.rate_per_s(now_s)
        # Half an interval of lateness is made up for, no more: an idle hour or a sleep earns no burst.
        self._next_s = max(self._next_s + interval_s, now_s + interval_s / 2)
        self._under_way += 1
        return True

    def answered(self, now_s: float) -> None:
        """Note that a query was answered, failed or was given up."""
        self._under_way = max(0, self._under_way - 1)
        self._forget(now_s)
        self._answered_s.append(now_s)

    def pause(self, now_s: float, for_s: float) -> None:
        """Send nothing for `for_s` seconds; of several pauses the longest stands."""
        self._paused_until_s = max(self._paused_until_s, now_s + for_s)

    def resume(self) -> None:
        """End a pause: a person asked to."""
        self._paused_until_s = -math.inf

    def slow_down(self, now_s: float) -> None:
        """Halve the rate, because the service said 429 without being over our limit; it recovers slowly."""
        if now_s - self._slow_since_s < _HALVE_AT_MOST_EVERY_S:
            return
        rate = self.rate_per_s(now_s)
        if rate == math.inf:
            self._forget(now_s)
            rate = (len(self._answered_s) + self._under_way) / WINDOW_S
        # Without a limit of ours the present rate may be a trickle: recovering to that alone would take for ever.
        full = self._full_per_s if self._full_per_s < math.inf else max(rate, _USUAL_PER_S)
        self._slow_per_s = max(_SLOWEST_PER_S, rate / 2)
        self._recovery_per_s2 = full / _RECOVERY_S
        self._slow_since_s = now_s
        self._next_s = max(self._next_s, now_s + 1 / self._slow_per_s)
