"""From an HTTP reply to what it means: JSON, or the error that a person can act on.

Unmasked texts of replies are kept in no variable of a function that raises: a debugger shows those, and a service may
echo the key.
"""

import logging
import math
import time
import zlib
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import httpx

from ..errors import (
    AuthError,
    ForbiddenError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    ServiceError,
    UnexpectedReplyError,
)
from ..text import KeyMask, plain_code
from .base import ADDRESSES, IDS, ServiceFault, change_texts, find_quoted, parse_json, read_fault, read_refusal

log = logging.getLogger(__name__)

JSON_MAX_BYTES: Final = 1024 * 1024
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CLASSES: Final = {401: AuthError, 402: ForbiddenError, 403: ForbiddenError, 429: RateLimitError}
_NO_MESSAGE: Final = {401: "The service does not accept the key.", 429: "Too many requests."}
_HINTS: Final = {
    402: "Check the account's balance, and that the key may use this model.",
    403: "Check the account's balance, and that the key may use this model.",
    413: "Send fewer or smaller pictures.",
    429: "Wait a little; running tasks go on.",
}


@dataclass(frozen=True)
class Reply:
    """An HTTP reply as far as it came; ``cut`` says why it is incomplete, empty if it is whole."""

    host: str
    http_status: int
    headers: httpx.Headers = field(repr=False)
    data: bytes = field(repr=False)
    cut: str
    mask: KeyMask

    @property
    def text(self) -> str:
        """The body as text, without the key."""
        return self.mask.mask(self.data.decode("utf-8", "replace"))

    @property
    def body(self) -> Any:
        """The JSON without the key, but in addresses: a masked one would lose the picture."""
        whole = None if self.cut else parse_json(self.data.decode("utf-8-sig", "replace"))
        fields: dict[str, Callable[[str], str]] = {
            **dict.fromkeys(ADDRESSES, str),
            **dict.fromkeys(IDS, self.mask.hide),
        }
        return change_texts(whole, self.mask.mask, fields=fields)

    @property
    def is_page(self) -> bool:
        """Whether it is HTML or XML, which no API call is answered with."""
        return self.data.lstrip()[:1] == b"<" or "html" in self.headers.get("content-type", "").lower()

    @property
    def request_id(self) -> str:
        """The request id in the headers, empty if there is none."""
        found = self.headers.get("x-request-id") or self.headers.get("x-dashscope-request-id", "")
        return self.mask.mask(found) if found.isprintable() else ""

    @property
    def fault(self) -> ServiceFault:
        """What the service says in an error reply."""
        if self.is_page:
            return ServiceFault(message="The service answered with a web page instead of data.")
        body = self.body
        return read_fault(self.text if body is None else body, self.http_status)


def unpack(data: bytes, headers: httpx.Headers) -> tuple[bytes, str]:
    """Undo at most one layer of gzip, up to ``JSON_MAX_BYTES``; return the bytes, and what is wrong with them."""
    encoding = headers.get("content-encoding", "").strip().lower()
    problem = ""
    if encoding in ("gzip", "x-gzip"):
        try:
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, JSON_MAX_BYTES + 1)
        except zlib.error:
            problem = "it cannot be unpacked"
    elif encoding not in ("", "identity"):
        problem = "it is packed in a way that is not read here"
    if len(data) > JSON_MAX_BYTES:
        problem = f"it is larger than {JSON_MAX_BYTES:,} bytes, the most that is read"
    return data[:JSON_MAX_BYTES], problem


def error_of(reply: Reply, key_hint: str) -> ServiceError | None:
    """Return the error that a reply's status means; None for 2xx."""
    if 200 <= reply.http_status < 300:
        return None
    if 400 <= reply.http_status < 600:
        return _service_error(reply.fault, reply.http_status, reply, key_hint)
    what, hint = "answered with a status that does not exist", ""
    if 300 <= reply.http_status < 400:
        what = "redirected the request; that is not followed, since the key would go along"
        hint = "Set WAN_BASE_URL to the address that the service has now."
    return _unexpected(reply, what, hint)


def error_in_success(reply: Reply, key_hint: str) -> ServiceError | None:
    """Return the error inside a reply with status 2xx (WAN_API §2); None if it names none."""
    fault = None if reply.is_page else read_refusal(reply.body)
    if not fault:
        return None
    is_status = fault.code.isascii() and fault.code.isdigit() and len(fault.code) == 3
    status = int(fault.code) if is_status else 401 if plain_code(fault.code) == "invalidapikey" else 0
    if status in _CLASSES or status == 404 or _is_throttled(fault):
        return _service_error(fault, status or 429, reply, key_hint)
    message = fault.message or "The service did not accept the task."
    return InvalidRequestError(
        message, code=fault.code, request_id=fault.request_id or reply.request_id, hint=fault.hint
    )


def unreadable(reply: Reply, *, wanted: str, id_names: tuple[str, ...] = ()) -> UnexpectedReplyError:
    """Return the error for a reply with status 2xx that is cut, no JSON, or does not say what was asked.

    ``id_names`` are the fields in which a task's id is looked for.
    """
    if reply.cut:
        error = _unexpected(
            reply, f"sent an answer that was cut off after {len(reply.data):,} bytes ({reply.cut.rstrip('.')})"
        )
    elif reply.is_page:
        hint = "A proxy or a login page of the network may stand between."
        error = _unexpected(reply, "answered with a web page instead of data", hint)
    else:
        said = reply.fault.message
        error = _unexpected(reply, f"sent no {wanted}" + (f"; it says: {said}" if said else ""))
    error.salvaged_task_id = find_quoted(reply.mask.hide(reply.data.decode("utf-8", "replace")), *id_names)
    return error


def _unexpected(reply: Reply, what: str, hint: str = "") -> UnexpectedReplyError:
    log.debug("%s %s; the reply begins %r", reply.host, what, reply.text[:200])
    return UnexpectedReplyError(
        f"{reply.host} {what}.",
        http_status=reply.http_status,
        request_id=reply.request_id,
        hint=hint,
    )


def _service_error(fault: ServiceFault, status: int, reply: Reply, key_hint: str) -> ServiceError:
    kind: type[ServiceError] = ServerError if status >= 500 else _CLASSES.get(status, InvalidRequestError)
    if status < 500 and _is_throttled(fault):
        kind = RateLimitError
    wait_s = retry_after_s(reply.headers)
    hint = key_hint if status == 401 else f"Wait {wait_s:.0f} s." if wait_s else fault.hint or _HINTS.get(status, "")
    refused = "The service failed." if status >= 500 else "The service refused the request."
    return kind(
        fault.message or _NO_MESSAGE.get(status, refused),
        code=fault.code,
        request_id=fault.request_id or reply.request_id,
        http_status=status,
        retry_after_s=wait_s,
        hint=hint,
        is_page=reply.is_page,
    )


def _is_throttled(fault: ServiceFault) -> bool:
    return plain_code(fault.code).startswith(("throttling", "ratelimit"))


def raw_chunks(response: httpx.Response) -> AsyncIterable[bytes]:
    """Return a reply's bytes as they come, still packed if the server packed them."""
    return cast("httpx.AsyncByteStream", response.stream)


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Read ``Retry-After``: seconds, or a date measured against the server's own clock if it gives one."""
    value = headers.get("retry-after", "")
    try:
        wait_s = float(value)
    except ValueError:
        until, server_now = _http_time(value), _http_time(headers.get("date", ""))
        if until is None:
            return None
        wait_s = until - (time.time() if server_now is None else server_now)
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def _http_time(value: str) -> float | None:
    try:
        found: datetime = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
