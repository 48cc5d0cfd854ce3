"""The service behind both APIs: its settings, accounts and their limits, tasks and where they are kept, counts."""

import asyncio
import hashlib
import re
import sqlite3
import threading
import time
import uuid
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass
from starlette.requests import Request

from .validation import ApiError, Provider, TaskRequest, read_request

TaskState = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"]
"""DashScope's words for the states of a task; the gateway has its own."""

RequestKind = Literal["submit", "poll", "list", "cancel"]

LIFETIME_S = 24 * 3600.0
"""How long the services keep a task after its submit, and a result after the task's end (WAN_API §4)."""

REPLY_FORMS: Mapping[str, str] = {
    "documented": "as the page of the model documents it",
    "wrapped": 'gateway: {"data": {…}, "status": {"code": 200, "message": "ok"}}',
    "errors_200": "gateway: errors with HTTP status 200",
    "other_words": "gateway: other words for completed (done, SUCCEED, …), pending (in_queue, …) and running",
    "unknown_status": "gateway: statuses that no page documents, beside pictures, errors and neither",
    "outputs": "gateway: pictures in `outputs` in place of `output`",
    "both_outputs": "gateway: pictures in `output` and `outputs`",
    "completed_at_once": "gateway: the reply to a submit says that the task is completed",
    "completed_with_error": 'gateway: a failed task has the status "COMPLETED", an error and no picture',
    "error_text": "gateway: the error is a plain text",
    "error_message": "gateway: the message of an HTTP error stands at top level",
    "error_number": 'gateway: the error is {"code": 1301, "error_message": …}',
    "provider_error": "gateway: the cause stands in `provider_error`, beside `error_type` and an error text",
    "results": "DashScope: pictures in `results` with `task_metrics`, in place of `choices`",
}
"""The forms in which the services are known to word a reply (WAN_API §2 and §3); several can be joined by `+`."""

_FORMS = "|".join(REPLY_FORMS)
_NotNegative = Field(ge=0, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """Settings of one simulator; its limits are those of the real services unless told otherwise.

    Parameters
    ----------
    seconds
        How long a task takes from submit to end. 0: the first poll finds it done.
    pending_share
        The part of that time in which the task is PENDING, so that it can still be cancelled.
    price
        USD of one picture, as the gateway reports it. Nothing is billed.
    queries_per_s, submits_per_s, in_flight
        The limits of one account: status queries and submits in any second, tasks in process at once. 0: no limit.
        A file in `state_path` shares `in_flight` with other processes.
    clock
        Unix time in seconds.
    fixed_picture
        Bytes that are served as every result, in place of a painted picture.
    state_path
        A SQLite file in which tasks survive a restart; several processes may share it. None: kept in memory.
    reply_form
        Names of `REPLY_FORMS`, joined by `+`.
    keys
        The accepted keys; empty: any key.

    Raises
    ------
    pydantic.ValidationError
        A number is negative or not finite, or a name is unknown.
    """

    seconds: Annotated[float, _NotNegative] = 3.0
    pending_share: Annotated[float, _NotNegative] = 0.15
    price: Annotated[Decimal, _NotNegative] = Decimal("0.03")
    queries_per_s: Annotated[float, _NotNegative] = 20.0
    submits_per_s: Annotated[float, _NotNegative] = 5.0
    in_flight: Annotated[int, Field(ge=0)] = 5
    clock: Callable[[], float] = time.time
    fixed_picture: Annotated[bytes | None, Field(repr=False)] = None
    state_path: Path | None = None
    reply_form: Annotated[str, Field(pattern=rf"^({_FORMS})(\+({_FORMS}))*$")] = "documented"
    keys: frozenset[str] = field(default=frozenset(), repr=False)


class Task(BaseModel, frozen=True):
    """One task. Times are Unix seconds; its state is a function of the time alone."""

    task_id: str
    account: str
    provider: Provider
    request: TaskRequest
    submitted_at: float
    pending_s: float
    duration_s: float
    canceled_at: float | None = None

    @property
    def scheduled_at(self) -> float:
        """When the task stops waiting and starts to run, or is cancelled before that."""
        return min(self.submitted_at + self.pending_s, self.ends_at)

    @property
    def ends_at(self) -> float:
        """When the task is over."""
        return self.submitted_at + self.duration_s if self.canceled_at is None else self.canceled_at

    @property
    def expires(self) -> str:
        """When the addresses of its results expire, as they say it: in Unix seconds."""
        return str(int(self.ends_at + LIFETIME_S))

    @property
    def error(self) -> ApiError:
        """Why the task was cancelled or fails, as its prompt asks."""
        code = directives_of(self.request.prompt).get("fail") or "DataInspectionFailed"
        return ApiError.of(code if self.canceled_at is None else "TaskCanceled")

    def state(self, now: float) -> TaskState:
        """Return the state at a time."""
        if self.canceled_at is None and now < self.ends_at:
            return "RUNNING" if now >= self.scheduled_at else "PENDING"
        end: TaskState = "FAILED" if "fail" in directives_of(self.request.prompt) else "SUCCEEDED"
        return end if self.canceled_at is None else "CANCELED"


def directives_of(prompt: str) -> dict[str, str]:
    """Return the `[[name:value]]` directives of a prompt."""
    return dict(re.findall(r"\[\[(\w+)(?::([\w.]+))?\]\]", prompt))


class Simulator:
    """Runs tasks by the clock and counts what happens.

    Tasks are kept in SQLite for two days: a result may be fetched until a day after its task ended.

    Attributes
    ----------
    config
        The settings in force; replace it to change them while the simulator runs (`state_path` excepted).
    requests
        How many requests came of each kind: submit, poll, list, cancel, download.
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
        self.tasks_created = self.images_served = 0
        self.keys_leaked: list[str] = []
        self._admitted: defaultdict[tuple[str, bool], deque[float]] = defaultdict(deque)
        self._path, self._lock = config.state_path, threading.Lock()
        self._memory = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._memory.close)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as database:  # a file that cannot be written is told now
            database.execute(
                "CREATE TABLE IF NOT EXISTS simulated_tasks (task_id TEXT PRIMARY KEY, account TEXT NOT NULL, "
                "submitted_at REAL NOT NULL, ends_at REAL NOT NULL, document TEXT NOT NULL)"
            )
            database.execute("DELETE FROM simulated_tasks WHERE submitted_at < ?", (self.now() - 2 * LIFETIME_S,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the file anew each time: other threads, forked processes and other kernels use it too."""
        if self._path is None:
            with self._lock, self._memory:
                yield self._memory
        else:  # with a rollback journal, not WAL: the file may lie on a network filesystem
            with closing(sqlite3.connect(self._path, timeout=10.0, isolation_level="IMMEDIATE")) as file, file:
                yield file

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All stored tasks by id, oldest first."""
        return {task.task_id: task for task in self.stored()}

    @property
    def forms(self) -> frozenset[str]:
        """The names of the reply forms in force."""
        return frozenset(self.config.reply_form.split("+"))

    def now(self) -> float:
        """Return the Unix time of the configured clock."""
        return self.config.clock()

    def admit(self, request: Request, kind: RequestKind) -> str:
        """Count a request, also against its limit, and return the account of its bearer key (a hash).

        Raises ApiError: 401 without a valid key, 429 above the limit.
        """
        self.requests[kind] += 1
        scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not key or (self.config.keys and key not in self.config.keys):
            raise ApiError(401, "InvalidApiKey", f"{'Invalid' if key else 'No'} API-key provided.")
        account = hashlib.sha256(key.encode()).hexdigest()[:16]
        per_s = self.config.submits_per_s if kind == "submit" else self.config.queries_per_s
        if per_s:
            count_max = max(1, int(per_s))
            now, times = self.now(), self._admitted[account, kind == "submit"]
            # Times ahead of now mean that the clock was set back; they must not hold anybody up.
            while times and not 0 <= now - times[0] < count_max / per_s:
                times.popleft()
            if len(times) >= count_max:
                raise ApiError.of("Throttling.RateQuota")
            times.append(now)
        return account

    async def submit(self, request: Request, provider: Provider) -> Task:
        """Check a request and start its task; raise ApiError for what the service refuses."""
        account = self.admit(request, "submit")
        # Decoding pictures must not hold up the polls on this loop.
        asked = await asyncio.to_thread(read_request, await request.body(), provider)
        directives = directives_of(asked.prompt)
        if "refuse" in directives:
            raise ApiError.of(directives["refuse"] or "Arrearage")
        told = re.fullmatch(r"[0-9]+(\.[0-9]+)?", directives.get("seconds", ""))
        duration_s = 0.0 if "completed_at_once" in self.forms else float(told[0]) if told else self.config.seconds
        task = Task(
            task_id=str(uuid.uuid4()),
            account=account,
            provider=provider,
            request=asked,
            submitted_at=self.now(),
            pending_s=duration_s * self.config.pending_share,
            duration_s=duration_s,
        )
        now, count = task.submitted_at, "SELECT count(*) FROM simulated_tasks WHERE account = ? AND ends_at > ?"
        with self._transaction() as database:  # counted and stored at once: the limit holds over all processes
            if 0 < self.config.in_flight <= database.execute(count, (account, now)).fetchone()[0]:
                raise ApiError.of("Throttling.AllocationQuota")
            database.execute(
                "INSERT INTO simulated_tasks VALUES (?, ?, ?, ?, ?)",
                (task.task_id, account, now, task.ends_at, task.model_dump_json()),
            )
        self.tasks_created += 1
        return task

    def tasks_for(self, request: Request, provider: Provider, kind: RequestKind) -> list[Task]:
        """Admit a query; return the tasks of its account that the service still keeps: all, or the one in its path."""
        owner, oldest = (self.admit(request, kind), provider), self.now() - LIFETIME_S
        tasks = self.stored(request.path_params.get("task_id"))
        return [task for task in tasks if (task.account, task.provider) == owner and task.submitted_at >= oldest]

    def cancel(self, task: Task) -> bool:
        """Cancel a task if it is PENDING; return whether it was."""
        now = self.now()
        if is_pending := task.state(now) == "PENDING":
            with self._transaction() as database:
                database.execute(
                    "UPDATE simulated_tasks SET ends_at = ?, document = ? WHERE task_id = ?",
                    (now, task.model_copy(update={"canceled_at": now}).model_dump_json(), task.task_id),
                )
        return is_pending

    def contents(self, task: Task, request: Request, url_field: str, **fields: str) -> list[list[dict[str, str]]]:
        """Return what a task made, as groups of content items in order; `fields` are added to each picture.

        One group a picture; a set is one group, and so is an illustrated text, with a text before each of its pictures.
        """
        asked, base = task.request, f"{request.base_url}results/{task.task_id}"
        query = f"Expires={task.expires}&OSSAccessKeyId=SIMULATED&Signature=SIMULATED"
        urls = [f"{base}/{index}.png?{query}" for index in range(asked.images_n)]
        pictures = [{"type": "image", url_field: url, **fields} for url in urls]
        if asked.is_set:
            return [pictures]
        if not asked.is_interleaved or asked.images_n == 1:
            return [[picture] for picture in pictures]
        text = {"type": "text", "text": f"Simulated text for: {asked.prompt[:200]}"}
        return [[item for picture in pictures for item in (text, picture)] or [text]]

    def stored(self, task_id: str | None = None) -> list[Task]:
        """Return the tasks, oldest first: all, or the one with this id."""
        query = "SELECT document FROM simulated_tasks WHERE :id IS NULL OR task_id = :id ORDER BY submitted_at, rowid"
        with self._transaction() as database:
            return [Task.model_validate_json(document) for (document,) in database.execute(query, {"id": task_id})]
