"""Input images as plain data, and telling pictures by their first bytes or their class, without Pillow or NumPy."""

import hashlib
import io
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

UNFETCHED: Final = "url:"
_KINDS: Final = {  # suffix, first bytes; more exact ones stand first
    "image/png": (".png", rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": (".jpg", rb"\xff\xd8\xff"),
    "image/webp": (".webp", rb".{8}WEBP"),
    "image/bmp": (".bmp", rb"BM"),
    "image/gif": (".gif", rb"GIF8"),
    "image/tiff": (".tif", rb"II[*+]\0|MM\0[*+]"),
    "image/avif": (".avif", rb".{4}ftypavi"),
    "image/heic": (".heic", rb".{4}ftyp(?:hei|mif1|msf1)"),
    "video/mp4": (".mp4", rb".{4}ftyp"),
    "video/webm": (".webm", rb"\x1aE\xdf\xa3"),
}
SUFFIXES: Final = MappingProxyType({mime: suffix for mime, (suffix, _) in _KINDS.items()})


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


@dataclass(frozen=True)
class PictureOf:
    """One picture of a job or of a job's id, named by its index: asking the job itself would wait until it is done."""

    job: object
    index: int | None


@dataclass(frozen=True)
class PendingImage:
    """A picture of an unfinished job, which is waited for in the background and then sent.

    A dry run fetches nothing, so there it also stands for an address: ``job_id`` then begins with ``UNFETCHED``.
    """

    name: str
    job_id: str
    index: int | None = None


def is_job(value: object) -> bool:
    """Tell a job by its class; no attribute of the job itself is read, because reading one may wait."""
    return not isinstance(value, type) and all(hasattr(type(value), name) for name in ("result", "images", "files"))


def mime_of(data: bytes) -> str | None:
    """Return the MIME type of a picture or video by its first bytes, or None for anything else."""
    return next((mime for mime, (_, start) in _KINDS.items() if re.match(start, data, re.DOTALL)), None)


def is_picture(data: bytes) -> bool:
    """Tell whether bytes begin like a picture of a common format."""
    return (mime_of(data) or "").startswith("image/")


def is_instance(value: object, module: str, name: str) -> bool:
    """Tell an instance of a class whose module may not be imported; then nothing can be one."""
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and issubclass(type(value), cls)


def method_of(value: object, name: str) -> Any | None:
    """Return a method that the value's class defines, bound; attributes made up on the fly do not count."""
    return getattr(value, name) if callable(getattr(type(value), name, None)) else None


def looks_like_image(value: Any) -> bool:
    """Guess for pickers and completion whether ``load_image`` takes a value; never raises, reads or draws."""
    try:
        if is_instance(value, "numpy", "ndarray"):  # small ones, and those of many channels, are tables of numbers
            height, width, *channels = value.shape
            is_pixels = value.dtype.kind == "f" or value.dtype.name == "uint8"
            return is_pixels and min(height, width) >= 16 and channels in ([], [1], [3], [4])
        if isinstance(value, bytes | bytearray | memoryview | io.BytesIO):
            return is_picture(bytes(value.getbuffer() if isinstance(value, io.BytesIO) else value[:32]))
        if isinstance(value, str | PurePath):
            text = str(value)[:4096].strip().lower()
            suffix = PurePath(re.split("[?#]", text)[0] if "://" in text[:8] else text).suffix
            is_known = suffix in (".jpeg", ".jfif", ".tiff", *SUFFIXES.values()) and suffix not in (".mp4", ".webm")
            return text.startswith("data:image/") or (is_known and "\n" not in text)
        draws = (method_of(value, name) for name in ("savefig", "_repr_png_", "_repr_jpeg_"))
        return issubclass(type(value), InputImage) or is_instance(value, "PIL.Image", "Image") or any(draws)
    except Exception:  # noqa: BLE001 - a foreign class may raise anything, and a guess is not worth an error
        return False
