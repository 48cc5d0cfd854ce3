"""Fetching a finished job's pictures: each on its own, into a ``.part`` file, checked, fsynced, renamed.

A paid picture is never dropped for being other than expected: another size is a note, and bytes that are no picture
after all retries are kept beside it as ``.corrupt``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .. import catalog
from ..client import Client, DownloadProgress
from ..errors import DownloadError, StoreError, WanError
from ..ledger import JobRow, PictureRecord
from ..recipe import Embedded, Recipe, changed_in, embedded, write_sidecar
from ..schedule import (
    DownloadDecision,
    Expired,
    FetchAgain,
    HoldBytes,
    KeepAside,
    RefreshUrl,
    StopFetch,
    decide_download,
)
from ..store import Staged, Store
from ..wire import TaskState
from .attempt import Attempt, Fetched, Held
from .checks import SUFFIX, bytes_of, checked, write_part
from .live import LiveJob
from .moves import Moves
from .trouble import fault_of

log = logging.getLogger(__name__)
RecipeOf = Callable[[JobRow, PictureRecord], Recipe | None]

KEEP_BYTES = 8 * 1024 * 1024
"""Up to this size a picture is written to the disk once, whole and with its recipe; a larger one as it arrives."""

IN_MEMORY_MAX = 10
"""Pictures that are on their way between line and disk at once: what bounds the memory, whatever the disk does."""


@dataclass(frozen=True)
class Fetcher:
    """What fetching needs; ``recipe_of`` tells what a picture's file is to say of itself, None that it says nothing.

    ``room`` is shared by all fetches of a kernel.
    """

    client: Client
    moves: Moves
    store: Store
    rng: random.Random
    in_worker: Callable[..., Awaitable[Any]]
    recipe_of: RecipeOf
    held: Held = field(default_factory=Held)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_MEMORY_MAX))
    wall_clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def fetch_all(self, live: LiveJob) -> list[Fetched]:
        """Fetch every picture that is not there yet, all at once.

        A picture that is the only one still to come is on disk then but not yet in the ledger: the caller writes it
        together with the end of the job.
        """
        open_ones = [p for p in live.row.pictures if not p.saved_at and not p.corrupt_file]
        is_last = len(open_ones) == 1
        return await asyncio.gather(*(self._fetch(live, picture, tells=not is_last) for picture in open_ones))

    async def _fetch(self, live: LiveJob, picture: PictureRecord, *, tells: bool) -> Fetched:
        """Fetch one picture, following the policy."""
        at = Attempt(picture, self.store.part_path(live.id, picture.idx))
        try:
            while True:
                try:
                    record = await self._fetch_once(live, at)
                    break
                except WanError as error:
                    ended = await self._after(live, at, error)
                    if ended is not None:
                        return ended
        finally:
            self._drop(at)
        if tells:
            await self.moves.picture(live, record)
        return Fetched(record, "saved")

    async def _after(self, live: LiveJob, at: Attempt, error: WanError) -> Fetched | None:
        """Do what the policy says after a fault; None: fetch again."""
        at.failures += 1
        fault = fault_of(_as_download(error), at.failures)
        decision = decide_download(fault, self.rng, age_s=self._age_s(live.row), refreshed=at.refreshed)
        log.debug("download of %s[%d]: %s", live.id, at.picture.idx, decision.reason)
        live.note = f"picture {at.picture.idx + 1}: {decision.reason} ({error.message})"
        live.changed()
        return await self._follow(live, at, decision, error)

    async def _follow(self, live: LiveJob, at: Attempt, decision: DownloadDecision, error: WanError) -> Fetched | None:
        match decision:
            case FetchAgain(after_s=after_s, resume=resume):
                self._drop(at)
                if not resume:
                    await self._restart(at)
                await self.sleep(after_s)
            case RefreshUrl(after_s=after_s, resume=resume):
                at.refreshed += 1
                if not resume:
                    self._drop(at)
                    await self._restart(at)
                await self.sleep(after_s)
                at.picture = await self._fresh_url(live, at.picture)
            case HoldBytes(after_s=after_s):
                await self._hold(at)
                await self.sleep(after_s)
            case KeepAside():
                return await self._keep_aside(live, at, decision.reason)
            case StopFetch() | Expired():
                reason = f"{decision.reason} ({error.message})"
                await self.moves.picture(live, replace(at.picture, note=reason))
                return Fetched(at.picture, "gone" if isinstance(decision, Expired) else "left", reason)
        return None

    async def _fetch_once(self, live: LiveJob, at: Attempt) -> PictureRecord:
        if await self._is_there(at.picture):
            self._unlink(at)
        else:
            if not at.picture.url:
                message = "the service gave no address for this picture"
                raise DownloadError(message, kind="gone")
            async with self.room:
                at.picture = await self._receive(live.row, at)
        return replace(at.picture, saved_at=self.wall_clock(), url="")

    async def _receive(self, row: JobRow, at: Attempt) -> PictureRecord:
        """Fetch a picture and save it; its bytes leave the memory then."""
        if at.data is None:
            most = catalog.RESULT_MAX_BYTES
            got = await self.client.download(
                at.picture.url, part=at.part, max_bytes=most, resume=at.progress, keep_bytes=KEEP_BYTES
            )
            at.sha256, at.data = got.sha256, got.data
        record: PictureRecord = await self.in_worker(self._save, row, at, at.data)
        self._drop(at)
        return record

    def _save(self, row: JobRow, at: Attempt, data: bytes | None) -> PictureRecord:
        """Bring a picture to the disk under its name: from memory, or from its part file without ``data``.

        Runs in a worker thread, which waits for the ledger itself: the way back to the loop and here again would cost
        more than what is done.
        """
        record, staged = self._stage(row, at, data)
        # Its name and hashes first: after a crash it is told from them that the file had got its name.
        self.moves.ledger.save_picture(row.id, record).result()
        at.picture = record  # likewise if the disk complains once it has its name: no second copy of it is made
        saved = self.store.publish(staged)
        if at.failures or data is None:
            self._unlink(at)
        return replace(record, file=saved.file)

    async def _is_there(self, picture: PictureRecord) -> bool:
        """Whether a kernel was killed between the file's name and its record."""
        return bool(picture.file and await self.in_worker(self._has_name, picture))

    def _has_name(self, picture: PictureRecord) -> bool:
        with contextlib.suppress(StoreError):
            return not changed_in(self.store.read(picture.file), picture)
        return False

    async def _hold(self, at: Attempt) -> None:
        """Keep a picture in memory while the disk takes nothing, as long as there is room for it."""
        if at.held_bytes:
            return
        if not at.picture.url or not self.held.has_room():
            at.data = None
            return
        if at.data is None:
            with contextlib.suppress(WanError):
                at.data = await self.client.download_bytes(at.picture.url, max_bytes=catalog.RESULT_MAX_BYTES)
                at.sha256 = ""
        at.held_bytes = len(at.data or b"")
        self.held.take(at.held_bytes)

    def _drop(self, at: Attempt) -> None:
        """Forget bytes that were kept in memory: they are on disk now, or no good."""
        self.held.release(at.held_bytes)
        at.data, at.held_bytes = None, 0

    async def _restart(self, at: Attempt) -> None:
        """Begin a fetch from nothing."""
        at.progress = DownloadProgress()
        self._unlink(at)

    def _unlink(self, at: Attempt) -> None:
        with contextlib.suppress(OSError):
            at.part.unlink(missing_ok=True)

    def _stage(self, row: JobRow, at: Attempt, data: bytes | None) -> tuple[PictureRecord, Staged]:
        """Check the bytes and make them durable, with their recipe, but without their name."""
        found = bytes_of(at.part) if data is None else data
        record = checked(found, row, at.picture, sha256=at.sha256)
        made, sidecar = self._described(found, row, record)
        pieces = made.pieces or (() if data is None else (data,))
        name = self._name(row, at.picture, SUFFIX.get(record.mime, "bin"))
        staged = self.store.stage(at.part, name, pieces=pieces, sidecar=sidecar)
        return replace(record, file=staged.file, recipe_sha256=made.recipe_sha256, file_sha256=""), staged

    def _described(self, data: bytes, row: JobRow, record: PictureRecord) -> tuple[Embedded, str]:
        """Return a picture's file with its recipe in it, and the text beside it; nothing if it has none."""
        try:
            recipe = self.recipe_of(row, record) if record.mime.startswith("image/") else None
            if recipe is not None:
                return embedded(data, recipe), write_sidecar(recipe)
        except Exception:  # a recipe that cannot be written must not cost a paid picture
            log.exception("the recipe of picture %d of %s could not be written", record.idx + 1, row.id)
        return Embedded((), ""), ""

    def _name(self, row: JobRow, picture: PictureRecord, suffix: str) -> str:
        made = dt.datetime.fromtimestamp(row.created_at, tz=dt.UTC).astimezone()
        return self.store.picture_name(made, row.prompt, row.seed, picture.idx, suffix)

    async def _keep_aside(self, live: LiveJob, at: Attempt, reason: str) -> Fetched:
        name = self._name(live.row, at.picture, "png")
        try:
            if at.data is not None:
                await self.in_worker(write_part, at.part, at.data)
            kept = await self.in_worker(self.store.keep_corrupt, at.part, name)
        except StoreError as error:  # nothing was received, or the disk is full too: the address is kept
            record = replace(at.picture, note=f"{reason}; {error.message}")
            await self.moves.picture(live, record)
            return Fetched(record, "left", record.note)
        record = replace(at.picture, corrupt_file=kept, note=reason)
        await self.moves.picture(live, record)
        return Fetched(record, "aside", reason)

    async def _fresh_url(self, live: LiveJob, picture: PictureRecord) -> PictureRecord:
        """Ask the task for a new address; the old one stays if there is none."""
        try:
            state = await self.client.status(live.row.task_id or "")
        except WanError:
            return picture
        urls = picture_urls(state)
        if picture.idx < len(urls) and urls[picture.idx]:
            return replace(picture, url=urls[picture.idx])
        return picture

    def _age_s(self, row: JobRow) -> float:
        return max(0.0, self.wall_clock() - (row.finished_at or row.accepted_at or row.created_at))


def picture_urls(state: TaskState) -> list[str]:
    """Return the addresses of a task's pictures (and videos), in order."""
    return [output.url for output in state.outputs if output.kind != "text"]


def _as_download(error: WanError) -> WanError:
    return error if isinstance(error, DownloadError | StoreError) else DownloadError(error.message, kind="lost")
