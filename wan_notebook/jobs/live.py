"""What this kernel knows of one job: the ledger's row, what the ledger need not keep, and who wants to hear of it.

Changed on the runtime's thread only; read from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..ledger import JobRow
from ..request import ImageRequest
from ..states import SETTLED, JobState

Listener = Callable[["LiveJob"], None]


@dataclass(eq=False)
class LiveJob:
    """One job of the ledger, alive in this kernel. Times are seconds of the wall clock.

    ``stopped`` says why nobody works on it here although it is not over; ``is_sending`` that its POST is under way;
    ``unwritten_task`` is the task that the service has made of it, while the disk takes no id.
    """

    row: JobRow
    request: ImageRequest | None = None
    progress: float | None = None
    eta_s: tuple[float, float] | None = None
    note: str = ""
    stopped: str = ""
    cancel_asked: bool = False
    is_sending: bool = False
    unwritten_task: str = ""
    _listeners: list[Listener] = field(default_factory=list)
    _waiters: list[Future[None]] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def id(self) -> str:
        """The ledger's id."""
        return self.row.id

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return JobState(self.row.state)

    @property
    def is_settled(self) -> bool:
        """Whether it is over: final, or a person has to decide."""
        return self.state in SETTLED

    @property
    def ends_waiting(self) -> bool:
        """Whether waiting for it is in vain: it is settled, or nobody works on it."""
        return bool(self.stopped) or self.is_settled

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(self)`` after each change, on the runtime's thread; returns what ends it."""
        with self._guard:
            self._listeners.append(listener)

        def stop() -> None:
            with self._guard:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def stop(self, reason: str) -> None:
        """Say why nobody works on it any more, to whoever looks and whoever waits."""
        self.note = self.stopped = reason
        self.changed()

    def leave(self, reason: str) -> None:
        """In a forked process: nobody works on it here. Its locks and listeners belong to the parent's threads."""
        self._guard = threading.Lock()
        self._listeners, self._waiters = [], []
        if not self.is_settled:
            self.note = self.stopped = reason

    def changed(self, row: JobRow | None = None) -> None:
        """Take over a new row, if any, and tell everybody."""
        if row is not None:
            self.row = row
        with self._guard:
            listeners = tuple(self._listeners)
            waiters, self._waiters = (self._waiters, []) if self.ends_waiting else ([], self._waiters)
        for waiter in waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)
        for listener in listeners:
            listener(self)

    def settled(self) -> Future[None]:
        """Return a future that is done once waiting is over."""
        future: Future[None] = Future()
        with self._guard:
            if not self.ends_waiting:
                self._waiters.append(future)
                return future
        future.set_result(None)
        return future
