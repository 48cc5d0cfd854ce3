"""The fault matrix: what follows each fault of a submit and of a poll, and what must never follow."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.schedule import (
    SERVICE_KEEPS_S,
    AskAgain,
    Expired,
    Fault,
    FaultKind,
    InDoubt,
    PausePolls,
    Refused,
    Resend,
    SalvageThenConfirm,
    StopAsking,
    decide_download,
    decide_incomplete,
    decide_poll,
    decide_running,
    decide_submit,
    decide_unknown,
    polling_is_over,
)
from wan_notebook.schedule.retry import (
    POLL_UNKNOWN_ATTEMPTS,
    QUERY_RETRY_AFTER_CAP_S,
    SUBMIT_ATTEMPTS,
    SUBMIT_RETRY_AFTER_CAP_S,
)

K = FaultKind


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


@given(FAULTS)
def test_a_submit_that_may_have_arrived_is_never_sent_again(fault: Fault) -> None:
    """Sent again is only what certainly did not arrive or was refused in so many words; and never without bound."""
    decision = decide_submit(fault, rng())
    nothing_sent = fault.kind in (K.DNS, K.CONNECT_REFUSED, K.TIMEOUT_BEFORE_SEND)
    turned_away = fault.kind is K.HTTP_STATUS and (
        fault.http_status == 429
        or (fault.http_status == 503 and (fault.retry_after_s is not None or fault.not_accepted_code))
    )
    if isinstance(decision, Resend):
        assert nothing_sent or turned_away
        assert fault.attempt < SUBMIT_ATTEMPTS
        assert 0 <= decision.after_s <= SUBMIT_RETRY_AFTER_CAP_S


@given(FAULTS)
def test_doubt_is_never_called_a_refusal(fault: Fault) -> None:
    """A job is called refused, and so not paid, only on the service's own word or if nothing was sent."""
    answered = fault.kind in (K.ERROR_OBJECT, K.REDIRECT) or (
        fault.kind is K.HTTP_STATUS
        and (
            fault.not_accepted_code
            or (400 <= (fault.http_status or 0) < 500)
            or (fault.http_status == 503 and fault.retry_after_s is not None)
        )
    )
    not_sent = fault.kind in (K.DNS, K.CONNECT_REFUSED, K.TIMEOUT_BEFORE_SEND, K.TLS, K.DISK_FULL)
    if isinstance(decide_submit(fault, rng()), Refused):
        assert answered or not_sent


SUBMIT = [
    (Fault(kind=K.CONNECT_REFUSED), Resend),
    (Fault(kind=K.CONNECT_REFUSED, attempt=SUBMIT_ATTEMPTS), Refused),
    (Fault(kind=K.DNS), Resend),
    (Fault(kind=K.TIMEOUT_BEFORE_SEND), Resend),
    (Fault(kind=K.TLS), Refused),
    (Fault(kind=K.DISK_FULL), Refused),
    (Fault(kind=K.CONNECTION_LOST), InDoubt),
    (Fault(kind=K.TIMEOUT_AFTER_SEND), InDoubt),
    (Fault(kind=K.INTERRUPTED), InDoubt),
    (status(429, retry_after_s=3.0), Resend),
    (status(429), Resend),
    (status(429, retry_after_s=3600.0), Refused),
    (status(429, attempt=SUBMIT_ATTEMPTS), Refused),
    (status(400), Refused),
    (status(401), Refused),
    (status(403), Refused),
    (status(404), Refused),
    (status(422), Refused),
    (status(408), InDoubt),
    (status(500), InDoubt),
    (status(500, not_accepted_code=True), Refused),
    (status(502), InDoubt),
    (status(503), InDoubt),
    (status(503, retry_after_s=2.0), Resend),
    (status(503, not_accepted_code=True), Resend),
    (status(504), InDoubt),
    (status(200), InDoubt),
    (Fault(kind=K.BAD_BODY), SalvageThenConfirm),
    (Fault(kind=K.NO_TASK_ID), InDoubt),
    (Fault(kind=K.ERROR_OBJECT), Refused),
    (Fault(kind=K.REDIRECT, http_status=302), Refused),
    (Fault(kind=K.REDIRECT, http_status=303), InDoubt),
]


@pytest.mark.parametrize(("fault", "decision"), SUBMIT, ids=str)
def test_the_matrix_of_submits(fault: Fault, decision: type) -> None:
    """Each fault of a submit leads where the matrix says."""
    assert type(decide_submit(fault, rng())) is decision


def test_what_concerns_all_submits_says_so() -> None:
    """A wrong key or certificate stops the queue, a 429 pauses it; a bad request is its own job's matter."""
    assert decide_submit(status(401), rng()).stop_queue  # type: ignore[union-attr]
    # DashScope's code says as well that no task was made; the next submit would fare alike all the same.
    assert decide_submit(status(401, not_accepted_code=True), rng()).stop_queue  # type: ignore[union-attr]
    assert decide_submit(Fault(kind=K.TLS), rng()).stop_queue  # type: ignore[union-attr]
    assert not decide_submit(status(400), rng()).stop_queue  # type: ignore[union-attr]
    assert decide_submit(status(429), rng()).pause_submits  # type: ignore[union-attr]
    assert not decide_submit(Fault(kind=K.DNS), rng()).pause_submits  # type: ignore[union-attr]


POLL = [
    (Fault(kind=K.CONNECT_REFUSED, attempt=50), AskAgain),
    (Fault(kind=K.DNS, attempt=50), AskAgain),
    (Fault(kind=K.TLS), PausePolls),
    (Fault(kind=K.CONNECTION_LOST), AskAgain),
    (Fault(kind=K.TIMEOUT_AFTER_SEND), AskAgain),
    (status(429, retry_after_s=3.0), PausePolls),
    (status(429), PausePolls),
    (status(401), PausePolls),
    (status(403), PausePolls),
    (status(404), AskAgain),
    (status(404, attempt=POLL_UNKNOWN_ATTEMPTS), Expired),
    (status(500, attempt=50), AskAgain),
    (status(502), AskAgain),
    (status(503), AskAgain),
    (status(504), AskAgain),
    (Fault(kind=K.BAD_BODY, attempt=50), AskAgain),
    (Fault(kind=K.ERROR_OBJECT), AskAgain),
    (Fault(kind=K.NO_TASK_ID), AskAgain),
    (Fault(kind=K.REDIRECT, http_status=302), AskAgain),
    (Fault(kind=K.DISK_FULL), AskAgain),
]


@pytest.mark.parametrize(("fault", "decision"), POLL, ids=str)
def test_the_matrix_of_polls(fault: Fault, decision: type) -> None:
    """Each fault of a poll leads where the matrix says; none fails the job."""
    assert type(decide_poll(fault, rng(), age_s=300.0)) is decision


@given(FAULTS, st.floats(0.0, SERVICE_KEEPS_S - 1))
def test_no_fault_of_a_poll_loses_a_task(fault: Fault, age_s: float) -> None:
    """Until the service's day is over a task is given up only on repeated word that it does not exist."""
    decision = decide_poll(fault, rng(), age_s=age_s)
    if isinstance(decision, Expired):
        assert fault.http_status in (404, 410)
        assert age_s >= 60
    elif decision.after_s is not None:
        assert 0 <= decision.after_s <= QUERY_RETRY_AFTER_CAP_S


@given(FAULTS, st.floats(SERVICE_KEEPS_S, 1e9))
def test_polling_ends_with_the_service_s_day(fault: Fault, age_s: float) -> None:
    """After 24 hours nothing is asked any more."""
    assert polling_is_over(age_s)
    assert isinstance(decide_poll(fault, rng(), age_s=age_s), Expired)


def test_a_task_that_still_runs_is_asked_for_until_the_service_s_day_is_over() -> None:
    """Polling ends with the 24 hours also where the service says "running" for ever; until then it never does."""
    assert decide_running(age_s=SERVICE_KEEPS_S - 1) is None
    assert isinstance(decide_running(age_s=SERVICE_KEEPS_S), StopAsking)


def test_a_poll_s_429_is_obeyed_by_all_and_halves_the_rate_if_it_names_no_time() -> None:
    """Retry-After is a pause of that length; without one the pause is a backoff and the rate is halved."""
    told = decide_poll(status(429, retry_after_s=7.0), rng(), age_s=1.0)
    untold = decide_poll(status(429), rng(), age_s=1.0)
    assert isinstance(told, PausePolls)
    assert isinstance(untold, PausePolls)
    assert (told.after_s, told.slow_down) == (7.0, False)
    assert untold.slow_down
    assert 0 < (untold.after_s or 0) < 1
    endless = decide_poll(status(429, retry_after_s=1e9), rng(), age_s=1.0)
    assert isinstance(endless, PausePolls)
    assert endless.after_s == QUERY_RETRY_AFTER_CAP_S


def test_a_lost_answer_is_asked_for_at_once_and_then_ever_later() -> None:
    """A dropped connection is common and harmless for a poll: the first repetition does not wait."""
    first = decide_poll(Fault(kind=K.CONNECTION_LOST), rng(), age_s=1.0)
    third = decide_poll(Fault(kind=K.CONNECTION_LOST, attempt=3), rng(), age_s=1.0)
    assert first.after_s == 0.0  # type: ignore[union-attr]
    assert isinstance(third, AskAgain)
    assert third.after_s >= 1.0


@pytest.mark.parametrize(
    ("age_s", "attempt", "same_key", "decision"),
    [
        (5.0, 1, True, AskAgain),
        (59.0, 30, True, AskAgain),
        (300.0, 1, True, AskAgain),
        (300.0, POLL_UNKNOWN_ATTEMPTS, True, Expired),
        (300.0, POLL_UNKNOWN_ATTEMPTS, False, PausePolls),
        (SERVICE_KEEPS_S, 1, False, Expired),
    ],
)
def test_an_unknown_task(age_s: float, attempt: int, same_key: bool, decision: type) -> None:
    """UNKNOWN may be a task too young to be known everywhere, or another key's; only else it is gone."""
    fault = Fault(kind=K.HTTP_STATUS, http_status=404, attempt=attempt)
    assert type(decide_unknown(fault, rng(), age_s=age_s, same_key=same_key)) is decision


def test_an_incomplete_result_is_asked_for_again_a_few_times() -> None:
    """SUCCEEDED with too few pictures may be early news; after some polls what there is is shown."""
    waits = [decide_incomplete(delivered=1, expected=4, attempt=n, rng=rng()) for n in range(1, 10)]
    assert 2 <= sum(wait is not None for wait in waits) <= 5
    assert waits[-1] is None
    assert decide_incomplete(delivered=4, expected=4, attempt=1, rng=rng()) is None


@given(FAULTS)
def test_every_wait_is_a_number(fault: Fault) -> None:
    """No decision carries a wait that is endless, negative or no number, whatever a header said."""
    for decision in (
        decide_submit(fault, rng()),
        decide_poll(fault, rng(), age_s=100.0),
        decide_download(fault, rng(), age_s=100.0),
    ):
        wait_s = getattr(decision, "after_s", None)
        assert wait_s is None or (0 <= wait_s < math.inf)
