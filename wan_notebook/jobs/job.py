"""``Job``: what a person holds. It knows no IPython, and waiting for it works inside any running event loop.

The state itself is in the ledger and in ``TrackedJob``; a job reads it, waits for it and asks for changes.
"""

import asyncio
import datetime as dt
import json
import math
import os
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from ..database import SETTLED, JobRow, Status
from ..errors import JobError, JobNotSent, JobTimeout, NoSuchPictureError, require
from ..money import Cost, Total
from ..request import ImageRequest
from ..text import pluralize
from .picture import DISPLAY, Marked, Picture, save_copies
from .status import TrackedJob, all_settled, cost_of, error_of, status_line, status_words
from .worker import Worker

if TYPE_CHECKING:
    from PIL.Image import Image


HEARTBEAT_S = 0.2
"""An interrupt is noticed after this at the latest: neither a lock nor a sleeping event loop is woken by one."""

_FURTHEST_FIRST = [
    *(Status.IN_DOUBT, Status.FAILED, Status.REFUSED, Status.EXPIRED, Status.CANCELLED),
    *(Status.INTENT, Status.SENDING, Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED, Status.SAVED),
]
"""Statuses of one group's jobs, from the furthest from being saved."""


class WaitInterrupted(KeyboardInterrupt):
    """Only the waiting was interrupted; the job goes on."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(eq=False, repr=False)
class Job(Marked):
    """A request on its way and its result. Use it at once: whatever needs the result waits for it.

    A job covers one task of the service, or several that belong together (``-n 3`` without images, a seed sweep).

    Attributes
    ----------
    request : ImageRequest
        What was asked for, with the seed that was used.
    name : str
        The name that it was given (``--as``).
    replayed : collection of str
        The ids of those tasks whose result came from the store.
    shown_in : str
        Where it is displayed.

    Examples
    --------
    >>> job = wan.generate("a fox in snow", size="1:1", seed=5)
    >>> job.status
    'running'
    >>> job.images[0].size
    (1280, 1280)
    >>> job.cost
    $0.03
    """

    tracked: Sequence[TrackedJob]
    worker: Worker
    request: ImageRequest
    name: str = ""
    replayed: Collection[str] = ()
    shown_in: str = ""

    # What is known now -----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id in the history; of several tasks, the first one's."""
        return self.tracked[0].id

    @property
    def rows(self) -> tuple[JobRow, ...]:
        """The ledger's rows, one a task."""
        return tuple(tracked.row for tracked in self.tracked)

    @property
    def status(self) -> str:
        """``intent``, ``sending``, ``accepted``, ``running``, ``succeeded``, ``saved`` or how it ended otherwise.

        Of several tasks, the status of the one that is furthest from being saved.
        """
        running = [tracked.status for tracked in self.tracked if tracked.status not in SETTLED]
        statuses = running or [tracked.status for tracked in self.tracked]
        return min(statuses, key=_FURTHEST_FIRST.index).value

    @property
    def is_done(self) -> bool:
        """Whether waiting is over, well or badly."""
        return all(tracked.is_settled for tracked in self.tracked)

    @property
    def prompt(self) -> str:
        """The prompt as sent."""
        return self.request.prompt

    @property
    def mode(self) -> str:
        """``edit``, ``text to image`` or ``illustrated text``."""
        return self.request.mode.value

    @property
    def seed(self) -> int | None:
        """The seed; of several tasks, the first one's (see ``seeds``)."""
        return self.tracked[0].row.seed

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Every task's seed, in order."""
        return tuple(tracked.row.seed for tracked in self.tracked)

    @property
    def cost(self) -> Cost:
        """What it cost, with its source; unknown until the service or a price says so.

        Of several tasks it has an amount only if all have the same source and currency.
        """
        costs = [cost_of(row) for row in self.rows]
        if len(costs) == 1:
            return costs[0]
        amounts = [cost.amount for cost in costs if cost.amount is not None]
        if len(amounts) == len(costs) and len({(cost.source, cost.currency) for cost in costs}) == 1:
            return Cost(sum(amounts[1:], amounts[0]), costs[0].currency, costs[0].source, costs[0].note)
        return Cost(note=str(Total.of(costs)), parts=tuple(costs))

    @property
    def missing(self) -> int:
        """How many pictures were asked for and did not come, as far as that is settled."""
        return sum(tracked.row.missing or 0 for tracked in self.tracked if tracked.is_settled)

    # Waiting ---------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job is over, without raising if it failed. An interrupt ends the waiting, never the job.

        Parameters
        ----------
        timeout : float, optional
            The longest wait in seconds; without it, as long as it takes.

        Returns
        -------
        bool
            Whether it is over.

        Raises
        ------
        JobError
            If waiting would be in vain, because nobody can go on with the job before a person acts.
        """
        if timeout is not None:
            require("timeout", timeout, int | float, "seconds, such as 60", least=0)
        settled, until_s = self._settled(), math.inf if timeout is None else time.monotonic() + timeout
        try:
            while not settled.done():
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return False
                futures.wait([settled], timeout=min(left_s, HEARTBEAT_S))
        except KeyboardInterrupt:
            raise WaitInterrupted(self._come_back()) from None
        self._check_stopped()
        return True

    def result(self, timeout: float | None = None) -> "Job":
        """Wait for the pictures and return this job.

        Parameters
        ----------
        timeout : float, optional
            The longest wait in seconds; without it, as long as it takes.

        Raises
        ------
        JobError
            If it ended without its pictures: ``JobNotSent``, ``JobRefused``, ``JobFailed``, ``JobCancelled``,
            ``JobExpired`` or ``JobInDoubt``; ``JobTimeout`` if it goes on.

        Examples
        --------
        >>> wan.generate("a fox in snow").result().files
        """
        if not self.wait(timeout):
            hint = f"Wait for it with `%wan wait {self.id}`."
            raise JobTimeout(self.still_open(timeout or 0.0), job_id=self.id, hint=hint)
        return self._checked()

    def still_open(self, waited_s: float) -> str:
        """Say that it is not over after so many seconds, and what holds it up as far as that is known."""
        note = next((tracked.note for tracked in self.tracked if tracked.note and not tracked.is_settled), "")
        reason = f" ({note.rstrip('.')})" if note else ""
        return f"job {self.id} is still {self.status} after {waited_s:g} s{reason}; it goes on."

    def __await__(self) -> "Generator[Any, None, Job]":
        return self._waited().__await__()

    async def _waited(self) -> "Job":
        settled = asyncio.wrap_future(self._settled())
        try:
            while not settled.done():
                await asyncio.wait([settled], timeout=HEARTBEAT_S)
        except asyncio.CancelledError as cancelled:
            # The very error that came is raised: `asyncio.timeout` and task groups know their own by identity.
            cancelled.args = cancelled.args or (self._come_back(),)
            raise
        finally:
            settled.cancel()
        self._check_stopped()
        return self._checked()

    def add_done_callback(self, fn: "Callable[[Job], object]") -> None:
        """Call ``fn(job)`` once it is over, in a thread of its own: it may wait for other jobs."""
        call_back = self.worker.background.call_back
        all_settled(self.tracked).add_done_callback(lambda _: call_back(fn, self))

    def cancel(self) -> str:
        """Cancel it where the service can, and return what that means: what is still made, and what is paid.

        Jobs that were not sent yet are cancelled for free.
        """
        return self.worker.cancel(self.tracked)

    def _checked(self) -> "Job":
        for row in self.rows:
            if row.status is not Status.SAVED:
                raise error_of(row)
        return self

    def _settled(self) -> futures.Future[None]:
        if self.worker.owner.pid != os.getpid() and not self.is_done:
            message = f"job {self.id} was asked for by another process, from which this one was forked."
            raise JobError(message, job_id=self.id, hint="Wait for it there; wan.history() has it later.")
        return all_settled(self.tracked)

    def _check_stopped(self) -> None:
        for tracked in [tracked for tracked in self.tracked if tracked.stopped and not tracked.is_settled]:
            if tracked.status is Status.INTENT and tracked.request is None:
                message = f"job {tracked.id} was not sent; nothing was paid."
                raise JobNotSent(message, job_id=tracked.id, hint="Run the cell again to send it.")
            reason = tracked.stopped.rstrip(".")
            message = f"job {tracked.id} is {status_words(tracked.row)} and does not go on: {reason}."
            hint = "Fix the cause, then run `%wan resume`. Nothing is submitted twice."
            raise JobError(message, job_id=tracked.id, hint=hint)

    def _come_back(self) -> str:
        return (
            f"Stopped waiting; job {self.id} goes on ({self.status}) and its pictures will be fetched. "
            f"Come back with `%wan wait {self.id}` or `%wan show {self.id}`."
        )

    # The pictures ----------------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every saved picture, in order. Waits; raises ``JobError`` if the job failed and there is none."""
        self.wait()
        found = self.saved_pictures
        if not found:
            self._checked()
        return found

    @property
    def saved_pictures(self) -> tuple[Picture, ...]:
        """The pictures that are on disk now, without waiting."""
        pairs = [(tracked, picture) for tracked in self.tracked for picture in tracked.row.pictures if picture.saved_at]
        return tuple(Picture(self, index, tracked, row.index) for index, (tracked, row) in enumerate(pairs))

    @property
    def images(self) -> "list[Image]":
        """The pictures as PIL images. Waits."""
        return [picture.image for picture in self.pictures if picture.row.kind == "image"]

    @property
    def files(self) -> list[Path]:
        """Where the pictures are on disk. Waits."""
        return [picture.file for picture in self.pictures]

    @property
    def text(self) -> str:
        """The text between the pictures of illustrated text. Waits."""
        self.wait()
        return "\n\n".join(str(item["text"]) for row in self.rows for item in row.items if "text" in item)

    def save(self, path: str | Path, *, clean: bool = False, overwrite: bool = False) -> list[Path]:
        """Copy the pictures. Waits.

        Parameters
        ----------
        path : str or Path
            A file for one picture; a folder, or a name that gets numbers, for several. The ending says the format:
            .png byte for byte; .jpg, .jpeg and .webp converted at quality 95.
        clean : bool
            Leave the metadata out.
        overwrite : bool
            Replace files that do not carry metadata of wan_notebook. Our own are always replaced.

        Returns
        -------
        list of Path
            The files that were written.

        Raises
        ------
        StoreError
            If a file must not be replaced, an ending is not known, or the place cannot be written; the check comes
            before the first file.

        Examples
        --------
        >>> job.save("figures/")
        >>> job.save("fox.jpg", overwrite=True)
        """
        return save_copies(self.pictures, path, clean=clean, overwrite=overwrite)

    def __getitem__(self, index: int) -> Picture:
        require("index", index, SupportsIndex | slice, "the number of a picture: [0] is the first")
        pictures = self.pictures
        try:
            return pictures[index]
        except IndexError:
            message = f"job {self.id} has {pluralize(len(pictures), 'picture')}; [{index}] does not exist."
            raise NoSuchPictureError(message, hint="[0] is the first.") from None

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Picture]:
        return iter(self.pictures)

    def __bool__(self) -> bool:
        return True

    # Marks -----------------------------------------------------------------------------------------------------------

    def trash(self, on: bool = True) -> None:
        """Put the job into the trash; its files are deleted after 30 days, its record stays."""
        for tracked in self.tracked:
            self.worker.database.trash(tracked.id, bool(on))
        self.worker.refresh(self.tracked)

    def untrash(self) -> None:
        """Take the job out of the trash."""
        self.trash(False)

    def _marked(self) -> tuple[Worker, list[tuple[TrackedJob, int | None]]]:
        return self.worker, [(tracked, None) for tracked in self.tracked]

    # Showing and copying ---------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready data: request, seeds, statuses, files, costs.

        Times are ISO 8601 UTC and amounts decimal text; keys and signed addresses are left out.
        """
        return {
            "id": self.id,
            "status": self.status,
            "mode": self.mode,
            "request": self.request.canonical(with_seed=True),
            "cost": str(self.cost),
            "missing": self.missing,
            "jobs": [
                _record(row, _ROW_FIELDS)
                | {"inputs": [_record(given, _INPUT_FIELDS) for given in row.inputs]}
                | {"pictures": [_record(picture, _PICTURE_FIELDS) for picture in row.pictures]}
                for row in self.rows
            ],
        }

    def _ipython_display_(self) -> None:
        if not DISPLAY["show"](self):
            raise NotImplementedError  # IPython then asks for the bundle

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return status_line(self.rows, self.mode)


_ROW_FIELDS = (
    *("id", "status", "is_simulated", "provider", "model", "mode", "prompt", "negative_prompt", "parameters"),
    *("seed", "n", "size_tier", "name", "tags", "notebook", "cell_id", "user", "task_id", "request_id"),
    *("request_hash", "request_hash_with_seed", "group_id", "group_position", "duration_s", "missing", "items"),
    *("notes", "cost_amount", "cost_currency", "cost_source", "cost_note", "error_code", "error_message"),
    *("error_hint", "is_starred", "is_rejected", "versions", "usage"),
    *("created_at", "sending_at", "accepted_at", "first_running_at", "finished_at", "saved_at", "expires_at"),
)
_INPUT_FIELDS = ("position", "name", "sha256", "file", "width_px", "height_px", "mime", "source_job", "source_index")
_PICTURE_FIELDS = (
    *("index", "kind", "file", "sha256", "width_px", "height_px", "size_bytes", "mime", "note", "corrupt_file"),
    *("is_starred", "is_rejected"),
)


def _record(row: Any, fields: Sequence[str]) -> dict[str, Any]:
    """Return fields of a row as JSON holds them: times in ISO 8601 UTC, amounts as decimal text."""
    values = {name: getattr(row, name) for name in fields}
    for name, value in values.items():
        if name.endswith("_at") and value is not None:
            values[name] = dt.datetime.fromtimestamp(value, tz=dt.UTC).isoformat()
    plain: dict[str, Any] = json.loads(json.dumps(values, default=lambda value: f"{value:f}"))
    return plain
