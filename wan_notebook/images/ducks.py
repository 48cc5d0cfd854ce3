"""Is this an image? Asked of the type, never of the object, so that asking is cheap and starts nothing."""

from __future__ import annotations

import io
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from wan_notebook.images.facts import mime_of
from wan_notebook.inputs import InputImage

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES: Final = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)


def is_pil(value: object) -> TypeGuard[Image]:
    """Tell a Pillow image without importing Pillow."""
    return _is_a(value, "PIL.Image", "Image")


def is_array(value: object) -> TypeGuard[Any]:
    """Tell a NumPy array without importing NumPy."""
    return _is_a(value, "numpy", "ndarray")


def _is_a(value: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)  # not imported: then nothing can be one
    return isinstance(kind, type) and issubclass(type(value), kind)


def method_of(value: object, name: str) -> Any | None:
    """Return a method that the value's *class* defines, bound; attributes made up on the fly do not count."""
    method = getattr(type(value), name, None)
    return method.__get__(value) if callable(method) and hasattr(method, "__get__") else None


def looks_like_image(value: object) -> bool:
    """Guess for pickers and completion whether ``load_image`` would take this; never raises, reads no file."""
    try:
        return _looks_like_image(value)
    except (TypeError, ValueError, AttributeError, RuntimeError, OSError):
        return False  # a class with a property where we expect a plain one


def _looks_like_image(value: object) -> bool:
    kind = type(value)
    if issubclass(kind, InputImage) or is_pil(value):
        return True
    if is_array(value):
        return _looks_like_pixels(value)
    if issubclass(kind, bytes | bytearray | memoryview | io.BytesIO):
        return _starts_like_image(value)
    if issubclass(kind, PurePath):
        return str(value).lower().endswith(_SUFFIXES)
    if issubclass(kind, str):
        return _names_image(str(value))
    return any(method_of(value, name) is not None for name in ("savefig", "_repr_png_", "_repr_jpeg_"))


def _looks_like_pixels(array: Any) -> bool:
    shape, kind = array.shape, array.dtype.kind
    if len(shape) not in (2, 3) or min(shape) == 0 or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        return False
    large_enough = shape[0] >= 16 and shape[1] >= 16  # a table of numbers is no picture
    return bool(large_enough and (kind == "f" or (kind == "u" and array.dtype.itemsize == 1)))


def _starts_like_image(value: Any) -> bool:
    head = bytes(value.getbuffer()[:32]) if isinstance(value, io.BytesIO) else bytes(memoryview(value)[:32])
    mime = mime_of(head)
    return mime is not None and mime.startswith("image/")


def _names_image(text: str) -> bool:
    if len(text) > 4096:
        return text[:11].lower() == "data:image/"
    lowered = text.lower()
    if lowered.startswith("data:image/"):
        return True
    if "\n" in text:
        return False
    if lowered.startswith(("http://", "https://")):
        lowered = lowered.split("?", 1)[0].split("#", 1)[0]
    return lowered.endswith(_SUFFIXES)
