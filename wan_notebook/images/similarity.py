"""Whether two pictures are the same, or look alike; metadata, encoding and slight noise do not count."""

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from PIL import Image

from ..text import one_line
from .inputs import is_instance, is_job
from .inspect import BadImageError, open_image, strip_metadata

_GRID: Final = 8
_STEP: Final = 3  # grey levels: smaller differences between neighbours are noise


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
    found = distance(one, other)
    if found > max_distance:
        message = f"the pictures are {found:.3f} apart, more than {max_distance:g}: {_name(one)} and {_name(other)}"
        raise AssertionError(message)


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
    colours = [picture.resize((_GRID, _GRID), Image.Resampling.BOX).tobytes() for picture in (first, second)]
    colour: float = sum(abs(a - b) for a, b in zip(*colours, strict=True)) / (255 * len(colours[0]))
    shape = abs(math.log((first.width / first.height) / (second.width / second.height)))
    return min(1.0, max(sum(bits) / len(bits), colour, shape if shape > 0.02 else 0.0))


def _difference_hash(picture: Image.Image) -> Iterator[bool]:
    """Yield whether each point of a grid is brighter than its neighbour to the left; then the same of the columns."""
    grey = picture.convert("L")
    for side in (grey, grey.transpose(Image.Transpose.TRANSPOSE)):
        points = side.resize((_GRID + 1, _GRID), Image.Resampling.BOX).tobytes()
        yield from (points[at] - points[at - 1] > _STEP for at in range(len(points)) if at % (_GRID + 1))


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
