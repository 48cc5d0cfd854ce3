"""Fetch a result or a person's picture: without the key, capped, watched for stalls, resumable."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from ..errors import DownloadError, NotSentError
from ..files import explained
from ..text import file_size, one_line
from .network import Timeouts, explain, proxy_for
from .replies import raw_chunks, retry_after_s

INPUT_MAX_BYTES: Final = 25 * 1024 * 1024
DOWNLOADS_MAX: Final = 4
REDIRECTS_MAX: Final = 5
_PACKED: Final = re.compile(r"(?i)\b(br|compress|deflate|gzip|x-gzip|zstd)\b")
_FIRST_WORDS_BYTES: Final = 2000
_KINDS: Final = {403: "expired", 404: "gone", 410: "gone", 429: "rate_limited"}


@dataclass(kw_only=True)
class Downloader:
    """Fetches URLs, one attempt a call. Raises ``DownloadError``, whose ``kind`` tells what happened.

    Kinds: ``expired`` (403), ``gone`` (404, 410), ``page`` (one of these as a web page: a proxy refuses so, and no
    storage), ``rate_limited``, ``server`` (5xx), ``http`` (the other statuses), ``redirect``, ``private`` (an address
    that may not be reached), ``url``, ``too_large``, ``truncated``, ``empty``, ``encoded`` (a compressed reply),
    ``stalled``, ``range``, and the kinds of ``NotSentError`` and ``ConnectionLostError``.
    """

    client: httpx.AsyncClient
    timeouts: Timeouts
    monotonic: Callable[[], float]
    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DOWNLOADS_MAX))
    validators: dict[Path, str] = field(default_factory=dict)
    """Of each part file: the ETag or date that tells which file it is the beginning of."""

    async def to_file(self, url: str, *, part: Path, max_bytes: int) -> str:
        """Fetch a result into a file, make it durable, and return its MIME type as the server states it.

        After a failure the next attempt continues the file.
        """
        hint = "Free some space or make the folder writable; the service keeps the picture for 24 hours."
        try:
            with explained(part, hint=hint):
                return await self._to_file(url, part, max_bytes)
        except DownloadError as error:
            if error.kind in ("too_large", "range", "http"):  # what is there is of no use: start anew next time
                self.validators.pop(part, None)
            raise

    async def to_memory(self, url: str) -> bytes:
        """Fetch a picture that a person named; a refusal tells what their server said."""
        async with self.permits, aclosing(await self._open(url, {}, is_result=False)) as response:
            return b"".join([chunk async for chunk in self._chunks(response, 0, INPUT_MAX_BYTES)])

    async def _to_file(self, url: str, part: Path, max_bytes: int) -> str:
        validator = self.validators.get(part, "")
        part.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, 0o666), "ab") as file:
            kept = file.tell() if validator else 0
            headers = {"Range": f"bytes={kept}-", "If-Range": validator} if kept else {}
            async with self.permits, aclosing(await self._open(url, headers, is_result=True)) as response:
                if response.status_code == httpx.codes.OK:
                    kept, etag = file.truncate(0), response.headers.get("etag", "")
                    is_strong = etag.startswith('"')  # a weak one may name other bytes
                    self.validators[part] = etag if is_strong else response.headers.get("last-modified", "")
                elif not response.headers.get("content-range", "").startswith(f"bytes {kept}-"):
                    raise DownloadError("The server sent another part than was asked for.", kind="range")
                async for chunk in self._chunks(response, kept, max_bytes):
                    file.write(chunk)
                mime: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        del self.validators[part]
        return mime

    async def _open(self, url: str, headers: dict[str, str], *, is_result: bool) -> httpx.Response:
        """Return the open reply that brings the file, after its redirects; raise what another reply means."""
        try:
            return await self._follow(httpx.URL(url), headers, is_result=is_result)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):  # UnicodeError: a host in bad Punycode
            failure = DownloadError("The picture's address is not an http(s) address.", kind="url")
        except (NotSentError, httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            target = httpx.URL(url)
            lost = explain(error, target.host, proxy_for(target))
            failure = DownloadError(lost.message, kind=lost.kind, hint=lost.hint)
        raise failure

    async def _follow(self, url: httpx.URL, headers: dict[str, str], *, is_result: bool) -> httpx.Response:
        window_s, connect_s = self.timeouts.stall_window_s, self.timeouts.connect_s
        timeout = httpx.Timeout(window_s, connect=connect_s, pool=None)
        for _ in range(REDIRECTS_MAX + 1):
            if url.scheme not in ("http", "https") or not url.host:
                raise httpx.UnsupportedProtocol("not an http(s) address")
            request = self.client.build_request("GET", url, headers=headers, timeout=timeout)
            # Each byte of a head that trickles would begin the read timeout anew.
            async with asyncio.timeout(2 * connect_s + window_s):
                response = await self.client.send(request, stream=True)
            if response.status_code == httpx.codes.OK or (headers and response.status_code == 206):
                return response
            async with aclosing(response):
                if not response.has_redirect_location:
                    raise await _status_error(response, is_result=is_result)
            target = url.join(response.headers["location"])
            if is_result and (url.scheme, target.scheme) == ("https", "http"):
                raise DownloadError(f"{url.host} redirected from https to http.", kind="redirect")
            url = target
        raise DownloadError(f"{url.host} redirected more than {REDIRECTS_MAX} times.", kind="redirect")

    async def _chunks(self, response: httpx.Response, done: int, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the file's bytes; raise if it is too large, packed, too slow, or ends early."""
        if _PACKED.search(response.headers.get("content-encoding", "")):  # storages write other words there, too
            message = f"{response.url.host} compressed the picture, which was not asked for; it is not unpacked."
            raise DownloadError(message, kind="encoded")
        length = response.headers.get("content-length", "")
        total = done + int(length) if re.fullmatch("[0-9]{1,18}", length) else 0
        kind, start_s, start_bytes = "", self.monotonic(), done
        try:
            chunks = aiter(raw_chunks(response))
            while True:
                async with asyncio.timeout(self.timeouts.stall_window_s):  # a trickling chunk header does not count
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                done += len(chunk)
                if max(done, total) > max_bytes:
                    message = f"The file is larger than {file_size(max_bytes)}, the most that is taken."
                    raise DownloadError(message, kind="too_large")
                yield chunk
                passed_s = self.monotonic() - start_s
                is_slow = done - start_bytes < self.timeouts.min_bytes_per_s * passed_s
                if passed_s >= self.timeouts.stall_window_s and is_slow:
                    kind = "stalled"
                    break
        except (httpx.ReadTimeout, TimeoutError):
            kind = "stalled"
        except httpx.RemoteProtocolError:
            kind = "truncated"
        except (httpx.HTTPError, httpx.StreamError):
            kind = "lost"
        kind = kind or ("truncated" if done < total else "" if done else "empty")
        if kind:
            amount = f"{done:,}{f' of {total:,}' if total else ''} bytes arrived"
            raise DownloadError(
                f"The download {'stalled' if kind == 'stalled' else 'ended early'}: {amount}.", kind=kind
            )


async def _status_error(response: httpx.Response, *, is_result: bool) -> DownloadError:
    """Return what a refusal means; of a person's own address, what their server says in the beginning of its page."""
    status = response.status_code
    kind = _KINDS.get(status, "server" if status >= 500 else "http")
    if kind in ("expired", "gone") and "html" in response.headers.get("content-type", "").lower():
        kind = "page"
    meaning = ": the link is no longer valid" if kind in ("expired", "gone") else ""
    if not is_result:
        head = bytearray()
        with suppress(httpx.HTTPError, httpx.StreamError):
            async for chunk in raw_chunks(response):
                head += chunk
                if len(head) >= _FIRST_WORDS_BYTES:
                    break
        text = re.sub("<[^>]*>", " ", head[:_FIRST_WORDS_BYTES].decode("utf-8", "replace"))
        meaning = f": {one_line(text, 160).rstrip('.') or 'the server refuses'}"
    return DownloadError(
        f"{response.url.host} answered HTTP {status}{meaning}.",
        kind=kind,
        http_status=status,
        retry_after_s=retry_after_s(response.headers),
    )
