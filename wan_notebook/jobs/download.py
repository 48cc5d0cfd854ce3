"""Fetching a finished job's pictures: each on its own, into a ``.part`` file, checked, fsynced, renamed.

A paid picture is never dropped for being other than expected: another size is a note, and bytes that are no picture
after all retries are kept beside it as ``.corrupt``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import catalog
from ..client import Client, DownloadProgress
from ..errors import DownloadError, StoreError, WanError
from ..images import NotAPictureError, check_picture, mime_of
from ..ledger import JobRow, Ledger, PictureRecord
from ..schedule import (
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
from .live import LiveJob
from .trouble import fault_of

log = logging.getLogger(__name__)
MAX_PIXELS = 4 * catalog.TOTAL_2K_PX  # far above any size that can be asked for: a bomb, not a surprise
SUFFIX = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
Embed = Callable[[bytes, JobRow, PictureRecord], bytes]


@dataclass
class Held:
    """Bytes kept in memory because the disk is full, up to a bound."""

    most_bytes: int = 256 * 1024 * 1024
    bytes_now: int = 0

    def has_room(self) -> bool:
        """Whether one more picture may be kept."""
        return self.bytes_now < self.most_bytes

    def take(self, count: int) -> None:
        """Count what is kept."""
        self.bytes_now += count

    def release(self, count: int) -> None:
        """Count what was written."""
        self.bytes_now -= count


@dataclass(frozen=True)
class Fetcher:
    """What fetching needs; ``embed`` writes the recipe into a picture's bytes, None leaves them as they came."""

    client: Client
    ledger: Ledger
    store: Store
    rng: random.Random
    in_worker: Callable[..., Awaitable[Any]]
    embed: Embed | None
    sidecar: Callable[[JobRow, PictureRecord], None] | None
    held: Held = field(default_factory=Held)
    wall_clock: Callable[[], float] = time.time

    async def fetch_all(self, live: LiveJob) -> list[PictureRecord]:
        """Fetch every picture that is not there yet; return those that are settled now: saved, or kept aside."""
        open_ones = [p for p in live.row.pictures if not p.saved_at and not p.corrupt_file]
        results = await asyncio.gather(*(self._fetch(live, picture) for picture in open_ones))
        return [record for record in results if record is not None]

    async def _fetch(self, live: LiveJob, picture: PictureRecord) -> PictureRecord | None:
        """Fetch one picture, following the policy; None if it has to be left for later or is gone."""
        failures = refreshed = 0
        part = self.store.part_path(live.id, picture.idx)
        progress, held = DownloadProgress(), b""
        while True:
            try:
                record = await self._fetch_once(live, picture, part, progress, held)
            except WanError as error:
                failures += 1
                fault = fault_of(_as_download(error), failures)
                decision = decide_download(fault, self.rng, age_s=self._age_s(live.row), refreshed=refreshed)
                log.debug("download of %s[%d]: %s", live.id, picture.idx, decision.reason)
                live.note = f"picture {picture.idx + 1}: {decision.reason} ({error.message})"
                live.changed()
                match decision:
                    case FetchAgain(after_s=after_s, resume=resume):
                        if not resume:
                            part.unlink(missing_ok=True)
                            progress = DownloadProgress()
                        await asyncio.sleep(after_s)
                    case RefreshUrl(after_s=after_s):
                        refreshed += 1
                        await asyncio.sleep(after_s)
                        picture = await self._fresh_url(live, picture)
                    case HoldBytes(after_s=after_s):
                        held = held or await self._hold(picture)
                        await asyncio.sleep(after_s)
                    case KeepAside():
                        return await self._keep_aside(live, picture, part, decision.reason)
                    case StopFetch() | Expired():
                        await self._note(live, picture, decision.reason)
                        return None
            else:
                return record

    async def _fetch_once(
        self, live: LiveJob, picture: PictureRecord, part: Path, progress: DownloadProgress, held: bytes
    ) -> PictureRecord:
        if picture.file and self.store.holds(picture.file, picture.file_sha256):
            record = picture  # a kernel was killed between the file's name and its record
        else:
            if not picture.url:
                message = "the service gave no address for this picture"
                raise DownloadError(message, kind="gone")
            if not held:
                await self.client.download(picture.url, part=part, max_bytes=catalog.RESULT_MAX_BYTES, resume=progress)
            record, staged = await self.in_worker(self._stage, live.row, picture, part, held)
            await asyncio.wrap_future(self.ledger.save_picture(live.id, record))
            saved = await self.in_worker(self.store.publish, staged)
            record = replace(record, file=saved.file)
            if held:
                self.held.release(len(held))
        record = replace(record, saved_at=self.wall_clock(), url="")
        if self.sidecar is not None:
            await self.in_worker(self.sidecar, live.row, record)
        await self._recorded(live, record)
        return record

    async def _hold(self, picture: PictureRecord) -> bytes:
        """Keep a picture in memory while the disk takes nothing, as long as there is room for it."""
        if not self.held.has_room():
            return b""
        try:
            data = await self.client.download_bytes(picture.url, max_bytes=catalog.RESULT_MAX_BYTES)
        except WanError:
            return b""
        self.held.take(len(data))
        return data

    async def _recorded(self, live: LiveJob, record: PictureRecord) -> None:
        await asyncio.wrap_future(self.ledger.save_picture(live.id, record))
        live.changed(replace(live.row))  # a copy reads its pictures anew

    def _stage(self, row: JobRow, picture: PictureRecord, part: Path, held: bytes) -> tuple[PictureRecord, Staged]:
        """Check the bytes and make them durable, with their recipe, but without their name. Runs in a worker thread."""
        if held:
            _write_part(part, held)
        data = part.read_bytes()
        try:
            facts = check_picture(data, max_pixels=MAX_PIXELS)
            mime, width, height = facts.mime, facts.width_px, facts.height_px
        except NotAPictureError as error:
            mime, width, height = mime_of(data) or "", 0, 0
            if picture.kind != "video" and not mime.startswith("video/"):
                raise DownloadError(error.message, kind=error.kind) from None
        record = replace(
            picture,
            kind="video" if mime.startswith("video/") else picture.kind,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            mime=mime,
            width_px=width,
            height_px=height,
            note=_size_note(row, width, height),
        )
        embed = self.embed
        write = (lambda raw: embed(raw, row, record)) if embed and mime.startswith("image/") else None
        staged = self.store.stage(part, self._name(row, picture, SUFFIX.get(mime, "bin")), embed=write)
        return replace(record, file=staged.file, file_sha256=staged.file_sha256), staged

    def _name(self, row: JobRow, picture: PictureRecord, suffix: str) -> str:
        made = dt.datetime.fromtimestamp(row.created_at, tz=dt.UTC).astimezone()
        return self.store.picture_name(made, row.prompt, row.seed, picture.idx, suffix)

    async def _keep_aside(self, live: LiveJob, picture: PictureRecord, part: Path, reason: str) -> PictureRecord | None:
        name = self._name(live.row, picture, "png")
        try:
            kept = await asyncio.to_thread(self.store.keep_corrupt, part, name)
        except StoreError as error:  # nothing was received, or the disk is full too: the address is kept
            await self._note(live, picture, f"{reason}; {error.message}")
            return None
        record = replace(picture, corrupt_file=kept, note=reason)
        await self._recorded(live, record)
        return record

    async def _fresh_url(self, live: LiveJob, picture: PictureRecord) -> PictureRecord:
        """Ask the task for a new address; the old one stays if there is none."""
        try:
            state = await self.client.status(live.row.task_id or "")
        except WanError:
            return picture
        urls = picture_urls(state)
        if picture.idx < len(urls) and urls[picture.idx] != picture.url:
            return replace(picture, url=urls[picture.idx])
        return picture

    async def _note(self, live: LiveJob, picture: PictureRecord, reason: str) -> None:
        await self._recorded(live, replace(picture, note=reason))

    def _age_s(self, row: JobRow) -> float:
        return max(0.0, self.wall_clock() - (row.finished_at or row.accepted_at or row.created_at))


def _write_part(part: Path, data: bytes) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
    except OSError as error:
        message = f"{part} cannot be written: {error.strerror or type(error).__name__}."
        raise StoreError(message, remedy="Free some space; the picture is kept in memory until then.") from error


def picture_urls(state: TaskState) -> list[str]:
    """Return the addresses of a task's pictures (and videos), in order."""
    return [output.url for output in state.outputs if output.kind != "text"]


def _size_note(row: JobRow, width_px: int, height_px: int) -> str:
    asked = str(row.parameters.get("size") or "")
    width, star, height = asked.partition("*")
    if not star or not width_px:
        return ""
    step = catalog.SIZE_STEP_PX
    rounded = [round(int(side) / step) * step for side in (width, height)]
    if [width_px, height_px] in (rounded, [int(width), int(height)]):
        return ""
    return f"{width_px}×{height_px} came, {width}×{height} was asked"


def _as_download(error: WanError) -> WanError:
    return error if isinstance(error, DownloadError | StoreError) else DownloadError(error.message, kind="lost")
