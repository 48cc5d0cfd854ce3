"""Fetch a result or a person's picture: without the key, capped, watched for stalls, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from wan_notebook.errors import DownloadError

from .failures import explain
from .hosts import Hosts
from .network import Network, pieces_of
from .replies import REDIRECTS, retry_after_s
from .sinks import DownloadProgress, FileSink, MemorySink, Sink
from .timeouts import Timeouts

REDIRECTS_MAX: Final = 5
_KINDS: Final = {403: "expired", 404: "gone", 410: "gone", 429: "rate_limited"}


@dataclass(frozen=True)
class Downloaded:
    """A finished download; ``sha256`` is of all bytes, ``head`` the first 64 of them for the magic numbers.

    ``data`` holds them all if they stayed in memory, and ``sha256`` is then empty.
    """

    bytes_total: int
    sha256: str
    content_type: str = ""
    head: bytes = b""
    resumed_from: int = 0
    data: bytes | None = field(default=None, repr=False)


class Downloader:
    """Fetches URLs, one attempt a call. Raises ``DownloadError`` (its ``kind`` tells what), ``StoreError``.

    Kinds: ``expired`` (403), ``gone`` (404, 410), ``page`` (one of these as a web page: a proxy refuses so, and
    no storage), ``rate_limited``, ``server`` (5xx), ``http`` (the other statuses), ``redirect``, ``private``
    (a host that may not be reached), ``url``, ``too_large``, ``truncated``, ``empty``,
    ``stalled``, ``range``, and those of a connection: ``refused``, ``dns``, ``tls``, ``connect_timeout``, ``timeout``,
    ``lost`` ….
    """

    def __init__(
        self,
        network: Network,
        hosts: Hosts,
        *,
        base_host: str,
        timeouts: Timeouts,
        wall_clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._network = network
        self._hosts = hosts
        self._base_host = base_host
        self._timeouts = timeouts
        self._wall_clock = wall_clock
        self._monotonic = monotonic

    async def to_file(
        self, url: str, *, part: Path, max_bytes: int, progress: DownloadProgress, keep_bytes: int
    ) -> Downloaded:
        """Fetch a result into a file, or into memory if it has at most ``keep_bytes``."""
        sink, is_whole = FileSink(part, progress, keep_bytes=keep_bytes), False
        try:
            content_type = await self._receive("download", url, sink, max_bytes, self._base_host)
            is_whole = True
        except DownloadError as error:
            await sink.close()
            if error.kind == "too_large":
                sink.discard()
            raise
        finally:
            await sink.close(is_whole=is_whole)
        return Downloaded(sink.bytes_done, sink.sha256, content_type, sink.head, sink.resumed_from, sink.data)

    async def to_memory(self, url: str, *, kind: str, max_bytes: int, is_typed: bool) -> bytes:
        """Fetch into memory. ``is_typed`` means that a person gave the URL: it may lie in their own network."""
        sink = MemorySink()
        await self._receive(kind, url, sink, max_bytes, _host_of(url) if is_typed else self._base_host)
        return bytes(sink.data)

    async def _receive(self, kind: str, url: str, sink: Sink, max_bytes: int, trusted: str) -> str:
        try:
            return await self._follow(kind, httpx.URL(url), sink, max_bytes, trusted)
        except httpx.InvalidURL:
            failure = DownloadError("The result's address is no http(s) address.", kind="url")
        except (httpx.HTTPError, httpx.StreamError) as error:
            failure = _explain(error, _host_of(url), sink)
        raise failure

    async def _follow(self, kind: str, url: httpx.URL, sink: Sink, max_bytes: int, trusted: str) -> str:
        headers = {"Accept-Encoding": "identity", **sink.headers()}
        for _ in range(REDIRECTS_MAX + 1):
            await self._check(url, trusted)
            window_s = self._timeouts.stall_window_s
            async with self._network.open(kind, url, headers=headers, read_s=window_s) as response:
                if response.status_code not in REDIRECTS:
                    if not sink.accepts(response.status_code):
                        raise self._status_error(response, url)
                    await self._read(response, sink, max_bytes)
                    return str(response.headers.get("content-type", ""))
                target = url.join(response.headers.get("location", ""))
            if kind == "download" and (url.scheme, target.scheme) == ("https", "http"):
                await self._check(target, trusted)
                raise DownloadError(f"{url.host} redirected from https to http.", kind="redirect")
            url = target
        raise DownloadError(f"{url.host} redirected more than {REDIRECTS_MAX} times.", kind="redirect")

    async def _check(self, url: httpx.URL, trusted: str) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise DownloadError("Only http and https addresses are fetched.", kind="url")
        if await self._hosts.is_private(url.host) and not (
            await self._hosts.is_private(trusted) or await self._hosts.is_private(self._base_host)
        ):
            message = f"{url.host} lies in a private network; an address from outside may not lead there."
            raise DownloadError(message, kind="private")

    async def _read(self, response: httpx.Response, sink: Sink, max_bytes: int) -> None:
        if not sink.begin(response):
            return
        watch = _Watch(self._timeouts, self._monotonic)
        _check_size(sink.total_bytes or 0, max_bytes)
        async for chunk in pieces_of(response):
            sink.write(chunk)
            await sink.drain()
            _check_size(sink.bytes_done, max_bytes)
            watch.feed(len(chunk))
        if not sink.bytes_done and not sink.total_bytes:
            raise DownloadError("An empty file came.", kind="empty")
        if sink.bytes_done < (sink.total_bytes or 0):
            raise DownloadError(f"The file ended early: {_amount(sink)}.", kind="truncated")

    def _status_error(self, response: httpx.Response, url: httpx.URL) -> DownloadError:
        status = response.status_code
        kind = _KINDS.get(status, "server" if status >= 500 else "http")
        if kind in ("expired", "gone") and "html" in response.headers.get("content-type", "").lower():
            kind = "page"
        meaning = {
            "expired": ": the link has expired or is not valid",
            "gone": ": the file is no longer there",
            "page": " and a web page: somebody on the way answers, not the storage",
        }
        return DownloadError(
            f"{url.host} answered with HTTP {status}{meaning.get(kind, '')}.",
            kind=kind,
            http_status=status,
            retry_after_s=retry_after_s(
                response.headers.get("retry-after"), response.headers.get("date"), self._wall_clock
            ),
        )


class _Watch:
    """Notices a line that trickles: fewer bytes in a window than the least that is acceptable."""

    def __init__(self, timeouts: Timeouts, monotonic: Callable[[], float]) -> None:
        self._window_s = timeouts.stall_window_s
        self._min_bytes_per_s = timeouts.min_bytes_per_s
        self._monotonic = monotonic
        self._since_s = monotonic()
        self._bytes = 0

    def feed(self, count: int) -> None:
        self._bytes += count
        passed_s = self._monotonic() - self._since_s
        if passed_s < self._window_s:
            return
        if self._bytes < self._min_bytes_per_s * passed_s:
            rate = self._bytes / passed_s
            message = f"The download stalled: {rate:,.0f} bytes a second; what arrived is kept."
            raise DownloadError(message, kind="stalled")
        self._since_s, self._bytes = self._monotonic(), 0


def _check_size(count: int, max_bytes: int) -> None:
    if count > max_bytes:
        message = f"The file is larger than {max_bytes / 2**20:g} MB, the most that is taken."
        raise DownloadError(message, kind="too_large")


def _explain(error: Exception, host: str, sink: Sink) -> DownloadError:
    failure = explain(error, host)
    if not sink.bytes_done:
        return DownloadError(failure.message, kind=failure.kind, hint=failure.hint)
    if isinstance(error, httpx.ReadTimeout):
        return DownloadError(f"The download stalled: {_amount(sink)}.", kind="stalled")
    kind = "truncated" if isinstance(error, httpx.RemoteProtocolError) else failure.kind
    return DownloadError(f"The file was cut off: {_amount(sink)}.", kind=kind)


def _amount(sink: Sink) -> str:
    of = f" of {sink.total_bytes:,}" if sink.total_bytes is not None else ""
    return f"{sink.bytes_done:,}{of} bytes arrived"


def _host_of(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return ""
