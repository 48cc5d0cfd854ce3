"""The dialects of the gateway (WAN_API §2) and its family, and of DashScope, the model's own service (WAN_API §3).

A dialect builds a ``Call`` for each question and reads its reply: ``submit`` and ``read_submit``, ``poll`` and
``read_poll``, ``cancel``; DashScope also ``list_tasks`` and ``read_list``. Its readers take any JSON value and never
raise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from ..errors import Problem, RequestError
from ..images import InputImage, PendingImage, data_url
from ..models import MODEL, MODELS
from ..request import ImageRequest
from . import replies as read
from .replies import Phase, TaskState

_GATEWAY_PHASES: Final[Mapping[str, Phase]] = {  # in lower case
    **dict.fromkeys(("pending", "queued", "in_queue", "submitted", "waiting"), Phase.PENDING),
    **dict.fromkeys(("in_progress", "processing", "running"), Phase.RUNNING),
    **dict.fromkeys(("completed", "succeeded", "succeed", "success", "done", "finished"), Phase.SUCCEEDED),
    **dict.fromkeys(("failed", "failure", "error"), Phase.FAILED),
    **dict.fromkeys(("cancelled", "canceled"), Phase.CANCELLED),
}
_DASHSCOPE_PHASES: Final[Mapping[str, Phase]] = {  # in lower case
    "pending": Phase.PENDING,
    "running": Phase.RUNNING,
    "succeeded": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    **dict.fromkeys(("canceled", "cancelled"), Phase.CANCELLED),
    "unknown": Phase.UNKNOWN,
}
_TIME: Final = "%Y%m%d%H%M%S"


@dataclass(frozen=True)
class Call:
    """One HTTP request to make, relative to the base URL; the key is never part of it."""

    method: Literal["GET", "POST"]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)


class Gateway:
    """Flat and wrapped bodies, prices in the reply; no cancel call and no task list are documented.

    ``envelopes`` are the forms of the body that a submit may try, in this order: ``flat`` is documented on the model's
    page, ``params`` is used by the gateway's client.
    """

    envelopes: tuple[str, ...] = ("flat", "params")
    model_names: Mapping[str, str] = {name: record.gateway_name for name, record in MODELS.items()}
    submit_path = "/model/v1/generation"
    submit_headers: Mapping[str, str] = {}
    task_path = "/model/v1/generation/task"

    def base_url(self, url: str) -> str:
        """Return the URL without the API's own path or a trailing slash."""
        return read.read_base_url(url).removesuffix("/generation").removesuffix("/model/v1")

    def envelopes_for(self, model: str) -> tuple[str, ...]:
        """Return the forms in the order for a model: the pages of its siblings document ``params``."""
        return self.envelopes if model == MODEL else self.envelopes[::-1]

    def submit(self, request: ImageRequest, *, envelope: str) -> Call:
        """Build the submit: one text, then the pictures in their order.

        Raises
        ------
        RequestError
            An input picture is not finished yet.
        """
        if waiting := [image.name for image in request.images if isinstance(image, PendingImage)]:
            raise RequestError([Problem("images", waiting[0], "is not finished yet.", "Wait for its job first.")])
        pictures = (image for image in request.images if isinstance(image, InputImage))
        content = [{"text": request.prompt}, *({"image": data_url(image.data, image.mime)} for image in pictures)]
        fields = {"input": {"messages": [{"role": "user", "content": content}]}, "parameters": request.parameters()}
        body = {"input": [{"params": fields}]} if envelope == "params" else fields
        model = self.model_names[request.model]
        return Call("POST", self.submit_path, headers=self.submit_headers, body={"model": model, **body})

    def read_submit(self, body: Any) -> TaskState | None:
        """Read the new task; None without an id."""
        found = self.task_object(body)
        task_id = read.first_line(found, "id", "task_id", max_chars=2000)  # a shortened one would be another
        request_id = read.first_line({**read.mapping(body), **found}, "request_id")
        return TaskState(task_id, Phase.PENDING, request_id=request_id) if task_id else None

    def poll(self, task_id: str) -> Call:
        """Build the status query."""
        return Call("GET", f"{self.task_path}/{quote(task_id, safe='')}")

    def cancel(self, task_id: str) -> Call:
        """Build the cancel call, which DashScope alone documents and accepts only while the task is pending."""
        return Call("POST", f"{self.poll(task_id).path}/cancel")

    def task_object(self, body: Any) -> Mapping[str, Any]:
        """Return the object that speaks of the task: the body itself, or its ``data`` in the wrapped form."""
        found = read.mapping(body)
        is_wrapped = isinstance(found.get("data"), dict) and not isinstance(found.get("status"), str)
        return read.mapping(found, "data") if is_wrapped else found

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state; None if the reply says nothing about one."""
        found = self.task_object(body)
        usage, progress = read.mapping(found, "usage"), read.number(found.get("progress"))
        # `output` holds groups, or items without a group, `outputs` items; a picture in both counts once.
        groups = [*read.sequence(found.get("output")), *read.sequence(found.get("outputs"))]
        items = [item for group in groups for item in read.sequence(read.mapping(group).get("content", [group]))]
        outputs, reasons = read.read_items(items)
        once = {output.url or number: output for number, output in reversed(list(enumerate(outputs)))}
        return read.read_state(
            found,
            read.first_line(found, "status"),
            _GATEWAY_PHASES,
            (list(reversed(once.values())), reasons),
            task_id=task_id,
            is_named=task_id in map(str, (found.get("id"), found.get("task_id"))),
            progress=progress if progress is not None and 0 <= progress <= 1 else None,
            request_id=read.first_line(found, "request_id"),
            cost_usd=read.cost_usd(usage),
            usage=usage,
            metadata=read.mapping(found, "metadata"),
        )


class DashScope(Gateway):
    """Flat bodies, tasks with the server's own times, cancelling while pending, a task list; no prices."""

    envelopes = ("flat",)
    model_names: Mapping[str, str] = {name: name for name in MODELS}
    submit_path = "/services/aigc/image-generation/generation"
    submit_headers: Mapping[str, str] = {"X-DashScope-Async": "enable"}  # else it is taken for a synchronous call
    task_path = "/tasks"

    def base_url(self, url: str) -> str:
        """Return the URL with ``/api/v1`` at its end, whether it was given or not."""
        return read.read_base_url(url).removesuffix("/api/v1") + "/api/v1"

    def task_object(self, body: Any) -> Mapping[str, Any]:
        """Return the object ``output``."""
        return read.mapping(body, "output")

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state, with the server's own duration; None if the reply says nothing about one."""
        found, output = read.mapping(body), self.task_object(body)
        # One choice per picture (editing), items in order (interleaved), or `results` of the older models.
        choices = read.sequence(output.get("choices"))
        # A choice without content may carry the reason.
        groups = [read.sequence(read.mapping(choice, "message").get("content")) or [choice] for choice in choices]
        items = [item for group in groups for item in group]
        recorded = ("scheduled_time", "task_metrics", "finished", "orig_prompt", "actual_prompt")
        return read.read_state(
            found,
            read.first_line(output, "task_status"),
            _DASHSCOPE_PHASES,
            read.read_items([*items, *read.sequence(output.get("results"))]),
            task_id=task_id,
            is_named=str(output.get("task_id")) == task_id,
            request_id=read.first_line(found, "request_id"),
            usage=read.mapping(found, "usage"),
            metadata={name: output[name] for name in recorded if name in output},
            duration_s=read.seconds_between(output.get("submit_time"), output.get("end_time")),
            submitted_at_text=read.first_line(output, "submit_time"),
            ended_at_text=read.first_line(output, "end_time"),
        )

    def list_tasks(self, *, start: datetime, end: datetime, page: int, model: str = MODEL) -> Call:
        """Build the call for one page (from 1) of a model's tasks; the times go out without a zone."""
        params = {
            "start_time": start.strftime(_TIME),
            "end_time": end.strftime(_TIME),
            "model_name": self.model_names.get(model, model),
            "page_no": str(page),
            "page_size": "50",
        }
        return Call("GET", f"{self.task_path}?{urlencode(params)}")

    def read_list(self, body: Any) -> list[TaskState] | None:
        """Read a page, the array ``data``; None if there is none."""
        items = read.mapping(body).get("data")
        tasks = [task for item in read.sequence(items) if (task := _listed(read.mapping(item))).task_id]
        return tasks if tasks or items == [] else None


def _listed(item: Mapping[str, Any]) -> TaskState:
    """Read a task in a list, which says how it ended and not with which pictures; its times are Unix milliseconds."""
    raw_status, created_ms = read.first_line(item, "status", "task_status"), read.number(item.get("gmt_create"))
    return TaskState(
        task_id=read.first_line(item, "task_id"),
        phase=_DASHSCOPE_PHASES.get(raw_status.lower(), Phase.RUNNING),
        raw_status=raw_status,
        request_id=read.first_line(item, "request_id"),
        submitted_at_text=read.first_line(item, "submit_time"),
        created_at=None if created_ms is None else int(created_ms / 1000),
        prompt=str(item.get("prompt") or ""),
        model=read.first_line(item, "model_name"),
    )


def dialect_for(provider: str, envelope: str = "auto") -> Gateway:
    """Return how a provider is spoken to, in one envelope if it is not ``auto``.

    The simulator speaks the gateway's dialect.
    """
    dialect = DashScope() if provider == "dashscope" else Gateway()
    if envelope in dialect.envelopes:
        dialect.envelopes = (envelope,)
    return dialect
