"""The gateway's API: submit and poll, in every form that its family is known to speak (WAN_API §2)."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .service import Simulator, Task, TaskState
from .validation import ApiError

SUBMIT_PATH = "/model/v1/generation"
TASK_PATH = "/model/v1/generation/task/{task_id}"

_STATUSES = {"SUCCEEDED": "completed", "FAILED": "failed", "CANCELED": "failed"}
_COMPLETED_WORDS = ("success", "done", "SUCCEED", "Finished")
_PENDING_WORDS = ("in_queue", "QUEUED", "submitted", "waiting")


async def submit(request: Request) -> Response:
    """Start a task, in either envelope."""
    simulator: Simulator = request.app.state.simulator
    task = await simulator.submit(request, "gateway")
    is_over = "completed_at_once" in simulator.forms
    return _reply(request, task, task.state(task.submitted_at) if is_over else "PENDING")


async def poll(request: Request) -> Response:
    """Report how a task is doing."""
    simulator: Simulator = request.app.state.simulator
    for task in simulator.tasks_for(request, "gateway"):
        return _reply(request, task, task.state(simulator.now()))
    raise ApiError(404, "NotFound", f"task {request.path_params['task_id']} not found")


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


def _reply(request: Request, task: Task, state: TaskState) -> Response:
    simulator: Simulator = request.app.state.simulator
    forms, asked, status = simulator.forms, task.request, _STATUSES.get(state, "in_progress")
    document: dict[str, Any] = {"id": task.task_id, "model": asked.model, "created_at": int(task.submitted_at)}
    if status == "completed":
        groups = simulator.contents(task, request, "url", jobId=task.task_id)
        if "outputs" not in forms:
            document["output"] = [{"content": content} for content in groups]
        if forms & {"outputs", "both_outputs"}:
            sides = {"width": asked.width_px, "height": asked.height_px}
            document["outputs"] = [{**item, **(sides if "url" in item else {})} for group in groups for item in group]
        cost = simulator.config.price * asked.images_n
        document |= {"usage": {"cost": format(cost, "f") if cost else "0", "discount": 1}, "metadata": {}}
    elif status == "failed":
        document |= _error(task.error.code, task.error.message, forms)
    else:
        passed = (simulator.now() - task.submitted_at) / task.duration_s if task.duration_s else 0.0
        document["progress"] = round(min(0.99, max(0.0, passed)), 2)
    choice = sum(task.task_id.encode()) % 4  # each task keeps its words
    pending = _PENDING_WORDS[choice] if state == "PENDING" else "processing"
    words = {
        "other_words": {"in_progress": pending, "completed": _COMPLETED_WORDS[choice]},
        "unknown_status": {"completed": "ready", "failed": "rejected", "in_progress": "under_review"},
        "completed_with_error": {"failed": "COMPLETED"},
    }
    document["status"] = next(
        (words[form][status] for form in words if form in forms and status in words[form]), status
    )
    if "wrapped" in forms:
        document = {"data": document, "status": {"code": 200, "message": "ok"}}
    return JSONResponse(document)
