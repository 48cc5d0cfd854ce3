"""The live card in a bare page: it counts by itself, takes a click at once, stays still, and acts on no text."""

import time
from typing import Any

import pytest

from tests.browser.page import Widget, WidgetPage
from tests.kit import small_png
from wan_notebook.display import STATIC, format_duration, static_module
from wan_notebook.images import data_url, thumbnail

WEBP = thumbnail(small_png(), max_px=32)[0]
HOSTILE = "<img src=x onerror=alert(1)>$x$ `code`"
JOB = {
    "id": "a3f9c2",
    "state": "running",
    "icon": "◐",
    "word": "running",
    "tone": "#3d84d6",
    "label": "seed 5",
    "elapsed_s": 12.0,
    "ticking": True,
    "progress": None,
    "eta": "about 10 s more",
    "facts": ["seed 5", "up to $0.12", "≈1108×1478", "result kept until 25 Nov 14:32"],
    "reason": "",
    "can_cancel": True,
    "lines": [],
}
OVER = {"ticking": False, "can_cancel": False, "eta": ""}


def traits(*jobs: dict[str, Any], age_s: float = 0.0, **view: Any) -> dict[str, Any]:
    """Return the traits of a card that was sent some seconds ago."""
    first = jobs[0]
    head = {name: first[name] for name in ("state", "icon", "word", "tone")}
    base = {"facts": ["edit", "job a3f9c2"], "lines": [], "jobs": list(jobs), "jobs_left_off": 0}
    sent = {"show": "%wan show a3f9c2", "html": "", "sent_at": time.time() - age_s}
    return {"view": {**head, **base, **sent, **view}}


def mount(widgets: WidgetPage, *jobs: dict[str, Any], **view: Any) -> Widget:
    """Show a card as a notebook does."""
    return widgets.mount(static_module(STATIC / "card.js"), traits(*jobs, **view), css="card.css")


def seconds(widget: Widget) -> float:
    """Return the elapsed time that the first row shows."""
    return float(widget.el.locator(".wan-time").first.inner_text().removesuffix(" s"))


def text_of(widget: Widget) -> str:
    """Return what a person reads."""
    return " ".join(widget.el.inner_text().split())


def test_it_counts_without_updates(widgets: WidgetPage) -> None:
    """The seconds go on with no message from the kernel, and stop when the job has ended."""
    widget = mount(widgets, JOB)
    widgets.page.wait_for_function("parseFloat(document.querySelector('.wan-time').textContent) > 12.5")
    widget.set(**traits({**JOB, **OVER, "state": "failed", "word": "failed", "elapsed_s": 14.0}))
    assert seconds(widget) == 14.0


def test_a_reloaded_page_counts_on(widgets: WidgetPage) -> None:
    """A page that finds a state of 30 s ago shows 30 s more; the kernel's own clock decides once it answers."""
    widget = mount(widgets, JOB, age_s=30)
    assert 42 <= seconds(widget) < 55
    assert widget.sent() == [{"kind": "hello"}]
    widget.receive({"kind": "clock", "now": widget.get("view")["sent_at"] + 5})
    assert 17 <= seconds(widget) < 25


@pytest.mark.parametrize("took_s", [0.3, 8.1, 125.0, 11405.0])
def test_durations_read_as_everywhere(widgets: WidgetPage, took_s: float) -> None:
    """The browser writes a duration as Python does."""
    widget = mount(widgets, {**JOB, **OVER, "elapsed_s": took_s})
    assert widget.el.locator(".wan-time").first.inner_text() == format_duration(took_s)


def test_a_click_is_shown_at_once_and_sent_once(widgets: WidgetPage) -> None:
    """Cancel says `cancel requested` before the kernel could know, sends one wish, and keeps the focus."""
    widget = mount(widgets, JOB)
    widget.el.get_by_role("button", name="Cancel").focus()
    widgets.page.keyboard.press("Enter")
    assert "running, cancel requested" in text_of(widget)
    widgets.page.keyboard.press("Enter")
    assert widget.sent()[1:] == [{"kind": "cancel", "jobs": ["a3f9c2"]}]
    assert widgets.page.evaluate("document.activeElement.textContent") == "cancel requested"
    widget.set(**traits({**JOB, **OVER, "state": "cancelled", "word": "cancelled", "icon": "■"}))
    assert not widget.el.locator("button").is_visible()
    assert "■ cancelled" in text_of(widget)


def test_each_job_of_a_sweep_has_its_own_cancel(widgets: WidgetPage) -> None:
    """A click cancels its own row only; a row that cannot be cancelled has no button."""
    jobs = [{**JOB, "id": f"a{n}", "label": f"seed {n}", "can_cancel": n != 2} for n in range(5)]
    widget = mount(widgets, *jobs)
    assert widget.el.get_by_role("button").count() == 4
    widget.el.get_by_role("button", name="Cancel seed 3").click()
    assert widget.sent()[1:] == [{"kind": "cancel", "jobs": ["a3"]}]


def test_nothing_jumps_when_the_state_changes(widgets: WidgetPage) -> None:
    """From sending to running the card keeps its height, and its parts their places."""
    widget = mount(widgets, {**JOB, "state": "sending", "word": "sending", "elapsed_s": 1.1, "eta": ""})
    parts = (".wan-card", ".wan-time", "progress", ".wan-act")

    def places() -> list[Any]:
        boxes = [widget.el.locator(part).first.bounding_box() for part in parts]
        return [(round(box["x"]), round(box["y"]), round(box["height"])) for box in boxes if box]

    before = places()
    widget.set(**traits({**JOB, "progress": 0.4}))
    assert places() == before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_text_stays_text(widgets: WidgetPage, theme: str) -> None:
    """Whatever a service says is shown and never acts, in either theme."""
    widgets.theme(theme)
    job = {**JOB, "label": HOSTILE, "facts": [HOSTILE], "lines": [HOSTILE], "reason": HOSTILE}
    widget = mount(widgets, job, facts=[HOSTILE], lines=[HOSTILE])
    assert widget.el.locator("img").count() == 0
    assert "<img src=x onerror=alert(1)>" in text_of(widget)
    assert widget.el.locator("code").first.inner_text() == "code"


def test_a_reloaded_page_shows_the_pictures_itself(widgets: WidgetPage) -> None:
    """Where no static output comes to replace the card, the card shows the same and says how to keep it."""
    html = f'<p>fox[0]</p><a href="x.png"><img src="{data_url(WEBP, "image/webp")}" alt="a fox"></a>'
    widget = mount(widgets, {**JOB, **OVER, "state": "saved", "word": "saved", "icon": "✓"}, html=html)
    widget.el.locator("img[alt='a fox']").wait_for()
    assert "fox[0]" in text_of(widget)
    assert "in a cell keeps the pictures" in text_of(widget)
    assert widget.el.locator("a").count() == 0  # a relative link leads elsewhere from here


def test_a_view_that_is_removed_leaves_nothing_behind(widgets: WidgetPage) -> None:
    """Listeners and timers end with the view."""
    widget = mount(widgets, JOB)
    widget.dispose()
    assert widget.listeners() == 0
