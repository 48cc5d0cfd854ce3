"""Small copies of pictures for notebooks, and comparing pictures by such copies."""

import base64
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from PIL import Image, ImageOps

from ..text import one_line
from .encode import plain_rgb, saved
from .inputs import is_instance, is_job
from .inspect import BadImageError, decoding, open_header, open_image, strip_metadata

_GAP_PX: Final = 4
_GRID: Final = 8


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
    must not hide the others.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    cell_px = max(1, (max_px - _GAP_PX * (columns - 1)) // columns)
    small = [Image.new("RGB", (cell_px, cell_px), (208, 208, 208)) for _ in pictures]
    for at, data in enumerate(pictures):
        with suppress(BadImageError):
            small[at] = _scaled(data, cell_px)
    width_px, height_px = (max(picture.size[axis] for picture in small) for axis in (0, 1))
    step_x, step_y, rows = width_px + _GAP_PX, height_px + _GAP_PX, math.ceil(len(small) / columns)
    sheet = Image.new("RGB", (step_x * columns - _GAP_PX, step_y * rows - _GAP_PX), "white")
    for at, picture in enumerate(small):
        place = (at % columns * step_x, at // columns * step_y)
        sheet.paste(ImageOps.pad(picture, (width_px, height_px), color="white"), place)
    return _within(sheet, max_bytes, "jpeg")[0]


def data_url(data: bytes, mime: str) -> str:
    """Return ``data:{mime};base64,…``."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _scaled(data: bytes, max_px: int) -> Image.Image:
    # Pillow warns above this; uploads and results are smaller, and warnings cannot be silenced in one thread alone.
    picture = open_header(data, max_pixels=89_000_000)
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
            data = saved(picture, format, quality=quality, **options)
            if max_bytes is None or len(data) <= max_bytes or picture.size == (1, 1):
                return data, picture.width, picture.height
        # Bytes go with the area, but not faster than a fifth of a side at a time.
        scale = min(0.8, max(0.3, math.sqrt((max_bytes or 1) / len(data))))
        width, height = (max(1, int(side * scale)) for side in picture.size)
        picture = whole.resize((width, height), Image.Resampling.LANCZOS)


# Comparing ------------------------------------------------------------------------------------------------------------


def assert_same_picture(one: Any, other: Any) -> None:
    """Fail unless two pictures are the same file, apart from its metadata.

    Parameters
    ----------
    one, other
        Each is a picture of a job (or a job with one), bytes, or a path.

    Raises
    ------
    AssertionError
        If they differ.

    Examples
    --------
    >>> assert_same_picture(job[0], "figures/fox.png")  # doctest: +SKIP
    """
    hashes = [hashlib.sha256(_bytes_of(value)).hexdigest()[:16] for value in (one, other)]
    if hashes[0] != hashes[1]:
        raise AssertionError(f"the pictures differ: {_name(one)} is {hashes[0]}…, {_name(other)} is {hashes[1]}…")


def assert_similar(one: Any, other: Any, *, max_distance: float = 0.1) -> None:
    """Fail unless two pictures look alike: their ``distance`` is at most ``max_distance``.

    Parameters
    ----------
    one, other
        Each is a Pillow image, a picture of a job (or a job with one), bytes, or a path.
    max_distance
        0 for the same look; the default allows another size, encoding and slight noise.

    Raises
    ------
    AssertionError
        If they look further apart than that.

    Examples
    --------
    >>> assert_similar(job[0], "figures/fox.jpg", max_distance=0.05)  # doctest: +SKIP
    """
    if (found := distance(one, other)) > max_distance:
        said = f"the pictures are {found:.3f} apart, more than {max_distance:g}"
        raise AssertionError(f"{said}: {_name(one)} and {_name(other)}")


def distance(one: Any, other: Any) -> float:
    """Return how different two pictures look: 0 for the same, about 0.5 for unrelated ones, at most 1.

    The largest of three: the share of differing bits of a difference hash (which of two neighbours on an 8×8 grid is
    brighter, across and down), the mean difference of colour on that grid, and the difference of shape (log of the
    aspect ratios). Size in pixels, encoding and slight noise do not count.
    """
    first, second = (
        (value if is_instance(value, "PIL.Image", "Image") else open_image(_bytes_of(value))).convert("RGB")
        for value in (one, other)
    )
    bits = [a != b for a, b in zip(_difference_hash(first), _difference_hash(second), strict=True)]
    colours = (picture.resize((_GRID, _GRID), Image.Resampling.BOX).tobytes() for picture in (first, second))
    colour: float = sum(abs(a - b) for a, b in zip(*colours, strict=True)) / (255 * 3 * _GRID**2)
    shape = abs(math.log((first.width / first.height) / (second.width / second.height)))
    return min(1.0, max(sum(bits) / len(bits), colour, shape if shape > 0.02 else 0.0))


def _difference_hash(picture: Image.Image) -> Iterator[bool]:
    """Yield whether each point of a grid is brighter than its neighbour to the left; then the same of the columns."""
    grey = picture.convert("L")
    for side in (grey, grey.transpose(Image.Transpose.TRANSPOSE)):
        # A difference of 3 grey levels is noise.
        points = side.resize((_GRID + 1, _GRID), Image.Resampling.BOX).tobytes()
        yield from (points[at] - points[at - 1] > 3 for at in range(len(points)) if at % (_GRID + 1))


def _bytes_of(value: Any) -> bytes:
    """Return the file of a picture without its metadata."""
    if is_job(value):
        if len(value) != 1:
            raise TypeError(f"job {value.id} has {len(value)} pictures: name one, such as job[0]")
        value = value[0]
    data = Path(value).read_bytes() if isinstance(value, str | os.PathLike) else getattr(value, "data", value)
    if not isinstance(data, bytes):
        raise TypeError(f"{type(value).__name__} has no bytes to compare: give a picture of a job, bytes or a path")
    with suppress(BadImageError):
        return strip_metadata(data)
    return data


def _name(value: Any) -> str:
    return str(value) if isinstance(value, str | os.PathLike) else one_line(repr(value), 200)
