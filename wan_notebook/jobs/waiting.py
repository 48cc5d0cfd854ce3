"""Inputs that another job still makes: waited for in the background, then the request is completed and sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from ..errors import RequestError, WanError
from ..inputs import InputImage, PendingImage
from ..ledger import InputRecord, JobRow, Ledger, PictureRecord
from ..request import ImageRequest
from ..states import JobState
from ..store import Store
from ..text import count_of
from .live import LiveJob
from .moves import Moves

PictureOf = Callable[[JobRow, PictureRecord, str], InputImage]


class WaitingInputs:
    """Completes requests whose pictures come from jobs that are not finished yet."""

    def __init__(
        self, ledger: Ledger, store: Store, picture_of: PictureOf, moves: Moves, live: Callable[[JobRow], LiveJob]
    ) -> None:
        self._ledger, self._store, self._picture_of, self._moves, self._live = ledger, store, picture_of, moves, live

    async def resolve(self, live: LiveJob) -> ImageRequest | None:
        """Return the request with all its pictures; None if it was refused for want of one: nothing was sent."""
        request = live.request
        if request is None or not request.is_pending:
            return request
        try:
            images = [await self._picture(live, image) for image in request.images]
            complete = request.replace(images=tuple(images))
        except WanError as error:
            if live.is_settled:
                return None
            reason = "an input could not be had" if not isinstance(error, RequestError) else "an input does not fit"
            await self._moves.fail(live, JobState.REFUSED, error, reason)
            return None
        if live.is_settled:  # cancelled while it waited
            return None
        await self._record(live, complete)
        live.request = complete
        return complete

    async def _picture(self, live: LiveJob, image: InputImage | PendingImage) -> InputImage:
        if isinstance(image, InputImage):
            return image
        loop = asyncio.get_running_loop()
        source = self._live(await loop.run_in_executor(None, self._ledger.get, image.job_id))
        live.note = f"waits for {image.name} (job {source.id})"
        live.changed()
        await asyncio.wrap_future(source.settled())
        pictures = [p for p in source.row.pictures if p.saved_at and p.kind == "image"]
        index = image.index or 0
        if source.state is not JobState.SAVED or not -len(pictures) <= index < len(pictures):
            made = count_of(len(pictures), "picture")
            message = f"{image.name} is not there: job {source.id} is {source.state} with {made}."
            raise WanError(message, hint="Run its cell again, then this one. Nothing was sent.")
        return await loop.run_in_executor(None, self._picture_of, source.row, pictures[index], image.name)

    async def _record(self, live: LiveJob, complete: ImageRequest) -> None:
        """Give the row its real inputs and fingerprints before anything is sent."""
        sent = complete.fingerprint(with_seed=True)
        was_seedless = live.row.fp_asked != live.row.fp_sent
        row = await asyncio.wrap_future(
            self._ledger.update(
                live.id,
                inputs=input_records(complete, self._store),
                request=complete.canonical(with_seed=True),
                parameters=complete.parameters(),
                fp_sent=sent,
                fp_asked=complete.fingerprint(with_seed=False) if was_seedless else sent,
                pending_inputs=(),
            )
        )
        live.note = ""
        live.changed(replace(row))


def input_records(request: ImageRequest, store: Store) -> tuple[InputRecord, ...]:
    """Keep a request's inputs on disk and return their records."""
    return tuple(
        InputRecord(
            position=position,
            name=image.name,
            identity=image.identity,
            sha256=image.sha256,
            file=store.save_input(image),
            width_px=image.width_px,
            height_px=image.height_px,
            mime=image.mime,
            source_job=image.source_job,
            source_index=image.source_index,
        )
        for position, image in enumerate(request.images)
        if isinstance(image, InputImage)
    )
