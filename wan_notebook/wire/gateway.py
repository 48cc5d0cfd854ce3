"""The gateway's dialect (WAN_API §2). The simulator speaks it, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from wan_notebook import catalog as c
from wan_notebook.request import ImageRequest

from . import liberal as read
from .base import Call, Output, Phase, ServiceFault, Submitted, TaskPage, TaskState
from .body import task_fields

_ROOT: Final = "/model/v1"
_DOLLARS: Final = frozenset({"", "USD", "$"})
_PHASES: Final = MappingProxyType(
    {
        "pending": Phase.PENDING,
        "queued": Phase.PENDING,
        "in_progress": Phase.RUNNING,
        "processing": Phase.RUNNING,
        "running": Phase.RUNNING,
        "completed": Phase.SUCCEEDED,
        "succeeded": Phase.SUCCEEDED,
        "failed": Phase.FAILED,
        "cancelled": Phase.CANCELLED,
        "canceled": Phase.CANCELLED,
    }
)


class Gateway:
    """Flat and wrapped bodies, prices in the reply; no cancel call and no task list are documented."""

    name = "gateway"
    can_cancel = False
    can_list = False
    envelopes = ("flat", "params")

    def base_url(self, url: str) -> str:
        """Return the URL without a trailing slash or the API's own root path."""
        return read.read_base_url(url).removesuffix("/generation").removesuffix(_ROOT)

    def submit(self, request: ImageRequest, *, envelope: str) -> Call:
        """Build the submit; ``flat`` is the model's page, ``params`` the gateway's own client (§2)."""
        read.check_envelope(envelope, self.envelopes)
        fields, model = task_fields(request), c.MODEL_NAME["gateway"]
        body = {"model": model, "input": [{"params": fields}]} if envelope == "params" else {"model": model, **fields}
        return Call("POST", f"{_ROOT}/generation", body=body)

    def read_submit(self, body: Any) -> Submitted | ServiceFault | None:
        """Read ``{"id", "status", …}``; an error and no id is a failed submit even with HTTP 200 (§2)."""
        found = read.mapping(body)
        if task_id := read.first_words(found, "id", "task_id", "taskId"):
            status = read.words(found.get("status"))
            return Submitted(task_id, read.first_words(found, "request_id", "requestId"), status)
        return read.refusal(body)

    def poll(self, task_id: str) -> Call:
        """Build the status query."""
        return Call("GET", f"{_ROOT}/generation/task/{quote(task_id, safe='')}")

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read a task's state; a reply with neither status nor result says nothing about it."""
        found = read.mapping(body)
        raw_status = read.words(found.get("status"))
        outputs = tuple(_outputs(found.get("output")))
        if not raw_status and not any(output.url for output in outputs):
            return None
        phase = read.read_phase(raw_status, _PHASES) if raw_status else Phase.SUCCEEDED
        fault = self.read_error(body, 200) if phase in (Phase.FAILED, Phase.CANCELLED) else ServiceFault()
        usage = read.record(found.get("usage"))
        return TaskState(
            task_id=task_id or read.first_words(found, "id", "task_id"),
            phase=phase,
            raw_status=raw_status,
            progress=read.fraction(found.get("progress")),
            outputs=outputs,
            error_code=fault.code,
            error_message=fault.message,
            request_id=read.first_words(found, "request_id", "requestId"),
            cost_usd=_cost_usd(usage),
            usage=usage,
            metadata=read.record(found.get("metadata")),
            created_at=read.unix_seconds(found.get("created_at")),
            model=read.words(found.get("model")),
        )

    def cancel(self, task_id: str) -> Call:
        """Refuse: the gateway documents no cancel call."""
        raise NotImplementedError(f"the gateway cannot cancel {task_id}")

    def list_tasks(
        self, *, start: datetime, end: datetime, page: int, page_size: int, status: str | None = None
    ) -> Call:
        """Refuse: the gateway documents no task list."""
        raise NotImplementedError("the gateway has no task list")

    def read_list(self, body: Any) -> TaskPage:  # noqa: ARG002 - the gateway has no list to read
        """Return an empty page."""
        return TaskPage()

    def read_error(self, body: Any, http_status: int) -> ServiceFault:
        """Read ``error`` or ``message``, a text or an object (§2)."""
        return read.read_fault(body, http_status)

    def salvage_task_id(self, partial: bytes) -> str:
        """Find ``id`` in a reply that was cut."""
        return read.find_quoted(partial, "id", "task_id")


def _cost_usd(usage: Mapping[str, Any]) -> Decimal | None:
    """Read the cost, documented to be in USD; an amount that says it is something else is not called dollars."""
    if read.words(usage.get("currency")).strip().upper() not in _DOLLARS:
        return None
    return read.dollars(usage.get("cost"))


def _outputs(value: Any) -> Iterator[Output]:
    """Read one output group or several, or items without a group around them."""
    for group in read.sequence(value):
        content = read.mapping(group).get("content")
        yield from read.read_outputs(group if content is None else content)
