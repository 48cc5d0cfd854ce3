"""The gallery's feed: which pictures there are, small copies, whole files, what is known of each, and its marks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..errors import WanError
from ..images import mime_of
from ..jobs.outcome import cost_of_row
from ..ledger import HistoryQuery, JobRow, PictureRecord
from ..present import Presenter, words
from ..present.previews import Previews
from ..recipe import strip
from ..request import fingerprint
from ..session import Session
from ..session.home import Home
from ..views import html
from ..views.gallery_widget import Gallery
from ..views.panel_widgets import Message
from .loop import Follower

PAGE: Final = 600
THUMB_PX, THUMB_BYTES = 256, 9_000
THUMBS_EVERY_S: Final = 0.2
_EMPTY: Final = "No picture yet: what you generate appears here."
_NO_MATCH: Final = "No picture matches."


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is shown."""

    words: str = ""
    tag: str = ""
    seed: str = ""
    starred: bool = False
    rejected: bool = False
    limit: int = PAGE

    @property
    def is_open(self) -> bool:
        """Whether everything that is not rejected is shown."""
        return self == Filter(limit=self.limit)

    def query(self) -> HistoryQuery:
        """Return it as a question to the ledger."""
        seed = int(self.seed) if self.seed.isdecimal() and len(self.seed) < 12 else None
        return HistoryQuery(
            words=self.words, tag=self.tag, seed=seed, starred=self.starred, state="saved", limit=min(1000, self.limit)
        )


class GalleryFeed:
    """Feeds one gallery. ``act`` carries out what a picture's button says: what, the job's id, the picture's index."""

    def __init__(
        self, session: Session, home: Home, presenter: Presenter, act: Callable[[str, JobRow, PictureRecord], None]
    ) -> None:
        self._session, self._home, self._presenter, self._act = session, home, presenter, act
        self._previews = Previews(home.store)
        self._guard = threading.RLock()
        self._filter = Filter()
        self._stacks: dict[str, str] = {}
        self.widget = Gallery(self._receive, empty=_EMPTY)
        self._follower = Follower(session.runtime, self._update)

    @property
    def selected(self) -> tuple[JobRow, PictureRecord] | None:
        """The picture that is selected."""
        return self._find(self.widget.selected)

    def newest_seed(self) -> int | None:
        """Return the seed of the newest picture."""
        page = self._home.ledger.history(HistoryQuery(limit=1, state="saved"))
        return page.rows[0].seed if page.rows else None

    def touch(self) -> None:
        """Look again at what there is."""
        self._follower.touch()

    def close(self) -> None:
        """End it."""
        self._follower.close()

    # ------------------------------------------------------------------ what there is

    def _update(self) -> None:
        shown = self._filter
        page = self._home.ledger.history(shown.query())
        pairs = [(row, record) for row in page.rows for record in row.pictures if self._is_shown(row, record, shown)]
        items = [self._item(row, record) for row, record in pairs[: shown.limit]]
        total = (
            page.pictures if shown.rejected and not shown.starred and len(page.rows) < page.total_rows else len(pairs)
        )
        total = max(total, len(pairs), page.total_rows if len(page.rows) < page.total_rows else 0)
        tags = sorted({tag for row in page.rows for tag in row.tags} | set(self.widget.tags))
        empty = _EMPTY if shown.is_open else _NO_MATCH
        self.widget.show(items=items, total=total, empty=empty, tags=tags)

    @staticmethod
    def _is_shown(row: JobRow, record: PictureRecord, shown: Filter) -> bool:
        if not record.saved_at or ((record.rejected or row.rejected) and not shown.rejected):
            return False
        return not shown.starred or record.starred or row.starred

    def _item(self, row: JobRow, record: PictureRecord) -> dict[str, Any]:
        prompt = html.one_line(row.prompt, 140)
        return {
            "id": f"{row.id}/{record.idx}",
            "stack": self._stack(row),
            "seed": row.seed,
            "star": bool(record.starred or row.starred),
            "rej": bool(record.rejected or row.rejected),
            "kind": record.kind,
            "label": prompt or f"job {row.id}",
            "expr": f"{row.id}[{record.idx}]",
            "alt": f"{prompt or row.id}, seed {row.seed}",
            "facts": _facts(row, record),
        }

    def _stack(self, row: JobRow) -> str:
        """Return what all pictures share that differ only in their seed."""
        with self._guard:
            if row.id not in self._stacks:
                asked = dict(row.request)
                asked["parameters"] = {k: v for k, v in dict(asked.get("parameters") or {}).items() if k != "seed"}
                self._stacks[row.id] = fingerprint(asked)[-16:] if row.request else row.id
            return self._stacks[row.id]

    # ------------------------------------------------------------------ messages

    def _receive(self, message: Message, _buffers: Sequence[Any]) -> None:
        run = partial(self._session.runtime.call_back, self._answer)
        match message:
            case {"kind": "hello"}:
                self.touch()
            case {"kind": "filter"}:
                self._filter = _filter_of(message)
                self.touch()
            case {"kind": "more"}:
                self._filter = replace(self._filter, limit=min(1000, self._filter.limit + PAGE))
                self.touch()
            case {"kind": "thumbs", "keys": list(keys)}:
                run(self._send_thumbs, [key for key in keys if isinstance(key, str)])
            case {"kind": "full", "key": str(key)}:
                run(self._send_full, key)
            case {"kind": "details", "id": str(item)}:
                run(self._send_details, item)
            case {"kind": "save", "id": str(item), "clean": bool(clean), "key": str(key)}:
                run(self._send_file, item, clean, key)
            case {"kind": "star" | "reject" as what, "id": str(item), "on": bool(on)}:
                run(self._mark, what, item, on)
            case {"kind": "act", "id": str(item), "what": str(what)}:
                run(self._do, what, item)

    def _answer(self, work: Callable[..., None], *args: Any) -> None:
        """Do what a message asks; a picture that is gone is shown as gone by the next update."""
        try:
            work(*args)
        except WanError:
            self.touch()

    def _send_thumbs(self, keys: Sequence[str]) -> None:
        """Send small copies as they are made: a store of large pictures that was never shown needs a while for each."""
        ready: dict[str, bytes] = {}
        sent_at = time.monotonic()
        for key in keys:
            found = self._find(key)
            previews = self._previews.of_size(found[1], THUMB_PX, THUMB_BYTES) if found else ()
            ready[key] = previews[0].data if previews else b""
            if key == keys[-1] or time.monotonic() - sent_at > THUMBS_EVERY_S:
                self.widget.send({"kind": "thumbs", "keys": list(ready)}, list(ready.values()))
                ready, sent_at = {}, time.monotonic()

    def _send_full(self, key: str) -> None:
        """Send a whole file: ``full:JOB/INDEX`` or ``input:JOB/INDEX:POSITION``."""
        kind, _, rest = key.partition(":")
        item, _, position = rest.partition(":")
        found = self._find(item)
        if found is None:
            return
        row, record = found
        file = record.file
        if kind == "input":
            inputs = [i for i in row.inputs if str(i.position) == position]
            file = inputs[0].file if inputs else ""
        try:
            data = self._home.store.read(file) if file else b""
        except WanError:
            data = b""
        self.widget.send({"kind": "full", "key": key, "mime": mime_of(data) or "image/png"}, [data])

    def _send_details(self, item: str) -> None:
        found = self._find(item)
        if found is None:
            return
        row, record = found
        cell = self._presenter.cell_text(self._session.request_of(row), row)
        inputs = [{"position": i.position, "name": html.one_line(i.name, 60)} for i in row.inputs]
        self.widget.send(
            {
                "kind": "details",
                "id": item,
                "prompt": html.safe_text(row.prompt),
                "negative": html.safe_text(row.negative_prompt),
                "facts": _facts(row, record, full=True),
                "cell": cell,
                "inputs": inputs,
                "paths": _paths(self._home.store.path(record.file)),
            }
        )

    def _send_file(self, item: str, clean: bool, key: str) -> None:
        found = self._find(item)
        if found is None:
            return
        record = found[1]
        data = self._home.store.read(record.file)
        path = Path(record.file)
        name = f"{path.stem}-clean{path.suffix}" if clean else path.name
        answer = {"kind": "save", "key": key, "name": name, "mime": record.mime or "image/png"}
        self.widget.send(answer, [strip(data) if clean else data])

    def _mark(self, what: str, item: str, on: bool) -> None:
        if (found := self._find(item)) is not None:
            row, record = found
            ledger = self._home.ledger
            mark = ledger.star if what == "star" else ledger.reject
            mark(row.id, record.idx, on=on)
            if not on and (row.starred if what == "star" else row.rejected):
                mark(row.id, on=False)  # the mark stood on the whole job
            self._home.engine.live(ledger.get(row.id)).changed(ledger.get(row.id))
        self._update()
        self.widget.send({"kind": "listed"})  # what the page showed before this is over

    def _do(self, what: str, item: str) -> None:
        if (found := self._find(item)) is not None:
            self._act(what, *found)

    def _find(self, item: str) -> tuple[JobRow, PictureRecord] | None:
        job_id, _, index = item.partition("/")
        if not job_id or not index.isdecimal():
            return None
        try:
            row = self._home.ledger.get(job_id)
        except WanError:
            return None
        record = next((p for p in row.pictures if p.idx == int(index)), None)
        return (row, record) if record is not None else None


def _paths(path: Path) -> list[str]:
    """Return a file's path as a Jupyter page may know its own folder: whole, without links, from the home folder."""
    paths = [path.as_posix(), path.resolve().as_posix()]
    if path.is_relative_to(Path.home()):
        paths.append(f"~/{path.relative_to(Path.home()).as_posix()}")
    return list(dict.fromkeys(paths))


def _filter_of(message: Mapping[str, Any]) -> Filter:
    words_, tag, seed = (str(message.get(name) or "")[:200] for name in ("words", "tag", "seed"))
    starred, rejected = bool(message.get("starred")), bool(message.get("rejected"))
    return Filter(words=words_, tag=tag, seed=seed, starred=starred, rejected=rejected)


def _facts(row: JobRow, record: PictureRecord, *, full: bool = False) -> list[str]:
    several = f"{record.idx + 1} of {len(row.pictures)}, one batch" if len(row.pictures) > 1 else ""
    facts = [
        f"seed {row.seed}" if row.seed is not None else "",
        several,
        f"{record.width_px}×{record.height_px}" if record.width_px else "",
        row.mode,
        words.when_text(row.created_at),
        str(cost_of_row(row)),
    ]
    if full:
        facts += [
            "rewrite on" if row.rewrite else "",
            words.duration_text(row.duration_s),
            row.provider,
            *(f"#{tag}" for tag in row.tags),
            f"{row.id}[{record.idx}]",
            record.file,
            record.note,
        ]
    return [html.one_line(fact, 120) for fact in facts if fact]
