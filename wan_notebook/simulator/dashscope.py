"""DashScope's dialect: submit, poll, cancel and list (WAN_API §3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .core import Simulator
from .errors import ACCESS_DENIED, UNSUPPORTED, ApiError, invalid
from .replies import json_reply, new_request_id
from .results import result_url, text_for
from .tasks import Task, TaskState
from .validate import DASHSCOPE, parse_json
from .verdicts import failure_of

# The service's times carry no zone; its machines stand in Beijing.
SERVICE_ZONE = timezone(timedelta(hours=8))
MOST_PAGE_SIZE = 100
API_UNIQUE_KEY = "apikey:v1:aigc:image-generation:generation:"


async def submit(request: Request) -> Response:
    """Start a task."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.authorize(request.headers.get("authorization"))
    if request.headers.get("x-dashscope-async", "").lower() != "enable":
        raise ApiError(403, ACCESS_DENIED, "current user api does not support synchronous calls")
    task = await simulator.submit(await request.body(), parse_json, DASHSCOPE, "dashscope", account)
    request_id = new_request_id()
    output = {"task_status": TaskState.PENDING, "task_id": task.task_id}
    return json_reply({"output": output, "request_id": request_id}, headers={"x-request-id": request_id})


async def poll(request: Request) -> Response:
    """Tell how a task is doing; UNKNOWN for one that is not there, or not there any more."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.authorize(request.headers.get("authorization"))
    simulator.admit_query(account)
    task_id = request.path_params["task_id"]
    task = simulator.find(task_id, account, "dashscope")
    if task is None:
        return _reply({"output": {"task_id": task_id, "task_status": "UNKNOWN"}})
    return _reply(_status(simulator, task, request))


async def cancel(request: Request) -> Response:
    """Cancel a PENDING task."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.authorize(request.headers.get("authorization"))
    simulator.admit_query(account)
    task = simulator.find(request.path_params["task_id"], account, "dashscope")
    if task is None or not simulator.cancel(task):
        raise ApiError(
            400,
            UNSUPPORTED,
            "Failed to cancel the task, please confirm if the task is in PENDING status.",
        )
    return _reply({})


async def list_tasks(request: Request) -> Response:
    """List the account's tasks of the last 24 hours, newest first, filtered and in pages."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.authorize(request.headers.get("authorization"))
    simulator.admit_query(account)
    query = request.query_params
    earliest, latest = _list_time(query.get("start_time"), "start_time"), _list_time(query.get("end_time"), "end_time")
    page_no = _page(query.get("page_no"), "page_no", default=1, most=10**6)
    page_size = _page(query.get("page_size"), "page_size", default=10, most=MOST_PAGE_SIZE)
    model, status = query.get("model_name"), query.get("status")
    tasks = [
        task
        for task in simulator.tasks_of(account, "dashscope")
        if (earliest is None or task.submitted_at >= earliest)
        and (latest is None or task.submitted_at < latest + 1)  # a whole second is meant
        and (not model or task.order.model == model)
        and (not status or simulator.state(task) == status)
    ]
    page = tasks[(page_no - 1) * page_size : page_no * page_size]
    return _reply(
        {
            "total": len(tasks),
            "data": [_row(simulator, task) for task in page],
            "total_page": -(-len(tasks) // page_size),
            "page_no": page_no,
            "page_size": page_size,
        }
    )


def service_time(at: float) -> str:
    """Write a time as the service does, without a zone, to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC).astimezone(SERVICE_ZONE)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _reply(document: dict[str, Any]) -> Response:
    request_id = new_request_id()
    return json_reply({"request_id": request_id, **document}, headers={"x-request-id": request_id})


def _status(simulator: Simulator, task: Task, request: Request) -> dict[str, Any]:
    state = simulator.state(task)
    output: dict[str, Any] = {
        "task_id": task.task_id,
        "task_status": state,
        "submit_time": service_time(task.submitted_at),
    }
    if state is TaskState.PENDING:
        return {"output": output}
    output["scheduled_time"] = service_time(min(task.scheduled_at, task.canceled_at or task.scheduled_at))
    if state is TaskState.RUNNING:
        return {"output": output}
    output["end_time"] = service_time(task.canceled_at or task.finished_at)
    if state is not TaskState.SUCCEEDED:
        output["code"], output["message"] = failure_of(state)
        return {"output": output}
    output["finished"] = True
    output["choices"] = _choices(simulator, task, request)
    return {"output": output, "usage": _usage(task)}


def _choices(simulator: Simulator, task: Task, request: Request) -> list[dict[str, Any]]:
    images = [
        {"type": "image", "image": result_url(simulator, task, index, request)} for index in range(task.order.images_n)
    ]
    if task.order.mode == "edit" and images:
        return [_choice([image]) for image in images]
    content: list[dict[str, Any]] = []
    for index in range(max(1, len(images))):
        if text := text_for(task.order, index):
            content.append({"type": "text", "text": text})
        content += images[index : index + 1]
    return [_choice(content)]


def _choice(content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}


def _usage(task: Task) -> dict[str, Any]:
    order = task.order
    return {
        "size": f"{order.width_px}*{order.height_px}",
        "image_count": order.images_n,
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
    }


def _row(simulator: Simulator, task: Task) -> dict[str, Any]:
    state = simulator.state(task)
    row: dict[str, Any] = {
        "api_key_id": task.account[:8],
        "caller_parent_id": task.account,
        "caller_uid": task.account,
        "gmt_create": int(task.submitted_at * 1000),
        "model_name": task.order.model,
        "region": "cn-beijing",
        "request_id": new_request_id(),
        "status": state,
        "task_id": task.task_id,
        "user_api_unique_key": API_UNIQUE_KEY + task.order.model,
    }
    if state is not TaskState.PENDING:
        row["start_time"] = int(task.scheduled_at * 1000)
    if state not in (TaskState.PENDING, TaskState.RUNNING):
        row["end_time"] = int((task.canceled_at or task.finished_at) * 1000)
    return row


def _list_time(text: str | None, name: str) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=SERVICE_ZONE)
    except ValueError:
        raise invalid(name, f"must have the form YYYYMMDDhhmmss, got {text!r}") from None
    return moment.timestamp()


def _page(text: str | None, name: str, *, default: int, most: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise invalid(name, f"must be between 1 and {most}, got {text!r}")
    return int(text)
