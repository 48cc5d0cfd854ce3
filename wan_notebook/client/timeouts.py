"""How long anything may take, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds; every call has an overall deadline, since a slow trickle never trips a read time-out.

    A submit's deadline grows with its body, at ``upload_bytes_per_s``: pictures take their time on a slow line. A
    download has no deadline, but must move ``min_bytes_per_s`` in each ``stall_window_s``.
    """

    connect_s: float = 10.0
    submit_s: float = 120.0
    status_s: float = 20.0
    upload_bytes_per_s: float = 125_000.0
    stall_window_s: float = 20.0
    min_bytes_per_s: float = 4096.0

    def submit_deadline_s(self, body_bytes: int) -> float:
        """Return how long a submit with a body of this length may take."""
        return self.submit_s + body_bytes / self.upload_bytes_per_s
