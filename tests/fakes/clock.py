"""Clocks that run faster than real ones and can jump: hours pass in a moment, in the order in which they would."""

import asyncio
import time


class FastClock:
    """Clocks that run `speed` times as fast as real ones; give its methods to `Session`."""

    def __init__(self, speed: float = 100.0) -> None:
        self.speed = speed
        self._from, self._wall_from = time.monotonic(), time.time()
        self.jumped_s = 0.0

    def clock(self) -> float:
        """Return monotonic seconds; a sleeping laptop does not count."""
        return 1000.0 + (time.monotonic() - self._from) * self.speed

    def wall_clock(self) -> float:
        """Return Unix seconds."""
        return self._wall_from + (time.monotonic() - self._from) * self.speed + self.jumped_s

    async def sleep(self, for_s: float) -> None:
        """Wait so many fast seconds."""
        await asyncio.sleep(max(0.0, for_s) / self.speed)

    def jump(self, for_s: float) -> None:
        """Let the wall clock go on alone, as while a laptop is asleep."""
        self.jumped_s += for_s
