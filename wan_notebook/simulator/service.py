"""The service behind both APIs: accounts and their limits, tasks, results, and counts for tests."""

import asyncio
import hashlib
import re
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import Literal

from .config import SimulatorConfig
from .errors import ApiError, refusal
from .painting import paint
from .tasks import LIFETIME_S, Provider, Task, TaskState, TaskStore, directives_of
from .validation import read_request


class Simulator:
    """Runs tasks by the clock and counts what happens.

    Attributes
    ----------
    config
        The settings in force; replace it to change them while the simulator runs (`state_path` excepted).
    requests
        How many requests came of each kind: submit, poll, list, cancel, download, other.
    tasks_created
        How many tasks were created.
    images_served
        How many results were answered up to their last byte; a resumed download counts once.
    keys_leaked
        Paths of result requests that carried an Authorization header, which results must never be sent.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.requests: Counter[str] = Counter()
        self.tasks_created = 0
        self.images_served = 0
        self.keys_leaked: list[str] = []
        self._store = TaskStore(config.state_path)
        self._admitted: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All stored tasks by id, oldest first."""
        return {task.task_id: task for task in self._store.tasks()}

    def now(self) -> float:
        """Return the Unix time of the configured clock."""
        return self.config.clock()

    def account(self, authorization: str | None) -> str:
        """Return the account of a bearer key (a hash); raise ApiError 401 without a valid key."""
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "InvalidApiKey", "No API-key provided.")
        if self.config.keys and key not in self.config.keys:
            raise ApiError(401, "InvalidApiKey", "Invalid API-key provided.")
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    def admit(self, account: str, kind: Literal["query", "submit"]) -> None:
        """Count a request against the account's limit of its kind; raise ApiError 429 above it."""
        per_s = self.config.submits_per_s if kind == "submit" else self.config.queries_per_s
        if not per_s:
            return
        count_max = max(1, int(per_s))
        window_s, now, times = count_max / per_s, self.now(), self._admitted[account, kind]
        # Times ahead of now mean that the clock was set back; they must not hold anybody up.
        while times and not 0 <= now - times[0] < window_s:
            times.popleft()
        if len(times) >= count_max:
            raise refusal("Throttling.RateQuota")
        times.append(now)

    async def submit(self, body: bytes, provider: Provider, account: str) -> Task:
        """Check a request body and start its task; raise ApiError for what the service refuses."""
        self.admit(account, "submit")
        envelope = self.config.envelope if provider == "gateway" else "flat"
        # Decoding pictures must not hold up the polls on this loop.
        request = await asyncio.to_thread(read_request, body, provider, envelope)
        directives = directives_of(request.prompt)
        if "refuse" in directives:
            raise refusal(directives["refuse"] or "Arrearage")
        seconds = directives.get("seconds", "")
        duration_s = float(seconds) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds) else self.config.seconds
        if "completed_at_once" in self.config.reply_forms:
            duration_s = 0.0
        task = Task(
            task_id=str(uuid.uuid4()),
            account=account,
            provider=provider,
            request=request,
            submitted_at=self.now(),
            pending_s=duration_s * self.config.pending_share,
            duration_s=duration_s,
        )
        if not self._store.add(task, in_flight_max=self.config.in_flight):
            raise refusal("Throttling.AllocationQuota")
        self.tasks_created += 1
        return task

    def find(self, task_id: str) -> Task | None:
        """Return a task whatever its account: results need no key."""
        return next(iter(self._store.tasks(task_id)), None)

    def tasks_of(self, account: str, provider: Provider, task_id: str | None = None) -> list[Task]:
        """Return the tasks of an account that the service still keeps, newest first: all, or the one with this id."""
        oldest, owner = self.now() - LIFETIME_S, (account, provider)
        tasks = reversed(self._store.tasks(task_id))
        return [task for task in tasks if (task.account, task.provider) == owner and task.submitted_at >= oldest]

    def cancel(self, task: Task) -> bool:
        """Cancel a task if it is PENDING; return whether it was."""
        if task.state(self.now()) is not TaskState.PENDING:
            return False
        self._store.cancel(task, self.now())
        return True

    def result(self, task: Task, index: int) -> tuple[bytes, str]:
        """Return the bytes of a result and their ETag; painting takes a good part of a second."""
        content = self.config.fixed_picture
        content = paint(task.request, index) if content is None else content
        return content, f'"{hashlib.md5(content, usedforsecurity=False).hexdigest().upper()}"'
