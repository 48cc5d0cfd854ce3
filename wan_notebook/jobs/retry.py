"""What follows a fault, as one table: step × fault → action, delay. Pure, without clock or I/O.

One rule stands above the others: a submit is sent again only if it is certain that the service did not receive it or
turned it away, because neither service has an idempotency key (WAN_API §2, §4). Everything else is in doubt, and a
person decides. Polls and downloads cost nothing and are repeated until the service has forgotten the task.
"""

import math
import random
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, NamedTuple

from .. import errors
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
    KEEP_ASIDE = "keep_aside"
    """Keep the bytes beside the pictures as ``.corrupt``."""
    STOP = "stop"
    """Go no further by itself; nothing is lost, and ``%wan resume`` tries again."""
    EXPIRE = "expire"
    """The service no longer has the task or its pictures."""


class Rule(NamedTuple):
    """One cell of the table, and, with its delay, what ``decide`` makes of it.

    From ``attempts`` failures in a row on, ``then`` takes the place of ``action``. ``stops_queue``: the next submit
    would fare alike, so those that wait are not sent either. ``at_once``: the first retry needs no delay.
    ``delay_s``: seconds to wait; where the table names them, a person has to act, and this is when to look again.
    """

    action: Action
    attempts: float = math.inf
    then: Action | None = None
    stops_queue: bool = False
    at_once: bool = False
    delay_s: float = 0.0


PERSON_LOOK_S = 60.0
"""Between two looks while a person has to act (another key, a certificate): notices when they did so elsewhere."""

DENIED_S = 300.0
"""A task or picture counts as gone before its time only when that has been said for so long: a proxy or a service that
is being renewed says so for seconds.
"""

A = Action
OTHERWISE = ""
RULES: Mapping[Step, Mapping[str, Rule]] = {
    "submit": {
        "unreachable": Rule(A.RETRY, 6, A.NOT_SENT),
        "certificate": Rule(A.NOT_SENT, stops_queue=True),
        **dict.fromkeys(("not sendable", "disk"), Rule(A.NOT_SENT)),
        "throttled": Rule(A.PAUSE),
        "unavailable": Rule(A.PAUSE, 6, A.REFUSE),
        "key refused": Rule(A.REFUSE, stops_queue=True),
        **dict.fromkeys(("forbidden", "not found", "rejected", "redirect"), Rule(A.REFUSE)),
        "bad body": Rule(A.SALVAGE),
        OTHERWISE: Rule(A.IN_DOUBT),
    },
    "poll": {
        **dict.fromkeys(
            ("certificate", "not sendable", "key refused", "forbidden"), Rule(A.PAUSE, delay_s=PERSON_LOOK_S)
        ),
        **dict.fromkeys(("lost", "timeout"), Rule(A.RETRY, at_once=True)),
        "throttled": Rule(A.PAUSE),
        "not found": Rule(A.RETRY, 4, A.EXPIRE),
        OTHERWISE: Rule(A.RETRY),
    },
    "download": {
        **dict.fromkeys(("disk", "certificate", "setting", "not sendable"), Rule(A.STOP)),
        **dict.fromkeys(("redirect", "private", "url", "too_large"), Rule(A.STOP)),
        **dict.fromkeys(("expired", "gone"), Rule(A.REFRESH_URL, 3, A.EXPIRE, at_once=True)),
        **dict.fromkeys(("empty", "page", "encoded"), Rule(A.RESTART, 8, A.STOP)),
        "truncated": Rule(A.RETRY, 8, A.KEEP_ASIDE),
        "not-image": Rule(A.RESTART, 8, A.KEEP_ASIDE),
        "corrupt": Rule(A.RESTART, 3, A.KEEP_ASIDE),
        "too-large": Rule(A.KEEP_ASIDE),  # far more pixels than were asked for: not opened
        OTHERWISE: Rule(A.RETRY),
    },
}


def decide(
    step: Step,
    fault: errors.WanError | str,
    attempt: int,
    rng: random.Random,
    *,
    age_s: float = 0.0,
    same_key: bool = True,
    denied_s: float = 0.0,
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
    denied_s
        Seconds since the first of the failures in a row.
    """
    kind = fault if isinstance(fault, str) else kind_of(fault)
    if step == "poll" and getattr(fault, "is_page", False):  # not the service's word
        kind = OTHERWISE
    rule = RULES[step].get(kind, RULES[step][OTHERWISE])
    action = rule.then if rule.then is not None and attempt >= rule.attempts else rule.action
    told_s = (isinstance(fault, errors.ServiceError | errors.DownloadError) and fault.retry_after_s) or 0.0
    wait_s = max(backoff_s(attempt, rng), min(told_s, 600.0))  # no longer than this, whatever a Retry-After says
    delay_s = 0.0 if rule.at_once and attempt == 1 else rule.delay_s or wait_s
    if step != "submit" and age_s >= RESULT_LIFETIME_S and kind not in ("disk", "too-large"):
        action = A.EXPIRE
    elif step == "download" and action in (A.RETRY, A.RESTART) and attempt % 5 == 0:  # the address may be stale
        action = A.REFRESH_URL
    if action is A.EXPIRE and (denied_s < DENIED_S or not same_key):
        # A clock that jumped, a network that has just come back and a proxy that is being renewed prove nothing.
        action, delay_s = A.RETRY if rule.action is A.EXPIRE else rule.action, delay_s if same_key else PERSON_LOOK_S
    return rule._replace(action=action, delay_s=delay_s)


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Return the wait after the n-th failure: doubling up to a cap, drawn from its upper half."""
    return min(20.0, 0.5 * 2.0 ** min(30, max(0, attempt - 1))) * rng.uniform(0.5, 1.0)


# From an error to its kind -------------------------------------------------------------------------------------------

_NOT_SENT_KINDS = {
    **dict.fromkeys(("refused", "dns", "connect_timeout", "unreachable", "proxy"), "unreachable"),
    "tls": "certificate",
}
_STATUS_KINDS = {
    401: "key refused",
    **dict.fromkeys((402, 403), "forbidden"),
    **dict.fromkeys((404, 410), "not found"),
    429: "throttled",
    **dict.fromkeys((408, 499), "server error"),  # a proxy lost patience, the service may not have
    303: "server error",  # "see other" is said of what was done
}
NOT_ACCEPTED_CODES = (
    *("throttling", "invalidapikey", "invalidparameter", "arrearage", "accessdenied", "modelnotfound"),
    "datainspectionfailed",
)
"""Beginnings of codes (see ``plain_code``) that say that no task was made, whatever HTTP status carries them."""


def kind_of(error: errors.WanError) -> str:
    """Say what an error is, as the table knows it: never by its text."""
    match error:
        case errors.NotSentError():
            return _NOT_SENT_KINDS.get(error.kind, "not sendable")
        case errors.ConnectionLostError():
            return error.kind or "lost"
        case errors.DownloadError(kind="http", http_status=int(status)) if 400 <= status < 500 and status != 408:
            return "expired"
        case errors.DownloadError():
            return _NOT_SENT_KINDS.get(error.kind, error.kind)
        case errors.StoreError():
            return "disk"
        case errors.RateLimitError():
            return "throttled"
        case errors.ServiceError():
            return _service_kind(error, error.http_status or 200)
    return "not sendable"


def _service_kind(error: errors.ServiceError, status: int) -> str:
    if status < 300:
        return "bad body" if isinstance(error, errors.UnexpectedReplyError) else "rejected"
    is_not_accepted = plain_code(error.code).startswith(NOT_ACCEPTED_CODES)
    if status == 503 and (is_not_accepted or (error.retry_after_s is not None and not error.is_page)):
        return "unavailable"
    if is_not_accepted and status >= 500:
        return "rejected"
    return _STATUS_KINDS.get(status) or ("redirect" if status < 400 else "rejected" if status < 500 else "server error")
