"""Lines that break before anything is sent, and disks that take nothing."""

from __future__ import annotations

import errno
import socket
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from wan_notebook.simulator.app import phase_of
from wan_notebook.store import Files


def _refused() -> Exception:
    return ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def _unknown_host() -> Exception:
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _bad_certificate() -> Exception:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


CAUSES = {"refused": _refused, "dns": _unknown_host, "tls": _bad_certificate, "connect_timeout": None}


class BrokenLine(httpx.AsyncBaseTransport):
    """Lets a service be reached, except for so many requests of a phase: those fail before anything is sent."""

    def __init__(self, app: Any, plan: Counter[tuple[str, str]]) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self.plan = plan

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Break, or hand over."""
        phase = phase_of(request.method, request.url.path)
        for (struck, kind), left in self.plan.items():
            if struck == phase and left > 0:
                self.plan[struck, kind] -= 1
                cause = CAUSES[kind]
                if cause is None:
                    raise httpx.ConnectTimeout("no connection in time", request=request)
                raise httpx.ConnectError(kind, request=request) from cause()
        return await self._inner.handle_async_request(request)


class FullDisk(Files):
    """A disk that can be full or read-only for a while."""

    def __init__(self) -> None:
        self.errno = 0
        self.refused = 0

    def _check(self) -> None:
        if self.errno:
            self.refused += 1
            raise OSError(self.errno, "No space left on device" if self.errno == errno.ENOSPC else "Read-only")

    def write_new(self, path: Path, *pieces: bytes | memoryview) -> None:
        """Create a file, unless the disk is full."""
        self._check()
        super().write_new(path, *pieces)

    def publish(self, temporary: Path, final: Path) -> None:
        """Name a file, unless the disk is full."""
        self._check()
        super().publish(temporary, final)

    def make_folder(self, path: Path) -> bool:
        """Make a folder, unless the disk is full."""
        if not path.is_dir():
            self._check()
        return super().make_folder(path)

    def free_bytes(self, path: Path) -> int:
        """Tell how much is free."""
        return 0 if self.errno == errno.ENOSPC else super().free_bytes(path)
