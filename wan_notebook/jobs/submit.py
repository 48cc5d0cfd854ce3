"""Sending a job: at most one task is ever made for it, whatever happens on the way.

The row is committed before the POST. What follows a fault is ``schedule.decide_submit``'s word.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..client import Client
from ..errors import UnexpectedReplyError, WanError
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


@dataclass(eq=False)
class SubmitGate:
    """What all submits to one service share: a pause, and a stop until a person acts."""

    client: Client
    paused_until_s: float = 0.0
    stopped_by: WanError | None = None
    clock: Callable[[], float] = time.monotonic
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    def pause(self, for_s: float) -> None:
        """Hold back every submit."""
        self.paused_until_s = max(self.paused_until_s, self.clock() + for_s)

    async def open(self) -> None:
        """Wait until submits may go on."""
        while (left_s := self.paused_until_s - self.clock()) > 0:  # noqa: ASYNC110 - a pause may grow meanwhile
            await asyncio.sleep(left_s)


async def submit_job(live: LiveJob, request: ImageRequest, gate: SubmitGate, moves: Moves, rng: random.Random) -> None:
    """Bring a job from ``intent`` to ``accepted``, ``refused`` or ``in_doubt``. Raises only if the ledger fails."""
    attempt = 0
    while True:
        async with gate.slots:
            await gate.open()
            if live.cancel_asked:
                await moves.to(live, JobState.CANCELLED, detail={"reason": "cancelled before it was sent"})
                return
            if gate.stopped_by is not None:
                await moves.fail(live, JobState.REFUSED, gate.stopped_by, "not sent, since the one before was refused")
                return
            attempt += 1
            await moves.to(live, JobState.SENDING, expect=live.state, detail={"attempt": attempt})
            try:
                reply = await _post(gate.client, request)
            except WanError as error:
                wait_s = await _after_fault(live, error, attempt, gate, moves, rng)
                if wait_s is None:
                    return
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever broke, the request may have arrived
                log.exception("a submit failed in an unknown way")
                await moves.fail(live, JobState.IN_DOUBT, error, "the submit broke in an unknown way")
                return
            else:
                await accept(live, reply, moves)
                return
        await asyncio.sleep(wait_s)


async def accept(live: LiveJob, reply: Submitted, moves: Moves, *, how: str = "submitted") -> None:
    """Commit the task's id before anything else happens."""
    await moves.to(
        live,
        JobState.ACCEPTED,
        detail={"how": how, "task_id": reply.task_id, "request_id": reply.request_id},
        task_id=reply.task_id,
        request_id=reply.request_id,
        accepted_at=moves.wall_clock(),
        expires_at=moves.expires_at(live),
        error_code="",
        error_message="",
    )


async def _post(client: Client, request: ImageRequest) -> Submitted:
    # Shielded: cancelling the waiting must not cut a POST in two.
    return await asyncio.shield(client.submit(request))


async def _after_fault(
    live: LiveJob, error: WanError, attempt: int, gate: SubmitGate, moves: Moves, rng: random.Random
) -> float | None:
    """Follow the policy; return the seconds after which the submit may be sent again, or None if it is settled."""
    decision = decide_submit(fault_of(error, attempt), rng)
    log.debug("submit of %s: %s", live.id, decision.reason)
    match decision:
        case Resend(after_s=after_s, pause_submits=pause_submits):
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
            if not await _confirmed(live, error, gate.client, moves):
                await moves.fail(live, JobState.IN_DOUBT, error, decision.reason)
        case _:
            await moves.fail(live, JobState.IN_DOUBT, error, decision.reason)
    return None


async def _confirmed(live: LiveJob, error: WanError, client: Client, moves: Moves) -> bool:
    """Believe a task id from a cut reply only once the service knows it."""
    task_id = error.salvaged_task_id if isinstance(error, UnexpectedReplyError) else ""
    for attempt in range(CONFIRM_ATTEMPTS if task_id else 0):
        await asyncio.sleep(CONFIRM_WAIT_S if attempt else 0)
        try:
            state = await client.status(task_id)
        except WanError:
            continue
        if state.phase is not Phase.UNKNOWN:
            await accept(live, Submitted(task_id, state.request_id, state.raw_status), moves, how="salvaged, confirmed")
            return True
    return False
