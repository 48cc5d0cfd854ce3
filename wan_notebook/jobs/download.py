"""Downloading a finished job's pictures: each on its own, checked, described, durable, and only then named.

A paid picture is never dropped for being other than expected: bytes that are not a picture after all retries are kept
as ``.corrupt``.
"""

import asyncio
import datetime as dt
import hashlib
import logging
import re
from collections import Counter
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..database import JobRow, PictureRow, Status
from ..errors import DownloadError, JobError, StoreError, WanError
from ..files import explained
from ..images import SUFFIXES, BadImageError, image_info
from ..metadata import Metadata, embed, public_name
from ..models import RESULT_MAX_BYTES
from ..text import pluralize
from ..validation import Mode
from .retry import Action, decide, kind_of
from .status import TrackedJob, cost_of, fewest_pictures

if TYPE_CHECKING:
    from .worker import Worker

log = logging.getLogger(__name__)

ENDS = (Action.STOP, Action.EXPIRE, Action.KEEP_ASIDE)
"""What ends the attempts for one picture."""


async def download(worker: "Worker", job: TrackedJob) -> None:
    """Fetch every picture that is not there yet, and record the job's end."""
    wanted = [picture for picture in job.row.pictures if not picture.saved_at and not picture.corrupt_file]
    fetches = [_Download(worker, job, picture) for picture in wanted]
    ends = await asyncio.gather(*(fetch.run() for fetch in fetches))
    pictures, fetched = job.row.pictures, [fetch.saved for fetch in fetches if fetch.saved]
    left = [reason for action, reason in ends if action is Action.STOP]
    gone = [reason for action, reason in ends if action is Action.EXPIRE]
    saved = len({picture.index for picture in pictures if picture.saved_at} | {each["index"] for each in fetched})
    if left:
        what = f"{pluralize(len(left), 'picture')} could not be fetched"
        raise JobError(f"{what}: {left[0].rstrip('.')}. `%wan resume` tries again.", job_id=job.id)
    if gone and not saved and not any(picture.corrupt_file for picture in pictures):
        await worker.move(job, Status.EXPIRED, error_message=gone[0])
    else:  # illustrated text promises only an upper limit
        missing = 0 if job.row.mode == Mode.ILLUSTRATED else max(0, fewest_pictures(job.row) - saved)
        await worker.move(job, Status.SAVED, missing=missing, detail={"pictures": saved}, pictures=fetched)


class _Download:
    """One picture on its way to the disk, over as many attempts as it takes."""

    def __init__(self, worker: "Worker", job: TrackedJob, picture: PictureRow) -> None:
        self.worker, self.job, self.storage = worker, job, worker.storage
        self.index, self.kind, self.url = picture.index, picture.kind, picture.url
        self.file, self.file_sha256 = picture.file, picture.file_sha256
        self.part = self.storage.part_path(job.id, picture.index)
        self.failures, self.refreshed, self.got_bytes, self.failing_at = Counter[str](), 0, 0, 0.0
        self.saved: dict[str, Any] = {}

    async def run(self) -> tuple[Action | None, str]:
        """Fetch the picture; if it does not come, return what became of it (KEEP_ASIDE, STOP or EXPIRE) and why."""
        while True:
            try:
                # A kernel may have been killed between a file's name and its record.
                if not self.file or not await self.worker.in_thread(self.storage.holds, self.file, self.file_sha256):
                    if not self.url:
                        raise DownloadError("The service gave no address for this picture.", kind="gone")
                    client = self.worker.client(self.job.row)
                    mime = await client.download(self.url, part=self.part, max_bytes=RESULT_MAX_BYTES)
                    await self.worker.in_thread(self._save, mime)
                self.saved = {"index": self.index, "file": self.file, "saved_at": self.worker.wall_clock()}
                if len(self.job.row.pictures) > 1:  # a single one is recorded with the job's end
                    await self._record(**self.saved)
                return None, ""
            except WanError as error:
                if (action := await self._after(error)) in ENDS:
                    return action, error.message

    def _save(self, mime: str) -> None:
        """Bring a picture from its part file to its name; runs in a thread, which holds its bytes."""
        with explained(self.part):
            data = self.part.read_bytes()
        columns, suffix = self._checked(data, mime)
        data, sidecar = self._described(data, columns)
        self.file, self.file_sha256 = self._name(suffix), hashlib.sha256(data).hexdigest()
        staged = self.storage.stage(self.part, data)
        # Name and hashes first: after a crash they tell that the file had already got its name.
        columns |= {"file": self.file, "file_sha256": self.file_sha256}
        self.worker.database.update(self.job.id, pictures=[{"index": self.index, **columns}])
        try:
            self.file = self.storage.publish(staged, self.file, sidecar)
        except StoreError:  # some network drives complain although the file has its name by then
            if not self.storage.holds(self.file, self.file_sha256):
                raise
        self.part.unlink(missing_ok=True)

    def _checked(self, data: bytes, mime: str) -> tuple[dict[str, Any], str]:
        """Return what the bytes say, and their ending. Raises ``DownloadError`` if they are not a whole picture."""
        columns: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data), "mime": mime}
        try:
            # Far above any size that can be asked for: more is a decompression bomb, not a surprise.
            mime, width_px, height_px = image_info(data, max_pixels=4 * 2048 * 2048)
        except BadImageError as error:
            if self.kind == "video" or mime.startswith("video/"):
                return columns | {"kind": "video"}, ".webm" if mime == "video/webm" else ".mp4"
            # A page or a message: somebody on the way answered, and the picture itself still exists.
            is_page = error.kind == "not-image" and data[:256].lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"<", b"{", b"[")
            raise DownloadError(error.message, kind="page" if is_page else error.kind) from None
        columns |= {"width_px": width_px, "height_px": height_px, "mime": mime}
        return columns, SUFFIXES.get(mime, f".{mime.rpartition('/')[2]}")

    def _described(self, data: bytes, columns: dict[str, Any]) -> tuple[bytes, str]:
        """Return the file's bytes with its metadata in them, and the sidecar's text."""
        row = self.job.row
        wants_metadata = row.versions.get("embed", self.worker.settings(row.provider).embed)  # `--no-embed` of its cell
        try:
            if wants_metadata and columns["mime"].startswith("image/"):
                metadata = metadata_of(row, PictureRow(index=self.index, **columns))
                return embed(data, metadata), metadata.to_json(indent=2) + "\n"
        except Exception:  # metadata that cannot be written must not cost a paid picture
            log.exception("the metadata of picture %d of job %s could not be written", self.index, row.id)
        return data, ""

    def _name(self, suffix: str) -> str:
        row = self.job.row
        made_at = dt.datetime.fromtimestamp(row.created_at, tz=dt.UTC).astimezone()
        names = [public_name(image.name) for image in row.inputs]
        named = " ".join(PurePath(name).stem for name in names if not re.fullmatch(r"image( \d+)?", name))
        return self.storage.picture_name(made_at, row.prompt, row.seed, self.index, suffix, named)

    async def _record(self, **columns: Any) -> None:
        update, pictures = self.worker.database.update, [{"index": self.index} | columns]
        self.job.changed(await self.worker.in_thread(update, self.job.id, pictures=pictures))

    async def _after(self, error: WanError) -> Action:
        """Do what the table says after a fault."""
        worker, row, noted = self.worker, self.job.row, {"note": error.message}
        kind, got_bytes = kind_of(error), self.part.stat().st_size if self.part.is_file() else 0
        if got_bytes > self.got_bytes or not self.failures[kind]:  # it goes on, or fails in another way
            self.failures.clear()
            self.failing_at = worker.clock()
        self.got_bytes = max(self.got_bytes, got_bytes)
        self.failures[kind] += 1
        attempt = self.refreshed + 1 if kind in ("expired", "gone") else self.failures[kind]
        age_s = worker.wall_clock() - (row.finished_at or row.accepted_at or row.created_at)
        denied_s = worker.clock() - self.failing_at
        rule = decide("download", error, attempt, worker.rng, age_s=age_s, denied_s=denied_s)
        self.job.noted(f"picture {self.index + 1}: {error.message}")
        if rule.action in ENDS:
            try:
                if rule.action is Action.KEEP_ASIDE:
                    staged = await worker.in_thread(self.storage.stage, self.part)
                    kept = await worker.in_thread(self.storage.publish, staged, f"{self._name('.png')}.corrupt")
                    noted["corrupt_file"] = kept
                await self._record(**noted)
            except StoreError:  # a full disk takes no note either, and what is not kept aside stays at the service
                return Action.STOP
            return rule.action
        if rule.action is Action.RESTART:
            await worker.in_thread(self.part.unlink, missing_ok=True)
        await worker.sleep(rule.delay_s)
        if rule.action is Action.REFRESH_URL:
            self.refreshed += 1
            with suppress(WanError):  # the old address stays if there is no new one
                files = (await worker.client(row).status(row.task_id)).files[self.index :]
                self.url = files[0].url if files else self.url
        return rule.action


def metadata_of(row: JobRow, picture: PictureRow) -> Metadata:
    """Return what a picture's file says about itself: never a key, a signed address or a local path."""
    times = {"created": row.created_at, "accepted": row.accepted_at, "finished": row.finished_at}
    fields = {
        **{name: getattr(row, name) for name in ("model", "provider", "mode", "prompt", "negative_prompt", "task_id")},
        "job_id": row.id,
        "parameters": {name: value for name, value in row.parameters.items() if name != "negative_prompt"},
        "picture": {
            **{name: getattr(picture, name) for name in ("index", "sha256", "width_px", "height_px")},
            "count": max(1, len(row.pictures)),
        },
        "seeds": () if row.seed is None else (row.seed,),
        "inputs": tuple(row.inputs),
        "times": {
            name: dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")
            for name, at in times.items()
            if at is not None
        },
        "cost": cost_of(row),
        "fingerprints": {"asked": row.request_hash, "sent": row.request_hash_with_seed},
        # The others are not versions of software; their names are on disk.
        "versions": {k: str(v) for k, v in row.versions.items() if k not in ("run", "meeting", "embed")},
    }
    return Metadata.model_validate(fields, from_attributes=True)
