"""The dialect of DashScope, the model's own service (WAN_API §3)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from ..models import MODEL, MODELS
from ..request import ImageRequest
from . import replies as read
from .base import Call, Phase, Submitted, TaskState, task_fields

_ROOT: Final = "/api/v1"
_TIME: Final = "%Y%m%d%H%M%S"
_PHASES: Final[Mapping[str, Phase]] = {**{phase.value: phase for phase in Phase}, "canceled": Phase.CANCELLED}
_RECORDED: Final = ("scheduled_time", "task_metrics", "finished", "orig_prompt", "actual_prompt")


class DashScope:
    """Flat bodies, tasks with the server's own times, cancelling while pending, a task list; no prices."""

    envelopes: tuple[str, ...] = ("flat",)
    id_names: tuple[str, ...] = ("task_id",)

    def base_url(self, url: str) -> str:
        """Return the URL with ``/api/v1`` at its end, whether it was given or not."""
        return read.read_base_url(url).removesuffix(_ROOT) + _ROOT

    def submit(self, request: ImageRequest, *, envelope: str) -> Call:  # noqa: ARG002 - there is only one form
        """Build the submit; without the header the service takes it for a synchronous call."""
        body = {"model": MODELS[request.model].dashscope_name, **task_fields(request)}
        path = "/services/aigc/image-generation/generation"
        return Call("POST", path, headers={"X-DashScope-Async": "enable"}, body=body)

    def read_submit(self, body: Any) -> Submitted | None:
        """Read ``output.task_id``; None without an id."""
        output, request_id = read.mapping(body, "output"), read.first_line(read.mapping(body), "request_id")
        task_id = read.first_line(output, "task_id")
        return Submitted(task_id, request_id, read.first_line(output, "task_status")) if task_id else None

    def poll(self, task_id: str) -> Call:
        """Build the status query."""
        return Call("GET", f"/tasks/{quote(task_id, safe='')}")

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state, with the server's own duration; None if the reply says nothing about one."""
        found, output = read.mapping(body), read.mapping(body, "output")
        # One choice per picture (editing), items in order (interleaved), or `results` of the older models.
        items: list[Any] = []
        for choice in read.sequence(output.get("choices")):
            # A choice without content may carry the reason.
            items += read.sequence(read.mapping(choice, "message").get("content")) or [choice]
        return read.read_state(
            found,
            read.first_line(output, "task_status"),
            _PHASES,
            read.read_items([*items, *read.sequence(output.get("results"))]),
            task_id=task_id,
            request_id=read.first_line(found, "request_id"),
            usage=read.mapping(found, "usage"),
            metadata={name: output[name] for name in _RECORDED if name in output},
            duration_s=read.seconds_between(output.get("submit_time"), output.get("end_time")),
            submitted_at_text=read.first_line(output, "submit_time"),
            ended_at_text=read.first_line(output, "end_time"),
        )

    def cancel(self, task_id: str) -> Call:
        """Build the cancel call; the service accepts it only while the task is pending."""
        return Call("POST", f"/tasks/{quote(task_id, safe='')}/cancel")

    def list_tasks(self, *, start: datetime, end: datetime, page: int, page_size: int) -> Call:
        """Build the call for one page (from 1) of the default model's tasks; the times go out without a zone."""
        params = {
            "start_time": start.strftime(_TIME),
            "end_time": end.strftime(_TIME),
            "model_name": MODELS[MODEL].dashscope_name,
            "page_no": str(page),
            "page_size": str(page_size),
        }
        return Call("GET", "/tasks", params=params)

    def read_list(self, body: Any) -> list[TaskState] | None:
        """Read a page, the array ``data``; None if there is none."""
        found = read.mapping(body)
        items = found.get("data")
        tasks = [task for item in read.sequence(items) if (task := _listed(read.mapping(item))).task_id]
        is_empty_list = items == [] or (items is None and read.number(found.get("total")) == 0)
        return tasks if tasks or is_empty_list else None


def _listed(item: Mapping[str, Any]) -> TaskState:
    """Read a task in a list, which says how it ended and not with which pictures; its times are Unix milliseconds."""
    raw_status, created_ms = read.first_line(item, "status", "task_status"), read.number(item.get("gmt_create"))
    prompt = item.get("prompt")
    return TaskState(
        task_id=read.first_line(item, "task_id"),
        phase=_PHASES.get(raw_status.lower(), Phase.RUNNING),
        raw_status=raw_status,
        request_id=read.first_line(item, "request_id"),
        submitted_at_text=read.first_line(item, "submit_time"),
        created_at=None if created_ms is None else int(created_ms / 1000),
        prompt=prompt if isinstance(prompt, str) else "",
        model=read.first_line(item, "model_name"),
    )
