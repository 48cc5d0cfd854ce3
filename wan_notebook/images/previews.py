"""Small copies of pictures for notebooks: thumbnails, one contact sheet, data URLs."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from wan_notebook.images.containers import probe
from wan_notebook.images.facts import FORMAT_NAME, NotAPictureError
from wan_notebook.images.pillow import open_picture, reading, too_large
from wan_notebook.images.pixels import plain_rgb
from wan_notebook.images.upload import in_bytes
from wan_notebook.inputs import InputImage

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_PIXELS: Final = 89_000_000
"""Pillow warns above; uploads and results are smaller, and warnings cannot be silenced in one thread alone."""
_QUALITIES: Final = (80, 65, 50, 35)
_SHRINK: Final = 0.8
_WEBP_METHOD: Final = 2  # half the time of the default for a twentieth more bytes
_GAP_PX: Final = 4
_THUMBNAIL_MODES: Final = frozenset({"RGB", "L", "RGBA", "CMYK", "YCbCr"})


def preview(
    data: bytes, *, max_px: int, max_bytes: int | None = None, format: Literal["webp", "jpeg"] = "webp"
) -> tuple[bytes, int, int]:
    """Return a small copy, at most ``max_px`` on its longer side, with its width and height in px.

    Quality gives way first, then size, until ``max_bytes`` holds (down to one pixel). Never enlarges. Safe in worker
    threads. Raises NotAPictureError.
    """
    small = _thumbnail(data, max_px)
    return _within(small, max_bytes, format)


def _thumbnail(data: bytes, max_px: int) -> Image:
    from PIL.Image import Resampling

    facts = probe(data)
    if facts.width_px * facts.height_px > _MAX_PIXELS:
        raise too_large(facts.width_px, facts.height_px, limit=_MAX_PIXELS)
    with reading():
        picture: Image = open_picture(data, facts.mime)
        if picture.mode not in _THUMBNAIL_MODES:
            picture, _ = plain_rgb(picture, owned=True)
        # For JPEG this decodes at a fraction of the size; the gap makes the rest five times as fast.
        picture.thumbnail((max_px, max_px), Resampling.LANCZOS, reducing_gap=2.0)
        rgb, _ = plain_rgb(picture, owned=True)
        return rgb


def _within(picture: Image, max_bytes: int | None, format: Literal["webp", "jpeg"]) -> tuple[bytes, int, int]:
    from PIL.Image import Resampling

    whole = picture
    while True:
        for quality in _QUALITIES:
            data = _save(picture, format, quality)
            if max_bytes is None or len(data) <= max_bytes:
                return data, picture.width, picture.height
        if max(picture.size) == 1:
            return data, picture.width, picture.height
        # Bytes go with the area, but not faster than a fifth of a side at a time.
        scale = min(_SHRINK, max(0.3, math.sqrt(max_bytes / len(data)))) if max_bytes else _SHRINK
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        picture = whole.resize(size, Resampling.LANCZOS)


def _save(picture: Image, format: Literal["webp", "jpeg"], quality: int) -> bytes:
    buffer = io.BytesIO()
    if format == "webp":
        picture.save(buffer, "WEBP", quality=quality, method=_WEBP_METHOD)
    else:
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def contact_sheet(pictures: Sequence[bytes], *, max_bytes: int = 60_000, max_px: int = 1024) -> bytes:
    """Return one JPEG with all pictures in a grid on white, at most ``max_bytes`` and ``max_px`` wide and high.

    Thumbnails serve as well as full files, and are faster. What cannot be read is a grey field: a damaged picture must
    not hide the others. Raises ValueError for no pictures at all.
    """
    from PIL import Image

    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    columns = math.ceil(math.sqrt(len(pictures)))
    cell = max(1, (max_px - _GAP_PX * (columns - 1)) // columns)
    small = [_thumbnail_or_field(data, cell) for data in pictures]
    rows = [small[start : start + columns] for start in range(0, len(small), columns)]
    wide = max(p.width for p in small)
    heights = [max(p.height for p in row) for row in rows]
    size = (
        wide * columns + _GAP_PX * (columns - 1),
        sum(heights) + _GAP_PX * (len(rows) - 1),
    )
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            left = column * (wide + _GAP_PX) + (wide - picture.width) // 2
            sheet.paste(picture, (left, top + (height - picture.height) // 2))
        top += height + _GAP_PX
    return _within(sheet, max_bytes, "jpeg")[0]


def _thumbnail_or_field(data: bytes, cell_px: int) -> Image:
    from PIL import Image

    try:
        return _thumbnail(data, cell_px)
    except NotAPictureError:
        return Image.new("RGB", (cell_px, cell_px), (208, 208, 208))


def data_url(data: bytes, mime: str) -> str:
    """Return ``data:{mime};base64,…``."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def describe(image: InputImage) -> str:
    """Return ``photo (1200×800 JPEG, 312 KB)``."""
    kind = FORMAT_NAME.get(image.mime, image.mime)
    return f"{image.name} ({image.width_px}×{image.height_px} {kind}, {in_bytes(image.size_bytes)})"
