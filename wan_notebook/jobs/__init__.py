"""Jobs: what a person holds (``Job``, ``Picture``), and the worker that brings them to their end."""

from .background import Background
from .job import DISPLAY, Job, Picture, WaitInterrupted, set_display
from .poll import ECONOMICAL, PROMPT, DurationLaw, PollSetting, RateLimit
from .retry import Action, backoff_s, decide, kind_of
from .status import TrackedJob, cost_of, error_of, goodbye, is_not_sent, seeds_text, status_line, status_words
from .submit import KEPT_OF_INPUTS, explain, image_of_picture, new_inputs, resolve_job
from .worker import Worker

__all__ = ["Background", "Job", "Picture", "TrackedJob", "WaitInterrupted", "Worker", "set_display"]
__all__ += ["DISPLAY", "ECONOMICAL", "PROMPT", "Action", "DurationLaw", "PollSetting", "RateLimit"]
__all__ += ["backoff_s", "cost_of", "decide", "error_of", "explain", "goodbye", "is_not_sent", "kind_of", "seeds_text"]
__all__ += ["KEPT_OF_INPUTS", "image_of_picture", "new_inputs", "resolve_job", "status_line", "status_words"]
