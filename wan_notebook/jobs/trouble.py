"""From an error to the plain ``Fault`` that the retry policy decides on."""

from __future__ import annotations

from ..errors import (
    ConnectionLostError,
    DownloadError,
    NotSentError,
    RateLimitError,
    ServiceError,
    StoreError,
    UnexpectedReplyError,
    WanError,
)
from ..schedule import Fault, FaultKind

_NOT_SENT = {
    "refused": FaultKind.CONNECT_REFUSED,
    "dns": FaultKind.DNS,
    "tls": FaultKind.TLS,
}
_DOWNLOAD = {
    **_NOT_SENT,
    "truncated": FaultKind.TRUNCATED,
    "stalled": FaultKind.STALLED,
    "expired": FaultKind.EXPIRED_403,
    "gone": FaultKind.EXPIRED_403,
    "redirect": FaultKind.REDIRECT,
    "private": FaultKind.REDIRECT,
    "url": FaultKind.REDIRECT,
    "too_large": FaultKind.BOMB,
    "connect_timeout": FaultKind.TIMEOUT_BEFORE_SEND,
    "timeout": FaultKind.TIMEOUT_AFTER_SEND,
    "empty": FaultKind.BAD_BODY,
    "page": FaultKind.BAD_BODY,
    "not-image": FaultKind.NOT_AN_IMAGE,
    "corrupt": FaultKind.CORRUPT,
    "too-large": FaultKind.BOMB,
}
"""By ``DownloadError.kind``: the client's kinds, those of ``images.NotAPictureError``, and ``page``."""

# A code that says by itself that no task was made, whatever HTTP status carries it.
NOT_ACCEPTED_CODES = frozenset(
    {
        "throttling",
        "throttling.ratequota",
        "throttling.allocationquota",
        "throttling.burstrate",
        "invalidapikey",
        "invalidparameter",
        "arrearage",
        "accessdenied",
        "modelnotfound",
        "model_not_found",
        "datainspectionfailed",
    }
)


def fault_of(error: WanError, attempt: int) -> Fault:
    """Describe an error plainly."""
    match error:
        case NotSentError():
            return Fault(kind=_NOT_SENT.get(error.kind, FaultKind.TIMEOUT_BEFORE_SEND), attempt=attempt)
        case ConnectionLostError():
            kind = FaultKind.TIMEOUT_AFTER_SEND if error.kind == "timeout" else FaultKind.CONNECTION_LOST
            return Fault(kind=kind, attempt=attempt)
        case DownloadError():
            kind = _DOWNLOAD.get(error.kind, FaultKind.HTTP_STATUS if error.http_status else FaultKind.CONNECTION_LOST)
            return Fault(kind=kind, attempt=attempt, http_status=error.http_status, retry_after_s=error.retry_after_s)
        case StoreError():
            return Fault(kind=FaultKind.DISK_FULL, attempt=attempt)
        case UnexpectedReplyError():
            return _unexpected(error, attempt)
        case ServiceError():
            return _service(error, attempt)
        case _:
            return Fault(kind=FaultKind.BAD_BODY, attempt=attempt)


def _unexpected(error: UnexpectedReplyError, attempt: int) -> Fault:
    status = error.http_status or 200
    if 300 <= status < 400:
        return Fault(kind=FaultKind.REDIRECT, attempt=attempt, http_status=status)
    if status >= 400:
        return Fault(kind=FaultKind.HTTP_STATUS, attempt=attempt, http_status=status)
    return Fault(kind=FaultKind.BAD_BODY, attempt=attempt, http_status=status)


def _service(error: ServiceError, attempt: int) -> Fault:
    not_accepted = error.code.lower() in NOT_ACCEPTED_CODES
    kind = FaultKind.ERROR_OBJECT if (error.http_status or 0) < 300 else FaultKind.HTTP_STATUS
    status = 429 if isinstance(error, RateLimitError) else error.http_status
    return Fault(
        kind=kind,
        attempt=attempt,
        http_status=status,
        retry_after_s=error.retry_after_s,
        not_accepted_code=not_accepted,
    )
