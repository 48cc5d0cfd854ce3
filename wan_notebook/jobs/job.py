"""``Job`` and ``Picture``: what a person holds. They know no IPython; waiting works inside any running event loop.

The state itself is in the ledger and in ``TrackedJob``; a job reads it, waits for it and asks for changes.
"""

import asyncio
import datetime as dt
import io
import json
import math
import os
import textwrap
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from ..database import SETTLED, JobRow, PictureRow, Status
from ..errors import JobError, JobNotSent, JobTimeout, NoSuchPictureError, RecipeError, StoreError, require
from ..files import atomic_write, explained
from ..images import BadImageError, open_image, plain_rgb
from ..metadata import embed, exif_block, read_metadata, strip
from ..money import Cost, Total
from ..request import ImageRequest
from ..storage import refuse_kept
from ..text import pluralize
from .status import TrackedJob, all_settled, cost_of, error_of, status_line, status_words
from .worker import Worker

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray
    from PIL.Image import Image

HEARTBEAT_S = 0.2
"""An interrupt is noticed after this at the latest: neither a lock nor a sleeping event loop is woken by one."""

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_FURTHEST_FIRST = [
    *(Status.IN_DOUBT, Status.FAILED, Status.REFUSED, Status.EXPIRED, Status.CANCELLED),
    *(Status.INTENT, Status.SENDING, Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED, Status.SAVED),
]
"""Statuses of one group's jobs, from the furthest from being saved."""

DISPLAY: dict[str, Callable[..., Any]] = {
    "show": lambda _job: False,
    "bundle": lambda _shown: None,
    "cell": lambda _job, _session: "",
}


def set_display(show: Callable[[Any], bool], bundle: Callable[[Any], Any], cell: Callable[[Any, Any], str]) -> None:
    """Say how jobs and pictures show themselves in a cell: this layer knows no display.

    Parameters
    ----------
    show : callable
        Displays a job, live where that is possible, and returns whether it did.
    bundle : callable
        Returns the static MIME bundle ``(data, metadata)`` of a job or a picture, or None: IPython shows the repr.
    cell : callable
        Writes the ``%%wan`` cell that asks for a job, which it is given with its session.
    """
    DISPLAY.update(show=show, bundle=bundle, cell=cell)


class Marked:
    """What jobs and pictures have in common: marks and tags, display, and copies that are the same object."""

    def star(self) -> None:
        """Mark it as one of the chosen."""
        self.mark(is_starred=True)

    def unstar(self) -> None:
        """Take the star away."""
        self.mark(is_starred=False)

    def reject(self, on: bool = True) -> None:
        """Hide it from galleries; ``reject(False)`` shows it again."""
        self.mark(is_rejected=bool(on))

    def mark(self, **marks: bool) -> None:
        """Set ``is_starred`` or ``is_rejected``."""
        worker, marked = self._marked()
        for tracked, index in marked:
            worker.database.mark(tracked.id, index, **marks)
        worker.refresh([tracked for tracked, _ in marked])

    def tag(self, *tags: str, remove: str | Iterable[str] = ()) -> tuple[str, ...]:
        """Add and remove tags of the job, or of the task that made the picture; return those that it has now.

        Examples
        --------
        >>> job.tag("study", "winter", remove=["draft"])
        ('study', 'winter')
        """
        worker, marked = self._marked()
        gone = (remove,) if isinstance(remove, str) else tuple(remove)
        for tag in (*tags, *gone):
            require("tag", tag, str, "text, such as 'study'")
        left = [worker.tag(tracked.id, tags, gone) for tracked, _ in marked]
        worker.refresh([tracked for tracked, _ in marked])
        return tuple(left[0])

    def _marked(self) -> tuple[Worker, list[tuple[TrackedJob, int | None]]]:
        """Return the tasks that a mark is for, each with the index of the one picture that is meant, or None."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return DISPLAY["bundle"](self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> Self:
        return self  # what it stands for exists once


@dataclass(frozen=True)
class Picture(Marked):
    """One picture of a job, as ``job[0]`` gives it.

    Attributes
    ----------
    job : Job
        The job that made it.
    index : int
        Its number within the job, from 0.
    tracked : TrackedJob
        The task of the service that made it.

    Examples
    --------
    >>> best = wan.generate("a fox in snow", seed=5)[0]
    >>> best.save("fox.jpg")
    >>> best.star()
    >>> numpy.asarray(best).shape
    (1280, 1280, 3)
    """

    job: "Job"
    index: int
    tracked: TrackedJob
    position: int
    """Its index within the task's row, which is another one where a job has several tasks."""

    @property
    def row(self) -> PictureRow:
        """The newest record of the picture in the ledger."""
        return next(picture for picture in self.tracked.row.pictures if picture.index == self.position)

    @property
    def file(self) -> Path:
        """The full picture on disk."""
        return self.job.worker.storage.path(self.row.file)

    @property
    def image(self) -> "Image":
        """The picture as a PIL image (RGB). Raises ``StoreError`` if its file is gone or damaged."""
        try:
            return open_image(self.job.worker.storage.read(self.row.file)).convert("RGB")
        except BadImageError as error:
            message = f"the picture {self.file} cannot be opened: {error.message}."
            raise StoreError(message, hint="`%wan verify` lists what is missing or damaged.") from error

    def thumbnail(self, size_px: int = 512) -> "Image":
        """Return a smaller copy as a PIL image, for figures that show many pictures.

        Parameters
        ----------
        size_px : int
            The longer side in pixels, at most.
        """
        require("size_px", size_px, int, "a number of pixels, such as 512", least=1)
        image = self.image
        image.thumbnail((size_px, size_px))
        return image

    def __array__(self, dtype: "DTypeLike | None" = None, copy: bool | None = None) -> "NDArray[Any]":
        import numpy as np

        if copy is False:
            raise ValueError("a picture's pixels are decoded from its file, so an array of them is always a copy")
        return np.array(self.image, dtype=dtype)

    @property
    def seed(self) -> int | None:
        """The seed that it was made with; pictures of one task share it."""
        return self.tracked.row.seed

    @property
    def data(self) -> bytes:
        """The file's bytes as the service sent them, without metadata of ours."""
        return strip(self.job.worker.storage.read(self.row.file))

    def save(self, path: str | Path, *, clean: bool = False, overwrite: bool = False) -> Path:
        """Copy the picture to a file.

        Parameters
        ----------
        path : str or Path
            A file whose ending says the format (.png byte for byte; .jpg, .jpeg and .webp converted at quality 95),
            or a folder, which gets the picture under its own name.
        clean : bool
            Leave the metadata out.
        overwrite : bool
            Replace a file that does not carry metadata of wan_notebook. Our own are always replaced.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        StoreError
            If the ending is not known, the file must not be replaced, or the place cannot be written.
        """
        return save_copies([self], path, clean=clean, overwrite=overwrite)[0]

    def _marked(self) -> tuple[Worker, list[tuple[TrackedJob, int | None]]]:
        return self.job.worker, [(self.tracked, self.position)]

    def __reduce__(self) -> tuple[Any, ...]:
        return getitem, (self.job, self.index)

    def __repr__(self) -> str:
        size = f"{self.row.width_px}×{self.row.height_px}"
        return f"<Picture {self.index} of job {self.tracked.id}: {size}, seed {self.seed}, {self.row.file}>"


class WaitInterrupted(KeyboardInterrupt):
    """Only the waiting was interrupted; the job goes on."""

    def _render_traceback_(self) -> list[str]:
        return textwrap.wrap(str(self), 88, break_long_words=False, break_on_hyphens=False)


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
    notes : sequence of str
        Remarks on this call, if it made nothing new whose row would hold them.
    shown_in : str
        Where it is displayed.
    columns : mapping
        The columns of its batch row; empty for others.

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
    notes: Sequence[str] = ()
    shown_in: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

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
        statuses = [tracked.status for tracked in self.tracked]
        running = [status for status in statuses if status not in SETTLED]
        return min(running or statuses, key=_FURTHEST_FIRST.index).value

    @property
    def is_done(self) -> bool:
        """Whether waiting is over, well or badly."""
        return all(tracked.status in SETTLED for tracked in self.tracked)

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
        first, amounts = costs[0], [cost.amount for cost in costs if cost.amount is not None]
        if len(amounts) == len(costs) and len({(cost.source, cost.currency) for cost in costs}) == 1:
            return Cost(sum(amounts[1:], amounts[0]), first.currency, first.source, first.note)
        return Cost(note=str(Total.of(costs)), parts=tuple(costs)) if len(costs) > 1 else first

    @property
    def missing(self) -> int:
        """How many pictures were asked for and did not come, as far as that is settled."""
        return sum(tracked.row.missing or 0 for tracked in self.tracked if tracked.status in SETTLED)

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
            while not settled.done() and (left_s := until_s - time.monotonic()) > 0:
                futures.wait([settled], timeout=min(left_s, HEARTBEAT_S))
        except KeyboardInterrupt:
            raise WaitInterrupted(self._come_back()) from None
        if settled.done():
            self._check_stopped()
        return settled.done()

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
        slow = [tracked for tracked in self.tracked if tracked.status not in SETTLED] or self.tracked
        notes = [tracked.note.rstrip(".") for tracked in slow if tracked.note]
        reason = f" ({notes[0]})" if notes else ""
        return f"job {self.id} is still {status_words(slow[0].row)} after {waited_s:g} s{reason}; it goes on."

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
        all_settled(self.tracked).add_done_callback(lambda _: self.worker.background.call_back(fn, self))

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
        for job in [tracked for tracked in self.tracked if tracked.stopped and tracked.status not in SETTLED]:
            state = f"job {job.id} is {status_words(job.row)} and does not go on: {job.stopped.rstrip('.')}."
            if job.status is Status.INTENT and job.request is None:
                raise JobNotSent(state, job_id=job.id, hint="Run the cell again to send it.")
            hint = "Fix the cause, then run `%wan resume`. Nothing is submitted twice."
            raise JobError(state, job_id=job.id, hint=hint)

    def _come_back(self) -> str:
        return (
            f"Stopped waiting; job {self.id} goes on and its pictures will be fetched. "
            f"Come back with `%wan wait {self.id}` or `%wan show {self.id}`."
        )

    # The pictures ----------------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every saved picture, in order. Waits; raises ``JobError`` if the job failed and there is none."""
        self.wait()
        return self.saved_pictures or self._checked().saved_pictures

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

    def __repr__(self) -> str:
        return status_line(self.rows, self.mode)


# Copies ------------------------------------------------------------------------------------------------------------


def save_copies(pictures: Sequence[Picture], path: str | Path, *, clean: bool, overwrite: bool) -> list[Path]:
    """Copy pictures in the formats that their names say; all are checked before the first is written.

    Raises
    ------
    StoreError
        If an ending is not known, if a file is there that was not made here (unless ``overwrite``) or that the
        project keeps, or if the place cannot be written.
    """
    require("path", path, str | os.PathLike, "a file such as 'fox.png', or a folder")
    if not pictures:  # the ledger says that they are saved, and what it says of each is damaged
        raise StoreError("There is no picture to save.", hint="`%wan verify` says what is missing.")
    storage, wanted = pictures[0].job.worker.storage, []
    with explained(path):
        targets = _targets_of(path, [picture.file.name for picture in pictures])
        for picture, target in zip(pictures, targets, strict=True):
            data = picture.data if clean else storage.read(picture.row.file)
            data = _converted(data, picture.file.suffix.lower(), target)
            if _is_wanted(target, data, overwrite=overwrite):
                wanted.append((target, data))
        for target, data in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(target.resolve(), data)  # a link stays a link
    return targets


def _targets_of(given: str | Path, names: Sequence[str]) -> list[Path]:
    """Return where pictures go: into a folder by their names, else to this file, or to numbered files for several.

    A name without ending gets the picture's own for one picture, and is a folder for several.
    """
    path, is_one = Path(given).expanduser(), len(names) == 1
    if str(given).endswith(("/", os.sep)) or path.is_dir() or not (path.suffix or is_one):
        return [path / name for name in names]
    if is_one:
        return [path if path.suffix else path.with_name(f"{path.name}{Path(names[0]).suffix}")]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(names) + 1)]


def _converted(data: bytes, own: str, target: Path) -> bytes:
    """Return a picture in the format that a file name says; ``own`` is its own ending."""
    wanted = target.suffix.lower()
    if FORMATS.get(wanted, wanted) == FORMATS.get(own, own):
        return data
    if wanted not in FORMATS or own in (".mp4", ".webm"):
        known = own if wanted in FORMATS else ", ".join(dict.fromkeys((*FORMATS, own)))
        raise StoreError(f"{target.name}: this picture cannot be saved as {wanted}.", hint=f"Known endings: {known}.")
    buffer, metadata = io.BytesIO(), None
    with suppress(RecipeError):  # damaged metadata must not cost the picture
        metadata = read_metadata(data)
    try:
        picture, _ = plain_rgb(open_image(data))
    except BadImageError as error:
        message = f"the picture cannot be converted to {wanted}: {error.message}."
        raise StoreError(message, hint=f"Save it as {own}, byte for byte.") from error
    exif = {} if wanted == ".png" else {"exif": exif_block(metadata) if metadata else b""}
    picture.save(buffer, FORMATS[wanted], quality=95, **exif)
    return embed(buffer.getvalue(), metadata) if metadata and not exif else buffer.getvalue()


def _is_wanted(path: Path, data: bytes, *, overwrite: bool) -> bool:
    """Say whether a file is to be written, since it does not hold these bytes yet.

    Raises ``StoreError`` if what is there must not be replaced.
    """
    if not path.exists():
        return True
    old = path.read_bytes() if path.is_file() else b""
    if old != data:
        refuse_kept(path)
    is_ours = overwrite and path.is_file()
    with suppress(RecipeError):  # damaged or of a newer version: not ours to throw away
        is_ours = is_ours or old == data or read_metadata(old) is not None
    if not is_ours:
        message = f"{path} exists and does not carry metadata of wan_notebook: it was left alone."
        raise StoreError(message, hint="Choose another name, or use `--force` (`overwrite=True` in Python).")
    return old != data


# Records ----------------------------------------------------------------------------------------------------------

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
    times = {name: value for name, value in values.items() if name.endswith("_at") and value is not None}
    values |= {name: dt.datetime.fromtimestamp(value, tz=dt.UTC).isoformat() for name, value in times.items()}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=lambda value: f"{value:f}"))
    return plain
