"""When to ask for a task: once it is likely to have been waiting for us, and the longest-waiting first.

One quantity decides both. The *waste* of a task at some moment is the time that it is expected to have lain finished
and unseen since it was last seen running. A task is due when its waste reaches what a poll is worth; when more tasks
are due than the service lets us ask, the one with the greatest waste goes first. For a steady hazard h this spaces the
polls sqrt(2 * waste / h) apart, and it is within a few hundredths of the optimal schedule for learned laws.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from .durations import DurationModel, Durations
from .pacer import Pacer

ALMOST_SURE = 0.9
"""A task that has finished with this probability is asked for at once: waiting longer saves no poll."""

_RANKS_LAST_S = 0.2  # due tasks are ranked anew after this: ranks move slowly, and ranking costs time


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSetting:
    """How eagerly to poll. All in seconds; `waste_s` is what one poll is worth."""

    waste_s: float
    min_interval_s: float = 0.25
    max_interval_s: float = 30.0

    def __post_init__(self) -> None:
        if not (0 < self.waste_s < math.inf and 0 < self.min_interval_s <= self.max_interval_s < math.inf):
            raise ValueError(
                "a PollSetting needs 0 < waste_s and 0 < min_interval_s <= max_interval_s, all of them finite; got "
                f"waste_s={self.waste_s}, min_interval_s={self.min_interval_s}, max_interval_s={self.max_interval_s}"
            )


PROMPT = PollSetting(waste_s=0.085)
"""About 7 polls a task of 12 s, seen 0.7 s after it finished."""

ECONOMICAL = PollSetting(waste_s=0.6, min_interval_s=1.0, max_interval_s=60.0)
"""About 3 polls a task of 12 s, seen 1.8 s after it finished."""


def next_poll_s(model: DurationModel, last_s: float | None, setting: PollSetting = PROMPT) -> float:
    """Return the age, in seconds since acceptance, at which a task is worth its next poll.

    `last_s` is the age at which it was last asked for and still ran; None: never.
    """
    seen_s = 0.0 if last_s is None else last_s
    earliest = seen_s if last_s is None else seen_s + setting.min_interval_s
    latest = seen_s + setting.max_interval_s
    wanted = min(_age_of_waste(model, seen_s, setting.waste_s), model.quantile(ALMOST_SURE, elapsed_s=seen_s))
    return min(max(wanted, earliest), latest)


def _age_of_waste(model: DurationModel, last_s: float, waste_s: float) -> float:
    """Return the age at which the waste since `last_s` reaches `waste_s`: bisection, for it only grows."""
    times = model.times_s
    low, high = bisect_right(times, last_s), len(times) - 1
    while low < high:
        middle = (low + high) // 2
        if model.waste_since(last_s, times[middle]) >= waste_s:
            high = middle
        else:
            low = middle + 1
    if low >= len(times):
        return math.inf
    before_s, after_s = max(last_s, times[low - 1]), times[low]
    less, more = model.waste_since(last_s, before_s), model.waste_since(last_s, after_s)
    part = (waste_s - less) / (more - less) if more > less else 1.0
    return before_s + min(1.0, max(0.0, part)) * (after_s - before_s)


@dataclass(slots=True)
class _Task:
    task_id: str
    kind: Durations
    accepted_s: float
    last_s: float | None  # age at the last answered poll
    due_s: float = 0.0
    plan: int = 0  # entries of older plans in the heap are void
    asked_s: float | None = None  # set while a poll is under way


class PollQueue:
    """Hold the running tasks of a kernel and say which to ask for next. Plain state; the caller tells the time.

    `now_s` is a monotonic clock's time in seconds throughout. After `take` gave a task, exactly one of `running`,
    `retry`, `finished` and `discard` must follow for it.
    """

    def __init__(self, pacer: Pacer, *, setting: PollSetting = PROMPT) -> None:
        self.pacer = pacer
        self.setting = setting
        self._tasks: dict[str, _Task] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._due: dict[str, None] = {}
        self._ranked: list[str] = []  # due tasks, the most wasteful last
        self._ranked_at_s = -math.inf

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._tasks))

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def add(self, task_id: str, kind: Durations, *, accepted_s: float) -> None:
        """Take up a task that was accepted at `accepted_s`, which may be long ago: an earlier kernel's task."""
        if task_id not in self._tasks:
            task = self._tasks[task_id] = _Task(task_id, kind, accepted_s, None)
            self._plan_by_model(task)

    def _plan(self, task: _Task, age_s: float) -> None:
        self._due.pop(task.task_id, None)
        task.plan += 1
        task.due_s = task.accepted_s + age_s
        heapq.heappush(self._heap, (task.due_s, task.plan, task.task_id))

    def _plan_by_model(self, task: _Task) -> None:
        self._plan(task, next_poll_s(task.kind.model, task.last_s, self.setting))

    def _gather(self, now_s: float) -> None:
        """Move what has become due from the heap to the due tasks."""
        while self._heap:
            due_s, plan, task_id = self._heap[0]
            task = self._tasks.get(task_id)
            if task is not None and task.plan == plan:
                if due_s > now_s:
                    return
                self._due[task_id] = None
            heapq.heappop(self._heap)

    def _waste(self, task_id: str, now_s: float) -> float:
        task = self._tasks[task_id]
        return task.kind.model.waste_since(task.last_s or 0.0, now_s - task.accepted_s)

    def wait_s(self, now_s: float) -> float:
        """Return how long `take` will give nothing: 0 = ask now, infinity = until a task or an answer comes."""
        self._gather(now_s)
        if self._due:
            return self.pacer.wait_s(now_s)
        if self._heap:
            return max(self._heap[0][0] - now_s, self.pacer.wait_s(now_s))
        return math.inf

    def take(self, now_s: float) -> str | None:
        """Return the task to ask for now and count the query, or None if none is due or the pace forbids it."""
        self._gather(now_s)
        if not self._due or not self.pacer.take(now_s):
            return None
        task_id = self._most_wasteful(now_s)
        del self._due[task_id]
        self._tasks[task_id].asked_s = now_s
        return task_id

    def _most_wasteful(self, now_s: float) -> str:
        """Return the due task with the greatest waste, by a ranking that is renewed when it is old or used up."""
        fresh = now_s - self._ranked_at_s <= _RANKS_LAST_S
        while fresh and self._ranked:
            task_id = self._ranked.pop()
            if task_id in self._due:
                return task_id
        self._ranked = sorted(self._due, key=lambda task_id: self._waste(task_id, now_s))
        self._ranked_at_s = now_s
        return self._ranked.pop()

    def _answered(self, task_id: str, now_s: float) -> _Task | None:
        task = self._tasks.get(task_id)
        if task is not None and task.asked_s is not None:
            self.pacer.answered(now_s)
        return task

    def running(self, task_id: str, now_s: float) -> None:
        """Note the answer "still running": plan the next poll."""
        task = self._answered(task_id, now_s)
        if task is not None and task.asked_s is not None:
            task.last_s = max(0.0, task.asked_s - task.accepted_s)
            task.asked_s = None
            self._plan_by_model(task)

    def retry(self, task_id: str, now_s: float, after_s: float) -> None:
        """Note that a poll brought no answer: ask again after `after_s` seconds."""
        task = self._answered(task_id, now_s)
        if task is not None and task.asked_s is not None:
            earliest_s = task.asked_s + self.setting.min_interval_s
            task.asked_s = None
            self._plan(task, max(earliest_s, now_s + max(0.0, after_s)) - task.accepted_s)

    def discard(self, task_id: str, now_s: float) -> None:
        """Forget a task: failed, cancelled, expired, or another kernel's now."""
        self._answered(task_id, now_s)
        self._tasks.pop(task_id, None)
        self._due.pop(task_id, None)

    def finished(self, task_id: str, now_s: float, duration_s: float | None = None) -> None:
        """Forget a task that succeeded and learn how long it took.

        `duration_s` is the service's own figure; without one the middle between the last two polls is taken.
        """
        task = self._tasks.get(task_id)
        self.discard(task_id, now_s)
        if task is None:
            return
        if duration_s is None:
            asked_s = now_s if task.asked_s is None else task.asked_s
            duration_s = ((task.last_s or 0.0) + asked_s - task.accepted_s) / 2
        if task.kind.add(duration_s):
            self.replan(task.kind)

    def replan(self, kind: Durations) -> None:
        """Fit the model of a kind anew, with the ages of its running tasks, and plan their polls by it."""
        mates = [task for task in self._tasks.values() if task.kind is kind]
        kind.refit(mate.last_s for mate in mates if mate.last_s)
        for mate in mates:
            if mate.asked_s is None:
                self._plan_by_model(mate)
