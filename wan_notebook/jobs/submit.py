"""Submitting a job: its pictures are collected, then at most one task is ever made for it.

Only a claim in the ledger permits the POST.
"""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ..database import NOT_SENT, InputRow, JobRow, PictureRow, Status
from ..errors import (
    ConnectionLostError,
    ImageInputError,
    JobNotSent,
    ServiceError,
    StoreError,
    UnexpectedReplyError,
    WanError,
)
from ..images import InputImage, PendingImage, load_image
from ..providers import Phase, Submitted
from ..request import ImageRequest
from ..storage import Storage
from ..text import pluralize
from .retry import Action, decide
from .status import TrackedJob, status_words

if TYPE_CHECKING:
    from .worker import Account, Worker

log = logging.getLogger(__name__)

NOT_SENT_YET = "It was not sent: the program that made it ended first. Run the cell again to send it."

SALVAGED = "salvaged"
"""Kind of the event that keeps the task id of a cut reply, and its key in the event's detail."""

KEPT_OF_INPUTS = ("name", "identity", "mime", "width_px", "height_px", "source_job", "source_index")
"""What a row keeps of an input picture, under the same names."""

CONFIRM_ATTEMPTS = 5
CONFIRM_WAIT_S = 2.0
CLAIM_AGAIN_S = 1.0


async def submit(worker: "Worker", job: TrackedJob) -> None:
    """Bring a job from ``intent`` to ``accepted``, ``refused`` or ``in_doubt``; a cancelled one is not sent.

    Raises ``JobNotSent`` in a kernel that was not asked for it, and ``StoreError`` if that it is sent cannot be
    recorded; then it is not sent.
    """
    request = job.request
    if request is None:
        raise JobNotSent(NOT_SENT_YET, job_id=job.id)
    if request.is_pending:
        request = await _with_pictures(worker, job, request)
    account = worker.account(job.row)
    attempt = 0
    while job.status is Status.INTENT:
        attempt += 1
        account.waiting.append(job)
        try:
            async with account.posting:
                is_permitted = await _claim(worker, job, account)
                wait_s = await _post(worker, job, request, account, attempt) if is_permitted else 0.0
        finally:
            if job in account.waiting:
                account.waiting.remove(job)
        await worker.config.sleep(wait_s)


async def _claim(worker: "Worker", job: TrackedJob, account: "Account") -> bool:
    """Wait for the account's permission to send; False if the job is not to be sent any more."""
    async with account.claiming:
        while job.status is Status.INTENT:
            if account.stopped_by is not None:
                reason = "not sent, because the request before it was refused"
                code = "" if isinstance(account.stopped_by, ServiceError) else NOT_SENT
                await worker.fail(job, Status.REFUSED, account.stopped_by, reason, code=code)
                break
            settings = worker.settings(job.row.provider)
            claim = await worker.in_thread(
                worker.database.claim_to_send,
                job.id,
                worker.owner,
                account=account.name,
                in_flight=settings.in_flight,
                submits_per_s=settings.submits_per_s,
            )
            if claim.row is not None:
                account.waiting.remove(job)
                job.note = ""
                job.changed(claim.row)
                return True
            if 0 < settings.in_flight <= claim.running:  # otherwise it waits for the pace, or a pause that has its note
                for place, waiting in enumerate(account.waiting, claim.ahead):
                    waiting.noted(f"waiting: {claim.running} of {settings.in_flight} running, {place} ahead")
            await worker.config.sleep(min(claim.wait_s, CLAIM_AGAIN_S))
    return False


async def _post(worker: "Worker", job: TrackedJob, request: ImageRequest, account: "Account", attempt: int) -> float:
    """Send once; return the seconds to the next attempt, if there is to be one."""
    job.is_sending = True
    try:
        reply = await worker.client(job.row).submit(request)
    except WanError as error:
        return await _after_fault(worker, job, error, account, attempt)
    except Exception as error:  # whatever broke, the request may have arrived
        log.exception("the submit of job %s failed", job.id)
        unknown = ConnectionLostError("The submit failed in an unknown way; the log has the details.")
        await worker.fail(job, Status.IN_DOUBT, unknown, "the submit failed", cause=type(error).__name__)
    else:
        await worker.accept(job, reply)
    finally:
        job.is_sending = False
    return 0.0


async def _after_fault(worker: "Worker", job: TrackedJob, error: WanError, account: "Account", attempt: int) -> float:
    decision = decide("submit", error, attempt, worker.config.rng)
    match decision.action:
        case Action.RETRY | Action.PAUSE:  # proof that no task was made
            if decision.action is Action.PAUSE:  # first: the others must not be sent meanwhile
                await worker.in_thread(worker.database.pause_account, account.name, decision.delay_s, decision.reason)
            detail = {NOT_SENT: decision.reason, "attempt": attempt, "error": error.message}
            await worker.move(job, Status.INTENT, expect=Status.SENDING, detail=detail)
            job.noted(f"{decision.reason}; trying again in {decision.delay_s:.0f} s. {error.message}")
            return decision.delay_s if decision.action is Action.RETRY else 0.0
        case Action.NOT_SENT | Action.REFUSE:
            if decision.stops_queue:
                account.stopped_by = error
            code = NOT_SENT if decision.action is Action.NOT_SENT else ""
            await worker.fail(job, Status.REFUSED, error, decision.reason, code=code)
        case Action.SALVAGE:
            await _salvage(worker, job, error, decision.reason)
        case _:
            await worker.fail(job, Status.IN_DOUBT, error, decision.reason)
    return 0.0


async def _salvage(worker: "Worker", job: TrackedJob, error: WanError, reason: str) -> None:
    """Take the task id of a cut reply once the service confirms it; else keep it for the person who decides."""
    task_id = error.salvaged_task_id if isinstance(error, UnexpectedReplyError) else ""
    if task_id:  # first: a kernel that is killed while it confirms must not take the id with it
        await worker.in_thread(worker.database.add_event, job.id, SALVAGED, {SALVAGED: task_id})
    for attempt in range(CONFIRM_ATTEMPTS if task_id else 0):
        await worker.config.sleep(CONFIRM_WAIT_S if attempt else 0.0)
        try:
            state = await worker.client(job.row).status(task_id)
        except WanError:
            continue
        if state.phase is not Phase.UNKNOWN:
            reply = Submitted(task_id, state.request_id, state.raw_status)
            await worker.accept(job, reply, how="salvaged, confirmed")
            return
    await worker.fail(job, Status.IN_DOUBT, error, reason)


# Input pictures -------------------------------------------------------------------------------------------------------


async def _with_pictures(worker: "Worker", job: TrackedJob, request: ImageRequest) -> ImageRequest:
    """Wait for the pictures that other jobs still make; a job whose picture does not come ends as not sent."""
    try:
        request = request.replace(images=tuple([await _finished(worker, job, image) for image in request.images]))
    except WanError as error:
        if not job.is_settled:
            await worker.fail(job, Status.REFUSED, error, "an input picture is missing", code=NOT_SENT)
    if job.is_settled:  # cancelled meanwhile, too
        return request
    is_seedless = job.row.request_hash != job.row.request_hash_with_seed
    row = await worker.in_thread(
        worker.database.update,
        job.id,
        inputs=await worker.in_thread(new_inputs, request, worker.storage),
        request=request.canonical(with_seed=True),
        parameters=request.parameters(),
        request_hash=request.request_hash(with_seed=not is_seedless),
        request_hash_with_seed=request.request_hash(with_seed=True),
        pending_inputs=(),
    )
    job.request, job.note = request, ""
    job.changed(row)
    return request


async def _finished(worker: "Worker", job: TrackedJob, image: InputImage | PendingImage) -> InputImage:
    if isinstance(image, InputImage):
        return image
    source = worker.track(await worker.in_thread(worker.database.get, image.job_id))
    await worker.follow([source])
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
    from ..metadata import strip

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
