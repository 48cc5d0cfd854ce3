"""Polling: each running task is asked for when it has probably finished, all within the account's pace.

Durations of tasks spread by factors, so their logarithms are taken as normally distributed. For a hazard ``h`` (the
rate at which a task of some age finishes) polls are spaced ``sqrt(2 * cost / h)`` apart, the optimum of the inspection
problem, where ``cost`` is the delay in seconds that one poll is worth.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from ..database import JobRow, Price, Status
from ..errors import JobError, WanError
from ..models import RESULT_LIFETIME_S
from ..money import Cost, Source, format_amount
from ..providers import NO_PICTURE, Phase, TaskState
from .retry import DENIED_S, Action, decide, kind_of
from .status import TrackedJob, fewest_pictures

if TYPE_CHECKING:
    from .worker import Worker

SLICE_S = 1.0
"""The longest sleep without a look at the clocks."""

SHORTEST_S = 0.001
PRIOR_WEIGHT = 2.0
"""Durations that the prior counts for: while nothing is known, a median of 15 s (the documented example took 21 s)."""


class PollSetting(NamedTuple):
    """How eagerly to poll.

    ``cost_s`` is the delay that one more poll is worth, ``first_quantile`` the part of the tasks that have finished
    by the first poll; the rest are intervals in seconds.
    """

    cost_s: float
    first_quantile: float
    min_interval_s: float
    max_interval_s: float


PROMPT = PollSetting(0.09, 0.08, 0.25, 30.0)
"""About 7 polls for a task of 12 s, seen 0.66 s after it has finished."""

ECONOMICAL = PollSetting(0.7, 0.2, 1.0, 60.0)
"""About 3 polls for a task of 12 s, seen 1.7 s after it has finished."""


IN_BATCH = PollSetting(0.03, 0.08, 0.15, 30.0)
"""A task of a batch holds a place that the next one waits for; at five at once the queries stay below 20 a second."""


class DurationLaw:
    """How long tasks of one kind take: the normal distribution of the logarithms of seconds.

    A task is polled by the law as it was when it was taken up: of a batch, the short ones finish first, and would
    teach that all are short. ``count`` durations were learned from.
    """

    def __init__(self, past_s: Iterable[float] = ()) -> None:
        # What can only come from a broken clock teaches nothing; the prior keeps the law wide while little is known.
        logs = [math.log(max(SHORTEST_S, past)) for past in past_s if 0 <= past <= RESULT_LIFETIME_S]
        mean = math.fsum(logs) / len(logs) if logs else math.log(15.0)
        squares = PRIOR_WEIGHT * 0.6**2 + math.fsum((value - mean) ** 2 for value in logs)
        self.count, self.logs = len(logs), NormalDist(mean, math.sqrt(squares / (PRIOR_WEIGHT + len(logs))))

    def finished(self, age_s: float) -> float:
        """Return the part of the tasks that have finished by an age."""
        return self.logs.cdf(math.log(age_s)) if age_s > 0 else 0.0

    def quantile_s(self, part: float, *, age_s: float = 0.0) -> float:
        """Return the duration within which this part of the tasks ends that run at an age."""
        reached = self.finished(age_s)
        wanted = min(max(reached + part * (1 - reached), 1e-9), 1 - 1e-9)
        return max(age_s, math.exp(self.logs.inv_cdf(wanted)))

    def next_poll_s(self, last_s: float | None, setting: PollSetting) -> float:
        """Return the age at which to poll next; ``last_s`` is the age at the last poll, None before the first."""
        first_s = self.quantile_s(setting.first_quantile)
        if last_s is None:  # of a kind of which nothing is known yet, what fails or is instant is seen soon
            return min(first_s, setting.max_interval_s if self.count else 0.5)
        age_s = max(last_s, SHORTEST_S)
        z = self.logs.zscore(math.log(age_s))
        # Beyond six sigma the normal tail has no digits left; its hazard tends to z.
        tail = NormalDist().pdf(z) / (1 - NormalDist().cdf(z)) if z < 6 else z
        hazard_per_s = max(tail / (self.logs.stdev * age_s), 1e-12)
        wait_s = max(math.sqrt(2 * setting.cost_s / hazard_per_s), first_s - last_s)
        if not self.count:
            wait_s = min(wait_s, 2.5 * last_s)  # a service much quicker than the prior is found out by its first tasks
        return last_s + min(max(wait_s, setting.min_interval_s), setting.max_interval_s)

    def remaining_s(self, age_s: float) -> tuple[float, float] | None:
        """Return the interval that holds the remaining seconds of a running task in 8 of 10 cases.

        None if nothing is known of such tasks, or if this one already takes longer than nearly all of them.
        """
        if not self.count or self.finished(age_s) > 0.995:
            return None
        return self.quantile_s(0.08, age_s=age_s) - age_s, self.quantile_s(0.92, age_s=age_s) - age_s


class RateLimit:
    """At most ``per_s`` queries in any second (0 = no limit); times are monotonic seconds."""

    def __init__(self, per_s: float = 0.0) -> None:
        self.per_s, self.paused_until_s, self._free_at_s = per_s, 0.0, 0.0

    def take(self, now_s: float) -> float:
        """Return 0 if a query may be sent now, else the seconds after which to ask again."""
        if (wait_s := max(self.paused_until_s, self._free_at_s) - now_s) > 0:
            return max(SHORTEST_S, wait_s)
        # Evenly spread, at 95 %: people also query by other means, with the same account.
        self._free_at_s = now_s + 1 / (0.95 * self.per_s) if self.per_s > 0 else 0.0
        return 0.0


# The polls of one task -----------------------------------------------------------------------------------------------


class Poll:
    """The polls of one task. Its age counts by the wall clock: monotonic time stops while a laptop is asleep."""

    def __init__(self, worker: "Worker", job: TrackedJob) -> None:
        self.worker, self.job, self.account = worker, job, worker.account(job.row)
        self.last_s: float | None = None
        self.failures, self._failing_at = Counter[str](), 0.0

    def age_s(self) -> float:
        return max(0.0, self.worker.wall_clock() - (self.job.row.accepted_at or self.job.row.created_at))

    async def run(self) -> None:
        """Poll until the task ends, and record the end; cancelling this stops the polls, never the task."""
        worker, job, row = self.worker, self.job, self.job.row
        job.law = DurationLaw(await worker.in_thread(worker.database.durations, row))
        wait_s: float | None = None
        while job.status in (Status.ACCEPTED, Status.RUNNING):
            if wait_s is None:
                is_economical = worker.settings(row.provider).polling == "economical"
                setting = ECONOMICAL if is_economical else IN_BATCH if job.in_batch else PROMPT
                wait_s = job.law.next_poll_s(self.last_s, setting) - self.age_s()
            # Due by either clock: after a laptop's sleep or a jump of the clock, all is due at once.
            due_s, due_at, wake_ups = worker.clock() + wait_s, worker.wall_clock() + wait_s, self.account.wake_ups
            while wake_ups == self.account.wake_ups and worker.clock() < due_s and worker.wall_clock() < due_at:
                await worker.sleep(min(due_s - worker.clock(), due_at - worker.wall_clock(), SLICE_S))
            while (wait_s := self.account.limit.take(worker.clock())) > 0:
                await worker.sleep(min(wait_s, SLICE_S))
            wait_s = await self._ask(self.age_s())

    async def _ask(self, age_s: float) -> float | None:
        """Ask once; return the seconds to the next poll, None for what past durations suggest."""
        worker, job = self.worker, self.job
        try:
            state = await worker.client(job.row).status(job.row.task_id)
        except WanError as error:
            return await self._after(error, kind_of(error), error.message)
        if state.phase is Phase.UNKNOWN:
            return await self._after("not found", "not found", "the service does not know the task")
        if state.phase in (Phase.PENDING, Phase.RUNNING):
            self.failures.clear()
            self.last_s = age_s
            if state.phase is Phase.RUNNING and job.status is Status.ACCEPTED:
                await worker.move(job, Status.RUNNING)
            job.progress, job.note = state.progress, ""
            job.changed()
            if age_s >= RESULT_LIFETIME_S:  # not expired: the service still has it, the local clock may be wrong
                message = "Its 24 hours are over, but the service says that it still runs. `%wan resume` asks again."
                raise JobError(message, job_id=job.id)
            return None
        # Pictures that are missing without a reason may still come.
        accounted = len(state.files) + len(state.missing_reasons) if state.phase is Phase.SUCCEEDED else math.inf
        is_incomplete = accounted < fewest_pictures(job.row) or state.error_code == NO_PICTURE
        # Without any picture and without a reason it would count as failed, and be bought again.
        is_early = not state.files and worker.clock() - self._failing_at < DENIED_S
        if is_incomplete and (self.failures["incomplete"] < 3 or is_early):
            return await self._after("incomplete", "incomplete", "fewer pictures came than were asked for")
        is_doubtful = state.phase is Phase.FAILED and not (state.is_named or is_incomplete)
        if is_doubtful and self.failures["unnamed"] < 3:
            return await self._after("unnamed", "unnamed", state.error_message or "an error that names no task")
        job.progress = None
        await self._end(state, age_s)
        return None

    async def _after(self, fault: WanError | str, kind: str, told: str) -> float:
        """Do what the table says after the n-th fault in a row of a kind; return the seconds to the next poll."""
        worker, row = self.worker, self.job.row
        if not self.failures[kind]:  # another kind in between begins anew
            self.failures.clear()
            self._failing_at = worker.clock()
        self.failures[kind] += 1
        times = {"age_s": self.age_s(), "denied_s": worker.clock() - self._failing_at}
        same_key = row.key_fingerprint in ("", worker.settings(row.provider).key_fingerprint)
        rule = decide("poll", fault, self.failures[kind], worker.rng, same_key=same_key, **times)
        if rule.action is Action.EXPIRE:
            await worker.move(self.job, Status.EXPIRED, error_message=told)
        else:
            self.job.noted(told)
        if rule.action is Action.PAUSE:
            limit = self.account.limit
            limit.paused_until_s = max(limit.paused_until_s, worker.clock() + rule.delay_s)
        return rule.delay_s

    async def _end(self, state: TaskState, asked_age_s: float) -> None:
        """Record how a finished task ended, with its pictures and its cost."""
        worker, row = self.worker, self.job.row
        change: dict[str, Any] = {
            "request_id": state.request_id or row.request_id,
            "service_submit_text": state.submitted_at_text,
            "service_end_text": state.ended_at_text,
            "duration_s": state.duration_s,
            "detail": {"status": state.raw_status},
        }
        if state.phase is Phase.SUCCEEDED:
            if state.duration_s is None:  # the gateway tells no times: the middle between the last two answers
                change["duration_s"] = ((self.last_s or 0.0) + asked_age_s) / 2
            is_priced = row.is_simulated or state.cost_usd is not None
            price = None if is_priced else await worker.in_thread(worker.price_for, row)
            await worker.move(self.job, Status.SUCCEEDED, **change, **_made(state, row, price))
        else:
            to = Status.CANCELLED if state.phase is Phase.CANCELLED else Status.FAILED
            said = {name: getattr(state, name) for name in ("error_code", "error_message", "error_hint")}
            await worker.move(self.job, to, **change, **said)


def _made(state: TaskState, row: JobRow, price: Price | None) -> dict[str, Any]:
    """Return the columns that say what a task has made and what it cost."""
    numbers, notes = itertools.count(), row.notes
    made = [output for output in state.outputs if output.kind != "text"]
    cost = _cost_of_task(state, row, price, len(made))
    if state.missing_reasons:
        expected = max(fewest_pictures(row), len(made) + 1)
        reasons = "; ".join(dict.fromkeys(state.missing_reasons))
        notes = (*notes, f"{expected - len(made)} of {expected} did not come: {reasons}")
    return {
        "notes": notes,
        "items": [{"text": o.text} if o.kind == "text" else {"picture": next(numbers)} for o in state.outputs],
        "pictures": [
            {"index": index, "kind": output.kind, "url": output.url, "remote_id": output.remote_id}
            for index, output in enumerate(made)
        ],
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
    return Cost(price.amount * pictures, price.currency, Source.ESTIMATED, price.note) if price else Cost()
