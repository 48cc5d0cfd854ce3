"""DashScope's dialect, the model's own service (WAN_API §3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from wan_notebook import catalog as c
from wan_notebook.request import ImageRequest

from . import liberal as read
from .base import Call, Output, Phase, ServiceFault, Submitted, TaskPage, TaskState
from .body import task_fields

_ROOT: Final = "/api/v1"
_TIME: Final = "%Y%m%d%H%M%S"
_PHASES: Final = MappingProxyType(
    {
        "pending": Phase.PENDING,
        "running": Phase.RUNNING,
        "succeeded": Phase.SUCCEEDED,
        "failed": Phase.FAILED,
        "canceled": Phase.CANCELLED,
        "cancelled": Phase.CANCELLED,
        "unknown": Phase.UNKNOWN,
    }
)
_RECORDED: Final = ("scheduled_time", "task_metrics", "finished", "orig_prompt", "actual_prompt")
_LISTS: Final = ("data", "tasks", "task_list", "items")


class DashScope:
    """Flat bodies, tasks with the server's own times, cancelling while pending, a task list; no prices."""

    name = "dashscope"
    can_cancel = True
    can_list = True
    envelopes = ("flat",)

    def base_url(self, url: str) -> str:
        """Return the URL with ``/api/v1`` at its end, whether it was given or not (§3)."""
        return read.read_base_url(url).removesuffix(_ROOT) + _ROOT

    def submit(self, request: ImageRequest, *, envelope: str) -> Call:
        """Build the submit; without the header the service takes it for a synchronous call (§3)."""
        read.check_envelope(envelope, self.envelopes)
        body = {"model": c.MODEL_NAME["dashscope"], **task_fields(request)}
        path = "/services/aigc/image-generation/generation"
        return Call("POST", path, headers={"X-DashScope-Async": "enable"}, body=body)

    def read_submit(self, body: Any) -> Submitted | ServiceFault | None:
        """Read ``output.task_id``, or ``code`` and ``message``."""
        found = read.mapping(body)
        output = read.mapping(found.get("output"))
        task_id = read.first_words(output, "task_id") or read.first_words(found, "task_id")
        if task_id:
            return Submitted(task_id, read.words(found.get("request_id")), read.words(output.get("task_status")))
        return read.refusal(body)

    def poll(self, task_id: str) -> Call:
        """Build the status query."""
        return Call("GET", f"/tasks/{quote(task_id, safe='')}")

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state; a reply without a status says nothing about it."""
        found = read.mapping(body)
        output = read.mapping(found.get("output"))
        if not (raw_status := read.words(output.get("task_status"))):
            return None
        phase = read.read_phase(raw_status, _PHASES)
        fault = ServiceFault() if phase is Phase.SUCCEEDED else self.read_error(body, 200)
        submitted, ended = read.words(output.get("submit_time")), read.words(output.get("end_time"))
        return TaskState(
            task_id=task_id or read.first_words(output, "task_id"),
            phase=phase,
            raw_status=raw_status,
            progress=read.fraction(output.get("progress")),
            outputs=tuple(_outputs(output)),
            error_code=fault.code,
            error_message=fault.message,
            request_id=read.words(found.get("request_id")),
            usage=read.record(found.get("usage")),
            metadata=read.record({name: output[name] for name in _RECORDED if name in output}),
            duration_s=read.seconds_between(submitted, ended),
            submitted_at_text=submitted,
            ended_at_text=ended,
        )

    def cancel(self, task_id: str) -> Call:
        """Build the cancel call; the service accepts it only while the task is pending (§3)."""
        return Call("POST", f"/tasks/{quote(task_id, safe='')}/cancel")

    def list_tasks(
        self, *, start: datetime, end: datetime, page: int, page_size: int, status: str | None = None
    ) -> Call:
        """Build the call for one page of this model's tasks; the times go out as they stand, without a zone (§3)."""
        params = {
            "start_time": start.strftime(_TIME),
            "end_time": end.strftime(_TIME),
            "model_name": c.MODEL_NAME["dashscope"],
            "page_no": str(page),
            "page_size": str(page_size),
        }
        return Call("GET", "/tasks", params=params if status is None else {**params, "status": status})

    def read_list(self, body: Any) -> TaskPage:
        """Read a page: an array under ``data`` or a like name, at the top or in ``output``.

        Its items are flat (``task_id``, ``status``, ``model_name``, times as unix milliseconds) or shaped like a poll's
        ``output``; both are read.
        """
        found = read.mapping(body)
        output = read.mapping(found.get("output"))
        items = next((v for o in (found, output) for name in _LISTS if isinstance(v := o.get(name), list)), None)
        tasks = tuple(task for item in items or () if (task := self._listed(read.mapping(item))) is not None)
        total, pages = (read.whole(found.get(name, output.get(name))) for name in ("total", "total_page"))
        is_list = bool(tasks) or items == [] or (items is None and total == 0)
        return TaskPage(tasks, total, pages, is_list=is_list)

    def _listed(self, item: Mapping[str, Any]) -> TaskState | None:
        fields = {**item, **read.mapping(item.get("output"))}
        if not (task_id := read.first_words(fields, "task_id", "id")):
            return None
        begun = next((fields[name] for name in ("submit_time", "gmt_create", "start_time") if fields.get(name)), None)
        ended = fields.get("end_time")
        start_s, end_s = read.number(begun), read.number(ended)
        numeric_s = (end_s - start_s) / 1000 if start_s is not None and end_s is not None and end_s >= start_s else None
        raw_status = read.first_words(fields, "task_status", "status")
        return TaskState(
            task_id=task_id,
            phase=read.read_phase(raw_status, _PHASES),
            raw_status=raw_status,
            outputs=tuple(_outputs(fields)),
            error_code=read.first_words(fields, "code"),
            error_message=read.first_words(fields, "message", limit=read.MESSAGE_MAX_CHARACTERS),
            request_id=read.first_words(fields, "request_id"),
            duration_s=read.seconds_between(begun, ended) if numeric_s is None else numeric_s,
            submitted_at_text=read.words(begun),
            ended_at_text=read.words(ended),
            created_at=read.unix_seconds(begun),
            prompt=read.text(fields.get("prompt")),
            model=read.first_words(fields, "model_name", "model"),
        )

    def read_error(self, body: Any, http_status: int) -> ServiceFault:
        """Read ``code`` and ``message`` at the top or inside ``output`` (§3)."""
        return read.read_fault(body, http_status)

    def salvage_task_id(self, partial: bytes) -> str:
        """Find ``task_id`` in a reply that was cut."""
        return read.find_quoted(partial, "task_id")


def _outputs(output: Mapping[str, Any]) -> Iterator[Output]:
    """Read one choice per picture (editing), items in order (interleaved), or ``results`` of the older models."""
    for choice in read.sequence(output.get("choices")):
        message = read.mapping(read.mapping(choice).get("message"))
        yield from read.read_outputs(message.get("content"))
    yield from read.read_outputs(output.get("results"))
    if video := output.get("video_url"):
        yield from read.read_outputs([{"video": video}])
