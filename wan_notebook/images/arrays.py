"""Arrays as pictures. Which values are black and white is never guessed: uint8, or float from 0 to 1.

NumPy is never imported: an array can only come from a process that has it already.
"""

import math
from typing import Any, Final

from PIL import Image

from .inspect import MAX_PIXELS, BadImageError, too_many_pixels

_TOLERANCE: Final = 1e-3  # resampling overshoots 0 to 1 by a hair
_SELF_DESCRIBING: Final = ("PNG", "PPM")
"""Formats that declare their range: what Pillow opens of them in mode I runs from 0 to 65535."""


def picture_of_array(array: Any, code: str) -> tuple[Image.Image, str]:
    """Return the picture of an array, and the Python code for it, given the code for the array.

    Raises
    ------
    BadImageError
        For another shape than H×W, H×W×1, H×W×3 or H×W×4, and for values that are neither uint8 nor float from 0 to 1.
        The hint is code that can be pasted.
    """
    shown = f"it is an array of shape {'×'.join(map(str, array.shape))}, {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array, code = array[:, :, 0], f"{code}[:, :, 0]"
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        hint = "Choose an H×W×3 part of it."
        if array.ndim > 3:
            hint = f"Choose one picture of it: {code}[0]."
        elif array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = f"Put the channels last: {code}.transpose(1, 2, 0)."
        raise BadImageError(f"{shown}; a picture is H×W, H×W×3 or H×W×4", hint=hint)
    height, width = array.shape[:2]
    if not height * width:
        raise BadImageError(f"{shown}: it is empty", hint="Give an array with pixels.")
    if height * width > MAX_PIXELS:
        raise too_many_pixels(width, height)
    if array.dtype.kind == "f":
        _check_floats(float(array.min()), float(array.max()), shown, code)
        wide = array.astype("float32") if array.dtype.itemsize < 4 else array
        array, code = (wide.clip(0, 1) * 255).round().astype("uint8"), f"({code} * 255).astype('uint8')"
    elif array.dtype.name != "uint8":
        hint = f"Convert it: {code}.astype('uint8') * 255." if array.dtype.kind == "b" else "Give it as uint8."
        if array.dtype.kind in "iu":
            hint = _integers_hint(int(array.min()), int(array.max()), code, is_uint16=array.dtype.name == "uint16")
        raise BadImageError(f"{shown}; pixels are uint8, or float from 0 to 1", hint=hint)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return Image.frombytes(mode, (width, height), array.tobytes()), f"Image.fromarray({code})"


def check_range(picture: Image.Image, code: str) -> None:
    """Hold a picture of mode I or F to the rule for arrays; other modes and formats declare their range."""
    if picture.mode not in ("I", "F") or (picture.mode == "I" and picture.format in _SELF_DESCRIBING):
        return
    floats: Any = picture.convert("F")
    low, high = floats.getextrema()
    shown, code = f"it is a {picture.width}×{picture.height} image of mode {picture.mode}", f"numpy.asarray({code})"
    if picture.mode == "F":
        # Extrema pass over NaN unless it comes first; a mean does not.
        mean = floats.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        _check_floats(low if math.isfinite(mean) else mean, high, shown, code)
    else:
        message = f"{shown} with values from {low:.0f} to {high:.0f}; it does not say which value is white"
        raise BadImageError(message, hint=_integers_hint(int(low), int(high), code))


def _check_floats(low: float, high: float, shown: str, code: str) -> None:
    if not math.isfinite(low + high):
        hint = f"Fill it: numpy.nan_to_num({code}, posinf=1, neginf=0)."
        raise BadImageError(f"{shown} and holds NaN or infinity", hint=hint)
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        hint = f"Choose what is black and white, such as numpy.interp({code}, ({low:g}, {high:g}), (0, 1))."
        if -1 - _TOLERANCE <= low < -0.5 and high <= 1 + _TOLERANCE:
            hint = f"If -1 is black: ({code} + 1) / 2."
        elif low >= -0.5 and high <= 2:
            hint = f"If 1 is white: numpy.clip({code}, 0, 1)."
        elif low >= 0 and high <= 255:
            hint = f"If 255 is white: {code} / 255."
        raise BadImageError(f"{shown} with values from {low:g} to {high:g}; floats run from 0 to 1", hint=hint)


def _integers_hint(low: int, high: int, code: str, *, is_uint16: bool = False) -> str:
    """Return how integers become a picture, without stretching a dim one."""
    if is_uint16 or (low >= 0 and 255 < high <= 65535):
        return f"If 65535 is white: {code} / 65535."
    if low >= 0 and high <= 255:
        return f"If 255 is white: {code}.astype('uint8')."
    return f"Choose what is black and white, such as numpy.interp({code}, ({low}, {high}), (0, 1))."
