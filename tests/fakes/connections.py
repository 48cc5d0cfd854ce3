"""Connections that fail before anything is sent: refused, no such host, a bad certificate, no connection in time."""

import errno
import math
import socket
import ssl
from collections import Counter
from collections.abc import Callable

import httpx

from wan_notebook.simulator import request_kind


def _bad_certificate() -> Exception:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


CAUSES: dict[str, Callable[[], Exception]] = {
    "connect_refused": lambda: ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    "dns": lambda: socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "tls": _bad_certificate,
    "connect_timeout": lambda: TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
}


class BrokenConnections:
    """Failures to come, named as in `tests.fakes.faults`: `submit.dns:4`, `poll.tls:always`; `struck` counts them."""

    def __init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self._left: Counter[str] = Counter()

    @staticmethod
    def knows(fault: str) -> bool:
        """Whether a fault is one of a connection."""
        return fault.partition(":")[0].partition(".")[2] in CAUSES

    def add(self, fault: str) -> None:
        """Let requests of a phase fail."""
        name, _, count = fault.partition(":")
        self._left[name] = math.inf if count == "always" else int(count or 1)  # type: ignore[assignment]

    def clear(self) -> None:
        """Let everything be reached again."""
        self._left.clear()

    def transport(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """Return a transport that fails, or hands over."""
        return _BrokenTransport(self, inner)

    def strike(self, request: httpx.Request) -> None:
        """Raise what httpx raises if a failure waits for this kind of request."""
        phase = request_kind(request.method, request.url.path)
        for name, left in self._left.items():
            if left > 0 and name.startswith(f"{phase}."):
                self._left[name] -= 1
                self.struck[name] += 1
                kind = name.partition(".")[2]
                raised = httpx.ConnectTimeout if kind == "connect_timeout" else httpx.ConnectError
                raise raised(kind, request=request) from CAUSES[kind]()


class _BrokenTransport(httpx.AsyncBaseTransport):
    def __init__(self, connections: BrokenConnections, inner: httpx.AsyncBaseTransport) -> None:
        self._connections = connections
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._connections.strike(request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
