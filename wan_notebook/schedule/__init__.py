"""Pure policy: when to poll next, how fast, and what may be retried. No clock, no I/O, only the standard library.

`Durations` learns how long tasks take, `PollQueue` says which task to ask for next, `Pacer` keeps all queries under
the service's limit, and the `decide_…` functions say what follows a fault. Time is always an argument (`now_s`, seconds
of a monotonic clock) and randomness an injected `random.Random`.
"""

from .durations import DurationModel, Durations
from .faults import (
    AskAgain,
    DownloadDecision,
    Expired,
    Fault,
    FaultKind,
    FetchAgain,
    HoldBytes,
    InDoubt,
    KeepAside,
    PausePolls,
    PollDecision,
    RefreshUrl,
    Refused,
    Resend,
    SalvageThenConfirm,
    StopAsking,
    StopFetch,
    SubmitDecision,
)
from .pacer import Pacer
from .polls import ECONOMICAL, PROMPT, PollQueue, PollSetting, next_poll_s
from .retry import (
    SERVICE_KEEPS_S,
    backoff_s,
    decide_download,
    decide_incomplete,
    decide_poll,
    decide_running,
    decide_submit,
    decide_unknown,
    parse_retry_after,
    polling_is_over,
)

__all__ = [
    "ECONOMICAL",
    "PROMPT",
    "SERVICE_KEEPS_S",
    "AskAgain",
    "DownloadDecision",
    "DurationModel",
    "Durations",
    "Expired",
    "Fault",
    "FaultKind",
    "FetchAgain",
    "HoldBytes",
    "InDoubt",
    "KeepAside",
    "Pacer",
    "PausePolls",
    "PollDecision",
    "PollQueue",
    "PollSetting",
    "RefreshUrl",
    "Refused",
    "Resend",
    "SalvageThenConfirm",
    "StopAsking",
    "StopFetch",
    "SubmitDecision",
    "backoff_s",
    "decide_download",
    "decide_incomplete",
    "decide_poll",
    "decide_running",
    "decide_submit",
    "decide_unknown",
    "next_poll_s",
    "parse_retry_after",
    "polling_is_over",
]
