"""What the services have in common: the calls to make, and a task's state.

A dialect (``Gateway``, ``DashScope``) builds a ``Call`` for each question and reads its reply: ``submit`` and
``read_submit``, ``poll`` and ``read_poll``; DashScope also ``cancel``, ``list_tasks`` and ``read_list``. Its readers
take any JSON value and never raise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

from ..errors import Problem, RequestError
from ..images import PendingImage, data_url
from ..request import ImageRequest
from ..text import plain_code

NO_PICTURE: Final = "no_picture"
"""``TaskState.error_code`` of a task that its service calls finished and that has no picture."""

_HINTS: Final = {
    "InternalError": "The service failed, not the request: run the cell again. A failed task costs nothing.",
    "DataInspectionFailed": "The service's content check refused it: change the prompt or the picture.",
    "Arrearage": "The account has an unpaid bill: settle it in the provider's console.",
    "AllocationQuota.FreeTierOnly": "The free quota is used up: switch paid use on in the provider's console.",
    "AccessDenied": "The key may not use this model at this address: check the model, the region and WAN_BASE_URL.",
    NO_PICTURE: "Run the cell again, with another seed or prompt. A task without a picture costs nothing.",
    "413": "Send fewer or smaller pictures.",
    **dict.fromkeys(("402", "403"), "Check the account's balance, and that the key may use this model."),
    **dict.fromkeys(("Throttling", "429"), "Wait a little: running tasks go on."),
}


def hint_for(*codes: str) -> str:
    """Return what to do about an error, by the first code or HTTP status of which something is known."""
    known = [(plain_code(start), hint) for start, hint in _HINTS.items()]
    return next((hint for code in codes for start, hint in known if plain_code(code).startswith(start)), "")


class Phase(StrEnum):
    """The progress of a task, in the same words for every service."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The service knows no such task, or no longer (DashScope, WAN_API §3)."""


@dataclass(frozen=True)
class Output:
    """One item of a result, in the service's order: a picture or video by its URL, or interleaved text."""

    kind: Literal["image", "video", "text"]
    url: str = field(default="", repr=False)  # its query string is a signature
    text: str = ""
    remote_id: str = ""


@dataclass(frozen=True)
class TaskState:
    """A task as one reply shows it; what the reply did not say is empty or None.

    ``missing_reasons`` are the service's words for pictures that it withheld from an otherwise successful task.
    ``duration_s`` is the server's own (end − submit, one clock); the two texts are its times as it wrote them, without
    a zone. ``created_at`` (in Unix seconds), ``prompt`` and ``model`` are there if a task list gives them.
    """

    task_id: str
    phase: Phase
    raw_status: str = ""
    progress: float | None = None
    outputs: tuple[Output, ...] = ()
    missing_reasons: tuple[str, ...] = ()
    error_code: str = ""
    error_message: str = ""
    error_hint: str = ""
    request_id: str = ""
    cost_usd: Decimal | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    duration_s: float | None = None
    submitted_at_text: str = ""
    ended_at_text: str = ""
    created_at: int | None = None
    prompt: str = ""
    model: str = ""

    @property
    def files(self) -> tuple[Output, ...]:
        """The pictures and videos to download, without the text between them."""
        return tuple(output for output in self.outputs if output.kind != "text")


@dataclass(frozen=True)
class Submitted:
    """A task that the service accepted."""

    task_id: str
    request_id: str = ""


@dataclass(frozen=True)
class Call:
    """One HTTP request to make, relative to the base URL; the key is never part of it."""

    method: Literal["GET", "POST"]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds; every API call has an overall deadline, since a trickle of bytes trips no read timeout.

    A submit's deadline is ``submit_s`` and its body's time at ``upload_bytes_per_s``. A download has no deadline, but
    must have moved ``min_bytes_per_s`` on average after ``stall_window_s``.
    """

    connect_s: float = 10.0
    submit_s: float = 120.0
    status_s: float = 20.0
    upload_bytes_per_s: float = 125_000.0
    stall_window_s: float = 20.0
    min_bytes_per_s: float = 4096.0


def task_fields(request: ImageRequest) -> dict[str, Any]:
    """Return ``input`` and ``parameters`` as both services take them: one text, then the pictures in their order.

    Raises
    ------
    RequestError
        An input picture is not finished yet.
    """
    content: list[dict[str, Any]] = [{"text": request.prompt}]
    for image in request.images:
        if isinstance(image, PendingImage):
            raise RequestError([Problem("images", image.name, "is not finished yet.", "Wait for its job first.")])
        content.append({"image": data_url(image.data, image.mime)})
    return {"input": {"messages": [{"role": "user", "content": content}]}, "parameters": request.parameters()}
