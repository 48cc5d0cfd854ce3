"""Any value that a person calls a picture as one checked upload."""

import base64
import io
import os
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from ..errors import DownloadError, ImageInputError
from ..text import one_line, pluralize
from .encode import READ_MAX_BYTES, from_bytes, from_pixels, identity_of_bytes, picture_of_array, pixel_identity
from .inputs import InputImage, is_instance, is_picture, method_of
from .inspect import BadImageError, decoding, open_header, open_image

Fetch = Callable[[str], bytes]
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_WARNING_FILTERS: Final = threading.RLock()
"""They belong to the process: two threads that restored them crosswise would silence it for good."""
_DRAWERS: Final[Mapping[str, dict[str, Any]]] = {
    "_repr_png_": {},
    "_repr_jpeg_": {},
    "_repr_mimebundle_": {"include": ["image/png", "image/jpeg"]},
}
"""Methods that draw, and their options."""
_SAVE_IT: Final = "Save the picture and give its path."


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
    # Shown in errors and records: of a URL no query and password, nothing of a pasted picture.
    if isinstance(value, str) and (name.lstrip()[:5].lower() == "data:" or _is_base64(name.encode(errors="replace"))):
        name = "pasted picture"
    elif "://" in name[:12]:
        name = re.sub("//[^/]*@", "//", re.split("[?#]", name)[0])
    name = one_line(name, 200)
    try:
        # Pillow warns about odd metadata and many pixels; classes of other libraries read, draw and convert here too.
        with _WARNING_FILTERS, warnings.catch_warnings(action="ignore"), decoding():
            return _load(value, name=name, fetch=fetch)
    except (BadImageError, DownloadError) as error:  # which has the server's own words
        raise ImageInputError(name, f"{error.message.rstrip('.')}.", hint=error.hint or _SAVE_IT) from error


def former_identity(value: Any) -> str | None:
    """Return the identity that the first edition gave to a picture that ``load_image`` now refuses; None for others.

    These are pictures of mode I or F, whose value range it guessed. Addresses are not fetched. Never raises.
    """
    with suppress(Exception):
        if is_instance(value, "PIL.Image", "Image"):
            return pixel_identity(value) if value.mode in ("I", "F") else None
        data = _bytes_of(value, fetch=None) or b""
        return identity_of_bytes(data) if open_header(data).mode in ("I", "F") else None
    return None


def _load(value: Any, *, name: str, fetch: Fetch | None) -> InputImage:
    code = name if re.fullmatch(r"[^\W\d][\w.]*(?:\[[^\[\]]*\])*", name) else "image"
    if is_instance(value, "PIL.Image", "Image"):
        return from_pixels(value, name=name, code=code)
    if (data := _bytes_of(value, fetch=fetch)) is not None:
        return from_bytes(data, name=name)
    if not is_instance(value, "numpy", "ndarray"):
        # Drawings before all that follows: the first edition knew them by their pixels, and identities do not change.
        if (drawn := _drawn(value)) is not None:
            return replace(from_bytes(drawn, name=name), identity=pixel_identity(open_image(drawn)))
        if is_instance(value, "ipywidgets", "FileUpload"):
            return load_image(value.value, name=f"{name}.value", fetch=fetch)
        if (content := _content(value)) is not None:
            return load_image(content, name=name, fetch=fetch)
        if isinstance(value, Mapping | list | tuple):
            keys = list(value) if isinstance(value, Mapping) else range(len(value))
            if len(keys) == 1:
                return load_image(value[keys[0]], name=name, fetch=fetch)
            hint = f"Choose one: {code}[{keys[0]!r}]." if keys else "Upload or give a picture first."
            raise BadImageError(f"it holds {pluralize(len(keys), 'value')}, and one picture is needed", hint=hint)
        value, code = _as_array(value, code)
    if value.shape[1:] in ((), (1,)) and value.dtype.name == "uint8" and is_picture(value[:32].tobytes()):
        return from_bytes(value.tobytes(), name=name)  # an encoded file, as cv2.imencode returns it
    return from_pixels(picture_of_array(value, code), name=name, code=code)


def _content(value: Any) -> Any | None:
    """Return what an item of an upload, an image widget or an image output holds."""
    if isinstance(value, Mapping):
        return value.get("content")
    if is_instance(value, "ipywidgets", "Image"):
        return bytes(value.value).decode(errors="replace") if value.format == "url" else value.value
    return value.data or value.url or value.filename if is_instance(value, "IPython.display", "Image") else None


def _as_array(value: object, code: str) -> tuple[Any, str]:
    """Return a tensor as a NumPy array by its own methods, and the Python code that does it."""
    array = value
    for step in ("detach", "cpu", "numpy", "__array__"):
        if (method := method_of(array, step)) is not None and not is_instance(array, "numpy", "ndarray"):
            array, code = method(), f"numpy.asarray({code})" if step == "__array__" else f"{code}.{step}()"
    # A table is not a picture, whatever its shape.
    if not is_instance(array, "numpy", "ndarray") or hasattr(type(value), "columns"):
        hint = "Give a PIL image, a NumPy array, bytes, a path, a URL, a figure or an earlier job."
        raise BadImageError(f"it is of type {type(value).__name__}, not a picture", hint=hint)
    return array, code


def _drawn(value: object) -> bytes | None:
    """Let a figure or a rich object draw itself: PNG or JPEG bytes, or nothing if it cannot."""
    figure = method_of(value, "get_figure")  # of axes
    if (savefig := method_of(value, "savefig") or (figure and figure().savefig)) is not None:
        buffer = io.BytesIO()
        savefig(buffer, format="png")
        return buffer.getvalue()
    content: Any = None
    for name, options in _DRAWERS.items():
        if not content and (draw := method_of(value, name)) is not None:
            content = draw(**options)
            content = content[0] if isinstance(content, tuple) else content  # of data and metadata
            content = content.get("image/png") or content.get("image/jpeg") if options else content
    return base64.b64decode(content) if isinstance(content, str) else content and bytes(content)


# What a person types or pastes: paths, addresses, data URLs and bare base64 -------------------------------------------


def _bytes_of(value: Any, *, fetch: Fetch | None) -> bytes | None:
    """Return the bytes of a picture that is given as bytes, path, address, text or open file; None for others."""
    if isinstance(value, str):
        value = _bytes_of_text(value, fetch=fetch)
    elif isinstance(value, os.PathLike):
        value = _read_path(os.fsdecode(value))
    elif callable(getattr(value, "read", None)):
        if hasattr(value, "seekable") and value.seekable():
            value.seek(0)
        value = value.read(READ_MAX_BYTES + 1)
        if not isinstance(value, bytes):
            raise BadImageError("the file is open as text", hint="Open it with open(path, 'rb'), or give its path.")
    if not isinstance(value, bytes | bytearray | memoryview):
        return None
    data = bytes(value)
    if data[:200].lstrip()[:5].lower() == b"data:":
        data = unquote_to_bytes(data.partition(b",")[2])
    if not _is_base64(data):
        return data
    packed = b"".join(data.split()).rstrip(b"=").translate(_FROM_URL_SAFE)
    return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)


def _bytes_of_text(text: str, *, fetch: Fetch | None) -> bytes:
    bare = text.strip()
    if bare[:5].lower() == "data:" or _is_base64(bare.encode(errors="replace")):
        return bare.encode(errors="replace")
    if not bare.lower().startswith(("http://", "https://")):
        return _read_path(unquote(urlsplit(bare).path) if bare[:7].lower() == "file://" else text)
    if fetch is None:
        raise BadImageError("addresses cannot be fetched here", hint=_SAVE_IT)
    return fetch(bare)


def _is_base64(text: bytes) -> bool:
    head = re.match(rb"\s*([A-Za-z0-9+/_-]{24})", text)
    return head is not None and is_picture(base64.b64decode(head[1].translate(_FROM_URL_SAFE)))


def _read_path(text: str) -> bytes:
    """Read a file as it was typed, without blanks around it, or with another Unicode form of its name."""
    path = Path(text.strip()).expanduser()
    forms = [path.parent / normalize(form, path.name) for form in ("NFC", "NFD")]
    found = next((spelling for spelling in (Path(text).expanduser(), path, *forms) if spelling.exists()), None)
    if found is None:
        names = [entry.name for entry in islice(path.parent.glob("*"), 5000)]
        near = [path.parent / name for name in get_close_matches(path.name[:255], names, n=1)]
        near = [path for path in near if path.exists()]  # a link to nowhere has a name, too
        near = [above] if (above := ".." / path).is_file() else near
        hint = f"Did you mean {one_line(near[0], 300)}?" if near else "Check it: it starts from the notebook's folder."
        raise BadImageError(f"there is no file {one_line(path, 200)}", hint=hint)
    if not text.strip() or not found.is_file():  # opening a pipe would wait for ever
        raise BadImageError("it is not a file", hint="Give the path of a picture file.")
    with found.open("rb") as file:
        return file.read(READ_MAX_BYTES + 1)
