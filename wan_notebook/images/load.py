"""Any value that a person calls a picture as one checked upload."""

import ast
import base64
import io
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from ..errors import ImageInputError
from .arrays import picture_of_array
from .detect import is_array, is_instance, is_picture, is_pil, method_of
from .encode import from_bytes, from_pixels, identity_of_bytes
from .inputs import InputImage
from .inspect import BadImageError, open_header, open_image, quiet
from .pixels import is_untouched, pixel_identity
from .sources import READ_MAX_BYTES, Fetch, bytes_of_text, display_name, read_path, unpacked, within_limit

_ACCEPTED: Final = "Give a PIL image, a NumPy array, bytes, a path, a URL, a figure or an earlier job."


def load_image(value: object, *, name: str, fetch: Fetch | None = None) -> InputImage:
    """Turn a value into a checked upload (WAN_API §1, input images).

    Parameters
    ----------
    value
        A Pillow image; an array (NumPy, or a tensor of Torch, TensorFlow or JAX) of uint8 or of floats from 0 to 1,
        H×W, H×W×3 or H×W×4; bytes or an open file of a picture, also as base64; a path; a data URL; an ``http(s)``
        address; a figure, or anything that draws itself as PNG or JPEG; an upload or image widget; an ``InputImage``.
    name
        What the picture is called in errors and records, best as the person wrote it.
    fetch
        Returns the bytes at an address, called once; at most 10 MiB. Without it addresses are refused.

    Returns
    -------
    InputImage
        Whole, plain files without metadata are sent byte for byte; ``notes`` say what was done to any other.

    Raises
    ------
    ImageInputError
        If the value is not one picture that the service takes; it names the picture, and its hint can be followed.

    Examples
    --------
    >>> image = load_image("photo.jpg", name="photo")  # doctest: +SKIP
    >>> image.mime, image.width_px, image.notes  # doctest: +SKIP
    ('image/jpeg', 4000, ('metadata removed',))
    """
    if isinstance(value, InputImage):
        return value
    name = display_name(name)
    with quiet():
        try:
            return _load(value, name=name, code=_as_code(name), fetch=fetch)
        except BadImageError as error:
            raise ImageInputError(name, f"{error.message.rstrip('.')}.", hint=error.hint) from error
        except RecursionError as error:
            raise ImageInputError(name, f"it is {_kind(value)} that holds itself.", hint=_ACCEPTED) from error


def former_identity(value: object) -> str | None:
    """Return the identity that the first edition gave to a picture that is read differently now; None for others.

    These are Pillow images that were rotated, cropped, resized, converted or copied and still carry an orientation or
    a colour profile (which the first edition applied to them), and pictures of mode I or F (whose value range it
    guessed) that ``load_image`` now refuses. Addresses are not fetched. Never raises.
    """
    with quiet(), suppress(Exception):
        if is_pil(value):
            former = pixel_identity(value)
            if value.mode not in ("I", "F"):
                is_new = not is_untouched(value) and former != pixel_identity(value, as_in_file=False)
                return former if is_new else None
        else:
            data = _bytes_of(value, fetch=None)
            if data is None or open_header(data).mode not in ("I", "F"):
                return None
            former = identity_of_bytes(data)
        try:
            load_image(value, name="image")
        except ImageInputError:
            return former
    return None


def _load(value: Any, *, name: str, code: str, fetch: Fetch | None) -> InputImage:
    data = _bytes_of(value, fetch=fetch)
    if data is not None:
        return from_bytes(unpacked(data), name=name)
    if is_pil(value):
        return from_pixels(value, name=name, code=code)
    if not is_array(value):
        # Drawings before all that follows: the first edition knew them, and identities do not change.
        if (drawn := _drawn(value)) is not None:
            return _from_drawing(value, drawn, name=name)
        if is_instance(value, "ipywidgets", "FileUpload"):
            value, name, code = value.value, f"{name}.value", f"{code}.value"
        if (content := _content(value)) is not None:
            return load_image(content, name=name, fetch=fetch)
        if isinstance(value, Mapping | list | tuple):
            return _load_only(value, name=name, code=code, fetch=fetch)
        if callable(getattr(value, "read", None)):
            return from_bytes(unpacked(_read(value)), name=name)
        value, code = _as_array(value, code)
    is_flat = value.ndim == 1 or value.shape[1:] == (1,)
    if is_flat and value.dtype.name == "uint8" and is_picture(value[:32].tobytes()):
        return from_bytes(value.tobytes(), name=name)  # an encoded file, as cv2.imencode returns it
    picture, code = picture_of_array(value, code)
    return from_pixels(picture, name=name, code=code)


def _bytes_of(value: object, *, fetch: Fetch | None) -> bytes | None:
    if isinstance(value, str):
        return bytes_of_text(value, fetch=fetch)
    if isinstance(value, os.PathLike):
        return read_path(value)
    if isinstance(value, io.BytesIO):
        return value.getvalue()
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else None


def _from_drawing(value: object, drawn: bytes, *, name: str) -> InputImage:
    """Send a drawing as it is where possible; it is known by its pixels, because drawing again may differ."""
    try:
        seen = from_pixels(open_image(drawn), name=name, code="")
    except BadImageError as error:
        message = f"what {_kind(value)} draws of itself cannot be sent: {error.message}"
        raise BadImageError(message, hint=error.hint) from error
    with suppress(BadImageError):  # a file may be less whole than what Pillow made of it
        sent = from_bytes(drawn, name=name)
        if sent.data is drawn:
            return replace(sent, identity=seen.identity)
    return seen


def _content(value: Any) -> Any | None:
    """Return what an item of an upload, an image widget or an image output holds."""
    if isinstance(value, Mapping):
        return value.get("content")
    if is_instance(value, "ipywidgets", "Image"):
        return bytes(value.value).decode(errors="replace") if value.format == "url" else value.value
    return value.data or value.url or value.filename if is_instance(value, "IPython.display", "Image") else None


def _load_only(value: Any, *, name: str, code: str, fetch: Fetch | None) -> InputImage:
    keys = list(value) if isinstance(value, Mapping) else range(len(value))
    if len(keys) == 1:
        return load_image(value[keys[0]], name=name, fetch=fetch)
    hint = f"Choose one: {code}[{keys[0]!r}]." if keys else "Upload or give a picture first."
    raise BadImageError(f"it is {_kind(value)} of {len(keys)}, and one picture is needed", hint=hint)


def _read(file: Any) -> bytes:
    """Read an open file, from its beginning where that is possible."""
    hint = "Open it again with open(path, 'rb'), or give its path."
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        data = file.read(READ_MAX_BYTES + 1)
    except Exception as error:  # foreign code reads here
        raise BadImageError(f"the open file cannot be read ({error})", hint=hint) from error
    if not isinstance(data, bytes):
        raise BadImageError("the file is open as text", hint=hint)
    return within_limit(data)


def _as_array(value: object, code: str) -> tuple[Any, str]:
    """Return a tensor as a NumPy array by its own methods, and the Python code that does it."""
    array = value
    try:
        for step in ("detach", "cpu", "numpy"):
            if (method := method_of(array, step)) is not None:
                array, code = method(), f"{code}.{step}()"
        if not is_array(array) and (method := method_of(array, "__array__")) is not None:
            array, code = method(), f"numpy.asarray({code})"
    except Exception as error:  # foreign code converts here
        message = f"{_kind(value)} could not become an array ({type(error).__name__}: {error})"
        raise BadImageError(message, hint="Give it as a NumPy array, H×W×3, uint8.") from error
    if not is_array(array) or hasattr(type(value), "columns"):  # a table is not a picture, whatever its shape
        raise BadImageError(f"it is {_kind(value)}, not a picture", kind="not-image", hint=_ACCEPTED)
    return array, code


def _drawn(value: object) -> bytes | None:
    """Let a figure or a rich object draw itself: PNG or JPEG bytes, or None if it cannot."""
    try:
        if method_of(value, "savefig") is None and (get_figure := method_of(value, "get_figure")) is not None:
            return _drawn(get_figure())  # of axes
        if (savefig := method_of(value, "savefig")) is not None:
            buffer = io.BytesIO()
            savefig(buffer, format="png")
            return buffer.getvalue()
        bundle = {}
        for mime, name in (("image/png", "_repr_png_"), ("image/jpeg", "_repr_jpeg_")):
            if (draw := method_of(value, name)) is not None:
                bundle[mime] = draw()
        if not any(bundle.values()) and (draw := method_of(value, "_repr_mimebundle_")) is not None:
            made = draw(include=["image/png", "image/jpeg"])
            bundle = made[0] if isinstance(made, tuple) else made
        content = bundle.get("image/png") or bundle.get("image/jpeg")
        content = content[0] if isinstance(content, tuple) else content  # data and metadata
        return base64.b64decode(content) if isinstance(content, str) else content and bytes(content)
    except Exception as error:  # foreign code draws here; whatever it raises is about this picture
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        hint = "It must show itself in a cell; or save it as a file and give its path."
        raise BadImageError(f"{_kind(value)} could not draw itself ({what})", hint=hint) from error


def _as_code(name: str) -> str:
    """Return a name as Python code that can stand in a larger expression, or a placeholder."""
    try:
        body = ast.parse(name, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "image"
    return name if isinstance(body, ast.Name | ast.Attribute | ast.Subscript | ast.Call) else f"({name})"


def _kind(value: object) -> str:
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
