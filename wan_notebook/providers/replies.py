"""From an HTTP reply to what it means: the state of a task, or the error that a person can act on.

Reading never raises: what cannot be read is empty or None. Unmasked texts are kept in no variable of a function that
raises: a debugger shows those, and a service may echo the key.
"""

import json
import logging
import math
import re
import zlib
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final, Literal, cast

import httpx

from .. import errors
from ..models import DASHSCOPE_REGIONS
from ..money import to_decimal
from ..text import KeyMask, one_line, plain_code

log = logging.getLogger(__name__)

JSON_MAX_BYTES: Final = 1024 * 1024
OUTPUTS_MAX: Final = 100
"""Pictures and paragraphs of one task; no model makes more than 12 pictures, and a disk is soon full."""
MESSAGE_MAX_CHARS: Final = 500
_URL_FIELDS: Final = ("url", "image", "video")
_EXACT: Final = frozenset({*_URL_FIELDS, "id", "task_id"})
"""Texts that lose their use if a word that merely looks like a key is masked in them."""

_NO_ERROR: Final = frozenset({"", "0", "200", "ok", "success"})
_CLASSES: Final[Mapping[int, type[errors.ServiceError]]] = {
    401: errors.AuthError,
    402: errors.ForbiddenError,
    403: errors.ForbiddenError,
    429: errors.RateLimitError,
}

NO_PICTURE: Final = "no_picture"
"""``TaskState.error_code`` of a task that its service calls finished and that has no picture."""

_HINTS: Final = {
    "InternalError": "The service failed, not the request: run the cell again. A failed task costs nothing.",
    "DataInspectionFailed": "The service's content check refused it: change the prompt or the picture.",
    "Arrearage": "The account has an unpaid bill: settle it in the provider's console.",
    "AllocationQuota.FreeTierOnly": "The free quota is used up: switch paid use on in the provider's console.",
    "AccessDenied": "The key may not use this model at this address: check the model, the region and WAN_BASE_URL.",
    "ModelNotFound": "Not every model is served everywhere: check the region and WAN_BASE_URL, or use another --model.",
    NO_PICTURE: "Run the cell again, with another seed or prompt. A task without a picture costs nothing.",
    "401": f"A key belongs to one service and region ({', '.join(DASHSCOPE_REGIONS)}): `%wan login` stores another.",
    "413": "Send fewer or smaller pictures.",
    **dict.fromkeys(("402", "403"), "Check the account's balance, and that the key may use this model."),
    **dict.fromkeys(("Throttling", "429"), "Wait a little: running tasks go on."),
}


def hint_for(*codes: str) -> str:
    """Return what to do about an error, by the first code or HTTP status of which something is known."""
    known = {plain_code(start): hint for start, hint in _HINTS.items()}
    found = ((plain_code(code), start) for code in codes for start in known)
    fits = (start for code, start in found if code == start or (code.startswith(start) and not start.isdigit()))
    return next((known[start] for start in fits), "")


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
    ``is_named`` says that the reply itself names this task: an error that does not may be about something else.
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
    is_named: bool = True

    @property
    def files(self) -> tuple[Output, ...]:
        """The pictures and videos to download, without the text between them."""
        return tuple(output for output in self.outputs if output.kind != "text")


# Values ---------------------------------------------------------------------------------------------------------------


def parse_json(text: str, mask: KeyMask) -> Any:
    """Parse JSON into values that can be stored and shown: no key, NUL, lone surrogate or NaN. None if it is not."""

    def clean(value: Any, depth: int, name: str = "") -> Any:
        match value:
            case str():
                storable = value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
                return mask.hide(storable) if name in _EXACT else mask.mask(storable)
            case list() | dict() if depth <= 0:
                return None
            case list():
                return [clean(item, depth - 1) for item in value]
            case dict():
                return {clean(key, depth): clean(item, depth - 1, key) for key, item in value.items()}
        return value

    try:
        # No documented reply nests deeper than 10; what lies below 50 is dropped.
        return clean(json.loads(text, parse_constant=lambda _: None, parse_float=number, parse_int=_integer), 50)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < 4000 else None  # Python reads no longer ones


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """Return the JSON object that lies at a path of fields; an empty one if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return a JSON array as it is, an object as an array of one, and an empty array for everything else."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def first_line(body: Mapping[str, Any], *names: str, max_chars: int = 256) -> str:
    """Return the first of several fields that holds a text or a number, as one safe line; empty if none does."""
    values = [body.get(name) for name in names]
    texts = [str(value) for value in values if isinstance(value, str | int | float)]
    return next((line for text in texts if (line := one_line(text[: 4 * max_chars], max_chars))), "")


def number(value: Any) -> float | None:
    """Read a finite number, also one that is written as a text."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def seconds_between(start: Any, end: Any) -> float | None:
    """Subtract two times of one clock, written without a zone (WAN_API §3); None if they cross or cannot be read."""
    with suppress(ValueError, TypeError):
        passed_s = (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()
        return passed_s if passed_s >= 0 else None
    return None


def cost_usd(usage: Mapping[str, Any]) -> Decimal | None:
    """Read ``usage.cost`` (WAN_API §2: a decimal string in USD); None for another currency or what no price can be."""
    amount = to_decimal(usage.get("cost")) if first_line(usage, "currency").upper() in ("", "USD", "$") else None
    return amount if amount is not None and amount < 1_000_000 and len(f"{amount:f}") <= 30 else None


def read_base_url(url: str) -> str:
    """Check a base URL and return its scheme, host, port and path. Raises ``SettingsError``."""
    try:
        parts = httpx.URL(url.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.host) and 0 < (parts.port or 1) < 2**16
    except httpx.InvalidURL:
        is_usable = False
    if not is_usable or parts.userinfo:
        shown = one_line(url, 100) if "@" not in url else "with a user name or password"
        hint = "Set WAN_BASE_URL to something like https://host or http://127.0.0.1:8000, or leave it out."
        raise errors.SettingsError(f"The base URL {shown!r} is not an http(s) address.", hint=hint)
    return str(parts.copy_with(query=None, fragment=None)).rstrip("/")


# Tasks and errors -----------------------------------------------------------------------------------------------------


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


def read_items(items: Any) -> tuple[list[Output], list[ServiceFault]]:
    """Read a result's items in order: pictures, videos and texts, and the reasons for pictures that are missing."""
    outputs: list[Output] = []
    reasons: list[ServiceFault] = []
    for found in map(mapping, sequence(items)):
        urls = [found.get(name) for name in _URL_FIELDS]
        url = next((value.strip() for value in urls if isinstance(value, str) and value.strip()), "")
        text = found.get("text")
        if url:
            is_video = first_line(found, "type").startswith("video") or bool(found.get("video"))
            outputs.append(Output("video" if is_video else "image", url=url, remote_id=first_line(found, "jobId")))
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
    outputs, reasons = results[0][:OUTPUTS_MAX], results[1]
    refusal, error = read_refusal(reply), ServiceFault()
    is_usable = any(output.url.lower().startswith(("http://", "https://")) for output in outputs)
    judged = Phase.SUCCEEDED if is_usable else Phase.FAILED if refusal else Phase.RUNNING
    phase = known.get(raw_status.lower(), judged)
    if not raw_status and not is_usable:
        return None
    if phase is Phase.SUCCEEDED and not any(output.url for output in outputs):
        phase = Phase.FAILED
        error = refusal or next(iter(reasons), ServiceFault(NO_PICTURE, "The task is over, but no picture came."))
    elif phase in (Phase.FAILED, Phase.CANCELLED, Phase.UNKNOWN):
        error = read_fault(reply)
    return TaskState(
        phase=phase,
        raw_status=raw_status,
        outputs=tuple(outputs),
        missing_reasons=tuple(str(why) for why in (*reasons, refusal) if why) if phase is Phase.SUCCEEDED else (),
        error_code=error.code,
        error_message=error.message,
        error_hint=hint_for(error.code),
        **fields,
    )


def read_fault(body: Any, http_status: int | None = None) -> ServiceFault:
    """Read an error of any form that WAN_API §2 and §3 show; everything it says becomes part of the message."""
    found = mapping(body)
    error = found.get("error", body if isinstance(body, str) else None)
    paths = [("error",), (), ("status",), ("provider_error",), ("output",), ("error", "provider_error")]
    layers = [mapping(found, *path) for path in paths]
    names = ("code", "error_code", "error_type")
    codes = [first_line(layer, name) for name in names for layer in layers] + [first_line(layers[0], "type")]
    said = ("message", "error_message", "msg", "detail")
    messages = [first_line({"error": error}, "error", max_chars=MESSAGE_MAX_CHARS)]
    messages += [first_line(layer, *said, max_chars=MESSAGE_MAX_CHARS) for layer in layers]
    # The HTTP status is shown anyway.
    codes = list(dict.fromkeys(code for code in codes if code.lower() not in {*_NO_ERROR, str(http_status)}))
    messages = list(dict.fromkeys(message for message in messages if message.lower() not in _NO_ERROR))
    message = "; ".join(messages) + (f" [{', '.join(codes[1:])}]" if len(codes) > 1 else "")
    request_id = next((id_ for layer in layers if (id_ := first_line(layer, "request_id"))), "")
    return ServiceFault(codes[0] if codes else "", one_line(message, MESSAGE_MAX_CHARS), request_id)


def read_refusal(body: Any) -> ServiceFault | None:
    """Read the error in a reply that may be a success; None if it names none."""
    found = mapping(body)
    fault = read_fault(found)
    return fault if fault and (found.get("error") or found.get("provider_error") or fault.code) else None


# Replies --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """An HTTP reply as far as it came, without the key; ``cut`` says why it is incomplete, empty if it is whole.

    ``body`` is its JSON; what is cut or not JSON has None there and is kept in ``text``.
    """

    host: str
    http_status: int
    headers: httpx.Headers = field(repr=False)
    body: Any
    text: str
    cut: str

    @property
    def is_page(self) -> bool:
        """Whether it is HTML or XML, which no API call is answered with."""
        return self.text.lstrip()[:1] == "<" or "html" in self.headers.get("content-type", "").lower()

    @property
    def fault(self) -> ServiceFault:
        """What the service says in an error reply."""
        if self.is_page:
            return ServiceFault(message="The service answered with a web page instead of data.")
        return read_fault(self.text if self.body is None else self.body, self.http_status)

    def checked(self) -> "Reply":
        """Return this reply if its status is 2xx; else raise the error that the status means."""
        if 200 <= self.http_status < 300:
            return self
        if self.http_status >= 400:
            raise self._service_error(self.fault, self.http_status)
        what = "redirected the request; that is not followed, since the key would go along"
        raise self.unexpected(what, "Set WAN_BASE_URL to the address that the service has now.")

    def error_in_success(self) -> errors.ServiceError | None:
        """Return the error inside a reply with status 2xx (WAN_API §2); None if it names none."""
        fault = None if self.is_page else read_refusal(self.body)
        if not fault:
            return None
        known = {"401": 401, "402": 402, "403": 403, "404": 404, "429": 429, "invalidapikey": 401}
        return self._service_error(fault, known.get(plain_code(fault.code)))

    def unreadable(self, wanted: str) -> errors.UnexpectedReplyError:
        """Return the error for a reply with status 2xx that is cut, not JSON, or does not say what was asked."""
        why = f"the answer was cut off ({self.cut.rstrip('.')})" if self.cut else self.fault.message.rstrip(".")
        hint = "A proxy or a login page of the network may stand between." if self.is_page else ""
        error = self.unexpected(f"sent no {wanted}" + (f": {why}" if why else ""), hint)
        found = re.search(r'"(?:task_)?id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:-]{3,127})"', self.text)
        error.salvaged_task_id = found[1] if found else ""
        return error

    def unexpected(self, what: str, hint: str = "") -> errors.UnexpectedReplyError:
        """Return the error for a reply that does what it should not."""
        log.debug("%s %s; the reply begins %r", self.host, what, self.text[:200])
        return errors.UnexpectedReplyError(f"{self.host} {what}.", http_status=self.http_status, hint=hint)

    def _service_error(self, fault: ServiceFault, status: int | None) -> errors.ServiceError:
        is_throttled = plain_code(fault.code).startswith(("throttling", "ratelimit"))
        status = status or (429 if is_throttled else 0)
        usual = errors.RateLimitError if is_throttled else errors.InvalidRequestError
        kind, wait_s = _CLASSES.get(status, errors.ServerError if status >= 500 else usual), retry_after_s(self.headers)
        hint = f"Wait {wait_s:.0f} s." if wait_s else hint_for(fault.code, str(status))
        refused = "The service failed." if kind is errors.ServerError else "The service refused the request."
        return kind(
            fault.message or refused,
            code=fault.code,
            request_id=fault.request_id,
            http_status=status or None,
            retry_after_s=wait_s,
            hint=hint,
            is_page=self.is_page,
        )


def unpack(data: bytes, headers: httpx.Headers) -> tuple[bytes, str]:
    """Undo at most one layer of gzip, up to ``JSON_MAX_BYTES``; return the bytes, and what is wrong with them."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        try:
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, JSON_MAX_BYTES + 1)
        except zlib.error:
            return b"", "it cannot be unpacked"
    elif encoding not in ("", "identity"):
        return b"", "it is packed in a way that is not read here"
    too_large = f"it is larger than {JSON_MAX_BYTES:,} bytes, the most that is read"
    return data[:JSON_MAX_BYTES], too_large if len(data) > JSON_MAX_BYTES else ""


def raw_chunks(response: httpx.Response) -> AsyncIterable[bytes]:
    """Return a reply's bytes as they come, still packed if the server packed them."""
    return cast("httpx.AsyncByteStream", response.stream)


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Read ``Retry-After``: seconds, or a date measured against the server's own clock if it gives one."""
    wait_s = number(headers.get("retry-after"))
    if wait_s is None:
        with suppress(ValueError, TypeError, IndexError, OverflowError):  # TypeError: one of them has no zone
            now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
            wait_s = (parsedate_to_datetime(headers.get("retry-after", "")) - now).total_seconds()
    return None if wait_s is None else max(0.0, wait_s)
