"""The law of durations: learned, honest about what it does not know, and unharmed by broken clocks."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.schedule import DurationModel, Durations

ANY_FLOATS = st.lists(st.floats() | st.floats(0.0, 100.0), max_size=30)
AGES = st.floats(0.0, 200_000.0)


def draw(count: int, seed: int, median_s: float = 12.0, sigma: float = 0.4) -> list[float]:
    """Draw durations from a lognormal law."""
    rng = random.Random(seed)  # noqa: S311
    return [median_s * math.exp(rng.gauss(0, sigma)) for _ in range(count)]


@given(ANY_FLOATS, ANY_FLOATS, AGES, AGES)
def test_every_answer_is_a_number_in_its_range(
    past: list[float], ages: list[float], one_s: float, other_s: float
) -> None:
    """Zero, negative, endless and not-a-number durations and ages never make an answer that is no number."""
    model = DurationModel.fit(past, ages)
    low_s, high_s = sorted((one_s, other_s))
    assert 0.0 <= model.cdf(low_s) <= model.cdf(high_s) <= 1.0
    assert 0.0 <= model.area(low_s) <= model.area(high_s) < math.inf
    assert 0.0 <= model.hazard(low_s) < math.inf
    assert 0.0 <= model.finished_since(low_s, high_s) <= 1.0 + 1e-9
    assert 0.0 <= model.waste_since(low_s, high_s) <= (high_s - low_s) * (1 + 1e-6) + 1e-6
    assert low_s <= model.age_of_waste(low_s, 0.1)


@given(ANY_FLOATS, ANY_FLOATS, st.floats(0.0, 1.0), st.floats(0.0, 1.0), AGES)
def test_quantiles_are_ordered(past: list[float], ages: list[float], p: float, q: float, elapsed_s: float) -> None:
    """A greater share never takes less time, and no remaining task ends in its past."""
    model = DurationModel.fit(past, ages)
    low, high = sorted((p, q))
    low_s, high_s = (model.quantile(x, elapsed_s=elapsed_s) for x in (low, high))
    assert elapsed_s <= low_s <= high_s < math.inf


@given(ANY_FLOATS, ANY_FLOATS, st.floats(allow_nan=True))
def test_an_eta_is_an_interval_or_nothing(past: list[float], ages: list[float], elapsed_s: float) -> None:
    """Whatever the age, the ETA is None or 0 <= low <= high, both finite; never for an age that cannot be."""
    eta = DurationModel.fit(past, ages).eta(elapsed_s)
    if eta is not None:
        assert 0.0 <= eta[0] <= eta[1] < math.inf
    if not 0 <= elapsed_s < 86_400:
        assert eta is None


@given(st.lists(st.floats(0.01, 1000.0), min_size=1, max_size=20), st.floats(0.0, 300.0))
def test_the_end_that_an_eta_states_does_not_move_back(past: list[float], elapsed_s: float) -> None:
    """While a task runs on, both ends of the interval of its total time only grow, unless the interval widens."""
    model = DurationModel.fit(past)
    for p in (0.05, 0.1, 0.9, 0.95):
        now_s, later_s = model.quantile(p, elapsed_s=elapsed_s), model.quantile(p, elapsed_s=elapsed_s + 1.0)
        assert later_s >= now_s - 1e-6


def test_durations_that_cannot_be_are_dropped() -> None:
    """A broken clock's durations do not count: negative, endless, not a number, longer than the service remembers."""
    clean = DurationModel.fit([9.0, 12.0, 15.0])
    assert DurationModel.fit([9.0, -3.0, math.nan, 12.0, math.inf, 1e7, 15.0, -math.inf]) == clean
    kind = Durations([9.0, 12.0, 15.0])
    for broken in (-1.0, math.nan, math.inf, 1e9):
        kind.add(broken)
    kind.refit()
    assert kind.model == clean


def test_the_newest_durations_count() -> None:
    """Two hundred newest durations make the model: a service that became faster is believed."""
    kind = Durations([60.0] * 500)
    for _ in range(200):
        kind.add(6.0)
    kind.refit()
    assert kind.model.quantile(0.9) < 10.0


def test_the_prior_is_wide() -> None:
    """With nothing known, the interval is wide, and the documented 21 s are well inside."""
    low_s, high_s = DurationModel.fit().eta(0.0) or (0.0, 0.0)
    assert low_s < 12.0
    assert high_s > 35.0


def test_the_model_finds_the_law() -> None:
    """From 200 durations the quantiles of the law come out within a tenth."""
    model = DurationModel.fit(draw(200, seed=3))
    assert model.quantile(0.5) == pytest.approx(12.0, rel=0.1)
    assert model.quantile(0.9) == pytest.approx(12.0 * math.exp(0.4 * 1.2816), rel=0.1)


def test_the_area_is_the_integral_of_the_cdf() -> None:
    """What is called waste rests on it: a sum of a thousand slices agrees."""
    model = DurationModel.fit(draw(20, seed=1))
    slices = sum(model.cdf(i * 0.03 + 0.015) * 0.03 for i in range(1000))
    assert model.area(30.0) == pytest.approx(slices, rel=1e-3)


@given(st.floats(0.0, 60.0), st.floats(0.01, 5.0))
def test_waste_reaches_what_was_asked_at_the_age_returned(last_s: float, waste_s: float) -> None:
    """`age_of_waste` inverts `waste_since`."""
    model = DurationModel.fit(draw(20, seed=1))
    age_s = model.age_of_waste(last_s, waste_s)
    assert model.waste_since(last_s, age_s) == pytest.approx(waste_s, rel=1e-6, abs=1e-9)


def test_a_bimodal_law_keeps_its_two_modes() -> None:
    """Between two kinds of duration the density is low: a single smooth bump would poll where nothing ends."""
    rng = random.Random(2)  # noqa: S311
    model = DurationModel.fit([rng.choice((8.0, 30.0)) * math.exp(rng.gauss(0, 0.1)) for _ in range(60)])

    def density(at_s: float) -> float:
        return (model.cdf(at_s * 1.1) - model.cdf(at_s / 1.1)) / at_s

    assert density(15.5) < 0.3 * min(density(8.0), density(30.0))


def test_tasks_still_running_count() -> None:
    """Learned from the first finishers of a batch alone, all tasks would seem short; the others tell better."""
    finished = [5.0, 5.5, 6.0]
    alone, together = DurationModel.fit(finished), DurationModel.fit(finished, [6.5] * 97)
    assert together.quantile(0.5) > 1.4 * alone.quantile(0.5)
    assert together.cdf(6.5) == pytest.approx(0.03, abs=0.02)


def coverage(model: DurationModel, held_out: list[float], from_s: float, to_s: float) -> tuple[int, int]:
    """Count how many ETAs, asked each second between two ages, held for the held-out tasks."""
    held = asked = 0
    for age_s in itertools.takewhile(lambda age_s: age_s < to_s, itertools.count(from_s)):
        eta = model.eta(age_s)
        for duration_s in held_out:
            if duration_s > age_s and eta is not None:
                asked += 1
                held += eta[0] <= duration_s - age_s <= eta[1]
    return held, asked


@pytest.mark.parametrize("known", [5, 20, 100])
@pytest.mark.parametrize(("from_quantile", "to_quantile"), [(0.0, 1.0), (0.5, 0.9), (0.9, 1.0)])
def test_the_stated_interval_holds(known: int, from_quantile: float, to_quantile: float) -> None:
    """The 80 % interval holds 70 to 90 % of the time on held-out tasks: in all, late, and in the slowest tenth."""
    counts = []
    for seed in range(12):
        held_out = sorted(draw(200, seed=1000 + seed))
        from_s, to_s = (held_out[min(199, int(q * 200))] if q else 0.0 for q in (from_quantile, to_quantile))
        counts.append(coverage(DurationModel.fit(draw(known, seed=seed)), held_out, from_s, to_s))
    assert 0.70 <= sum(c[0] for c in counts) / sum(c[1] for c in counts) <= 0.90


def test_beyond_all_that_is_known_no_eta_is_stated() -> None:
    """A task ten times slower than any before it gets no made-up ETA."""
    assert DurationModel.fit(draw(50, seed=4)).eta(300.0) is None


def test_guesses_lie_between_the_polls_and_spread() -> None:
    """Where the service tells no times, a duration is put where the law has it between two polls, never on one spot."""
    kind = Durations(draw(20, seed=5))
    guesses = [kind.guess_s(10.0, 14.0) for _ in range(50)]
    assert all(10.0 <= guess <= 14.0 for guess in guesses)
    assert len({round(guess, 1) for guess in guesses}) > 20
    assert kind.guess_s(5.0, 4.0) == 5.0


def test_refits_become_rare_as_the_past_grows() -> None:
    """A fit costs milliseconds: a thousand tasks must not cause a thousand of them."""
    kind, fits = Durations(), 0
    for duration_s in draw(1000, seed=6):
        if kind.add(duration_s):
            kind.refit()
            fits += 1
    assert 15 <= fits <= 60
