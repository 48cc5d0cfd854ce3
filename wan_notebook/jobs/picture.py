"""``Picture``: one picture of a job, with its file, its pixels and its marks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ..errors import StoreError
from .copying import Copy, targets_of, write_copies

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray
    from PIL.Image import Image

    from ..database import PictureRow
    from .job import Job
    from .tracked import TrackedJob


_display: dict[str, Callable[[Any], Any]] = {}


def set_display(show: Callable[[Any], bool], bundle: Callable[[Any], Any]) -> None:
    """Say how jobs and pictures show themselves in a cell: this layer knows no display.

    Parameters
    ----------
    show : callable
        Displays a job, live where that is possible, and returns whether it did.
    bundle : callable
        Returns the static MIME bundle ``(data, metadata)`` of a job or a picture, or None: IPython shows the repr.
    """
    _display.update(show=show, bundle=bundle)


def show(job: "Job") -> bool:
    """Display a job; return whether somebody did."""
    return "show" in _display and bool(_display["show"](job))


class Marked:
    """What jobs and pictures have in common: marks, display, and copies that are the same object."""

    def star(self) -> None:
        """Mark it as one of the chosen."""
        self._mark("star", on=True)

    def unstar(self) -> None:
        """Take the star away."""
        self._mark("star", on=False)

    def reject(self, on: bool = True) -> None:
        """Hide it from galleries; ``reject(False)`` shows it again."""
        self._mark("reject", on=on)

    def _mark(self, what: Literal["star", "reject"], *, on: bool) -> None:
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return _display["bundle"](self) if "bundle" in _display else None

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
    tracked: "TrackedJob"
    position: int
    """Its index within the task's row, which is another one where a job has several tasks."""

    @property
    def row(self) -> "PictureRow":
        """The newest record of the picture in the ledger."""
        return next(picture for picture in self.tracked.row.pictures if picture.index == self.position)

    @property
    def file(self) -> Path:
        """The full picture on disk."""
        return self.job.project.storage.path(self.row.file)

    @property
    def image(self) -> "Image":
        """The picture as a PIL image (RGB). Raises ``StoreError`` if its file is gone or damaged."""
        from ..images import BadImageError, open_image

        try:
            return open_image(self.job.project.storage.read(self.row.file)).convert("RGB")
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
        image = self.image
        image.thumbnail((size_px, size_px))
        return image

    def __array__(self, dtype: "DTypeLike | None" = None, copy: bool | None = None) -> "NDArray[Any]":
        import numpy as np

        if copy is False:
            message = "a picture's pixels are decoded from its file, so an array of them is always a copy"
            raise ValueError(message)
        return np.array(self.image, dtype=dtype)

    @property
    def seed(self) -> int | None:
        """The seed that it was made with; pictures of one task share it."""
        return self.tracked.row.seed

    @property
    def data(self) -> bytes:
        """The file's bytes as the service sent them, without metadata of ours."""
        from ..metadata import strip

        return strip(self.job.project.storage.read(self.row.file))

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
        copy = self.copy_to(targets_of(path, [self.file.name])[0], clean=clean)
        return write_copies([copy], project_folder=self.job.project.storage.folder, overwrite=overwrite)[0]

    def copy_to(self, path: Path, *, clean: bool) -> Copy:
        """Return what ``save`` writes, before it is converted and checked."""
        data = self.data if clean else self.job.project.storage.read(self.row.file)
        return Copy(path, data, self.file.suffix)

    def tag(self, *tags: str, remove: Iterable[str] = ()) -> tuple[str, ...]:
        """Add and remove tags of the picture's job; return those that it has now."""
        return self.job.tag(*tags, remove=remove)

    def _mark(self, what: Literal["star", "reject"], *, on: bool) -> None:
        getattr(self.job.project.database, what)(self.tracked.id, self.position, on)
        self.job.project.worker.refresh([self.tracked])

    def __reduce__(self) -> tuple[Any, ...]:
        return _picture_of, (self.job, self.index)

    def __repr__(self) -> str:
        size = f"{self.row.width_px}×{self.row.height_px}"
        return f"<Picture {self.index} of job {self.tracked.id}: {size}, seed {self.seed}, {self.file}>"


def _picture_of(job: "Job", index: int) -> Picture:
    return job[index]
