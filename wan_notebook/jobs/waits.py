"""Waiting that can be interrupted anywhere, and what an interrupt says: only the waiting ends, never the job."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future

HEARTBEAT_S = 0.2  # an interrupt of `await job` is noticed after this at the latest (a sleeping loop is not woken)


class WaitInterrupted(KeyboardInterrupt):
    """Only the waiting was interrupted; the job goes on."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def _render_traceback_(self) -> list[str]:
        return [self.message]


def explain(cancelled: asyncio.CancelledError, message: str) -> None:
    """Let a cancelled ``await job`` say what that means.

    It stays the very error that came: ``asyncio.timeout`` and task groups know their own by identity and exact type.
    """
    cancelled.args = cancelled.args or (message,)
    cancelled._render_traceback_ = lambda: [message]  # type: ignore[attr-defined] # what IPython shows


def wait_for(future: Future[None], deadline: float | None) -> bool:
    """Wait until a future is done or the deadline (monotonic) is over; say whether it is done."""
    # In slices: a lock without a time limit cannot be interrupted everywhere.
    while not future.done():
        left = 3600.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            future.result(timeout=min(left, HEARTBEAT_S))
        except TimeoutError:
            continue
    return True
