"""One module a service: a request becomes JSON, JSON becomes a task's state. The single home of API drift."""

from __future__ import annotations

from wan_notebook.errors import SettingsError

from .base import Call, Dialect, Output, Phase, ServiceFault, Submitted, TaskPage, TaskState
from .body import encode_body
from .dashscope import DashScope
from .gateway import Gateway

__all__ = [
    "Call",
    "Dialect",
    "Output",
    "Phase",
    "ServiceFault",
    "Submitted",
    "TaskPage",
    "TaskState",
    "dialect_for",
    "encode_body",
]


def dialect_for(provider: str) -> Dialect:
    """Return how a provider is spoken to; the simulator speaks the gateway's dialect. Raises ``SettingsError``."""
    match provider:
        case "gateway" | "simulator":
            return Gateway()
        case "dashscope":
            return DashScope()
        case _:
            known = "gateway, dashscope, simulator"
            raise SettingsError(f"{provider!r} is no provider.", hint=f"Known: {known} (WAN_PROVIDER).")
