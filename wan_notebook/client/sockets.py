"""Sockets for httpcore, straight on asyncio.

httpcore's own go through anyio, which looks up task and library, makes a cancel scope and takes the socket out of the
selector and back for each piece of at most 64 KB: on a fast line that costs more than the transfer. Here an answer's
bytes are handed on as they arrived, in pieces of up to 256 KB.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import select
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, cast

import httpcore

BUFFERED_MAX_BYTES: Final = 1024 * 1024
"""Beyond it the other side is made to wait, until the reader has caught up."""

HAPPY_EYEBALLS_S: Final = 0.25  # RFC 8305: how long one address may take before the next one is tried beside it
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1\d\d ")  # go on: the answer itself is still to come
_CODE: Final = re.compile(r"\[Errno (-?\d+)\]")


class Sockets(httpcore.AsyncNetworkBackend):
    """Opens TCP connections on the running loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore decides the signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; ``timeout`` in seconds. Raises ``httpcore.ConnectTimeout`` or ``httpcore.ConnectError``."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if local_address is None else {"local_addr": (local_address, 0)}
        if isinstance(loop, asyncio.BaseEventLoop):  # a loop of another make (uvloop) does not know it
            options["happy_eyeballs_delay"] = HAPPY_EYEBALLS_S
        try:
            async with asyncio.timeout(timeout):
                transport, line = await loop.create_connection(_Line, host, port, **options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from _cause(error)
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        return Stream(transport, line)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Stream(httpcore.AsyncNetworkStream):
    """One connection, plain or with TLS."""

    def __init__(self, transport: asyncio.Transport, line: _Line, below: asyncio.Transport | None = None) -> None:
        self._transport, self._line = transport, line
        self._below = below or transport  # what TLS goes over

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 - theirs
        """Return the bytes that came, empty at the end; ``timeout`` in seconds.

        They may be more than ``max_bytes``, which means the memory for one call and is ours to choose.
        Raises ``httpcore.ReadTimeout`` or ``httpcore.ReadError``.
        """
        line = self._line
        if not line.pieces and not line.is_over:
            try:
                await line.arrival(timeout)
            except TimeoutError as error:
                raise httpcore.ReadTimeout from error
        if line.pieces:
            return line.take()
        if line.fault is not None:
            raise httpcore.ReadError(str(line.fault)) from line.fault
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        """Send, and wait until the system has taken all of it; ``timeout`` in seconds.

        Raises ``httpcore.WriteTimeout`` or ``httpcore.WriteError``, after which httpcore looks for an answer: one that
        came before all was sent (too large, no such key) is all that will come, and the rest may never be taken.
        """
        if not buffer:
            return
        line = self._line
        if not line.is_lost:
            self._transport.write(buffer)
        if line.is_full:
            try:
                await line.drained(timeout)
            except TimeoutError as error:
                raise httpcore.WriteTimeout from error
        if line.is_lost:
            raise httpcore.WriteError(str(line.fault or "the connection is closed")) from line.fault
        if line.is_full:
            raise httpcore.WriteError("it was answered before all was sent")

    async def aclose(self) -> None:
        """Close at once: what was not sent is not wanted any more."""
        self._transport.close()
        await asyncio.sleep(0)  # TLS says goodbye, if that takes no waiting
        if not self._line.is_lost:
            self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> httpcore.AsyncNetworkStream:
        """Go on with TLS; ``timeout`` in seconds. Raises ``httpcore.ConnectTimeout`` or ``httpcore.ConnectError``."""
        line = _Line()
        try:
            async with asyncio.timeout(timeout):
                transport = await asyncio.get_running_loop().start_tls(
                    self._transport, line, ssl_context, server_hostname=server_hostname
                )
        except BaseException as error:
            self._transport.abort()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout from error
            if isinstance(error, OSError):  # TLS's own are among them
                raise httpcore.ConnectError(str(error)) from error
            raise
        if transport is None:
            raise httpcore.ConnectError("it was closed meanwhile")
        line.connection_made(transport)
        return Stream(transport, line, self._below)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for by name."""
        names = {"ssl_object": "ssl_object", "socket": "socket", "client_addr": "sockname", "server_addr": "peername"}
        if info == "is_readable":
            return self._is_readable()
        return self._transport.get_extra_info(names[info]) if info in names else None

    def _is_readable(self) -> bool:
        """Whether anything came, which between two requests means that the other side has closed.

        As good as closed is a line on which a request still waits, of which an early answer wanted no more.
        """
        line = self._line
        if line.pieces or line.is_over or self._below.is_closing() or self._below.get_write_buffer_size():
            return True
        descriptor = self._transport.get_extra_info("socket").fileno()
        if hasattr(select, "poll"):
            look = select.poll()
            look.register(descriptor, select.POLLIN)
            return bool(look.poll(0))
        return bool(select.select([descriptor], [], [], 0)[0])


class _Line(asyncio.Protocol):
    """What arrived on a connection and was not read yet, and how the connection stands."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.fault: Exception | None = None
        self.is_over = False
        self.is_lost = False
        self.is_full = False
        self._waiting_bytes = 0
        self._is_held = False
        self._transport: asyncio.Transport | None = None
        self._reader: asyncio.Future[bool] | None = None
        self._writer: asyncio.Future[bool] | None = None

    def take(self) -> bytes:
        """Return the oldest piece."""
        piece = self.pieces.popleft()
        self._waiting_bytes -= len(piece)
        if self._is_held and self._transport is not None and self._waiting_bytes < BUFFERED_MAX_BYTES // 2:
            self._is_held = False
            self._transport.resume_reading()
        return piece

    async def arrival(self, timeout_s: float | None) -> None:
        """Wait for bytes or for the end. Raises ``TimeoutError``."""
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await _woken(self._reader, timeout_s)
        finally:
            self._reader = None

    async def drained(self, timeout_s: float | None) -> None:
        """Wait until all is sent, or will not be: it is answered already, or lost. Raises ``TimeoutError``."""
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await _woken(self._writer, timeout_s)
        finally:
            self._writer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # one of another make need not be a subclass
        # Sent means that the system has it. Not 0: over TLS asyncio then takes nothing at all for too much that is
        # waiting, and says that it is gone only when something else happens on the line.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self.pieces.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > BUFFERED_MAX_BYTES and not self._is_held and self._transport is not None:
            self._is_held = True
            self._transport.pause_reading()
        _wake(self._reader)
        if not _INTERIM.match(data):
            _wake(self._writer)

    def eof_received(self) -> bool:
        """Note the end; what we have to say may still be said."""
        self.is_over = True
        _wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and why."""
        self.is_over = self.is_lost = True
        self.fault = exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """Note that the system takes no more for now."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Note that all is sent."""
        self.is_full = False
        _wake(self._writer)


async def _woken(waiter: asyncio.Future[bool], timeout_s: float | None) -> None:
    """Wait until somebody wakes a waiter; a time-out of asyncio's own would cost more than the rest of a read."""
    if timeout_s is None:
        await waiter
        return
    alarm = asyncio.get_running_loop().call_later(timeout_s, _give_up, waiter)
    try:
        if not await waiter:
            raise TimeoutError
    finally:
        alarm.cancel()


def _wake(waiter: asyncio.Future[bool] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(True)


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


def _cause(error: OSError) -> OSError:
    """Return what is behind it: of several addresses that failed asyncio gives the texts alone."""
    refused = {str(errno.ECONNREFUSED)}
    if error.errno is None and set(_CODE.findall(str(error))) == refused:
        return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return error
