"""The one exception of the simulator's services, and the codes it carries (WAN_API §2, §3)."""

from __future__ import annotations

INVALID_PARAMETER = "InvalidParameter"
INVALID_KEY = "InvalidApiKey"
ACCESS_DENIED = "AccessDenied"
RATE_LIMITED = "Throttling.RateQuota"
NOT_FOUND = "NotFound"
UNSUPPORTED = "UnsupportedOperation"
INTERNAL = "InternalError"

GATEWAY_CODES = {
    INVALID_PARAMETER: "invalid_request",
    INVALID_KEY: "invalid_api_key",
    ACCESS_DENIED: "permission_denied",
    RATE_LIMITED: "rate_limit_exceeded",
    NOT_FOUND: "not_found",
    UNSUPPORTED: "unsupported_operation",
    INTERNAL: "internal_error",
}


class ApiError(Exception):
    """Refuse a request: an HTTP status, DashScope's error code, and words that name the field."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def invalid(field: str, problem: str) -> ApiError:
    """Make the 400 for one field of a request."""
    return ApiError(400, INVALID_PARAMETER, f"{field}: {problem}")


def shown(value: object, most: int = 80) -> str:
    """Write a wrong value for an error message, shortened."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
