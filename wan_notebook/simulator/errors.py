"""The errors that the simulated services answer with (WAN_API §2, §3)."""

import re
from collections.abc import Mapping

ERRORS: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "current user api does not support asynchronous calls"),
    "AllocationQuota.FreeTierOnly": (403, "The free tier of the model has been exhausted."),
    "Arrearage": (400, "Access denied, please make sure your account is in good standing."),
    "DataInspectionFailed": (400, "Input data may contain inappropriate content."),
    "InternalError.Algo": (500, "inference error"),
    "TaskCanceled": (400, "The task was canceled."),
    "Throttling.AllocationQuota": (429, "Too many tasks in process, please try again later."),
    "Throttling.BurstRate": (429, "Request rate increased too quickly, please try again later."),
    "Throttling.RateQuota": (429, "Requests rate limit exceeded, please try again later."),
}
"""Of each code: DashScope's HTTP status, and what the services say."""

_OTHER = (400, "An internal error has occurred, please try again later or contact service support.")


class ApiError(Exception):
    """A refused request: an HTTP status, DashScope's code, and a message that names the field."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def gateway_code(code: str) -> str:
    """Return the gateway's word for a code: `invalid_parameter` for `InvalidParameter`."""
    return re.sub(r"\.|(?<=[a-z])(?=[A-Z])", "_", code).lower()


def message_of(code: str) -> str:
    """Return what a service says beside a code."""
    return ERRORS.get(code, _OTHER)[1]


def refusal(code: str) -> ApiError:
    """Return the error with which a submit or a query of an account is refused."""
    status, message = ERRORS.get(code, _OTHER)
    return ApiError(status, code, message)


def invalid(field: str, problem: str) -> ApiError:
    """Return the 400 for one field of a request."""
    return ApiError(400, "InvalidParameter", f"{field}: {problem}")


def require(is_allowed: bool, field: str, problem: str) -> None:
    """Raise the 400 for a field unless its value is allowed."""
    if not is_allowed:
        raise invalid(field, problem)
