"""From a value to input pictures: what ``-i`` and ``wan.generate(images=…)`` take."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from .database import SETTLED, Status
from .errors import ImageInputError, Problem, StoreError, WanError
from .images import UNFETCHED, InputImage, PendingImage, PictureOf, former_identity, load_image, mime_of
from .jobs import Job, Picture, TrackedJob, image_of_picture, status_words
from .project import Project
from .storage import Storage
from .text import pluralize

Inputs = tuple[InputImage | PendingImage, ...]
FETCHED: Final = "inputs/fetched-"
"""How the names of pictures from addresses begin."""


@dataclass(repr=False)  # a person's variables belong in no traceback
class Resolver:
    """Resolves the input values of one call.

    ``namespace`` holds the notebook's variables; ``project`` is the folder of pictures, None if there is none yet.
    ``download`` returns the bytes at an address, without any key. A dry run downloads nothing (``may_fetch``).
    """

    namespace: Mapping[str, Any]
    project: Project | None
    download: Callable[[str], bytes]
    may_fetch: bool = True

    def image(self, value: object, name: str) -> tuple[InputImage | PendingImage, ...]:
        """Return the pictures that a value is; a job without an index must have exactly one.

        Raises ``ImageInputError``.
        """
        if isinstance(value, Job):
            return (self._of_jobs(value.tracked, value.worker.storage, None, name),)
        if isinstance(value, PictureOf):
            if isinstance(value.job, Job):
                return (self._of_jobs(value.job.tracked, value.job.worker.storage, value.index, name),)
            return (self.job_image(str(value.job), value.index, name),)
        if isinstance(value, Picture):
            return (_of_picture(value.tracked, value.job.worker.storage, value.position, name),)
        if isinstance(value, list | tuple):
            return tuple(image for at, item in enumerate(value) for image in self.image(item, f"{name}[{at}]"))
        if isinstance(value, str) and value.strip().lower().startswith(("http://", "https://")):
            return (self._of_address(value.strip(), name),)
        if hasattr(type(value), "as_completed"):  # its display has a sheet of all, which would be taken for the picture
            raise ImageInputError(name, "it is a batch, not a picture.", hint=f"Choose one of its jobs: {name}[0].")
        return (load_image(value, name=name, fetch=self.download),)

    def former_image(self, value: object, name: str) -> InputImage | None:
        """Return a picture that is refused now as the first edition knew it, without data: to look up its results."""
        if (identity := former_identity(value)) is None:
            return None
        return InputImage(name=name, identity=identity, data=b"", mime="", width_px=0, height_px=0)

    def job_image(self, job_id: str, index: int | None, name: str) -> InputImage | PendingImage:
        """Return a picture of a job in the history, by the job's id. Raises ``ImageInputError``."""
        if self.project is None:
            raise ImageInputError(name, "there is no history here yet.", hint="Give a variable, a path or an address.")
        try:
            row = self.project.database.get(job_id)
        except StoreError as error:
            raise ImageInputError(name, error.message, hint=error.hint) from None
        return self._of_jobs([self.project.worker.track(row)], self.project.storage, index, name)

    def variable_name(self, value: object) -> str:
        """Return the notebook's variable that holds a picture in memory; empty if there is none."""
        return next((name for name, held in self.namespace.items() if held is value and name[:1] != "_"), "")

    def label(self, value: object) -> str:
        """Return what a person calls a value: the file's name, its text, or the variable that holds it."""
        if isinstance(value, str | Path):
            text = str(value)
            name = text if "://" in text or text[:5] == "data:" else Path(text).name  # records hold no local folders
            return name if len(name) < 200 else ""
        if name := self.variable_name(value):
            return name
        if isinstance(value, Picture):
            return f"{value.job.name or value.job.id}[{value.index}]"
        return value.name or value.id if isinstance(value, Job) else ""

    def inputs(self, given: object, field: str) -> tuple[Inputs, Inputs, list[Problem]]:
        """Return the pictures that a value is, the same as the first edition took them if some are refused, and why."""
        values = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
        found: list[InputImage | PendingImage] = []
        former: list[InputImage | PendingImage | None] = []
        problems: list[Problem] = []
        for number, value in enumerate(values, 1):
            label = self.label(value) or (f"{field} {number}" if field == "image" else field)
            try:
                images = self.image(value, label)
                found += images
                former += images
            except ImageInputError as error:
                problems += [replace(problem, field=field) for problem in error.problems]
                found.append(PendingImage(name=label, job_id=""))  # keeps the count, and so the mode
                former.append(self.former_image(value, label))
        whole = tuple(image for image in former if image is not None)
        return tuple(found), whole if problems and len(whole) == len(former) else (), problems

    # ------------------------------------------------------------------------------------------------------------------

    def _of_jobs(
        self, jobs: Sequence[TrackedJob], storage: Storage, index: int | None, name: str
    ) -> InputImage | PendingImage:
        """Return the picture of a call's tasks, which make theirs in order, or name the one that will make it."""
        is_open = any(job.status not in SETTLED for job in jobs)
        saved = [(job, p.index) for job in jobs for p in job.row.pictures if p.saved_at and p.kind == "image"]
        choices = [(job, at) for job in jobs for at in range(job.row.n)] if is_open else saved
        if not choices:
            unsaved = next((job for job in jobs if job.status is not Status.SAVED), jobs[0])
            message = f"job {jobs[0].id} is {status_words(unsaved.row)} and has no picture."
            raise ImageInputError(name, message, hint="Run its cell again.")
        count, at = len(choices), index or 0
        if (index is None and count > 1) or not -count <= at < count:
            message = f"the job {'makes' if is_open else 'has'} {pluralize(count, 'picture')}."
            base = name.split("[", 1)[0]
            base = base if base.isidentifier() or base.isalnum() else "job"  # `image 1` is not an expression
            raise ImageInputError(name, message, hint=f"Choose one: {base}[0] to {base}[{count - 1}].")
        job, position = choices[at]
        if not is_open:
            return _of_picture(job, storage, position, name)
        # Of one task it counts from the end once they are made: they may be fewer.
        return PendingImage(name=name, job_id=job.id, index=at if len(jobs) == 1 else position)

    def _of_address(self, url: str, name: str) -> InputImage | PendingImage:
        """Download an address once: what came is kept and serves every later run."""
        short = url.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1] or name
        key = "url:" + hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        kept = (self.project.database.meta_get(key) if self.project else "") or ""
        if self.project is not None and kept.startswith(FETCHED):  # a foreign ledger may name any file
            with suppress(WanError):  # the kept copy is gone: download it again
                return load_image(self.project.storage.read(kept), name=short)
        if not self.may_fetch:
            return PendingImage(name=short, job_id=UNFETCHED + url)
        download = cache(self.download)  # once for the picture and for what is kept
        image = load_image(url, name=short, fetch=download)
        if self.project is not None:
            data = download(url)
            suffix = (mime_of(data) or image.mime).rpartition("/")[2].replace("jpeg", "jpg")
            file = f"{FETCHED}{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"
            self.project.database.meta_set(key, self.project.storage.add(file, data))
        return image


def _of_picture(job: TrackedJob, storage: Storage, index: int, name: str) -> InputImage:
    picture = next(picture for picture in job.row.pictures if picture.index == index)
    return image_of_picture(storage, job.row, picture, name)
