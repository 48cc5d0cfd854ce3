"""Input pictures: kept on disk, taken from other jobs, and waited for if another job still makes them."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ..database import NOT_SENT, InputRow, JobRow, PictureRow, Status
from ..errors import ImageInputError, StoreError, WanError
from ..images import InputImage, PendingImage, load_image
from ..request import ImageRequest
from ..storage import Storage
from ..text import pluralize
from .status import status_words
from .tracked import TrackedJob

if TYPE_CHECKING:
    from .worker import Worker


async def complete_request(worker: "Worker", job: TrackedJob) -> ImageRequest | None:
    """Return a job's request with all its pictures; None if one cannot be had, or the job was cancelled meanwhile."""
    request, database = job.request, worker.database
    if request is None or not request.is_pending:
        return request
    try:
        images = [await _finished(worker, job, image) for image in request.images]
        request = request.replace(images=tuple(images))
    except WanError as error:
        if not job.is_settled:
            await worker.fail(job, Status.REFUSED, error, "an input picture is missing", code=NOT_SENT)
    if job.is_settled:
        return None
    is_seedless = job.row.request_hash != job.row.request_hash_with_seed
    row = await worker.in_thread(
        database.update,
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
            name=image.name,
            identity=image.identity,
            sha256=image.sha256,
            file=storage.save_input(image),
            width_px=image.width_px,
            height_px=image.height_px,
            mime=image.mime,
            source_job=image.source_job,
            source_index=image.source_index,
        )
        for position, image in enumerate(request.images)
        if isinstance(image, InputImage)
    ]
