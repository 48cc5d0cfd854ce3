"""What a task that failed or was cancelled says, in both dialects."""

from __future__ import annotations

from .tasks import TaskState

_FAILURES = {
    TaskState.FAILED: ("DataInspectionFailed", "Input data may contain inappropriate content."),
    TaskState.CANCELED: ("TaskCanceled", "The task was canceled."),
}


def failure_of(state: TaskState) -> tuple[str, str]:
    """Return code and message of a task that ended without a picture."""
    return _FAILURES[state]
