"""Any pixels to plain 8-bit RGB: upright, on white, in sRGB."""

from __future__ import annotations

import hashlib
import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION_TAG: Final = 0x0112
FLATTENED: Final = "transparency flattened on white"
TURNED: Final = "turned upright as its Exif says"
CONVERTED: Final = "colours converted to sRGB"


def plain_rgb(picture: Image, *, owned: bool) -> tuple[Image, tuple[str, ...]]:
    """Return the picture as upright RGB without any metadata, and what was done to what is seen.

    ``owned`` allows to change the picture itself; a person's own object is copied instead.
    Call inside ``reading()``: broken pixels and profiles raise whatever Pillow raises.
    """
    notes = []
    orientation = orientation_of(picture)
    icc = picture.info.get("icc_profile")
    whole = eight_bit(picture)
    if whole.has_transparency_data:
        whole, was_clear = _on_white(whole)
        if was_clear:
            notes.append(FLATTENED)
    rgb, converted = _in_srgb(whole, icc) if isinstance(icc, bytes) and icc else (whole, False)
    if converted:
        notes.append(CONVERTED)
    if rgb.mode != "RGB":
        rgb = rgb.convert("RGB")
    if orientation in _TRANSPOSITION:
        rgb = rgb.transpose(_transposition(orientation))
        notes.append(TURNED)
    if rgb is picture and not owned:
        rgb = rgb.copy()
    rgb.info = {}
    return rgb, tuple(notes)


_TRANSPOSITION: Final = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def _transposition(orientation: int) -> Any:
    from PIL.Image import Transpose

    return Transpose[_TRANSPOSITION[orientation]]


def orientation_of(picture: Image) -> int:
    """Return the Exif (or XMP) orientation 1–8; 1 for none and for Exif that cannot be read."""
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError):
        return 1  # broken Exif must not cost the picture
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def eight_bit(picture: Image) -> Image:
    """Scale 16- and 32-bit grey to 8 bits; other modes are returned as they are.

    ``I;16`` by its full range. ``I`` and ``F`` by the range that their values fit in: 0–1 (F only), 0–255, 0–65535,
    else from the smallest to the largest.
    """
    if picture.mode.startswith("I;16"):
        return picture.convert("I").point(_scaling(1 / 257, 0.5)).convert("L")
    if picture.mode not in ("I", "F"):
        return picture
    low, high = picture.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float) and math.isfinite(low + high)):
        raise ValueError("it holds values that are no finite numbers")
    for top in (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= top:
            return picture.convert("F").point(_scaling(255 / top, 0.5)).convert("L")
    factor = 255 / (high - low) if high > low else 0.0
    return picture.convert("F").point(_scaling(factor, 0.5 - low * factor)).convert("L")


def _scaling(factor: float, offset: float) -> Any:
    return lambda pixel: pixel * factor + offset


def _on_white(picture: Image) -> tuple[Image, bool]:
    from PIL import Image

    rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert("RGB"), False
    ground = Image.new("RGB", rgba.size, "white")
    ground.paste(rgba, mask=alpha)
    return ground, True


def _in_srgb(picture: Image, icc: bytes) -> tuple[Image, bool]:
    """Convert by an embedded profile; a broken or unfitting profile is ignored, as viewers do."""
    space = icc[16:20]
    if space == b"RGB " and picture.mode != "RGB":
        if picture.mode in ("CMYK", "L", "LAB"):
            return picture, False
        picture = picture.convert("RGB")
    wanted = {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L"}.get(space)
    if picture.mode != wanted or (wanted == "RGB" and is_srgb(icc)):
        return picture, False
    converted = _through_profile(picture, icc)
    return (converted, True) if converted is not None else (picture, False)


def _through_profile(picture: Image, icc: bytes) -> Image | None:
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ImportError, ValueError, TypeError):
        return None


@lru_cache(maxsize=16)
def is_srgb(icc: bytes) -> bool:
    """Tell whether an RGB profile means sRGB, by its effect on sample colours; so does a profile that is broken."""
    from PIL import Image

    steps = range(0, 256, 51)
    samples = Image.frombytes("RGB", (36, 6), bytes(v for r in steps for g in steps for b in steps for v in (r, g, b)))
    seen = _through_profile(samples, icc)
    if seen is None:
        return True
    return max(abs(a - b) for a, b in zip(samples.tobytes(), seen.tobytes(), strict=True)) <= 3


def pixel_identity(picture: Image) -> str:
    """Hash what a picture in memory is: mode, size and pixels, and what changes their meaning if there is any."""
    digest = hashlib.sha256(f"{picture.mode} {picture.width}x{picture.height}\n".encode())
    digest.update(picture.tobytes())
    meaning: dict[str, bytes] = {}
    if picture.palette is not None and picture.mode in ("P", "PA"):
        meaning["palette"] = bytes(picture.getpalette("RGBA") or ())
    if (transparency := picture.info.get("transparency")) is not None:
        meaning["transparency"] = repr(transparency).encode()
    if (orientation := orientation_of(picture)) != 1:
        meaning["orientation"] = str(orientation).encode()
    icc = picture.info.get("icc_profile")
    if isinstance(icc, bytes) and icc and not (icc[16:20] == b"RGB " and is_srgb(icc)):
        meaning["icc"] = icc
    for key, value in meaning.items():
        digest.update(f"\n{key} {len(value)}\n".encode() + value)
    return f"pixels:sha256:{digest.hexdigest()}"
