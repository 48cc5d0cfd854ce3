"""What ends otherwise than by its pictures: unfinished submits, jobs in doubt that a person decides on, cancelling."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..database import NOT_SENT, Conflict, JobRow, Status
from ..errors import CellError, ConnectionLostError, StoreError, WanError
from ..providers import Phase, Submitted, TaskState
from .status import TrackedJob, status_words
from .submit import SALVAGED

if TYPE_CHECKING:
    from .job import Job
    from .worker import Worker

WINDOW = dt.timedelta(hours=14)
"""The service's times carry no zone (WAN_API §3), so that a task's time may lie anywhere within the world's zones."""

CLOSE_S = 180.0
ZONE_STEP_S = 900.0
ANSWER_TIMEOUT_S = 120.0

CANCEL_WAIT_S = 10.0
"""How long a cancel waits for the answer to a submit that is under way: people cancel right after a click."""

CANCEL_LOOK_S = 0.1

Resubmit = Callable[["Job", Sequence[str]], "Job"]
"""Submits a job's request anew in place of the jobs with these ids, in one transaction."""


# ------------------------------------------------------------------ unfinished submits


async def settle_unfinished_submit(worker: "Worker", job: TrackedJob) -> None:
    """Move a job that an earlier kernel was sending to ``intent`` if it certainly was not sent, else ``in_doubt``."""
    events = await worker.in_thread(worker.database.events, job.id)
    # The first edition noted of its last attempt that it certainly did not arrive.
    told = [event.kind for event in events if event.status == Status.SENDING or event.kind == NOT_SENT]
    if told[-1:] == [NOT_SENT]:
        await worker.move(job, Status.INTENT, expect=Status.SENDING, detail={NOT_SENT: "the last attempt was not sent"})
    else:
        reason = "the program ended while the request was being sent"
        await worker.fail(job, Status.IN_DOUBT, StoreError(reason), reason)


# ------------------------------------------------------------------ jobs in doubt


@dataclass(frozen=True)
class Candidate:
    """A task of the service that may be the job's; ``confidence`` (0 to 1) says how well it fits, ``why`` in what."""

    task_id: str
    confidence: float
    why: str
    state: TaskState


def candidates(worker: "Worker", row: JobRow) -> list[Candidate]:
    """Return the service's unclaimed tasks that may be this job's, the best first. Raises ``WanError``."""
    at = dt.datetime.fromtimestamp(row.sending_at or row.created_at, tz=dt.UTC).replace(tzinfo=None)
    listing = worker.client(row).list_tasks(start=at - WINDOW, end=at + WINDOW)
    tasks = worker.config.background.submit(listing).result(ANSWER_TIMEOUT_S)
    found = [match(row, task) for task in tasks if task.task_id not in worker.database.task_ids()]
    return sorted((candidate for candidate in found if candidate), key=lambda candidate: -candidate.confidence)


def match(row: JobRow, task: TaskState) -> Candidate | None:
    """Return how well a task fits a job: by model, and by the time of the submit up to a time zone's offset."""
    if task.model and task.model != row.model:
        return None
    sent_s, zone = row.sending_at or row.created_at, ""
    if task.created_at is not None:  # a Unix time, which needs no zone
        off_s = abs(task.created_at - sent_s)
    else:
        try:
            at = dt.datetime.fromisoformat(task.submitted_at_text.strip()).replace(tzinfo=dt.UTC)
        except ValueError:
            return Candidate(task.task_id, 0.1, "the model fits, its time is unknown", task)
        apart_s = at.timestamp() - sent_s
        if abs(apart_s) > WINDOW.total_seconds() + CLOSE_S:
            return None
        # Zones differ by quarters of an hour: what remains tells the moment within one.
        off_s, zone = abs(apart_s - round(apart_s / ZONE_STEP_S) * ZONE_STEP_S), ", up to a time zone"
    closeness = max(0.0, 1.0 - off_s / CLOSE_S)
    if not zone and not closeness:
        return None
    prompt = 0.0 if not task.prompt else 0.3 if task.prompt == row.prompt else -0.5
    confidence = min(0.95, max(0.05, 0.6 * closeness + prompt))
    why = f"submitted {off_s:.0f} s apart{zone}" + (", same prompt" if prompt > 0 else "")
    return Candidate(task.task_id, confidence, why, task)


def explain(job: "Job") -> str:
    """Return what is known about each task of a job in doubt, and the three choices, as lines of text."""
    doubtful = [tracked.row for tracked in job.tracked if tracked.status is Status.IN_DOUBT]
    lines = [line for row in doubtful for line in _explain(job.worker, row)]
    return "\n".join(lines) or f"Job {job.id} is {status_words(job.rows[0])}, not in doubt."


def _explain(worker: "Worker", row: JobRow) -> list[str]:
    reason = row.error_message.rstrip(".") or "no reply"
    lines = [f"Job {row.id} may or may not have reached the {row.provider} ({reason})."]
    try:
        if not worker.client(row).can_list:
            lines.append(f"  The {row.provider} has no list of tasks; look at its web page.")
        else:
            found = candidates(worker, row)[:5]
            lines += [
                f"  {task.task_id}: fits {task.confidence:.0%} ({task.why}), {task.state.phase}" for task in found
            ]
            if not found:
                lines.append("  None of its unclaimed tasks of that time fits: it probably did not arrive.")
    except WanError as error:
        lines.append(f"  The service's list of tasks could not be read: {error.message}")
    salvaged = {event.detail[SALVAGED] for event in worker.database.events(row.id) if SALVAGED in event.detail}
    lines += [
        f"  {task_id}: read from the reply that was cut, and not confirmed by the service." for task_id in salvaged
    ]
    return [
        *lines,
        f"  %wan resolve {row.id} adopt TASK   fetch that task's pictures, pay once",
        f"  %wan resolve {row.id} again        send it again, knowing that it may be billed twice",
        f"  %wan resolve {row.id} abandon      give it up",
    ]


def resolve_job(job: "Job", choice: str, task_id: str = "", *, resubmit: Resubmit) -> str:
    """Settle a job in doubt as a person decides, and return what was done.

    Parameters
    ----------
    job : Job
        The job; an expired one can be adopted too.
    choice : str
        ``adopt`` fetches the pictures of a task; ``again`` sends the request once more; ``abandon`` gives it up.
    task_id : str
        The task to adopt.
    resubmit : callable
        Submits the job's request anew in place of the jobs with the ids that it is given, in one transaction.

    Raises
    ------
    CellError
        If the choice does not fit, or somebody else decided first; then nothing was changed.
    WanError
        If the service denies the task.
    """
    worker = job.worker
    doubtful = [tracked for tracked in job.tracked if tracked.status is Status.IN_DOUBT]
    if not doubtful and not (choice == "adopt" and job.tracked[0].status is Status.EXPIRED):
        message = f"job {job.id} is {status_words(job.rows[0])}, not in doubt; there is nothing to resolve."
        raise CellError(message, hint=f"Look at it with `%wan show {job.id}`.")
    ids = [tracked.id for tracked in doubtful]
    try:
        if choice == "adopt":
            return _adopt(worker, doubtful[0] if doubtful else job.tracked[0], task_id)
        if choice == "again":
            return f"Sent again as job {resubmit(job, ids).id}. If the first one arrived too, both are billed."
        if choice == "abandon":
            worker.database.abandon(ids, "given up by a person's decision")
            return f"Job {job.id} is given up. If it arrived, it is made and billed, and not fetched."
    except Conflict as conflict:
        message = f"job {job.id} is not in doubt any more; it is {conflict.current}. Nothing was changed."
        raise CellError(message, hint=f"Look at it with `%wan show {job.id}`.") from None
    finally:
        worker.refresh(job.tracked)
    message = f"{choice!r} is not one of adopt, again, abandon."
    raise CellError(message, hint=f"Use `%wan resolve {job.id} adopt TASK`, `again` or `abandon`.")


def _adopt(worker: "Worker", tracked: TrackedJob, task_id: str) -> str:
    background, row = worker.config.background, tracked.row
    hint = f"`%wan resolve {row.id}` lists the tasks that fit. Nothing was changed."
    if not task_id:
        raise CellError("adopt needs the id of a task.", hint=hint)
    if task_id != row.task_id and task_id in worker.database.task_ids():
        raise CellError(f"the task {task_id} belongs to another job.", hint=hint)
    state = background.submit(worker.client(row).status(task_id)).result(ANSWER_TIMEOUT_S)
    if state.phase is Phase.UNKNOWN:
        raise CellError(f"the {row.provider} does not know a task {task_id}.", hint=hint)
    reply = Submitted(task_id, state.request_id, state.raw_status)
    accept = worker.accept(tracked, reply, how="adopted by hand", expect=tracked.status)
    background.submit(accept).result(ANSWER_TIMEOUT_S)
    worker.start([tracked], {})
    return f"Job {row.id} has the task {task_id} now; its pictures will be fetched."


# ------------------------------------------------------------------ cancelling: free only before it is worked on


async def cancel(worker: "Worker", jobs: Sequence[TrackedJob]) -> str:
    """Cancel jobs as far as that is possible; return one line a job."""
    return "\n".join(await asyncio.gather(*(_cancel(worker, job) for job in jobs)))


async def _cancel(worker: "Worker", job: TrackedJob) -> str:
    """Cancel a job if that is possible; return one line that says what happened and what is paid."""
    until_s = worker.config.clock() + CANCEL_WAIT_S
    while job.status in (Status.INTENT, Status.SENDING) and worker.config.clock() < until_s:
        if job.status is Status.SENDING:  # it may come back to `intent`, after a 429
            await worker.config.sleep(CANCEL_LOOK_S)
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
