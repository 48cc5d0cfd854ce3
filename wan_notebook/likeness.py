"""Whether two pictures are the same bytes, or look alike; recipes, encodings and slight noise do not count."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

    from .jobs import Job, Picture

    AnyPicture = Picture | Job | bytes | str | os.PathLike[str]

MAX_DISTANCE: Final = 0.1
_GRID: Final = 8
_STEP: Final = 3  # grey levels: smaller differences between neighbours are noise


def assert_same_picture(one: AnyPicture, other: AnyPicture) -> None:
    """Fail unless two pictures are the same bytes as a service sent them; their recipes do not count.

    Each is a picture of a job (or a job with one), bytes, or a path.
    """
    first, second = _clean(one), _clean(other)
    if first == second:
        return
    hashes = [hashlib.sha256(data).hexdigest()[:16] for data in (first, second)]
    message = f"the pictures differ: {_name(one)} is {hashes[0]}…, {_name(other)} is {hashes[1]}…"
    raise AssertionError(f"{message}{_how_far(first, second)}")


def assert_similar(one: AnyPicture | Image, other: AnyPicture | Image, *, max_distance: float = MAX_DISTANCE) -> None:
    """Fail unless two pictures look alike: ``distance`` is at most ``max_distance``."""
    found = distance(one, other)
    if found > max_distance:
        message = f"the pictures are {found:.3f} apart, more than {max_distance:g}: {_name(one)} and {_name(other)}"
        raise AssertionError(message)


def distance(one: AnyPicture | Image, other: AnyPicture | Image) -> float:
    """Return how different two pictures look: 0 for the same, about 0.5 for unrelated ones, at most 1.

    The largest of three: the share of differing bits of a difference hash (which of two neighbours on an 8×8 grid is
    brighter, across and down), the mean difference of colour on that grid, and the difference of shape (log of the
    aspect ratios). Size in pixels, encoding and slight noise do not count.
    """
    first, second = _opened(one), _opened(other)
    bits = [a != b for a, b in zip(_hash(first), _hash(second), strict=True)]
    pairs = list(zip(_colours(first), _colours(second), strict=True))
    shape = abs(math.log((first.width / first.height) / (second.width / second.height)))
    colour = sum(abs(a - b) for a, b in pairs) / (255 * len(pairs))
    return min(1.0, max(sum(bits) / len(bits), colour, shape if shape > 0.02 else 0.0))


def _hash(picture: Image) -> Iterator[bool]:
    """Yield whether each point of a grid is brighter than its neighbour to the left, then above."""
    from PIL.Image import Resampling

    grey = picture.convert("L")
    across = grey.resize((_GRID + 1, _GRID), Resampling.BOX).tobytes()
    down = grey.resize((_GRID, _GRID + 1), Resampling.BOX).tobytes()
    for row in range(_GRID):
        for column in range(_GRID):
            at = row * (_GRID + 1) + column
            yield across[at + 1] - across[at] > _STEP
            yield down[(row + 1) * _GRID + column] - down[row * _GRID + column] > _STEP


def _colours(picture: Image) -> bytes:
    from PIL.Image import Resampling

    return picture.resize((_GRID, _GRID), Resampling.BOX).tobytes()


def _opened(value: AnyPicture | Image) -> Image:
    from .images.ducks import is_pil

    if is_pil(value):
        return value.convert("RGB")
    from PIL import Image

    with Image.open(io.BytesIO(_clean(value))) as picture:  # type: ignore[arg-type]
        return picture.convert("RGB")


def _clean(value: AnyPicture) -> bytes:
    """Return a picture's bytes without the recipe that this package writes into them."""
    from .jobs import Job, Picture
    from .recipe import strip

    if isinstance(value, Job):
        if len(value) != 1:
            raise TypeError(f"job {value.id} has {len(value)} pictures: name one, such as job[0]")
        value = value[0]
    if isinstance(value, Picture):
        return value.data
    if isinstance(value, bytes):
        return strip(value)
    if isinstance(value, str | os.PathLike):
        return strip(Path(value).read_bytes())
    raise TypeError(f"{type(value).__name__} has no bytes to compare: give a picture of a job, bytes or a path")


def _name(value: Any) -> str:
    from .jobs import Picture

    if isinstance(value, str | os.PathLike):
        return str(value)
    if isinstance(value, Picture):
        return f"{value.job.id}[{value.index}] ({value.file})"  # whole, so that it can be opened
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def _how_far(first: bytes, second: bytes) -> str:
    try:
        return f"; they look {distance(first, second):.3f} apart (0: the same, 0.5: unrelated)"
    except (OSError, ValueError):
        return "; one of them is no picture"


__all__ = ["assert_same_picture", "assert_similar", "distance"]
