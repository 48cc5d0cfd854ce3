"""Any pixels as plain 8-bit RGB, and the identity of pictures in memory.

Which values are black and white is never guessed: uint8, or float from 0 to 1. NumPy is never imported: an array can
only come from a process that has it already.
"""

import hashlib
import io
import math
from functools import lru_cache
from typing import Any, Final

from PIL import Image, ImageCms, ImageFile, ImageOps

from .inspect import MAX_PIXELS, BadImageError, too_many_pixels

_ORIENTATION_TAG: Final = 0x0112
_TOLERANCE: Final = 1e-3  # resampling overshoots 0 to 1 by a hair
_SELF_DESCRIBING: Final = ("PNG", "PPM")
"""Formats that declare their range: what Pillow opens of them in mode I runs from 0 to 65535."""


def is_untouched(picture: Image.Image) -> bool:
    """Tell a picture as a file holds it, to which the file's Exif and colour profile apply.

    Rotating, cropping, resizing, converting and copying return an ``Image`` that keeps the file's metadata, though it
    may no longer be true: such a picture is sent as the notebook shows it.
    """
    return isinstance(picture, ImageFile.ImageFile)


def orientation_of(picture: Image.Image) -> int:
    """Return the Exif (or XMP) orientation, 1 to 8; 1 if there is none, or none that can be read."""
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything on broken Exif, which must not cost the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def profile_of(picture: Image.Image) -> bytes:
    """Return the colour profile of a picture; nothing if it has none or its profile means sRGB."""
    icc = picture.info.get("icc_profile")
    return icc if isinstance(icc, bytes) and not (icc[16:20] == b"RGB " and is_srgb(icc)) else b""


def pixel_identity(picture: Image.Image, *, as_in_file: bool = True) -> str:
    """Hash a picture in memory: mode, size and pixels, and whatever changes their meaning.

    It is part of the request hashes, so its result for a given picture must never change. ``as_in_file`` counts
    orientation and colour profile, which apply to an untouched file only.
    """
    digest = hashlib.sha256(f"{picture.mode} {picture.width}x{picture.height}\n".encode())
    digest.update(picture.tobytes())
    meaning: dict[str, bytes] = {}
    if picture.palette is not None and picture.mode in ("P", "PA"):
        meaning["palette"] = bytes(picture.getpalette("RGBA") or ())
    if (transparency := picture.info.get("transparency")) is not None:
        meaning["transparency"] = repr(transparency).encode()
    if as_in_file and (orientation := orientation_of(picture)) != 1:
        meaning["orientation"] = str(orientation).encode()
    if as_in_file and (icc := profile_of(picture)):
        meaning["icc"] = icc
    for key, value in meaning.items():
        digest.update(f"\n{key} {len(value)}\n".encode() + value)
    return f"pixels:sha256:{digest.hexdigest()}"


def plain_rgb(picture: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a picture as new 8-bit RGB pixels without metadata, on white, and notes on what was done to them.

    A picture as a file holds it is also turned upright and converted to sRGB. 16-bit grey is scaled from its full
    range, float grey from 0 to 1. Call inside ``decoding()``: broken pixels raise whatever Pillow raises.
    """
    rgb, notes = picture, []
    icc = profile_of(picture) if is_untouched(picture) else b""
    if is_untouched(picture) and orientation_of(picture) != 1:
        rgb = ImageOps.exif_transpose(picture)
        notes.append("turned upright as its Exif says")
    if rgb.mode.startswith("I"):
        rgb = rgb.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    elif rgb.mode == "F":
        rgb = rgb.point(lambda value: value * 255 + 0.5).convert("L")
    if rgb.has_transparency_data:
        rgba = rgb.convert("RGBA")
        rgb = Image.new("RGB", rgba.size, "white")
        rgb.paste(rgba, mask=rgba)
        if rgba.getchannel("A").getextrema() != (255, 255):
            notes.append("transparency flattened on white")
    if icc and (converted := _in_srgb(rgb, icc)) is not None:
        rgb = converted
        notes.append("colours converted to sRGB")
    rgb = rgb.convert("RGB")  # always a copy
    rgb.info = {}
    return rgb, tuple(notes)


def _in_srgb(picture: Image.Image, icc: bytes) -> Image.Image | None:
    """Convert by a colour profile; one that is broken or does not fit the picture is ignored, as viewers do."""
    space = icc[16:20]
    if space == b"RGB " and picture.mode not in ("CMYK", "L", "LAB"):
        picture = picture.convert("RGB")
    if picture.mode != {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L"}.get(space):
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ImportError, ValueError, TypeError):
        return None


@lru_cache(maxsize=8)
def is_srgb(icc: bytes) -> bool:
    """Tell whether an RGB profile means sRGB, by its effect on sample colours; a broken one counts as sRGB."""
    steps = range(0, 256, 51)
    samples = Image.frombytes("RGB", (36, 6), bytes(v for r in steps for g in steps for b in steps for v in (r, g, b)))
    seen = _in_srgb(samples, icc) or samples
    return max(abs(a - b) for a, b in zip(samples.tobytes(), seen.tobytes(), strict=True)) <= 3


# Arrays, and modes that do not say which value is white --------------------------------------------------------------


def picture_of_array(array: Any, code: str) -> tuple[Image.Image, str]:
    """Return the picture of an array, and the Python code for it, given the code for the array.

    Raises
    ------
    BadImageError
        For another shape than H×W, H×W×1, H×W×3 or H×W×4, and for values that are neither uint8 nor float from 0 to 1.
        The hint is code that can be pasted.
    """
    shown = f"it is an array of shape {'×'.join(map(str, array.shape)) or '()'}, {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array, code = array[:, :, 0], f"{code}[:, :, 0]"
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        hints = {
            f"Choose one picture of it: {code}[0].": array.ndim > 3,
            f"Put the channels last: {code}.transpose(1, 2, 0).": array.ndim == 3 and array.shape[0] in (1, 3, 4),
            "Choose an H×W×3 part of it.": True,
        }
        hint = next(hint for hint, fits in hints.items() if fits)
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
        hints = {
            f"If -1 is black: ({code} + 1) / 2.": -1 - _TOLERANCE <= low < -0.5 and high <= 1 + _TOLERANCE,
            f"If 1 is white: numpy.clip({code}, 0, 1).": low >= -0.5 and high <= 2,
            f"If 255 is white: {code} / 255.": low >= 0 and high <= 255,
            f"Choose what is black and white, such as numpy.interp({code}, ({low:g}, {high:g}), (0, 1)).": True,
        }
        message = f"{shown} with values from {low:g} to {high:g}; floats run from 0 to 1"
        raise BadImageError(message, hint=next(hint for hint, fits in hints.items() if fits))


def _integers_hint(low: int, high: int, code: str, *, is_uint16: bool = False) -> str:
    """Return how integers become a picture, without stretching a dim one."""
    if is_uint16 or (low >= 0 and 255 < high <= 65535):
        return f"If 65535 is white: {code} / 65535."
    if low >= 0 and high <= 255:
        return f"If 255 is white: {code}.astype('uint8')."
    return f"Choose what is black and white, such as numpy.interp({code}, ({low}, {high}), (0, 1))."
