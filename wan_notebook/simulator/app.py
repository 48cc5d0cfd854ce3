"""The ASGI application: routes of both APIs, result files as object storage serves them, counts, and a server."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from . import dialects
from .painting import paint
from .service import Simulator, SimulatorConfig
from .validation import ApiError


def create_app(config: SimulatorConfig | None = None) -> Starlette:
    """Return the application of a new simulator, which `app.state.simulator` names.

    Raises
    ------
    OSError, sqlite3.Error
        The state file cannot be used.

    Examples
    --------
    >>> app = create_app(SimulatorConfig(seconds=0))
    >>> app.state.simulator.tasks_created
    0
    """
    app = Starlette(
        routes=[
            Route("/model/v1/generation", dialects.submit_to_gateway, methods=["POST"]),
            Route("/model/v1/generation/task/{task_id}", dialects.poll_gateway),
            Route("/api/v1/services/aigc/image-generation/generation", dialects.submit_to_dashscope, methods=["POST"]),
            Route("/api/v1/tasks", dialects.list_tasks),
            Route("/api/v1/tasks/{task_id}", dialects.poll_dashscope),
            Route("/api/v1/tasks/{task_id}/cancel", dialects.cancel, methods=["POST"]),
            Route("/results/{task_id}/{index:int}.png", _serve_result),
        ],
        exception_handlers={HTTPException: _refuse},
    )
    app.state.simulator = Simulator(config or SimulatorConfig())
    return app


async def _refuse(request: Request, problem: Any) -> Response:
    """Return an error in the words of the service that the path belongs to."""
    error = problem if isinstance(problem, ApiError) else ApiError(problem.status_code, "NotFound", problem.detail)
    if request.url.path.startswith("/results/"):
        xml = f"<Error><Code>{error.code}</Code><Message>{error.detail}</Message></Error>"
        return Response(xml, error.status_code, media_type="application/xml")
    is_dashscope = request.url.path.startswith("/api/v1/")
    return (dialects.dashscope_error if is_dashscope else dialects.gateway_error)(request.app.state.simulator, error)


async def _serve_result(request: Request) -> Response:
    """Serve one picture, whole or in part, for 24 hours and without a key; note where one was sent along."""
    simulator: Simulator = request.app.state.simulator
    simulator.requests["download"] += 1
    if "authorization" in request.headers:
        simulator.keys_leaked.append(request.url.path)
    task_id, index = request.path_params["task_id"], request.path_params["index"]
    task = next((t for t in simulator.stored(task_id) if t.state(simulator.now()) == "SUCCEEDED"), None)
    if task is None or index >= task.request.images_n:
        raise ApiError(404, "NoSuchKey", "The specified key does not exist.")
    if request.query_params.get("Expires") != task.expires or simulator.now() > int(task.expires):
        raise ApiError(403, "AccessDenied", "Request has expired.")
    fixed = simulator.config.fixed_picture
    content = await asyncio.to_thread(paint, task.request, index) if fixed is None else fixed
    etag = f'"{task_id}-{index}"'
    headers = {"etag": etag, "last-modified": formatdate(task.ends_at, usegmt=True), "accept-ranges": "bytes"}
    asked = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.headers.get("range", ""))  # one of RFC 9110 §14
    first, end = 0, len(content)
    if asked and request.headers.get("if-range", etag) == etag:
        first, end = int(asked[1]), min(int(asked[2] or end) + 1, end)
        headers["content-range"] = f"bytes {first}-{end - 1}/{len(content)}"
    if first >= max(end, 1):
        raise ApiError(416, "InvalidRange", "The requested range cannot be satisfied.")
    simulator.images_served += end == len(content)
    return Response(content[first:end], 206 if "content-range" in headers else 200, headers, media_type="image/png")


# On a port of this machine -------------------------------------------------------------------------------------------


@contextmanager
def serve_in_thread(app: ASGIApp, *, port: int = 0, http: Any = "h11") -> Iterator[str]:
    """Serve an application on a port of this machine from a thread; yield its base URL, and stop at the end.

    Parameters
    ----------
    app
        Any ASGI application.
    port
        The port; 0: any free one.
    http
        uvicorn's name or class of the HTTP protocol.

    Raises
    ------
    ImportError
        uvicorn is not installed.
    OSError
        The port cannot be used.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        server_header=False,
        timeout_keep_alive=75,  # as web servers do; less would cut the connections of clients that poll slowly
    )
    with socket.create_server(("127.0.0.1", port), backlog=2048) as listener:
        server = uvicorn.Server(config)
        # Connections wait in the listener's queue until the server has started.
        thread = threading.Thread(target=server.run, args=([listener],), name="wan-simulator", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True  # stalled replies must not hold up the end
            thread.join(10.0)
