"""The application: routes of both dialects and of result files, counts, dates and faults around them."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from . import dashscope, gateway
from .config import SimulatorConfig
from .core import Simulator
from .errors import NOT_FOUND, ApiError
from .exchange import Exchange
from .mishaps import AWAY_PATH, serve_away, strike
from .replies import dialect_of, error_reply
from .results import RESULT_ROUTE, serve_result
from .signing import RESULTS_PATH

SUBMIT_GATEWAY, POLL_GATEWAY = "/model/v1/generation", "/model/v1/generation/task/"
SUBMIT_DASHSCOPE, TASKS_DASHSCOPE = "/api/v1/services/aigc/image-generation/generation", "/api/v1/tasks"


class SimulatorApp(Starlette):
    """Serve the simulator; it works without lifespan events, in process or on a port."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request, let an armed fault strike it, or serve it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        simulator: Simulator = self.state.simulator
        path = scope["path"].rstrip("/") or "/"  # the services accept both; one of the SDKs sends the slash
        scope = {**scope, "path": path, "raw_path": path.encode()}
        method = scope["method"]
        phase = phase_of(method, path)
        simulator.requests[method, phase] += 1
        send = _dated(send, simulator.now())
        armed = simulator.faults.take(phase)
        if armed is not None:
            await strike(armed, Exchange(super().__call__, scope, receive, send, simulator, phase))
            return
        await super().__call__(scope, receive, send)
        if scope.get("wan.whole_picture"):
            simulator.images_served += 1


def create_app(config: SimulatorConfig | None = None) -> SimulatorApp:
    """Make the ASGI application of a simulator; its `state.simulator` counts what happens."""
    app = SimulatorApp(
        routes=[
            Route("/", _about),
            Route(SUBMIT_GATEWAY, gateway.submit, methods=["POST"]),
            Route(POLL_GATEWAY + "{task_id}", gateway.poll, methods=["GET"]),
            Route(SUBMIT_DASHSCOPE, dashscope.submit, methods=["POST"]),
            Route(TASKS_DASHSCOPE, dashscope.list_tasks, methods=["GET"]),
            Route(TASKS_DASHSCOPE + "/{task_id}", dashscope.poll, methods=["GET"]),
            Route(TASKS_DASHSCOPE + "/{task_id}/cancel", dashscope.cancel, methods=["POST"]),
            Route(RESULT_ROUTE, serve_result, methods=["GET"]),
            Route(AWAY_PATH + "{rest:path}", serve_away, methods=["GET", "POST"]),
        ],
        exception_handlers={ApiError: _refuse, HTTPException: _refuse_http},
    )
    app.state.simulator = Simulator(config or SimulatorConfig())
    return app


_TASK = re.compile(rf"{TASKS_DASHSCOPE}/[^/]+(?P<cancel>/cancel)?")


def phase_of(method: str, path: str) -> str:
    """Name what a request is for: submit, poll, list, cancel, download or other."""
    if path.startswith(POLL_GATEWAY):
        return "poll"
    if path in (SUBMIT_GATEWAY, SUBMIT_DASHSCOPE):
        return "submit" if method == "POST" else "other"
    if path == TASKS_DASHSCOPE:
        return "list"
    if match := _TASK.fullmatch(path):
        return "cancel" if match["cancel"] else "poll"
    return "download" if path.startswith(RESULTS_PATH) else "other"


def _dated(send: Send, now: float) -> Send:
    async def send_with_date(message: Message) -> None:
        if message["type"] == "http.response.start":
            # The clock of the simulator, not of the machine: clients judge expiry by this header.
            date = (b"date", formatdate(now, usegmt=True).encode())
            message = {**message, "headers": [*message["headers"], date]}
        await send(message)

    return send_with_date


async def _about(request: Request) -> Response:
    simulator: Simulator = request.app.state.simulator
    return PlainTextResponse(
        "wan_notebook simulator: every picture is simulated, nothing is billed.\n"
        f"gateway: POST {SUBMIT_GATEWAY}\nDashScope: POST {SUBMIT_DASHSCOPE}\n"
        f"tasks created: {simulator.tasks_created}\n"
    )


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error_reply(dialect_of(request.url.path), error)


async def _refuse_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words: dict[int, Any] = {404: "no such path", 405: "method not allowed"}
    message = f"{request.method} {request.url.path}: {words.get(status, 'refused')}"
    return error_reply(dialect_of(request.url.path), ApiError(status, NOT_FOUND, message))
