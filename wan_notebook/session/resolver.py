"""From what a person names to a picture: variables, files, addresses, jobs and their pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..errors import ImageInputError, StoreError, WanError
from ..images import load_image, mime_of, read_url
from ..inputs import UNFETCHED, InputImage, PendingImage, PictureOf
from ..jobs import Job, LiveJob, Picture
from ..ledger import JobRow, Ledger, PictureRecord
from ..recipe import strip
from ..states import SETTLED, JobState
from ..store import Store

INPUTS: Final = "inputs"
_NAMED = "Give a variable, a path or an address."


@dataclass(frozen=True)
class Resolver:
    """Implements ``cell.Resolver`` for one call. ``may_fetch`` is False in a dry run: it fetches nothing."""

    namespace: Mapping[str, Any]
    ledger: Callable[[], Ledger | None]
    store: Store
    live: Callable[[JobRow], LiveJob]
    download: Callable[[str], bytes]
    may_fetch: bool = True

    def image(self, value: object, name: str) -> tuple[InputImage | PendingImage, ...]:
        """Return the pictures that a value is; a job without an index must have exactly one."""
        if isinstance(value, Job):
            return (self._of_lives(value.lives, None, name),)
        if isinstance(value, PictureOf):
            return self._of_item(value, name)
        if isinstance(value, Picture):
            return (self._of_record(value.live.row, value.record, name),)
        if isinstance(value, list | tuple):
            return tuple(image for index, item in enumerate(value) for image in self.image(item, f"{name}[{index}]"))
        if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
            return (self._of_url(value, name),)
        return (load_image(value, name=self._known_name(value, name), fetch=self.download),)

    def job_image(self, job_id: str, index: int | None, name: str) -> InputImage | PendingImage:
        """Return a picture of a job in the history, by the job's id in any kernel."""
        ledger = self.ledger()
        if ledger is None:
            raise ImageInputError(name, "there is no history here, so no job has that id.", hint=_NAMED)
        try:
            row = ledger.get(job_id)
        except StoreError as error:
            raise ImageInputError(name, error.message, hint=error.hint) from None
        return self._of_lives([self.live(row)], index, name)

    def _known_name(self, value: object, name: str) -> str:
        """Return what a person called a picture whose file the store has named by its hash; else the name as it is."""
        if not isinstance(value, str | Path) or "\0" in str(value) or Path(value).name != name:
            return name
        path = Path(value).expanduser()
        if path.parent.name != INPUTS or path.parent.resolve() != (self.store.folder / INPUTS).resolve():
            return name
        file = f"{INPUTS}/{path.name}"
        ledger = self.ledger()
        return self.store.input_names.get(file) or (ledger.input_name(file) if ledger else "") or name

    def _of_item(self, item: PictureOf, name: str) -> tuple[InputImage | PendingImage, ...]:
        job = item.job
        if isinstance(job, Job):
            return (self._of_lives(job.lives, item.index, name),)
        return self.image(job[item.index], name)  # type: ignore[index] # somebody else's class that looks like a job

    def _of_lives(self, lives: Sequence[LiveJob], index: int | None, name: str) -> InputImage | PendingImage:
        first = lives[0]
        waiting = [live for live in lives if live.state not in SETTLED]
        if waiting:
            asked = sum(live.row.n for live in lives)
            if index is None and asked > 1:
                raise ImageInputError(name, f"the job makes {asked} pictures.", hint=_choices(name, asked))
            return _pending(lives, index or 0, name)
        pairs = [(live.row, p) for live in lives for p in live.row.pictures if p.saved_at and p.kind == "image"]
        if not pairs:
            state = next((live.state for live in lives if live.state is not JobState.SAVED), first.state)
            raise ImageInputError(name, f"job {first.id} is {state} and has no picture.", hint="Run its cell again.")
        if index is None:
            if len(pairs) > 1:
                raise ImageInputError(name, f"the job has {len(pairs)} pictures.", hint=_choices(name, len(pairs)))
            index = 0
        if not -len(pairs) <= index < len(pairs):
            text = f"the job has {len(pairs)} picture{'s' if len(pairs) > 1 else ''}, there is no [{index}]."
            raise ImageInputError(name, text, hint=_choices(name, len(pairs)))
        return self._of_record(*pairs[index], name)

    def _of_record(self, row: JobRow, record: PictureRecord, name: str) -> InputImage:
        return image_of_record(self.store, row, record, name)

    def _of_url(self, url: str, name: str) -> InputImage | PendingImage:
        """Fetch an address once; what was fetched is kept and serves every later run."""
        short = url.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1] or name
        ledger = self.ledger()
        key = "url:" + hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        if ledger is not None and (kept := ledger.meta_get(key)):
            try:
                return load_image(self.store.read(kept), name=short)
            except WanError:
                pass  # the kept copy is gone: fetch it anew
        if not self.may_fetch:
            return PendingImage(name=short, job_id=UNFETCHED + url)
        data = read_url(url, name=short, fetch=self.download)
        image = load_image(data, name=short)
        if ledger is not None:
            ledger.meta_set(key, self.store.add(_kept_name(data, image), data).file)
        return image


def image_of_record(store: Store, row: JobRow, record: PictureRecord, name: str) -> InputImage:
    """Return a job's saved picture as an input, as the service sent it."""
    try:
        image = load_image(strip(store.read(record.file)), name=name)
    except StoreError as error:
        raise ImageInputError(name, error.message, hint=error.hint) from None
    return replace(image, source_job=row.id, source_index=record.idx)


def _kept_name(data: bytes, image: InputImage) -> str:
    """Name what was fetched by its bytes, which may differ from what is sent (metadata, transparency)."""
    suffix = (mime_of(data) or image.mime).rpartition("/")[2].replace("jpeg", "jpg")
    return f"inputs/fetched-{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"


def _pending(lives: Sequence[LiveJob], index: int, name: str) -> PendingImage:
    """Name the job that will make the picture: the tasks of one card make theirs in order."""
    asked = sum(live.row.n for live in lives)
    if -asked <= index < asked:
        # one task's own pictures are counted when they are made
        wanted = index + asked if index < 0 and len(lives) > 1 else index
        for live in lives:
            if wanted < live.row.n:
                return PendingImage(name=name, job_id=live.id, index=wanted)
            wanted -= live.row.n
    raise ImageInputError(name, f"the job makes {asked} pictures.", hint=_choices(name, asked))


def _choices(name: str, count: int) -> str:
    base = name.split("[", 1)[0]
    base = base if base.isidentifier() or base.isalnum() else "job"  # `image 1` is no expression
    shown = ", ".join(f"{base}[{k}]" for k in range(min(count, 6)))
    return f"Choose one: {shown}{', …' if count > 6 else ''}."


__all__ = ["Resolver", "image_of_record"]
