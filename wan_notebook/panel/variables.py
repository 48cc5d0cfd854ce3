"""The notebook's variables as pictures: which ones look like images, and copies that are made once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..cell_images import Resolver
from ..errors import WanError
from ..images import NotAPictureError, load_image, looks_like_image, preview
from ..images.ducks import is_array, is_pil
from ..inputs import InputImage, PendingImage, PictureOf
from ..jobs import Job, Picture

VARIABLES_MAX: Final = 60
THUMB_PX, THUMB_BYTES = 160, 6_000
_SIDE_MIN_PX: Final = 240  # smaller ones are refused as inputs, so a copy is not reduced below it
_SAMPLES: Final = 64
_KEPT_MAX: Final = 400
_SKIPPED: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython"})

Seen = InputImage | PendingImage


def signature(value: object) -> str:
    """Return a text that changes when a picture does, without reading all of it; nothing is ever raised."""
    try:
        return _signature(value)
    except Exception:  # noqa: BLE001 - a person's own object may do anything when it is looked at
        return f"{id(value)}"


def _signature(value: object) -> str:
    kind = f"{type(value).__qualname__}:{id(value)}"
    if is_array(value):
        step = max(1, max(value.shape[:2]) // _SAMPLES)
        return f"{kind}:{value.shape}:{value.dtype}:{_digest(value[::step, ::step].tobytes())}"
    if is_pil(value):
        small = value.resize((_SAMPLES, _SAMPLES), 0)
        return f"{kind}:{value.size}:{value.mode}:{_digest(small.tobytes())}"
    if isinstance(value, Path) or (isinstance(value, str) and len(value) < 4096 and "://" not in value):
        return f"{value}:{_stamp(Path(value))}"
    if isinstance(value, bytes | bytearray):
        return f"{len(value)}:{_digest(bytes(value))}"
    if isinstance(value, str):
        return value
    return kind


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_mtime_ns}:{found.st_size}"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


@dataclass
class Remembered:
    """Pictures that were loaded for looking at a form: checking while somebody types must not encode them anew."""

    _loaded: dict[str, tuple[Seen, ...]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, make: Callable[[], tuple[Seen, ...]]) -> tuple[Seen, ...]:
        """Return what was made under a key, or make it; a picture that is not finished is asked for anew."""
        with self._guard:
            found = self._loaded.get(key)
        if found is None:
            found = make()
            if not any(isinstance(image, PendingImage) for image in found):
                with self._guard:
                    while len(self._loaded) >= _KEPT_MAX:
                        self._loaded.pop(next(iter(self._loaded)))
                    self._loaded[key] = found
        return found


@dataclass(frozen=True)
class RememberingResolver:
    """A resolver that loads each picture once as long as it stays the same. Problems are found anew each time."""

    inner: Resolver
    remembered: Remembered

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The notebook's variables."""
        return self.inner.namespace

    def image(self, value: object, name: str) -> tuple[Seen, ...]:
        """Return the pictures that a value is."""
        if isinstance(value, Job | PictureOf | list | tuple):
            return self.inner.image(value, name)
        return self.remembered.get(f"{name}|{signature(value)}", lambda: self.inner.image(value, name))

    def job_image(self, job_id: str, index: int | None, name: str) -> Seen:
        """Return a picture of a job."""
        key = f"job|{job_id}|{index}|{name}"
        return self.remembered.get(key, lambda: (self.inner.job_image(job_id, index, name),))[0]


# ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """One choice of the picker: what to write after ``-i``, and the value behind it."""

    expression: str
    value: object = field(repr=False)
    key: str = ""


def image_variables(namespace: Mapping[str, Any]) -> list[Variable]:
    """Return the variables that look like pictures, in the order of their making, jobs with each of their pictures."""
    found: list[Variable] = []
    for name, value in list(namespace.items()):
        if name.startswith("_") or name in _SKIPPED or not name.isidentifier():
            continue
        found += _of(name, value)
        if len(found) >= VARIABLES_MAX:
            break
    return found[:VARIABLES_MAX]


def _of(name: str, value: object) -> Iterator[Variable]:
    if isinstance(value, Job):
        pictures = value.saved_pictures
        for picture in pictures[:4]:
            expression = f"{name}[{picture.index}]" if len(pictures) > 1 else name
            yield Variable(expression, picture, f"{picture.live.id}/{picture.record.idx}")
    elif isinstance(value, Picture):
        yield Variable(name, value, f"{value.live.id}/{value.record.idx}")
    elif isinstance(value, list | tuple) and 0 < len(value) <= 12:
        for index, item in enumerate(value):
            if not isinstance(item, str) and looks_like_image(item):
                yield Variable(f"{name}[{index}]", item, signature(item))
    elif looks_like_image(value) and not _is_missing_file(value):
        yield Variable(name, value, signature(value))


def _is_missing_file(value: object) -> bool:
    """A text that ends like a picture's name is offered only if there is such a file."""
    if isinstance(value, str) and not value.startswith(("data:", "http://", "https://")):
        return _stamp(Path(value).expanduser()) == "gone"
    return isinstance(value, Path) and _stamp(value) == "gone"


@dataclass(frozen=True)
class Thumb:
    """A small copy with the size of the whole in px; without bytes where there is none, with the reason."""

    data: bytes
    width_px: int
    height_px: int
    problem: str = ""


def thumb_of_value(value: object, name: str) -> Thumb:
    """Return a small copy of what a variable holds, from a reduced one where that is possible."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return Thumb(b"", 0, 0, "a URL: fetched when it is chosen")
    if isinstance(value, Picture):
        value = value.file
    try:
        width, height = _whole_size(value)
        image = load_image(_reduced(value), name=name)
    except WanError as error:
        return Thumb(b"", 0, 0, str(error))
    except Exception as error:  # noqa: BLE001 - a person's own object draws itself here
        return Thumb(b"", 0, 0, f"{type(error).__name__}: {error}")
    return thumb_of_image(image, width or image.width_px, height or image.height_px)


def thumb_of_image(image: InputImage, width_px: int = 0, height_px: int = 0) -> Thumb:
    """Return a small copy of an input picture."""
    try:
        data, _, _ = preview(image.data, max_px=THUMB_PX, max_bytes=THUMB_BYTES)
    except NotAPictureError as error:
        return Thumb(b"", 0, 0, str(error))
    return Thumb(data, width_px or image.width_px, height_px or image.height_px)


def _whole_size(value: object) -> tuple[int, int]:
    if is_pil(value):
        return value.size
    return (value.shape[1], value.shape[0]) if is_array(value) else (0, 0)


def _reduced(value: object) -> object:
    if is_array(value):
        step = max(1, min(value.shape[:2]) // _SIDE_MIN_PX)
        return value[::step, ::step]
    if is_pil(value):
        factor = max(1, min(value.size) // _SIDE_MIN_PX)
        if factor > 1 and value.mode in ("L", "RGB", "RGBA"):
            return value.reduce(factor)
    return value
