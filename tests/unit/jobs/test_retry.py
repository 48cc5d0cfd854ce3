"""The retry table: what follows each fault, and what must never follow."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.errors import (
    AuthError,
    ConnectionLostError,
    DownloadError,
    ForbiddenError,
    ImageInputError,
    InvalidRequestError,
    NotSentError,
    RateLimitError,
    ServerError,
    SettingsError,
    StoreError,
    UnexpectedReplyError,
    WanError,
)
from wan_notebook.jobs import Action, backoff_s, decide, kind_of

A = Action
DAY_S = 86_400.0


def rng() -> random.Random:
    """Return a generator that draws the same each time."""
    return random.Random(0)  # noqa: S311


def server(status: int, **more: object) -> ServerError:
    """Return a server's error."""
    return ServerError("it failed", http_status=status, **more)  # type: ignore[arg-type]


ERRORS: list[tuple[WanError, str]] = [
    (NotSentError("", kind="refused"), "unreachable"),
    (NotSentError("", kind="dns"), "unreachable"),
    (NotSentError("", kind="connect_timeout"), "unreachable"),
    (NotSentError("", kind="proxy"), "unreachable"),
    (NotSentError("", kind="tls"), "certificate"),
    (NotSentError("", kind="setting"), "not sendable"),
    (SettingsError("no key"), "not sendable"),
    (ImageInputError("a", "too large"), "not sendable"),
    (StoreError("full"), "disk"),
    (ConnectionLostError("", kind="lost"), "lost"),
    (ConnectionLostError("", kind="timeout"), "timeout"),
    (RateLimitError("", http_status=429), "throttled"),
    (AuthError("", http_status=401), "key refused"),
    (ForbiddenError("", http_status=403), "forbidden"),
    (InvalidRequestError("", http_status=404), "not found"),
    (InvalidRequestError("", http_status=400), "rejected"),
    (InvalidRequestError("", http_status=408), "server error"),
    (InvalidRequestError("", code="Refused"), "rejected"),
    (server(500), "server error"),
    (server(500, code="Throttling.RateQuota"), "rejected"),
    (server(500, code="data_inspection_failed"), "rejected"),
    (server(503), "server error"),
    (server(503, retry_after_s=1.0), "unavailable"),
    (UnexpectedReplyError("", http_status=302), "redirect"),
    (UnexpectedReplyError("", http_status=303), "server error"),
    (UnexpectedReplyError("", http_status=200), "bad body"),
    (DownloadError("", kind="expired", http_status=403), "expired"),
    (DownloadError("", kind="page", http_status=403), "page"),
    (DownloadError("", kind="http", http_status=400), "expired"),
    (DownloadError("", kind="refused"), "unreachable"),
    (DownloadError("", kind="lost"), "lost"),
    (DownloadError("", kind="private"), "private"),
    (DownloadError("", kind="too_large"), "too_large"),
    (DownloadError("", kind="too-large"), "too-large"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda value: value if isinstance(value, str) else None)
def test_an_error_has_one_kind(error: WanError, kind: str) -> None:
    """The kind decides, never the text of a message."""
    assert kind_of(error) == kind


SUBMIT = [
    ("unreachable", 1, A.RETRY),
    ("unreachable", 6, A.NOT_SENT),
    ("certificate", 1, A.NOT_SENT),
    ("not sendable", 1, A.NOT_SENT),
    ("lost", 1, A.IN_DOUBT),
    ("timeout", 1, A.IN_DOUBT),
    ("throttled", 1, A.PAUSE),
    ("throttled", 500, A.PAUSE),  # never a failed row
    ("unavailable", 5, A.PAUSE),
    ("unavailable", 6, A.REFUSE),
    ("key refused", 1, A.REFUSE),
    ("rejected", 1, A.REFUSE),
    ("redirect", 1, A.REFUSE),
    ("server error", 1, A.IN_DOUBT),
    ("bad body", 1, A.SALVAGE),
    ("stalled", 1, A.IN_DOUBT),  # what the table does not name
]
POLL = [
    ("unreachable", 99, A.RETRY),
    ("certificate", 1, A.PAUSE),
    ("key refused", 1, A.PAUSE),
    ("throttled", 1, A.PAUSE),
    ("not found", 3, A.RETRY),
    ("not found", 4, A.EXPIRE),
    ("server error", 99, A.RETRY),
    ("redirect", 1, A.RETRY),
    ("incomplete", 3, A.RETRY),
]
DOWNLOAD = [
    ("unreachable", 1, A.RETRY),
    ("unreachable", 5, A.REFRESH_URL),
    ("certificate", 1, A.STOP),
    ("private", 1, A.STOP),
    ("expired", 1, A.REFRESH_URL),
    ("gone", 3, A.EXPIRE),
    ("disk", 1, A.STOP),
    ("too-large", 1, A.KEEP_ASIDE),
    ("too_large", 1, A.STOP),
    ("corrupt", 2, A.RESTART),
    ("corrupt", 3, A.KEEP_ASIDE),
    ("truncated", 7, A.RETRY),
    ("truncated", 8, A.KEEP_ASIDE),
    ("not-image", 7, A.RESTART),
    ("not-image", 8, A.KEEP_ASIDE),
    ("page", 8, A.STOP),
]
TABLE = [(step, *row) for step, rows in (("submit", SUBMIT), ("poll", POLL), ("download", DOWNLOAD)) for row in rows]


@pytest.mark.parametrize(("step", "fault", "attempt", "action"), TABLE)
def test_the_table(step: str, fault: str, attempt: int, action: Action) -> None:
    """Each fault leads where the table says."""
    assert decide(step, fault, attempt, rng(), age_s=100.0).action is action  # type: ignore[arg-type]


KINDS = st.sampled_from(sorted({kind for _, kind in ERRORS}))


@given(KINDS, st.integers(1, 200))
def test_what_may_have_arrived_is_never_sent_again(kind: str, attempt: int) -> None:
    """A second POST follows only proof that there is no task; doubt is never called a refusal, and so never free."""
    action = decide("submit", kind, attempt, rng()).action  # type: ignore[arg-type]
    if kind in ("lost", "timeout", "server error"):
        assert action is A.IN_DOUBT
    if action in (A.RETRY, A.PAUSE):
        assert kind in ("unreachable", "throttled", "unavailable")


@given(KINDS, st.integers(1, 200), st.sampled_from(["poll", "download"]))
def test_after_a_day_nothing_is_asked_any_more(kind: str, attempt: int, step: str) -> None:
    """The service forgets a task after 24 hours; a network that just comes back is asked a few times before that."""
    action = decide(step, kind, attempt, rng(), age_s=DAY_S).action  # type: ignore[arg-type]
    is_silent = step == "poll" and kind in ("unreachable", "lost", "timeout") and attempt < 6
    has_bytes = kind in ("disk", "too-large")
    assert (action is A.EXPIRE) == (not is_silent and not has_bytes)


def test_unknown_is_no_verdict_for_a_young_task_or_another_key() -> None:
    """A task just accepted may not be known everywhere; to another key the service shows it never."""
    assert decide("poll", "not found", 99, rng(), age_s=59.0).action is A.RETRY
    other = decide("poll", "not found", 99, rng(), age_s=5000.0, same_key=False)
    assert (other.action, other.delay_s) == (A.RETRY, 60.0)


def test_a_wrong_key_or_certificate_stops_the_queue() -> None:
    """The next submit would fare alike; what is wrong with one request says nothing about the next."""
    kinds = ["key refused", "certificate", "not sendable", "rejected", "forbidden"]
    stops = [decide("submit", kind, 1, rng()).stops_queue for kind in kinds]  # type: ignore[arg-type]
    assert stops == [True, True, False, False, False]


@given(st.integers(-5, 10_000), st.integers(0, 1000))
def test_backoff_grows_to_a_cap_and_is_spread(attempt: int, seed: int) -> None:
    """Waits double up to a cap and never fall below half of it: many jobs do not come back together."""
    full_s = min(20.0, 0.5 * 2 ** min(20, max(0, attempt - 1)))
    assert full_s / 2 <= backoff_s(attempt, random.Random(seed)) <= full_s  # noqa: S311


@pytest.mark.parametrize("told_s", [0.0, -5.0, 30.0, 1e9, math.inf, math.nan])
def test_a_retry_after_is_obeyed_within_reason(told_s: float) -> None:
    """At least the backoff, at most ten minutes, whatever the header says."""
    delay_s = decide("submit", RateLimitError("", http_status=429, retry_after_s=told_s), 1, rng()).delay_s
    assert 0.25 <= delay_s <= 600
    assert delay_s >= 30 or told_s < 30 or math.isnan(told_s)
