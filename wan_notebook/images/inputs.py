"""Input images as plain data: what ``load_image`` returns and what a request carries."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

UNFETCHED: Final = "url:"


@dataclass(frozen=True)
class InputImage:
    """A checked picture, ready to upload.

    ``identity`` is a tagged hash of what was given (the original bytes, or mode, size and pixels of a picture in
    memory), so that a request hash does not depend on an encoder's version; ``data`` are the bytes that are sent.
    ``source_job`` and ``source_index`` name the earlier result that it is, if any.
    """

    name: str
    identity: str
    data: bytes = field(repr=False)
    mime: str
    width_px: int
    height_px: int
    notes: tuple[str, ...] = ()
    source_job: str = ""
    source_index: int | None = None
    former_identity: str = field(default="", compare=False, repr=False)
    """What the first edition called it, where that differs: its results are looked up by it too."""

    @cached_property
    def sha256(self) -> str:
        """Hash of the bytes that are sent, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Length of the upload."""
        return len(self.data)


@dataclass(frozen=True)
class PictureOf:
    """One picture of a job, named by its index: asking the job itself would wait until it is done."""

    job: object
    index: int


@dataclass(frozen=True)
class PendingImage:
    """A picture of an unfinished job, which is waited for in the background and then sent.

    A dry run fetches nothing, so there it also stands for an address: ``job_id`` then begins with ``UNFETCHED``.
    """

    name: str
    job_id: str
    index: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether this is an address that was not fetched."""
        return self.job_id.startswith(UNFETCHED)


def is_job(value: object) -> bool:
    """Tell a job by its class; no attribute of the job itself is read, because reading one may wait."""
    return not isinstance(value, type) and all(hasattr(type(value), name) for name in ("result", "images", "files"))
