"""The limit on queries a second of an account: a sliding window on the injected clock (WAN_API §3)."""

from __future__ import annotations

import math
from collections import defaultdict, deque


class QueryLimiter:
    """Admit at most `queries_per_s` queries in any second, for each account; 0 admits all."""

    def __init__(self, queries_per_s: float) -> None:
        self._most = max(1, math.floor(queries_per_s))
        self._window_s = self._most / queries_per_s if queries_per_s else 0.0
        self._admitted: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=self._most))

    def admits(self, account: str, now: float) -> bool:
        """Tell whether one more query fits now, and count it if so."""
        if not self._window_s:
            return True
        times = self._admitted[account]
        # A time in the future means that the clock was set back: it cannot hold up anybody.
        if len(times) == self._most and 0 <= now - times[0] < self._window_s:
            return False
        times.append(now)
        return True
