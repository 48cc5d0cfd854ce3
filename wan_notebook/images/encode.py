"""Files and pixels as uploads that the service accepts, changed as little as that takes."""

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from PIL import Image

from ..errors import ImageInputError
from ..models import REQUEST_BODY_MAX_BYTES, WAN26_IMAGE
from ..text import file_size
from .inputs import InputImage, PendingImage, mime_of
from .inspect import MAX_PIXELS, BadImageError, decoding, open_image, open_verified, strip_metadata, too_many_pixels
from .pixels import check_range, is_untouched, orientation_of, pixel_identity, plain_rgb, profile_of

_SIDE_MIN_PX: Final = WAN26_IMAGE.image_side_min_px
_SIDE_MAX_PX: Final = WAN26_IMAGE.image_side_max_px
_FILE_MAX_BYTES: Final = WAN26_IMAGE.image_file_max_bytes
_PLAIN_BMP: Final = b"\x36\0\0\0\x28\0\0\0" + b"\x18\0\0\0\0\0"  # offset 54, header 40; 24 bits, not packed
_PNG_MAX_PX: Final = 40_000_000
"""More pixels hardly ever fit into a PNG of the allowed size, and packing them takes seconds."""


def from_bytes(data: bytes, *, name: str) -> InputImage:
    """Check a file's bytes; a clean file of an accepted kind is sent byte for byte. Raises ``BadImageError``."""
    picture = open_verified(data)
    check_size(picture.size, picture.format or "file", "Image.open(…)")
    identity = identity_of_bytes(data)
    is_animated = picture.format != "MPO" and getattr(picture, "is_animated", False)
    first_frame = ("first frame of several",) if is_animated else ()
    with decoding():
        clean = _as_stored(picture, data)
        if clean is not None and len(clean) <= _FILE_MAX_BYTES:
            changes = () if clean is data else first_frame or ("metadata removed",)
            return InputImage(name, identity, clean, mime_of(clean) or "", *picture.size, changes)
        check_range(picture, "Image.open(…)")
        rgb, notes = plain_rgb(picture)
        return _encoded(rgb, first_frame + notes, name=name, identity=identity, is_jpeg=data.startswith(b"\xff\xd8"))


def from_pixels(picture: Image.Image, *, name: str, code: str) -> InputImage:
    """Check a picture in memory; it is sent as PNG, or as JPEG if it came from one or a PNG would be too large.

    ``code`` is Python code for the picture, for hints; empty for a drawing. Raises ``BadImageError``.
    """
    check_size(picture.size, f"{picture.mode} image", code)
    with decoding():
        picture.load()
        check_range(picture, code)
        identity = pixel_identity(picture, as_in_file=is_untouched(picture))
        rgb, notes = plain_rgb(picture)
        return _encoded(rgb, notes, name=name, identity=identity, is_jpeg=picture.format in ("JPEG", "MPO"))


def fit_request_body(
    images: Sequence[InputImage | PendingImage], max_bytes: int = REQUEST_BODY_MAX_BYTES
) -> tuple[tuple[InputImage | PendingImage, ...], tuple[str, ...]]:
    """Re-encode pictures until they fit into one request together.

    The largest comes first, as JPEG of quality 95 in its own size. A picture that this does not make smaller stays as
    it is, and so does one that is not there yet.

    Returns
    -------
    images, notes
        The same pictures in the same order, and one note for each that was changed.

    Raises
    ------
    ImageInputError
        If they still have more than ``max_bytes`` together; it names the largest.
    """
    fitted, notes = list(images), []
    known = {index: image for index, image in enumerate(images) if isinstance(image, InputImage)}
    for index, image in sorted(known.items(), key=lambda item: -item[1].size_bytes):
        if sum(image.size_bytes for image in known.values()) <= max_bytes:
            break
        data = _saved(plain_rgb(open_image(image.data))[0], "JPEG", quality=95, subsampling=0)
        if len(data) < image.size_bytes:
            known[index] = fitted[index] = replace(image, data=data, mime="image/jpeg")
            sizes = f"{file_size(image.size_bytes)} became {file_size(len(data))}"
            notes.append(f"{image.name}: {sizes} as JPEG of quality 95 (at most {file_size(max_bytes)} a request)")
    total = sum(image.size_bytes for image in known.values())
    if total > max_bytes:
        largest = max(known.values(), key=lambda image: image.size_bytes)
        message = f"the pictures have {file_size(total)} together, and {file_size(max_bytes)} are allowed."
        raise ImageInputError(largest.name, message, hint="Make this one smaller: it is the largest.")
    return tuple(fitted), tuple(notes)


def identity_of_bytes(data: bytes) -> str:
    """Return the identity of a file: its original bytes count, whatever is sent in their place."""
    return f"bytes:sha256:{hashlib.sha256(data).hexdigest()}"


def check_size(size: tuple[int, int], kind: str, code: str) -> None:
    """Raise ``BadImageError`` for a size that the service does not take and that reducing would not cure.

    ``code`` is Python code for the picture, for the hint; empty for a drawing.
    """
    short, long = sorted(size)
    shown = f"it is {size[0]}×{size[1]} px ({kind})"
    if short * long > MAX_PIXELS:
        raise too_many_pixels(*size)
    if short < 1:
        raise BadImageError(f"{shown}: it is empty", hint="Give a picture with pixels.")
    if long * _SIDE_MIN_PX > short * _SIDE_MAX_PX:
        message = f"{shown}; no side may be under {_SIDE_MIN_PX} or over {_SIDE_MAX_PX} px"
        raise BadImageError(message, hint=f"Crop it to a shape of at most {_SIDE_MAX_PX // _SIDE_MIN_PX}:1.")
    if short < _SIDE_MIN_PX:
        enlarged = tuple(math.ceil(side * _SIDE_MIN_PX / short) for side in size)
        hint = f"Enlarge it: {code}.resize({enlarged})." if code else f"Draw it larger, at least {enlarged} px."
        raise BadImageError(f"{shown}; each side must be at least {_SIDE_MIN_PX} px", hint=hint)


def _as_stored(picture: Image.Image, data: bytes) -> bytes | None:
    """Return a file without its metadata if its pixels may be sent as they are stored: 8-bit sRGB, opaque, upright."""
    if picture.mode != "RGB" or picture.has_transparency_data or max(picture.size) > _SIDE_MAX_PX:
        return None
    if orientation_of(picture) != 1 or profile_of(picture)[16:20] == b"RGB ":
        return None
    mime = mime_of(data)
    if mime == "image/jpeg" or (mime == "image/png" and data[24:26] == b"\x08\x02"):  # 8 bits, RGB
        return strip_metadata(data, keep_profile=False)
    # A WebP of one chunk, the pixels, has no room for metadata; nor has a plain BMP of 24 bits that ends where it says.
    is_bare_webp = mime == "image/webp" and len(data) - 21 <= int.from_bytes(data[16:20], "little")
    is_plain_bmp = data[10:18] + data[28:34] == _PLAIN_BMP and len(data) == int.from_bytes(data[2:6], "little")
    return data if is_bare_webp or is_plain_bmp else None


def _encoded(rgb: Image.Image, notes: tuple[str, ...], *, name: str, identity: str, is_jpeg: bool) -> InputImage:
    """Return pixels in the first encoding that fits: PNG for what was lossless, JPEG ever smaller, fewer pixels."""
    full = rgb.size
    scale = min(1.0, _SIDE_MAX_PX / max(full))
    steps = [("JPEG", {"quality": quality, "subsampling": chroma}) for quality, chroma in ((95, 0), (95, 2), (85, 2))]
    if not is_jpeg and math.prod(full) * scale**2 <= _PNG_MAX_PX:
        steps.insert(0, ("PNG", {"compress_level": 1}))  # three times as fast as the default for a tenth more bytes
    while True:
        size = (max(_SIDE_MIN_PX, round(full[0] * scale)), max(_SIDE_MIN_PX, round(full[1] * scale)))
        sized = rgb if size == full else rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        for format_name, options in steps:
            data = _saved(sized, format_name, **options)
            if len(data) <= _FILE_MAX_BYTES:
                if size != full or (format_name == "JPEG" and not is_jpeg):
                    limits = f"at most {_SIDE_MAX_PX} px a side and {file_size(_FILE_MAX_BYTES)} a file"
                    made = f"{size[0]}×{size[1]}, {file_size(len(data))} as {format_name}"
                    notes = (*notes, f"reduced from {full[0]}×{full[1]} to {made} ({limits})")
                return InputImage(name, identity, data, f"image/{format_name.lower()}", *size, notes)
        scale *= min(0.95, math.sqrt(0.97 * _FILE_MAX_BYTES / len(data)))
        steps = steps[-1:]


def _saved(rgb: Image.Image, format_name: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    rgb.save(buffer, format_name, **options)
    return buffer.getvalue()
