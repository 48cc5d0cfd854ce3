"""Small copies of pictures for notebooks: thumbnails, contact sheets and data URLs."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Final, Literal

from PIL import Image

from .inspect import BadImageError, decoding, open_header
from .pixels import plain_rgb

_MAX_PIXELS: Final = 89_000_000
"""Pillow warns above; uploads and results are smaller, and warnings cannot be silenced in one thread alone."""
_QUALITIES: Final = (80, 65, 50, 35)
_SHRINK: Final = 0.8
_WEBP_METHOD: Final = 2  # half the time of the default for a twentieth more bytes
_GAP_PX: Final = 4
_SCALABLE_MODES: Final = ("RGB", "L", "RGBA", "CMYK", "YCbCr")


def thumbnail(
    data: bytes, *, max_px: int, max_bytes: int | None = None, format: Literal["webp", "jpeg"] = "webp"
) -> tuple[bytes, int, int]:
    """Return a small copy of a picture, and its width and height in px. Safe in worker threads.

    Parameters
    ----------
    data
        A picture's file.
    max_px
        Most pixels on the longer side; nothing is enlarged.
    max_bytes
        Most bytes of the copy: quality is reduced first, then the size, down to one pixel.
    format
        What the copy is encoded as.

    Raises
    ------
    BadImageError
        If the file is not a picture, or is damaged.
    """
    return _within(_scaled(data, max_px), max_bytes, format)


def contact_sheet(pictures: Sequence[bytes], *, max_bytes: int = 60_000, max_px: int = 1024) -> bytes:
    """Return one JPEG with all pictures in a grid on white, at most ``max_bytes``, and ``max_px`` wide and high.

    Thumbnails serve as well as full files, and are faster. What cannot be read is a grey field: one damaged picture
    must not hide the others. Raises ``ValueError`` for an empty list.
    """
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    columns = math.ceil(math.sqrt(len(pictures)))
    cell_px = max(1, (max_px - _GAP_PX * (columns - 1)) // columns)
    small = [_scaled_or_grey(data, cell_px) for data in pictures]
    rows = [small[start : start + columns] for start in range(0, len(small), columns)]
    widest = max(picture.width for picture in small)
    heights = [max(picture.height for picture in row) for row in rows]
    size = (widest * columns + _GAP_PX * (columns - 1), sum(heights) + _GAP_PX * (len(rows) - 1))
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            left = column * (widest + _GAP_PX) + (widest - picture.width) // 2
            sheet.paste(picture, (left, top + (height - picture.height) // 2))
        top += height + _GAP_PX
    return _within(sheet, max_bytes, "jpeg")[0]


def data_url(data: bytes, mime: str) -> str:
    """Return ``data:{mime};base64,…``."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _scaled(data: bytes, max_px: int) -> Image.Image:
    picture = open_header(data, max_pixels=_MAX_PIXELS)
    with decoding():
        if picture.mode not in _SCALABLE_MODES:
            picture, _ = plain_rgb(picture)
        # A JPEG is then decoded at a fraction of its size; the gap makes the rest five times as fast.
        picture.thumbnail((max_px, max_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return plain_rgb(picture)[0]


def _scaled_or_grey(data: bytes, cell_px: int) -> Image.Image:
    try:
        return _scaled(data, cell_px)
    except BadImageError:
        return Image.new("RGB", (cell_px, cell_px), (208, 208, 208))


def _within(picture: Image.Image, max_bytes: int | None, format: Literal["webp", "jpeg"]) -> tuple[bytes, int, int]:
    whole = picture
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            options = {"method": _WEBP_METHOD} if format == "webp" else {"optimize": True}
            picture.save(buffer, format, quality=quality, **options)
            data = buffer.getvalue()
            if max_bytes is None or len(data) <= max_bytes:
                return data, picture.width, picture.height
        if max(picture.size) == 1:
            return data, picture.width, picture.height
        # Bytes go with the area, but not faster than a fifth of a side at a time.
        scale = min(_SHRINK, max(0.3, math.sqrt((max_bytes or 1) / len(data))))
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        picture = whole.resize(size, Image.Resampling.LANCZOS)
