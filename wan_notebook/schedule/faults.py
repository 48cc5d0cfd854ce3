"""What can go wrong with a request, and what may follow: plain descriptions, which `retry` maps to each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What went wrong, as far as it decides what may follow."""

    # Certain: nothing was sent.
    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    TIMEOUT_BEFORE_SEND = "timeout_before_send"
    TLS = "tls"
    DISK_FULL = "disk_full"
    # It may have arrived.
    CONNECTION_LOST = "connection_lost"
    TIMEOUT_AFTER_SEND = "timeout_after_send"
    INTERRUPTED = "interrupted"
    # There is an answer.
    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    BAD_BODY = "bad_body"
    NO_TASK_ID = "no_task_id"
    ERROR_OBJECT = "error_object"
    # The bytes of a picture.
    TRUNCATED = "truncated"
    NOT_AN_IMAGE = "not_an_image"
    CORRUPT = "corrupt"
    BOMB = "bomb"
    STALLED = "stalled"
    EXPIRED_403 = "expired_403"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failed attempt. `attempt` counts from 1 and counts the failures in a row of this submit, poll or download."""

    kind: FaultKind
    attempt: int = 1
    http_status: int | None = None
    retry_after_s: float | None = None
    not_accepted_code: bool = False
    """The body carried an error code that is documented to mean: no task was created."""


@dataclass(frozen=True, slots=True)
class Resend:
    """Nothing arrived: send the submit again after this time."""

    after_s: float
    reason: str
    pause_submits: bool = False
    """The wait is for every submit, not for this one alone."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No task exists and nothing was paid."""

    reason: str
    stop_queue: bool = False
    """The next submit would fare alike (wrong key, broken certificate): stop until a person acts."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A task may exist: never send again, look for it, ask the person."""

    reason: str


@dataclass(frozen=True, slots=True)
class SalvageThenConfirm:
    """A task probably exists: search the bytes for its id and believe it only after a poll; without one, in doubt."""

    reason: str


SubmitDecision = Resend | Refused | InDoubt | SalvageThenConfirm


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Poll this task again after this time."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class PausePolls:
    """Pause the polls of all tasks; `after_s` None: until a person acts. No task is failed by it."""

    after_s: float | None
    reason: str
    slow_down: bool = False
    """Halve the rate as well."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The service no longer knows the task or its pictures (state: expired); never submitted again by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopAsking:
    """Ask no more by itself, although the service still has the task; whoever resumes asks once more."""

    reason: str


PollDecision = AskAgain | PausePolls | Expired


@dataclass(frozen=True, slots=True)
class FetchAgain:
    """Fetch the same URL again after this time; with `resume` from where it stopped, if the validator still fits."""

    after_s: float
    reason: str
    resume: bool = False


@dataclass(frozen=True, slots=True)
class RefreshUrl:
    """Poll the task for a fresh URL after this time, then fetch that one; what arrived is kept unless it is no good."""

    after_s: float
    reason: str
    resume: bool = True


@dataclass(frozen=True, slots=True)
class KeepAside:
    """Keep the last bytes beside the pictures as `.corrupt`; the URL and its expiry are shown."""

    reason: str


@dataclass(frozen=True, slots=True)
class HoldBytes:
    """Keep the bytes in memory and try to write them again after this time."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class StopFetch:
    """Fetch no more by itself; the URL is kept and shown."""

    reason: str


DownloadDecision = FetchAgain | RefreshUrl | KeepAside | HoldBytes | StopFetch | Expired
