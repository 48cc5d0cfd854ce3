"""Where a download goes: a file that can be continued, or memory."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final, Literal, Protocol

import httpx

from wan_notebook.errors import DownloadError, StoreError

BATCH_BYTES: Final = 1024 * 1024
INLINE_BYTES: Final = 128 * 1024
HEAD_BYTES: Final = 64
_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_LENGTH: Final = re.compile(r"\d{1,18}")


@dataclass
class DownloadProgress:
    """What one attempt leaves for the next: pass the same object again and the download goes on where it stopped."""

    validator: str = ""
    total_bytes: int | None = None


class Sink(Protocol):
    """Takes the bytes of one answer."""

    @property
    def bytes_done(self) -> int:
        """How much has arrived."""

    @property
    def total_bytes(self) -> int | None:
        """How much the server announced, None if it did not say."""

    def headers(self) -> dict[str, str]:
        """Return what the request must ask for."""

    def accepts(self, http_status: int) -> bool:
        """Tell whether a status brings what was asked for."""

    def begin(self, response: httpx.Response) -> bool:
        """Prepare for an answer's bytes; False if there is nothing left to read."""

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""

    async def drain(self) -> None:
        """Make room, if much has been taken."""


class MemorySink:
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.total_bytes: int | None = None

    @property
    def bytes_done(self) -> int:
        """How much has arrived."""
        return len(self.data)

    def headers(self) -> dict[str, str]:
        """Ask for the whole."""
        return {}

    def accepts(self, http_status: int) -> bool:
        """Take a whole answer only."""
        return http_status == httpx.codes.OK

    def begin(self, response: httpx.Response) -> bool:
        """Note the announced length."""
        self.total_bytes = _content_length(response)
        return True

    def write(self, chunk: bytes) -> None:
        """Append."""
        self.data += chunk

    async def drain(self) -> None:
        """Do nothing."""


class FileSink:
    """Hashes and writes a file in one pass; continues it where the server lets it, else starts anew.

    Batches go to a worker thread while the next bytes arrive: hashing and writing then cost no time on the line. What
    is small is written at once, since the way to a thread would cost more.

    A whole answer of at most ``keep_bytes`` stays in memory instead, as ``data``: no file, and no hash. One that breaks
    off is written all the same, so that it can be continued.
    """

    def __init__(self, part: Path, progress: DownloadProgress, *, keep_bytes: int = 0) -> None:
        self._part = part
        self._progress = progress
        self._keep_bytes = keep_bytes
        self._is_kept = False
        self.data: bytes | None = None
        self._mode: Literal["wb", "ab"] | None = None
        self._file: FileIO | None = None
        self._hash = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._pending: asyncio.Future[None] | None = None
        self._is_asked_for_rest = False
        self.head = b""
        self.bytes_done = 0
        self.resumed_from = 0
        self.total_bytes: int | None = None

    @property
    def sha256(self) -> str:
        """Hash of everything written, in hex, complete after ``close``; empty if nothing was written."""
        return self._hash.hexdigest() if self.data is None else ""

    def headers(self) -> dict[str, str]:
        """Ask for the rest, but only of the very same file (``If-Range``)."""
        have = self._part.stat().st_size if self._progress.validator and self._part.exists() else 0
        self._is_asked_for_rest = have > 0
        if not have:
            return {}
        return {"Range": f"bytes={have}-", "If-Range": self._progress.validator}

    def accepts(self, http_status: int) -> bool:
        """Take a whole answer, or the rest if it was asked for (416: nothing is left)."""
        return http_status == httpx.codes.OK or (self._is_asked_for_rest and http_status in (206, 416))

    def begin(self, response: httpx.Response) -> bool:
        """Prepare for a whole answer or for the rest. Raises ``DownloadError`` (``range``)."""
        if response.status_code == httpx.codes.OK:
            etag = response.headers.get("etag", "")
            is_strong = etag.startswith('"')  # a weak one may name other bytes
            self._progress.validator = etag if is_strong else response.headers.get("last-modified", "")
            self._progress.total_bytes = self.total_bytes = _content_length(response)
            self._mode = "wb"
            self._is_kept = 0 < self._keep_bytes >= (self.total_bytes or 0)
            return True
        have = self._part.stat().st_size
        match = _RANGE.match(response.headers.get("content-range", ""))
        has_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
        fits = match is not None and int(match[1]) == have if has_rest else have == self._progress.total_bytes
        if not fits:
            self.discard()
            raise DownloadError("The server sent another part than was asked for; it will start anew.", kind="range")
        stated = int(match[2]) if match is not None and match[2] != "*" else None
        self.total_bytes = self._progress.total_bytes if stated is None else stated
        self.bytes_done = self.resumed_from = have
        self._mode = "ab"
        return has_rest

    def write(self, chunk: bytes) -> None:
        """Take some bytes into the batch."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.bytes_done += len(chunk)

    async def drain(self) -> None:
        """Hand a full batch to the worker thread, when it is done with the one before. Raises ``StoreError``."""
        if self._batch_bytes > (self._keep_bytes if self._is_kept else BATCH_BYTES):
            self._is_kept = False
            await self._hand_over()

    async def close(self, *, is_whole: bool = False) -> None:
        """Write what is left and close the file; fsync is the store's. Raises ``StoreError``."""
        if is_whole and self._is_kept:
            data = b"".join(self._take())
            self.data, self.head, self._mode = data, data[:HEAD_BYTES], None
        else:
            await asyncio.shield(self._close())

    def discard(self) -> None:
        """Delete what is there; the next attempt starts anew."""
        self._progress.validator, self._progress.total_bytes = "", None
        self._part.unlink(missing_ok=True)

    async def _close(self) -> None:
        try:
            if self._mode is None:
                return
            if self._pending is None and self._batch_bytes <= INLINE_BYTES and not self.resumed_from:
                self._store(self._take())
            else:
                await self._hand_over()
                await self._settle()
        finally:
            self._mode = None
            if self._file is not None:
                self._file.close()

    async def _hand_over(self) -> None:
        await self._settle()
        self._pending = asyncio.get_running_loop().run_in_executor(None, self._store, self._take())

    async def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            await pending

    def _take(self) -> list[bytes]:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        return batch

    def _store(self, batch: list[bytes]) -> None:
        try:
            if self._file is None:
                self._open()
            data = b"".join(batch)  # one piece: each call by itself would wait for the interpreter's lock
            self._add(data)
            _write_all(self._file, data)
        except OSError as error:
            hint = "Free some space or make the folder writable; the picture is still at the service."
            reason = error.strerror or type(error).__name__
            raise StoreError(f"{self._part} cannot be written: {reason}.", hint=hint) from error

    def _open(self) -> None:
        if self._mode == "ab":
            with self._part.open("rb") as file:
                while chunk := file.read(BATCH_BYTES):
                    self._add(chunk)
        try:
            self._file = FileIO(self._part, self._mode or "wb")
        except FileNotFoundError:  # nothing was downloaded here before, or a person has tidied up
            self._part.parent.mkdir(exist_ok=True)
            self._file = FileIO(self._part, self._mode or "wb")

    def _add(self, data: bytes) -> None:
        self._hash.update(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]


def _write_all(file: FileIO | None, data: bytes) -> None:
    view = memoryview(data)
    while file is not None and view:
        view = view[file.write(view) or 0 :]


def _content_length(response: httpx.Response) -> int | None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return None  # it counts the compressed bytes
    length = response.headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None
