"""What bytes say about themselves: the vocabulary that the readers of the single formats share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from wan_notebook.errors import WanError

MAX_PIXELS: Final = 120_000_000
"""More declared pixels than this are called a decompression bomb; the largest cameras have some 100 million."""

FORMAT_NAME: Final = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WebP",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
    "image/heic": "HEIC",
    "video/mp4": "MP4 video",
    "video/webm": "WebM video",
}

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_OTHER_KINDS: Final = ((b"%PDF", "a PDF document"), (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "a gzip archive"))
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})
_BMP_HEADER_SIZES: Final = frozenset({12, 40, 52, 56, 64, 108, 124})


class NotAPictureError(WanError):
    """Bytes are no picture, or no whole one.

    ``kind`` is ``not-image``, ``truncated``, ``corrupt`` or ``too-large``.
    """

    def __init__(self, message: str, *, kind: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


@dataclass(frozen=True)
class PictureFacts:
    """Format and size, as the header states them."""

    mime: str
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Container:
    """One file, looked through from end to end without decoding a pixel.

    ``plain`` says that the pixels are stored as 8-bit RGB without transparency, so that they may be sent as they are;
    ``pieces`` are then the ranges of ``source`` (or bytes in their place) that are picture and not metadata.
    ``may_be_turned`` asks to look up the orientation in Exif or XMP.
    """

    source: bytes
    mime: str
    width_px: int
    height_px: int
    plain: bool = False
    pieces: tuple[tuple[int, int] | bytes, ...] = ()
    icc: bytes = b""
    may_be_turned: bool = False
    animated: bool = False

    @property
    def facts(self) -> PictureFacts:
        """Format and size."""
        return PictureFacts(self.mime, self.width_px, self.height_px)

    @cached_property
    def clean(self) -> bytes:
        """The same picture without metadata; the very object that was given if there is none."""
        joined = b"".join(p if isinstance(p, bytes) else self.source[p[0] : p[1]] for p in self.pieces)
        return self.source if joined == self.source else joined


def truncated(what: str) -> NotAPictureError:
    """Return the error for a file that ends too early."""
    return NotAPictureError(f"the file is cut off: {what}", kind="truncated")


def corrupt(what: str) -> NotAPictureError:
    """Return the error for a file that is damaged."""
    return NotAPictureError(f"the file is damaged: {what}", kind="corrupt")


def mime_of(data: bytes) -> str | None:
    """Tell the type of a picture or video by its first bytes; None for anything else."""
    head = bytes(data[:32])
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "image/bmp"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "image/avif"
        return "image/heic" if brand in _HEIC_BRANDS else "video/mp4"
    return None


def not_an_image(data: bytes) -> NotAPictureError:
    """Return the error for bytes of another kind, saying what they look like."""
    return NotAPictureError(f"the file is {_what_instead(data)}", kind="not-image")


def _what_instead(data: bytes) -> str:
    head = bytes(data[:512]).lstrip()
    if not data:
        return "empty"
    mime = mime_of(data)
    if mime is not None and mime.startswith("video/"):
        return "a video, not an image"
    for start, what in _OTHER_KINDS:
        if head.startswith(start):
            return f"{what}, not an image"
    lowered = head.lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, not an image"
    if b"<svg" in lowered:
        return "an SVG drawing; only pixels can be sent, so export it as PNG"
    # A character may be cut in two at byte 512; random bytes are never almost all text.
    text = data[:512].decode("utf-8", "replace")
    strange = sum(char == "\ufffd" or (char < " " and char not in "\t\n\r\f") for char in text)
    return "text, not an image" if strange <= 1 else "not an image of a known format"
