"""A task and its state: a pure function of when it was submitted, how long it takes, and now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .order import Order

Dialect = Literal["gateway", "dashscope"]

LIFETIME_S = 24 * 3600.0
PENDING_SHARE = 0.15


class TaskState(StrEnum):
    """Name the states of DashScope; the gateway words them in its own way."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Hold one task; times are wall-clock seconds since the epoch."""

    task_id: str
    account: str
    dialect: Dialect
    order: Order
    submitted_at: float
    duration_s: float
    canceled_at: float | None = None

    @property
    def scheduled_at(self) -> float:
        """Tell when it stops waiting and starts to run."""
        return self.submitted_at + PENDING_SHARE * self.duration_s

    @property
    def finished_at(self) -> float:
        """Tell when it is finished, if nobody cancels it."""
        return self.submitted_at + self.duration_s

    def is_gone(self, now: float) -> bool:
        """Tell whether the service has forgotten it (WAN_API §4)."""
        return now - self.submitted_at > LIFETIME_S

    def state(self, now: float) -> TaskState:
        """Tell its state at a time."""
        if self.canceled_at is not None:
            return TaskState.CANCELED
        if now >= self.finished_at:
            return TaskState.FAILED if self.order.fails else TaskState.SUCCEEDED
        return TaskState.RUNNING if now >= self.scheduled_at else TaskState.PENDING

    def progress(self, now: float) -> float:
        """Tell how much of it is done, 0 to 1."""
        if self.duration_s <= 0:
            return 1.0
        return min(1.0, max(0.0, (now - self.submitted_at) / self.duration_s))
