"""The gateway's dialect: submit and poll (WAN_API §2)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .core import Simulator
from .errors import NOT_FOUND, ApiError
from .replies import json_reply
from .results import result_url, text_for
from .tasks import Task, TaskState
from .validate import GATEWAY, parse_json, unwrap
from .verdicts import failure_of


async def submit(request: Request) -> Response:
    """Start a task, in either envelope."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.authorize(request.headers.get("authorization"))
    task = await simulator.submit(
        await request.body(),
        lambda body: unwrap(parse_json(body), simulator.config.envelope),
        GATEWAY,
        "gateway",
        account,
    )
    return json_reply(_head(task, "in_progress"))


async def poll(request: Request) -> Response:
    """Tell how a task is doing."""
    simulator: Simulator = request.app.state.simulator
    account = simulator.authorize(request.headers.get("authorization"))
    simulator.admit_query(account)
    task = simulator.find(request.path_params["task_id"], account, "gateway")
    if task is None:
        raise ApiError(404, NOT_FOUND, f"task {request.path_params['task_id']} not found")
    return json_reply(_status(simulator, task, request))


def _head(task: Task, status: str) -> dict[str, Any]:
    return {
        "id": task.task_id,
        "status": status,
        "model": task.order.model,
        "created_at": int(task.submitted_at),
    }


def _status(simulator: Simulator, task: Task, request: Request) -> dict[str, Any]:
    state = simulator.state(task)
    if state is TaskState.SUCCEEDED:
        return {
            **_head(task, "completed"),
            "output": _output(simulator, task, request),
            "usage": {"cost": _cost(simulator, task), "discount": 1},
            "metadata": {},
        }
    if state in (TaskState.FAILED, TaskState.CANCELED):
        code, message = failure_of(state)
        return {**_head(task, "failed"), "error": {"code": code, "message": message}}
    progress = round(min(task.progress(simulator.now()), 0.99), 2)
    return {**_head(task, "in_progress"), "progress": progress}


def _output(simulator: Simulator, task: Task, request: Request) -> list[dict[str, Any]]:
    images = [
        {"type": "image", "url": result_url(simulator, task, index, request), "jobId": task.task_id}
        for index in range(task.order.images_n)
    ]
    if task.order.mode == "edit" and images:
        return [{"content": [image]} for image in images]
    content: list[dict[str, Any]] = []
    for index in range(max(1, len(images))):
        if text := text_for(task.order, index):
            content.append({"type": "text", "text": text})
        content += images[index : index + 1]
    return [{"content": content}]


def _cost(simulator: Simulator, task: Task) -> str:
    cost = simulator.config.price * task.order.images_n
    return format(cost, "f") if cost else "0"
