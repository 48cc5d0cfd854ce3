"""Polling: each running task is asked for when it has probably finished, all within the account's pace."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..database import JobRow, Status
from ..errors import JobError, WanError
from ..models import RESULT_LIFETIME_S
from ..money import Cost, Source, format_amount
from ..providers import NO_PICTURE, Phase, TaskState
from .polling import ECONOMICAL, PROMPT
from .retry import Action, decide
from .status import TrackedJob, fewest_pictures

if TYPE_CHECKING:
    from .worker import Price, Worker

SLICE_S = 1.0
"""The longest sleep without a look at the clocks."""


async def poll(worker: "Worker", job: TrackedJob) -> None:
    """Poll a job's task until it ends, and record the end; cancelling this stops the polls, never the task."""
    await _Poll(worker, job).run()


class _Poll:
    """The polls of one task. Its age counts by the wall clock: monotonic time stops while a laptop is asleep."""

    def __init__(self, worker: "Worker", job: TrackedJob) -> None:
        self.worker, self.job, self.config = worker, job, worker.config
        self.expected = fewest_pictures(job.row)
        self.last_s: float | None = None
        self.failures = self.unknowns = self.incompletes = 0

    def age_s(self) -> float:
        return max(0.0, self.config.wall_clock() - (self.job.row.accepted_at or self.job.row.created_at))

    async def run(self) -> None:
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


def read_end(state: TaskState, row: JobRow, price: "Price | None") -> tuple[Status, Mapping[str, Any]]:
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


def _cost_of_task(state: TaskState, row: JobRow, price: "Price | None", pictures: int) -> Cost:
    """Return what a task cost: as reported, else the unit price × pictures made, else unknown (WAN_API §4)."""
    if row.is_simulated:
        return Cost.zero(Source.SIMULATED, f"would cost {format_amount(state.cost_usd)}" if state.cost_usd else "")
    if state.cost_usd is not None:
        return Cost(state.cost_usd, "USD", Source.REPORTED)
    if not pictures:
        return Cost.zero(Source.ESTIMATED, "no picture was made")
    if price is None:
        return Cost()
    amount, currency, source = price
    return Cost(amount * pictures, currency, Source.ESTIMATED, source)
