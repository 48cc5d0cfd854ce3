"""Anything a person calls an image, to one checked upload."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from wan_notebook.errors import ImageInputError
from wan_notebook.images import files, upload
from wan_notebook.images.ducks import is_array, is_pil, method_of
from wan_notebook.images.facts import MAX_PIXELS, NotAPictureError, mime_of
from wan_notebook.images.pillow import open_picture, quietly, reading, too_large
from wan_notebook.inputs import InputImage

_ACCEPTED = "Give a PIL image, a NumPy array, bytes, a path, a URL, a figure or an earlier job."
_RESIZED_ARRAY = "Enlarge it: PIL.Image.fromarray({name}).resize({size})."  # an array's own resize fills with zeros
_DRAWN_LARGER = "Draw it larger (figsize, dpi), at least {size} px."
_TOLERANCE = 1e-3  # resampling overshoots 0–1 by a hair


def load_image(value: object, *, name: str, fetch: Callable[[str], bytes] | None = None) -> InputImage:
    """Turn anything a person calls an image into a checked upload (WAN_API §1, input images).

    Takes a PIL image, a NumPy array (uint8, or float in 0–1; H×W, H×W×3, H×W×4), bytes, a path, a data URL, an http(s)
    URL (fetched once by ``fetch``, 10 MB at most), a figure, anything with a PNG or JPEG representation, an InputImage.
    Whole, plain files without metadata pass byte for byte. Raises ImageInputError, which names the image.
    """
    if isinstance(value, InputImage):
        return value
    name = files.shown_name(name)
    if isinstance(value, str | os.PathLike):
        return upload.from_bytes(_bytes_of_text(value, name=name, fetch=fetch), name=name)
    if isinstance(value, bytes):
        return upload.from_bytes(value, name=name)
    if isinstance(value, bytearray | memoryview):
        return upload.from_bytes(bytes(value), name=name)
    if isinstance(value, io.BytesIO):
        return upload.from_bytes(value.getvalue(), name=name)
    if is_pil(value):
        return upload.from_pixels(value, name=name)
    if is_array(value):
        return upload.from_pixels(_picture_of_array(value, name=name), name=name, enlarge=_RESIZED_ARRAY)
    rendered = _rendered(value, name=name)
    if rendered is None:
        raise ImageInputError(name, f"it is {_kind(value)}, not an image.", hint=_ACCEPTED)
    try:
        with quietly(), reading():
            picture = open_picture(rendered, mime_of(rendered))
            picture.load()
    except NotAPictureError as exc:
        message = f"what {_kind(value)} shows of itself is no picture: {exc.message}."
        raise ImageInputError(name, message, hint="Save it as a file and give its path.") from exc
    return _as_drawn(picture, rendered, name=name)


def _as_drawn(picture: Any, rendered: bytes, *, name: str) -> InputImage:
    """Send what was drawn as it is if that can be sent; it is known by its pixels, since drawing again may differ."""
    seen = upload.from_pixels(picture, name=name, enlarge=_DRAWN_LARGER)
    with suppress(ImageInputError):  # Pillow may read what the stricter look into the file finds wanting
        sent = upload.from_bytes(rendered, name=name)
        if sent.data is rendered:
            return replace(sent, identity=seen.identity)
    return seen


def _kind(value: object) -> str:
    if value is None:
        return "None"
    return f"{'an' if type(value).__name__[:1].lower() in 'aeiou' else 'a'} {type(value).__name__}"


def _bytes_of_text(value: str | os.PathLike[str], *, name: str, fetch: Callable[[str], bytes] | None) -> bytes:
    if isinstance(value, str):
        if files.is_data_url(value):
            return files.read_data_url(value, name=name)
        if files.is_url(value):
            return files.read_url(value, name=name, fetch=fetch)
        if "://" in value[:12]:
            value = files.path_of_address(value, name=name)
        if not value.strip():
            raise ImageInputError(name, "the path is empty.", hint=_ACCEPTED)
    return files.read_path(value, name=name)


def _picture_of_array(array: Any, *, name: str) -> Any:
    from PIL import Image

    shape = array.shape
    shown = f"an array of shape {'×'.join(map(str, shape))}, {array.dtype}"
    if len(shape) == 3 and shape[2] == 1:
        array, shape = array[:, :, 0], shape[:2]
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
        turned = len(shape) == 3 and shape[0] in (1, 3, 4)
        hint = f"Put the channels last: {name}.transpose(1, 2, 0)." if turned else "Pick one H×W×3 part of it."
        raise ImageInputError(name, f"it is {shown}; a picture is H×W, H×W×3 or H×W×4.", hint=hint)
    if shape[0] * shape[1] > MAX_PIXELS:
        bomb = too_large(shape[1], shape[0])
        raise ImageInputError(name, f"{bomb.message}.", hint=bomb.hint)
    if 0 in shape:
        raise ImageInputError(name, f"it is {shown}: it is empty.", hint="Give one with pixels.")
    pixels = _bytes_of_floats(array, name=name, shown=shown) if array.dtype.kind == "f" else array
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize != 1:
        hint = {
            "b": f"Convert it: {name}.astype('uint8') * 255.",
            "u": f"Scale it: ({name} / {name}.max()).",
        }.get(array.dtype.kind, f"If it runs from 0 to 255: {name}.astype('uint8').")
        raise ImageInputError(name, f"it is {shown}; pixels are uint8, or float from 0 to 1.", hint=hint)
    mode = "L" if len(shape) == 2 else {3: "RGB", 4: "RGBA"}[shape[2]]
    return Image.frombytes(mode, (shape[1], shape[0]), pixels.tobytes())


def _bytes_of_floats(array: Any, *, name: str, shown: str) -> Any:
    low, high = float(array.min()), float(array.max())
    if low != low or high != high:
        raise ImageInputError(name, f"it is {shown} and holds NaN.", hint=f"Fill it: numpy.nan_to_num({name}).")
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        hint = f"Divide it: {name} / 255." if low >= 0 and high <= 255 else "Scale it to 0–1."
        raise ImageInputError(name, f"it is {shown} from {low:g} to {high:g}; floats run from 0 to 1.", hint=hint)
    wide = array.astype("float32") if array.dtype.itemsize < 4 else array
    return (wide.clip(0, 1) * 255).round().astype("uint8")


def _rendered(value: object, *, name: str) -> bytes | None:
    """Let a figure or a rich object draw itself: PNG or JPEG bytes, or None if it cannot."""
    try:
        if (savefig := _savefig(value)) is not None:
            buffer = io.BytesIO()
            savefig(buffer, format="png")
            return buffer.getvalue()
        for method in ("_repr_png_", "_repr_jpeg_"):
            if (draw := method_of(value, method)) is not None and (content := _as_bytes(draw())) is not None:
                return content
        if (bundle := method_of(value, "_repr_mimebundle_")) is not None:
            return _from_bundle(bundle(include=["image/png", "image/jpeg"]))
    except Exception as exc:  # foreign code draws here; whatever it raises is about this image
        what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        hint = "It must show itself in a cell; or save it as a file and give its path."
        raise ImageInputError(name, f"{_kind(value)} could not draw itself ({what}).", hint=hint) from exc
    return None


def _savefig(value: object) -> Callable[..., object] | None:
    own = method_of(value, "savefig")
    if own is not None:
        return own  # type: ignore[no-any-return]  # whatever the class calls savefig
    if type(value).__module__.startswith("matplotlib.axes") or method_of(value, "get_figure") is not None:
        figure = method_of(value, "get_figure")
        return method_of(figure(), "savefig") if figure is not None else None
    return None


def _as_bytes(content: object) -> bytes | None:
    if isinstance(content, tuple) and content:
        content = content[0]  # (data, metadata)
    if isinstance(content, str):
        try:
            return base64.b64decode(content, validate=False)
        except binascii.Error:
            return None
    return bytes(content) if isinstance(content, bytes | bytearray | memoryview) else None


def _from_bundle(bundle: object) -> bytes | None:
    if isinstance(bundle, tuple) and bundle:
        bundle = bundle[0]
    if not isinstance(bundle, dict):
        return None
    for mime in ("image/png", "image/jpeg"):
        if (content := _as_bytes(bundle.get(mime))) is not None:
            return content
    return None
