"""The pictures to choose from: variables, files, addresses, and, from the gallery, earlier results."""

import re
import zlib
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..display import relative_path, safe_line
from ..images import SUFFIXES, InputImage, PendingImage, PictureOf, load_image, looks_like_image, mime_of, thumbnail
from ..jobs import Job, Picture
from ..magics import cell_parser, quoted_path, read_cell, write_cell
from ..resolver import Resolver
from .feeds import Feed, Message

VARIABLES_MAX: Final = 60
_LOADED_MAX: Final = 20
_LIST_MAX: Final = 12
_PLAIN: Final = re.compile(r"\w+(?:\[(?:-?\d+|\"[^\"]*\"|'[^']*')\])*")
"""A variable or a job, and a picture of it."""

Pictures = tuple[InputImage | PendingImage, ...]


class PickerFeed(Feed):
    """Keeps ``panel.choices``, the pictures that can be chosen, and adds what is uploaded or typed to the form."""

    name = "picker"

    def start(self) -> None:
        """Begin with no picture loaded and no upload begun."""
        self._loaded: dict[str, Pictures] = {}
        self._pieces: dict[str, dict[int, bytes]] = defaultdict(dict)

    def resolver(self) -> "CachedResolver":
        """Return what resolves the form's pictures while it is being filled in: it downloads nothing."""
        return CachedResolver(self.panel.namespace, self.project, str.encode, may_fetch=False, loaded=self._loaded)

    def update(self) -> None:
        """Look through the notebook's variables."""
        self.panel.show(choices={"variables": [self.facts(name) for name in image_variables(self.panel.namespace)]})

    def facts(self, expression: str) -> dict[str, str]:
        """Return what the page shows of a picture; its key changes when the picture does."""
        version = zlib.crc32(signature(image_variables(self.panel.namespace).get(expression)).encode())
        return {"id": expression, "label": safe_line(expression, 60), "key": f"{version:x}:{expression}"}

    def copy_of(self, key: str, *, max_px: int, max_bytes: int) -> bytes:
        """Return a small copy of what can be chosen, or is. Raise ``WanError`` if it cannot be drawn."""
        expression = key.partition(":")[2]
        value = image_variables(self.panel.namespace).get(expression)
        if value is None:
            value = getattr(_pictures_of(expression, self.resolver())[0], "data", b"")
        with suppress(Exception):  # only to save time; an input has 240 px at least
            value = value.data if isinstance(value, Picture) else _reduced(value, 480)
        return thumbnail(load_image(value, name=expression).data, max_px=max_px, max_bytes=max_bytes)[0]

    # Messages --------------------------------------------------------------------------------------------------------

    def on_upload(self, message: Message, piece: bytes) -> None:
        """Take a piece of a file (a notebook server takes messages of up to 10 MB); keep and choose what is whole."""
        with self.panel.lock:
            pieces = self._pieces[message["id"]]
            pieces[message["part"]] = piece
            if len(pieces) < message["parts"]:
                return
            data = b"".join(piece for _, piece in sorted(self._pieces.pop(message["id"]).items()))
        name = safe_line(message["name"], 200)
        image = load_image(data, name=name)
        stem = re.sub(r"[^\w-]+", "-", Path(name).stem)[:60].strip("-") or "upload"
        file = self.project.storage.add(f"inputs/{stem}{SUFFIXES.get(mime_of(data) or image.mime, '.bin')}", data)
        self._choose(quoted_path(relative_path(self.project.storage.path(file))))

    def on_place(self, message: Message) -> None:
        """Choose what was typed: a variable, a job's picture, a path or an address; no code is run."""
        text = message["text"].strip()
        expression = text if _PLAIN.fullmatch(text) else quoted_path(text.strip("\"'"))
        _pictures_of(expression, self.session.resolver(self.panel.namespace))  # an address is downloaded here, and kept
        self._choose(expression)

    def _choose(self, expression: str) -> None:
        self.panel.fill(images=list(dict.fromkeys((*self.panel.values["images"], expression))))


@dataclass(repr=False)
class CachedResolver(Resolver):
    """A resolver for looking at a form while somebody types: it loads each picture once.

    ``loaded`` is kept between resolvers; a picture that is not finished, or a problem, is looked at anew each time.
    """

    loaded: dict[str, Pictures] = field(default_factory=dict)

    def image(self, value: object, name: str) -> Pictures:
        """Return the pictures that a value is. Raise ``ImageInputError``."""
        key = f"{name}|{signature(value)}"
        pictures = self.loaded.get(key) or super().image(value, name)
        if not isinstance(value, list | tuple) and not any(isinstance(one, PendingImage) for one in pictures):
            if len(self.loaded) >= _LOADED_MAX and key not in self.loaded:
                self.loaded.clear()
            self.loaded[key] = pictures
        return pictures


def _pictures_of(expression: str, resolver: Resolver) -> Pictures:
    """Return the pictures that ``-i EXPRESSION`` gives. Raise ``RequestError`` or ``CellError``."""
    submission, _ = read_cell(cell_parser().read(write_cell("x", images=[expression]).line), "x", resolver)
    if submission.refusal is not None:
        raise submission.refusal
    return submission.requests[0].images


# The notebook's variables --------------------------------------------------------------------------------------------


def image_variables(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that look like pictures by what to write after ``-i``, with those in jobs and short lists."""
    found: dict[str, Any] = {}
    for name, value in list(namespace.items()):
        several = value.saved_pictures if isinstance(value, Job) else value
        is_several = isinstance(several, list | tuple)
        items = {f"{name}[{at}]": item for at, item in enumerate(several[:_LIST_MAX])} if is_several else {name: value}
        if not name.startswith("_") and len(found) < VARIABLES_MAX:
            found |= {expression: item for expression, item in items.items() if _is_picture(item)}
    return found


def _is_picture(value: object) -> bool:
    if isinstance(value, str | Path) and not str(value).startswith(("data:", "http://", "https://")):
        return looks_like_image(value) and Path(value).expanduser().is_file()
    return isinstance(value, Picture) or looks_like_image(value)


def signature(value: Any) -> str:
    """Return a text that changes when a picture does, without reading all of it; never raises."""
    with suppress(Exception):  # a person's own object may do anything when it is looked at
        if isinstance(value, Job | Picture | PictureOf):
            return repr(value)
        if isinstance(value, str | Path):
            path = Path(value).expanduser()
            return f"{value}:{path.stat().st_mtime_ns if path.is_file() else ''}"
        return f"{id(value)}:{zlib.crc32(_reduced(value, 48).tobytes())}"
    return str(id(value))


def _reduced(value: Any, side_px: int) -> Any:
    """Return a picture in memory with fewer pixels, quickly; anything else as it is."""
    if hasattr(value, "getbbox"):  # Pillow
        step = max(1, min(value.size) // side_px)
        return value.resize((value.width // step, value.height // step), 0)
    step = max(1, min(value.shape[:2]) // side_px) if hasattr(value, "shape") else 1
    return value[::step, ::step] if step > 1 else value
