"""The simulated service behind both dialects: accounts, tasks, limits, pictures, and counts for tests."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import threading
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .config import SimulatorConfig
from .errors import INVALID_KEY, RATE_LIMITED, ApiError
from .faults import FaultPlan
from .inputs import InputPicture, input_id_of, read_input
from .limiter import QueryLimiter
from .order import Order
from .paint import paint_png
from .signing import Signer
from .store import MemoryStore, SqliteStore, TaskStore
from .tasks import Dialect, Task, TaskState
from .transports import Transports
from .validate import Service, read_order

KEPT_PICTURES = 8
SMALL_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ResultFile:
    """Hold the bytes of a result and their strong validator, which is costly to compute for each request."""

    content: bytes = field(repr=False)
    etag: str

    @classmethod
    def of(cls, content: bytes) -> ResultFile:
        """Make the file of some bytes."""
        return cls(content, f'"{hashlib.md5(content, usedforsecurity=False).hexdigest().upper()}"')


class Simulator:
    """Run tasks by the clock and count what happened.

    For tests: `tasks_created`, `images_served` (results delivered to their last byte), `requests` (a Counter of
    (method, kind), kind one of submit, poll, list, cancel, result, other), `keys_leaked` (paths of result requests
    that carried an Authorization header), `connections` (TCP connections accepted by a port).
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.tasks_created = 0
        self.images_served = 0
        self.requests: Counter[tuple[str, str]] = Counter()
        self.keys_leaked: list[str] = []
        self.transports = Transports()
        self.faults = FaultPlan(config.faults)
        self.signer = Signer()
        self.forced: dict[str, TaskState] = {}
        self._store: TaskStore = SqliteStore(config.state_path) if config.state_path else MemoryStore()
        self._limiter = QueryLimiter(config.queries_per_s)
        self._durations = random.Random(config.durations_seed)  # noqa: S311 (durations, not secrets)
        self._fixed = ResultFile.of(config.fixed_picture) if config.fixed_picture is not None else None
        self._pictures: OrderedDict[tuple[str, int], ResultFile] = OrderedDict()
        self._painting = threading.Lock()

    @property
    def connections(self) -> int:
        """Count the TCP connections that a port has accepted."""
        return self.transports.accepted

    def now(self) -> float:
        """Tell the wall time in seconds."""
        return self.config.clock()

    def add_fault(self, fault: str) -> None:
        """Arm a fault, `NAME[:COUNT]`; raise ValueError for an unknown name."""
        self.faults.add(fault)

    def authorize(self, header: str | None) -> str:
        """Return the account of a bearer key; raise ApiError 401 without a valid one."""
        scheme, _, key = (header or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, INVALID_KEY, "No API-key provided.")
        if self.config.keys and key not in self.config.keys:
            raise ApiError(401, INVALID_KEY, "Invalid API-key provided.")
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    def admit_query(self, account: str) -> None:
        """Count a query of an account; raise ApiError 429 above the limit."""
        if not self._limiter.admits(account, self.now()):
            raise ApiError(429, RATE_LIMITED, "Requests rate limit exceeded, please try again later.")

    async def submit(
        self, body: bytes, parse: Callable[[bytes], dict[str, Any]], service: Service, dialect: Dialect, account: str
    ) -> Task:
        """Check a request, made flat by `parse`, and start its task; raise ApiError for what the service refuses."""

        def read() -> Order:
            return read_order(parse(body), service, self._read_picture)

        # Megabytes of base64 and their pictures must not hold up the loop that others poll on.
        order = await asyncio.to_thread(read) if len(body) > SMALL_BODY_BYTES else read()
        task = Task(
            task_id=str(uuid.uuid4()),
            account=account,
            dialect=dialect,
            order=order,
            submitted_at=self.now(),
            duration_s=self._draw_duration(order),
        )
        self._store.add(task)
        self.tasks_created += 1
        return task

    def find(self, task_id: str, account: str, dialect: Dialect) -> Task | None:
        """Find a live task of this account and dialect."""
        task = self.find_any(task_id)
        if task is None or task.account != account or task.dialect != dialect:
            return None
        return None if task.is_gone(self.now()) else task

    def find_any(self, task_id: str) -> Task | None:
        """Find a task whoever asks: its pictures need no key."""
        return self._store.get(task_id)

    def tasks_of(self, account: str, dialect: Dialect) -> list[Task]:
        """List the live tasks of an account, newest first."""
        now = self.now()
        tasks = [task for task in self._store.of_account(account) if task.dialect == dialect]
        return [task for task in reversed(tasks) if not task.is_gone(now)]

    def state(self, task: Task) -> TaskState:
        """Tell a task's state now, forced by a fault or not."""
        return self.forced.get(task.task_id) or task.state(self.now())

    def cancel(self, task: Task) -> bool:
        """Cancel a task if it is still PENDING."""
        if self.state(task) is not TaskState.PENDING:
            return False
        self._store.cancel(task.task_id, self.now())
        return True

    async def picture(self, task: Task, index: int) -> ResultFile:
        """Return the file of one result, painted when it is first asked for."""
        if self._fixed is not None:
            return self._fixed
        kept = self._pictures.get((task.task_id, index))
        return kept if kept is not None else await asyncio.to_thread(self._paint, task, index)

    def _paint(self, task: Task, index: int) -> ResultFile:
        key = (task.task_id, index)
        with self._painting:
            file = self._pictures.get(key)
            if file is None:
                inputs = [self._input(input_id) for input_id in task.order.inputs]
                file = self._pictures[key] = ResultFile.of(paint_png(task.order, index, inputs))
                while len(self._pictures) > KEPT_PICTURES:
                    self._pictures.popitem(last=False)
            return file

    def _input(self, input_id: str) -> InputPicture:
        return self._store.get_input(input_id) or InputPicture(input_id, 1024, 1024)

    def _read_picture(self, source: str, where: str) -> InputPicture:
        known = self._store.get_input(input_id_of(source))
        picture = known or read_input(source, where)
        self._store.add_input(picture, self.now())
        return picture

    def _draw_duration(self, order: Order) -> float:
        config = self.config
        drawn = config.seconds * math.exp(config.sigma * self._durations.gauss(0, 1)) if config.sigma else None
        if order.seconds is not None:
            return order.seconds
        return config.seconds if drawn is None else drawn
