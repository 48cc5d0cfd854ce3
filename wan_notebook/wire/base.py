"""What every dialect shares: a call to make, a task's state as read, and the protocol between client and dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Protocol

from wan_notebook.request import ImageRequest


class Phase(StrEnum):
    """Where a task stands, whatever its service calls it."""

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

    ``duration_s`` is the server's own (end − submit, one clock); the two texts are its times as it wrote them, without
    a zone. ``created_at`` is in unix seconds. ``prompt`` and ``model`` are there if a task list gives them.
    """

    task_id: str
    phase: Phase
    raw_status: str = ""
    progress: float | None = None
    outputs: tuple[Output, ...] = ()
    error_code: str = ""
    error_message: str = ""
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
        """Return what is to be downloaded: pictures and videos, without the text between them."""
        return tuple(output for output in self.outputs if output.kind != "text")


@dataclass(frozen=True)
class Submitted:
    """A task that the service accepted."""

    task_id: str
    request_id: str = ""
    raw_status: str = ""


@dataclass(frozen=True)
class Call:
    """One HTTP request to make, relative to the base URL; the key is never part of it."""

    method: Literal["GET", "POST"]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class ServiceFault:
    """What a service says is wrong, in its own words."""

    code: str = ""
    message: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class TaskPage:
    """One page of a task list; ``total`` and ``pages`` count all of them, None if the reply does not say.

    ``is_list``: whether there was a list at all; an answer of another shape must not pass for "no tasks".
    """

    tasks: tuple[TaskState, ...] = ()
    total: int | None = None
    pages: int | None = None
    is_list: bool = True


class Dialect(Protocol):
    """How one service is spoken to. Every ``read_*`` takes any JSON at all and never raises."""

    @property
    def name(self) -> str:
        """``gateway`` or ``dashscope``."""

    @property
    def can_cancel(self) -> bool:
        """Whether the service has a cancel call."""

    @property
    def can_list(self) -> bool:
        """Whether the service has a task list."""

    @property
    def envelopes(self) -> tuple[str, ...]:
        """The forms of a submit's body, in the order in which they are tried."""

    def base_url(self, url: str) -> str:
        """Bring a base URL into the one form that paths are appended to. Raises ``SettingsError``."""

    def submit(self, request: ImageRequest, *, envelope: str) -> Call:
        """Build the call that starts a task."""

    def read_submit(self, body: Any) -> Submitted | ServiceFault | None:
        """Read its reply; None if it holds neither an id nor an error."""

    def poll(self, task_id: str) -> Call:
        """Build the call that asks for a task's state."""

    def read_poll(self, body: Any, *, task_id: str) -> TaskState | None:
        """Read its reply; None if it says nothing about a task."""

    def cancel(self, task_id: str) -> Call:
        """Build the call that cancels a task."""

    def list_tasks(
        self, *, start: datetime, end: datetime, page: int, page_size: int, status: str | None = None
    ) -> Call:
        """Build the call for one page (from 1) of the tasks submitted between two times, written as they stand."""

    def read_list(self, body: Any) -> TaskPage:
        """Read one page of tasks."""

    def read_error(self, body: Any, http_status: int) -> ServiceFault:
        """Read an error of any shape: an object, a text, nothing."""

    def salvage_task_id(self, partial: bytes) -> str:
        """Find the task id in a reply that was cut; empty if there is none."""
