"""The simulator on a port: uvicorn, with connections that a fault can cut, started in well under a second."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .app import SimulatorApp
from .transports import Transports

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as problem:
    raise ImportError(
        'serving the simulator on a port needs uvicorn: pip install "wan-notebook[simulator]"'
    ) from problem

HOST = "127.0.0.1"
KEEP_ALIVE_S = 75  # as web servers do; a short time would cut the connections of clients that poll slowly
START_TIMEOUT_S = 10.0


class PortServer(uvicorn.Server):
    """Serve one application; say when it is ready, and stop without waiting for stalled answers."""

    def __init__(self, app: SimulatorApp) -> None:
        self.transports: Transports = app.state.simulator.transports
        self.ready = threading.Event()
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(self.transports),
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut what is still open, then stop."""
        self.transports.reset_all()
        await asyncio.sleep(0)
        await super().shutdown(sockets)


def bind(host: str = HOST, port: int = 0) -> socket.socket:
    """Bind a listening socket; port 0 takes any free one. Raise OSError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay (40 ms an answer) off only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


def base_url(listener: socket.socket) -> str:
    """Write the base URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serve_in_thread(app: SimulatorApp, *, port: int = 0) -> Iterator[str]:
    """Serve an application on a local port from a thread of its own; yield the base URL, stop at the end."""
    listener = bind(port=port)
    url = base_url(listener)
    server = PortServer(app)
    thread = threading.Thread(target=server.run, args=([listener],), name="wan-simulator", daemon=True)
    thread.start()
    try:
        if not server.ready.wait(START_TIMEOUT_S):
            raise RuntimeError(f"the simulator did not start on {url} within {START_TIMEOUT_S:g} s")
        yield url
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
        listener.close()


def _protocol(transports: Transports) -> type[H11Protocol]:
    class FaultyProtocol(H11Protocol):
        """Speak HTTP as uvicorn does, and let the connection be found by the address of its peer."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            if isinstance(transport, asyncio.Transport):
                transports.add(transport)
                super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            transports.remove(self.transport)
            super().connection_lost(exc)

    return FaultyProtocol
