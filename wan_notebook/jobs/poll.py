"""Polling: each running task is asked for when it has probably finished, all within the account's pace.

Durations of tasks spread by factors, so their logarithms are taken as normally distributed. For a hazard ``h`` (the
rate at which a task of some age finishes) polls are spaced ``sqrt(2 * cost / h)`` apart, the optimum of the inspection
problem, where ``cost`` is the delay in seconds that one poll is worth.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..database import JobRow, Price, Status
from ..errors import JobError, WanError
from ..models import RESULT_LIFETIME_S
from ..money import Cost, Source, format_amount
from ..providers import NO_PICTURE, Phase, TaskState
from .retry import Action, decide
from .status import TrackedJob, fewest_pictures

if TYPE_CHECKING:
    from .worker import Worker

SLICE_S = 1.0
"""The longest sleep without a look at the clocks."""

SHORTEST_S = 0.001
LONGEST_S = 24 * 3600.0
"""The service forgets a task after this: a longer duration comes from a broken clock."""

MEMORY = 200
"""Durations that are kept: the service of last month is not the service of today."""

PRIOR_MEDIAN_S = 15.0  # the documented example took 21 s (WAN_API §3); real durations are unknown
PRIOR_SIGMA = 0.6
PRIOR_WEIGHT = 2.0
"""Durations that the prior counts for."""

LATE = 0.995
"""Part of the tasks after which a running one is called late, and no time is promised any more."""


@dataclass(frozen=True, kw_only=True)
class PollSetting:
    """How eagerly to poll.

    ``cost_s`` is the delay that one more poll is worth, ``first_quantile`` the part of the tasks that have finished
    by the first poll; the rest are intervals in seconds. ``first_look_s`` is the latest first poll of a kind of job of
    which nothing is known yet, so that what fails or is instant is seen soon.
    """

    cost_s: float
    first_quantile: float
    min_interval_s: float = 0.25
    max_interval_s: float = 30.0
    first_look_s: float = math.inf


PROMPT = PollSetting(cost_s=0.09, first_quantile=0.08, first_look_s=0.5)
"""About 7 polls for a task of 12 s, seen 0.66 s after it has finished."""

ECONOMICAL = PollSetting(cost_s=0.7, first_quantile=0.2, min_interval_s=1.0, max_interval_s=60.0)
"""About 3 polls for a task of 12 s, seen 1.7 s after it has finished."""


@dataclass(frozen=True)
class DurationLaw:
    """How long tasks of one kind take: the normal distribution of the logarithms of seconds.

    ``count`` durations were learned from. A task is polled by the law as it was when it was taken up: of a batch, the
    short ones finish first, and would teach that all are short.
    """

    logs: NormalDist
    count: int

    @classmethod
    def fit(cls, logs: Collection[float]) -> "DurationLaw":
        """Learn a law; the prior keeps it wide while few durations are known."""
        mean = math.fsum(logs) / len(logs) if logs else math.log(PRIOR_MEDIAN_S)
        squares = PRIOR_WEIGHT * PRIOR_SIGMA**2 + math.fsum((value - mean) ** 2 for value in logs)
        return cls(NormalDist(mean, math.sqrt(squares / (PRIOR_WEIGHT + len(logs)))), len(logs))

    def finished(self, age_s: float) -> float:
        """Return the part of the tasks that have finished by an age."""
        return self.logs.cdf(math.log(age_s)) if age_s > 0 else 0.0

    def quantile_s(self, part: float, *, age_s: float = 0.0) -> float:
        """Return the duration within which this part of the tasks ends that run at an age."""
        reached = self.finished(age_s)
        wanted = min(max(reached + part * (1 - reached), 1e-9), 1 - 1e-9)
        return max(age_s, math.exp(self.logs.inv_cdf(wanted)))

    def hazard_per_s(self, age_s: float) -> float:
        """Return the rate at which tasks of this age finish."""
        z = self.logs.zscore(math.log(age_s))
        # Beyond six sigma the normal tail has no digits left; its hazard tends to z.
        tail = NormalDist().pdf(z) / (1 - NormalDist().cdf(z)) if z < 6 else z
        return tail / (self.logs.stdev * age_s)

    def next_poll_s(self, last_s: float | None, setting: PollSetting) -> float:
        """Return the age at which to poll next; ``last_s`` is the age at the last poll, None before the first."""
        first_s = self.quantile_s(setting.first_quantile)
        if last_s is None:
            return min(first_s, setting.max_interval_s, math.inf if self.count else setting.first_look_s)
        wait_s = math.sqrt(2 * setting.cost_s / max(self.hazard_per_s(max(last_s, SHORTEST_S)), 1e-12))
        wait_s = max(wait_s, first_s - last_s)
        if not self.count and setting.first_look_s < math.inf:
            wait_s = min(wait_s, 2.5 * last_s)  # a service much quicker than the prior is found out by its first tasks
        return last_s + min(max(wait_s, setting.min_interval_s), setting.max_interval_s)

    def remaining_s(self, age_s: float) -> tuple[float, float] | None:
        """Return the interval that holds the remaining seconds of a running task in 8 of 10 cases.

        None if nothing is known of such tasks, or if this one already takes longer than nearly all of them.
        """
        if not self.count or self.finished(age_s) > LATE:
            return None
        return self.quantile_s(0.08, age_s=age_s) - age_s, self.quantile_s(0.92, age_s=age_s) - age_s


class Durations:
    """The durations in seconds of one kind of job (provider, model, mode, size, n), newest last, and their law."""

    def __init__(self, past_s: Iterable[float] = ()) -> None:
        self._logs: deque[float] = deque(maxlen=MEMORY)
        self.add(*past_s)

    def add(self, *durations_s: float) -> None:
        """Learn from finished tasks; what can only come from a broken clock is ignored."""
        self._logs.extend(math.log(max(SHORTEST_S, value)) for value in durations_s if 0 <= value <= LONGEST_S)
        self.law = DurationLaw.fit(self._logs)


class RateLimit:
    """At most ``per_s`` queries in any second (0 = no limit), as the service counts them; times are monotonic seconds.

    A query reaches the service at some moment between being sent and being answered, so it takes up its place from
    the first until one second after the second.
    """

    SHARE_USED = 0.95  # people also query by other means, with the same account
    RECOVERY_S = 60.0

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._answered_s: deque[float] = deque()
        self._under_way = 0
        self._paused_until_s = self._throttled_s = -math.inf

    def take(self, now_s: float) -> float:
        """Count a query and return 0 if it may be sent now, else the seconds after which to ask again."""
        if self._paused_until_s > now_s:
            return self._paused_until_s - now_s
        if self.per_s > 0:
            recovered = min(1.0, 0.5 + 0.5 * (now_s - self._throttled_s) / self.RECOVERY_S)
            usable_per_s = self.per_s * self.SHARE_USED * recovered
            hold_s = 1.01 * max(1.0, 1 / usable_per_s)  # a hundredth more, for clocks that tick unevenly
            while self._answered_s and self._answered_s[0] <= now_s - hold_s:
                self._answered_s.popleft()
            if self._under_way + len(self._answered_s) >= max(1, int(usable_per_s)):
                return max(SHORTEST_S, self._answered_s[0] + hold_s - now_s) if self._answered_s else 0.05
        self._under_way += 1
        return 0.0

    def answered(self, now_s: float) -> None:
        """Note that a query was answered, failed or was given up."""
        self._under_way -= 1
        if self.per_s > 0:
            self._answered_s.append(now_s)

    def pause(self, now_s: float, for_s: float) -> None:
        """Hold back every query; afterwards the rate is half of what it was, and recovers within a minute."""
        self._paused_until_s, self._throttled_s = max(self._paused_until_s, now_s + for_s), now_s

    def resume(self, now_s: float) -> bool:
        """End a pause; say whether there was one."""
        was_paused, self._paused_until_s = self._paused_until_s > now_s, -math.inf
        return was_paused


# The polls of one task -----------------------------------------------------------------------------------------------


class Poll:
    """The polls of one task. Its age counts by the wall clock: monotonic time stops while a laptop is asleep."""

    def __init__(self, worker: "Worker", job: TrackedJob) -> None:
        self.worker, self.job, self.config = worker, job, worker.config
        self.expected = fewest_pictures(job.row)
        self.last_s: float | None = None
        self.failures = self.unknowns = self.incompletes = 0

    def age_s(self) -> float:
        return max(0.0, self.config.wall_clock() - (self.job.row.accepted_at or self.job.row.created_at))

    async def run(self) -> None:
        """Poll until the task ends, and record the end; cancelling this stops the polls, never the task."""
        law = (await self.worker.durations_of(self.job.row)).law
        wait_s: float | None = None
        while self.job.status in (Status.ACCEPTED, Status.RUNNING):
            if wait_s is None:
                settings = self.worker.settings(self.job.row.provider)
                setting = ECONOMICAL if settings.polling == "economical" else PROMPT
                wait_s = law.next_poll_s(self.last_s, setting) - self.age_s()
            await self._sleep(wait_s)
            wait_s = await self._ask()

    async def _sleep(self, for_s: float) -> None:
        """Sleep until it is due by either clock: after a laptop's sleep or a jump of the clock, all is due at once."""
        account, clock, wall_clock = self.worker.account(self.job.row), self.config.clock, self.config.wall_clock
        due_s, due_at, wake_ups = clock() + for_s, wall_clock() + for_s, account.wake_ups
        while wake_ups == account.wake_ups and (left_s := min(due_s - clock(), due_at - wall_clock())) > 0:
            await self.config.sleep(min(left_s, SLICE_S))

    async def _ask(self) -> float | None:
        """Ask once; return the seconds to the next poll, None for what past durations suggest."""
        job, account, clock = self.job, self.worker.account(self.job.row), self.config.clock
        async with account.querying:
            while (wait_s := account.limit.take(clock())) > 0:
                await self.config.sleep(min(wait_s, SLICE_S))
        asked_age_s = self.age_s()  # a laptop may sleep before the answer is read
        try:
            state = await self.worker.client(job.row).status(job.row.task_id)
        except WanError as error:
            self.failures += 1
            return await self._after(error, self.failures, f": {error.message}")
        finally:
            account.limit.answered(clock())
        self.failures = 0
        if state.phase is Phase.UNKNOWN:
            self.unknowns += 1
            return await self._after("not found", self.unknowns)
        if state.phase in (Phase.PENDING, Phase.RUNNING):
            self.unknowns, self.last_s = 0, asked_age_s
            if state.phase is Phase.RUNNING and job.status is Status.ACCEPTED:
                await self.worker.move(job, Status.RUNNING)
            job.progress, job.note = state.progress, ""
            job.changed()
            if asked_age_s >= RESULT_LIFETIME_S:  # not expired: the service still has it, the local clock may be wrong
                message = "Its 24 hours are over, but the service says that it still runs. `%wan resume` asks again."
                raise JobError(message, job_id=job.id)
            return None
        if self._is_incomplete(state):
            self.incompletes += 1
            if decide("poll", "incomplete", self.incompletes, self.config.rng).action is Action.RETRY:
                return await self._after("incomplete", self.incompletes)
        await self._end(state, asked_age_s)
        return None

    def _is_incomplete(self, state: TaskState) -> bool:
        """Say whether pictures are missing that the service gives no reason for: they may still come."""
        has_only_text = bool(state.outputs) and not state.files
        is_explained = len(state.files) + len(state.missing_reasons) >= self.expected
        is_finished = state.phase is Phase.SUCCEEDED and not has_only_text and not is_explained
        return is_finished or state.error_code == NO_PICTURE

    async def _after(self, fault: WanError | str, attempt: int, told: str = "") -> float:
        account, row, now_s = self.worker.account(self.job.row), self.job.row, self.config.clock()
        same_key = row.key_fingerprint in ("", self.worker.settings(row.provider).key_fingerprint)
        decision = decide("poll", fault, attempt, self.config.rng, age_s=self.age_s(), same_key=same_key)
        if decision.action is Action.EXPIRE:
            await self.worker.expire(self.job, decision.reason)
            return 0.0
        self.job.noted(f"{decision.reason}{told}")
        if decision.action is Action.PAUSE:
            account.limit.pause(now_s, decision.delay_s)
        return decision.delay_s

    async def _end(self, state: TaskState, asked_age_s: float) -> None:
        worker, row = self.worker, self.job.row
        if state.phase is Phase.SUCCEEDED:
            if state.duration_s is None:  # the gateway tells no times: the middle between the last two answers
                state = replace(state, duration_s=((self.last_s or 0.0) + asked_age_s) / 2)
            (await worker.durations_of(row)).add(state.duration_s or 0.0)
        needs_price = not row.is_simulated and state.cost_usd is None
        price = await worker.in_thread(self.config.price_for, row) if needs_price else None
        to, change = read_end(state, row, price)
        self.job.progress = None
        await worker.move(self.job, to, detail={"status": state.raw_status}, **change)


def read_end(state: TaskState, row: JobRow, price: Price | None) -> tuple[Status, Mapping[str, Any]]:
    """Return the status to which a finished task moves its job, with pictures and columns to record."""
    change: dict[str, Any] = {
        "request_id": state.request_id or row.request_id,
        "service_submit_text": state.submitted_at_text,
        "service_end_text": state.ended_at_text,
        "duration_s": state.duration_s,
    }
    if state.phase is Phase.SUCCEEDED and not state.outputs:
        said = "; ".join(state.missing_reasons) or "The service calls the task finished, but no picture came"
        state = replace(state, phase=Phase.FAILED, error_code=state.error_code or NO_PICTURE, error_message=said)
    if state.phase is not Phase.SUCCEEDED:
        words = {"error_code": state.error_code, "error_message": state.error_message, "error_hint": state.error_hint}
        return (Status.CANCELLED if state.phase is Phase.CANCELLED else Status.FAILED), change | words
    items: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for output in state.outputs:
        items.append({"text": output.text} if output.kind == "text" else {"picture": len(pictures)})
        if output.kind != "text":
            where = {"url": output.url, "remote_id": output.remote_id}
            pictures.append({"index": len(pictures), "kind": output.kind, **where})
    if state.missing_reasons:
        expected = max(fewest_pictures(row), len(pictures) + 1)
        reasons = "; ".join(dict.fromkeys(state.missing_reasons))
        change["notes"] = [*row.notes, f"{expected - len(pictures)} of {expected} did not come: {reasons}"]
    cost = _cost_of_task(state, row, price, len(pictures))
    return Status.SUCCEEDED, {
        **change,
        "pictures": pictures,
        "items": items,
        "usage": dict(state.usage),
        "service_metadata": dict(state.metadata),
        "cost_amount": cost.amount,
        "cost_currency": cost.currency,
        "cost_source": cost.source.value,
        "cost_note": cost.note,
    }


def _cost_of_task(state: TaskState, row: JobRow, price: Price | None, pictures: int) -> Cost:
    """Return what a task cost: as reported, else the unit price × pictures made, else unknown (WAN_API §4)."""
    if row.is_simulated:
        return Cost.zero(Source.SIMULATED, f"would cost {format_amount(state.cost_usd)}" if state.cost_usd else "")
    if state.cost_usd is not None:
        return Cost(state.cost_usd, "USD", Source.REPORTED)
    if not pictures:
        return Cost.zero(Source.ESTIMATED, "no picture was made")
    if price is None:
        return Cost()
    return Cost(price.amount * pictures, price.currency, Source.ESTIMATED, price.note)
