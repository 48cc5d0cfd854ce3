"""When to ask for a task: once it is likely to have been waiting for us, and the longest-waiting first.

One quantity decides both. The *waste* of a task at some moment is the time that it is expected to have lain finished
and unseen since it was last seen running. A task is due when its waste reaches what a poll is worth; when more tasks
are due than the service lets us ask, the one with the greatest waste goes first. For a steady hazard h this spaces the
polls sqrt(2 * waste / h) apart; for learned laws it does as well as a schedule found by dynamic programming.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .durations import DurationModel, Durations
from .pacer import Pacer

ALMOST_SURE = 0.6
"""A task that has finished with this probability is asked for at once: waiting longer saves few polls."""

_LOOK_AGAIN = 3.5
_COLD = 0.9  # how much more waste a poll must promise when nothing is known
_COLD_FADES_OVER = 4.0  # durations
_PHASES = 8  # first polls of tasks that start together are spread: waste times 0.5 to 1.5, in this many steps,
_PHASE_STEP = 5  # in an order that spreads the first few as well
_RANKS_LAST_S = 0.2  # due tasks are ranked anew after this: ranks move slowly, and ranking costs time


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSetting:
    """How eagerly to poll. All in seconds; `waste_s` is what one poll is worth."""

    waste_s: float
    min_interval_s: float = 0.25
    max_interval_s: float = 30.0
    first_look_s: float = math.inf
    """While nothing at all is known of a kind, its first poll comes no later: what is instant or fails is seen soon.

    Until one of the kind has finished, a task that was seen running is looked at again at a few times that age: a
    service that is much quicker than the prior thinks is found out by its first few tasks.
    """

    def __post_init__(self) -> None:
        if not (0 < self.waste_s < math.inf and 0 < self.min_interval_s <= self.max_interval_s < math.inf):
            raise ValueError(
                "a PollSetting needs 0 < waste_s and 0 < min_interval_s <= max_interval_s, all of them finite; got "
                f"waste_s={self.waste_s}, min_interval_s={self.min_interval_s}, max_interval_s={self.max_interval_s}"
            )


PROMPT = PollSetting(waste_s=0.09, first_look_s=0.5)
"""About 7 polls for a task of 12 s, seen two thirds of a second after it finished."""

ECONOMICAL = PollSetting(waste_s=0.51, min_interval_s=1.0, max_interval_s=60.0)
"""About 3 polls for a task of 12 s, seen 1.7 s after it finished."""


def cautious(setting: PollSetting, known: int) -> PollSetting:
    """Return the setting for a kind of which `known` durations are known: the fewer, the more a poll must promise.

    A first batch pays for the prior's wrong guesses with polls that come too early; asking for more from each poll
    keeps it, all in all, below the polls that a fixed interval of 3 s takes.
    """
    return replace(setting, waste_s=setting.waste_s * (1 + _COLD / (1 + known / _COLD_FADES_OVER)))


def next_poll_s(model: DurationModel, last_s: float | None, setting: PollSetting = PROMPT) -> float:
    """Return the age, in seconds since acceptance, at which a task is worth its next poll.

    `last_s` is the age at which it was last asked for and still ran; None: never.
    """
    seen_s, earliest_s = (0.0, 0.0) if last_s is None else (last_s, last_s + setting.min_interval_s)
    latest_s = seen_s + setting.max_interval_s
    if model.count == 0 and last_s is not None and setting.first_look_s < math.inf:
        latest_s = min(latest_s, max(earliest_s, _LOOK_AGAIN * last_s))
    elif model.count == model.running == 0:
        latest_s = min(latest_s, setting.first_look_s)
    likely_s = model.age_of_waste(seen_s, setting.waste_s)
    sure_s = model.quantile(ALMOST_SURE, elapsed_s=seen_s)
    return min(max(min(likely_s, sure_s), earliest_s), latest_s)


@dataclass(slots=True)
class _Task:
    task_id: str
    kind: Durations
    setting: PollSetting
    first_setting: PollSetting
    accepted_s: float
    last_s: float | None  # age at the last answered poll
    held_until_s: float = -math.inf  # after a poll without an answer
    plan: int = 0  # number of its entry in the heap; entries of older plans are void
    asked_s: float | None = None  # set while a poll is under way

    @property
    def present_setting(self) -> PollSetting:
        return self.first_setting if self.last_s is None else self.setting


class PollQueue:
    """Hold the running tasks of a kernel and say which to ask for next. Plain state; the caller tells the time.

    `now_s` is a monotonic clock's time in seconds throughout. After `take` gave a task, exactly one of `running`,
    `retry`, `finished` and `discard` must follow for it.
    """

    def __init__(self, pacer: Pacer, *, setting: PollSetting = PROMPT) -> None:
        self.pacer = pacer
        self.setting = setting
        self._tasks: dict[str, _Task] = {}
        self._added = 0
        self._plans = 0
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
        if not math.isfinite(accepted_s):
            raise ValueError(f"accepted_s must be a time in seconds, got {accepted_s}")
        if task_id not in self._tasks:
            setting = cautious(self.setting, kind.model.count)
            phase = (self._added * _PHASE_STEP + _PHASES // 2) % _PHASES
            first = replace(setting, waste_s=setting.waste_s * (0.5 + (phase + 0.5) / _PHASES))
            task = self._tasks[task_id] = _Task(task_id, kind, setting, first, accepted_s, None)
            self._added += 1
            self._plan(task)

    def _plan(self, task: _Task) -> None:
        """Enter the task's next poll, by the model and not before a retry is allowed."""
        age_s = next_poll_s(task.kind.model, task.last_s, task.present_setting)
        self._enter(task, task.accepted_s + age_s)

    def _enter(self, task: _Task, due_s: float) -> None:
        self._due.pop(task.task_id, None)
        self._plans += 1
        task.plan = self._plans
        heapq.heappush(self._heap, (max(due_s, task.held_until_s), task.plan, task.task_id))

    def _gather(self, now_s: float) -> None:
        """Move what has become due from the heap to the due tasks."""
        while self._heap:
            entry = self._heap[0]
            if self._is_valid(entry):
                if entry[0] > now_s:
                    return
                self._due[entry[2]] = None
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
            if task.kind.seen_running():
                self.replan(task.kind)
            else:
                self._plan(task)

    def retry(self, task_id: str, now_s: float, after_s: float) -> None:
        """Note that a poll brought no answer: ask again after `after_s` seconds."""
        task = self._answered(task_id, now_s)
        if task is not None and task.asked_s is not None:
            task.held_until_s = max(task.asked_s + task.setting.min_interval_s, now_s + after_s)
            task.asked_s = None
            self._enter(task, task.held_until_s)

    def discard(self, task_id: str, now_s: float) -> None:
        """Forget a task: failed, cancelled, expired, or another kernel's now."""
        self._answered(task_id, now_s)
        self._tasks.pop(task_id, None)
        self._due.pop(task_id, None)

    def finished(self, task_id: str, now_s: float, duration_s: float | None = None) -> None:
        """Forget a task that succeeded and learn how long it took.

        `duration_s` is the service's own figure; without one it is estimated from the last two polls.
        """
        task = self._tasks.get(task_id)
        self.discard(task_id, now_s)
        if task is None:
            return
        if duration_s is None:
            asked_s = now_s if task.asked_s is None else task.asked_s
            duration_s = task.kind.guess_s(task.last_s or 0.0, asked_s - task.accepted_s)
        if task.kind.add(duration_s):
            self.replan(task.kind)

    def replan(self, kind: Durations) -> None:
        """Fit the model of a kind anew, with the ages of its running tasks, and plan their polls by it."""
        mates = [task for task in self._tasks.values() if task.kind is kind]
        kind.refit(mate.last_s for mate in mates if mate.last_s)
        planned: dict[tuple[float | None, float], float] = {}  # tasks that started together share their plan
        for mate in mates:
            if mate.asked_s is None:
                setting = mate.present_setting
                key = (mate.last_s, setting.waste_s)
                if key not in planned:
                    planned[key] = next_poll_s(kind.model, mate.last_s, setting)
                self._enter(mate, mate.accepted_s + planned[key])
        self._heap = [entry for entry in self._heap if self._is_valid(entry)]
        heapq.heapify(self._heap)

    def _is_valid(self, entry: tuple[float, int, str]) -> bool:
        task = self._tasks.get(entry[2])
        return task is not None and task.plan == entry[1]
