"""The gateway's API: submit and poll, in every form that its family is known to speak (WAN_API §2)."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .service import Simulator
from .tasks import Task, TaskState
from .validation import ApiError

SUBMIT_PATH = "/model/v1/generation"
TASK_PATH = "/model/v1/generation/task/{task_id}"

_COMPLETED_WORDS = ("success", "done", "SUCCEED", "Finished")
_PENDING_WORDS = ("in_queue", "QUEUED", "submitted", "waiting")


async def submit(request: Request) -> Response:
    """Start a task, in either envelope."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.admit(request.headers.get("authorization"), "submit")
    task = await simulator.submit(await request.body(), "gateway", account)
    return _reply(request, task, is_short="completed_at_once" not in simulator.forms)


async def poll(request: Request) -> Response:
    """Report how a task is doing."""
    simulator: Simulator = request.app.state.simulator
    account, task_id = simulator.admit(request.headers.get("authorization"), "query"), request.path_params["task_id"]
    for task in simulator.tasks_of(account, "gateway", task_id):
        return _reply(request, task)
    raise ApiError(404, "NotFound", f"task {task_id} not found")


def error_reply(simulator: Simulator, error: ApiError) -> Response:
    """Return an error as the gateway words it."""
    forms, status = simulator.forms, 403 if error.code == "Arrearage" else error.status
    code = re.sub(r"\.|(?<=[a-z])(?=[A-Z])", "_", error.code).lower()  # `invalid_parameter` for `InvalidParameter`
    document = _error(code, error.message, forms)
    if "error_message" in forms:
        document = {"message": error.message}
    if "wrapped" in forms:
        document = {"data": None, "status": {"code": status, "message": error.message}}
    return JSONResponse(document, 200 if "errors_200" in forms else status)


def _error(code: str, message: str, forms: frozenset[str]) -> dict[str, Any]:
    cause = {"code": code, "message": message}
    if "error_text" in forms:
        return {"error": message}
    if "error_number" in forms:
        return {"error": {"code": 1301, "error_message": message}}
    if "provider_error" in forms:
        return {"error": "Generation failed", "error_type": "provider_error", "provider_error": cause}
    return {"error": cause}


def _reply(request: Request, task: Task, *, is_short: bool = False) -> Response:
    """Report a task; the reply to a submit is short, without progress or pictures."""
    simulator: Simulator = request.app.state.simulator
    forms, now, asked = simulator.forms, simulator.now(), task.request
    state, status = task.state(now), "in_progress"
    words: dict[str, str] = {}
    document: dict[str, Any] = {"id": task.task_id, "model": asked.model, "created_at": int(task.submitted_at)}
    if not is_short and state is TaskState.SUCCEEDED:
        status = "completed"
        groups = simulator.contents(task, request, "url", jobId=task.task_id)
        items = [item for group in groups for item in group]
        sides = {"width": asked.width_px, "height": asked.height_px}
        if "outputs" not in forms:
            document["output"] = [{"content": content} for content in groups]
        if forms & {"outputs", "both_outputs"}:
            document["outputs"] = [{**item, **sides} if "url" in item else item for item in items]
        cost = simulator.config.price * asked.images_n
        document |= {"usage": {"cost": format(cost, "f") if cost else "0", "discount": 1}, "metadata": {}}
    elif not is_short and state in (TaskState.FAILED, TaskState.CANCELED):
        status = "failed"
        document |= _error(task.failure_code, ApiError.of(task.failure_code).message, forms)
    elif not is_short:
        document["progress"] = round(min(0.99, max(0.0, (now - task.submitted_at) / task.duration_s)), 2)
    if "other_words" in forms:
        choice = sum(task.task_id.encode()) % 4  # each task keeps its words
        running = _PENDING_WORDS[choice] if state is TaskState.PENDING else "processing"
        words = {"in_progress": running, "completed": _COMPLETED_WORDS[choice]}
    if "unknown_status" in forms:
        words = {"completed": "ready", "failed": "rejected", "in_progress": "under_review"}
    if "completed_with_error" in forms:
        words = {**words, "failed": "COMPLETED"}
    document["status"] = words.get(status, status)
    if "wrapped" in forms:
        document = {"data": document, "status": {"code": 200, "message": "ok"}}
    return JSONResponse(document)
