"""The live card in a bare page: it counts by itself, takes a click at once, stays still, and acts on no text."""

import time
from typing import Any

import pytest

from tests.browser.page import Widget, WidgetPage
from tests.browser.panel_page import HOSTILE
from tests.browser.panel_page import JOB as ROW_OF_JOB
from wan_notebook.display import STATIC, format_duration, static_module

CSS = (STATIC / "card.css").read_text("utf-8")
JOB = {**ROW_OF_JOB, "elapsed_s": 12.0, "reason": ""}
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
    return widgets.mount(static_module(STATIC / "card.js"), traits(*jobs, **view), css=CSS)


def seconds(widget: Widget) -> float:
    """Return the elapsed time that the first row shows."""
    return float(widget.el.locator(".wan-time").first.inner_text().removesuffix(" s"))


def text_of(widget: Widget) -> str:
    """Return what a person reads."""
    return " ".join(widget.el.inner_text().split())


def test_it_counts_without_updates(widgets: WidgetPage) -> None:
    """Seconds go on without a message, also in a page that finds an old state; the kernel's clock decides; the end."""
    widget = mount(widgets, JOB, age_s=30)
    assert 42 <= seconds(widget) < 55
    assert widget.sent() == [{"kind": "hello"}]
    widget.receive({"kind": "clock", "now": widget.get("view")["sent_at"] + 5})
    assert 17 <= seconds(widget) < 25
    later = seconds(widget) + 0.3
    widgets.page.wait_for_function(f"parseFloat(document.querySelector('.wan-time').textContent) > {later}")
    for took_s in (0.3, 8.1, 125.0, 11405.0):
        widget.set(**traits({**JOB, **OVER, "state": "failed", "word": "failed", "elapsed_s": took_s}))
        assert widget.el.locator(".wan-time").first.inner_text() == format_duration(took_s)
    widget.dispose()
    assert widget.listeners() == 0


def test_a_click_is_shown_at_once_and_sent_once(widgets: WidgetPage) -> None:
    """Cancel says `cancel requested` before the kernel could know, sends one wish for its row, and keeps the focus."""
    jobs = [{**JOB, "id": f"a{n}", "label": f"seed {n}", "can_cancel": n != 2} for n in range(5)]
    widget = mount(widgets, *jobs)
    assert widget.el.get_by_role("button").count() == 4
    widget.el.get_by_role("button", name="Cancel seed 3").focus()
    for _ in range(2):
        widgets.page.keyboard.press("Enter")
        assert "cancel requested" in text_of(widget)
    assert widget.sent()[1:] == [{"kind": "cancel", "jobs": ["a3"]}]
    assert widgets.page.evaluate("document.activeElement.textContent") == "cancel requested"
    widget.set(**traits({**JOB, **OVER, "state": "cancelled", "word": "cancelled", "icon": "■"}))
    assert not widget.el.locator("button").is_visible()
    assert "■ cancelled" in text_of(widget)


def test_hostile_text_stays_text(widgets: WidgetPage) -> None:
    """Whatever a service says is shown and never acts."""
    job = {**JOB, "label": HOSTILE[0], "facts": HOSTILE, "lines": HOSTILE, "reason": HOSTILE[1]}
    widget = mount(widgets, job, facts=HOSTILE, lines=HOSTILE)
    assert widgets.page.locator("img, .wan-card script").count() == 0
    assert HOSTILE[0] in text_of(widget)
    assert widget.el.locator("code").first.inner_text() == "code"


@pytest.mark.parametrize(("width", "count"), [(420, 1), (640, 1), (1000, 1), (1000, 2)])
def test_the_place_in_the_queue_is_read_whole(widgets: WidgetPage, width: int, count: int) -> None:
    """Who waits wants to know the end of the line: how many are ahead."""
    widgets.page.set_viewport_size({"width": width, "height": 600})
    job = {**JOB, "eta": "waiting: 5 of 5 running, 1,234 ahead"}
    eta = mount(widgets, *({**job, "id": f"a{n}"} for n in range(count))).el.locator(".wan-eta").first
    assert eta.evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight")
