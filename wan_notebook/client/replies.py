"""From an answer to what it means: JSON, or the error that a person can act on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from wan_notebook import catalog as c
from wan_notebook.errors import (
    AuthError,
    ForbiddenError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    ServiceError,
    UnexpectedReplyError,
)
from wan_notebook.wire import Dialect, ServiceFault

from .network import Reply, origin

log = logging.getLogger(__name__)

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REQUEST_ID_HEADERS: Final = ("x-request-id", "x-dashscope-request-id")
_TOO_LARGE: Final = 413


@dataclass(frozen=True)
class Reader:
    """Reads answers of one service; every text that becomes part of an error goes through ``mask`` first.

    ``key_from`` says where the key was found, for the one who has to change it.
    """

    dialect: Dialect
    host: str
    mask: Callable[[str], str]
    wall_clock: Callable[[], float]
    key_from: str = ""

    def body_of(self, reply: Reply) -> Any:
        """Return the body's JSON; None if it is none or was cut.

        Callers that may raise keep it in no variable: a debugger shows those, and a service may echo the key.
        """
        return None if reply.cut else _parse(_text_of(reply))

    def masked_body_of(self, reply: Reply) -> Any:
        """Return the same with the key masked in every text, for what is shown or recorded."""
        try:
            return None if reply.cut else _masked(_parse(_text_of(reply)), self.mask)
        except RecursionError:
            return None

    def shows_key(self, reply: Reply) -> bool:
        """Tell whether an answer holds the key."""
        text = _text_of(reply)
        return self.mask(text) != text

    def request_id_of(self, reply: Reply) -> str:
        """Return the request id that the headers give, empty if none."""
        found = next((value for name in _REQUEST_ID_HEADERS if (value := reply.headers.get(name))), "")
        return self.mask(found) if found.isprintable() else ""

    def error_of(self, reply: Reply) -> ServiceError | None:
        """Return the error that an answer's status means; None for 2xx."""
        status = reply.http_status
        if 200 <= status < 300:
            return None
        text = self.mask(_text_of(reply))
        log.debug("HTTP %d from %s, %d bytes: %r", status, self.host, len(reply.data), text[:200])
        if not 400 <= status < 600:
            return self._unexpected_status(reply, text)
        fault = self._fault_of(text, status, reply)
        if status >= 500:
            kind: type[ServiceError] = ServerError
        else:
            kind = {401: AuthError, 402: ForbiddenError, 403: ForbiddenError, 429: RateLimitError}.get(
                status, InvalidRequestError
            )
        wait_s = retry_after_s(reply.headers.get("retry-after"), reply.headers.get("date"), self.wall_clock)
        return kind(
            fault.message or _DEFAULTS.get(status) or _DEFAULTS[status // 100],
            code=fault.code,
            request_id=fault.request_id,
            http_status=status,
            retry_after_s=wait_s,
            hint=self._hint(status, wait_s),
            is_page=is_page(reply, text),
        )

    def refused(self, reply: Reply) -> InvalidRequestError:
        """Return the error for a submit that failed inside a successful answer (WAN_API §2)."""
        fault = self._fault_of(self.mask(_text_of(reply)), reply.http_status, reply)
        message = fault.message or "The service did not accept the task."
        return InvalidRequestError(message, code=fault.code, request_id=fault.request_id)

    def unreadable(self, reply: Reply, *, wanted: str, salvage: bool = False) -> UnexpectedReplyError:
        """Return the error for a 2xx answer that is cut, no JSON, or says nothing of what was asked."""
        text = self.mask(_text_of(reply))
        if reply.cut:
            what = f"was cut after {len(reply.data):,} bytes ({self.mask(reply.cut).rstrip('.')})"
        elif is_page(reply, text):
            what = "is a web page"
        else:
            fault = self._fault_of(text, reply.http_status, reply)
            what = f"holds no {wanted}" + (f"; it says: {fault.message}" if fault.message else "")
        log.debug("answer of %s not understood: it %s; begins %r", self.host, what, text[:200])
        hint = "A proxy or a login page of the network may stand between." if "web page" in what else ""
        return UnexpectedReplyError(
            f"The answer of {self.host} {what}.",
            head=text[:200],
            http_status=reply.http_status,
            request_id=self.request_id_of(reply),
            salvaged_task_id=self.dialect.salvage_task_id(reply.data) if salvage else "",
            hint=hint,
        )

    def _unexpected_status(self, reply: Reply, text: str) -> UnexpectedReplyError:
        if 300 <= reply.http_status < 400:
            message = f"{self.host} redirected the request; that is not followed, since the key would go along."
            hint = "Set WAN_BASE_URL to the address that the service has now."
        else:
            message, hint = f"{self.host} answered with a status that does not exist.", ""
        return UnexpectedReplyError(
            message, head=text[:200], http_status=reply.http_status, request_id=self.request_id_of(reply), hint=hint
        )

    def _fault_of(self, text: str, status: int, reply: Reply) -> ServiceFault:
        if is_page(reply, text):
            fault = ServiceFault(message="The service answered with a web page instead of data.")
        else:
            body = _parse(text)
            fault = self.dialect.read_error(text if body is None else body, status)
        return ServiceFault(fault.code, fault.message, fault.request_id or self.request_id_of(reply))

    def _key_hint(self) -> str:
        if self.dialect.name == "dashscope":
            regions = ", ".join(c.DASHSCOPE_REGIONS)
            text = f"A key belongs to one region ({regions}); this is {self.host}. `%wan login` finds the right one."
        else:
            text = "`%wan login` stores another key; a key of another service or region is not accepted here."
        if not self.key_from:
            return text
        first = ", which comes before what `%wan login` stores: change or unset it" if self.key_from.isupper() else ""
        return f"The key came from {self.key_from}{first}. {text}"

    def _hint(self, status: int, wait_s: float | None) -> str:
        match status:
            case 401:
                return self._key_hint()
            case 402 | 403:
                return "Check the account's balance, and that the key may use this model."
            case 429:
                return f"Wait {wait_s:.0f} s." if wait_s else "Wait a little; running tasks go on."
            case _ if status == _TOO_LARGE:
                return "Send fewer or smaller pictures."
        return ""


_DEFAULTS: Final = {
    4: "The service refused the request.",
    5: "The service failed.",
    401: "The service does not accept the key.",
    429: "Too many requests.",
}
"""What is said when the service says nothing: by status, else by its first digit."""


def _text_of(reply: Reply) -> str:
    return reply.data.decode("utf-8", "replace").removeprefix("\ufeff")


def _parse(text: str) -> Any:
    # Too deep, or with absurdly long numbers, is no JSON either.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    match value:
        case str():
            return mask(value)
        case list():
            return [_masked(item, mask) for item in value]
        case dict():
            return {mask(name): _masked(item, mask) for name, item in value.items()}
    return value


def is_page(reply: Reply, text: str) -> bool:
    """Tell whether an answer is HTML or XML: never read any further."""
    return text.lstrip()[:1] == "<" or "html" in reply.headers.get("content-type", "").lower()


def same_origin_target(reply: Reply, url: str) -> str:
    """Return where a redirect leads if that is the same scheme, host and port, so that the key may go along."""
    if reply.http_status not in REDIRECTS or not (location := reply.headers.get("location", "")):
        return ""
    try:
        asked = httpx.URL(url)
        target = asked.join(location)
    except httpx.InvalidURL:
        return ""
    return str(target) if origin(target) == origin(asked) and not target.userinfo else ""


def retry_after_s(value: str | None, date: str | None, wall_clock: Callable[[], float]) -> float | None:
    """Read ``Retry-After`` in seconds: a number, or a date measured against the server's own clock if it gives one."""
    if not value:
        return None
    try:
        wait_s = float(value)
    except ValueError:
        until, now = http_time(value), http_time(date or "")
        if until is None:
            return None
        wait_s = until - (wall_clock() if now is None else now)
    return max(0.0, wait_s) if math.isfinite(wait_s) else None


def http_time(value: str) -> float | None:
    """Read a date of HTTP as unix seconds; None if it is none."""
    try:
        found: datetime = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
