"""Cancelling, honestly: only what was not sent, or still waits at a service that can cancel, is free."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..client import Client
from ..errors import WanError
from ..ledger import JobRow
from ..states import JobState
from .live import LiveJob
from .moves import Moves


async def cancel_all(lives: Sequence[LiveJob], client_for: Callable[[JobRow], Client], moves: Moves) -> str:
    """Ask to cancel each job; return one line a job."""
    return "\n".join([await _cancel(live, client_for, moves) for live in lives])


async def _cancel(live: LiveJob, client_for: Callable[[JobRow], Client], moves: Moves) -> str:
    if live.is_settled:
        return f"job {live.id} is already {live.state}; there is nothing to cancel."
    live.cancel_asked = True
    live.changed()
    match live.state:
        case JobState.INTENT:
            return f"job {live.id} was not sent yet and will not be; nothing is paid."
        case JobState.SENDING:
            return f"job {live.id} is on its way to the service; once it is accepted, cancel it again."
        case JobState.SUCCEEDED:
            return f"job {live.id} is finished and paid for; its pictures are being fetched."
    client = client_for(live.row)
    if not client.can_cancel:
        return f"{client.provider} cannot cancel: the picture of job {live.id} will still be made, billed and fetched."
    try:
        accepted = await client.cancel(live.row.task_id or "")
    except WanError as error:
        return f"job {live.id} could not be cancelled ({error.message}); it goes on and will be fetched."
    if not accepted:
        return f"job {live.id} runs already and cannot be cancelled; it will be made, billed and fetched."
    if live.state in (JobState.ACCEPTED, JobState.RUNNING):
        await moves.to(live, JobState.CANCELLED, detail={"how": "cancelled while pending"})
    return f"job {live.id} was cancelled while it waited; nothing is paid."
