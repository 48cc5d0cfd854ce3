"""The notebook's variables as pictures: which ones look like images, and copies that are made once."""

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..images import InputImage, PendingImage, PictureOf, load_image, looks_like_image, thumbnail
from ..jobs import Job, Picture
from ..project import Project
from ..resolver import Resolver

VARIABLES_MAX: Final = 60
_LOADED_MAX: Final = 20
_LIST_MAX: Final = 12
_SAMPLE_PX: Final = 48
_REDUCED_PX: Final = 480  # pictures with a side below 240 px are refused as inputs
_SKIPPED: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython"})
_ADDRESSES: Final = ("data:", "http://", "https://")

Pictures = tuple[InputImage | PendingImage, ...]


def image_variables(namespace: Mapping[str, Any]) -> dict[str, object]:
    """Return the values that look like pictures by what to write after ``-i``, with those in jobs and short lists."""
    found: dict[str, object] = {}
    for name, value in list(namespace.items()):
        if name.startswith("_") or name in _SKIPPED or len(found) >= VARIABLES_MAX:
            continue
        several = value.saved_pictures if isinstance(value, Job) else value
        is_several = isinstance(several, list | tuple)
        items = {f"{name}[{at}]": item for at, item in enumerate(several[:_LIST_MAX])} if is_several else {name: value}
        found |= {expression: item for expression, item in items.items() if _is_picture(item)}
    return found


def _is_picture(value: object) -> bool:
    if isinstance(value, str | Path) and not str(value).startswith(_ADDRESSES):
        return looks_like_image(value) and Path(value).expanduser().is_file()
    return isinstance(value, Picture) or looks_like_image(value)


def signature(value: Any) -> str:
    """Return a text that changes when a picture does, without reading all of it; never raises."""
    with suppress(Exception):  # a person's own object may do anything when it is looked at
        if isinstance(value, Job | Picture | PictureOf):
            return repr(value)
        if isinstance(value, str | Path):
            path = Path(str(value)[:4096]).expanduser()
            return f"{value}:{path.stat().st_mtime_ns if path.is_file() else ''}"
        return f"{id(value)}:{zlib.crc32(_reduced(value, _SAMPLE_PX).tobytes())}"
    return str(id(value))


def _reduced(value: Any, side_px: int) -> Any:
    """Return a picture in memory with fewer pixels, quickly; anything else as it is."""
    if hasattr(value, "getbbox"):  # Pillow
        step = max(1, min(value.size) // side_px)
        return value.resize((value.width // step, value.height // step), 0)
    step = max(1, min(value.shape[:2]) // side_px) if hasattr(value, "shape") else 1
    return value[::step, ::step] if step > 1 else value


def thumbnail_of(value: Any, name: str, *, max_px: int, max_bytes: int) -> bytes:
    """Return a small copy of what a variable holds. Raise ``WanError`` for an address, or what cannot be drawn."""
    with suppress(Exception):  # only to save time
        value = value.data if isinstance(value, Picture) else _reduced(value, _REDUCED_PX)
    return thumbnail(load_image(value, name=name).data, max_px=max_px, max_bytes=max_bytes)[0]


class CachedResolver(Resolver):
    """A resolver for looking at a form while somebody types: it downloads nothing, and loads each picture once.

    ``loaded`` is kept between resolvers; a picture that is not finished, or a problem, is looked at anew each time.
    """

    def __init__(self, namespace: Mapping[str, Any], project: Project, loaded: dict[str, Pictures]) -> None:
        super().__init__(namespace, project, project.folder, str.encode, may_fetch=False)  # so nothing is downloaded
        self._loaded = loaded

    def image(self, value: object, name: str) -> Pictures:
        """Return the pictures that a value is. Raise ``ImageInputError``."""
        if isinstance(value, list | tuple):
            return super().image(value, name)
        return self._once(f"{name}|{signature(value)}", partial(super().image, value, name))

    def job_image(self, job_id: str, index: int | None, name: str) -> InputImage | PendingImage:
        """Return a picture of a job in the history. Raise ``ImageInputError``."""
        load = partial(super().job_image, job_id, index, name)
        return self._once(f"{name}|job {job_id}[{index}]", lambda: (load(),))[0]

    def _once(self, key: str, load: Callable[[], Pictures]) -> Pictures:
        pictures = self._loaded.get(key) or load()
        if not any(isinstance(picture, PendingImage) for picture in pictures):
            if len(self._loaded) >= _LOADED_MAX and key not in self._loaded:
                self._loaded.clear()
            self._loaded[key] = pictures
        return pictures
