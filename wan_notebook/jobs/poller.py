"""One poller for each service account: it asks for all running tasks, under one pace, and hands the answers out."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

from ..client import Client
from ..errors import ServiceError, WanError
from ..schedule import (
    AskAgain,
    Durations,
    Expired,
    Fault,
    FaultKind,
    Pacer,
    PausePolls,
    PollDecision,
    PollQueue,
    PollSetting,
    StopAsking,
    backoff_s,
    decide_incomplete,
    decide_poll,
    decide_running,
    decide_unknown,
)
from ..wire import Phase, TaskState
from .trouble import fault_of

log = logging.getLogger(__name__)
AT_ONCE = 6  # as many queries under way as the client has connections
LONGEST_SLEEP_S = 30.0  # a laptop that slept is noticed after this at the latest
JUMP_S = 10.0  # the wall clock went so much further than the time that we were awake
ASK_BEFORE_GIVING_UP = 6  # a network that is just coming back must not let a task pass for expired
PERSON_LOOK_S = 60.0
"""Without a time a person has to act; a look every minute notices when they did elsewhere."""


class LetGo(Enum):
    """The outcome of a watch that this poller gave up: the task goes on, ask for it anew."""

    LET_GO = "let go"


LET_GO = LetGo.LET_GO
Outcome = TaskState | Expired | StopAsking | Literal[LetGo.LET_GO]


@dataclass(eq=False)
class Watch:
    """A task that is asked for. Its age counts by the wall clock: monotonic time stops while a laptop sleeps."""

    job_id: str
    task_id: str
    expected: int
    accepted_at: float
    kind: Durations
    same_key: Callable[[], bool]
    on_state: Callable[[TaskState], Awaitable[None]]
    on_note: Callable[[str], None]
    done: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    running_at: float | None = None
    failures: int = 0
    unknowns: int = 0
    incompletes: int = 0


class Poller:
    """Ask for tasks until they end. Lives on the runtime's loop."""

    def __init__(
        self,
        client: Client,
        *,
        pacer: Pacer,
        setting: PollSetting,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.client = client
        self.pacer = pacer
        self.waits_for_person = False
        self._queue = PollQueue(pacer, setting=setting)
        self._rng, self._clock, self._wall, self._pause = rng, clock, wall_clock, sleep
        self._watches: dict[str, Watch] = {}
        self._is_woken = False
        self._nap: asyncio.Future[None] | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._task: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._ahead_s = wall_clock() - clock()

    def __len__(self) -> int:
        return len(self._watches)

    def set_pace(self, setting: PollSetting, queries_per_s: float) -> None:
        """Ask for the tasks to come by this setting, and for all within this limit (0 = none)."""
        self._queue.setting = setting
        self.pacer.set_limit(queries_per_s)

    def let_go(self) -> None:
        """Give all tasks back: another client asks for them, or this one after a pause that waited for a person."""
        self.waits_for_person = False
        self.pacer.resume()
        for watch in list(self._watches.values()):
            self._end(watch, LET_GO)
        self._wake()

    def end(self) -> None:
        """Ask no more."""
        for task in [self._task, *self._asking]:
            if task is not None:
                task.cancel()

    async def watch(self, watch: Watch) -> Outcome:
        """Ask for a task until it ended; cancelling this stops the asking, never the task."""
        self._watches[watch.job_id] = watch
        self._plan(watch)
        self._wake()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="wan-poller")
        try:
            return await watch.done
        finally:
            if self._watches.get(watch.job_id) is watch:
                del self._watches[watch.job_id]
                self._queue.discard(watch.job_id, self._clock())

    def _plan(self, watch: Watch) -> None:
        self._queue.add(watch.job_id, watch.kind, accepted_s=self._clock() - self._age_s(watch))

    async def _run(self) -> None:
        while self._watches:
            self._is_woken = False
            self._notice_jump()
            wait_s = self._queue.wait_s(self._clock())
            if wait_s > 0:
                await self._sleep(min(wait_s, LONGEST_SLEEP_S))
                continue
            await self._slots.acquire()
            job_id = self._queue.take(self._clock())
            watch = self._watches.get(job_id) if job_id is not None else None
            if watch is None:
                self._slots.release()
                if job_id is not None:
                    self._queue.discard(job_id, self._clock())
                continue
            asking = asyncio.create_task(self._ask(watch))
            self._asking.add(asking)
            asking.add_done_callback(self._asked)

    def _notice_jump(self) -> None:
        """After a sleep or a jump of the clock ask for every task once, paced, by its true age."""
        ahead_s = self._wall() - self._clock()
        if abs(ahead_s - self._ahead_s) > JUMP_S:
            log.info("the clock jumped by %.0f s", ahead_s - self._ahead_s)
            for watch in self._watches.values():
                self._queue.discard(watch.job_id, self._clock())
                self._plan(watch)
        self._ahead_s = ahead_s

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._slots.release()
        self._wake()

    def _wake(self) -> None:
        self._is_woken = True
        if self._nap is not None:
            self._nap.cancel()

    async def _sleep(self, for_s: float) -> None:
        if self._is_woken:
            return
        self._nap = asyncio.ensure_future(self._pause(for_s))
        try:
            await asyncio.wait({self._nap})
        finally:
            self._nap.cancel()
            self._nap = None

    async def _ask(self, watch: Watch) -> None:
        asked_at_age_s = self._age_s(watch)  # the laptop may sleep before the answer is read
        try:
            state = await self.client.status(watch.task_id)
        except WanError as error:
            if not watch.done.done():
                self._failed(watch, error)
            return
        except Exception as error:  # a bug in a reader must not end the asking for all
            log.exception("a query failed")
            self._end(watch, error)
            return
        watch.failures = 0
        self.waits_for_person = False
        try:
            await self._heard(watch, state, asked_at_age_s)
        except Exception as error:  # noqa: BLE001 - handed to this job's coroutine, which reports it
            self._end(watch, error)

    def _failed(self, watch: Watch, error: WanError) -> None:
        watch.failures += 1
        fault = fault_of(error, watch.failures)
        decision = decide_poll(fault, self._rng, age_s=self._age_s(watch), same_key=watch.same_key())
        is_silent = not isinstance(error, ServiceError)
        if isinstance(decision, Expired) and is_silent and watch.failures < ASK_BEFORE_GIVING_UP:
            decision = AskAgain(backoff_s(watch.failures, self._rng), "the service could not be asked yet")
        self._follow(watch, decision, f"{decision.reason}: {error.message}")

    async def _heard(self, watch: Watch, state: TaskState, asked_at_age_s: float) -> None:
        match state.phase:
            case Phase.UNKNOWN:
                watch.unknowns += 1
                fault = Fault(kind=FaultKind.HTTP_STATUS, http_status=404, attempt=watch.unknowns)
                same_key = watch.same_key()
                decision = decide_unknown(fault, self._rng, age_s=self._age_s(watch), same_key=same_key)
                self._follow(watch, decision, decision.reason)
            case Phase.PENDING | Phase.RUNNING:
                watch.unknowns = 0
                watch.running_at = self._wall()
                await watch.on_state(state)
                if (stop := decide_running(age_s=asked_at_age_s)) is not None:
                    self._end(watch, stop)
                elif not watch.done.done():
                    self._queue.running(watch.job_id, self._clock())
            case Phase.SUCCEEDED:
                self._succeeded(watch, state)
            case Phase.FAILED | Phase.CANCELLED:
                self._end(watch, state)

    def _succeeded(self, watch: Watch, state: TaskState) -> None:
        delivered = sum(1 for output in state.outputs if output.kind != "text")
        said = any(output.kind == "text" for output in state.outputs)
        watch.incompletes += 1
        again = decide_incomplete(
            delivered=delivered if delivered or not said else watch.expected,
            expected=watch.expected,
            attempt=watch.incompletes,
            rng=self._rng,
        )
        if again is not None:
            self._follow(watch, again, again.reason)
            return
        self._queue.finished(watch.job_id, self._clock(), state.duration_s)
        if state.duration_s is None:
            # The gateway tells no times: the middle between the last two answers teaches later kernels.
            middle = ((watch.running_at or watch.accepted_at) + self._wall()) / 2
            state = replace(state, duration_s=max(0.0, middle - watch.accepted_at))
        self._end(watch, state)

    def _follow(self, watch: Watch, decision: PollDecision, note: str) -> None:
        if watch.done.done():
            return
        now_s = self._clock()
        watch.on_note(note)
        match decision:
            case Expired():
                self._end(watch, decision)
            case AskAgain(after_s=after_s):
                self._queue.retry(watch.job_id, now_s, after_s)
            case PausePolls(after_s=None) if not watch.same_key():
                # This key may not see this one; the others' polls must not wait for it.
                self._queue.retry(watch.job_id, now_s, PERSON_LOOK_S)
            case PausePolls(after_s=after_s, slow_down=slow_down):
                if slow_down:
                    self.pacer.slow_down(now_s)
                self.waits_for_person = after_s is None
                self.pacer.pause(now_s, PERSON_LOOK_S if after_s is None else after_s)
                self._queue.retry(watch.job_id, now_s, 0.0)

    def _end(self, watch: Watch, outcome: Outcome | Exception) -> None:
        if watch.done.done():
            return
        self._queue.discard(watch.job_id, self._clock())
        if isinstance(outcome, Exception):
            watch.done.set_exception(outcome)
        else:
            watch.done.set_result(outcome)

    def _age_s(self, watch: Watch) -> float:
        return max(0.0, self._wall() - watch.accepted_at)
