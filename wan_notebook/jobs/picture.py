"""``Picture``: one picture of a job, with its file, its pixels, its marks, and copies of it elsewhere."""

import io
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import RecipeError, StoreError, require
from ..files import atomic_write, writing

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray
    from PIL.Image import Image

    from ..database import PictureRow
    from .job import Job
    from .status import TrackedJob
    from .worker import Worker

QUALITY = 95
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
OWN_MAX_BYTES = 256 * 1024 * 1024

DISPLAY: dict[str, Callable[[Any], Any]] = {"show": lambda _job: False, "bundle": lambda _shown: None}


def set_display(show: Callable[[Any], bool], bundle: Callable[[Any], Any]) -> None:
    """Say how jobs and pictures show themselves in a cell: this layer knows no display.

    Parameters
    ----------
    show : callable
        Displays a job, live where that is possible, and returns whether it did.
    bundle : callable
        Returns the static MIME bundle ``(data, metadata)`` of a job or a picture, or None: IPython shows the repr.
    """
    DISPLAY.update(show=show, bundle=bundle)


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
        left = [worker.database.tag(tracked.id, tags, gone) for tracked, _ in marked]
        worker.refresh([tracked for tracked, _ in marked])
        return tuple(left[0])

    def _marked(self) -> "tuple[Worker, list[tuple[TrackedJob, int | None]]]":
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
        return self.job.worker.storage.path(self.row.file)

    @property
    def image(self) -> "Image":
        """The picture as a PIL image (RGB). Raises ``StoreError`` if its file is gone or damaged."""
        from ..images import BadImageError, open_image

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

    def _marked(self) -> "tuple[Worker, list[tuple[TrackedJob, int | None]]]":
        return self.job.worker, [(self.tracked, self.position)]

    def __reduce__(self) -> tuple[Any, ...]:
        return getitem, (self.job, self.index)

    def __repr__(self) -> str:
        size = f"{self.row.width_px}×{self.row.height_px}"
        return f"<Picture {self.index} of job {self.tracked.id}: {size}, seed {self.seed}, {self.row.file}>"


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
    storage = pictures[0].job.worker.storage
    with writing(path):
        targets = _targets_of(path, [picture.file.name for picture in pictures])
        made = []
        for picture, target in zip(pictures, targets, strict=True):
            data = picture.data if clean else storage.read(picture.row.file)
            made.append((target, _converted(data, picture.file.suffix.lower(), target)))
        folder = storage.folder.resolve()
        wanted = [(target, data) for target, data in made if not _is_there(target, data, folder, overwrite=overwrite)]
        for target, data in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(target.resolve(), data)  # a link stays a link
    return targets


def _targets_of(given: str | Path, names: Sequence[str]) -> list[Path]:
    """Return where pictures go: into a folder by their names, else to this file, or to numbered files for several.

    A name without ending gets the picture's own for one picture, and is a folder for several. Raises ``StoreError``.
    """
    path = Path(given).expanduser()
    if str(given).endswith(("/", os.sep)) or os.path.isdir(path):  # noqa: PTH112 - says no for a name that is too long
        return [path / name for name in names]
    if len(names) == 1:
        return [path if path.suffix else path.with_name(f"{path.name}{Path(names[0]).suffix}")]
    if path.suffix:
        return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(names) + 1)]
    if os.path.isfile(path):  # noqa: PTH113
        message = f"{path} is a file, and {len(names)} pictures need a folder: nothing was written."
        raise StoreError(message, hint="Name a folder, or a file such as fox.png, which gets numbers.")
    return [path / name for name in names]


def _converted(data: bytes, own: str, target: Path) -> bytes:
    """Return a picture in the format that a file name says; ``own`` is its own ending."""
    from ..images import BadImageError, open_image, plain_rgb
    from ..metadata import embed, exif_block, read_metadata

    wanted = target.suffix.lower()
    if wanted == own or (wanted in FORMATS and FORMATS[wanted] == FORMATS.get(own)):
        return data
    if wanted not in FORMATS or own in (".mp4", ".webm"):
        known = own if wanted in FORMATS else ", ".join(dict.fromkeys((*FORMATS, own)))
        message = f"{target.name}: this picture cannot be saved as {wanted}."
        raise StoreError(message, hint=f"Known endings: {known}.")
    buffer, metadata = io.BytesIO(), None
    with suppress(RecipeError):  # damaged metadata must not cost the picture
        metadata = read_metadata(data)
    try:
        picture, _ = plain_rgb(open_image(data))
    except BadImageError as error:
        message = f"the picture cannot be converted to {wanted}: {error.message}."
        raise StoreError(message, hint=f"Save it as {own}, byte for byte.") from error
    options = {} if wanted == ".png" else {"exif": exif_block(metadata) if metadata else b""}
    picture.save(buffer, FORMATS[wanted], quality=QUALITY, **options)
    return embed(buffer.getvalue(), metadata) if metadata and wanted == ".png" else buffer.getvalue()


def _is_there(path: Path, data: bytes, project_folder: Path, *, overwrite: bool) -> bool:
    """Say whether a file holds these very bytes already. Raises ``StoreError`` if it must not be replaced."""
    from ..metadata import read_metadata

    if not path.exists():
        return False
    if not path.is_file():
        raise StoreError(f"{path} exists and is not a file: nothing was written.", hint="Choose another name.")
    old = path.read_bytes() if path.stat().st_size <= OWN_MAX_BYTES else b""
    if old == data:
        return True
    if path.resolve().is_relative_to(project_folder):
        message = f"{path} is in the folder of pictures, whose files are kept as they are: nothing was written."
        raise StoreError(message, hint="Choose another place.")
    is_ours = overwrite
    with suppress(RecipeError):  # damaged or of a newer version: not ours to throw away
        is_ours = is_ours or read_metadata(old) is not None
    if not is_ours:
        message = f"{path} exists and does not carry metadata of wan_notebook: it was left alone."
        raise StoreError(message, hint="Choose another name, or use `--force` (`overwrite=True` in Python).")
    return False
