"""Jobs: what a person holds (``Job``, ``Picture``), and the worker that brings them to their end."""

from .background import Background
from .job import Job, WaitInterrupted
from .picture import Picture, set_display
from .poll import ECONOMICAL, PROMPT, Durations, PollSetting, RateLimit
from .recovery import explain, resolve_job
from .retry import Action, backoff_s, decide, kind_of
from .status import TrackedJob, cost_of, error_of, goodbye, is_not_sent, seeds_text, status_line, status_words
from .submit import KEPT_OF_INPUTS, image_of_picture, new_inputs
from .worker import Worker, WorkerConfig

__all__ = ["Background", "Job", "Picture", "TrackedJob", "WaitInterrupted", "Worker", "WorkerConfig", "set_display"]
__all__ += ["ECONOMICAL", "PROMPT", "Action", "Durations", "PollSetting", "RateLimit", "backoff_s", "decide", "kind_of"]
__all__ += ["cost_of", "error_of", "goodbye", "is_not_sent", "seeds_text", "status_line", "status_words"]
__all__ += ["KEPT_OF_INPUTS", "explain", "image_of_picture", "new_inputs", "resolve_job"]
