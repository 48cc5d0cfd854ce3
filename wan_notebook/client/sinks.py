"""Where a download goes: a file that can be continued, or memory."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Final, Protocol

import httpx

from wan_notebook.errors import DownloadError, StoreError

BUFFER_BYTES: Final = 256 * 1024
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

    async def begin(self, response: httpx.Response) -> bool:
        """Prepare for an answer's bytes; False if there is nothing left to read."""

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""


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

    async def begin(self, response: httpx.Response) -> bool:
        """Note the announced length."""
        self.total_bytes = _content_length(response)
        return True

    def write(self, chunk: bytes) -> None:
        """Append."""
        self.data += chunk


class FileSink:
    """Writes to a file and hashes in the same pass; continues it where the server lets it, else starts anew."""

    def __init__(self, part: Path, progress: DownloadProgress) -> None:
        self._part = part
        self._progress = progress
        self._file: BufferedWriter | None = None
        self._hash = hashlib.sha256()
        self._is_asked_for_rest = False
        self.head = b""
        self.bytes_done = 0
        self.resumed_from = 0
        self.total_bytes: int | None = None

    @property
    def sha256(self) -> str:
        """Hash of everything written, in hex."""
        return self._hash.hexdigest()

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

    async def begin(self, response: httpx.Response) -> bool:
        """Open the file for a whole answer or for the rest. Raises ``DownloadError`` (``range``), ``StoreError``."""
        if response.status_code == httpx.codes.OK:
            etag = response.headers.get("etag", "")
            is_strong = etag.startswith('"')  # a weak one may name other bytes
            self._progress.validator = etag if is_strong else response.headers.get("last-modified", "")
            self._progress.total_bytes = self.total_bytes = _content_length(response)
            self._open("wb")
            return True
        await self._continue(response)
        return response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE

    def write(self, chunk: bytes) -> None:
        """Hash and write. Raises ``StoreError``."""
        self._hash.update(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        self.bytes_done += len(chunk)
        if self._file is not None:
            try:
                self._file.write(chunk)
            except OSError as error:
                raise _disk_error(self._part, error) from error

    def close(self) -> None:
        """Write out what is buffered; fsync is the store's. Raises ``StoreError``."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise _disk_error(self._part, error) from error

    def discard(self) -> None:
        """Delete what is there; the next attempt starts anew."""
        self._progress.validator, self._progress.total_bytes = "", None
        self._part.unlink(missing_ok=True)

    async def _continue(self, response: httpx.Response) -> None:
        have = self._part.stat().st_size
        match = _RANGE.match(response.headers.get("content-range", ""))
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            fits = match is not None and int(match[1]) == have
            self.total_bytes = int(match[2]) if match is not None and match[2] != "*" else self._progress.total_bytes
        else:  # nothing left: right exactly if everything is here
            fits = have == self._progress.total_bytes
            self.total_bytes = have
        if not fits:
            self.discard()
            raise DownloadError("The server sent another part than was asked for; it will start anew.", kind="range")
        await asyncio.to_thread(self._take_what_is_there)
        self.resumed_from = have
        self._open("ab")

    def _take_what_is_there(self) -> None:
        with self._part.open("rb") as file:
            while chunk := file.read(BUFFER_BYTES):
                self.write(chunk)

    def _open(self, mode: str) -> None:
        try:
            # Buffered: TLS delivers 16 KB at a time, and each write is a system call.
            self._file = open(self._part, mode, buffering=BUFFER_BYTES)  # type: ignore[assignment]  # noqa: PTH123, SIM115
        except OSError as error:
            raise _disk_error(self._part, error) from error


def _content_length(response: httpx.Response) -> int | None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return None  # it counts the compressed bytes
    length = response.headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


def _disk_error(path: Path, error: OSError) -> StoreError:
    remedy = "Free some space or make the folder writable; the picture is still at the service."
    return StoreError(f"{path} cannot be written: {error.strerror or type(error).__name__}.", remedy=remedy)
