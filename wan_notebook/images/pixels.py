"""Any pixels as plain 8-bit RGB, and the identity of pictures in memory."""

import hashlib
import io
from functools import lru_cache
from typing import Final

from PIL import Image, ImageCms, ImageFile, ImageOps

_ORIENTATION_TAG: Final = 0x0112


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
