"""The pacer: no second at the service ever sees more than the limit, whatever the network does to the queries."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.schedule import Pacer


def drive(
    pacer: Pacer, *, until_s: float, latency_s: Callable[[random.Random], float], seed: int, start_s: float = 0.0
) -> tuple[list[float], list[float]]:
    """Send as fast as the pacer lets us; return the times of sending, and times of arrival drawn before the answers."""
    rng = random.Random(seed)  # noqa: S311
    now_s = start_s
    sent: list[float] = []
    arrived: list[float] = []
    answers: list[float] = []
    while now_s < until_s:
        while answers and answers[0] <= now_s:
            pacer.answered(answers.pop(0))
        if pacer.take(now_s):
            answer_s = now_s + latency_s(rng)
            sent.append(now_s)
            arrived.append(rng.choice((now_s, answer_s, rng.uniform(now_s, answer_s))))
            answers = sorted([*answers, answer_s])
            continue
        wait_s = max(1e-4, pacer.wait_s(now_s))
        now_s = min([now_s + wait_s, until_s, *answers[:1]])
    return sent, sorted(arrived)


def busiest(times: list[float]) -> int:
    """Return the most times that fall into any second, its two ends included."""
    return max((sum(1 for t in times[i:] if t <= start + 1.0) for i, start in enumerate(times)), default=0)


@given(st.integers(0, 10_000), st.sampled_from([1.0, 2.0, 5.0, 7.5, 20.0, 50.0]), st.floats(0.001, 2.0))
def test_no_second_sees_more_than_the_limit(seed: int, limit: float, slowest_s: float) -> None:
    """Arrivals may be bunched at will between sending and answer; still no 1 s window exceeds the limit."""
    pacer = Pacer(queries_per_s=limit)
    _sent, arrived = drive(pacer, until_s=6.0, latency_s=lambda rng: slowest_s * rng.random() ** 3, seed=seed)
    assert arrived
    assert busiest(arrived) <= limit


def test_a_stalled_service_that_takes_all_at_once_stays_below_the_limit() -> None:
    """Queries held back for 0.8 s and let through together, then a fast network: the worst bunching there is."""
    pacer, now_s, held, arrived = Pacer(queries_per_s=20), 0.0, 0, []
    while now_s < 3.0:
        now_s += 0.01
        stalled = now_s < 0.8
        if not stalled:
            for _ in range(held):
                arrived.append(now_s)
                pacer.answered(now_s)
            held = 0
        if pacer.take(now_s):
            held += 1
    assert 19 <= busiest(arrived) <= 20


def test_the_limit_is_used() -> None:
    """Caution must not waste the limit: at 20 ms of latency at least 18 of 20 queries a second go out, evenly."""
    sent, _arrived = drive(Pacer(queries_per_s=20), until_s=20.0, latency_s=lambda _rng: 0.02, seed=0)
    assert len(sent) / 20 >= 18
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert min(gaps) > 0.02


def test_no_limit_means_no_wait() -> None:
    """0 queries a second stands for no limit."""
    pacer = Pacer(queries_per_s=0)
    assert all(pacer.take(1.0) for _ in range(1000))


def test_an_idle_hour_earns_no_burst() -> None:
    """After an outage or a sleep the queries go one by one at the usual pace."""
    pacer = Pacer(queries_per_s=20)
    assert pacer.take(0.0)
    pacer.answered(0.01)
    assert [pacer.take(3600.0) for _ in range(5)] == [True, False, False, False, False]
    pacer.answered(3600.02)
    sent, _arrived = drive(pacer, until_s=3602.0, latency_s=lambda _rng: 0.02, seed=0, start_s=3600.02)
    assert busiest(sent) <= 20


@given(st.integers(1, 6), st.sampled_from([1.0, 5.0, 20.0, 33.0]))
def test_shares_add_up_to_the_limit(kernels: int, limit: float) -> None:
    """Kernels that share a limit stay below it together (where it is at least one query a second for each)."""
    times: list[float] = []
    for kernel in range(kernels):
        pacer = Pacer(queries_per_s=limit, share=1 / kernels)
        times += drive(pacer, until_s=4.0, latency_s=lambda rng: 0.1 * rng.random(), seed=kernel)[1]
    if limit / kernels >= 1:
        assert busiest(sorted(times)) <= limit


def test_a_share_may_change() -> None:
    """A kernel that is left alone takes over the whole limit."""
    pacer = Pacer(queries_per_s=20, share=0.5)
    assert pacer.rate_per_s(0.0) == pytest.approx(9.5)
    pacer.set_share(1.0)
    assert pacer.rate_per_s(0.0) == pytest.approx(19.0)


def test_a_pause_holds_for_all_and_the_longest_stands() -> None:
    """Retry-After pauses every query, a shorter one later does not cut it short, and a person may end it."""
    pacer = Pacer(queries_per_s=20)
    pacer.pause(10.0, 5.0)
    pacer.pause(10.0, 1.0)
    assert not pacer.take(14.9)
    assert pacer.wait_s(14.0) == pytest.approx(1.0)
    assert pacer.take(15.0)
    pacer.pause(16.0, math.inf)
    assert pacer.wait_s(1e6) == math.inf
    pacer.resume()
    assert pacer.take(17.0)


def test_a_429_halves_the_rate_once_and_it_recovers_slowly() -> None:
    """Ten 429s of one burst halve once; half a minute later the full rate is back, not sooner."""
    pacer = Pacer(queries_per_s=20)
    for i in range(10):
        pacer.slow_down(100.0 + i * 0.05)
    assert pacer.rate_per_s(100.5) == pytest.approx(9.5, rel=0.05)
    assert pacer.rate_per_s(110.0) < 14
    assert pacer.rate_per_s(135.0) == pytest.approx(19.0)
    pacer.slow_down(102.0)
    pacer.slow_down(104.0)
    assert pacer.rate_per_s(104.0) < 6


def test_a_429_without_a_limit_of_ours_brings_one() -> None:
    """With the limit lifted, a 429 sets the rate to half of what was sent in the last second."""
    pacer = Pacer(queries_per_s=0)
    for i in range(40):
        assert pacer.take(i * 0.025)
        pacer.answered(i * 0.025 + 0.01)
    pacer.slow_down(1.0)
    assert pacer.rate_per_s(1.0) == pytest.approx(20.0, rel=0.1)
    sent, _arrived = drive(pacer, until_s=2.0, latency_s=lambda _rng: 0.01, seed=0, start_s=1.0)
    assert 15 <= len(sent) <= 24


def test_a_few_429s_on_a_trickle_are_got_over_within_seconds() -> None:
    """Without a limit of ours, one query a second is no measure of what the service takes: jobs must not starve."""
    pacer, now_s = Pacer(queries_per_s=0), 100.0
    for _ in range(8):
        now_s += max(1.1, pacer.wait_s(now_s))
        assert pacer.take(now_s)
        pacer.answered(now_s)
        pacer.slow_down(now_s)
    assert pacer.rate_per_s(now_s) < 1
    assert pacer.rate_per_s(now_s + 10) > 3


def test_the_rate_never_falls_to_nothing() -> None:
    """However many 429s come, a query goes out from time to time: paid pictures must be found."""
    pacer = Pacer(queries_per_s=20)
    for i in range(100):
        pacer.slow_down(i * 2.0)
    assert pacer.wait_s(200.0) < 30.0


@pytest.mark.parametrize(("limit", "share"), [(-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (20.0, 0.0), (20.0, 1.5)])
def test_a_limit_that_makes_no_sense_is_refused(limit: float, share: float) -> None:
    """A wrong setting is named, not obeyed."""
    with pytest.raises(ValueError, match="must be"):
        Pacer(queries_per_s=limit, share=share)


def test_a_new_limit_counts_what_was_sent_under_the_old_one() -> None:
    """A limit that is set in mid-run holds at once: the service has counted the second before."""
    pacer = Pacer(queries_per_s=0)
    for i in range(10):
        assert pacer.take(i * 0.01)
        pacer.answered(i * 0.01)
    pacer.set_limit(5)
    assert pacer.wait_s(0.2) > 0.8
    assert pacer.rate_per_s(0.2) <= 5
    pacer.set_limit(0)
    assert pacer.wait_s(0.2) < 0.1
