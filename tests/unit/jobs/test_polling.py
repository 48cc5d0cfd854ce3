"""Polling in virtual time: how often and how late, what is promised, and the service's limit on queries."""

import heapq
import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.jobs import ECONOMICAL, PROMPT, Durations, PollSetting, RateLimit

NETWORK_S = 0.05
SEEDS = range(6)


def usual(rng: random.Random) -> float:
    """Draw from the law that the goals are stated for: lognormal, median 12 s, sigma 0.4."""
    return 12.0 * math.exp(rng.gauss(0, 0.4))


def bimodal(rng: random.Random) -> float:
    """Draw 70 % around 8 s and 30 % around 30 s: no lognormal law."""
    return (8.0 if rng.random() < 0.7 else 30.0) * math.exp(rng.gauss(0, 0.25))


@dataclass
class Outcome:
    """What 100 tasks came to: polls a task, seconds from a task's end to its answer, intervals that held."""

    polls: float
    delay_s: float
    etas: list[bool]


def simulate(law: Callable[[random.Random], float], past: int, setting: PollSetting, seed: int) -> Outcome:
    """Run 100 tasks one after the other, each by the law that those before it have taught."""
    rng = random.Random(seed)  # noqa: S311
    durations = Durations(law(rng) for _ in range(past))
    polls, delays, etas = 0, [], []
    for _ in range(100):
        end_s, last_s, now_s, known = law(rng), None, 0.0, durations.law
        while last_s is None or last_s < end_s:
            now_s = max(now_s, known.next_poll_s(last_s, setting)) + rng.expovariate(500)
            polls, last_s = polls + 1, now_s
            if last_s < end_s and (eta := known.remaining_s(now_s)):
                etas.append(eta[0] <= end_s - now_s <= eta[1])
            now_s += NETWORK_S * rng.uniform(0.6, 1.4)
        delays.append(now_s - end_s)
        durations.add(end_s)
    return Outcome(polls / 100, statistics.fmean(delays), etas)


@pytest.mark.parametrize(
    ("law", "past", "setting", "most_polls", "most_delay_s"),
    [
        (usual, 20, PROMPT, 7.6, 0.75),
        (usual, 20, ECONOMICAL, 3.8, 2.0),
        (usual, 0, PROMPT, 7.6, 1.0),
        (bimodal, 20, PROMPT, 11.0, 1.0),
    ],
)
def test_polls_and_delay(
    law: Callable[[random.Random], float], past: int, setting: PollSetting, most_polls: float, most_delay_s: float
) -> None:
    """A finished task is seen soon, and few polls are spent on tasks that by all experience still run."""
    runs = [simulate(law, past, setting, seed) for seed in SEEDS]
    assert statistics.fmean(run.polls for run in runs) <= most_polls
    assert statistics.fmean(run.delay_s for run in runs) <= most_delay_s


def test_the_time_left_holds_as_often_as_it_says() -> None:
    """The interval on the card holds in 8 of 10 cases; without experience, or far beyond it, none is stated."""
    etas = [held for seed in SEEDS for held in simulate(usual, 20, PROMPT, seed).etas]
    assert 0.7 <= statistics.fmean(etas) <= 0.9
    assert Durations().law.remaining_s(5.0) is None
    assert Durations([10.0, 12.0, 11.0] * 5).law.remaining_s(500.0) is None


@given(st.lists(st.floats(0.0, 5000.0), max_size=20), st.floats(0.0, 90_000.0), st.sampled_from([PROMPT, ECONOMICAL]))
def test_the_next_poll_keeps_the_interval(past: list[float], last_s: float, setting: PollSetting) -> None:
    """Between two polls of one task lies at least the least and at most the greatest interval."""
    wait_s = Durations(past).law.next_poll_s(last_s, setting) - last_s
    assert setting.min_interval_s - 1e-6 <= wait_s <= setting.max_interval_s + 1e-6


def test_a_quick_service_is_found_out_by_its_first_tasks() -> None:
    """With nothing known the first poll comes within half a second, the second soon after; then at once."""
    unknown, instant = Durations().law, Durations([0.0] * 5).law
    assert unknown.next_poll_s(None, PROMPT) <= 0.5
    assert unknown.next_poll_s(0.5, PROMPT) <= 2.0
    assert instant.next_poll_s(None, ECONOMICAL) < 0.05


def test_broken_clocks_teach_nothing() -> None:
    """Negative, endless and not-a-number durations are dropped; only the newest 200 count."""
    durations = Durations([-1.0, math.nan, math.inf, 90_000.0])
    assert durations.law.count == 0
    durations.add(*[5.0] * 500)
    assert durations.law.count == 200


# ------------------------------------------------------------------ the limit on queries


def drive(limit: RateLimit, until_s: float, latency_s: Callable[[], float], rng: random.Random) -> list[float]:
    """Query as fast as the limit allows; return when the queries arrived, at any time before their answers."""
    now_s, arrived, answers = 0.0, list[float](), list[float]()
    while now_s < until_s:
        while answers and answers[0] <= now_s:
            limit.answered(heapq.heappop(answers))
        wait_s = limit.take(now_s)
        if wait_s == 0:
            answer_s = now_s + latency_s()
            arrived.append(rng.choice((now_s, answer_s, rng.uniform(now_s, answer_s))))
            heapq.heappush(answers, answer_s)
        else:
            now_s = min([now_s + max(1e-4, wait_s), until_s, *answers[:1]])
    return sorted(arrived)


def busiest(times: list[float]) -> int:
    """Return the most times that fall into any second, its two ends included."""
    return max((sum(1 for t in times[i : i + 60] if t <= start + 1.0) for i, start in enumerate(times)), default=0)


@given(st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 5.0, 7.5, 20.0]), st.floats(0.001, 2.0))
def test_no_second_sees_more_than_the_limit(seed: int, per_s: float, slowest_s: float) -> None:
    """However the network bunches queries between sending and answer, no second exceeds the limit."""
    rng = random.Random(seed)  # noqa: S311
    arrived = drive(RateLimit(per_s), 6.0, lambda: slowest_s * rng.random() ** 3, rng)
    assert 0 < busiest(arrived) <= max(1, per_s)


def test_the_limit_is_used_and_0_lifts_it() -> None:
    """Caution must not waste the limit: at 20 ms of latency 18 of 20 queries a second go out."""
    assert len(drive(RateLimit(20), 20.0, lambda: 0.02, random.Random(0))) / 20 >= 18  # noqa: S311
    unlimited = RateLimit(0)
    assert all(unlimited.take(1.0) == 0 for _ in range(1000))


def test_a_pause_holds_for_all_and_halves_the_rate_afterwards() -> None:
    """The longest of several pauses stands, a person may end it, and the full rate is back within a minute."""
    limit = RateLimit(20)
    limit.pause(10.0, 5.0)
    limit.pause(10.0, 1.0)
    assert limit.take(12.0) == pytest.approx(3.0)
    assert limit.resume(12.0)
    assert not limit.resume(12.0)
    assert sum(limit.take(20.0) == 0 for _ in range(30)) <= 12
    for _ in range(30):
        limit.answered(20.0)
    assert sum(limit.take(100.0) == 0 for _ in range(60)) >= 18
