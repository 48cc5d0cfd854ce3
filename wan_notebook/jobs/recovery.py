"""What ends otherwise than by its pictures: jobs in doubt that a person decides on, and cancelling."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..database import Conflict, JobRow, Status
from ..errors import CellError, WanError
from ..providers import Phase, Submitted, TaskState
from .status import TrackedJob, status_words
from .submit import SALVAGED

if TYPE_CHECKING:
    from .job import Job
    from .worker import Worker

WINDOW = dt.timedelta(hours=14)
"""The service's times carry no zone (WAN_API §3), so that a task's time may lie anywhere within the world's zones."""

CLOSE_S = 180.0
CANDIDATES_SHOWN = 5
ZONE_STEP_S = 900.0
ANSWER_TIMEOUT_S = 120.0

CANCEL_WAIT_S = 10.0
"""How long a cancel waits for the answer to a submit that is under way: people cancel right after a click."""

CANCEL_LOOK_S = 0.1

Resubmit = Callable[["Job", Sequence[str]], "Job"]
"""Submits a job's request anew in place of the jobs with these ids, in one transaction."""


# Jobs in doubt -------------------------------------------------------------------------------------------------------


def _fitting(worker: "Worker", row: JobRow) -> list[str]:
    """Return a line for each unclaimed task of the service that may be the job's, the best first. Raises ``WanError``.

    It fits by model and by the time of the submit, up to a time zone's offset: the service's times may carry none.
    """
    sent_at = row.sending_at or row.created_at
    at, claimed = dt.datetime.fromtimestamp(sent_at, tz=dt.UTC).replace(tzinfo=None), worker.database.task_ids()
    listing = worker.client(row).list_tasks(start=at - WINDOW, end=at + WINDOW)
    found = []
    for task in worker.background.submit(listing).result(ANSWER_TIMEOUT_S):
        off_s = _apart_s(task, sent_at)
        if task.task_id not in claimed and task.model in ("", row.model) and off_s <= CLOSE_S:
            has_prompt = bool(task.prompt) and task.prompt == row.prompt
            why = f"submitted {off_s:.0f} s apart" + (", same prompt" if has_prompt else "")
            found.append((not has_prompt, off_s, f"  {task.task_id}: {why}, {task.phase}"))
    return [line for _, _, line in sorted(found)[:CANDIDATES_SHOWN]]


def _apart_s(task: TaskState, sent_at: float) -> float:
    """Return how many seconds a task was submitted from a moment; what is not known is just close enough."""
    if task.created_at is not None:  # a Unix time, which needs no zone
        return abs(task.created_at - sent_at)
    try:
        apart_s = dt.datetime.fromisoformat(task.submitted_at_text.strip()).replace(tzinfo=dt.UTC).timestamp() - sent_at
    except ValueError:
        return CLOSE_S
    return abs(apart_s - round(apart_s / ZONE_STEP_S) * ZONE_STEP_S)  # zones differ by quarters of an hour


def explain(job: "Job") -> str:
    """Return what is known about each task of a job in doubt, and the three choices, as lines of text."""
    doubtful = [tracked.row for tracked in job.tracked if tracked.status is Status.IN_DOUBT]
    lines = [line for row in doubtful for line in _explain(job.worker, row)]
    return "\n".join(lines) or f"Job {job.id} is {status_words(job.rows[0])}, not in doubt."


def _explain(worker: "Worker", row: JobRow) -> list[str]:
    try:
        if worker.client(row).can_list:
            known = _fitting(worker, row)
            known = known or ["  None of its unclaimed tasks of that time fits: it probably did not arrive."]
        else:
            known = [f"  The {row.provider} has no list of tasks; look at its web page."]
    except WanError as error:
        known = [f"  The service's list of tasks could not be read: {error.message}"]
    salvaged = {event.detail[SALVAGED] for event in worker.database.events(row.id) if SALVAGED in event.detail}
    reason = row.error_message.rstrip(".") or "no reply"
    return [
        f"Job {row.id} may or may not have reached the {row.provider} ({reason}).",
        *known,
        *(f"  {task_id}: read from the reply that was cut, and not confirmed by the service." for task_id in salvaged),
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
    if not doubtful and choice == "adopt" and job.tracked[0].status is Status.EXPIRED:
        doubtful = [job.tracked[0]]
    hint = f"Look at it with `%wan show {job.id}`."
    if not doubtful:
        message = f"job {job.id} is {status_words(job.rows[0])}, not in doubt; there is nothing to resolve."
        raise CellError(message, hint=hint)
    ids = [tracked.id for tracked in doubtful]
    try:
        match choice:
            case "adopt":
                return _adopt(worker, doubtful[0], task_id)
            case "again":
                return f"Sent again as job {resubmit(job, ids).id}. If the first one arrived too, both are billed."
            case "abandon":
                worker.database.abandon(ids, "given up by a person's decision")
                return f"Job {job.id} is given up. If it arrived, it is made and billed, and not fetched."
    except Conflict as conflict:
        message = f"job {job.id} is not in doubt any more; it is {conflict.current}. Nothing was changed."
        raise CellError(message, hint=hint) from None
    finally:
        worker.refresh(job.tracked)
    message = f"{choice!r} is not one of adopt, again, abandon."
    raise CellError(message, hint=f"Use `%wan resolve {job.id} adopt TASK`, `again` or `abandon`.")


def _adopt(worker: "Worker", tracked: TrackedJob, task_id: str) -> str:
    background, row = worker.background, tracked.row
    hint = f"`%wan resolve {row.id}` lists the tasks that fit. Nothing was changed."
    if not task_id:
        raise CellError("adopt needs the id of a task.", hint=hint)
    if task_id != row.task_id and task_id in worker.database.task_ids():
        raise CellError(f"the task {task_id} belongs to another job.", hint=hint)
    state = background.submit(worker.client(row).status(task_id)).result(ANSWER_TIMEOUT_S)
    if state.phase is Phase.UNKNOWN:
        raise CellError(f"the {row.provider} does not know a task {task_id}.", hint=hint)
    reply = Submitted(task_id, state.request_id)
    background.submit(worker.accept(tracked, reply, how="adopted by hand", expect=tracked.status)).result()
    worker.start([tracked], {})
    return f"Job {row.id} has the task {task_id} now; its pictures will be fetched."


# Cancelling: free only before it is worked on ------------------------------------------------------------------------


async def cancel(worker: "Worker", jobs: Sequence[TrackedJob]) -> str:
    """Cancel jobs as far as that is possible; return one line a job that says what happened and what is paid."""
    return "\n".join(await asyncio.gather(*(_cancel(worker, job) for job in jobs)))


async def _cancel(worker: "Worker", job: TrackedJob) -> str:
    until_s = worker.clock() + CANCEL_WAIT_S
    while job.status in (Status.INTENT, Status.SENDING) and worker.clock() < until_s:
        if job.status is Status.SENDING:  # it may come back to `intent`, after a 429
            await worker.sleep(CANCEL_LOOK_S)
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
    if job.status not in (Status.ACCEPTED, Status.RUNNING):
        return f"Job {job.id} is already {status_words(job.row)}; there is nothing to cancel."
    client = worker.client(job.row)
    made = "made and fetched (free)" if job.row.is_simulated else "made, billed and fetched"
    try:
        if not client.can_cancel:
            return f"The {client.name} cannot cancel: the picture of job {job.id} will still be {made}."
        if not await client.cancel(job.row.task_id):
            return f"Job {job.id} is running and cannot be cancelled; it will be {made}."
    except WanError as error:  # it may have arrived
        return f"Job {job.id} goes on, or may be cancelled: no answer came ({error.message}). Its card will tell."
    if job.status in (Status.ACCEPTED, Status.RUNNING):
        await worker.move(job, Status.CANCELLED, detail={"how": "while it waited at the service"})
    return f"Job {job.id} was cancelled while it waited; nothing is paid."
