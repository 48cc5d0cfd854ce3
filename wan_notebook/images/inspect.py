"""Reading files with Pillow: whole or not, how large, and without their metadata.

Pillow opens, verifies and decodes. Ours is the walk through PNG chunks and JPEG segments, because re-encoding a file
to remove its metadata would change the picture.
"""

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, UnidentifiedImageError

from ..errors import WanError
from .inputs import SUFFIXES, content_of, mime_of

MAX_PIXELS: Final = 120_000_000
"""More declared pixels are treated as a decompression bomb; the largest cameras have some 100 million."""
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS: Final = 100_000
# No EPS or WMF (they start programs) and no TGA (any bytes would do).
_FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "QOI", "PCX")
_COPY_AGAIN: Final = "Copy or download it again, or open it in an image editor and save it anew."
_WARNING_FILTERS: Final = threading.RLock()

# What says how the pixels are to be read, and nothing about who made them.
_PIXEL_CHUNKS: Final = (
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"),
    *(b"sRGB", b"gAMA", b"cHRM", b"cICP", b"sBIT", b"pHYs"),
)
_ORIENTATION_TEXTS: Final = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
_EOI: Final = b"\xff\xd9"
_FILL_BYTES: Final = re.compile(rb"\xff+(?=\xff)")
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data FF is followed by 00 or D0 to D7

FaultKind = Literal["not-image", "truncated", "corrupt", "too-large"]


class BadImageError(WanError, ValueError):
    """Something is not one whole picture that can be used; ``kind`` says in which way."""

    def __init__(self, message: str, *, kind: FaultKind = "corrupt", hint: str = _COPY_AGAIN) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


@dataclass(frozen=True)
class ImageInfo:
    """Format and size of a picture; ``suffix`` with its dot, such as ``.png``."""

    mime: str
    suffix: str
    width_px: int
    height_px: int


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever Pillow raises about a picture into ``BadImageError``."""
    try:
        yield
    except WanError:  # already in our words
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except Exception as error:  # hostile bytes make Pillow's readers raise nearly anything
        raise BadImageError(f"it cannot be decoded ({str(error) or type(error).__name__})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings about odd metadata and many pixels, one thread at a time."""
    # Filters belong to the process: two threads that restored them crosswise would silence it for good.
    with _WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def too_many_pixels(width_px: int = 0, height_px: int = 0, limit: int = MAX_PIXELS) -> BadImageError:
    """Return the error for a decompression bomb."""
    size = f"{width_px}×{height_px} = {width_px * height_px / 1e6:.0f} million" if width_px else "far too many"
    message = f"it declares {size} pixels; more than {limit / 1e6:.0f} million are not decoded"
    return BadImageError(message, kind="too-large", hint="Make it smaller with an image editor first.")


def open_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture without decoding it. Raises ``BadImageError``."""
    # Pillow refuses a PNG with long texts, and reads a picture without them just as well.
    content = _png_pieces(data, b"iCCP", b"eXIf", b"acTL") if data.startswith(PNG_SIGNATURE) else data
    formats = [*_FORMATS, "HEIF"] if "HEIF" in Image.OPEN else _FORMATS
    with decoding():
        try:
            picture = Image.open(io.BytesIO(content), formats=formats)
        except UnidentifiedImageError:
            if mime_of(data) == "image/heic":
                hint = "Export it as JPEG, or `pip install pillow-heif` and call pillow_heif.register_heif_opener()."
                raise BadImageError("HEIC pictures cannot be read here", kind="not-image", hint=hint) from None
            what, hint = content_of(data)
            kind: FaultKind = "corrupt" if what == "damaged" else "not-image"
            raise BadImageError(f"the file is {what}", kind=kind, hint=hint) from None
    if picture.width * picture.height > max_pixels:
        raise too_many_pixels(picture.width, picture.height, max_pixels)
    return picture


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open and decode a picture, the first frame of an animation.

    Raises
    ------
    BadImageError
        If the bytes are not a picture, are damaged or cut off, or declare more than ``max_pixels``.
    """
    picture = open_header(data, max_pixels=max_pixels)
    with decoding():
        picture.load()
    return picture


def open_verified(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture whose file is whole: a PNG by its checksums, any other by decoding. Raises ``BadImageError``."""
    if not data.startswith(PNG_SIGNATURE):
        strip_metadata(data)  # Pillow decodes a JPEG without its end marker
        return open_image(data, max_pixels=max_pixels)
    with decoding():
        open_header(data, max_pixels=max_pixels).verify()  # which uses the opened file up
    return open_header(data, max_pixels=max_pixels)


def image_info(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Check that bytes are one whole picture and return its format and size. Raises as ``open_image`` does."""
    picture = open_verified(data, max_pixels=max_pixels)
    mime = mime_of(data) or Image.MIME.get(picture.format or "", "application/octet-stream")
    return ImageInfo(mime, SUFFIXES.get(mime, f".{picture.format}".lower()), picture.width, picture.height)


def strip_metadata(data: bytes, *, keep_profile: bool = True) -> bytes:
    """Remove the metadata of a PNG or JPEG, and what follows its end, without touching a pixel.

    Any other file is returned as it is, and so is one that has nothing to remove (the very object that was given).
    ``keep_profile`` keeps a colour profile, which is part of the picture unless it is sRGB. Raises ``BadImageError``
    for a file that is cut off.
    """
    stripped = data
    if data.startswith(PNG_SIGNATURE):
        stripped = _png_pieces(data, b"iCCP") if keep_profile else _png_pieces(data)
    elif data.startswith(b"\xff\xd8\xff"):
        stripped = b"".join(_jpeg_pieces(data, keep_profile=keep_profile))
    return data if stripped == data else stripped


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Walk the chunks of a PNG up to IEND: kind, start and end; the content is ``data[start + 8 : end - 4]``.

    Raises ``BadImageError`` where the file ends too early. Checksums are not looked at.
    """
    end = len(PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        start, end = end, end + 12 + int.from_bytes(data[end : end + 4])
        if end > len(data):
            raise BadImageError("the file is cut off: its last part, IEND, is missing", kind="truncated")
        kind = data[start + 4 : start + 8]
        yield kind, start, end
        if kind == b"IEND":
            return
    raise BadImageError(f"the file is damaged: it has more than {_MAX_CHUNKS} chunks")


def _png_pieces(data: bytes, *extra: bytes) -> bytes:
    """Return a PNG with the chunks that are its pixels, the extra kinds, and with eXIf what else may turn it."""
    texts = _ORIENTATION_TEXTS if b"eXIf" in extra else ()
    return PNG_SIGNATURE + b"".join(
        data[start:end]
        for kind, start, end in png_chunks(data)
        if kind in _PIXEL_CHUNKS or kind in extra or data.startswith(texts, start + 8)
    )


def _jpeg_pieces(data: bytes, *, keep_profile: bool) -> Iterator[bytes]:
    """Yield what decoding needs: no Exif, XMP, IPTC, comment or thumbnail, and nothing behind the end marker."""
    yield data[:2]
    start = 2
    while data[start : start + 2] != _EOI:
        if fill := _FILL_BYTES.match(data, start):
            start = fill.end()
            continue
        marker, body = data[start + 1 : start + 2], start + 4
        end = start + 2 + int.from_bytes(data[start + 2 : body])
        if end > len(data):
            raise BadImageError("the file is cut off: its end marker is missing", kind="truncated")
        if data[start] != 0xFF or end < body:
            raise BadImageError(f"the file is damaged: there is no segment at byte {start}")
        if marker == b"\xda":  # start of scan: the coded data behind it belong to it
            found = _NEXT_MARKER.search(data, end)
            end = found.start() if found else len(data)
        is_profile = marker == b"\xe2" and data.startswith(b"ICC_PROFILE\0", body)
        if marker == b"\xe0" and data.startswith(b"JFIF\0", body) and end - body >= 14:
            yield b"\xff\xe0\x00\x10" + data[body : body + 12] + b"\0\0"
        elif marker == b"\xee" and data.startswith(b"Adobe", body) and end - body >= 12:  # says how colour is coded
            yield b"\xff\xee\x00\x0e" + data[body : body + 12]
        elif not (b"\xe0" <= marker <= b"\xef" or marker == b"\xfe") or (is_profile and keep_profile):
            yield data[start:end]
        start = end
    yield _EOI
