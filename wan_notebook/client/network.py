"""The one place that opens connections: a few, reused, the key added only for the configured origin."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import httpx

from wan_notebook._version import __version__
from wan_notebook.errors import ConnectionFailedError, SettingsError
from wan_notebook.secret import Secret

from .failures import explain, timed_out
from .lines import use_lines
from .sockets import Sockets
from .timeouts import Timeouts

REPLY_MAX_BYTES: Final = 8 * 1024 * 1024
CONNECTIONS_MAX: Final = 6
"""Enough for 20 queries a second at 0.3 s each; each one more costs a handshake, and a burst uses all that it may."""

DOWNLOADS_MAX: Final = 4
"""Of these: pictures on a slow line must not hold up the queries."""

KEEPALIVE_S: Final = 30.0
"""Below the idle limit of usual servers: a POST on a connection that they are just closing would be in doubt."""

_HEADERS: Final = {"User-Agent": f"wan-notebook/{__version__}"}


@dataclass(frozen=True)
class Reply:
    """An answer as it arrived; ``cut`` says why it is incomplete, empty if it is whole."""

    http_status: int
    headers: httpx.Headers = field(repr=False)
    data: bytes = field(repr=False)
    cut: str = ""


class InProcess(httpx.AsyncBaseTransport):
    """An ASGI application in this process, in place of a network."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Run the application; whatever it raises is to us a connection that broke."""
        try:
            return await self._inner.handle_async_request(request)
        except httpx.HTTPError:
            raise
        except Exception as error:  # noqa: BLE001 - the border to foreign code: it may raise anything
            name = type(error).__name__
        message = f"the application in this process failed: {name}"
        raise httpx.ReadError(message, request=request)


class _ByClient(httpx.AsyncBaseTransport):
    """A client in the place of its transport."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request as it is."""
        return await self._client.send(request, auth=None, stream=True)


class Network:
    """Sends requests. ``requests_sent`` counts them by kind: submit, poll, cancel, list, download, fetch."""

    def __init__(
        self,
        *,
        base_url: str,
        key: Secret | None,
        timeouts: Timeouts,
        transport: httpx.AsyncBaseTransport | None = None,
        app: Any | None = None,
    ) -> None:
        self._base = httpx.URL(base_url)
        self._key = key
        self._transport = InProcess(app) if app is not None else transport
        self._app_only = app is not None
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._permits = asyncio.Semaphore(CONNECTIONS_MAX)
        self._downloads = asyncio.Semaphore(DOWNLOADS_MAX)
        self._connect_s = timeouts.connect_s
        self.requests_sent: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Network({self._base.host})"

    async def exchange(
        self, kind: str, method: str, url: str, *, headers: Mapping[str, str], content: bytes, deadline_s: float
    ) -> Reply:
        """Send one API request with the key and read the answer as far as it comes.

        Raises ``NotSentError`` or ``ConnectionLostError`` if not even a status line came.
        """
        failure: ConnectionFailedError
        partial = _Partial()
        async with self._permits:
            request = self._request(method, _parsed(url), headers, content)
            self._sign(request)
            transport = self._transport_for(request.url)
            self.requests_sent[kind] += 1
            try:
                async with asyncio.timeout(deadline_s):
                    await partial.receive(transport, request)
                return partial.reply("")
            except TimeoutError:
                failure = timed_out(self._base.host, f"the deadline of {deadline_s:.0f} s passed")
            except Exception as error:  # noqa: BLE001 - whatever broke, it may have arrived, and its frames hold the key
                failure = explain(error, self._base.host)
        if partial.http_status:
            return partial.reply(failure.message)
        raise failure

    @asynccontextmanager
    async def open(
        self, kind: str, url: httpx.URL, *, headers: Mapping[str, str], read_s: float
    ) -> AsyncIterator[httpx.Response]:
        """Open an answer for reading, never with the key. Raises httpx's exceptions."""
        async with self._downloads, self._permits:
            request = self._request("GET", url, headers, b"", read_s=read_s)
            transport = self._transport_for(url)
            self.requests_sent[kind] += 1
            try:
                # Each byte of a head that trickles would begin the time-out for reading anew.
                async with asyncio.timeout(2 * self._connect_s + read_s):
                    response = await transport.handle_async_request(request)
            except TimeoutError:
                raise httpx.ReadTimeout("its head did not come in time", request=request) from None
            try:
                yield response
            finally:
                await response.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    def _request(
        self, method: str, url: httpx.URL | str, headers: Mapping[str, str], content: bytes, read_s: float | None = None
    ) -> httpx.Request:
        # Built without the client, whose merging of headers and parameters costs as much as the rest. Writing has no
        # time-out of its own: httpcore would count the whole body as one write.
        timeout = {"connect": self._connect_s, "read": read_s, "write": None, "pool": None}
        return httpx.Request(
            method, url, headers={**_HEADERS, **headers}, content=content, extensions={"timeout": timeout}
        )

    def _sign(self, request: httpx.Request) -> None:
        """Add the key to a request for the configured origin, at the last moment, and to no other."""
        if self._key and origin(request.url) == origin(self._base):
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"  # a request's repr shows no headers

    def _transport_for(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        """Return what sends: the client knows the proxies, and does nothing else that is wanted here.

        It would follow cookies, redirects and challenges, none of which is ever to happen, and wrap each answer thrice.
        """
        client = self._client_for(url)
        found = getattr(client, "_transport_for_url", None)  # httpx has no public way to ask; a later one may have none
        transport: httpx.AsyncBaseTransport = found(url) if found is not None else _ByClient(client)
        return transport

    def _client_for(self, url: httpx.URL) -> httpx.AsyncClient:
        is_ours = self._transport is not None and not (self._app_only and origin(url) != origin(self._base))
        if is_ours not in self._clients:
            self._clients[is_ours] = _open_client(self._transport if is_ours else None)
        return self._clients[is_ours]


class _Partial:
    """An answer while it arrives: what came before a cut is kept."""

    def __init__(self) -> None:
        self.http_status = 0
        self._headers = httpx.Headers()
        self._data = bytearray()
        self._is_too_long = False

    async def receive(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        response = await transport.handle_async_request(request)
        try:
            self.http_status, self._headers = response.status_code, response.headers
            async for chunk in pieces_of(response):
                self._data += chunk
                if len(self._data) > REPLY_MAX_BYTES:
                    self._is_too_long = True
                    return
        finally:
            await response.aclose()

    def reply(self, cut: str) -> Reply:
        if self._is_too_long:
            cut = f"larger than {REPLY_MAX_BYTES:,} bytes"
        return Reply(self.http_status, self._headers, bytes(self._data), cut)


def pieces_of(response: httpx.Response) -> AsyncIterable[bytes]:
    """Return an answer's bytes as they come, unpacked where the server has packed them."""
    is_plain = response.headers.get("content-encoding", "identity").lower() == "identity"
    if is_plain and isinstance(response.stream, httpx.AsyncByteStream):
        return response.stream
    return response.aiter_bytes()


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """Parse an address of the API once: a task is asked for at the same one again and again."""
    return httpx.URL(url)


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port, the default port as none."""
    return url.scheme, url.host, url.port


def _open_client(transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    # More connections kept than allowed to be open: with httpx's defaults its pool reopens one for every request.
    limits = httpx.Limits(
        max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=KEEPALIVE_S
    )
    try:
        if transport is not None:
            return httpx.AsyncClient(transport=transport, follow_redirects=False)
        tls = httpx.create_ssl_context()
        client = httpx.AsyncClient(verify=tls, limits=limits, follow_redirects=False)
        use_lines(client, most=CONNECTIONS_MAX, keepalive_s=KEEPALIVE_S, ssl_context=tls, network_backend=Sockets())
        return client
    except (ImportError, ValueError, OSError, httpx.InvalidURL):  # its text may hold a proxy's password
        hint = "Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE; SOCKS needs `pip install httpx[socks]`."
        failure = SettingsError("The network settings cannot be used.", hint=hint)
    raise failure
