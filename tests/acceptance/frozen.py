"""Rebuild the values that `tests/data/first_edition/` describes: pictures, arrays, figures and notebook variables.

A description is plain JSON, so that hashes frozen by the first edition can be compared for ever. Pixels come from
integer arithmetic, which no version of Pillow or NumPy changes. Nothing of the package is imported here.
"""

import base64
import io
import json
from collections.abc import Callable, Mapping
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_from_bytes

FIRST_EDITION = Path(__file__).parent.parent / "data" / "first_edition"
INPUTS = FIRST_EDITION / "inputs"

Maker = Callable[..., Any]


def load(name: str) -> Any:
    """Read a JSON file of the frozen data."""
    return json.loads((FIRST_EDITION / name).read_text("utf-8"))


def pixel_bytes(width_px: int, height_px: int, channels: int) -> bytes:
    """Return the pixels of a pattern that differs in every channel, row by row."""
    rows = (
        bytes((x * (3 + 2 * c) + y * (5 + c) + 40 * c) % 256 for x in range(width_px) for c in range(channels))
        for y in range(height_px)
    )
    return b"".join(rows)


def numbers(width_px: int, height_px: int, channels: int, *, dtype: str, top: float = 0) -> Any:
    """Return the same pattern as an array; with `top` as floats from 0 to `top`."""
    import numpy as np

    flat = np.frombuffer(pixel_bytes(width_px, height_px, channels or 1), dtype="uint8")
    shape = (height_px, width_px, channels) if channels else (height_px, width_px)
    whole = flat.reshape(shape)
    return (whole.astype("float64") / 255 * top).astype(dtype) if top else whole.astype(dtype)


def pil_image(spec: Mapping[str, Any]) -> Any:
    """Return a Pillow image: opened from a file or made of the pattern, then changed as a person would."""
    from PIL import Image

    if "file" in spec:
        image = Image.open(io.BytesIO((INPUTS / spec["file"]).read_bytes()))
    else:
        mode, size = spec["mode"], tuple(spec["size"])
        if mode in ("I", "F"):
            image = Image.fromarray(numbers(*size, 0, dtype="int32" if mode == "I" else "float32", top=spec["top"]))
        elif mode == "I;16":
            image = Image.frombytes(mode, size, pixel_bytes(size[0] * 2, size[1], 1))
        elif mode == "1":
            image = Image.frombytes(mode, size, pixel_bytes(-(-size[0] // 8), size[1], 1))
        else:
            image = Image.frombytes(mode, size, pixel_bytes(*size, len(Image.new(mode, (1, 1)).getbands())))
        if mode == "P":
            image.putpalette(pixel_bytes(256, 1, 3))
    for name, *arguments in spec.get("steps", ()):
        keywords = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        image = getattr(image, name)(*[tuple(a) if isinstance(a, list) else a for a in arguments], **keywords)
    for key, value in spec.get("info", {}).items():
        image.info[key] = (
            (INPUTS / value["file"]).read_bytes()
            if isinstance(value, dict)
            else tuple(value)
            if isinstance(value, list)
            else value
        )
    return image


def data_url(spec: Mapping[str, Any]) -> str:
    """Return a data URL of a file, in base64 or percent-encoded."""
    data = (INPUTS / spec["file"]).read_bytes()
    if spec.get("percent"):
        return f"data:{spec['mime']},{quote_from_bytes(data)}"
    return f"data:{spec['mime']};base64,{base64.b64encode(data).decode()}"


def fetch(url: str) -> bytes:
    """Answer `https://pictures.example/NAME` with an input file, as a server would."""
    return (INPUTS / url.rsplit("/", 1)[-1].split("?", 1)[0]).read_bytes()


def value_of(spec: Any, pending: Maker) -> Any:
    """Return the value that a description stands for; `pending(name=, job_id=, index=)` makes an unfinished picture."""
    if not isinstance(spec, dict):
        return [value_of(item, pending) for item in spec] if isinstance(spec, list) else spec
    kind = spec["kind"]
    if kind in ("path", "path text"):
        path = INPUTS / spec["file"]
        return path if kind == "path" else str(path)
    if kind in _OF_BYTES:
        return _OF_BYTES[kind]((INPUTS / spec["file"]).read_bytes())
    if kind == "data URL":
        return data_url(spec)
    if kind == "URL":
        return spec["url"]
    if kind == "pil":
        return pil_image(spec)
    if kind == "numpy":
        made = numbers(*spec["size"], spec["channels"], dtype=spec["dtype"], top=spec.get("top", 0))
        return made[::-1] if spec.get("flipped") else made
    if kind == "pending":
        return pending(name=spec.get("name", "running"), job_id=spec["job_id"], index=spec.get("index"))
    if kind == "value":
        return spec["value"]
    if kind == "object":
        return SimpleNamespace(**{name: value_of(item, pending) for name, item in spec["fields"].items()})
    if kind == "dict":
        return {name: value_of(item, pending) for name, item in spec["items"].items()}
    message = f"unknown kind {kind!r}"
    raise ValueError(message)


def _drawing(data: bytes, **methods: Any) -> Any:
    """Return an object that shows itself by one method, which is given the drawing's bytes."""
    return type("Drawing", (), {name: partialmethod(method, data) for name, method in methods.items()})()


def _savefig(_: object, data: bytes, target: Any, *, format: str) -> None:
    assert format == "png"
    target.write(data)


def _bundle(_: object, data: bytes, **__: Any) -> dict[str, Any]:
    return {"image/png": base64.b64encode(data).decode(), "text/plain": "a drawing"}


_OF_BYTES: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "BytesIO": io.BytesIO,
    "figure": lambda data: _drawing(data, savefig=_savefig),
    "png object": lambda data: _drawing(data, _repr_png_=lambda _, drawn: drawn),
    "jpeg object": lambda data: _drawing(data, _repr_jpeg_=lambda _, drawn: (base64.b64encode(drawn).decode(), {})),
    "bundle object": lambda data: _drawing(data, _repr_mimebundle_=_bundle),
}


def namespace_of(specs: Mapping[str, Any], pending: Maker) -> dict[str, Any]:
    """Return a notebook's variables."""
    return {name: value_of(spec, pending) for name, spec in specs.items()}
