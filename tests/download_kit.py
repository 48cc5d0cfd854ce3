"""What the tests of downloads share: a file as object storage serves it, and one download of it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import httpx

from tests.client_kit import RESULT, pieces, raised, run
from wan_notebook.client import Client, Downloaded, DownloadProgress
from wan_notebook.errors import DownloadError

DATA = hashlib.shake_256(b"a picture").digest(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
ETAG = '"e-1"'


def fetch(
    c: Client, part: Path, url: str = RESULT, progress: DownloadProgress | None = None, max_bytes: int = 2**26
) -> Downloaded:
    """Download once."""

    async def work(c: Client) -> Downloaded:
        return await c.download(url, part=part, max_bytes=max_bytes, resume=progress)

    return run(work, c)


def failed(c: Client, part: Path, url: str = RESULT, progress: DownloadProgress | None = None, **more: Any) -> Any:
    """Download once and return the error."""

    async def work(c: Client) -> Downloaded:
        return await c.download(url, part=part, resume=progress, **more)

    error = raised(work, c)
    assert isinstance(error, DownloadError)
    return error


class Files:
    """A store of one file as object storage serves it: ETag, ranges, and cuts where it is told to."""

    def __init__(self, data: bytes = DATA, *, etag: str = ETAG, cut_after: int | None = None) -> None:
        self.data, self.etag, self.cut_after = data, etag, cut_after
        self.ranges: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        asked = request.headers.get("range", "")
        self.ranges.append(asked)
        start = 0
        status, headers = 200, {"etag": self.etag, "content-type": "image/png"}
        if asked and request.headers.get("if-range") == self.etag:
            start = int(re.findall(r"\d+", asked)[0])
            headers["content-range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
            status = 206
            if start >= len(self.data):
                return httpx.Response(416, headers={"content-range": f"bytes */{len(self.data)}"})
        rest = self.data[start:]
        headers["content-length"] = str(len(rest))
        if self.cut_after is None:
            return httpx.Response(status, headers=headers, content=pieces(*chunked(rest)))
        body = pieces(*chunked(rest[: self.cut_after]), end=httpx.RemoteProtocolError("cut"))
        return httpx.Response(status, headers=headers, content=body)


def chunked(data: bytes, size: int = 65_536) -> list[bytes]:
    """Cut data as a socket would."""
    return [data[k : k + size] for k in range(0, len(data), size)]


def redirect(url: str, code: int = 302) -> httpx.Response:
    """Lead elsewhere."""
    return httpx.Response(code, headers={"location": url})
