"""One checked input picture, as plain data: what ``images.py`` makes and everything above it carries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

UNFETCHED: Final = "url:"


@dataclass(frozen=True)
class InputImage:
    """A picture that may be uploaded as it is.

    ``identity`` is a tagged hash of what the person gave (original bytes, or mode, size and pixels of a picture in
    memory), so that a fingerprint does not change with an encoder's version; ``data`` are the bytes that are sent.
    ``source_job`` and ``source_index`` say which earlier result it was, if any.
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
    """One picture of a job by its index, as a person wrote it: looking it up in Python would wait for the job."""

    job: object
    index: int


def is_job(value: object) -> bool:
    """Tell a job by its type, without asking it anything: its properties may wait."""
    return not isinstance(value, type) and all(hasattr(type(value), name) for name in ("result", "images", "files"))


@dataclass(frozen=True)
class PendingImage:
    """A picture of a job that is not finished yet: waited for in the background, then sent.

    Where nothing may be fetched, such as in a dry run, it stands for an address too: ``UNFETCHED`` before it.
    """

    name: str
    job_id: str
    index: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether it is an address that was not fetched, rather than a job's picture."""
        return self.job_id.startswith(UNFETCHED)
