"""Bytes or pixels to an upload that the service accepts, changed as little as that takes."""

from __future__ import annotations

import hashlib
import io
import math
from typing import TYPE_CHECKING, Final

from wan_notebook.catalog import IMAGE_FILE_MAX_BYTES, IMAGE_SIDE_MAX_PX, IMAGE_SIDE_MIN_PX
from wan_notebook.errors import ImageInputError
from wan_notebook.images.containers import inspect
from wan_notebook.images.facts import FORMAT_NAME, MAX_PIXELS, Container, NotAPictureError
from wan_notebook.images.pillow import open_picture, quietly, reading, too_large
from wan_notebook.images.pixels import is_srgb, orientation_of, pixel_identity, plain_rgb
from wan_notebook.inputs import InputImage

if TYPE_CHECKING:
    from PIL.Image import Image

# (quality, subsampling): full colour resolution first, then as small as a photograph bears without showing it.
_JPEG_LADDER: Final = ((95, 0), (95, 2), (90, 2), (85, 2))
_PNG_LEVEL: Final = 1  # three to four times as fast as the default for a tenth more bytes
_SAMPLE_PX: Final = 512
_CLEANED: Final = "metadata removed"
_FIRST_FRAME: Final = "first frame of several"
_HINTS: Final = {
    "not-image": "Give a picture file: PNG, JPEG, WebP, BMP, GIF, TIFF or AVIF.",
    "truncated": "Copy or download it again.",
    "corrupt": "Copy or download it again, or save it anew with an image editor.",
}
_RESIZED_FILE: Final = "Enlarge it, e.g. with PIL: Image.open(…).resize({size})."
RESIZED: Final = "Enlarge it: {name}.resize({size})."


def from_bytes(data: bytes, *, name: str) -> InputImage:
    """Check a file's bytes; what is acceptable and clean is returned byte for byte.

    Raises ImageInputError (WAN_API §1, input images).
    """
    identity = f"bytes:sha256:{hashlib.sha256(data).hexdigest()}"
    try:
        container = inspect(data)
        kind = FORMAT_NAME.get(container.mime, "")
        _check_size(container.width_px, container.height_px, name=name, kind=kind, enlarge=_RESIZED_FILE)
        if _may_stay(container) and len(container.clean) <= IMAGE_FILE_MAX_BYTES:
            clean = container.clean
            return InputImage(
                name=name,
                identity=identity,
                data=clean,
                mime=container.mime,
                width_px=container.width_px,
                height_px=container.height_px,
                notes=() if clean is data else (_FIRST_FRAME if container.animated else _CLEANED,),
            )
        with quietly(), reading():
            picture = open_picture(data, container.mime)
            picture.load()
            rgb, notes = plain_rgb(picture, owned=True)
            if container.animated:
                notes = (_FIRST_FRAME, *notes)
            lossy = container.mime == "image/jpeg"
            return _encoded(rgb, notes, name=name, identity=identity, lossy=lossy, given_bytes=len(data))
    except NotAPictureError as exc:
        raise ImageInputError(name, f"{exc.message}.", hint=exc.hint or _HINTS.get(exc.kind, "")) from exc


def from_pixels(picture: Image, *, name: str, enlarge: str = RESIZED) -> InputImage:
    """Check a picture in memory; it goes out as PNG, or as JPEG if it came from one or a PNG would be too large.

    ``enlarge`` says how one that is too small is enlarged, with ``{name}`` and ``{size}``.
    """
    try:
        _check_size(picture.width, picture.height, name=name, kind=f"{picture.mode} image", enlarge=enlarge)
        with quietly(), reading():
            picture.load()
            identity = pixel_identity(picture)
            lossy = picture.format in ("JPEG", "MPO")
            rgb, notes = plain_rgb(picture, owned=False)
            return _encoded(rgb, notes, name=name, identity=identity, lossy=lossy, given_bytes=0)
    except NotAPictureError as exc:
        hint = exc.hint or "Open it anew; it must show itself in a cell."
        raise ImageInputError(name, f"{exc.message}.", hint=hint) from exc


def _may_stay(container: Container) -> bool:
    """Whether the pixels may go out as they are stored: plain RGB in sRGB, upright, no side too long."""
    if not container.plain or max(container.width_px, container.height_px) > IMAGE_SIDE_MAX_PX:
        return False
    if container.icc and container.icc[16:20] == b"RGB " and not is_srgb(container.icc):
        return False
    if not container.may_be_turned:
        return True
    with quietly(), reading(), open_picture(container.source, container.mime) as picture:
        return orientation_of(picture) == 1


def _check_size(width_px: int, height_px: int, *, name: str, kind: str, enlarge: str) -> None:
    if width_px * height_px > MAX_PIXELS:
        raise too_large(width_px, height_px)
    what = f"it is {width_px}×{height_px} px ({kind})" if kind else f"it is {width_px}×{height_px} px"
    short, long = min(width_px, height_px), max(width_px, height_px)
    if short < 1:
        raise ImageInputError(name, f"{what}: it is empty.", hint="Give one with pixels.")
    widest = f"at most {IMAGE_SIDE_MAX_PX // IMAGE_SIDE_MIN_PX}:1"
    if short < IMAGE_SIDE_MIN_PX:
        rule = f"{what}; each side must be at least {IMAGE_SIDE_MIN_PX} px."
        factor = IMAGE_SIDE_MIN_PX / short
        new = (math.ceil(width_px * factor), math.ceil(height_px * factor))
        if max(new) > IMAGE_SIDE_MAX_PX:
            raise ImageInputError(name, rule, hint=f"Crop it to a shape of {widest}, then enlarge it.")
        expression = name if name.isidentifier() else "image"
        raise ImageInputError(name, rule, hint=enlarge.format(name=expression, size=f"({new[0]}, {new[1]})"))
    if long > IMAGE_SIDE_MAX_PX and short * IMAGE_SIDE_MAX_PX / long < IMAGE_SIDE_MIN_PX:
        left = round(short * IMAGE_SIDE_MAX_PX / long)
        message = (
            f"{what}; reduced to {IMAGE_SIDE_MAX_PX} px its short side would be {left} px, under {IMAGE_SIDE_MIN_PX}."
        )
        raise ImageInputError(name, message, hint=f"Crop it to a shape of {widest}.")


def _fitting_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, IMAGE_SIDE_MAX_PX / max(size))
    return round(size[0] * scale), round(size[1] * scale)


def _encoded(
    rgb: Image, notes: tuple[str, ...], *, name: str, identity: str, lossy: bool, given_bytes: int
) -> InputImage:
    from PIL.Image import Resampling

    full = rgb.size
    target = _fitting_size(full)
    if target != full:
        rgb = rgb.resize(target, Resampling.BICUBIC, reducing_gap=3.0)
        notes = (*notes, f"{_reduced(full, target)} (at most {IMAGE_SIDE_MAX_PX} px a side)")
    data, mime, rgb, quality = _compressed(rgb, lossy=lossy)
    limit = f"(at most {IMAGE_FILE_MAX_BYTES // 1024**2} MB a file)"
    if rgb.size != target:
        notes = (*notes, f"{_reduced(target, rgb.size)} {limit}")
    elif given_bytes > IMAGE_FILE_MAX_BYTES or (mime == "image/jpeg" and not lossy):
        before = f"from {in_bytes(given_bytes)} " if given_bytes else ""
        how = f"JPEG of quality {quality}" if mime == "image/jpeg" else "PNG"
        notes = (*notes, f"reduced {before}to {in_bytes(len(data))} {limit}: {how}")
    return InputImage(
        name=name,
        identity=identity,
        data=data,
        mime=mime,
        width_px=rgb.width,
        height_px=rgb.height,
        notes=notes,
    )


def _reduced(before: tuple[int, int], after: tuple[int, int]) -> str:
    return f"reduced from {before[0]}×{before[1]} to {after[0]}×{after[1]}"


def _compressed(rgb: Image, *, lossy: bool) -> tuple[bytes, str, Image, int]:
    """Return the first encoding that fits: PNG for what was lossless, JPEG ever smaller, then fewer pixels."""
    from PIL.Image import Resampling

    if not lossy and _png_may_fit(rgb):
        data = _save(rgb, "PNG", compress_level=_PNG_LEVEL)
        if len(data) <= IMAGE_FILE_MAX_BYTES:
            return data, "image/png", rgb, 0
    quality, subsampling = _JPEG_LADDER[0]
    for quality, subsampling in _JPEG_LADDER:
        data = _save(rgb, "JPEG", quality=quality, subsampling=subsampling)
        if len(data) <= IMAGE_FILE_MAX_BYTES:
            return data, "image/jpeg", rgb, quality
    whole = rgb
    while len(data) > IMAGE_FILE_MAX_BYTES:
        scale = min(0.95, math.sqrt(0.97 * IMAGE_FILE_MAX_BYTES / len(data))) * rgb.width / whole.width
        size = (max(IMAGE_SIDE_MIN_PX, round(whole.width * scale)), max(IMAGE_SIDE_MIN_PX, round(whole.height * scale)))
        rgb = whole.resize(size, Resampling.BICUBIC, reducing_gap=3.0)
        data = _save(rgb, "JPEG", quality=quality, subsampling=subsampling)
    return data, "image/jpeg", rgb, quality


def _png_may_fit(rgb: Image) -> bool:
    """Judge by a piece of the middle, so that seconds are not spent on a PNG that is far too large."""
    if rgb.width * rgb.height * 3 <= IMAGE_FILE_MAX_BYTES:
        return True
    width, height = min(rgb.width, _SAMPLE_PX), min(rgb.height, _SAMPLE_PX)
    left, top = (rgb.width - width) // 2, (rgb.height - height) // 2
    sample = _save(rgb.crop((left, top, left + width, top + height)), "PNG", compress_level=_PNG_LEVEL)
    return len(sample) * (rgb.width * rgb.height) / (width * height) <= 1.5 * IMAGE_FILE_MAX_BYTES


def _save(rgb: Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    rgb.save(buffer, kind, **options)
    return buffer.getvalue()


def in_bytes(size: int) -> str:
    """Write a number of bytes as people do: ``312 KB``, ``2.1 MB``."""
    if size < 1024:
        return f"{size} bytes"
    if size < 1024**2:
        return f"{max(1, round(size / 1024))} KB"
    return f"{size / 1024**2:.1f} MB"
