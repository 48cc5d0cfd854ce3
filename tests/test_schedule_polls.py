"""The queue of polls: when a task is due, which goes first, and what no sequence of events may ever break."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wan_notebook.schedule import (
    ECONOMICAL,
    PROMPT,
    DurationModel,
    Durations,
    Pacer,
    PollQueue,
    PollSetting,
    next_poll_s,
)

USUAL = [12.0 * math.exp(0.4 * z) for z in (-1.6, -1.1, -0.8, -0.5, -0.2, 0.0, 0.2, 0.5, 0.8, 1.1, 1.6)]


@given(st.lists(st.floats(0.0, 5000.0), max_size=20), st.floats(0.0, 90_000.0), st.sampled_from([PROMPT, ECONOMICAL]))
def test_the_next_poll_keeps_the_interval(past: list[float], last_s: float, setting: PollSetting) -> None:
    """Between two polls of one task lies at least the least and at most the greatest interval."""
    wait_s = next_poll_s(DurationModel.fit(past), last_s, setting) - last_s
    assert setting.min_interval_s - 1e-9 <= wait_s <= setting.max_interval_s + 1e-9


def test_the_first_poll_waits_for_the_law() -> None:
    """No poll is spent on a task that by all experience still runs: the first one comes near a low quantile."""
    model = DurationModel.fit(USUAL * 2)
    assert 0.01 < model.cdf(next_poll_s(model, None)) < 0.12


def test_an_unknown_kind_is_looked_at_early() -> None:
    """With nothing known, the first poll comes within half a second: what is instant, or fails, is seen."""
    assert next_poll_s(DurationModel.fit(), None) <= 0.5


def test_instant_tasks_are_asked_for_at_once() -> None:
    """Where tasks took no time so far, the poll comes at once (simulators, tests)."""
    assert next_poll_s(DurationModel.fit([0.0] * 5), None) < 0.05
    assert next_poll_s(DurationModel.fit([0.004] * 50), None, ECONOMICAL) < 0.05


def test_early_looks_spare_the_others() -> None:
    """Of 100 tasks of an unknown kind only a few are looked at early: what these show spares the rest."""
    queue = PollQueue(Pacer(queries_per_s=0))
    kind = Durations()
    for i in range(100):
        queue.add(str(i), kind, accepted_s=0.0)
    looks, now_s = 0, 0.0
    while now_s < 2.0:
        now_s += 0.02
        for _ in range(2):
            if (task_id := queue.take(now_s)) is not None:
                looks += 1
                queue.running(task_id, now_s)
    assert 1 <= looks <= 15


def test_the_greatest_waste_goes_first() -> None:
    """Under the limit the task that probably lies finished longest is asked for before the others."""
    queue = PollQueue(Pacer(queries_per_s=1))
    slow, fast = Durations([60.0] * 20), Durations([5.0] * 20)
    queue.add("slow", slow, accepted_s=0.0)
    queue.add("fast", fast, accepted_s=40.0)
    queue.add("older", fast, accepted_s=35.0)
    assert queue.take(50.0) == "older"


def test_a_poll_that_failed_is_held_back_even_when_plans_change() -> None:
    """A retry's wait stands although the model is refitted meanwhile and all plans are made anew."""
    queue = PollQueue(Pacer(queries_per_s=0))
    kind = Durations(USUAL)
    queue.add("a", kind, accepted_s=0.0)
    assert queue.take(10.0) == "a"
    queue.retry("a", 10.1, after_s=7.0)
    queue.replan(kind)
    assert queue.take(17.0) is None
    assert queue.take(17.2) == "a"


def test_what_is_forgotten_is_not_asked_for() -> None:
    """A discarded task is gone, also while its poll is under way, and its place in the limit is given back."""
    queue = PollQueue(Pacer(queries_per_s=1))
    kind = Durations(USUAL)
    queue.add("a", kind, accepted_s=0.0)
    queue.add("b", kind, accepted_s=0.0)
    first = queue.take(20.0)
    assert first is not None
    queue.discard(first, 20.1)
    queue.running(first, 20.2)
    assert first not in queue
    assert len(queue) == 1
    assert queue.wait_s(20.2) < 1.2
    queue.discard("a", 20.3)
    queue.discard("b", 20.3)
    assert queue.wait_s(30.0) == math.inf
    assert queue.take(30.0) is None


def test_a_task_taken_up_again_has_no_old_plans() -> None:
    """A task forgotten and taken up again is polled by its new plan alone."""
    queue = PollQueue(Pacer(queries_per_s=0))
    kind = Durations(USUAL)
    queue.add("a", kind, accepted_s=0.0)
    queue.discard("a", 1.0)
    queue.add("a", kind, accepted_s=1000.0)
    assert queue.take(500.0) is None
    assert queue.take(1030.0) == "a"


def test_an_old_task_is_asked_for_at_once() -> None:
    """A task that an earlier kernel left hours ago is due when it is taken up."""
    queue = PollQueue(Pacer())
    queue.add("a", Durations(), accepted_s=-7200.0)
    assert queue.wait_s(0.0) == 0.0
    assert queue.take(0.0) == "a"


def test_the_queue_learns() -> None:
    """Finished tasks teach the kind how long they take, by the service's figure or by the polls."""
    queue = PollQueue(Pacer(queries_per_s=0))
    kind = Durations()
    for i in range(12):
        queue.add(str(i), kind, accepted_s=0.0)
        assert queue.take(40.0) == str(i)
        queue.finished(str(i), 40.0, 39.0 if i % 2 else None)
    assert kind.model.count >= 10
    assert kind.model.quantile(0.9) < 55.0


def test_a_time_that_is_none_is_refused() -> None:
    """An endless or undefined time of acceptance would break the order of the queue."""
    with pytest.raises(ValueError, match="accepted_s"):
        PollQueue(Pacer()).add("a", Durations(), accepted_s=math.nan)
    with pytest.raises(ValueError, match="waste_s"):
        PollSetting(waste_s=0.0)


@settings(max_examples=30)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 2.0, 20.0]),
    st.sampled_from([PROMPT, ECONOMICAL]),
    st.sampled_from([0.0, 2.0, 12.0, 600.0]),
)
def test_no_sequence_of_events_breaks_the_rules(seed: int, limit: float, setting: PollSetting, median_s: float) -> None:
    """With answers late, lost, failed and out of order, sleeps of an hour and tasks that come and go.

    No task is ever asked for twice within the least interval or while a poll of it is under way; no second sees more
    queries than the limit; every task is found in the end.
    """
    rng = random.Random(seed)  # noqa: S311
    queue = PollQueue(Pacer(queries_per_s=limit), setting=setting)
    kinds = (Durations(), Durations([median_s] * 5))
    ends_s, asked, under_way = {}, defaultdict(list), []  # type: ignore[var-annotated]
    now_s, left = 0.0, 12
    for _ in range(2000):
        if left and rng.random() < 0.2:
            left -= 1
            queue.add(str(left), rng.choice(kinds), accepted_s=now_s)
            ends_s[str(left)] = now_s + median_s * rng.uniform(0.0, 2.0)
        while len(under_way) < 10 and (task_id := queue.take(now_s)) is not None:
            asked[task_id].append(now_s)
            under_way.append((now_s + rng.random() ** 4, task_id))
        under_way.sort()
        answer_s = under_way[0][0] if under_way else math.inf
        wait_s = queue.wait_s(now_s) if len(under_way) < 10 else math.inf
        now_s = min(answer_s, now_s + max(1e-3, wait_s), now_s + 5.0 if left else math.inf)
        if rng.random() < 0.002:
            now_s += 3600.0
        if not under_way and not len(queue) and not left:
            break
        while under_way and under_way[0][0] <= now_s:
            _answer_s, task_id = under_way.pop(0)
            fate = rng.random()
            if fate < 0.1:
                queue.retry(task_id, now_s, rng.choice((0.0, 0.5, 20.0)))
            elif ends_s[task_id] <= asked[task_id][-1]:
                queue.finished(task_id, now_s, rng.choice((None, median_s, -1.0, math.nan)))
            else:
                queue.running(task_id, now_s)
    assert not len(queue)
    for times in asked.values():
        assert all(later - earlier >= setting.min_interval_s - 1e-9 for earlier, later in zip(times, times[1:]))  # noqa: B905, RUF007
    everything = sorted(time for times in asked.values() for time in times)
    if limit:
        assert all(
            sum(1 for time in everything[i : i + 60] if time < start + 1.0) <= limit
            for i, start in enumerate(everything)
        )


def test_a_service_quicker_than_the_prior_is_found_out_by_its_first_tasks() -> None:
    """Of tasks of a second the first one must not lie finished for as long as the prior thinks likely."""
    seen_running = DurationModel.fit([], [0.5])
    assert next_poll_s(seen_running, 0.5, PROMPT) <= 2.0
    known = DurationModel.fit([12.0], [0.5])
    assert next_poll_s(known, 0.5, PROMPT) > 2.0
