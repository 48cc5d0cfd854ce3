"""The service behind both APIs: its settings, accounts and their limits, tasks, results, and counts for tests."""

import asyncio
import dataclasses
import hashlib
import re
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass
from starlette.requests import Request

from .painting import paint
from .tasks import LIFETIME_S, Provider, Task, TaskState, TaskStore, directives_of
from .validation import ApiError, read_request

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

_STEPS = ("The scene opens", "A little later", "Seen from closer", "The light changes", "How it ends")

NotNegative = Field(ge=0, allow_inf_nan=False)


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

    seconds: Annotated[float, NotNegative] = 3.0
    pending_share: Annotated[float, NotNegative] = 0.15
    price: Annotated[Decimal, NotNegative] = Decimal("0.03")
    queries_per_s: Annotated[float, NotNegative] = 20.0
    submits_per_s: Annotated[float, NotNegative] = 5.0
    in_flight: Annotated[int, Field(ge=0)] = 5
    clock: Callable[[], float] = time.time
    fixed_picture: bytes | None = dataclasses.field(default=None, repr=False)
    state_path: Path | None = None
    reply_form: str = "documented"
    keys: frozenset[str] = dataclasses.field(default=frozenset(), repr=False)

    @field_validator("reply_form")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if not set(value.split("+")) <= REPLY_FORMS.keys():
            raise ValueError(f"must be of {', '.join(REPLY_FORMS)}")
        return value


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

    @property
    def forms(self) -> frozenset[str]:
        """The names of the reply forms in force."""
        return frozenset(self.config.reply_form.split("+"))

    def now(self) -> float:
        """Return the Unix time of the configured clock."""
        return self.config.clock()

    def admit(self, authorization: str | None, kind: Literal["query", "submit"]) -> str:
        """Count a request against the limit of its kind, and return the account of its bearer key (a hash).

        Raises ApiError: 401 without a valid key, 429 above the limit.
        """
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "InvalidApiKey", "No API-key provided.")
        if self.config.keys and key not in self.config.keys:
            raise ApiError(401, "InvalidApiKey", "Invalid API-key provided.")
        account = hashlib.sha256(key.encode()).hexdigest()[:16]
        per_s = self.config.submits_per_s if kind == "submit" else self.config.queries_per_s
        if per_s:
            count_max = max(1, int(per_s))
            now, times = self.now(), self._admitted[account, kind]
            # Times ahead of now mean that the clock was set back; they must not hold anybody up.
            while times and not 0 <= now - times[0] < count_max / per_s:
                times.popleft()
            if len(times) >= count_max:
                raise ApiError.of("Throttling.RateQuota")
            times.append(now)
        return account

    async def submit(self, body: bytes, provider: Provider, account: str) -> Task:
        """Check a request body and start its task; raise ApiError for what the service refuses."""
        request = await asyncio.to_thread(read_request, body, provider)  # decoding must not hold up polls on this loop
        directives = directives_of(request.prompt)
        if "refuse" in directives:
            raise ApiError.of(directives["refuse"] or "Arrearage")
        seconds = directives.get("seconds", "")
        duration_s = float(seconds) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds) else self.config.seconds
        if "completed_at_once" in self.forms:
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
            raise ApiError.of("Throttling.AllocationQuota")
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

    def contents(self, task: Task, request: Request, url_field: str, **fields: str) -> list[list[dict[str, str]]]:
        """Return what a task made, as groups of content items in order; `fields` are added to each picture.

        Editing gives one group a picture; an illustrated text is one group with a text before each picture.
        """
        asked, pictures, texts = task.request, [], []
        for index in range(asked.images_n):
            query = f"Expires={expiry_of(task)}&OSSAccessKeyId=SIMULATED&Signature=SIMULATED"
            url = f"{request.base_url}results/{task.task_id}/{index}.png?{query}"
            pictures.append({"type": "image", url_field: url, **fields})
            texts.append(
                {"type": "text", "text": f"{index + 1}. {_STEPS[index]} (simulated text): {asked.prompt[:200]}"}
            )
        if not asked.is_interleaved or asked.is_text_to_image:
            return [[picture] for picture in pictures]
        if not pictures:
            return [[{"type": "text", "text": f"Simulated text without a picture, for: {asked.prompt[:200]}"}]]
        return [[item for pair in zip(texts, pictures, strict=True) for item in pair]]

    def result(self, task: Task, index: int) -> bytes:
        """Return the bytes of a result; painting takes a good part of a second."""
        return paint(task.request, index) if self.config.fixed_picture is None else self.config.fixed_picture


def expiry_of(task: Task) -> str:
    """Return when the addresses of a task's results expire, as they say it: in Unix seconds."""
    return str(int(task.ends_at + LIFETIME_S))
