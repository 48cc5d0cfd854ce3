"""What may be done again after a fault: pure decisions, and every number they use.

The rule above all others: a submit is sent again only when it is certain that the service did not receive it or
refused it; neither service knows an idempotency key (WAN_API sections 2 and 4), so anything else is *in doubt* and a
person decides. Polls and downloads cost nothing and are repeated until the service has forgotten the task.
"""

from __future__ import annotations

import math
import random
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

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

SERVICE_KEEPS_S = 24 * 3600.0
"""Task data and result URLs live this long (WAN_API section 4)."""

UNKNOWN_MAY_APPEAR_S = 60.0
"""A task just accepted may not be known everywhere yet: "no such task" is believed only after this."""

SUBMIT_ATTEMPTS = 6
POLL_UNKNOWN_ATTEMPTS = 4
INCOMPLETE_ATTEMPTS = 4
CORRUPT_ATTEMPTS = 3
"""Fetches of a whole picture whose checksums are wrong, before it is kept as it is."""

CONTENT_ATTEMPTS = 8
"""Fetches of what is cut or is no picture at all (a portal's page): about a minute of them."""

URL_REFRESH_ATTEMPTS = 2
REFRESH_EVERY = 5
"""After so many failed fetches the task is asked for a fresh URL."""

BACKOFF_FIRST_S = 0.5
BACKOFF_CAP_S = 20.0
SUBMIT_RETRY_AFTER_CAP_S = 120.0
"""A service that wants a submit held back longer than this is told to the person instead."""

QUERY_RETRY_AFTER_CAP_S = 600.0
"""Polls and downloads wait this long at most before they ask again, whatever a Retry-After says."""

LONGEST_RETRY_AFTER_S = 7 * 24 * 3600.0

NOT_SENT = frozenset({FaultKind.DNS, FaultKind.CONNECT_REFUSED, FaultKind.TIMEOUT_BEFORE_SEND})
WRONG_CONTENT = frozenset({FaultKind.TRUNCATED, FaultKind.NOT_AN_IMAGE, FaultKind.CORRUPT, FaultKind.BAD_BODY})


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Return the wait after the n-th failure: doubling up to a cap, drawn from its upper half."""
    full = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2.0 ** min(30, max(0, attempt - 1)))
    return full * rng.uniform(0.5, 1.0)


def _wait_s(fault: Fault, rng: random.Random, cap_s: float) -> float:
    told = fault.retry_after_s or 0.0
    told = told if 0 < told < math.inf else 0.0
    return max(min(told, cap_s), backoff_s(fault.attempt, rng))


def _status_text(fault: Fault) -> str:
    return f"the service answered {fault.http_status}"


def decide_submit(fault: Fault, rng: random.Random) -> SubmitDecision:
    """Decide what follows a failed submit. Never a resend of what may have arrived."""
    kind = fault.kind
    if kind in NOT_SENT:
        return _resend(fault, rng, f"the service could not be reached ({kind}); nothing was sent")
    if kind is FaultKind.TLS:
        return Refused("the service's certificate could not be verified; nothing was sent", stop_queue=True)
    if kind is FaultKind.DISK_FULL:
        return Refused("the request could not be written to disk, so it was not sent")
    if kind is FaultKind.ERROR_OBJECT:
        return Refused("the service refused the request")
    if kind is FaultKind.REDIRECT and fault.http_status != 303:  # "see other" is said of what was done
        return Refused(f"{_status_text(fault)}, a redirect; a submit is never redirected")
    if kind is FaultKind.BAD_BODY:
        return SalvageThenConfirm("the reply was cut or unreadable")
    if kind is FaultKind.HTTP_STATUS:
        return _submit_status(fault, rng)
    return InDoubt(f"no usable reply ({kind}); the request may have arrived")


def _resend(fault: Fault, rng: random.Random, reason: str, *, pause: bool = False) -> SubmitDecision:
    if fault.attempt >= SUBMIT_ATTEMPTS:
        return Refused(f"{reason}; given up after {fault.attempt} attempts")
    if (fault.retry_after_s or 0.0) > SUBMIT_RETRY_AFTER_CAP_S:
        return Refused(f"{reason}; the service asks to wait {fault.retry_after_s:.0f} s")
    return Resend(_wait_s(fault, rng, SUBMIT_RETRY_AFTER_CAP_S), reason, pause_submits=pause)


def _submit_status(fault: Fault, rng: random.Random) -> SubmitDecision:
    status = fault.http_status or 0
    text = _status_text(fault)
    if status == 429:
        return _resend(fault, rng, f"{text}, too many requests", pause=True)
    if status == 503 and (fault.not_accepted_code or fault.retry_after_s is not None):
        return _resend(fault, rng, f"{text}, unavailable for now", pause=True)
    if status == 401:
        return Refused(f"{text}: the key is missing, invalid, or of another region", stop_queue=True)
    if fault.not_accepted_code:
        return Refused(f"{text} and did not accept the request")
    if 400 <= status < 500 and status not in (408, 499):  # those two: a proxy lost patience, the service may not have
        return Refused(text)
    return InDoubt(f"{text}; a task may have been created")


def decide_poll(fault: Fault, rng: random.Random, *, age_s: float, same_key: bool = True) -> PollDecision:
    """Decide what follows a poll that brought no answer. `age_s`: seconds since the task was accepted."""
    if polling_is_over(age_s):
        return Expired("the service keeps a task for 24 hours, and they are over")
    wait_s = _wait_s(fault, rng, QUERY_RETRY_AFTER_CAP_S)
    if fault.kind is FaultKind.TLS:
        return PausePolls(None, "the service's certificate could not be verified")
    if fault.kind is FaultKind.HTTP_STATUS:
        text = _status_text(fault)
        if fault.http_status == 429:
            return PausePolls(wait_s, f"{text}, too many requests", slow_down=fault.retry_after_s is None)
        if fault.http_status in (401, 403):
            return PausePolls(None, f"{text}: the key may not read this task; another key may")
        if fault.http_status in (404, 410):
            return decide_unknown(fault, rng, age_s=age_s, same_key=same_key)
        return AskAgain(wait_s, text)
    if fault.kind in (FaultKind.CONNECTION_LOST, FaultKind.TIMEOUT_AFTER_SEND) and fault.attempt == 1:
        return AskAgain(0.0, f"the answer was lost ({fault.kind})")
    return AskAgain(wait_s, f"no usable answer ({fault.kind})")


def decide_unknown(fault: Fault, rng: random.Random, *, age_s: float, same_key: bool = True) -> PollDecision:
    """Decide what follows "no such task". `fault.attempt` counts such answers in a row."""
    if polling_is_over(age_s):
        return Expired("the service keeps a task for 24 hours, and they are over")
    if not same_key:
        return PausePolls(None, "the service does not show this task to this key; it was asked for with another one")
    if age_s < UNKNOWN_MAY_APPEAR_S or fault.attempt < POLL_UNKNOWN_ATTEMPTS:
        return AskAgain(backoff_s(fault.attempt + 1, rng), "the service does not know the task yet")
    return Expired("the service does not know the task: expired or unknown")


def decide_running(*, age_s: float) -> StopAsking | None:
    """Decide whether a task that still runs is asked for again; None: it is.

    Not expired: it is the local clock that says how old a task is, and the service still knows it.
    """
    if polling_is_over(age_s):
        return StopAsking("its 24 hours are over, and the service says that it still runs; `%wan resume` asks again")
    return None


def decide_incomplete(*, delivered: int, expected: int, attempt: int, rng: random.Random) -> AskAgain | None:
    """Decide whether a finished task with fewer pictures than `expected` is asked again; None: show what there is.

    `expected` is what the request promises at least: n when editing, 1 when interleaved. `attempt` counts from 1.
    """
    if delivered >= expected or attempt >= INCOMPLETE_ATTEMPTS:
        return None
    return AskAgain(
        backoff_s(attempt + 1, rng), f"{delivered} of {expected} picture{'' if expected == 1 else 's'} came"
    )


def decide_download(fault: Fault, rng: random.Random, *, age_s: float, refreshed: int = 0) -> DownloadDecision:
    """Decide what follows a failed fetch of a picture.

    `age_s`: seconds since the task finished (or was accepted, if that is all that is known); `refreshed`: how many
    fresh URLs were already asked for in a row without a picture.
    """
    kind = fault.kind
    if kind is FaultKind.DISK_FULL:
        return HoldBytes(_wait_s(fault, rng, QUERY_RETRY_AFTER_CAP_S), "the picture could not be written to disk")
    if kind is FaultKind.BOMB:
        return KeepAside("the picture claims far more pixels than were asked for; it was not decoded")
    if polling_is_over(age_s):
        return Expired("the service keeps pictures for 24 hours, and they are over")
    if kind is FaultKind.TLS:
        return StopFetch("the certificate of the picture's host could not be verified")
    if kind is FaultKind.REDIRECT:
        return StopFetch("the picture's address leads to a place that is not safe to follow")
    if kind is FaultKind.EXPIRED_403 or (kind is FaultKind.HTTP_STATUS and _is_gone(fault.http_status)):
        if refreshed >= URL_REFRESH_ATTEMPTS:
            return Expired("the result expired: its address is refused and the service gives no fresh one")
        return RefreshUrl(0.0 if refreshed == 0 else backoff_s(refreshed + 1, rng), "the address is no longer valid")
    if kind is FaultKind.BAD_BODY and fault.attempt >= CONTENT_ATTEMPTS:
        return StopFetch(f"the picture's host sent something else in its place, {fault.attempt} times")
    if kind in WRONG_CONTENT and fault.attempt >= (CORRUPT_ATTEMPTS if kind is FaultKind.CORRUPT else CONTENT_ATTEMPTS):
        return KeepAside(f"the bytes are no whole picture ({kind}) after {fault.attempt} fetches")
    wait_s = _wait_s(fault, rng, QUERY_RETRY_AFTER_CAP_S)
    resume = kind in (FaultKind.CONNECTION_LOST, FaultKind.TIMEOUT_AFTER_SEND, FaultKind.STALLED, FaultKind.TRUNCATED)
    if fault.attempt % REFRESH_EVERY == 0:
        is_good = resume or kind not in WRONG_CONTENT
        return RefreshUrl(wait_s, f"{fault.attempt} fetches failed ({kind})", resume=is_good)
    return FetchAgain(wait_s, f"the fetch failed ({kind})", resume=resume)


def _is_gone(status: int | None) -> bool:
    return status in (400, 401, 403, 404, 410)


def polling_is_over(age_s: float) -> bool:
    """Say whether the service has forgotten a task of this age (seconds since acceptance)."""
    return age_s >= SERVICE_KEEPS_S


def parse_retry_after(header: str | None, *, now_epoch_s: float) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (a number or an HTTP date), or None if it says nothing.

    Whatever is written there, the result is between 0 and `LONGEST_RETRY_AFTER_S`.
    """
    text = (header or "").strip()
    if not text or len(text) > 64:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
        at_epoch_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
    return min(max(0.0, at_epoch_s - now_epoch_s), LONGEST_RETRY_AFTER_S)
