"""DashScope's API: submit, poll, cancel and list (WAN_API §3)."""

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .service import Simulator
from .tasks import Task, TaskState
from .validation import ApiError, invalid, require

SUBMIT_PATH = "/api/v1/services/aigc/image-generation/generation"
TASKS_PATH = "/api/v1/tasks"
TASK_PATH = TASKS_PATH + "/{task_id}"

SERVICE_ZONE = timezone(timedelta(hours=8))
"""The service's times carry no zone; its machines stand in Beijing."""


async def submit(request: Request) -> Response:
    """Start a task."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.admit(request.headers.get("authorization"), "submit")
    if request.headers.get("x-dashscope-async", "").lower() != "enable":
        raise ApiError(403, "AccessDenied", "current user api does not support synchronous calls")
    task = await simulator.submit(await request.body(), "dashscope", account)
    return _reply({"output": {"task_status": TaskState.PENDING, "task_id": task.task_id}})


async def poll(request: Request) -> Response:
    """Report how a task is doing; UNKNOWN for a task that does not exist or is older than 24 hours."""
    for task in _tasks(request):
        return _reply(_document(request, task))
    return _reply({"output": {"task_id": request.path_params["task_id"], "task_status": "UNKNOWN"}})


async def cancel(request: Request) -> Response:
    """Cancel a PENDING task."""
    if not any(request.app.state.simulator.cancel(task) for task in _tasks(request)):
        message = "Failed to cancel the task, please confirm if the task is in PENDING status."
        raise ApiError(400, "UnsupportedOperation", message)
    return _reply({})


async def list_tasks(request: Request) -> Response:
    """List the account's tasks of the last 24 hours, newest first, filtered and in pages."""
    query, now = request.query_params, request.app.state.simulator.now()
    try:
        earliest, latest = _list_time(query.get("start_time", ""), 0.0), _list_time(query.get("end_time", ""), now)
        page_no, page_size = int(query.get("page_no", 1)), int(query.get("page_size", 10))
    except ValueError as problem:
        raise invalid("query", str(problem)) from None
    require(page_no >= 1 and 1 <= page_size <= 100, "query", "page_no must be at least 1, page_size 1 to 100")
    tasks = [
        task
        for task in _tasks(request)
        if earliest <= task.submitted_at < latest + 1  # a whole second is meant
        and query.get("model_name") in (None, "", task.request.model)
        and query.get("status") in (None, "", task.state(now))
    ]
    page = tasks[(page_no - 1) * page_size : page_no * page_size]
    pages = -(-len(tasks) // page_size)
    numbers = {"total": len(tasks), "total_page": pages, "page_no": page_no, "page_size": page_size}
    return _reply({"data": [_row(task, now) for task in page], **numbers})


def error_reply(error: ApiError) -> Response:
    """Return an error as DashScope words it."""
    return _reply({"code": error.code, "message": error.message}, error.status)


def _tasks(request: Request) -> list[Task]:
    """Admit a query, and return the account's tasks: all, or the one that the path names."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.admit(request.headers.get("authorization"), "query")
    return simulator.tasks_of(account, "dashscope", request.path_params.get("task_id"))


def _reply(document: dict[str, Any], status: int = 200) -> Response:
    request_id = str(uuid.uuid4())
    return JSONResponse({**document, "request_id": request_id}, status, {"x-request-id": request_id})


def _document(request: Request, task: Task) -> dict[str, Any]:
    simulator: Simulator = request.app.state.simulator
    state, asked = task.state(simulator.now()), task.request
    output: dict[str, Any] = {"task_id": task.task_id, "task_status": state}
    output |= {name: _service_time(at) for name, at in _times(task, state, "submit_time", "scheduled_time").items()}
    if state in (TaskState.FAILED, TaskState.CANCELED):
        output |= {"code": task.failure_code, "message": ApiError.of(task.failure_code).message}
    if state is not TaskState.SUCCEEDED:
        return {"output": output}
    groups = simulator.contents(task, request, "image")
    choices = [{"finish_reason": "stop", "message": {"role": "assistant", "content": group}} for group in groups]
    withheld = ApiError.of("DataInspectionFailed")
    output["finished"] = True
    if "results" in simulator.forms:
        output["results"] = [{"url": item["image"]} for group in groups for item in group if "image" in item]
        output["results"] += [{"code": withheld.code, "message": withheld.message}] * asked.withheld_n
        total = asked.images_n + asked.withheld_n
        output["task_metrics"] = {"TOTAL": total, "SUCCEEDED": asked.images_n, "FAILED": asked.withheld_n}
    else:
        empty = {"finish_reason": "stop", "message": {"role": "assistant", "content": []}, "code": withheld.code}
        output["choices"] = choices + [empty] * asked.withheld_n
    usage: dict[str, Any] = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
    usage |= {"size": f"{asked.width_px}*{asked.height_px}", "image_count": asked.images_n}
    return {"output": output, "usage": usage}


def _row(task: Task, now: float) -> dict[str, Any]:
    state = task.state(now)
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
    times = {submit_name: task.submitted_at}
    if state is not TaskState.PENDING:
        times[start_name] = task.scheduled_at
    if state not in (TaskState.PENDING, TaskState.RUNNING):
        times["end_time"] = task.ends_at
    return times


def _service_time(at: float) -> str:
    """Return a time as the service writes it: without a zone, to the millisecond."""
    return datetime.fromtimestamp(at, SERVICE_ZONE).isoformat(sep=" ", timespec="milliseconds").partition("+")[0]


def _list_time(text: str, default: float) -> float:
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=SERVICE_ZONE).timestamp() if text else default
