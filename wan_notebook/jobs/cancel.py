"""Cancelling, honestly: only what was not sent, or still waits at a service that can cancel, is free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ..client import Client
from ..errors import ConnectionLostError, WanError
from ..ledger import JobRow, LedgerConflict
from ..states import JobState
from .live import LiveJob
from .moves import Moves

SENDING_S: Final = 10.0


async def cancel_all(
    lives: Sequence[LiveJob],
    client_for: Callable[[JobRow], Client],
    moves: Moves,
    is_ours: Callable[[LiveJob], bool],
) -> str:
    """Ask to cancel each job; return one line a job. ``is_ours``: whether this kernel works on it."""
    return "\n".join(await asyncio.gather(*(_cancel(live, client_for, moves, is_ours=is_ours(live)) for live in lives)))


async def _cancel(live: LiveJob, client_for: Callable[[JobRow], Client], moves: Moves, *, is_ours: bool) -> str:
    if live.state is JobState.IN_DOUBT:
        return f"job {live.id} is in doubt: it may have arrived. Decide with `%wan resolve {live.id}`."
    if live.is_settled:
        return f"job {live.id} is already {live.state}; there is nothing to cancel."
    live.cancel_asked = True
    live.changed()
    if live.state is JobState.SUCCEEDED:
        return f"job {live.id} is finished and paid for; its pictures are being fetched."
    if live.state is JobState.INTENT or (live.state is JobState.SENDING and is_ours and not live.is_sending):
        return await _withhold(live, moves, is_ours=is_ours)
    if live.state is JobState.SENDING:
        if await _is_answered(live):
            return await _cancel(live, client_for, moves, is_ours=is_ours)
        live.cancel_asked = False  # nothing came of it: it can be asked again
        live.changed()
        return f"job {live.id} is on its way to the service; once it is accepted, cancel it again."
    return await _ask(live, client_for(live.row), moves)


async def _is_answered(live: LiveJob) -> bool:
    """Wait, not for long, for the answer to a submit under way: who cancels right after a click comes in between."""
    changed = asyncio.Event()
    stop = live.listen(lambda _live: changed.set())
    try:
        async with asyncio.timeout(SENDING_S):
            while live.state is JobState.SENDING:
                await changed.wait()
                changed.clear()
    except TimeoutError:
        return False
    finally:
        stop()
    return True


async def _withhold(live: LiveJob, moves: Moves, *, is_ours: bool) -> str:
    """Cancel what the service certainly has nothing of; if it is another kernel's, the ledger says who was first."""
    try:
        await moves.to(live, JobState.CANCELLED, expect=live.state, detail={"how": "cancelled before it was sent"})
    except LedgerConflict as conflict:
        # Ours, about to be sent: that looks whether it was cancelled just before it goes.
        if not is_ours and conflict.current is not JobState.CANCELLED:
            return f"job {live.id} is on its way to the service; once it is accepted, cancel it again."
    return f"job {live.id} was not sent and will not be; nothing is paid."


async def _ask(live: LiveJob, client: Client, moves: Moves) -> str:
    if not client.can_cancel:
        return f"{client.provider} cannot cancel: the picture of job {live.id} will still be made, billed and fetched."
    try:
        accepted = await client.cancel(live.row.task_id or "")
    except ConnectionLostError as error:  # it may have arrived
        return f"job {live.id} may be cancelled or go on: no answer came ({error.message}); its card will tell."
    except WanError as error:
        return f"job {live.id} could not be cancelled ({error.message}); it goes on and will be fetched."
    if not accepted:
        return f"job {live.id} runs already and cannot be cancelled; it will be made, billed and fetched."
    if live.state in (JobState.ACCEPTED, JobState.RUNNING):
        await moves.to(live, JobState.CANCELLED, detail={"how": "cancelled while pending"})
    return f"job {live.id} was cancelled while it waited; nothing is paid."
