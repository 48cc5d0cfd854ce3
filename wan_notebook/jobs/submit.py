"""Sending a job: at most one task is ever made for it, whatever happens on the way.

The row is committed before the POST. What follows a fault is ``schedule.decide_submit``'s word.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ..client import Client
from ..errors import ConnectionLostError, UnexpectedReplyError, WanError
from ..ledger import Event
from ..request import ImageRequest
from ..schedule import Refused, Resend, SalvageThenConfirm, decide_submit
from ..states import JobState
from ..wire import Phase, Submitted
from .live import LiveJob
from .moves import Moves
from .trouble import fault_of

log = logging.getLogger(__name__)
CONFIRM_ATTEMPTS = 5
CONFIRM_WAIT_S = 2.0
NOT_SENT = "not_sent"
"""Kind of the event that says: the service certainly has nothing of the last attempt."""

SALVAGED = "salvaged"
"""Kind of the event that keeps a task's id from a cut reply, until the service has confirmed it."""

AT_ONCE = 5  # of the client's six connections; the other one is for polls and pictures


@dataclass(eq=False)
class SubmitGate:
    """What all submits to one service share: a pause, and a stop until a person acts."""

    client: Client
    rng: random.Random
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    paused_until_s: float = 0.0
    stopped_by: WanError | None = None
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def pause(self, for_s: float) -> None:
        """Hold back every submit."""
        self.paused_until_s = max(self.paused_until_s, self.clock() + for_s)

    async def open(self) -> None:
        """Wait until submits may go on."""
        while (left_s := self.paused_until_s - self.clock()) > 0:
            await self.sleep(left_s)


async def submit_job(live: LiveJob, request: ImageRequest, gate: SubmitGate, moves: Moves) -> None:
    """Bring a job from ``intent`` to ``accepted``, ``refused`` or ``in_doubt``; a cancelled one is not sent.

    Raises ``StoreError`` if it could not be written to disk; then it was not sent.
    """
    attempt = 0
    while True:
        async with gate.slots:
            await gate.open()
            attempt += 1
            if not await _may_send(live, attempt, gate, moves):
                return
            try:
                wait_s = await _send(live, request, attempt, gate, moves)
            finally:
                live.is_sending = False
        if wait_s is None:
            return
        await gate.sleep(wait_s)


async def _may_send(live: LiveJob, attempt: int, gate: SubmitGate, moves: Moves) -> bool:
    """Commit that it is sent now, unless it was cancelled or the queue is stopped."""
    if live.is_settled:
        return False
    if gate.stopped_by is not None:
        await moves.fail(live, JobState.REFUSED, gate.stopped_by, "not sent, since the one before was refused")
        return False
    await moves.to(live, JobState.SENDING, expect=live.state, detail={"attempt": attempt})
    if live.cancel_asked:  # while that was being written: whoever asked was told that it will not be sent
        await moves.to(live, JobState.CANCELLED, detail={"how": "cancelled before it was sent"})
        return False
    live.is_sending = True
    return True


async def _send(live: LiveJob, request: ImageRequest, attempt: int, gate: SubmitGate, moves: Moves) -> float | None:
    """Send once; return the seconds after which it may be sent again, or None if it is settled."""
    try:
        # Shielded: cancelling the waiting must not cut a POST in two.
        reply = await asyncio.shield(gate.client.submit(request))
    except WanError as error:
        return await _after_fault(live, error, attempt, gate, moves)
    except Exception as error:  # whatever broke, the request may have arrived
        log.exception("a submit failed in an unknown way")
        unknown = ConnectionLostError("Sending it broke in an unknown way; the log has the details.", kind="unknown")
        await moves.fail(
            live, JobState.IN_DOUBT, unknown, "the submit broke in an unknown way", cause=type(error).__name__
        )
        return None
    await accept(live, reply, moves)
    return None


async def accept(
    live: LiveJob, reply: Submitted, moves: Moves, *, how: str = "submitted", expect: JobState | None = None
) -> None:
    """Commit the task's id before anything else happens."""
    live.unwritten_task = reply.task_id
    await moves.to(
        live,
        JobState.ACCEPTED,
        expect=expect,
        detail={"how": how, "task_id": reply.task_id, "request_id": reply.request_id},
        task_id=reply.task_id,
        request_id=reply.request_id,
        accepted_at=moves.wall_clock(),
        expires_at=moves.expires_at(live),
        error_code="",
        error_message="",
    )
    live.unwritten_task = ""


def was_not_sent(events: Sequence[Event]) -> bool:
    """Whether the last attempt of a job in ``sending`` certainly did not arrive."""
    told = [event for event in events if event.state == JobState.SENDING or event.kind == NOT_SENT]
    return bool(told) and told[-1].kind == NOT_SENT


async def _after_fault(live: LiveJob, error: WanError, attempt: int, gate: SubmitGate, moves: Moves) -> float | None:
    """Follow the policy; return the seconds after which the submit may be sent again, or None if it is settled."""
    decision = decide_submit(fault_of(error, attempt), gate.rng)
    log.debug("submit of %s: %s", live.id, decision.reason)
    match decision:
        case Resend(after_s=after_s, pause_submits=pause_submits):
            await moves.remember(live, NOT_SENT, {"attempt": attempt, "reason": decision.reason})
            live.note = f"{decision.reason}; trying again in {after_s:.0f} s"
            live.changed()
            if pause_submits:
                gate.pause(after_s)
            return after_s
        case Refused(stop_queue=stop_queue):
            if stop_queue:
                gate.stopped_by = error
            await moves.fail(live, JobState.REFUSED, error, decision.reason)
        case SalvageThenConfirm():
            await _salvage(live, error, gate, moves, decision.reason)
        case _:
            await moves.fail(live, JobState.IN_DOUBT, error, decision.reason)
    return None


async def _salvage(live: LiveJob, error: WanError, gate: SubmitGate, moves: Moves, reason: str) -> None:
    """Believe a task id from a cut reply only once the service knows it; else keep it for the person who decides."""
    task_id = error.salvaged_task_id if isinstance(error, UnexpectedReplyError) else ""
    if task_id:  # first: a kernel that is killed while it confirms must not take the id with it
        await moves.remember(live, SALVAGED, {"salvaged": task_id})
    for attempt in range(CONFIRM_ATTEMPTS if task_id else 0):
        await gate.sleep(CONFIRM_WAIT_S if attempt else 0)
        try:
            state = await gate.client.status(task_id)
        except WanError:
            continue
        if state.phase is not Phase.UNKNOWN:
            await accept(live, Submitted(task_id, state.request_id, state.raw_status), moves, how="salvaged, confirmed")
            return
    await moves.fail(live, JobState.IN_DOUBT, error, reason)
