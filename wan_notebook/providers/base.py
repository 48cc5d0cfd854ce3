"""What the services have in common: a task's state, the calls to make, and the tolerant readers of JSON replies.

A dialect (``Gateway``, ``DashScope``) builds a ``Call`` for each question and reads its reply: ``submit`` and
``read_submit``, ``poll`` and ``read_poll``; DashScope also ``cancel``, ``list_tasks`` and ``read_list``. Its readers
take any JSON value and never raise.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

import httpx

from ..errors import Problem, RequestError, SettingsError
from ..images import PendingImage, data_url
from ..money import to_decimal
from ..request import ImageRequest
from ..text import one_line, plain_code

NO_PICTURE: Final = "no_picture"
"""``TaskState.error_code`` of a task that its service calls finished and that has no picture."""

_HINTS: Final = (
    ("InternalError", "The service failed, not the request: run the cell again. A failed task costs nothing."),
    ("DataInspectionFailed", "The service's content check refused it: change the prompt or the picture."),
    ("Arrearage", "The account has an unpaid bill: settle it in the provider's console."),
    ("AllocationQuota.FreeTierOnly", "The free quota is used up: switch paid use on in the provider's console."),
    ("AccessDenied", "The key may not use this model at this address: check the model, the region and WAN_BASE_URL."),
    ("Throttling", "Wait a little: running tasks go on."),
    (NO_PICTURE, "Run the cell again, with another seed or prompt. A task without a picture costs nothing."),
)


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
class ServiceFault:
    """An error in the service's own words; falsy if the service named none."""

    code: str = ""
    message: str = ""
    request_id: str = ""

    def __bool__(self) -> bool:
        return bool(self.code or self.message)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, self.message) if part)

    @property
    def hint(self) -> str:
        """What to do about an error of this code; empty for a code that is not known."""
        code = plain_code(self.code)
        return next((hint for start, hint in _HINTS if code.startswith(plain_code(start))), "")


@dataclass(frozen=True)
class TaskState:
    """A task as one reply shows it; what the reply did not say is empty or None.

    ``missing_reasons`` are the service's words for pictures that it withheld from an otherwise successful task.
    ``duration_s`` is the server's own (end − submit, one clock); the two texts are its times as it wrote them, without
    a zone. ``created_at`` is in Unix seconds. ``prompt`` and ``model`` are there if a task list gives them.
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
class Timeouts:
    """Limits in seconds; every API call has an overall deadline, since a trickle of bytes trips no read timeout.

    A submit's deadline is ``submit_s`` and its body's time at ``upload_bytes_per_s``. A download has no deadline, but
    must move ``min_bytes_per_s`` in each ``stall_window_s``.
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


# Reading JSON: nothing here raises; what cannot be read is empty or None ----------------------------------------------

MESSAGE_MAX_CHARS: Final = 500
NAME_MAX_CHARS: Final = 256
COST_MAX_USD: Final = 1_000_000
NESTING_MAX: Final = 50
"""No documented reply nests deeper than 10; what lies below this is dropped."""

_NO_ERROR: Final = frozenset({"", "0", "200", "ok", "success"})
_CODE_FIELDS: Final = ("code", "error_code", "error_type")
_MESSAGE_FIELDS: Final = ("message", "error_message", "msg", "detail")
_URL_FIELDS: Final = ("url", "image", "image_url", "video", "video_url")

ADDRESSES: Final = frozenset(_URL_FIELDS)
IDS: Final = frozenset({"id", "task_id", "taskId"})

# Values ---------------------------------------------------------------------------------------------------------------


def parse_json(text: str) -> Any:
    """Parse a reply into values that can be stored: no NUL, no lone surrogates, no NaN. None if it is not JSON."""
    try:
        return change_texts(json.loads(text, parse_constant=lambda _: None, parse_float=number), _storable)
    except (ValueError, RecursionError):  # also a number of absurdly many digits
        return None


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def change_texts(
    value: Any,
    change: Callable[[str], str],
    *,
    fields: Mapping[str, Callable[[str], str]] = MappingProxyType({}),
    depth: int = NESTING_MAX,
) -> Any:
    """Return a JSON value with every text in it changed, names of fields too; ``fields`` have a change of their own."""
    match value:
        case str():
            return change(value)
        case list() | dict() if depth <= 0:
            return None
        case list():
            return [change_texts(item, change, fields=fields, depth=depth - 1) for item in value]
        case dict():
            return {
                change(name): fields[name](item)
                if name in fields and isinstance(item, str)
                else change_texts(item, change, fields=fields, depth=depth - 1)
                for name, item in value.items()
            }
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is, and an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return a JSON array as it is, an object as an array of one, and an empty array for everything else."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def first_line(body: Mapping[str, Any], *names: str, max_chars: int = NAME_MAX_CHARS) -> str:
    """Return the first of several fields that holds a text or a number, as one safe line; empty if none does."""
    values = [body.get(name) for name in names]
    texts = [str(value) for value in values if isinstance(value, str | int | float) and not isinstance(value, bool)]
    return next((line for text in texts if (line := one_line(text[: 4 * max_chars], max_chars))), "")


def number(value: Any) -> float | None:
    """Read a finite number, also one that is written as a text."""
    try:
        found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def fraction(value: Any) -> float | None:
    """Read a progress of 0.0–1.0."""
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None


def unix_seconds(value: Any) -> int | None:
    """Read a Unix time in seconds, or in milliseconds as DashScope's task list writes it."""
    found = number(value)
    if found is None or not 0 < found < 1e14:
        return None
    return int(found / 1000 if found > 1e11 else found)


def seconds_between(start: Any, end: Any) -> float | None:
    """Subtract two times of one clock, written without a zone (WAN_API §3); None if they cross or cannot be read."""
    try:
        begun, ended = (datetime.fromisoformat(str(value)).replace(tzinfo=UTC) for value in (start, end))
    except ValueError:
        return None
    passed_s = (ended - begun).total_seconds()
    return passed_s if passed_s >= 0 else None


def cost_usd(usage: Mapping[str, Any]) -> Decimal | None:
    """Read ``usage.cost`` (WAN_API §2: a decimal string in USD); None for another currency or what no price can be."""
    amount = to_decimal(usage.get("cost")) if first_line(usage, "currency").upper() in ("", "USD", "$") else None
    return amount if amount is not None and amount < COST_MAX_USD and len(f"{amount:f}") <= 30 else None


# Tasks and errors -----------------------------------------------------------------------------------------------------


def read_items(items: Any) -> tuple[list[Output], list[ServiceFault]]:
    """Read a result's items in order: pictures, videos and texts, and the reasons for pictures that are missing."""
    outputs: list[Output] = []
    reasons: list[ServiceFault] = []
    for item in [{"text": items}] if isinstance(items, str) else sequence(items):
        found = mapping(item)
        values = [mapping(found.get(name)).get("url", found.get(name)) for name in _URL_FIELDS]
        url = next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")
        text = found.get("text")
        if url:
            is_video = first_line(found, "type").startswith("video") or "video" in found or "video_url" in found
            remote_id = first_line(found, "jobId", "job_id", "id")
            outputs.append(Output("video" if is_video else "image", url=url, remote_id=remote_id))
        elif isinstance(text, str) and text:
            outputs.append(Output("text", text=text))
        elif fault := read_refusal(found):
            reasons.append(fault)
    return outputs, reasons


def read_state(
    reply: Mapping[str, Any],
    raw_status: str,
    known: Mapping[str, Phase],
    results: tuple[list[Output], list[ServiceFault]],
    **fields: Any,
) -> TaskState | None:
    """Read what became of a task; None if a reply has neither a status nor a picture, and so says nothing about it.

    An unknown status beside a usable picture address is finished, beside an error it is failed, otherwise the task is
    still running; a known success without any picture is a failure (WAN_API §2). ``reply`` is searched for the error,
    ``fields`` are the other fields of the state.
    """
    outputs, reasons = results
    refusal = read_refusal(reply)
    phase = known.get(raw_status.lower())
    error = ServiceFault()
    if phase is None and any(output.url.lower().startswith(("http://", "https://")) for output in outputs):
        phase = Phase.SUCCEEDED
    elif phase is None and raw_status:
        phase = Phase.FAILED if refusal else Phase.RUNNING
    if phase is Phase.SUCCEEDED and not any(output.url for output in outputs):
        phase = Phase.FAILED
        nothing = ServiceFault(NO_PICTURE, "The service reports success, but no picture came.")
        error = refusal or next(iter(reasons), nothing)
    elif phase is Phase.SUCCEEDED and refusal:
        reasons = [*reasons, refusal]
    elif phase in (Phase.FAILED, Phase.CANCELLED, Phase.UNKNOWN):
        error = read_fault(reply)
    if phase is None:
        return None
    return TaskState(
        phase=phase,
        raw_status=raw_status,
        outputs=tuple(outputs),
        missing_reasons=tuple(map(str, reasons)) if phase is Phase.SUCCEEDED else (),
        error_code=error.code,
        error_message=error.message,
        error_hint=error.hint,
        **fields,
    )


def read_fault(body: Any, http_status: int | None = None) -> ServiceFault:
    """Read an error of any form that WAN_API §2 and §3 show; everything it says becomes part of the message."""
    found = mapping(body)
    error = found.get("error", body if isinstance(body, str) else None)
    inner = mapping(error)
    layers = [inner, found, *(mapping(found.get(name)) for name in ("status", "provider_error", "output"))]
    layers.append(mapping(inner.get("provider_error")))
    codes = [first_line(layer, name) for name in _CODE_FIELDS for layer in layers] + [first_line(inner, "type")]
    messages = [first_line({"error": error}, "error", max_chars=MESSAGE_MAX_CHARS)]
    messages += [first_line(layer, *_MESSAGE_FIELDS, max_chars=MESSAGE_MAX_CHARS) for layer in layers]
    no_news = {*_NO_ERROR, str(http_status)}  # the HTTP status is shown anyway
    codes = list(dict.fromkeys(code for code in codes if code.lower() not in no_news))
    messages = list(dict.fromkeys(message for message in messages if message.lower() not in _NO_ERROR))
    message = "; ".join(messages) + (f" [{', '.join(codes[1:])}]" if len(codes) > 1 else "")
    request_id = next((id_ for layer in layers if (id_ := first_line(layer, "request_id", "requestId"))), "")
    return ServiceFault(codes[0] if codes else "", one_line(message, MESSAGE_MAX_CHARS), request_id)


def read_refusal(body: Any) -> ServiceFault | None:
    """Read the error in a reply that may be a success; None if it names none."""
    found = mapping(body)
    fault = read_fault(found)
    return fault if fault and (found.get("error") or found.get("provider_error") or fault.code) else None


def find_quoted(partial: str, *names: str) -> str:
    """Find the complete value of a text field in a JSON text that was cut; empty if it is not there whole."""
    for name in names:
        if match := re.search(rf'"{name}"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:-]{{3,127}})"', partial):
            return match[1]
    return ""


def read_base_url(url: str) -> str:
    """Check a base URL and return its scheme, host, port and path. Raises ``SettingsError``."""
    try:
        parts = httpx.URL(url.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.host) and 0 < (parts.port or 1) < 2**16
    except httpx.InvalidURL:
        is_usable = False
    if not is_usable:
        hint = "Set WAN_BASE_URL to something like https://host or http://127.0.0.1:8000, or leave it out."
        raise SettingsError(f"The base URL {one_line(url, 100)!r} is not an http(s) address.", hint=hint)
    if parts.userinfo:
        raise SettingsError("The base URL contains a user name or password.", hint="Leave it out: the key suffices.")
    return str(parts.copy_with(query=None, fragment=None)).rstrip("/")
