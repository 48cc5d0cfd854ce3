"""Cancelling, honestly: only what was not sent, or still waits at a service that can cancel, is free."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..database import Conflict, Status
from ..errors import ConnectionLostError, WanError
from .status import TrackedJob, status_words

if TYPE_CHECKING:
    from .worker import Worker

ANSWER_S = 10.0
"""How long a cancel waits for the answer to a submit that is under way: people cancel right after a click."""

LOOK_S = 0.1


async def cancel(worker: "Worker", jobs: Sequence[TrackedJob]) -> str:
    """Cancel jobs as far as that is possible; return one line a job."""
    return "\n".join(await asyncio.gather(*(_cancel(worker, job) for job in jobs)))


async def _cancel(worker: "Worker", job: TrackedJob) -> str:
    """Cancel a job if that is possible; return one line that says what happened and what is paid."""
    until_s = worker.config.clock() + ANSWER_S
    while job.status in (Status.INTENT, Status.SENDING) and worker.config.clock() < until_s:
        if job.status is Status.SENDING:  # it may come back to `intent`, after a 429
            await worker.config.sleep(LOOK_S)
            continue
        try:
            await worker.move(job, Status.CANCELLED, expect=Status.INTENT, detail={"how": "before it was sent"})
            return f"Job {job.id} was not sent and will not be; nothing is paid."
        except Conflict:  # it is being sent at this moment
            job.changed(await worker.in_thread(worker.database.get, job.id))
    if job.status in (Status.INTENT, Status.SENDING):
        return f"Job {job.id} is on its way to the service; once it is accepted, cancel it again."
    if job.status is Status.IN_DOUBT:
        return f"Job {job.id} is in doubt: it may have arrived. Decide with `%wan resolve {job.id}`."
    if job.is_settled:
        return f"Job {job.id} is already {status_words(job.row)}; there is nothing to cancel."
    if job.status is Status.SUCCEEDED:
        paid = "" if job.row.is_simulated else " and paid for"
        return f"Job {job.id} is finished{paid}; its pictures are being fetched."
    return await _cancel_task(worker, job)


async def _cancel_task(worker: "Worker", job: TrackedJob) -> str:
    client = worker.client(job.row)
    made = "made and fetched (free)" if job.row.is_simulated else "made, billed and fetched"
    if not client.can_cancel:
        return f"The {client.name} cannot cancel: the picture of job {job.id} will still be {made}."
    try:
        if not await client.cancel(job.row.task_id):
            return f"Job {job.id} is running and cannot be cancelled; it will be {made}."
    except ConnectionLostError as error:  # it may have arrived
        return f"Job {job.id} may be cancelled or go on: no answer came ({error.message}). Its card will tell."
    except WanError as error:
        return f"Job {job.id} could not be cancelled ({error.message}); it goes on and will be fetched."
    if job.status in (Status.ACCEPTED, Status.RUNNING):
        await worker.move(job, Status.CANCELLED, detail={"how": "while it waited at the service"})
    return f"Job {job.id} was cancelled while it waited; nothing is paid."
