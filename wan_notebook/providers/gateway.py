"""The gateway's dialect (WAN_API §2), and the reply forms of its family."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..models import MODELS
from ..request import ImageRequest
from . import base as read
from .base import Call, Output, Phase, ServiceFault, Submitted, TaskState, task_fields

_ROOT: Final = "/model/v1"
_PHASES: Final[Mapping[str, Phase]] = {
    **dict.fromkeys(("pending", "queued", "in_queue", "submitted", "waiting"), Phase.PENDING),
    **dict.fromkeys(("in_progress", "processing", "running"), Phase.RUNNING),
    **dict.fromkeys(("completed", "succeeded", "succeed", "success", "done", "finished"), Phase.SUCCEEDED),
    **dict.fromkeys(("failed", "failure", "error"), Phase.FAILED),
    **dict.fromkeys(("cancelled", "canceled"), Phase.CANCELLED),
}


class Gateway:
    """Flat and wrapped bodies, prices in the reply; no cancel call and no task list are documented."""

    name = "gateway"
    envelopes: tuple[str, ...] = ("flat", "params")
    id_names: tuple[str, ...] = ("id", "task_id", "taskId")

    def base_url(self, url: str) -> str:
        """Return the URL without the API's own path or a trailing slash."""
        return read.read_base_url(url).removesuffix("/generation").removesuffix(_ROOT)

    def submit(self, request: ImageRequest, *, envelope: str) -> Call:
        """Build the submit; ``flat`` is documented on the model's page, ``params`` is used by the gateway's client."""
        fields, model = task_fields(request), MODELS[request.model].gateway_name
        body = {"model": model, "input": [{"params": fields}]} if envelope == "params" else {"model": model, **fields}
        return Call("POST", f"{_ROOT}/generation", body=body)

    def read_submit(self, body: Any) -> Submitted | None:
        """Read ``{"id", "status", …}``; None without an id."""
        found = _task_object(body)
        if task_id := read.first_line(found, *self.id_names):
            request_id = read.first_line(found, "request_id", "requestId")
            return Submitted(task_id, request_id, read.first_line(found, "status"))
        return None

    def poll(self, task_id: str) -> Call:
        """Build the status query."""
        return Call("GET", f"{_ROOT}/generation/task/{quote(task_id, safe='')}")

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state; None if the reply says nothing about one."""
        found = _task_object(body)
        usage = read.mapping(found.get("usage"))
        return read.read_state(
            found,
            read.first_line(found, "status"),
            _PHASES,
            _results(found),
            task_id=task_id,
            progress=read.fraction(found.get("progress")),
            request_id=read.first_line(found, "request_id", "requestId"),
            cost_usd=read.cost_usd(usage),
            usage=usage,
            metadata=read.mapping(found.get("metadata")),
            created_at=read.unix_seconds(found.get("created_at")),
            model=read.first_line(found, "model"),
        )


def _task_object(body: Any) -> Mapping[str, Any]:
    """Return the object that speaks of the task: the body itself, or its ``data`` in the wrapped form."""
    found = read.mapping(body)
    inner = found.get("data")
    is_wrapped = isinstance(inner, dict) and not isinstance(found.get("status"), str)
    return read.mapping(inner) if is_wrapped else found


def _results(found: Mapping[str, Any]) -> tuple[list[Output], list[ServiceFault]]:
    """Read ``output`` (groups, or items without a group) and ``outputs`` (items); a picture in both counts once."""
    groups = [*read.sequence(found.get("output")), *read.sequence(found.get("outputs"))]
    items = [item for group in groups for item in read.sequence(read.mapping(group).get("content", [group]))]
    outputs, reasons = read.read_items(items)
    by_url = {output.url or position: output for position, output in reversed(list(enumerate(outputs)))}
    return list(reversed(by_url.values())), reasons
