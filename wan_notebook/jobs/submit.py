"""Submitting a job: its pictures are collected, then at most one task is ever made for it.

Only a claim in the ledger permits the POST.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..database import NOT_SENT, InputRow, JobRow, PictureRow, Status
from ..errors import ConnectionLostError, ImageInputError, JobNotSent, ServiceError, StoreError, WanError
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
    if any(isinstance(image, PendingImage) for image in request.images):
        request = await _with_pictures(worker, job, request)
    account, attempt = worker.account(job.row), 0
    while job.status is Status.INTENT:
        attempt, wait_s = attempt + 1, 0.0
        account.waiting.append(job)
        try:
            async with account.posting:
                if await _claim(worker, job, account):
                    wait_s = await _post(worker, job, request, account, attempt)
        finally:
            if job in account.waiting:
                account.waiting.remove(job)
        await worker.sleep(wait_s)


async def _claim(worker: "Worker", job: TrackedJob, account: "Account") -> bool:
    """Wait for the account's permission to send; False if the job is not to be sent any more."""
    async with account.claiming:
        while job.status is Status.INTENT:
            if account.stopped_by is not None:
                code = "" if isinstance(account.stopped_by, ServiceError) else NOT_SENT
                await worker.fail(job, Status.REFUSED, account.stopped_by, code=code)
                break
            settings = worker.settings(job.row.provider)
            limits = {"in_flight": settings.in_flight, "submits_per_s": settings.submits_per_s}
            claim_to_send = worker.database.claim_to_send
            claim = await worker.in_thread(claim_to_send, job.id, worker.owner, account=account.name, **limits)
            if claim.row is not None:
                account.waiting.remove(job)
                job.note = ""
                job.changed(claim.row)
                return True
            if 0 < settings.in_flight <= claim.running:  # otherwise it waits for the pace, or a pause that has its note
                for place, waiting in enumerate(account.waiting, claim.ahead):
                    waiting.noted(f"waiting: {claim.running} of {settings.in_flight} running, {place} ahead")
            await worker.sleep(min(claim.wait_s, CLAIM_AGAIN_S))
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
        await worker.fail(job, Status.IN_DOUBT, unknown, cause=type(error).__name__)
    else:
        await worker.accept(job, reply)
    finally:
        job.is_sending = False
    return 0.0


async def _after_fault(worker: "Worker", job: TrackedJob, error: WanError, account: "Account", attempt: int) -> float:
    rule = decide("submit", error, attempt, worker.rng)
    match rule.action:
        case Action.RETRY | Action.PAUSE:  # proof that no task was made
            if rule.action is Action.PAUSE:  # first: the others must not be sent meanwhile
                await worker.in_thread(worker.database.pause_account, account.name, rule.delay_s)
            detail = {NOT_SENT: error.message, "attempt": attempt}
            await worker.move(job, Status.INTENT, expect=Status.SENDING, detail=detail)
            job.noted(f"{error.message} Trying again in {rule.delay_s:.0f} s.")
            return rule.delay_s if rule.action is Action.RETRY else 0.0
        case Action.NOT_SENT | Action.REFUSE:
            if rule.stops_queue:
                account.stopped_by = error
            code = NOT_SENT if rule.action is Action.NOT_SENT else ""
            await worker.fail(job, Status.REFUSED, error, code=code)
        case Action.SALVAGE if task_id := getattr(error, "salvaged_task_id", ""):
            await _salvage(worker, job, error, task_id)
        case _:
            await worker.fail(job, Status.IN_DOUBT, error)
    return 0.0


async def _salvage(worker: "Worker", job: TrackedJob, error: WanError, task_id: str) -> None:
    """Take the task id of a cut reply once the service confirms it; else keep it for the person who decides."""
    # First: a kernel that is killed while it confirms must not take the id with it.
    await worker.in_thread(worker.database.add_event, job.id, SALVAGED, {SALVAGED: task_id})
    for attempt in range(CONFIRM_ATTEMPTS):
        await worker.sleep(CONFIRM_WAIT_S if attempt else 0.0)
        with suppress(WanError):
            state = await worker.client(job.row).status(task_id)
            if state.phase is not Phase.UNKNOWN:
                break
    else:
        await worker.fail(job, Status.IN_DOUBT, error)
        return
    await worker.accept(job, Submitted(task_id, state.request_id), how="salvaged, confirmed")


# Input pictures -------------------------------------------------------------------------------------------------------


async def _with_pictures(worker: "Worker", job: TrackedJob, request: ImageRequest) -> ImageRequest:
    """Wait for the pictures that other jobs still make; a job whose picture does not come ends as not sent."""
    try:
        request = request.replace(images=tuple([await _finished(worker, job, image) for image in request.images]))
    except WanError as error:
        if not job.is_settled:
            await worker.fail(job, Status.REFUSED, error, code=NOT_SENT)
    if job.is_settled:  # cancelled meanwhile, too
        return request
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
