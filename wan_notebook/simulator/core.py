"""The simulated service behind both dialects: accounts, tasks, limits, pictures, and counts for tests."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import threading
import uuid
from collections import Counter, OrderedDict
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
        self._pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()
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

    async def submit(self, document: dict[str, Any], service: Service, dialect: Dialect, account: str) -> Task:
        """Check a flat request and start its task; raise ApiError for what the service refuses."""
        # Decoding big pictures must not hold up the loop that others poll on.
        if "data:" in str(document.get("input"))[:100_000]:
            order = await asyncio.to_thread(read_order, document, service, self._read_picture)
        else:
            order = read_order(document, service, self._read_picture)
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

    async def picture(self, task: Task, index: int) -> bytes:
        """Return the PNG of one result, painted when it is first asked for."""
        if self.config.fixed_picture is not None:
            return self.config.fixed_picture
        kept = self._pictures.get((task.task_id, index))
        return kept if kept is not None else await asyncio.to_thread(self._paint, task, index)

    def _paint(self, task: Task, index: int) -> bytes:
        key = (task.task_id, index)
        with self._painting:
            if key not in self._pictures:
                inputs = [self._input(input_id) for input_id in task.order.inputs]
                self._pictures[key] = paint_png(task.order, index, inputs)
                while len(self._pictures) > KEPT_PICTURES:
                    self._pictures.popitem(last=False)
            return self._pictures[key]

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
