"""The gateway's API: submit and poll (WAN_API §2)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .errors import ApiError, gateway_code, message_of
from .reply_forms import reword_error, reword_task
from .results import contents
from .service import Simulator
from .tasks import Task, TaskState

SUBMIT_PATH = "/model/v1/generation"
TASK_PATH = "/model/v1/generation/task/{task_id}"


async def submit(request: Request) -> Response:
    """Start a task, in either envelope."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.account(request.headers.get("authorization"))
    task = await simulator.submit(await request.body(), "gateway", account)
    is_complete = "completed_at_once" in simulator.config.reply_forms
    return _reply(request, task, _task(request, task) if is_complete else _head(task, "in_progress"))


async def poll(request: Request) -> Response:
    """Report how a task is doing."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.account(request.headers.get("authorization"))
    simulator.admit(account, "query")
    task_id = request.path_params["task_id"]
    for task in simulator.tasks_of(account, "gateway", task_id):
        return _reply(request, task, _task(request, task))
    raise ApiError(404, "NotFound", f"task {task_id} not found")


def error_reply(simulator: Simulator, error: ApiError) -> Response:
    """Return an error as the gateway words it."""
    forms = simulator.config.reply_forms
    status = 403 if error.code == "Arrearage" else error.status
    document = reword_error({"error": {"code": gateway_code(error.code), "message": error.message}}, forms)
    if "wrapped" in forms:
        document = {"data": None, "status": {"code": status, "message": error.message}}
    return JSONResponse(document, 200 if "errors_200" in forms else status)


def _reply(request: Request, task: Task, document: dict[str, Any]) -> Response:
    simulator: Simulator = request.app.state.simulator
    forms = simulator.config.reply_forms
    is_pending = task.state(simulator.now()) is TaskState.PENDING
    size = (task.request.width_px, task.request.height_px)
    document = reword_task(document, forms, is_pending=is_pending, size=size)
    if "wrapped" in forms:
        document = {"data": document, "status": {"code": 200, "message": "ok"}}
    return JSONResponse(document)


def _head(task: Task, status: str) -> dict[str, Any]:
    created_at = int(task.submitted_at)
    return {"id": task.task_id, "status": status, "model": task.request.model, "created_at": created_at}


def _task(request: Request, task: Task) -> dict[str, Any]:
    simulator: Simulator = request.app.state.simulator
    state = task.state(simulator.now())
    if state in (TaskState.PENDING, TaskState.RUNNING):
        progress = min(0.99, max(0.0, (simulator.now() - task.submitted_at) / task.duration_s))
        return {**_head(task, "in_progress"), "progress": round(progress, 2)}
    if state is not TaskState.SUCCEEDED:
        error = {"code": task.failure_code, "message": message_of(task.failure_code)}
        return {**_head(task, "failed"), "error": error}
    output = [{"content": content} for content in contents(request, task, "url", jobId=task.task_id)]
    cost = simulator.config.price * task.request.images_n
    usage = {"cost": format(cost, "f") if cost else "0", "discount": 1}
    return {**_head(task, "completed"), "output": output, "usage": usage, "metadata": {}}
