"""The gateway's dialect (WAN_API §2), and the reply forms of its family."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..models import MODELS
from ..request import ImageRequest
from . import replies as read
from .base import Call, Phase, Submitted, TaskState, task_fields

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

    envelopes: tuple[str, ...] = ("flat", "params")
    id_names: tuple[str, ...] = ("id", "task_id")

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
        task_id = read.first_line(found, *self.id_names)
        request_id, status = read.first_line(found, "request_id"), read.first_line(found, "status")
        return Submitted(task_id, request_id, status) if task_id else None

    def poll(self, task_id: str) -> Call:
        """Build the status query."""
        return Call("GET", f"{_ROOT}/generation/task/{quote(task_id, safe='')}")

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state; None if the reply says nothing about one."""
        found = _task_object(body)
        usage, progress = read.mapping(found, "usage"), read.number(found.get("progress"))
        # `output` holds groups, or items without a group, `outputs` items; a picture in both counts once.
        groups = [*read.sequence(found.get("output")), *read.sequence(found.get("outputs"))]
        items = [item for group in groups for item in read.sequence(read.mapping(group).get("content", [group]))]
        outputs, reasons = read.read_items(items)
        once = {output.url or number: output for number, output in reversed(list(enumerate(outputs)))}
        return read.read_state(
            found,
            read.first_line(found, "status"),
            _PHASES,
            (list(reversed(once.values())), reasons),
            task_id=task_id,
            progress=progress if progress is not None and 0 <= progress <= 1 else None,
            request_id=read.first_line(found, "request_id"),
            cost_usd=read.cost_usd(usage),
            usage=usage,
            metadata=read.mapping(found, "metadata"),
        )


def _task_object(body: Any) -> Mapping[str, Any]:
    """Return the object that speaks of the task: the body itself, or its ``data`` in the wrapped form."""
    found = read.mapping(body)
    is_wrapped = isinstance(found.get("data"), dict) and not isinstance(found.get("status"), str)
    return read.mapping(found, "data") if is_wrapped else found
