"""Connections as httpcore makes them, handed out without its pool.

The pool looks at every connection before and after each request, by a call to the system, and searches the disk for a
package that it would rather use: more CPU than the request itself. Whoever uses ``Lines`` holds back requests beyond
``max_connections`` by a semaphore of their own, so a line is always free, and the one used last is the one to take.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from typing import Any

import httpcore
import httpx


class Lines(httpcore.AsyncConnectionPool):
    """At most ``max_connections`` HTTP/1.1 connections, each reused until it was idle for ``keepalive_expiry``."""

    def __init__(self, *, most: int, keepalive_s: float, **options: Any) -> None:
        super().__init__(max_connections=most, keepalive_expiry=keepalive_s, **options)
        self._most, self._keepalive_s = most, keepalive_s
        self._all: set[httpcore.AsyncConnectionInterface] = set()
        self._idle: list[tuple[float, httpcore.Origin, httpcore.AsyncConnectionInterface]] = []  # longest first

    @property
    def connections(self) -> list[httpcore.AsyncConnectionInterface]:
        """The connections that are open."""
        return list(self._all)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request over a free line. Raises what httpcore raises."""
        while True:
            line = await self._take(request.url.origin)
            try:
                response = await line.handle_async_request(request)
            except httpcore.ConnectionNotAvailable:  # it was closed meanwhile, before anything was sent
                await self._drop(line)
                continue
            except BaseException:
                await self._drop(line)
                raise
            body = _Body(response.stream, self, request.url.origin, line)
            return httpcore.Response(
                response.status, headers=response.headers, content=body, extensions=response.extensions
            )

    async def give_back(self, origin: httpcore.Origin, line: httpcore.AsyncConnectionInterface) -> None:
        """Take back a line whose answer was read, or given up."""
        now = time.monotonic()
        if line.is_idle() and line in self._all and not _has_more(line):
            _unlock(getattr(line, "_connection", None), "_state_lock")
            self._idle.append((now, origin, line))
        else:
            await self._drop(line)
        while self._idle and self._idle[0][0] < now - self._keepalive_s:
            await self._drop(self._idle.pop(0)[2])

    async def aclose(self) -> None:
        """Close every line."""
        lines, self._all, self._idle = list(self._all), set(), []
        for line in lines:
            await line.aclose()

    async def _take(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        for at in range(len(self._idle) - 1, -1, -1):
            if self._idle[at][1] == origin:
                line = self._idle.pop(at)[2]
                if not line.has_expired():
                    return line
                await self._drop(line)
                return await self._take(origin)
        while self._idle and len(self._all) >= self._most:  # those of another host make room
            await self._drop(self._idle.pop(0)[2])
        line = self.create_connection(origin)
        _unlock(line, "_request_lock")
        self._all.add(line)
        return line

    async def _drop(self, line: httpcore.AsyncConnectionInterface) -> None:
        self._all.discard(line)
        with suppress(Exception):  # it is of no use any more, whatever closing it says
            await line.aclose()


def _has_more(line: httpcore.AsyncConnectionInterface) -> bool:
    """Whether more came than the answer: the next request would be given that in place of its own answer."""
    state = getattr(getattr(line, "_connection", None), "_h11_state", None)  # httpcore itself never looks
    return state is not None and bool(state.trailing_data[0])


class _NoLock:
    """In the place of httpcore's locks: each time they are taken they let the loop go round once, if only to see."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


_NO_LOCK = _NoLock()


def _unlock(owner: Any, name: str) -> None:
    """Take the lock away from what only one request uses at a time; a later httpcore may have another one."""
    if hasattr(owner, name):
        setattr(owner, name, _NO_LOCK)


class _Body:
    """An answer's bytes; closing it gives the line back."""

    def __init__(
        self,
        stream: Any,
        lines: Lines,
        origin: httpcore.Origin,
        line: httpcore.AsyncConnectionInterface,
    ) -> None:
        self._stream, self._lines, self._origin, self._line = stream, lines, origin, line
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        stream: AsyncIterable[bytes] = self._stream
        return aiter(stream)

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._stream.aclose()
        finally:
            await self._lines.give_back(self._origin, self._line)


def use_lines(client: httpx.AsyncClient, **options: Any) -> None:
    """Let a client send over ``Lines`` where no proxy stands between; a later httpx may keep its own pool."""
    transport: Any = client._transport  # noqa: SLF001 - httpx has no public way to give a transport and keep its proxies
    if isinstance(transport, httpx.AsyncHTTPTransport) and hasattr(transport, "_pool"):
        transport._pool = Lines(**options)  # noqa: SLF001
