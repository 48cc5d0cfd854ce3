"""The pictures to choose from (variables, earlier results, files, addresses), and what is known of the chosen ones."""

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..database import HistoryQuery
from ..display import relative_path, safe_line
from ..errors import RecipeError, RequestError, WanError
from ..images import (
    SUFFIXES,
    InputImage,
    PendingImage,
    PictureOf,
    load_image,
    looks_like_image,
    mime_of,
    thumbnail,
)
from ..jobs import Job, Picture
from ..magics import quoted_path, read_cell, write_cell
from ..metadata import ForeignMetadata, Metadata, read_any, read_sidecar
from ..project import Project
from ..resolver import Resolver
from .feeds import Feed, Message

if TYPE_CHECKING:
    from .panel import Panel

VARIABLES_MAX: Final = 60
RESULTS_MAX: Final = 40
_LOADED_MAX: Final = 20
_LIST_MAX: Final = 12
_SAMPLE_PX: Final = 48
_REDUCED_PX: Final = 480  # pictures with a side below 240 px are refused as inputs
_SKIPPED: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython"})
_ADDRESSES: Final = ("data:", "http://", "https://")
_NAME: Final = re.compile(r"([^\W\d]\w*)(?:\[(?:-?\d+|\"[^\"]*\"|'[^']*')\])*")
_JOB: Final = re.compile(r"[0-9a-f]{3,64}(?:\[\d+\])?")

Pictures = tuple[InputImage | PendingImage, ...]


class PickerFeed(Feed):
    """Keeps ``panel.choices``: the pictures that can be chosen, and the offer to recall an uploaded one's settings."""

    name = "picker"

    def __init__(self, panel: "Panel") -> None:
        self._loaded: dict[str, Pictures] = {}
        self._pieces: dict[str, dict[int, bytes]] = defaultdict(dict)
        self._offer: tuple[str, Metadata | ForeignMetadata] | None = None
        super().__init__(panel)

    def resolver(self) -> "CachedResolver":
        """Return what resolves the form's pictures while it is being filled in."""
        return CachedResolver(self.panel.namespace, self.project, self._loaded)

    def update(self) -> None:
        """Look through the notebook's variables and the newest results."""
        query = HistoryQuery(limit=RESULTS_MAX, status="saved", rejected=False)
        results = [
            {"id": f"{row.id}[{p.index}]", "label": safe_line(row.prompt, 60), "key": f"{row.id}/{p.index}"}
            for row in self.project.database.history(query).rows
            for p in row.pictures
            if p.saved_at and p.kind == "image" and not p.is_rejected
        ]
        variables = [
            {"id": name, "label": name, "key": _key(name, value)}
            for name, value in image_variables(self.panel.namespace).items()
        ]
        offer = self._offer[0] if self._offer else ""
        self.panel.show(choices={"variables": variables, "results": results[:RESULTS_MAX], "offer": offer})

    def facts(self, expression: str, resolver: Resolver) -> dict[str, str]:
        """Say of a chosen picture what it is, or why it cannot be used."""
        try:
            images = pictures_of(expression, resolver)
        except WanError as error:
            why = error.problems[0].message if isinstance(error, RequestError) else error.message
            return {"label": safe_line(expression, 60), "problem": safe_line(why, 200)}
        image = images[0]
        if isinstance(image, PendingImage):
            return {"label": safe_line(image.name, 60), "size": "not ready yet"}
        name = self.project.database.get(image.source_job).prompt if image.source_job else image.name
        label = f"{safe_line(name, 60)}{f' ({len(images)})' if len(images) > 1 else ''}"
        return {"label": label, "size": f"{image.width_px}×{image.height_px}", "key": _key(expression, image.identity)}

    def copy_of(self, key: str, *, max_px: int, max_bytes: int) -> bytes:
        """Return a small copy of what can be chosen, or is. Raise ``WanError`` if it cannot be drawn."""
        expression = key.partition(":")[2]
        value = image_variables(self.panel.namespace).get(expression)
        value = pictures_of(expression, self.resolver())[0] if value is None else value
        return thumbnail_of(value, expression, max_px=max_px, max_bytes=max_bytes)

    # Messages --------------------------------------------------------------------------------------------------------

    def on_upload(self, message: Message, piece: bytes) -> None:
        """Take a piece of a file: a notebook server takes messages of up to 10 MB. Use the file once it is whole."""
        name, parts = safe_line(message["name"], 200), message["parts"]
        with self.panel.lock:
            pieces = self._pieces[message["id"]]
            pieces[message["part"]] = piece
            if len(pieces) < parts:
                return
            data = b"".join(piece for _, piece in sorted(self._pieces.pop(message["id"]).items()))
        found = None
        with suppress(RecipeError):  # damaged metadata; the picture itself can still be used
            found = metadata_in(data, name)
        if found is not None and mime_of(data) is None:  # a sidecar
            self.panel.recall(found)
            return
        # Kept in the folder, so that the cell can name it.
        image = load_image(data, name=name)
        stem = re.sub(r"[^\w-]+", "-", Path(name).stem)[:60].strip("-") or "upload"
        suffix = SUFFIXES.get(mime_of(data) or image.mime, ".bin")
        saved = self.project.storage.add(f"inputs/{stem}{suffix}", data)
        if found is not None:
            seed = found.seed if isinstance(found, ForeignMetadata) else found.parameters.seed
            text = f"{name}: {safe_line(found.prompt, 100)}{'' if seed is None else f' · seed {seed}'}"
            self._offer = text, found
        self._choose(quoted_path(relative_path(self.project.storage.path(saved))))

    def on_recall(self, message: Message) -> None:
        """Recall the settings of the picture that was uploaded last, or leave the offer."""
        offer, self._offer = self._offer, None
        if offer and message["wanted"]:
            self.panel.recall(offer[1])
        self.touch()

    def on_place(self, message: Message) -> None:
        """Choose what was typed: a variable, a job's picture, a path or an address; no code is run."""
        text, namespace = message["text"].strip(), self.panel.namespace
        name = _NAME.fullmatch(text)
        is_plain = (name and name[1] in namespace) or (_JOB.fullmatch(text) and text not in namespace)
        expression = text if is_plain else quoted_path(text.strip("\"'"))
        pictures_of(expression, self.session.resolver(namespace))  # an address is downloaded here, once, and kept
        self._choose(expression)

    def _choose(self, expression: str) -> None:
        self.panel.fill(images=tuple(dict.fromkeys((*self.panel.form.images, expression))))
        self.touch()


def pictures_of(expression: str, resolver: Resolver) -> Pictures:
    """Return the pictures that ``-i EXPRESSION`` gives. Raise ``RequestError`` or ``CellError``."""
    submission = read_cell(write_cell("x", images=[expression]).line, "x", resolver).submission
    if submission.refusal is not None:
        raise submission.refusal
    return submission.requests[0].images


def metadata_in(data: bytes, name: str) -> Metadata | ForeignMetadata | None:
    """Return what a picture or a sidecar says about its making; None if nothing. Raise ``RecipeError``."""
    is_sidecar = name.lower().endswith(".json")
    return read_sidecar(data.decode("utf-8", "replace")) if is_sidecar else read_any(data)


def _key(expression: str, value: object) -> str:
    """Return a key of a small copy, which changes when the picture does."""
    return f"{zlib.crc32(signature(value).encode()):x}:{expression}"


# The notebook's variables ------------------------------------------------------------------------------------------


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
        super().__init__(namespace, project, str.encode, may_fetch=False)  # so nothing is downloaded
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
