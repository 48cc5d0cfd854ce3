"""The retry table: what follows each fault, and what must never follow."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook import errors as e
from wan_notebook.jobs import Action, backoff_s, decide, kind_of

A = Action

KINDS = {
    "unreachable": [
        e.NotSentError("", kind="dns"),
        e.NotSentError("", kind="proxy"),
        e.DownloadError("", kind="refused"),
    ],
    "certificate": [e.NotSentError("", kind="tls")],
    "not sendable": [
        e.NotSentError("", kind="setting"),
        e.SettingsError("no key"),
        e.ImageInputError("a", "too large"),
    ],
    "lost": [e.ConnectionLostError("", kind="lost"), e.DownloadError("", kind="lost")],
    "timeout": [e.ConnectionLostError("", kind="timeout")],
    "throttled": [e.RateLimitError("", http_status=429)],
    "key refused": [e.AuthError("", http_status=401)],
    "not found": [e.InvalidRequestError("", http_status=404)],
    "rejected": [
        *(e.InvalidRequestError("", http_status=status) for status in (400, 200)),
        *(e.ServerError("", http_status=500, code=code) for code in ("Throttling.RateQuota", "data_inspection_failed")),
    ],
    "server error": [
        *(e.ServerError("", http_status=status) for status in (500, 503)),
        *(e.UnexpectedReplyError("", http_status=status) for status in (303, 408)),
    ],
    "unavailable": [e.ServerError("", http_status=503, retry_after_s=1.0)],
    "bad body": [e.UnexpectedReplyError("", http_status=200)],
    "expired": [e.DownloadError("", kind=kind, http_status=403) for kind in ("expired", "http")],
    "disk": [e.StoreError("full")],
    "too-large": [e.DownloadError("", kind="too-large")],
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_one_kind(kind: str) -> None:
    """The kind decides, never the text of a message."""
    assert {kind_of(error) for error in KINDS[kind]} == {kind}


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 200))
def test_what_may_have_arrived_is_never_sent_again(kind: str, attempt: int) -> None:
    """A second POST follows only proof that there is no task; doubt is never called a refusal, and so never free."""
    action = decide("submit", kind, attempt, random.Random(0)).action  # noqa: S311
    if kind in ("lost", "timeout", "server error"):
        assert action is A.IN_DOUBT
    if action in (A.RETRY, A.PAUSE):
        assert kind in ("unreachable", "throttled", "unavailable")


@given(st.integers(-5, 10_000), st.integers(0, 1000))
def test_backoff_grows_to_a_cap_and_is_spread(attempt: int, seed: int) -> None:
    """Waits double up to a cap and never fall below half of it: many jobs do not come back together."""
    full_s = min(20.0, 0.5 * 2 ** min(20, max(0, attempt - 1)))
    assert full_s / 2 <= backoff_s(attempt, random.Random(seed)) <= full_s  # noqa: S311


@pytest.mark.parametrize("told_s", [0.0, -5.0, 30.0, 1e9, math.inf, math.nan])
def test_a_retry_after_is_obeyed_within_reason(told_s: float) -> None:
    """At least the backoff, at most ten minutes, whatever the header says."""
    error = e.RateLimitError("", http_status=429, retry_after_s=told_s)
    delay_s = decide("submit", error, 1, random.Random(0)).delay_s  # noqa: S311
    assert 0.25 <= delay_s <= 600
    assert delay_s >= 30 or told_s < 30 or math.isnan(told_s)
