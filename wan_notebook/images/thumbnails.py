"""Small copies of pictures for notebooks: thumbnails, contact sheets and data URLs."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Final, Literal

from PIL import Image

from .encode import plain_rgb
from .inspect import BadImageError, decoding, open_header

_MAX_PIXELS: Final = 89_000_000
"""Pillow warns above; uploads and results are smaller, and warnings cannot be silenced in one thread alone."""
_GAP_PX: Final = 4


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
    small = []
    for data in pictures:
        try:
            small.append(_scaled(data, cell_px))
        except BadImageError:
            small.append(Image.new("RGB", (cell_px, cell_px), (208, 208, 208)))
    width_px, height_px = (max(picture.size[axis] for picture in small) + _GAP_PX for axis in (0, 1))
    rows = math.ceil(len(small) / columns)
    sheet = Image.new("RGB", (width_px * columns - _GAP_PX, height_px * rows - _GAP_PX), "white")
    for at, picture in enumerate(small):
        row, column = divmod(at, columns)
        left = column * width_px + (width_px - _GAP_PX - picture.width) // 2
        sheet.paste(picture, (left, row * height_px + (height_px - _GAP_PX - picture.height) // 2))
    return _within(sheet, max_bytes, "jpeg")[0]


def data_url(data: bytes, mime: str) -> str:
    """Return ``data:{mime};base64,…``."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _scaled(data: bytes, max_px: int) -> Image.Image:
    picture = open_header(data, max_pixels=_MAX_PIXELS)
    with decoding():
        if picture.mode not in ("RGB", "L", "RGBA", "CMYK", "YCbCr"):  # others do not scale
            picture, _ = plain_rgb(picture)
        # A JPEG is then decoded at a fraction of its size; the gap makes the rest five times as fast.
        picture.thumbnail((max_px, max_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return plain_rgb(picture)[0]


def _within(picture: Image.Image, max_bytes: int | None, format: Literal["webp", "jpeg"]) -> tuple[bytes, int, int]:
    whole = picture
    # Method 2 takes half the time of the default for a twentieth more bytes.
    options = {"method": 2} if format == "webp" else {"optimize": True}
    while True:
        for quality in (80, 65, 50, 35):
            buffer = io.BytesIO()
            picture.save(buffer, format, quality=quality, **options)
            data = buffer.getvalue()
            if max_bytes is None or len(data) <= max_bytes or picture.size == (1, 1):
                return data, picture.width, picture.height
        # Bytes go with the area, but not faster than a fifth of a side at a time.
        scale = min(0.8, max(0.3, math.sqrt((max_bytes or 1) / len(data))))
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        picture = whole.resize(size, Image.Resampling.LANCZOS)
