"""Submitting a job: its pictures are collected, then at most one task is ever made for it; cancelling it.

Only a claim in the ledger permits the POST. What is in doubt afterwards, a person decides on.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..database import NOT_SENT, SETTLED, Conflict, InputRow, JobRow, PictureRow, Status
from ..errors import (
    CellError,
    ConnectionLostError,
    ForbiddenError,
    ImageInputError,
    JobNotSent,
    ServiceError,
    StoreError,
    WanError,
)
from ..images import InputImage, PendingImage, load_image
from ..metadata import strip
from ..providers import Phase, TaskState
from ..request import ImageRequest
from ..storage import Storage
from ..text import pluralize
from .retry import Action, decide
from .status import TrackedJob, status_words

if TYPE_CHECKING:
    from .job import Job
    from .worker import Account, Worker

log = logging.getLogger(__name__)

NOT_SENT_YET = "It was not sent: the program that made it ended first. Run the cell again to send it."

SALVAGED = "salvaged"
"""Kind of the event that keeps the task id of a cut reply, and its key in the event's detail."""

KEPT_OF_INPUTS = ("name", "identity", "mime", "width_px", "height_px", "source_job", "source_index")
"""What a row keeps of an input picture, under the same names."""

WINDOW = dt.timedelta(hours=12)
"""The service's times carry no zone (WAN_API §3), so that a task's time may lie anywhere within the world's zones."""

CLOSE_S = 180.0
ZONE_STEP_S = 900.0
ANSWER_TIMEOUT_S = 120.0


async def submit(worker: "Worker", job: TrackedJob) -> None:
    """Bring a job from ``intent`` to ``accepted``, ``refused`` or ``in_doubt``; a cancelled one is not sent.

    Raises ``JobNotSent`` in a kernel that was not asked for it, and ``StoreError`` if that it is sent cannot be
    recorded; then it is not sent.
    """
    if job.request is None:
        raise JobNotSent(NOT_SENT_YET, job_id=job.id)
    account, attempt, wait_s = worker.account(job.row), 0, 0.0
    if any(isinstance(image, PendingImage) for image in job.request.images):
        await _collect(worker, job, job.request)
    while job.status is Status.INTENT:
        attempt += 1
        async with account.posting:
            if await _claim(worker, job, account):
                job.is_sending = True
                try:
                    wait_s = await _post(worker, job, job.request, account, attempt)
                finally:
                    job.is_sending = False
        await worker.sleep(wait_s)


async def _claim(worker: "Worker", job: TrackedJob, account: "Account") -> bool:
    """Wait for the account's permission to send; False if the job is not to be sent any more."""
    async with account.claiming:
        while job.status is Status.INTENT:
            if account.stopped_by is not None:
                if job.in_batch:
                    raise account.stopped_by
                code = "" if isinstance(account.stopped_by, ServiceError) else NOT_SENT
                await worker.fail(job, Status.REFUSED, account.stopped_by, code=code)
                break
            settings = worker.settings(job.row.provider)
            account.freed.clear()
            told = {name: getattr(settings, name) for name in ("in_flight", "submits_per_s", "key_fingerprint")}
            claim_to_send = worker.database.claim_to_send
            claim = await worker.in_thread(claim_to_send, job.id, worker.owner, account=account.name, **told)
            if claim.row is not None:
                job.note = ""
                job.changed(claim.row)
                return True
            if 0 < settings.in_flight <= claim.running:  # otherwise it waits for the pace, or a pause that has its note
                unsent = [other for other in worker.mine if other.status is Status.INTENT and other.request]
                queue = [one for one in unsent if one.row.provider == job.row.provider and not one.row.pending_inputs]
                for place, waiting in enumerate(queue, claim.ahead):
                    waiting.noted(f"waiting: {claim.running} of {settings.in_flight} running, {place} ahead")
            await worker.sleep_until(account.freed, min(claim.wait_s, 1.0))
    return False


async def _post(worker: "Worker", job: TrackedJob, request: ImageRequest, account: "Account", attempt: int) -> float:
    """Send once; return the seconds to the next attempt, if there is to be one."""
    try:
        reply = await worker.client(job.row).submit(request)
    except WanError as error:
        fault = error
    except Exception:  # whatever broke, the request may have arrived
        log.exception("the submit of job %s failed", job.id)
        fault = ConnectionLostError("The submit failed in an unknown way; the log has the details.")
    else:
        await worker.accept(job, reply)
        return 0.0
    rule = decide("submit", fault, attempt, worker.rng)
    if rule.stops_queue or (job.in_batch and isinstance(fault, ForbiddenError)):  # arrears would refuse every row
        account.stopped_by = fault
        if job.in_batch:  # a refusal is proof that no task was made
            await worker.move(job, Status.INTENT, expect=Status.SENDING, detail={NOT_SENT: fault.message})
            raise fault
    if rule.action in (Action.RETRY, Action.PAUSE):  # proof that no task was made
        if rule.action is Action.PAUSE:  # first: the others must not be sent meanwhile
            await worker.in_thread(worker.database.pause_account, account.name, rule.delay_s)
        detail = {NOT_SENT: fault.message, "attempt": attempt}
        await worker.move(job, Status.INTENT, expect=Status.SENDING, detail=detail)
        job.noted(f"{fault.message.rstrip('.')}. Trying again in {rule.delay_s:.0f} s.")
        return rule.delay_s if rule.action is Action.RETRY else 0.0
    task_id = getattr(fault, "salvaged_task_id", "") if rule.action is Action.SALVAGE else ""
    confirmed = await _confirmed(worker, job, task_id) if task_id else None
    if confirmed:
        await worker.accept(job, confirmed, how="salvaged, confirmed")
    else:
        to = Status.REFUSED if rule.action in (Action.NOT_SENT, Action.REFUSE) else Status.IN_DOUBT
        await worker.fail(job, to, fault, code=NOT_SENT if rule.action is Action.NOT_SENT else "")
    return 0.0


async def _confirmed(worker: "Worker", job: TrackedJob, task_id: str) -> TaskState | None:
    """Return the task whose id a cut reply held, if the service knows it; the id is kept for a person who decides."""
    # First: a kernel that is killed while it confirms must not take the id with it.
    await worker.in_thread(worker.database.add_event, job.id, SALVAGED, {SALVAGED: task_id})
    is_taken = task_id in await worker.in_thread(worker.database.task_ids)
    for wait_s in () if is_taken else (0.0, 2.0, 2.0, 2.0, 2.0):
        await worker.sleep(wait_s)
        with suppress(WanError):
            state = await worker.client(job.row).status(task_id)
            if state.phase is not Phase.UNKNOWN:
                return state
    return None


# Input pictures -------------------------------------------------------------------------------------------------------


async def _collect(worker: "Worker", job: TrackedJob, request: ImageRequest) -> None:
    """Wait for the pictures that other jobs still make; a job whose picture does not come ends as not sent."""
    try:
        images = [i if isinstance(i, InputImage) else await _finished(worker, job, i) for i in request.images]
        request = request.replace(images=tuple(images))
    except WanError as error:
        if job.status not in SETTLED:
            await worker.fail(job, Status.REFUSED, error, code=NOT_SENT)
    if job.status not in SETTLED:  # not cancelled meanwhile either
        is_seedless = job.row.request_hash != job.row.request_hash_with_seed
        columns = {
            "inputs": await worker.in_thread(new_inputs, request, worker.storage),
            "request": request.canonical(with_seed=True),
            "parameters": request.parameters(),
            "request_hash": request.request_hash(with_seed=not is_seedless),
            "request_hash_with_seed": request.request_hash(with_seed=True),
            "pending_inputs": (),
        }
        job.request, job.note = request, ""
        job.changed(await worker.in_thread(worker.database.update, job.id, **columns))


async def _finished(worker: "Worker", job: TrackedJob, image: PendingImage) -> InputImage:
    source = worker.track(await worker.in_thread(worker.database.get, image.job_id))
    worker.follow([source])
    job.noted(f"waiting for {image.name} (job {source.id})")
    await asyncio.wrap_future(source.settled())
    pictures = [picture for picture in source.row.pictures if picture.saved_at and picture.kind == "image"]
    index = image.index or 0
    if source.status is not Status.SAVED or not -len(pictures) <= index < len(pictures):
        state = f"{status_words(source.row)} with {pluralize(len(pictures), 'picture')}"
        message = f"{image.name} is not available: job {source.id} is {state}."
        raise WanError(message, hint="Run its cell again, then this one.")
    return await worker.in_thread(image_of_picture, worker.storage, source.row, pictures[index], image.name)


def image_of_picture(storage: Storage, row: JobRow, picture: PictureRow, name: str) -> InputImage:
    """Return a job's saved picture as an input, as the service sent it. Raises ``ImageInputError``."""
    try:
        image = load_image(strip(storage.read(picture.file)), name=name)
    except StoreError as error:
        raise ImageInputError(name, error.message, hint=error.hint) from None
    return replace(image, source_job=row.id, source_index=picture.index)


def new_inputs(request: ImageRequest, storage: Storage) -> list[InputRow]:
    """Keep a request's pictures on disk and return their rows; unfinished ones are left out."""
    return [
        InputRow(
            position=position,
            sha256=image.sha256,
            file=storage.save_input(image),
            **{name: getattr(image, name) for name in KEPT_OF_INPUTS},
        )
        for position, image in enumerate(request.images)
        if isinstance(image, InputImage)
    ]


# Jobs in doubt -------------------------------------------------------------------------------------------------------


def _candidates(worker: "Worker", row: JobRow) -> list[str]:
    """Return a line for each unclaimed task of the service that may be the job's, the best first. Raises ``WanError``.

    It fits by model and by the time of the submit, up to a time zone's offset: the service's times may carry none.
    """
    client, sent_at, found = worker.client(row), row.sending_at or row.created_at, []
    if not client.can_list:
        look = "" if row.is_simulated else "; look at its web page"
        return [f"  The {row.provider} has no list of tasks{look}."]
    at, claimed = dt.datetime.fromtimestamp(sent_at, tz=dt.UTC).replace(tzinfo=None), worker.database.task_ids()
    listing = worker.background.submit(client.list_tasks(start=at - WINDOW, end=at + WINDOW, model=row.model))
    for task in listing.result(ANSWER_TIMEOUT_S):
        off_s = _apart_s(task, sent_at)
        if task.task_id not in claimed and task.model in ("", row.model) and off_s <= CLOSE_S:
            has_prompt = bool(task.prompt) and task.prompt == row.prompt
            why = f"submitted {off_s:.0f} s apart" + (", same prompt" if has_prompt else "")
            found.append((not has_prompt, off_s, f"  {task.task_id}: {why}, {task.phase}"))
    nothing = "  None of its unclaimed tasks of that time fits: it probably did not arrive."
    return [line for *_, line in sorted(found)[:5]] or [nothing]


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
    lines = [line for row in job.rows if row.status is Status.IN_DOUBT for line in _explain(job.worker, row)]
    return "\n".join(lines) or f"Job {job.id} is {status_words(job.rows[0])}, not in doubt."


def _explain(worker: "Worker", row: JobRow) -> list[str]:
    try:
        known = _candidates(worker, row)
    except WanError as error:
        known = [f"  The service's list of tasks could not be read: {error.message}"]
    salvaged = {event.detail[SALVAGED] for event in worker.database.events(row.id) if SALVAGED in event.detail}
    risk, pay = ("practice is free", "") if row.is_simulated else ("it may be billed twice", ", pay once")
    reason = row.error_message.rstrip(".") or "no reply"
    return [
        f"Job {row.id} may or may not have reached the {row.provider} ({reason}).",
        *known,
        *(f"  {task_id}: read from the reply that was cut, and not confirmed by the service." for task_id in salvaged),
        f"  %wan resolve {row.id} adopt TASK   fetch that task's pictures{pay}",
        f"  %wan resolve {row.id} again        send it again, knowing that {risk}",
        f"  %wan resolve {row.id} abandon      give it up",
    ]


def resolve_job(
    job: "Job", choice: str, task_id: str = "", *, resubmit: Callable[["Job", Sequence[str]], "Job"]
) -> str:
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
    worker, hint = job.worker, f"Look at it with `%wan show {job.id}`."
    doubtful = [tracked for tracked in job.tracked if tracked.status is Status.IN_DOUBT]
    if choice == "adopt":  # an expired one, too
        doubtful += [tracked for tracked in job.tracked[:1] if tracked.status is Status.EXPIRED]
    if not doubtful:
        message = f"job {job.id} is {status_words(job.rows[0])}, not in doubt; there is nothing to resolve."
        raise CellError(message, hint=hint)
    ids = [tracked.id for tracked in doubtful]
    try:
        match choice:
            case "adopt":
                return _adopt(worker, doubtful[0], task_id)
            case "again":
                risk = "" if job.rows[0].is_simulated else " If the first one arrived too, both are billed."
                return f"Sent again as job {resubmit(job, ids).id}.{risk}"
            case "abandon":
                worker.database.abandon(ids, "given up by a person's decision")
                billed = "" if job.rows[0].is_simulated else " and billed"
                return f"Job {job.id} is given up. If it arrived, it is made{billed}, and not fetched."
    except Conflict as conflict:
        message = f"job {job.id} is not in doubt any more; it is {conflict.current}. Nothing was changed."
        raise CellError(message, hint=hint) from None
    finally:
        worker.refresh(job.tracked)
    hint = f"Use `%wan resolve {job.id} adopt TASK`, `again` or `abandon`."
    raise CellError(f"{choice!r} is not one of adopt, again, abandon.", hint=hint)


def _adopt(worker: "Worker", tracked: TrackedJob, task_id: str) -> str:
    background, row = worker.background, tracked.row
    is_free = bool(task_id) and (task_id == row.task_id or task_id not in worker.database.task_ids())
    state = background.submit(worker.client(row).status(task_id)).result(ANSWER_TIMEOUT_S) if is_free else None
    if state is None or state.phase is Phase.UNKNOWN:
        message = f"{task_id!r} is not a task that the {row.provider} knows and no other job has."
        raise CellError(message, hint=f"`%wan resolve {row.id}` lists the tasks that fit. Nothing was changed.")
    background.submit(worker.accept(tracked, state, how="adopted by hand", expect=tracked.status)).result()
    worker.start([tracked], {})
    return f"Job {row.id} has the task {task_id} now; its pictures will be fetched."


# Cancelling: free only before it is worked on ------------------------------------------------------------------------


_CANNOT_CANCEL = {
    **dict.fromkeys(
        (Status.INTENT, Status.SENDING), "is on its way to the service; once it is accepted, cancel it again"
    ),
    Status.IN_DOUBT: "is in doubt: it may have arrived. Decide with `%wan resolve {id}`",
}


async def cancel(worker: "Worker", job: TrackedJob) -> str:
    """Cancel a job as far as that is possible; return a line that says what happened and what is paid."""
    until_s = worker.clock() + 10  # for the answer to a submit that is under way: people cancel right after a click
    while job.status in (Status.INTENT, Status.SENDING) and worker.clock() < until_s:
        if job.status is Status.SENDING:  # it may come back to `intent`, after a 429
            await worker.sleep(0.1)
            continue
        try:
            await worker.move(job, Status.CANCELLED, expect=Status.INTENT, detail={"how": "before it was sent"})
            return f"Job {job.id} was not sent and will not be; nothing is paid."
        except Conflict:  # it is being sent at this moment
            job.changed(await worker.in_thread(worker.database.get, job.id))
    if job.status not in (Status.ACCEPTED, Status.RUNNING):
        over = f"is already {status_words(job.row)}; there is nothing to cancel"
        return f"Job {job.id} {_CANNOT_CANCEL.get(job.status, over).format(id=job.id)}."
    client = worker.client(job.row)
    made = "made and fetched (free)" if job.row.is_simulated else "made, billed and fetched"
    try:
        if not client.can_cancel:
            return f"The {client.name} cannot cancel: the picture of job {job.id} will still be {made}."
        if not await client.cancel(job.row.task_id):
            return f"Job {job.id} is running and cannot be cancelled; it will be {made}."
    except WanError as error:  # it may have arrived
        return f"Job {job.id} goes on, or may be cancelled: no answer came ({error.message}). Its card will tell."
    with suppress(Conflict):  # a poll may have seen it first
        await worker.move(job, Status.CANCELLED, detail={"how": "while it waited at the service"})
    return f"Job {job.id} was cancelled while it waited; nothing is paid."
