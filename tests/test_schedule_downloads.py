"""What follows a fault of a download, and how long any wait may be: hostile Retry-After headers included."""

from __future__ import annotations

import random
from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.schedule import (
    Expired,
    Fault,
    FaultKind,
    FetchAgain,
    HoldBytes,
    KeepAside,
    RefreshUrl,
    StopFetch,
    backoff_s,
    decide_download,
    parse_retry_after,
    polling_is_over,
)
from wan_notebook.schedule.retry import BACKOFF_CAP_S, CONTENT_ATTEMPTS, CORRUPT_ATTEMPTS, REFRESH_EVERY

K = FaultKind
NOW = 1_800_000_000.0


def rng() -> random.Random:
    """Return a generator that draws the same each time."""
    return random.Random(0)  # noqa: S311


def status(code: int, **more: object) -> Fault:
    """Return the fault of an HTTP status."""
    return replace(Fault(kind=K.HTTP_STATUS, http_status=code), **more)  # type: ignore[arg-type]


FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(FaultKind),
    attempt=st.integers(-3, 200),
    http_status=st.none() | st.integers(100, 599),
    retry_after_s=st.none() | st.floats(),
    not_accepted_code=st.booleans(),
)


DOWNLOAD = [
    (Fault(kind=K.CONNECT_REFUSED), FetchAgain),
    (Fault(kind=K.DNS, attempt=REFRESH_EVERY), RefreshUrl),
    (Fault(kind=K.TLS), StopFetch),
    (Fault(kind=K.CONNECTION_LOST), FetchAgain),
    (Fault(kind=K.TIMEOUT_AFTER_SEND), FetchAgain),
    (Fault(kind=K.STALLED), FetchAgain),
    (status(429, retry_after_s=3.0), FetchAgain),
    (status(500), FetchAgain),
    (status(502), FetchAgain),
    (status(403), RefreshUrl),
    (status(404), RefreshUrl),
    (Fault(kind=K.EXPIRED_403), RefreshUrl),
    (Fault(kind=K.REDIRECT, http_status=302), StopFetch),
    (Fault(kind=K.TRUNCATED), FetchAgain),
    (Fault(kind=K.TRUNCATED, attempt=CONTENT_ATTEMPTS), KeepAside),
    (Fault(kind=K.NOT_AN_IMAGE, attempt=CORRUPT_ATTEMPTS), FetchAgain),
    (Fault(kind=K.NOT_AN_IMAGE, attempt=CONTENT_ATTEMPTS), KeepAside),
    (Fault(kind=K.BAD_BODY, attempt=CONTENT_ATTEMPTS - 1), FetchAgain),
    (Fault(kind=K.BAD_BODY, attempt=CONTENT_ATTEMPTS), StopFetch),
    (Fault(kind=K.CORRUPT, attempt=CORRUPT_ATTEMPTS - 1), FetchAgain),
    (Fault(kind=K.CORRUPT, attempt=CORRUPT_ATTEMPTS), KeepAside),
    (Fault(kind=K.BOMB), KeepAside),
    (Fault(kind=K.DISK_FULL), HoldBytes),
]


@pytest.mark.parametrize(("fault", "decision"), DOWNLOAD, ids=str)
def test_the_matrix_of_downloads(fault: Fault, decision: type) -> None:
    """Each fault of a download leads where the matrix says."""
    assert type(decide_download(fault, rng(), age_s=10.0)) is decision


def test_a_download_resumes_only_what_was_cut() -> None:
    """A cut transfer is taken up where it stopped; bytes that were wrong are fetched anew."""
    for kind, resume in ((K.CONNECTION_LOST, True), (K.STALLED, True), (K.CORRUPT, False), (K.NOT_AN_IMAGE, False)):
        decision = decide_download(Fault(kind=kind), rng(), age_s=10.0)
        assert isinstance(decision, FetchAgain)
        assert decision.resume is resume


@pytest.mark.parametrize(("kind", "resume"), [(K.CONNECTION_LOST, True), (K.DNS, True), (K.BAD_BODY, False)])
def test_a_fresh_address_continues_only_what_was_good(kind: K, resume: bool) -> None:
    """Bytes of a page must not become the beginning of a picture."""
    decision = decide_download(Fault(kind=kind, attempt=REFRESH_EVERY), rng(), age_s=10.0)
    assert decision == RefreshUrl(decision.after_s, decision.reason, resume=resume)


def test_an_expired_address_is_renewed_and_then_given_up() -> None:
    """A refused address leads to fresh ones, a bounded number, and then to "expired": never to a new submit."""
    fates = [decide_download(Fault(kind=K.EXPIRED_403), rng(), age_s=10.0, refreshed=n) for n in range(4)]
    assert [type(fate) for fate in fates] == [RefreshUrl, RefreshUrl, Expired, Expired]


@given(FAULTS, st.floats(0.0, 1e6), st.integers(0, 5))
def test_bytes_in_hand_outlive_the_service_s_day(fault: Fault, age_s: float, refreshed: int) -> None:
    """After 24 hours nothing is fetched, but bytes that could not be written are still kept."""
    decision = decide_download(fault, rng(), age_s=age_s, refreshed=refreshed)
    if fault.kind is K.DISK_FULL:
        assert isinstance(decision, HoldBytes)
    elif polling_is_over(age_s):
        assert isinstance(decision, Expired | KeepAside)


@given(st.integers(-5, 10_000), st.integers(0, 1000))
def test_backoff_grows_to_a_cap_and_is_spread(attempt: int, seed: int) -> None:
    """Waits double up to a cap and never fall below half of it: many jobs do not come back together or at once."""
    wait_s = backoff_s(attempt, random.Random(seed))  # noqa: S311
    full_s = min(BACKOFF_CAP_S, 0.5 * 2 ** min(20, max(0, attempt - 1)))
    assert full_s / 2 <= wait_s <= full_s


@given(st.text(max_size=80) | st.from_regex(r"[-+]?[0-9.eE]{1,70}", fullmatch=True))
def test_a_hostile_retry_after_is_harmless(header: str) -> None:
    """Whatever stands there: None, or seconds between 0 and a week."""
    wait_s = parse_retry_after(header, now_epoch_s=NOW)
    assert wait_s is None or 0 <= wait_s <= 7 * 86_400


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("0", 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("99999999999999999999", 7 * 86_400.0),
        ("-5", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("9" * 100, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, wait_s: float | None) -> None:
    """Both forms of the header are read; what is neither says nothing."""
    assert parse_retry_after(header, now_epoch_s=NOW) == wait_s
