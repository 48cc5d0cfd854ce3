"""DashScope's API: submit, poll, cancel and list (WAN_API §3)."""

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .service import Simulator, Task, TaskState
from .validation import ApiError, require

SUBMIT_PATH = "/api/v1/services/aigc/image-generation/generation"
TASKS_PATH = "/api/v1/tasks"
TASK_PATH = TASKS_PATH + "/{task_id}"

SERVICE_ZONE = timezone(timedelta(hours=8))
"""The service's times carry no zone; its machines stand in Beijing."""


async def submit(request: Request) -> Response:
    """Start a task."""
    if request.headers.get("x-dashscope-async", "").lower() != "enable":
        raise ApiError(403, "AccessDenied", "current user api does not support synchronous calls")
    task = await request.app.state.simulator.submit(request, "dashscope")
    return _reply({"output": {"task_status": "PENDING", "task_id": task.task_id}})


async def poll(request: Request) -> Response:
    """Report how a task is doing; UNKNOWN for a task that does not exist or is older than 24 hours."""
    for task in request.app.state.simulator.tasks_for(request, "dashscope"):
        return _reply(_document(request, task))
    return _reply({"output": {"task_id": request.path_params["task_id"], "task_status": "UNKNOWN"}})


async def cancel(request: Request) -> Response:
    """Cancel a PENDING task."""
    simulator: Simulator = request.app.state.simulator
    if not any(simulator.cancel(task) for task in simulator.tasks_for(request, "dashscope")):
        message = "Failed to cancel the task, please confirm if the task is in PENDING status."
        raise ApiError(400, "UnsupportedOperation", message)
    return _reply({})


async def list_tasks(request: Request) -> Response:
    """List the account's tasks of the last 24 hours, newest first, filtered and in pages."""
    simulator, query = request.app.state.simulator, request.query_params
    now = simulator.now()
    try:
        earliest, latest = _list_time(query.get("start_time", ""), 0.0), _list_time(query.get("end_time", ""), now)
        number, size = int(query.get("page_no", 1)), int(query.get("page_size", 10))
    except ValueError as problem:
        raise ApiError(400, "InvalidParameter", f"query: {problem}") from None
    require(number >= 1 and 1 <= size <= 100, "query", "page_no must be at least 1, page_size 1 to 100")
    rows = [
        _row(task, task.state(now))
        for task in reversed(simulator.tasks_for(request, "dashscope"))
        if earliest <= task.submitted_at < latest + 1  # a whole second is meant
        and query.get("model_name") in (None, "", task.request.model)
        and query.get("status") in (None, "", task.state(now))
    ]
    page = {"total": len(rows), "total_page": -(-len(rows) // size), "page_no": number, "page_size": size}
    return _reply({"data": rows[(number - 1) * size : number * size], **page})


def error_reply(_simulator: Simulator, error: ApiError) -> Response:
    """Return an error as DashScope words it."""
    return _reply({"code": error.code, "message": error.message}, error.status)


def _reply(document: dict[str, Any], status: int = 200) -> Response:
    request_id = str(uuid.uuid4())
    return JSONResponse({**document, "request_id": request_id}, status, {"x-request-id": request_id})


def _document(request: Request, task: Task) -> dict[str, Any]:
    simulator: Simulator = request.app.state.simulator
    state, asked = task.state(simulator.now()), task.request
    output: dict[str, Any] = {"task_id": task.task_id, "task_status": state}
    for name, at in _times(task, state, "submit_time", "scheduled_time").items():
        text = datetime.fromtimestamp(at, SERVICE_ZONE).isoformat(sep=" ", timespec="milliseconds")
        output[name] = text.partition("+")[0]  # without a zone
    if state in ("FAILED", "CANCELED"):
        output |= {"code": task.error.code, "message": task.error.message}
    if state != "SUCCEEDED":
        return {"output": output}
    output["finished"] = True
    groups, withheld = simulator.contents(task, request, "image"), ApiError.of("DataInspectionFailed")
    if "results" in simulator.forms:
        made = [{"url": item["image"]} for group in groups for item in group if "image" in item]
        output["results"] = made + [{"code": withheld.code, "message": withheld.message}] * asked.withheld_n
        numbers = {"SUCCEEDED": asked.images_n, "FAILED": asked.withheld_n}
        output["task_metrics"] = {"TOTAL": sum(numbers.values()), **numbers}
    else:
        output["choices"] = [_choice(group) for group in groups]
        output["choices"] += [{**_choice([]), "code": withheld.code}] * asked.withheld_n
    usage = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
    size = f"{asked.width_px}*{asked.height_px}"
    return {"output": output, "usage": {**usage, "size": size, "image_count": asked.images_n}}


def _choice(content: list[dict[str, str]]) -> dict[str, Any]:
    return {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}


def _row(task: Task, state: TaskState) -> dict[str, Any]:
    return {
        "api_key_id": task.account[:8],
        "model_name": task.request.model,
        "region": "cn-beijing",
        "request_id": str(uuid.uuid4()),
        "status": state,
        "task_id": task.task_id,
        **{name: int(at * 1000) for name, at in _times(task, state, "gmt_create", "start_time").items()},
    }


def _times(task: Task, state: TaskState, submit_name: str, start_name: str) -> dict[str, float]:
    """Return the times that a task in this state has, in Unix seconds."""
    times = {submit_name: task.submitted_at, start_name: task.scheduled_at, "end_time": task.ends_at}
    known = {"PENDING": 1, "RUNNING": 2}.get(state, 3)
    return dict(list(times.items())[:known])


def _list_time(text: str, default: float) -> float:
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=SERVICE_ZONE).timestamp() if text else default
