"""The services that make pictures: one client for all, a dialect for each. The single home of API drift."""

from ..settings import IN_PROCESS_URL
from .base import NO_PICTURE, Call, Output, Phase, Submitted, TaskState, Timeouts
from .dialects import dialect_for
from .http import ClientPool, ServiceClient

__all__ = [
    "IN_PROCESS_URL",
    "NO_PICTURE",
    "Call",
    "ClientPool",
    "Output",
    "Phase",
    "ServiceClient",
    "Submitted",
    "TaskState",
    "Timeouts",
    "dialect_for",
]
