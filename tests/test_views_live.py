"""The live card's state and widget: plain JSON, sent only when something changed, one wish to cancel passed on."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.views_samples import batch, card, job, picture, poisoned, sweep
from wan_notebook.present.words import eta_text
from wan_notebook.states import JobState
from wan_notebook.views.card import LiveCard
from wan_notebook.views.live import MAX_THUMBS, THUMB_BYTES, Throttle, live_state, same_but_for_time, thumbs_of
from wan_notebook.views.looks import LOOKS
from wan_notebook.views.model import CardView, TextView

RUNNING = job("running", elapsed_s=12.0, eta_text="about 8–14 s more", can_cancel=True, most_text="up to $0.12")


@pytest.mark.parametrize(
    ("remaining", "text"),
    [
        ((0.0, 0.4), "any moment"),
        ((0.2, 21.0), "any moment, within 21 s"),
        ((0.0, 130.0), "any moment, within 3 min"),
        ((6.8, 18.2), "about 7–18 s more"),
        ((3.1, 3.3), "about 3 s more"),
        ((50.0, 130.0), "about 50 s to 3 min more"),
        ((125.0, 290.0), "about 2–5 min more"),
    ],
)
def test_the_rest_is_worded_as_a_person_would(remaining: tuple[float, float], text: str) -> None:
    """A range that begins at nothing is no range, and one that has no width is a number."""
    assert eta_text(remaining) == text


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Sent:
    """What a card would have sent to its front end: the names of traits, and custom messages."""

    def __init__(self, widget: LiveCard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[set[str]] = []
        self.messages: list[Any] = []

        def send_state(key: Any = None) -> None:
            self.states.append({key} if isinstance(key, str) else set(key or ()))

        monkeypatch.setattr(widget, "send_state", send_state)
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: self.messages.append(content))
        monkeypatch.setattr(type(widget), "comm", property(lambda _: object()), raising=False)


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Give a clock."""
    return Clock()


def running(**changes: Any) -> CardView:
    """Return a card of one running job."""
    return card(dataclasses.replace(RUNNING, **changes))


# ------------------------------------------------------------------ the state


@pytest.mark.parametrize("state", list(JobState))
def test_every_state_is_worded_in_python(state: JobState) -> None:
    """The browser gets icon, word and sentences as JSON; it need not know what a state is."""
    view = live_state(card(job(state, elapsed_s=3.0, error_lines=("It broke.",), can_cancel=True)))
    json.dumps(view)
    assert (view["icon"], view["word"]) == (LOOKS[state].icon, LOOKS[state].word)
    (row,) = view["jobs"]
    over = state in (JobState.SAVED, JobState.IN_DOUBT, JobState.EXPIRED) or state in ("refused", "failed", "cancelled")
    assert view["done"] is over
    assert row["ticking"] is not over
    assert row["can_cancel"] is not over
    assert bool(row["lines"]) is (over and state is not JobState.SAVED)


def test_a_sweep_is_rows_and_a_total() -> None:
    """Several jobs are one card with a row each; of very many those that want something have rows, the rest is counted.

    Its state stays small enough for ten updates a second.
    """
    view = live_state(sweep(120))
    assert view["word"] == "120 saved"
    assert (len(view["jobs"]), view["jobs_left_off"]) == (24, 96)
    assert len(json.dumps(view)) < 16_000
    open_ones = dataclasses.replace(RUNNING, job_id="beef00", seed=99)
    late = live_state(card(*sweep(60).jobs, open_ones, job("failed", job_id="beef01"), *sweep(60).jobs))
    assert [row["id"] for row in late["jobs"]][-2:] == ["beef00", "beef01"]
    assert view["jobs"][7]["label"] == "seed 7"
    assert view["facts"] == ["seeds 0–119", "text to image", "total $6.00 reported", "120 jobs"]
    mixed = live_state(card(RUNNING, job("in_doubt", job_id="beef01"), job("failed", error_lines=("Bad words.",))))
    assert mixed["word"] == "1 running, 1 failed, 1 in doubt"
    assert mixed["icon"] == LOOKS["running"].icon
    assert [row["reason"] for row in mixed["jobs"]] == [
        "",
        "it may have been accepted, or not: `%wan show beef01`",
        "Bad words.",
    ]


def test_a_saved_row_without_its_pictures_does_not_claim_to_have_none() -> None:
    """A card that is updated while others run comes without pictures: that is no `0 pictures`."""
    view = live_state(card(RUNNING, job("saved")))
    assert "0 pictures" not in json.dumps(view)
    words = live_state(card(job("saved", items=(TextView(text="only words"),))))
    assert words["facts"][0] == "0 pictures"


def test_hostile_text_is_neutralised_before_it_is_sent() -> None:
    """What reordered or controlled is shown as code points, and the state can always be encoded."""
    for view in (running(), batch(2), card(job("failed")), sweep(2)):
        text = json.dumps(live_state(poisoned(view)), ensure_ascii=False)
        text.encode("utf-8")
        assert not any(c in text for c in "\u202e\u2066\x1b")


def test_thumbnails_are_few_and_small() -> None:
    """After a reload a page gets the first pictures only, small, with their captions."""
    captions, data = thumbs_of(sweep(20))
    assert len(captions) == len(data) == MAX_THUMBS
    assert all(len(each) <= THUMB_BYTES for each in data)
    assert captions[1]["code"] == "s[1]"
    assert captions[1]["facts"] == ["seed 1", "320×240 px", "$0.03", "3.2 s"]
    captions, data = thumbs_of(card(job(items=(picture(0, data=b"no picture"), picture(1)))))
    assert [c["code"] for c in captions] == ["fox[1]"]
    assert len(data) == 1


# ------------------------------------------------------------------ when it is sent


def test_only_time_passing_is_no_change() -> None:
    """Seconds are counted in the browser: an update that only tells them again is not sent; a jump is."""
    old = live_state(running())
    for elapsed, passed, same in ((13.0, 1.0, True), (13.9, 1.0, True), (20.0, 1.0, False), (12.0, 9.0, False)):
        assert same_but_for_time(old, live_state(running(elapsed_s=elapsed)), passed) is same
    assert not same_but_for_time(old, live_state(running(progress=0.5)), 0)
    assert not same_but_for_time(old, live_state(running(elapsed_s=None)), 0)
    assert not same_but_for_time(old, live_state(card(RUNNING, RUNNING)), 0)
    ended = live_state(card(job("failed", elapsed_s=5.0)))
    assert same_but_for_time(ended, ended, 999)


def test_the_throttle_leaves_a_tenth_of_a_second(clock: Clock) -> None:
    """Never more than ten updates a second; the first one goes at once."""
    throttle = Throttle(clock=clock)
    assert throttle.wait_s() == 0
    throttle.sent()
    clock.now += 0.04
    assert throttle.wait_s() == pytest.approx(0.06)
    clock.now += 0.07
    assert throttle.wait_s() == 0


# ------------------------------------------------------------------ the widget


def test_the_widget_sends_changes_only(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trait is set when what people see changed, and not when only a second passed."""
    widget = LiveCard(running(), wall_clock=clock)
    sent = Sent(widget, monkeypatch)
    clock.now += 5
    assert widget.update(running(elapsed_s=17.0)) is False
    assert sent.states == []
    assert widget.update(running(elapsed_s=17.0, cancel_requested=True)) is True
    assert sent.states == [{"view"}]
    assert widget.view["jobs"][0]["word"] == "cancel requested"
    assert widget.view["sent_at"] == 1_005.0


def test_pictures_arrive_with_the_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last update brings thumbnails and captions together, as bytes beside JSON; a repeat sends nothing."""
    widget = LiveCard(running(), wall_clock=clock)
    sent = Sent(widget, monkeypatch)
    done = batch(2)
    assert widget.update(done) is True
    assert sent.states == [{"view", "thumbs"}]
    assert len(widget.thumbs) == len(widget.view["thumbs"]) == 2
    assert b"WEBP" in widget.thumbs[0][:16]
    json.dumps(widget.view)
    assert widget.update(done) is False
    assert len(LiveCard(done, wall_clock=clock).thumbs) == 2


def test_a_click_on_cancel_is_passed_on(clock: Clock) -> None:
    """Only ids of this card's jobs reach the caller; anything else that a page sends is ignored."""
    wished: list[list[str]] = []
    widget = LiveCard(running(), on_cancel=lambda ids: wished.append(list(ids)), wall_clock=clock)
    for content in (
        {"kind": "cancel", "jobs": ["a3f9c2", "other"]},
        {"kind": "cancel", "jobs": ["other"]},
        {"kind": "cancel"},
        {"kind": "what"},
        "text",
        None,
    ):
        widget._handle_custom_msg(content, [])
    assert wished == [["a3f9c2"]]


def test_a_page_learns_the_kernels_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that opens asks for the time, so that its own clock need not be right."""
    widget = LiveCard(running(), wall_clock=clock)
    sent = Sent(widget, monkeypatch)
    clock.now += 60
    widget._handle_custom_msg({"kind": "hello"}, [])
    assert sent.messages == [{"kind": "clock", "now": 1_060.0}]


def test_updates_may_come_from_several_threads(clock: Clock) -> None:
    """The last state of each thread is a whole one: captions always belong to their pictures."""
    widget = LiveCard(running(), wall_clock=clock)
    cards = [running(), batch(1), batch(2), batch(3)]
    threads = [threading.Thread(target=lambda c=c: [widget.update(c) for _ in range(5)]) for c in cards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(widget.view["thumbs"]) in (0, len(widget.thumbs))


def test_its_text_is_one_line(clock: Clock) -> None:
    """A front end without widgets shows a line of text, not a dump of traits and bytes."""
    widget = LiveCard(running(), wall_clock=clock)
    assert repr(widget).startswith("◐ a3f9c2 running · the service is making it · text to image")
    widget.update(batch(2))
    assert repr(widget).startswith("✓ a3f9c2 saved · edit · 2 pictures")
