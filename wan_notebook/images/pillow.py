"""The one place where Pillow opens a file: known formats only, quiet, and with one kind of error."""

from __future__ import annotations

import importlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from wan_notebook.images.facts import MAX_PIXELS, NotAPictureError, not_an_image

if TYPE_CHECKING:
    from PIL.Image import Image

_PLUGIN: Final = {
    "image/png": ("PNG", "PngImagePlugin"),
    "image/jpeg": ("JPEG", "JpegImagePlugin"),
    "image/webp": ("WEBP", "WebPImagePlugin"),
    "image/bmp": ("BMP", "BmpImagePlugin"),
    "image/gif": ("GIF", "GifImagePlugin"),
    "image/tiff": ("TIFF", "TiffImagePlugin"),
    "image/avif": ("AVIF", "AvifImagePlugin"),
}
# Formats without a check of ours. No EPS or WMF (they start programs), no TGA (any bytes would do).
_OTHERS: Final = ("HEIF", "JPEG2000", "PPM", "ICO", "QOI", "PCX")

# Pillow's readers raise all of these on hostile bytes; a Warning counts where warnings are errors.
_FAULTS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Warning,
)


_FILTERS = threading.RLock()


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever Pillow raises about a picture into NotAPictureError."""
    from PIL import Image

    try:
        yield
    except Image.DecompressionBombError as exc:
        raise too_large() from exc
    except _FAULTS as exc:
        cut = "truncated" in str(exc).lower()
        what = "the file is cut off" if cut else f"it cannot be decoded ({str(exc) or type(exc).__name__})"
        raise NotAPictureError(what, kind="truncated" if cut else "corrupt") from exc


@contextmanager
def quietly() -> Iterator[None]:
    """Silence Pillow's warnings about odd metadata and many pixels, one thread at a time."""
    # Filters belong to the process: two threads that restore them crosswise would silence it for good.
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def too_large(width_px: int = 0, height_px: int = 0, *, limit: int = MAX_PIXELS) -> NotAPictureError:
    """Return the error for a decompression bomb."""
    size = f"{width_px}×{height_px} = {width_px * height_px / 1e6:.0f} million" if width_px else "far too many"
    return NotAPictureError(
        f"it declares {size} pixels; more than {limit // 1_000_000} million are not decoded",
        kind="too-large",
        hint="Reduce it with an image editor first.",
    )


def open_picture(data: bytes, mime: str | None) -> Image:
    """Open without decoding; call inside ``reading()``."""
    from PIL import Image, UnidentifiedImageError

    if mime in _PLUGIN:
        name, module = _PLUGIN[mime]
        importlib.import_module(f"PIL.{module}")
        names: tuple[str, ...] = (name,)
    else:
        Image.init()
        names = tuple(n for n in _OTHERS if n in Image.OPEN)
    try:
        picture = Image.open(io.BytesIO(data), formats=names)
    except UnidentifiedImageError:
        if mime == "image/heic":
            raise NotAPictureError(
                "HEIC cannot be read here",
                kind="not-image",
                hint="Export it as JPEG, or `pip install pillow-heif` and call pillow_heif.register_heif_opener().",
            ) from None
        if mime is None:
            raise not_an_image(data) from None
        raise
    if picture.width * picture.height > MAX_PIXELS:
        raise too_large(picture.width, picture.height)
    return picture
