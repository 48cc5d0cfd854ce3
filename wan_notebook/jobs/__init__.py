"""Jobs: what a person holds (``Job``, ``Picture``), and the worker that brings them to their end."""

from .background import Background
from .download import metadata_of
from .job import Job, WaitInterrupted, set_reopen
from .picture import Picture, set_display
from .polling import ECONOMICAL, PROMPT, Durations, PollSetting, RateLimit
from .recovery import Candidate, explain, match, resolve_job
from .retry import Action, backoff_s, decide, kind_of
from .status import TrackedJob, cost_of, error_of, goodbye, is_not_sent, seeds_text, status_line, status_words
from .submit import image_of_picture, new_inputs
from .worker import Worker, WorkerConfig

__all__ = [
    "ECONOMICAL",
    "PROMPT",
    "Action",
    "Background",
    "Candidate",
    "Durations",
    "Job",
    "Picture",
    "PollSetting",
    "RateLimit",
    "TrackedJob",
    "WaitInterrupted",
    "Worker",
    "WorkerConfig",
    "backoff_s",
    "cost_of",
    "decide",
    "error_of",
    "explain",
    "goodbye",
    "image_of_picture",
    "is_not_sent",
    "kind_of",
    "match",
    "metadata_of",
    "new_inputs",
    "resolve_job",
    "seeds_text",
    "set_display",
    "set_reopen",
    "status_line",
    "status_words",
]
