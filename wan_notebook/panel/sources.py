"""The pictures to choose from and the chosen ones: variables, earlier results, files, URLs; their thumbnails."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..cell_images import Resolver, pictures_of
from ..cell_text import image_expression
from ..errors import Problem, RequestError, WanError
from ..evaluate import is_known
from ..images import load_image, mime_of
from ..inputs import PendingImage
from ..ledger import HistoryQuery
from ..present.previews import Previews
from ..session import Session
from ..session.home import Home
from ..views import html
from ..views.panel_widgets import Message, Sources
from ..words import has_image_suffix, looks_like_place
from .recall import Recalled, recalled_of_file
from .uploads import Upload, Uploads
from .variables import (
    THUMB_BYTES,
    THUMB_PX,
    Remembered,
    RememberingResolver,
    Thumb,
    image_variables,
    thumb_of_image,
    thumb_of_value,
)

log = logging.getLogger(__name__)
RESULTS_MAX: Final = 40
_KEPT_MAX: Final = 500


class SourcesFeed:
    """Feeds the part where pictures are chosen. ``changed`` is told when the choice changes, ``recall`` of a recipe."""

    def __init__(
        self,
        session: Session,
        home: Home,
        namespace: Callable[[], Mapping[str, Any]],
        *,
        link: Callable[[Path], str],
        changed: Callable[[], None],
        recall: Callable[[Recalled], None],
    ) -> None:
        self._session, self._home, self._namespace = session, home, namespace
        self._link, self._changed, self._recall = link, changed, recall
        self._guard = threading.RLock()
        self._remembered = Remembered()
        self._makers: dict[str, Callable[[], Thumb]] = {}
        self._thumbs: dict[str, Thumb] = {}
        self._uploads = Uploads()
        self._names: dict[str, str] = {}  # what a person calls a picture whose expression is a path or an id
        self._offers: dict[str, tuple[Upload, Recalled]] = {}
        self._previews = Previews(home.store)
        self._trouble: list[str] = []
        self.widget = Sources(self._receive)
        self.widget.observe(self._on_chosen, names="chosen")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The expressions that are chosen, in order."""
        return tuple(self.widget.chosen)

    def choose(self, expressions: Sequence[str]) -> None:
        """Choose these instead."""
        self.widget.show(chosen=list(expressions))

    def name(self, expression: str, name: str) -> None:
        """Call a picture by the name that a person knows it by; the cell keeps the expression."""
        if name:
            self._names[expression] = name

    def resolver(self) -> RememberingResolver:
        """Return a resolver for looking: it fetches nothing, and loads each picture once."""
        inner: Resolver = self._session.resolver(self._namespace(), may_fetch=False)
        return RememberingResolver(inner, self._remembered)

    # ------------------------------------------------------------------ what there is

    def refresh(self) -> None:
        """Look through the notebook's variables and the newest results."""
        variables = []
        for found in image_variables(self._namespace()):
            key = f"v:{found.expression}:{found.key}"
            variables.append({"expression": found.expression, "label": found.expression, "size": "", "key": key})
            self._offer_thumb(key, partial(thumb_of_value, found.value, found.expression))
        self.widget.show(variables=variables, results=self._results())

    def _results(self) -> list[dict[str, Any]]:
        results = []
        page = self._home.ledger.history(HistoryQuery(limit=RESULTS_MAX, state="saved", rejected=False))
        for row in page.rows:
            for record in row.pictures:
                if not record.saved_at or record.kind != "image" or record.rejected:
                    continue
                key = f"p:{row.id}/{record.idx}"
                size = f"{record.width_px}×{record.height_px}"
                label = html.one_line(row.prompt, 60) or row.id
                expression = f"{row.id}[{record.idx}]"
                self.name(expression, label)
                results.append({"expression": expression, "label": label, "size": size, "key": key})
                self._offer_thumb(key, partial(_thumb_of_record, self._previews, record))
        return results[:RESULTS_MAX]

    def show_facts(self, shape_note: str, problems: Sequence[str]) -> None:
        """Say of each chosen picture what it is, or why it cannot be used."""
        resolver = self.resolver()
        facts = {text: self._facts(text, resolver) for text in self.chosen}
        own = [f"{fact['label']}: {fact['problem']}" for fact in facts.values() if fact.get("problem")]
        others = [line for line in problems if not any(fact.get("problem", "…") in line for fact in facts.values())]
        self.widget.show(facts=facts, note=shape_note, problems=[*self._trouble, *own, *others])

    def _facts(self, text: str, resolver: RememberingResolver) -> dict[str, Any]:
        label = html.one_line(self._names.get(text) or _label(text), 60)
        try:
            images = pictures_of(text, resolver)
        except RequestError as error:
            first = error.problems[0]
            return {"label": label, "problem": f"{first.message} {first.hint}".strip()}
        if not images:
            return {"label": label, "problem": "holds no picture."}
        several = f" ({len(images)})" if len(images) > 1 else ""
        first_image = images[0]
        if isinstance(first_image, PendingImage):
            return {"label": label + several, "size": "not here yet", "key": ""}
        key = f"i:{first_image.identity}"
        self._offer_thumb(key, partial(thumb_of_image, first_image))
        return {"label": label + several, "size": f"{first_image.width_px}×{first_image.height_px}", "key": key}

    # ------------------------------------------------------------------ messages

    def _on_chosen(self, _change: object) -> None:
        self._trouble = []
        self._changed()

    def _receive(self, message: Message, buffers: Sequence[Any]) -> None:
        run = self._session.runtime.call_back
        match message:
            case {"kind": "thumbs", "keys": list(keys)}:
                run(self._send_thumbs, [key for key in keys if isinstance(key, str)])
            case {"kind": "upload"} if buffers:
                if upload := self._uploads.take(message, bytes(buffers[0])):
                    run(self._guarded, self._take_upload, upload)
            case {"kind": "place", "text": str(text)}:
                run(self._guarded, self._take_place, text)
            case {"kind": "offer", "id": str(offer), "what": str(what)}:
                run(self._guarded, self._answer_offer, offer, what)

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        """Do something that may go wrong in ways that a person should read about."""
        try:
            self._trouble = []
            work(*args)
        except RequestError as error:
            self._trouble = [f"{p.value}: {p.message} {p.hint}".strip() for p in error.problems]
        except WanError as error:
            self._trouble = [str(error)]
        if self._trouble:
            self._changed()

    def _take_upload(self, upload: Upload) -> None:
        found = recalled_of_file(upload.data, upload.name, self._home.store, self._link)
        if found is not None and upload.how != "chosen":
            self._offers = {upload.id: (upload, found)}
            self.widget.show(offer={"id": upload.id, "text": f"{html.one_line(upload.name, 60)}: {found.summary}"})
        elif found is not None and mime_of(upload.data) is None:
            self._recall(found)  # a sidecar is no picture
        else:
            self._keep(upload)

    def _keep(self, upload: Upload) -> None:
        """Keep an uploaded picture as an input, so that the cell can name it, and choose it."""
        image = load_image(upload.data, name=upload.name)
        file = self._home.store.save_input(image)
        expression = image_expression(self._link(self._home.store.path(file)))
        self._home.store.input_names[file] = self._names[expression] = upload.name
        self._append(expression)

    def _answer_offer(self, offer: str, what: str) -> None:
        upload, found = self._offers.pop(offer, (None, None))
        self.widget.show(offer={})
        if found is not None and what == "recall":
            self._recall(found)
        elif upload is not None and what == "use":
            self._keep(upload)

    def _take_place(self, text: str) -> None:
        text = text.strip()
        namespace = self._namespace()
        if looks_like_place(text) or has_image_suffix(text) or "/" in text:
            expression = image_expression(text)
        elif text.partition("[")[0] in namespace or not is_known(text.partition("[")[0], namespace):
            expression = text
        else:
            expression = image_expression(text)
        if not _is_plain(expression):
            raise RequestError([_no_code(text)])
        pictures_of(expression, self._session.resolver(namespace))  # a URL is fetched here, once, and kept
        self._append(expression)

    def _append(self, expression: str) -> None:
        if expression not in self.chosen:
            self.choose([*self.chosen, expression])

    # ------------------------------------------------------------------ thumbnails

    def _offer_thumb(self, key: str, make: Callable[[], Thumb]) -> None:
        with self._guard:
            while len(self._makers) >= _KEPT_MAX:
                oldest = next(iter(self._makers))
                self._makers.pop(oldest)
                self._thumbs.pop(oldest, None)
            self._makers[key] = make

    def _send_thumbs(self, keys: Sequence[str]) -> None:
        found = [(key, self._thumb(key).data) for key in keys]
        self.widget.send({"kind": "thumbs", "keys": [key for key, _ in found]}, [data for _, data in found])

    def _thumb(self, key: str) -> Thumb:
        with self._guard:
            if (found := self._thumbs.get(key)) is not None:
                return found
            make = self._makers.get(key)
        made = make() if make else Thumb(b"", 0, 0)
        with self._guard:
            self._thumbs[key] = made
        return made


def _thumb_of_record(previews: Previews, record: Any) -> Thumb:
    found = previews.of_size(record, THUMB_PX, THUMB_BYTES)
    return Thumb(found[0].data, found[0].width_px, found[0].height_px) if found else Thumb(b"", 0, 0)


def _label(expression: str) -> str:
    text = expression.strip("\"'")
    if looks_like_place(expression) or has_image_suffix(text) or "/" in text:
        return text.rstrip("/").rsplit("/", 1)[-1].split("?", 1)[0] or text
    return expression


def _is_plain(expression: str) -> bool:
    """Whether looking at it runs no code: a name with indices, a job's picture, a path or a URL."""
    quoted = expression[:1] in "\"'" and expression[-1:] == expression[:1]
    name = re.fullmatch(r"\w+(?:\[(?:-?\d+|\"[^\"]*\"|'[^']*')\])*", expression)
    return quoted or bool(name) or looks_like_place(expression) or has_image_suffix(expression)


def _no_code(text: str) -> Problem:
    return Problem("image", text[:60], "is no picture's name.", "Give a URL, a path, a variable or a job's picture.")
