"""The services that make pictures: one client for all, a dialect for each. The single home of API drift."""

from ..settings import IN_PROCESS_URL
from .base import NO_PICTURE, Call, Output, Phase, Submitted, TaskState, Timeouts
from .download import Downloaded
from .http import ClientPool, ServiceClient, dialect_for

__all__ = [
    "IN_PROCESS_URL",
    "NO_PICTURE",
    "Call",
    "ClientPool",
    "Downloaded",
    "Output",
    "Phase",
    "ServiceClient",
    "Submitted",
    "TaskState",
    "Timeouts",
    "dialect_for",
]
