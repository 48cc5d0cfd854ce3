"""Reading files with Pillow: whole or not, how large, and without their metadata.

Pillow opens, verifies and decodes. Ours is the walk through PNG chunks and JPEG segments, because re-encoding a file
to remove its metadata would change the picture.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from PIL import Image, UnidentifiedImageError

from ..errors import WanError
from ..text import one_line
from .inputs import is_picture, mime_of

MAX_PIXELS: Final = 120_000_000
"""More declared pixels are treated as a decompression bomb; the largest cameras have some 100 million."""
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS: Final = 100_000
# No EPS or WMF (they start programs) and no TGA (any bytes would do).
_FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "QOI", "PCX")
_GIVE_A_PICTURE: Final = "Give a picture file: PNG, JPEG, WebP, BMP, GIF, TIFF or AVIF."
_OTHER_CONTENT: Final = (  # first bytes, what it is, hint
    (
        rb"(?s).{4}ftyp(?:hei|mif1|msf1)",
        "a HEIC picture, which cannot be read here",
        "Export it as JPEG, or `pip install pillow-heif` and call pillow_heif.register_heif_opener().",
    ),
    (rb"(?s).{4}ftyp|\x1aE\xdf\xa3", "a video, not a picture", _GIVE_A_PICTURE),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer, not the picture",
        "Run `git lfs pull` in its folder.",
    ),
    (rb"\s*<(?:svg|\?xml)", "an SVG drawing or other XML", "Only pixels can be sent: export it as PNG."),
    (rb"(?i)\s*<(?:!doctype )?html", "an HTML page, not a picture", _GIVE_A_PICTURE),
    (rb"\Z", "empty", _GIVE_A_PICTURE),
    (rb"[\t-\xff]*\Z", "text, not a picture", _GIVE_A_PICTURE),
    (rb"", "not in a known picture format", _GIVE_A_PICTURE),
)
_PIXEL_CHUNKS: Final = (  # what says how the pixels are to be read, and nothing about who made them
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"),
    *(b"sRGB", b"gAMA", b"cHRM", b"cICP", b"sBIT", b"pHYs"),
)


@dataclass(eq=False, repr=False, kw_only=True)
class BadImageError(WanError, ValueError):
    """Something is not one whole picture that can be used; ``kind`` is corrupt, truncated, not-image or too-large."""

    kind: str = "corrupt"
    hint: str = "Save it anew as a picture file, or download it again."


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever Pillow or a foreign class raises about a picture into ``BadImageError``."""
    try:
        yield
    except WanError:  # already in our words
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except Exception as error:  # hostile bytes make Pillow's readers raise nearly anything, and so do other libraries
        raise BadImageError(f"it cannot be read ({one_line(f'{type(error).__name__}: {error}', 200)})") from error


def too_many_pixels(limit: int = MAX_PIXELS) -> BadImageError:
    """Return the error for a decompression bomb."""
    message = f"it declares more than {limit / 1e6:.0f} million pixels, too many to decode"
    return BadImageError(message, kind="too-large", hint="Make it smaller with an image editor first.")


def open_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture without decoding it. Raises ``BadImageError``."""
    # Pillow refuses a PNG with long texts, and reads a picture without them just as well.
    content = _png_without(data, b"iCCP", b"eXIf", b"acTL") if data.startswith(PNG_SIGNATURE) else data
    with decoding():
        try:
            picture = Image.open(io.BytesIO(content), formats=[*_FORMATS, *({"HEIF"} & Image.OPEN.keys())])
        except UnidentifiedImageError:
            if is_picture(data) and mime_of(data) != "image/heic":
                raise BadImageError("the file is damaged") from None
            what, hint = next(said for start, *said in _OTHER_CONTENT if re.match(start, data[:512]))
            raise BadImageError(f"the file is {what}", kind="not-image", hint=hint) from None
    if picture.width * picture.height > max_pixels:
        raise too_many_pixels(max_pixels)
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


def image_info(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[str, int, int]:
    """Check that bytes are one whole picture; return its MIME type, width and height. Raises as ``open_image`` does."""
    picture = open_verified(data, max_pixels=max_pixels)
    return mime_of(data) or Image.MIME.get(picture.format or "", "image/unknown"), picture.width, picture.height


def strip_metadata(data: bytes, *, keep_profile: bool = True) -> bytes:
    """Remove the metadata of a PNG or JPEG, and what follows its end, without touching a pixel.

    Any other file is returned as it is, and so is one that has nothing to remove (the very object that was given).
    ``keep_profile`` keeps a colour profile, which is part of the picture unless it is sRGB. Raises ``BadImageError``
    for a file that is cut off.
    """
    if data.startswith(PNG_SIGNATURE):
        return _png_without(data, *([b"iCCP"] if keep_profile else []))
    is_jpeg = data.startswith(b"\xff\xd8\xff")
    stripped = b"".join(_jpeg_pieces(data, keep_profile=keep_profile)) if is_jpeg else data
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


def _png_without(data: bytes, *kept: bytes) -> bytes:
    """Return a PNG with the chunks that are its pixels and those that are kept; the very object if that is all."""
    pieces = [(start, end) for kind, start, end in png_chunks(data) if kind in _PIXEL_CHUNKS or kind in kept]
    if len(PNG_SIGNATURE) + sum(end - start for start, end in pieces) == len(data):
        return data
    return PNG_SIGNATURE + b"".join(data[start:end] for start, end in pieces)


def _jpeg_pieces(data: bytes, *, keep_profile: bool) -> Iterator[bytes]:
    """Yield what decoding needs: no Exif, XMP, IPTC, comment or thumbnail, and nothing behind the end marker."""
    yield data[:2]
    start = 2
    while data[start : start + 2] != b"\xff\xd9":
        if data[start : start + 2] == b"\xff\xff":  # fill bytes may stand in front of a marker
            start += 1
            continue
        marker, body = data[start + 1 : start + 2], start + 4
        end = start + 2 + int.from_bytes(data[start + 2 : body])
        if max(end, body) > len(data):
            raise BadImageError("the file is cut off: its end marker is missing", kind="truncated")
        if data[start] != 0xFF or end < body:
            raise BadImageError(f"the file is damaged: there is no segment at byte {start}")
        if marker == b"\xda":  # start of scan: the coded data behind it, in which FF is followed by 00 or D0 to D7
            found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, end)
            end = found.start() if found else len(data)
        if marker == b"\xe0" and data.startswith(b"JFIF\0", body) and end - body >= 14:  # without its thumbnail
            yield b"\xff\xe0\x00\x10" + data[body : body + 12] + b"\0\0"
        elif (
            not (b"\xe0" <= marker <= b"\xef" or marker == b"\xfe")
            or marker + data[body : body + 5] == b"\xeeAdobe"  # says how colour is coded
            or (keep_profile and marker + data[body : body + 12] == b"\xe2ICC_PROFILE\0")
        ):
            yield data[start:end]
        start = end
    yield b"\xff\xd9"
