"""What follows a fault, as one table: step × fault → action, reason, delay. Pure, without clock or I/O.

One rule stands above the others: a submit is sent again only if it is certain that the service did not receive it or
turned it away, because neither service has an idempotency key (WAN_API §2, §4). Everything else is in doubt, and a
person decides. Polls and downloads cost nothing and are repeated until the service has forgotten the task.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from ..errors import (
    ConnectionLostError,
    DownloadError,
    NotSentError,
    RateLimitError,
    ServiceError,
    StoreError,
    UnexpectedReplyError,
    WanError,
)
from ..models import RESULT_LIFETIME_S
from ..text import plain_code

Step = Literal["submit", "poll", "download"]


class Action(StrEnum):
    """What is done next."""

    RETRY = "retry"
    """The same request again; a download goes on where it stopped."""
    RESTART = "restart"
    """A download again from its first byte."""
    REFRESH_URL = "refresh_url"
    """Poll the task for a fresh address, then download from there."""
    PAUSE = "pause"
    """Hold back all requests of this step and account, then try again."""
    NOT_SENT = "not_sent"
    """Nothing left this machine: the job ends, and the same call makes a new one."""
    REFUSE = "refuse"
    """No task exists and nothing was paid."""
    IN_DOUBT = "in_doubt"
    """A task may exist: never send again, ask the person."""
    SALVAGE = "salvage"
    """A task probably exists: look for its id in the reply, and believe it only after a poll."""
    TAKE = "take"
    """Take what there is."""
    KEEP_ASIDE = "keep_aside"
    """Keep the bytes beside the pictures as ``.corrupt``."""
    STOP = "stop"
    """Go no further by itself; nothing is lost, and ``%wan resume`` tries again."""
    EXPIRE = "expire"
    """The service no longer has the task or its pictures."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table, and, with its delay, what ``decide`` makes of it.

    From ``attempts`` failures in a row on, ``then`` takes the place of ``action``. ``stops_queue``: the next submit
    would fare alike, so those that wait are not sent either. ``at_once``: the first retry needs no delay.
    ``delay_s``: seconds to wait; where the table names them, a person has to act, and this is when to look again.
    """

    action: Action
    reason: str
    attempts: float = math.inf
    then: Action | None = None
    stops_queue: bool = False
    at_once: bool = False
    delay_s: float = 0.0


UNKNOWN_MAY_APPEAR_S = 60.0
"""A task just accepted may not be known everywhere yet: "no such task" is believed only after this."""

SILENT_ATTEMPTS = 6
"""Polls without any answer before a task counts as expired: a network that has just come back proves nothing."""

REFRESH_EVERY = 5
"""After so many failed downloads the task is asked for a fresh address."""

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 20.0
RETRY_AFTER_MAX_S = 600.0
"""The longest wait for a Retry-After, whatever it says."""

PERSON_LOOK_S = 60.0
"""Between two looks while a person has to act (another key, a certificate): notices when they did so elsewhere."""

A = Action
RULES: Mapping[Step, Mapping[str, Rule]] = {
    "submit": {
        "unreachable": Rule(A.RETRY, "the service could not be reached, so nothing was sent", 6, A.NOT_SENT),
        "certificate": Rule(A.NOT_SENT, "the certificate could not be verified, so nothing was sent", stops_queue=True),
        "not sendable": Rule(A.NOT_SENT, "the request could not be sent"),
        "disk": Rule(A.NOT_SENT, "the request could not be recorded, so it was not sent"),
        "lost": Rule(A.IN_DOUBT, "the connection broke; the request may have arrived"),
        "timeout": Rule(A.IN_DOUBT, "no reply came in time; the request may have arrived"),
        "throttled": Rule(A.PAUSE, "the service takes no more requests at the moment"),
        "unavailable": Rule(A.PAUSE, "the service is unavailable at the moment", 6, A.REFUSE),
        "key refused": Rule(A.REFUSE, "the key is missing, invalid, or of another region", stops_queue=True),
        "forbidden": Rule(A.REFUSE, "the service denied access"),
        "not found": Rule(A.REFUSE, "the service does not know this address or model"),
        "rejected": Rule(A.REFUSE, "the service did not accept the request"),
        "server error": Rule(A.IN_DOUBT, "the service failed; it may have created a task"),
        "redirect": Rule(A.REFUSE, "the service answered with a redirect, and a submit is never redirected"),
        "bad body": Rule(A.SALVAGE, "the reply was cut or unreadable"),
    },
    "poll": {
        "certificate": Rule(A.PAUSE, "the service's certificate could not be verified", delay_s=PERSON_LOOK_S),
        "not sendable": Rule(A.PAUSE, "the service cannot be asked", delay_s=PERSON_LOOK_S),
        "lost": Rule(A.RETRY, "the connection broke", at_once=True),
        "timeout": Rule(A.RETRY, "no answer came in time", at_once=True),
        "throttled": Rule(A.PAUSE, "the service takes no more queries at the moment"),
        "key refused": Rule(A.PAUSE, "this key may not read the task; another key may", delay_s=PERSON_LOOK_S),
        "forbidden": Rule(A.PAUSE, "this key may not read the task; another key may", delay_s=PERSON_LOOK_S),
        "not found": Rule(A.RETRY, "the service does not know the task", 4, A.EXPIRE),
        "incomplete": Rule(A.RETRY, "fewer pictures came than were asked for", 4, A.TAKE),
    },
    "download": {
        "disk": Rule(A.STOP, "the picture could not be written to disk"),
        "certificate": Rule(A.STOP, "the certificate of the picture's host could not be verified"),
        **dict.fromkeys(("setting", "not sendable"), Rule(A.STOP, "the picture's host cannot be asked")),
        **dict.fromkeys(
            ("expired", "gone"),
            Rule(A.REFRESH_URL, "the picture's address is no longer valid", 3, A.EXPIRE, at_once=True),
        ),
        **dict.fromkeys(
            ("redirect", "private", "url"),
            Rule(A.STOP, "the picture's address leads to a place that is not safe to follow"),
        ),
        **dict.fromkeys(
            ("empty", "page", "encoded"),
            Rule(A.RESTART, "a web page or nothing came in the picture's place", 8, A.STOP),
        ),
        "truncated": Rule(A.RETRY, "the picture came incomplete", 8, A.KEEP_ASIDE),
        "not-image": Rule(A.RESTART, "the bytes are not a picture", 8, A.KEEP_ASIDE),
        "corrupt": Rule(A.RESTART, "the picture came damaged", 3, A.KEEP_ASIDE),
        "too_large": Rule(A.STOP, "the file is larger than a picture can be"),
        "too-large": Rule(A.KEEP_ASIDE, "the picture claims far more pixels than were asked for, so it was not opened"),
    },
}
OTHERWISE: Mapping[Step, Rule] = {
    "submit": Rule(A.IN_DOUBT, "the submit failed in an unknown way; the request may have arrived"),
    "poll": Rule(A.RETRY, "no usable answer came"),
    "download": Rule(A.RETRY, "the download failed"),
}
"""Faults that a step does not name."""


def decide(
    step: Step,
    fault: WanError | str,
    attempt: int,
    rng: random.Random,
    *,
    age_s: float = 0.0,
    same_key: bool = True,
) -> Rule:
    """Look up what follows a fault.

    Parameters
    ----------
    step, fault
        What was being done, and what went wrong.
    attempt
        The failures in a row, from 1; for an expired address, the fresh addresses asked for in a row, plus 1.
    rng
        Spreads the delays, so that many jobs do not come back together.
    age_s
        Seconds since the task was accepted (or, for a download, finished).
    same_key
        Whether the task was submitted with the key in force: "no such task" said to another key proves nothing.
    """
    kind = fault if isinstance(fault, str) else kind_of(fault)
    rule = RULES[step].get(kind, OTHERWISE[step])
    action = rule.then if rule.then is not None and attempt >= rule.attempts else rule.action
    told_s = fault.retry_after_s if isinstance(fault, ServiceError | DownloadError) else None
    wait_s = min(told_s, RETRY_AFTER_MAX_S) if told_s is not None and told_s > 0 else 0.0
    delay_s = 0.0 if rule.at_once and attempt == 1 else rule.delay_s or max(wait_s, backoff_s(attempt, rng))
    if step != "submit" and age_s >= RESULT_LIFETIME_S and kind not in ("disk", "too-large"):
        if step == "poll" and kind in ("unreachable", "lost", "timeout") and attempt < SILENT_ATTEMPTS:
            return Rule(A.RETRY, "the service could not be asked yet", delay_s=delay_s)
        return Rule(A.EXPIRE, "the service keeps tasks and pictures for 24 hours, and they are over")
    if kind == "not found" and step == "poll" and (age_s < UNKNOWN_MAY_APPEAR_S or not same_key):
        action, delay_s = A.RETRY, delay_s if same_key else PERSON_LOOK_S
    if step == "download" and action in (A.RETRY, A.RESTART) and attempt % REFRESH_EVERY == 0:
        action = A.REFRESH_URL
    return replace(rule, action=action, delay_s=delay_s)


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Return the wait after the n-th failure: doubling up to a cap, drawn from its upper half."""
    full_s: float = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(30, max(0, attempt - 1)))
    return full_s * rng.uniform(0.5, 1.0)


# ------------------------------------------------------------------ from an error to its kind

_NOT_SENT_KINDS = {
    **dict.fromkeys(("refused", "dns", "connect_timeout", "unreachable", "proxy"), "unreachable"),
    "tls": "certificate",
}
_STATUS_KINDS = {
    401: "key refused",
    403: "forbidden",
    404: "not found",
    410: "not found",
    429: "throttled",
    408: "server error",  # these two: a proxy lost patience, the service may not have
    499: "server error",
    303: "server error",  # "see other" is said of what was done
}
NOT_ACCEPTED_CODES = (
    *("throttling", "invalidapikey", "invalidparameter", "arrearage", "accessdenied", "modelnotfound"),
    "datainspectionfailed",
)
"""Beginnings of codes (see ``plain_code``) that say that no task was made, whatever HTTP status carries them."""


def kind_of(error: WanError) -> str:
    """Say what an error is, as the table knows it: never by its text."""
    match error:
        case NotSentError():
            return _NOT_SENT_KINDS.get(error.kind, "not sendable")
        case ConnectionLostError():
            return error.kind or "lost"
        case DownloadError():
            status = error.http_status or 0
            is_refused = error.kind == "http" and 400 <= status < 500 and status != 408
            return "expired" if is_refused else _NOT_SENT_KINDS.get(error.kind, error.kind)
        case StoreError():
            return "disk"
        case RateLimitError():
            return "throttled"
        case ServiceError():
            return _service_kind(error)
    return "not sendable"


def _service_kind(error: ServiceError) -> str:
    status = error.http_status or 200
    is_not_accepted = plain_code(error.code).startswith(NOT_ACCEPTED_CODES)
    if status < 300:
        return "bad body" if isinstance(error, UnexpectedReplyError) else "rejected"
    if status == 503 and (is_not_accepted or error.retry_after_s is not None):
        return "unavailable"
    if is_not_accepted and status >= 500:
        return "rejected"
    usual = "redirect" if status < 400 else "rejected" if status < 500 else "server error"
    return _STATUS_KINDS.get(status, usual)
