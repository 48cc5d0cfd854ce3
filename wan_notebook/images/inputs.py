"""Input images as plain data, and telling pictures by their first bytes or their class, without Pillow or NumPy."""

import hashlib
import io
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

UNFETCHED: Final = "url:"
SUFFIXES: Final = MappingProxyType(
    {
        "image/png": ".png",
        "image/jpeg": ".jpg",
        "image/webp": ".webp",
        "image/bmp": ".bmp",
        "image/gif": ".gif",
        "image/tiff": ".tif",
        "image/avif": ".avif",
        "image/heic": ".heic",
        "video/mp4": ".mp4",
        "video/webm": ".webm",
    }
)
_PICTURE_SUFFIXES: Final = (".jpeg", ".jfif", ".tiff", *(s for m, s in SUFFIXES.items() if m.startswith("image/")))
_SIGNATURES: Final = (  # offset, bytes, type
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"II+\0", "image/tiff"),
    (0, b"MM\0+", "image/tiff"),
    (4, b"ftypavi", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypmsf1", "image/heic"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
_GIVE_A_PICTURE: Final = "Give a picture file: PNG, JPEG, WebP, BMP, GIF, TIFF or AVIF."
_PIXELS_ONLY: Final = "Only pixels can be sent: export it as PNG."
_PULL: Final = "Run `git lfs pull` in its folder, then retry."
_OTHER_CONTENT: Final = (  # beginning in lower case, what it is, hint
    (b"version https://git-lfs", "a Git LFS pointer, not the picture", _PULL),
    (b"<svg", "an SVG drawing", _PIXELS_ONLY),
    (b"<?xml", "an SVG drawing or other XML", _PIXELS_ONLY),
    (b"<!doctype html", "an HTML page, not a picture", _GIVE_A_PICTURE),
    (b"<html", "an HTML page, not a picture", _GIVE_A_PICTURE),
    (b"%pdf", "a PDF document, not a picture", _GIVE_A_PICTURE),
    (b"pk\x03\x04", "a ZIP archive, not a picture", _GIVE_A_PICTURE),
    (b"\x1f\x8b", "a gzip archive, not a picture", _GIVE_A_PICTURE),
)


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


def mime_of(data: bytes) -> str | None:
    """Return the MIME type of a picture or video by its first bytes, or None for anything else."""
    return next((mime for start, magic, mime in _SIGNATURES if data[start : start + len(magic)] == magic), None)


def is_picture(data: bytes) -> bool:
    """Tell whether bytes begin like a picture of a common format."""
    return (mime_of(data) or "").startswith("image/")


def content_of(data: bytes) -> tuple[str, str]:
    """Say what bytes are that Pillow cannot read, and what to do about it."""
    head = data[:512].lstrip().lower()
    for start, what, hint in _OTHER_CONTENT:
        if head.startswith(start):
            return what, hint
    what = "not in a known picture format"
    if mime_of(data):
        what = "damaged" if is_picture(data) else "a video, not a picture"
    elif all(byte > 8 for byte in head):  # text holds no such bytes, other files hardly ever hold none
        what = "text, not a picture" if data else "empty"
    return what, _GIVE_A_PICTURE


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
        if isinstance(value, io.BytesIO):
            value = value.getbuffer()
        if isinstance(value, bytes | bytearray | memoryview):
            return is_picture(bytes(value[:32]))
        if isinstance(value, str | PurePath):
            text = str(value)[:4096].strip().lower()
            place = text.split("?")[0].split("#")[0] if text.startswith(("http://", "https://")) else text
            return text.startswith("data:image/") or (place.endswith(_PICTURE_SUFFIXES) and "\n" not in text)
        draws = (method_of(value, name) for name in ("savefig", "_repr_png_", "_repr_jpeg_"))
        return issubclass(type(value), InputImage) or is_instance(value, "PIL.Image", "Image") or any(draws)
    except Exception:  # noqa: BLE001 - a foreign class may raise anything, and a guess is not worth an error
        return False
