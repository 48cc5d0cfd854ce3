"""``Job``: what a person holds. It knows no IPython, and waiting for it works inside any running loop.

The state itself lives in the ledger and in ``LiveJob``; a handle only reads it, waits for it and asks for changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import JobError, JobTimeout, NoSuchPictureError
from ..ledger import PictureRecord
from ..rendering import bundle_of, render
from ..states import JobState
from ..text import count_of
from .facts import JobFacts
from .files import open_image
from .live import LiveJob
from .outcome import error_of, status_line
from .plain import plain_row
from .saving import Copy, target_of, targets_of, write_copies
from .waits import HEARTBEAT_S, WaitInterrupted, explain, wait_for

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Picture:
    """One picture of a job. ``job[0]`` gives it; ``image`` opens it, ``file`` is where it lies."""

    job: Job
    index: int
    live: LiveJob
    record: PictureRecord

    @property
    def file(self) -> Path:
        """The full picture on disk."""
        return self.job.owner.path_of(self.record.file)

    @property
    def image(self) -> Image:
        """The picture as a PIL image."""
        return open_image(self.file)

    @property
    def seed(self) -> int | None:
        """The seed it was made with; pictures of one batch share it."""
        return self.live.row.seed

    @property
    def data(self) -> bytes:
        """The bytes as the service sent them."""
        return self.job.owner.read_picture(self.record, clean=True)

    def save(self, path: str | Path, *, clean: bool = False, overwrite: bool = False) -> Path:
        """Copy the file to ``path``, whose ending says the format: .png byte for byte, .jpg, .webp converted.

        ``clean`` leaves the recipe out. A file that is there and no picture of ours is replaced only with
        ``overwrite``. Raises ``StoreError``.
        """
        target = target_of(path, self.file.name)
        return write_copies([self.copy(target, clean=clean)], store=self.job.owner.path_of(""), overwrite=overwrite)[0]

    def copy(self, path: Path, *, clean: bool) -> Copy:
        """Return what ``save`` writes, before it is converted and checked."""
        return Copy(path, self.job.owner.read_picture(self.record, clean=clean), self.file.suffix)

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return bundle_of(self)

    def __copy__(self) -> Picture:
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> Picture:
        return self

    def __repr__(self) -> str:
        size = f"{self.record.width_px}×{self.record.height_px}"
        return f"<picture {self.index} of job {self.live.id}: {size}, seed {self.seed}, {self.file}>"


class Job(JobFacts):
    """One request's life, from the moment it is on disk. Use it at once: what needs the result waits for it.

    A handle covers one task of the service, or several that belong together (``-n 3`` without images, a seed sweep).
    """

    @property
    def text(self) -> str:
        """The text between the pictures of illustrated text."""
        self.wait()
        return "\n\n".join(str(item["text"]) for live in self.lives for item in live.row.items or () if "text" in item)

    # Waiting ---------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, at most ``timeout`` seconds; return whether it is. Never raises for a failed job.

        Kernel → Interrupt ends the waiting, never the job. Raises ``JobError`` where waiting would be in vain: the
        job is not over, and nobody can go on with it before a person acts.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            for future in [live.settled() for live in self.lives]:
                if not wait_for(future, deadline):
                    return False
        except KeyboardInterrupt:
            raise WaitInterrupted(self._come_back()) from None
        self._check_stopped()
        return True

    def result(self, timeout: float | None = None) -> Job:
        """Wait and return this job. Raises ``JobError`` if it ended without pictures, ``JobTimeout`` if it goes on."""
        if not self.wait(timeout):
            raise JobTimeout(
                self.still_open(timeout or 0.0), job_id=self.id, hint=f"Wait for it with `%wan wait {self.id}`."
            )
        return self._checked()

    def still_open(self, waited_s: float) -> str:
        """Say that it was waited for in vain, and what it is held up by, as far as that is known."""
        held_up = next((live.note for live in self.lives if live.note and not live.is_settled), "")
        reason = f" ({held_up.rstrip('.')})" if held_up else ""
        return f"job {self.id} is still {self.status} after {waited_s:g} s{reason}; it goes on."

    def __await__(self) -> Generator[Any, None, Job]:
        return self._waited().__await__()

    async def _waited(self) -> Job:
        try:
            for live in self.lives:
                future = asyncio.wrap_future(live.settled())
                while not future.done():
                    await asyncio.wait([future], timeout=HEARTBEAT_S)
        except asyncio.CancelledError as cancelled:
            explain(cancelled, self._come_back())
            raise
        self._check_stopped()
        return self._checked()

    def add_done_callback(self, fn: Callable[[Job], object]) -> None:
        """Call ``fn(job)`` once it is over, on a thread of its own kind: it may wait for other jobs."""
        left = len(self.lives)

        def one_done(_future: Future[None]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.owner.call_back(fn, self)

        for live in self.lives:
            live.settled().add_done_callback(one_done)

    def cancel(self) -> str:
        """Cancel it where the service can, and say honestly what that means."""
        return self.owner.cancel(self.lives)

    # The pictures ----------------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every saved picture, in order. Waits; raises ``JobError`` if there is none because the job failed."""
        self.wait()
        found = self.saved_pictures
        if not found:
            self._checked()
        return found

    @property
    def saved_pictures(self) -> tuple[Picture, ...]:
        """The pictures that are on disk now, without waiting."""
        pairs = [(live, record) for live in self.lives for record in live.row.pictures if record.saved_at]
        return tuple(Picture(self, index, live, record) for index, (live, record) in enumerate(pairs))

    @property
    def images(self) -> list[Image]:
        """The pictures as PIL images. Waits."""
        return [picture.image for picture in self.pictures if picture.record.kind == "image"]

    @property
    def files(self) -> list[Path]:
        """Where the pictures lie. Waits."""
        return [picture.file for picture in self.pictures]

    def save(self, path: str | Path, *, clean: bool = False, overwrite: bool = False) -> list[Path]:
        """Copy the pictures to ``path``: a file for one, a folder (or a name that gets numbers) for several.

        The ending says the format: .png byte for byte, .jpg, .jpeg and .webp converted. ``clean`` leaves the recipe
        out. A file that is there and no picture of ours is replaced only with ``overwrite``. Raises ``StoreError``
        for that, and if the place cannot be written; then nothing is written.
        """
        pictures = self.pictures
        targets = targets_of(path, [picture.file.name for picture in pictures])
        copies = [picture.copy(target, clean=clean) for picture, target in zip(pictures, targets, strict=True)]
        return write_copies(copies, store=self.owner.path_of(""), overwrite=overwrite)

    def __getitem__(self, index: int) -> Picture:
        pictures = self.pictures
        try:
            return pictures[index]
        except IndexError:
            message = f"job {self.id} has {count_of(len(pictures), 'picture')}; there is no [{index}]."
            choices = "[0] is the first" + (f", [{len(pictures) - 1}] the last" if len(pictures) > 1 else "")
            raise NoSuchPictureError(message, hint=f"{choices}.") from None

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Picture]:
        return iter(self.pictures)

    def __bool__(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready data: requests, seeds, states, files, costs.

        Times are ISO 8601 UTC, money decimal text; nothing in it names a key.
        """
        return {
            "id": self.id,
            "status": self.status,
            "mode": self.mode,
            "request": self._request.canonical(with_seed=True),
            "cost": str(self.cost),
            "missing": self.missing,
            "jobs": [plain_row(live.row) for live in self.lives],
        }

    def _ipython_display_(self) -> None:
        if not render(self):
            raise NotImplementedError  # IPython then asks for the bundle

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return bundle_of(self)

    def __copy__(self) -> Job:
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> Job:
        return self  # a handle of one record: what it stands for exists once

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return status_line(self.rows, self._request.mode.value)

    # ------------------------------------------------------------------------------------------------------------------

    def _checked(self) -> Job:
        for live in self.lives:
            if live.state is not JobState.SAVED:
                raise error_of(live.row)
        return self

    def _check_stopped(self) -> None:
        for live in self.lives:
            if live.stopped and not live.is_settled:
                message = f"job {live.id} is {live.state} and does not go on: {live.stopped.rstrip('.')}."
                raise JobError(message, job_id=live.id, hint="Mend that, then `%wan resume`. Nothing is sent again.")

    def _come_back(self) -> str:
        return (
            f"Stopped waiting; job {self.id} goes on ({self.status}) and its pictures will be fetched. "
            f"Come back with `%wan wait {self.id}` or `%wan show {self.id}`."
        )


__all__ = ["Job", "Picture", "WaitInterrupted"]
