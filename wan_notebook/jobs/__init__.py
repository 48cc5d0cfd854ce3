"""Jobs: what a person holds (``Job``, ``Picture``), and the worker that brings them to their end."""

from .background import Background
from .inputs import image_of_picture, new_inputs
from .job import Job, WaitInterrupted, set_reopen
from .metadata import metadata_of
from .picture import Picture, set_display
from .polling import ECONOMICAL, PROMPT
from .recovery import Candidate, explain, resolve_job
from .status import cost_of, error_of, is_not_sent, status_line, status_words
from .tracked import TrackedJob
from .worker import Worker, WorkerConfig, goodbye

__all__ = [
    "ECONOMICAL",
    "PROMPT",
    "Background",
    "Candidate",
    "Job",
    "Picture",
    "TrackedJob",
    "WaitInterrupted",
    "Worker",
    "WorkerConfig",
    "cost_of",
    "error_of",
    "explain",
    "goodbye",
    "image_of_picture",
    "is_not_sent",
    "metadata_of",
    "new_inputs",
    "resolve_job",
    "set_display",
    "set_reopen",
    "status_line",
    "status_words",
]
