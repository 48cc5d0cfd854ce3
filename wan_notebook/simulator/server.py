"""The simulator on a port of this machine, served by uvicorn."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"


@contextmanager
def serve_in_thread(app: ASGIApp, *, http: Any = "h11") -> Iterator[str]:
    """Serve an application on a free port from a thread; yield its base URL, and stop at the end.

    Parameters
    ----------
    app
        Any ASGI application.
    http
        uvicorn's name or class of the HTTP protocol.

    Raises
    ------
    ImportError
        uvicorn is not installed.
    """
    server = make_server(app, http=http)
    listener = bind(0)
    # Connections wait in the listener's queue until the server has started.
    thread = threading.Thread(target=server.run, args=([listener],), name="wan-simulator", daemon=True)
    thread.start()
    try:
        yield base_url(listener)
    finally:
        server.should_exit = server.force_exit = True  # stalled replies must not hold up the end
        thread.join(10.0)
        listener.close()


def make_server(app: ASGIApp, *, http: Any = "h11") -> "uvicorn.Server":
    """Return a uvicorn server that neither logs nor adds headers of its own."""
    try:
        import uvicorn
    except ImportError as problem:
        message = 'serving the simulator on a port needs uvicorn: pip install "wan-notebook[simulator]"'
        raise ImportError(message) from problem
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=http,
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,  # as web servers do; less would cut the connections of clients that poll slowly
        )
    )


def bind(port: int) -> socket.socket:
    """Return a listening socket of this machine; 0 takes any free port."""
    listener = socket.create_server((HOST, port), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it; Nagle delays a reply 40 ms
    return listener


def base_url(listener: socket.socket) -> str:
    """Return the base URL of a listening socket."""
    return f"http://{HOST}:{listener.getsockname()[1]}"
