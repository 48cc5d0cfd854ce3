"""Files and pixels as uploads that the service accepts, changed as little as that takes; identities of pictures.

Which values are black and white is never guessed: uint8, or float from 0 to 1. NumPy is never imported: an array can
only come from a process that has it already.
"""

import hashlib
import io
import math
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from PIL import Image, ImageCms, ImageFile, ImageOps

from ..errors import ImageInputError
from ..models import MODELS, REQUEST_BODY_MAX_BYTES
from ..text import file_size
from .inputs import InputImage, PendingImage, mime_of
from .inspect import MAX_PIXELS, BadImageError, open_image, open_verified, strip_metadata, too_many_pixels

# A picture is read before anybody knows which model gets it: what every model takes.
_SIDE_MIN_PX: Final = max(record.image_side_min_px for record in MODELS.values())
_SIDE_MAX_PX: Final = min(record.image_side_max_px for record in MODELS.values())
_FILE_MAX_BYTES: Final = min(record.image_file_max_bytes for record in MODELS.values())
READ_MAX_BYTES: Final = 256 * 1024**2
"""A larger file is not a photograph."""
_TOLERANCE: Final = 1e-3  # resampling overshoots 0 to 1 by a hair


def from_bytes(data: bytes, *, name: str) -> InputImage:
    """Check a file's bytes; a clean file of an accepted kind is sent byte for byte. Raises ``BadImageError``."""
    if len(data) > READ_MAX_BYTES:
        raise BadImageError(f"it has more than {file_size(READ_MAX_BYTES)}", hint="Make the picture smaller first.")
    picture = open_verified(data)
    _check_size(picture.size)
    identity, clean = identity_of_bytes(data), _as_stored(picture, data)
    is_film = picture.format != "MPO" and getattr(picture, "is_animated", False)
    first_frame = ("first frame of several",) if is_film else ()
    if clean is not None and len(clean) <= _FILE_MAX_BYTES:
        changes = () if clean is data else first_frame or ("metadata removed",)
        return InputImage(name, identity, clean, mime_of(clean) or "", *picture.size, changes)
    return _encoded(picture, first_frame, name=name, identity=identity, code="Image.open(…)")


def from_pixels(picture: Image.Image, *, name: str, code: str) -> InputImage:
    """Check a picture in memory; it is sent as PNG, or as JPEG if it came from one or a PNG would be too large.

    ``code`` is Python code for the picture, for hints. Raises ``BadImageError``.
    """
    _check_size(picture.size)
    picture.load()
    identity = pixel_identity(picture, as_in_file=isinstance(picture, ImageFile.ImageFile))
    image, former = _encoded(picture, (), name=name, identity=identity, code=code), pixel_identity(picture)
    return replace(image, former_identity="" if former == identity else former)


def fit_request_body(
    images: tuple[InputImage | PendingImage, ...], max_bytes: int = REQUEST_BODY_MAX_BYTES
) -> tuple[InputImage | PendingImage, ...]:
    """Re-encode pictures until they fit into one request together.

    The largest comes first, as JPEG of quality 95 in its own size, and gets a note. A picture that this does not make
    smaller stays as it is, and so does one that is not there yet.

    Raises
    ------
    ImageInputError
        If they still have more than ``max_bytes`` together; it names the largest.
    """
    known = {index: image for index, image in enumerate(images) if isinstance(image, InputImage)}
    for index, image in sorted(known.items(), key=lambda item: -len(item[1].data)):
        if sum(len(image.data) for image in known.values()) <= max_bytes:
            break
        data = saved(plain_rgb(open_image(image.data))[0], "JPEG", quality=95, subsampling=0)
        if len(data) < len(image.data):
            sizes = f"{file_size(len(image.data))} became {file_size(len(data))}"
            note = f"{image.name}: {sizes} as JPEG of quality 95 (at most {file_size(max_bytes)} a request)"
            known[index] = replace(image, data=data, mime="image/jpeg", notes=(*image.notes, note))
    if (total := sum(len(image.data) for image in known.values())) > max_bytes:
        largest = max(known.values(), key=lambda image: len(image.data))
        message = f"the pictures have {file_size(total)} together, and {file_size(max_bytes)} are allowed."
        raise ImageInputError(largest.name, message, hint="Make this one smaller: it is the largest.")
    return tuple(known.get(index, image) for index, image in enumerate(images))


def _check_size(size: tuple[int, int]) -> None:
    """Raise ``BadImageError`` for a size that the service does not take and that reducing would not cure."""
    short, long = sorted(size)
    if short * long > MAX_PIXELS:
        raise too_many_pixels()
    if short < _SIDE_MIN_PX or long * _SIDE_MIN_PX > short * _SIDE_MAX_PX:
        message = f"it is {size[0]}×{size[1]} px; each side must have {_SIDE_MIN_PX} to {_SIDE_MAX_PX} px"
        raise BadImageError(message, hint=f"Enlarge it, or crop it to at most {_SIDE_MAX_PX // _SIDE_MIN_PX}:1.")


def _as_stored(picture: Image.Image, data: bytes) -> bytes | None:
    """Return a file without its metadata if its pixels may be sent as they are stored: 8-bit sRGB, opaque, upright."""
    is_known = {
        "image/jpeg": True,
        "image/png": data[24:26] == b"\x08\x02",  # 8 bits, RGB
        "image/webp": len(data) - 21 <= int.from_bytes(data[16:20], "little"),  # of pixels alone, without metadata
    }.get(mime_of(data) or "")
    if not is_known or picture.mode != "RGB" or picture.has_transparency_data or max(picture.size) > _SIDE_MAX_PX:
        return None
    clean = strip_metadata(data, keep_profile=False)
    # Looking for the orientation of a PNG would decode it.
    is_upright = clean is data or (_orientation_of(picture) == 1 and _profile_of(picture)[16:20] != b"RGB ")
    return clean if is_upright else None


def _encoded(picture: Image.Image, notes: tuple[str, ...], *, name: str, identity: str, code: str) -> InputImage:
    """Return pixels in the first encoding that fits: PNG for what was lossless, JPEG ever smaller, fewer pixels."""
    if picture.mode == "F" or (picture.mode == "I" and picture.format not in ("PNG", "PPM")):  # which say their range
        _check_range(picture, code)
    (rgb, done), is_jpeg = plain_rgb(picture), picture.format in ("JPEG", "MPO")
    notes, full, scale = notes + done, rgb.size, min(1.0, _SIDE_MAX_PX / max(rgb.size))
    steps = [("JPEG", {"quality": 95, "subsampling": 0}), ("JPEG", {"quality": 85})]
    # More pixels hardly ever fit into a PNG of the allowed size, and packing them takes seconds.
    if not is_jpeg and math.prod(full) * scale**2 <= 40_000_000:
        steps.insert(0, ("PNG", {"compress_level": 1}))  # three times as fast as the default for a tenth more bytes
    while True:
        size = (max(_SIDE_MIN_PX, round(full[0] * scale)), max(_SIDE_MIN_PX, round(full[1] * scale)))
        sized = rgb if size == full else rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        for format_name, options in steps:
            data = saved(sized, format_name, **options)
            if len(data) <= _FILE_MAX_BYTES:
                if size != full or (format_name == "JPEG" and not is_jpeg):
                    limits = f"at most {_SIDE_MAX_PX} px a side and {file_size(_FILE_MAX_BYTES)} a file"
                    made = (
                        "re-encoded to" if size == full else f"reduced from {full[0]}×{full[1]} to {size[0]}×{size[1]},"
                    )
                    notes += (f"{made} {file_size(len(data))} as {format_name} ({limits})",)
                return InputImage(name, identity, data, f"image/{format_name.lower()}", *size, notes)
        scale *= min(0.95, math.sqrt(0.97 * _FILE_MAX_BYTES / len(data)))
        steps = steps[-1:]


def saved(picture: Image.Image, format_name: str, **options: Any) -> bytes:
    """Return the picture as a file of this format."""
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


# Identities, and any pixels as plain RGB ------------------------------------------------------------------------------


def identity_of_bytes(data: bytes) -> str:
    """Return the identity of a file: its original bytes count, whatever is sent in their place."""
    return f"bytes:sha256:{hashlib.sha256(data).hexdigest()}"


def pixel_identity(picture: Image.Image, *, as_in_file: bool = True) -> str:
    """Hash a picture in memory: mode, size and pixels, and whatever changes their meaning.

    It is part of the request hashes, so its result for a given picture must never change. ``as_in_file`` counts
    orientation and colour profile, which apply to an untouched file only.
    """
    digest = hashlib.sha256(f"{picture.mode} {picture.width}x{picture.height}\n".encode())
    digest.update(picture.tobytes())
    transparency, orientation = picture.info.get("transparency"), _orientation_of(picture)
    meaning = {
        "palette": bytes(picture.getpalette("RGBA") or ()) if picture.mode in ("P", "PA") and picture.palette else None,
        "transparency": None if transparency is None else repr(transparency).encode(),
        "orientation": str(orientation).encode() if as_in_file and orientation != 1 else None,
        "icc": (as_in_file and _profile_of(picture)) or None,
    }
    for key, value in meaning.items():
        digest.update(b"" if value is None else f"\n{key} {len(value)}\n".encode() + value)
    return f"pixels:sha256:{digest.hexdigest()}"


def plain_rgb(picture: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a picture as new 8-bit RGB pixels without metadata, on white, and notes on what was done to them.

    A picture as a file holds it is also turned upright and converted to sRGB. Rotating, cropping, resizing, converting
    and copying return an ``Image`` that keeps the file's metadata, though it may no longer be true: such a picture is
    sent as the notebook shows it, and so is one that was changed in place. 16-bit grey is scaled from its full range,
    float grey from 0 to 1. Broken pixels raise whatever Pillow raises.
    """
    notes, icc = [], b""
    rgb = picture.copy() if picture.palette else picture  # Pillow writes transparency into a palette when converting
    if isinstance(picture, ImageFile.ImageFile) and not _is_changed(picture):
        icc = _profile_of(picture)
        if _orientation_of(picture) != 1:
            rgb = ImageOps.exif_transpose(picture)
            notes.append("turned upright as its Exif says")
    if rgb.mode.startswith("I"):
        rgb = rgb.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    elif rgb.mode == "F":
        rgb = rgb.point(lambda value: value * 255 + 0.5).convert("L")
    if rgb.has_transparency_data:
        rgba = rgb.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        if rgba.getchannel("A").getextrema() != (255, 255):
            notes.append("transparency flattened on white")
    if icc and (converted := _in_srgb(rgb, icc)) is not None:
        rgb = converted
        notes.append("colours converted to sRGB")
    rgb = rgb.convert("RGB")  # always a copy
    rgb.info = {}
    return rgb, tuple(notes)


def _is_changed(picture: ImageFile.ImageFile) -> bool:
    """Say whether a file's pixels were changed in place (by ``thumbnail``, by drawing), where its file is known."""
    if picture.tile or not (_orientation_of(picture) != 1 or _profile_of(picture)):  # not decoded yet, or all the same
        return False
    try:
        with Image.open(picture.filename) as stored:
            return stored.size != picture.size or stored.tobytes() != picture.tobytes()
    except (OSError, SyntaxError, ValueError):  # it came from memory, or is gone
        return False


def _orientation_of(picture: Image.Image) -> int:
    """Return the Exif (or XMP) orientation, 1 to 8; 1 if there is none, or none that can be read."""
    try:
        value = picture.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything on broken Exif, which must not cost the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _profile_of(picture: Image.Image) -> bytes:
    """Return the colour profile of a picture; nothing if it has none or its profile means sRGB."""
    icc = picture.info.get("icc_profile")
    return icc if isinstance(icc, bytes) and not (icc[16:20] == b"RGB " and _is_srgb(icc)) else b""


def _in_srgb(picture: Image.Image, icc: bytes) -> Image.Image | None:
    """Convert by a colour profile; one that is broken or does not fit the picture is ignored, as viewers do."""
    try:
        source = picture if picture.mode in ("CMYK", "L", "LAB") else picture.convert("RGB")
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ImportError, ValueError, TypeError):
        return None


@lru_cache(maxsize=8)
def _is_srgb(icc: bytes) -> bool:
    """Tell whether an RGB profile means sRGB, by its effect on sample colours; a broken one counts as sRGB."""
    steps = range(0, 256, 51)
    samples = Image.frombytes("RGB", (36, 6), bytes(v for r in steps for g in steps for b in steps for v in (r, g, b)))
    seen = _in_srgb(samples, icc) or samples
    return max(abs(a - b) for a, b in zip(samples.tobytes(), seen.tobytes(), strict=True)) <= 3


# Arrays, and modes that do not say which value is white --------------------------------------------------------------


def picture_of_array(array: Any, code: str) -> Image.Image:
    """Return the picture of an array, given the Python code for it, which hints repeat.

    Raises
    ------
    BadImageError
        For another shape than H×W, H×W×1, H×W×3 or H×W×4, and for values that are neither uint8 nor float from 0 to 1.
    """
    shown = f"it is an array of shape {'×'.join(map(str, array.shape)) or '()'}, {array.dtype}"
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        hint = f"Choose one picture of it: {code}[0]." if array.ndim > 3 else "Choose an H×W×3 part of it."
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = f"Put the channels last: {code}.transpose(1, 2, 0)."
        raise BadImageError(f"{shown}; a picture is H×W, H×W×3 or H×W×4", hint=hint)
    size = (array.shape[1], array.shape[0])
    _check_size(size)
    if array.dtype.kind not in "fbiu":
        raise BadImageError(f"{shown}; pixels are uint8, or float from 0 to 1", hint="Give it as uint8.")
    if array.dtype.name != "uint8":
        low, high = ((float if array.dtype.kind == "f" else int)(value) for value in (array.min(), array.max()))
        _check_values(low, high, shown, code, {"bool": 1, "uint16": 65535}.get(array.dtype.name))
        wide = array.astype("float32") if array.dtype.itemsize < 4 else array
        array = (wide.clip(0, 1) * 255).round().astype("uint8")
    return Image.frombytes({1: "L", 3: "RGB", 4: "RGBA"}[channels], size, array.tobytes())


def _check_range(picture: Image.Image, code: str) -> None:
    """Hold a picture of mode I or F to the rule for arrays."""
    floats: Any = picture.convert("F")
    low, high = floats.getextrema()
    # Extrema pass over NaN unless it comes first; a mean does not.
    mean = floats.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    low = low if math.isfinite(mean) else mean
    shown = f"it is a {picture.width}×{picture.height} image of mode {picture.mode}"
    _check_values(low if picture.mode == "F" else int(low), high, shown, f"numpy.asarray({code})")


def _check_values(low: float, high: float, shown: str, code: str, white: int | None = None) -> None:
    """Refuse integers, and floats that do not run from 0 to 1; a hint stretches nothing, so that dim stays dim."""
    is_float = isinstance(low, float)
    if not (is_float and low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        white = white or (1 if is_float and high <= 2 else 255 if high <= 255 else 65535)
        hint = f"If {white} is white: numpy.clip({code} / {white}, 0, 1)."
        if not math.isfinite(low + high):
            hint = f"Fill it: numpy.nan_to_num({code}, posinf=1, neginf=0)."
        elif is_float and low < -0.5 and high <= 1 + _TOLERANCE:
            hint = f"If -1 is black: numpy.clip(({code} + 1) / 2, 0, 1)."
        message = f"{shown} with values from {low:g} to {high:g}; pixels are uint8, or float from 0 to 1"
        raise BadImageError(message, hint=hint)
