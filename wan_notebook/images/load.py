"""Any value that a person calls a picture as one checked upload."""

import ast
import base64
import binascii
import difflib
import io
import itertools
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize
from urllib.parse import unquote, unquote_to_bytes

from ..errors import ImageInputError, WanError
from ..text import file_size, one_line
from .encode import from_bytes, from_pixels, identity_of_bytes
from .inputs import InputImage, is_instance, is_picture, method_of
from .inspect import BadImageError, open_header, open_image, quiet
from .pixels import is_untouched, picture_of_array, pixel_identity

Fetch = Callable[[str], bytes]
_READ_MAX_BYTES: Final = 256 * 1024**2
"""A larger file is not a photograph; reading it would only fill the memory."""
_NEIGHBOURS_MAX: Final = 5000
_BASE64: Final = re.compile(rb"\s*([A-Za-z0-9+/_-]{24})")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_ACCEPTED: Final = "Give a PIL image, a NumPy array, bytes, a path, a URL, a figure or an earlier job."
_SAVE_IT: Final = "Save the picture and give its path."
_A_FILE: Final = "Give the path of a picture file."


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
    name = _display_name(name)
    with quiet():
        try:
            return _load(value, name=name, code=_as_code(name), fetch=fetch)
        except BadImageError as error:
            raise ImageInputError(name, f"{error.message.rstrip('.')}.", hint=error.hint) from error
        except RecursionError as error:
            raise ImageInputError(name, f"it is {_kind(value)} that holds itself.", hint=_ACCEPTED) from error
        except WanError:
            raise
        except Exception as error:  # classes of other libraries read, draw and convert here
            message = f"{_kind(value)} could not be read ({_reason(error)})."
            raise ImageInputError(name, message, hint=_SAVE_IT) from error


def former_identity(value: Any) -> str | None:
    """Return the identity that the first edition gave to a picture that is read differently now; None for others.

    These are Pillow images that were rotated, cropped, resized, converted or copied and still carry an orientation or
    a colour profile (which the first edition applied to them), and pictures of mode I or F (whose value range it
    guessed) that ``load_image`` now refuses. Addresses are not fetched. Never raises.
    """
    with quiet(), suppress(Exception):
        if is_instance(value, "PIL.Image", "Image"):
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
        return from_bytes(data, name=name)
    if is_instance(value, "PIL.Image", "Image"):
        return from_pixels(value, name=name, code=code)
    if not is_instance(value, "numpy", "ndarray"):
        # Drawings before all that follows: the first edition knew them, and identities do not change.
        if (drawn := _drawn(value)) is not None:
            return _from_drawing(value, drawn, name=name)
        if is_instance(value, "ipywidgets", "FileUpload"):
            value, name, code = value.value, f"{name}.value", f"{code}.value"
        if (content := _content(value)) is not None:
            return load_image(content, name=name, fetch=fetch)
        if isinstance(value, Mapping | list | tuple):
            keys = list(value) if isinstance(value, Mapping) else range(len(value))
            if len(keys) == 1:
                return load_image(value[keys[0]], name=name, fetch=fetch)
            hint = f"Choose one: {code}[{keys[0]!r}]." if keys else "Upload or give a picture first."
            raise BadImageError(f"it is {_kind(value)} of {len(keys)}, and one picture is needed", hint=hint)
        if callable(getattr(value, "read", None)):
            return from_bytes(_unpacked(_read(value)), name=name)
        value, code = _as_array(value, code)
    is_flat = value.ndim == 1 or value.shape[1:] == (1,)
    if is_flat and value.dtype.name == "uint8" and is_picture(value[:32].tobytes()):
        return from_bytes(value.tobytes(), name=name)  # an encoded file, as cv2.imencode returns it
    picture, code = picture_of_array(value, code)
    return from_pixels(picture, name=name, code=code)


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


def _read(file: Any) -> bytes:
    """Read an open file, from its beginning where that is possible."""
    hint = "Open it again with open(path, 'rb'), or give its path."
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        data = file.read(_READ_MAX_BYTES + 1)
    except Exception as error:  # foreign code reads here
        raise BadImageError(f"the open file cannot be read ({error})", hint=hint) from error
    if not isinstance(data, bytes):
        raise BadImageError("the file is open as text", hint=hint)
    return _within_limit(data)


def _as_array(value: object, code: str) -> tuple[Any, str]:
    """Return a tensor as a NumPy array by its own methods, and the Python code that does it."""
    array = value
    try:
        for step in ("detach", "cpu", "numpy"):
            if (method := method_of(array, step)) is not None:
                array, code = method(), f"{code}.{step}()"
        if not is_instance(array, "numpy", "ndarray") and (method := method_of(array, "__array__")) is not None:
            array, code = method(), f"numpy.asarray({code})"
    except Exception as error:  # foreign code converts here
        message = f"{_kind(value)} could not become an array ({type(error).__name__}: {error})"
        raise BadImageError(message, hint="Give it as a NumPy array, H×W×3, uint8.") from error
    # A table is not a picture, whatever its shape.
    if not is_instance(array, "numpy", "ndarray") or hasattr(type(value), "columns"):
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
        drawers = (method_of(value, name) for name in ("_repr_png_", "_repr_jpeg_"))
        content = next((drawn for draw in drawers if draw is not None and (drawn := draw())), None)
        if not content and (draw := method_of(value, "_repr_mimebundle_")) is not None:
            made = draw(include=["image/png", "image/jpeg"])
            bundle = made[0] if isinstance(made, tuple) else made
            content = bundle.get("image/png") or bundle.get("image/jpeg")
        content = content[0] if isinstance(content, tuple) else content  # data and metadata
        return base64.b64decode(content) if isinstance(content, str) else content and bytes(content)
    except Exception as error:  # foreign code draws here; whatever it raises is about this picture
        hint = "It must show itself in a cell; or save it as a file and give its path."
        raise BadImageError(f"{_kind(value)} could not draw itself ({_reason(error)})", hint=hint) from error


# What a person types or pastes: paths, addresses, data URLs and bare base64 -------------------------------------------


def _display_name(name: str) -> str:
    """Shorten a name for errors and records: a URL without query and password, no content of a data URL."""
    name = name.strip()
    if name[:5].lower() == "data:":
        return f"{re.split('[,;]', name[:40])[0]} URL"
    if _is_base64(name.encode(errors="replace")):
        return "base64 text"
    if "://" in name[:12]:
        name = re.sub("//[^/]*@", "//", re.split("[?#]", name)[0])
    return name if len(name) <= 200 else f"{name[:99]}…{name[-100:]}"


def _bytes_of(value: object, *, fetch: Fetch | None) -> bytes | None:
    """Return the bytes of a picture that is given as bytes, path, address or text; None for anything else."""
    if isinstance(value, str):
        value = _bytes_of_text(value, fetch=fetch)
    elif isinstance(value, os.PathLike):
        value = _read_path(value)
    elif isinstance(value, io.BytesIO):
        value = value.getvalue()
    return _unpacked(bytes(value)) if isinstance(value, bytes | bytearray | memoryview) else None


def _bytes_of_text(text: str, *, fetch: Fetch | None) -> bytes:
    bare = text.strip()
    scheme = bare[:12].partition("://")[0].lower() if "://" in bare[:12] else ""
    if bare[:5].lower() == "data:" or _is_base64(bare.encode(errors="replace")):
        return bare.encode(errors="replace")
    if scheme in ("http", "https"):
        return _read_url(bare, fetch=fetch)
    if scheme == "file":
        return _read_path(unquote(bare[bare.index("/", 7) :] if "/" in bare[7:] else bare[7:]))
    if scheme:
        raise BadImageError(f"{scheme}:// addresses are not fetched, only http:// and https://", hint=_SAVE_IT)
    return _read_path(text)


def _unpacked(data: bytes) -> bytes:
    """Return a picture's bytes, decoded where they are a data URL or base64."""
    is_data_url = data[:200].lstrip()[:5].lower() == b"data:"
    if not is_data_url and not _is_base64(data):
        return data
    head, comma, content = data.partition(b",") if is_data_url else (b";base64", b",", data)
    if not comma:
        raise BadImageError("the data URL has no comma, so no content", hint=f"Copy all of it. Or: {_SAVE_IT}")
    raw = unquote_to_bytes(content)
    if not head.lower().rstrip().endswith(b";base64"):
        return raw
    packed = b"".join(raw.split()).rstrip(b"=").translate(_FROM_URL_SAFE)
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise BadImageError(f"its base64 is broken: {error}", hint=f"Copy all of it. Or: {_SAVE_IT}") from error


def _is_base64(text: bytes) -> bool:
    head = _BASE64.match(text)
    return head is not None and is_picture(base64.b64decode(head[1].translate(_FROM_URL_SAFE)))


def _read_url(url: str, *, fetch: Fetch | None) -> bytes:
    """Fetch an address once; an error repeats the words of the server."""
    if fetch is None:
        raise BadImageError("addresses cannot be fetched here", hint=_SAVE_IT)
    try:
        return bytes(fetch(url))
    except (WanError, OSError, ValueError) as error:
        reason = error.message if isinstance(error, WanError) else _reason(error)
        message = f"it could not be fetched: {reason.rstrip('.')}"
        raise BadImageError(message, hint=f"Check the address. Or: {_SAVE_IT}") from error


def _read_path(given: str | os.PathLike[str]) -> bytes:
    """Read a file as it was typed, without blanks around it, or in another Unicode form of its name."""
    try:
        text = os.fsdecode(given)
        path = Path(text.strip()).expanduser()
        if not text.strip():
            raise BadImageError("the path is empty", hint=_A_FILE)
        folders, names = [{normalize(form, part) for form in ("NFC", "NFD")} for part in (str(path.parent), path.name)]
        spellings = [Path(text).expanduser(), path, *(Path(folder) / name for folder in folders for name in names)]
        found = next((spelling for spelling in spellings if spelling.exists()), None)
        if found is None:
            raise _missing(path)
        if not found.is_file():
            what = "folder" if found.is_dir() else "pipe, socket or device"
            raise BadImageError(f"it is a {what}, not a file", hint=_A_FILE)
        if not found.stat().st_size:
            return b""  # in /proc and the like, reading such a file may not end
        with found.open("rb") as file:
            return _within_limit(file.read(_READ_MAX_BYTES + 1))
    except WanError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # no permission, unknown ~user, a NUL, a name too long
        reason = getattr(error, "strerror", None) or str(error)
        raise BadImageError(f"it cannot be read: {reason}", hint="Check the path and its permissions.") from error


def _within_limit(data: bytes) -> bytes:
    if len(data) > _READ_MAX_BYTES:
        message = f"the file has more than {file_size(_READ_MAX_BYTES)}"
        raise BadImageError(message, hint="Make the picture smaller first.")
    return data


def _missing(path: Path) -> BadImageError:
    """Return the error for a missing file; its hint is a path that exists, if there is one near."""
    message, above = f"there is no file {one_line(path, 200)}", ".." / path
    if not path.is_absolute() and above.is_file():
        return BadImageError(message, hint=f"Did you mean {one_line(above, 200)}?")
    try:
        entries = [entry.name for entry in itertools.islice(path.parent.iterdir(), _NEIGHBOURS_MAX)]
    except OSError:
        return BadImageError(f"{message}, and no folder {one_line(path.parent, 200)}", hint="Check the path.")
    by_lower = {entry.lower(): entry for entry in sorted(entries)}
    near = difflib.get_close_matches(path.name.lower()[:255], by_lower, n=1, cutoff=0.5)
    nearest = f"Did you mean {one_line(path.parent / by_lower[near[0]], 200)}?" if near else ""
    return BadImageError(message, hint=nearest or "Check the name; a path starts from the notebook's folder.")


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


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
