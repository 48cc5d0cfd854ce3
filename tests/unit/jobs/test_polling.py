"""Polling in virtual time: how often and how late, what is promised, and the service's limit on queries."""

import math
import random
import statistics
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.jobs import ECONOMICAL, PROMPT, DurationLaw, PollSetting, RateLimit

NETWORK_S = 0.05
SEEDS = range(6)


def usual(rng: random.Random) -> float:
    """Draw from the law that the goals are stated for: lognormal, median 12 s, sigma 0.4."""
    return 12.0 * math.exp(rng.gauss(0, 0.4))


def bimodal(rng: random.Random) -> float:
    """Draw 70 % around 8 s and 30 % around 30 s: no lognormal law."""
    return (8.0 if rng.random() < 0.7 else 30.0) * math.exp(rng.gauss(0, 0.25))


class Outcome(NamedTuple):
    """What 100 tasks came to: polls a task, seconds from a task's end to its answer, intervals that held."""

    polls: float
    delay_s: float
    etas: list[bool]


def simulate(law: Callable[[random.Random], float], past: int, setting: PollSetting, seed: int) -> Outcome:
    """Run 100 tasks one after the other, each by the law that those before it have taught."""
    rng = random.Random(seed)  # noqa: S311
    past_s = [law(rng) for _ in range(past)]
    polls, delays, etas = 0, [], []
    for _ in range(100):
        end_s, last_s, now_s, known = law(rng), None, 0.0, DurationLaw(past_s)
        while last_s is None or last_s < end_s:
            now_s = max(now_s, known.next_poll_s(last_s, setting)) + rng.expovariate(500)
            polls, last_s = polls + 1, now_s
            if last_s < end_s and (eta := known.remaining_s(now_s)):
                etas.append(eta[0] <= end_s - now_s <= eta[1])
            now_s += NETWORK_S * rng.uniform(0.6, 1.4)
        delays.append(now_s - end_s)
        past_s.append(end_s)
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
    assert DurationLaw().remaining_s(5.0) is None
    assert DurationLaw([10.0, 12.0, 11.0] * 5).remaining_s(500.0) is None
    assert DurationLaw([-1.0, math.nan, math.inf, 90_000.0]).count == 0, "a broken clock teaches nothing"


@given(st.lists(st.floats(0.0, 5000.0), max_size=20), st.floats(0.0, 90_000.0), st.sampled_from([PROMPT, ECONOMICAL]))
def test_the_next_poll_keeps_the_interval(past: list[float], last_s: float, setting: PollSetting) -> None:
    """Between two polls of one task lies at least the least and at most the greatest interval."""
    wait_s = DurationLaw(past).next_poll_s(last_s, setting) - last_s
    assert setting.min_interval_s - 1e-6 <= wait_s <= setting.max_interval_s + 1e-6


def test_a_quick_service_is_found_out_by_its_first_tasks() -> None:
    """With nothing known the first poll comes within half a second, the second soon after; then at once."""
    unknown, instant = DurationLaw(), DurationLaw([0.0] * 5)
    assert unknown.next_poll_s(None, PROMPT) <= 0.5
    assert unknown.next_poll_s(0.5, PROMPT) <= 2.0
    assert instant.next_poll_s(None, ECONOMICAL) < 0.05


def drive(limit: RateLimit, until_s: float) -> list[float]:
    """Query as fast as the limit allows; return when."""
    now_s, sent = 0.0, list[float]()
    while now_s < until_s:
        if (wait_s := limit.take(now_s)) == 0:
            sent.append(now_s)
        now_s += max(1e-4, wait_s)
    return sent


@pytest.mark.parametrize("per_s", [0.5, 1.0, 5.0, 7.5, 20.0])
def test_no_second_sees_more_than_the_limit(per_s: float) -> None:
    """Its two ends included; caution does not waste the limit, and 0 lifts it, as WAN_QUERIES_PER_S=0 says."""
    sent = drive(RateLimit(per_s), 20.0)
    busiest = max(sum(1 for at in sent if start <= at <= start + 1.0) for start in sent)
    assert 0 < busiest <= math.ceil(per_s)
    assert len(sent) / 20 >= 0.8 * per_s
    unlimited = RateLimit(0)
    assert not any(unlimited.take(1.0) for _ in range(1000))
