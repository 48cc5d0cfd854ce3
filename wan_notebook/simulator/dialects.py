"""Both APIs: the gateway's in every form that its family is known to speak (WAN_API §2), and DashScope's (§3)."""

import re
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .service import Simulator, Task, TaskState
from .validation import ApiError, require

SERVICE_ZONE = timezone(timedelta(hours=8))
"""DashScope's times carry no zone; its machines stand in Beijing."""

_WORDS = (("success", "in_queue"), ("done", "QUEUED"), ("SUCCEED", "submitted"), ("Finished", "waiting"))


async def submit_to_gateway(request: Request) -> Response:
    """Start a task, in either envelope."""
    simulator: Simulator = request.app.state.simulator
    task = await simulator.submit(request, "gateway")
    state = task.state(task.submitted_at) if "completed_at_once" in simulator.forms else "PENDING"
    return _gateway_task(request, task, state)


async def poll_gateway(request: Request) -> Response:
    """Report how a task is doing."""
    simulator: Simulator = request.app.state.simulator
    for task in simulator.tasks_for(request, "gateway", "poll"):
        return _gateway_task(request, task, task.state(simulator.now()))
    raise ApiError(404, "NotFound", f"task {request.path_params['task_id']} not found")


def gateway_error(simulator: Simulator, error: ApiError) -> Response:
    """Return an error as the gateway words it."""
    forms, status = simulator.forms, 403 if error.code == "Arrearage" else error.status_code
    code = re.sub(r"\.|(?<=[a-z])(?=[A-Z])", "_", error.code).lower()  # `invalid_parameter` for `InvalidParameter`
    worded: dict[str, dict[str, Any]] = {
        "wrapped": {"data": None, "status": {"code": status, "message": error.detail}},
        "error_message": {"message": error.detail},
    }
    document = next((worded[form] for form in worded if form in forms), _error(code, error.detail, forms))
    return JSONResponse(document, 200 if "errors_200" in forms else status)


def _error(code: str, message: str, forms: frozenset[str]) -> dict[str, Any]:
    cause = {"code": code, "message": message}
    worded: dict[str, dict[str, Any]] = {
        "error_text": {"error": message},
        "error_number": {"error": {"code": 1301, "error_message": message}},
        "provider_error": {"error": "Generation failed", "error_type": "provider_error", "provider_error": cause},
    }
    return next((worded[form] for form in worded if form in forms), {"error": cause})


def _gateway_task(request: Request, task: Task, state: TaskState) -> Response:
    simulator: Simulator = request.app.state.simulator
    forms, asked = simulator.forms, task.request
    status = {"SUCCEEDED": "completed", "FAILED": "failed", "CANCELED": "failed"}.get(state, "in_progress")
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
        document |= _error(task.error.code, task.error.detail, forms)
    else:
        passed = (simulator.now() - task.submitted_at) / task.duration_s if task.duration_s else 0.0
        document["progress"] = round(min(0.99, max(0.0, passed)), 2)
    completed, pending = _WORDS[sum(task.task_id.encode()) % 4]  # each task keeps its words
    words = {
        "other_words": {"in_progress": pending if state == "PENDING" else "processing", "completed": completed},
        "unknown_status": {"completed": "ready", "failed": "rejected", "in_progress": "under_review"},
        "completed_with_error": {"failed": "COMPLETED"},
    }
    document["status"] = next(
        (words[form][status] for form in words if form in forms and status in words[form]), status
    )
    if "wrapped" in forms:
        document = {"data": document, "status": {"code": 200, "message": "ok"}}
    return JSONResponse(document)


# DashScope ------------------------------------------------------------------------------------------------------------


async def submit_to_dashscope(request: Request) -> Response:
    """Start a task."""
    if request.headers.get("x-dashscope-async", "").lower() != "enable":
        raise ApiError(403, "AccessDenied", "current user api does not support synchronous calls")
    task = await request.app.state.simulator.submit(request, "dashscope")
    return _reply({"output": {"task_status": "PENDING", "task_id": task.task_id}})


async def poll_dashscope(request: Request) -> Response:
    """Report how a task is doing; UNKNOWN for a task that does not exist or is older than 24 hours."""
    for task in request.app.state.simulator.tasks_for(request, "dashscope", "poll"):
        return _reply(_document(request, task))
    return _reply({"output": {"task_id": request.path_params["task_id"], "task_status": "UNKNOWN"}})


async def cancel(request: Request) -> Response:
    """Cancel a PENDING task."""
    simulator: Simulator = request.app.state.simulator
    if any(simulator.cancel(task) for task in simulator.tasks_for(request, "dashscope", "cancel")):
        return _reply({})
    raise ApiError.of("UnsupportedOperation")


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
        {
            "api_key_id": task.account[:8],
            "model_name": task.request.model,
            "region": "cn-beijing",
            "request_id": str(uuid.uuid4()),
            "status": task.state(now),
            "task_id": task.task_id,
            **{name: int(at * 1000) for name, at in _times(task, now, "gmt_create", "start_time").items()},
        }
        for task in reversed(simulator.tasks_for(request, "dashscope", "list"))
        if earliest <= task.submitted_at < latest + 1  # a whole second is meant
        and query.get("model_name") in (None, "", task.request.model)
    ]
    return _reply(
        {
            "data": rows[(number - 1) * size : number * size],
            "total": len(rows),
            "total_page": -(-len(rows) // size),
            "page_no": number,
            "page_size": size,
        }
    )


def dashscope_error(_simulator: Simulator, error: ApiError) -> Response:
    """Return an error as DashScope words it."""
    return _reply({"code": error.code, "message": error.detail}, error.status_code)


def _reply(document: dict[str, Any], status: int = 200) -> Response:
    request_id = str(uuid.uuid4())
    return JSONResponse({**document, "request_id": request_id}, status, {"x-request-id": request_id})


def _document(request: Request, task: Task) -> dict[str, Any]:
    simulator: Simulator = request.app.state.simulator
    now, asked = simulator.now(), task.request
    state = task.state(now)
    output: dict[str, Any] = {"task_id": task.task_id, "task_status": state}
    for name, at in _times(task, now, "submit_time", "scheduled_time").items():
        output[name] = datetime.fromtimestamp(at, SERVICE_ZONE).isoformat(sep=" ", timespec="milliseconds")[:-6]
    if state in ("FAILED", "CANCELED"):
        output |= {"code": task.error.code, "message": task.error.detail}
    if state != "SUCCEEDED":
        return {"output": output}
    output["finished"] = True
    groups, withheld = simulator.contents(task, request, "image"), ApiError.of("DataInspectionFailed")
    if "results" in simulator.forms:
        made = [{"url": item["image"]} for group in groups for item in group if "image" in item]
        output["results"] = made + [{"code": withheld.code, "message": withheld.detail}] * asked.withheld_n
        total = asked.images_n + asked.withheld_n
        output["task_metrics"] = {"TOTAL": total, "SUCCEEDED": asked.images_n, "FAILED": asked.withheld_n}
    else:
        output["choices"] = [_choice(group) for group in groups]
        output["choices"] += [{**_choice([]), "code": withheld.code}] * asked.withheld_n
    usage = {"size": f"{asked.width_px}*{asked.height_px}", "image_count": asked.images_n}
    return {"output": output, "usage": usage | dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)}


def _choice(content: list[dict[str, str]]) -> dict[str, Any]:
    return {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}


def _times(task: Task, now: float, submit_name: str, start_name: str) -> dict[str, float]:
    """Return the times of a task that have come, in Unix seconds."""
    times = {submit_name: task.submitted_at, start_name: task.scheduled_at, "end_time": task.ends_at}
    return {name: at for name, at in times.items() if at <= now}


def _list_time(text: str, default: float) -> float:
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=SERVICE_ZONE).timestamp() if text else default
