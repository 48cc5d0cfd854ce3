"""The ASGI application: the routes of both APIs and of results, request counts, and the date of every reply."""

from email.utils import formatdate

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import dashscope, gateway
from .config import SimulatorConfig
from .errors import ApiError
from .results import RESULT_PATH, serve_result
from .service import Simulator


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
            Route(gateway.SUBMIT_PATH, gateway.submit, methods=["POST"]),
            Route(gateway.TASK_PATH, gateway.poll),
            Route(dashscope.SUBMIT_PATH, dashscope.submit, methods=["POST"]),
            Route(dashscope.TASKS_PATH, dashscope.list_tasks),
            Route(dashscope.TASK_PATH, dashscope.poll),
            Route(dashscope.TASK_PATH + "/cancel", dashscope.cancel, methods=["POST"]),
            Route(RESULT_PATH, serve_result),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_count_and_date)],
        exception_handlers={ApiError: _refuse, HTTPException: _refuse},
    )
    app.state.simulator = Simulator(config or SimulatorConfig())
    return app


def request_kind(method: str, path: str) -> str:
    """Return what a request is for: submit, poll, list, cancel, download or other."""
    path = path.rstrip("/")
    if method == "POST" and path in (gateway.SUBMIT_PATH, dashscope.SUBMIT_PATH):
        return "submit"
    if path == dashscope.TASKS_PATH:
        return "list"
    if path.startswith((dashscope.TASKS_PATH + "/", gateway.SUBMIT_PATH + "/task/")):
        return "cancel" if path.endswith("/cancel") else "poll"
    return "download" if path.startswith("/results/") else "other"


async def _count_and_date(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Count a request, and date the reply by the simulator's clock."""
    simulator: Simulator = request.app.state.simulator
    simulator.requests[request_kind(request.method, request.url.path)] += 1
    response = await call_next(request)
    response.headers["date"] = formatdate(simulator.now(), usegmt=True)  # clients judge by it what has expired
    return response


async def _refuse(request: Request, problem: Exception) -> Response:
    """Return an error in the words of the service that the path belongs to."""
    if isinstance(problem, HTTPException):
        problem = ApiError(problem.status_code, "NotFound", f"{request.method} {request.url.path}: {problem.detail}")
    elif not isinstance(problem, ApiError):
        raise problem
    if request.url.path.startswith("/api/v1/"):
        return dashscope.error_reply(problem)
    return gateway.error_reply(request.app.state.simulator, problem)
