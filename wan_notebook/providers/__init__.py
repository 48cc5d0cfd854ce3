"""The services that make pictures: one client for all, a dialect for each. The single home of API drift."""

from .dialects import Call, dialect_for
from .http import ClientPool, ServiceClient
from .network import Timeouts
from .replies import NO_PICTURE, Output, Phase, TaskState

__all__ = ["NO_PICTURE", "Call", "ClientPool", "Output", "Phase", "ServiceClient", "TaskState"]
__all__ += ["Timeouts", "dialect_for"]
