"""The retry table: what follows each fault, and what must never follow."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook import errors as e
from wan_notebook.jobs import Action, backoff_s, decide

SUBMIT = {
    Action.RETRY: [e.NotSentError("", kind="dns"), e.NotSentError("", kind="proxy")],
    Action.PAUSE: [e.RateLimitError("", http_status=429), e.ServerError("", http_status=503, retry_after_s=1.0)],
    Action.NOT_SENT: [*(e.NotSentError("", kind=k) for k in ("tls", "setting")), e.ImageInputError("a", "too large")],
    Action.REFUSE: [
        *(e.InvalidRequestError("", http_status=status) for status in (400, 404, 200)),
        *(e.ServerError("", http_status=500, code=code) for code in ("Throttling.RateQuota", "data_inspection_failed")),
        e.AuthError("", http_status=401),
    ],
    Action.IN_DOUBT: [
        *(e.ConnectionLostError("", kind=kind) for kind in ("lost", "timeout")),
        *(e.ServerError("", http_status=status) for status in (500, 503)),
        *(e.UnexpectedReplyError("", http_status=status) for status in (303, 408)),
        e.ServerError("", http_status=503, retry_after_s=1.0, is_page=True),
    ],
    Action.SALVAGE: [e.UnexpectedReplyError("", http_status=200)],
}


@pytest.mark.parametrize("action", SUBMIT)
def test_what_may_have_arrived_is_never_sent_again(action: Action) -> None:
    """A second POST follows only proof that there is no task; doubt is never called a refusal, and so never free."""
    for error in SUBMIT[action]:
        found = [decide("submit", error, attempt, random.Random(0)).action for attempt in (1, 2, 200)]  # noqa: S311
        assert found[:2] == [action] * 2
        assert found[2] is action or action in (Action.RETRY, Action.PAUSE)


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


@pytest.mark.parametrize(
    ("step", "fault", "denied_s", "action"),
    [
        ("poll", e.InvalidRequestError("", http_status=404), 10, Action.RETRY),
        ("poll", e.InvalidRequestError("", http_status=404), 300, Action.EXPIRE),
        ("poll", e.InvalidRequestError("", http_status=404, is_page=True), 3000, Action.RETRY),
        ("download", e.DownloadError("", kind="gone", http_status=404), 10, Action.REFRESH_URL),
        ("download", e.DownloadError("", kind="http", http_status=451), 300, Action.EXPIRE),
    ],
)
def test_a_denial_counts_once_it_lasts(step: Any, fault: e.WanError | str, denied_s: float, action: Action) -> None:
    """A proxy, or a store that is being renewed, denies a paid picture for seconds: only five minutes end its job."""
    assert decide(step, fault, 4, random.Random(0), denied_s=denied_s).action is action  # noqa: S311


@pytest.mark.parametrize(
    "fault",
    [
        "incomplete",
        e.UnexpectedReplyError("", http_status=200),
        e.ServerError("", http_status=502),
        e.NotSentError("", kind="dns"),
        e.InvalidRequestError("", http_status=404),
        e.DownloadError("", kind="server"),
    ],
)
def test_a_clock_that_jumped_gives_up_no_paid_picture(fault: e.WanError | str) -> None:
    """When the 24 hours seem to be over, only what has been so for five minutes ends a job."""
    rng, step = random.Random(0), "download" if isinstance(fault, e.DownloadError) else "poll"  # noqa: S311
    found = [decide(step, fault, 9, rng, age_s=1e6, denied_s=for_s).action for for_s in (0.0, 299.0, 300.0)]
    assert [action is Action.EXPIRE for action in found] == [False, False, True]
