"""The live card of a batch in a bare page: counts keep their places, Cancel is shown at once, and all of it is read."""

import time
from typing import Any

import pytest

from tests.browser.page import Widget, WidgetPage
from wan_notebook.display import STATIC, static_module

CSS = (STATIC / "card.css").read_text("utf-8")
WORDS = {
    "saved": "✓",
    "running": "◐",
    "waiting": "○",
    "failed": "✕",
    "in doubt": "?",
    "cancelled": "■",
    "from store": "↺",
}


def view(*counts: int, **changes: Any) -> dict[str, Any]:
    """Return the trait of a card with these counts, in the order of `WORDS`."""
    done = sum(counts) - counts[1] - counts[2] - counts[6]
    return {
        "icon": "◐",
        "word": "running",
        "tone": "#3d84d6",
        "name": "zoo",
        "plan": ["24 rows", "20 new", "4 from store", "up to $0.60", "about 1 min 30 s at 5 at once"],
        "done": done,
        "total": sum(counts) - counts[6],
        "counts": [
            {"icon": icon, "word": word, "tone": "#808080", "count": count}
            for (word, icon), count in zip(WORDS.items(), counts, strict=True)
        ],
        "facts": ["spent $0.33 reported", "up to $0.60", "8.2 a minute", "about 35 s more"],
        "paused": "",
        "is_over": False,
        "show": 'wan.batch("zoo")',
        "asked": "",
        "answer": [],
        "html": "",
        "sent_at": time.time(),
        "folder": "file:///work/",
        **changes,
    }


def mount(widgets: WidgetPage, *counts: int, **changes: Any) -> Widget:
    """Show a card as a notebook does."""
    state = {"view": view(*counts, **changes)}
    return widgets.mount(static_module(STATIC / "batch.js"), state, css=CSS)


def text_of(widget: Widget) -> str:
    """Return what a person reads."""
    return " ".join(widget.el.inner_text().split())


@pytest.mark.parametrize("width", [420, 700, 1000])
def test_nothing_jumps_while_it_counts(widgets: WidgetPage, width: int) -> None:
    """From the first row to the last every count stays in its place, at any width; nothing is wider than the page."""
    widgets.page.set_viewport_size({"width": width, "height": 700})
    before, after = (0, 0, 19_253, 0, 0, 0, 4_000), (9_999, 5, 8_000, 1_234, 12, 3, 4_000)
    widget = mount(widgets, *before, facts=["spent $0.00", "up to $0.72", "", ""])
    each = "[...el.querySelectorAll('.wan-cells li, progress, button, .wan-more')]"
    places = f"el => {each}.map(e => JSON.stringify(e.getBoundingClientRect()))"
    at_first = widget.el.evaluate(places)
    widget.set(view=view(*after, facts=["", "x" * 90, "12 a minute", "about 23.5 h more"]))
    assert "9,999 saved" in text_of(widget)
    assert widget.el.evaluate(places) == at_first
    assert widgets.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    widget.dispose()
    assert widget.listeners() == 0


def test_cancel_is_shown_at_once_sent_once_and_answered(widgets: WidgetPage) -> None:
    """The click shows before the kernel could know; its answer says what is still made; a refusal can be repeated."""
    widget = mount(widgets, 5, 5, 14, 0, 0, 0, 0)
    widget.el.get_by_role("button", name="Cancel zoo").focus()
    for _ in range(2):
        widgets.page.keyboard.press("Enter")
        assert "cancel requested" in text_of(widget)
    assert widget.sent() == [{"kind": "hello"}, {"kind": "cancel"}]
    assert widgets.page.evaluate("document.activeElement.textContent") == "cancel requested"
    refused = {"asked": "refused", "answer": ["The ledger is locked.", "  → Try again."]}
    widget.set(view=view(5, 5, 14, 0, 0, 0, 0, **refused))
    assert widget.el.get_by_role("button", name="Cancel zoo").is_visible()
    answer = "14 rows were not sent and are cancelled; 5 that run are still made and paid."
    widget.set(view=view(5, 5, 0, 0, 0, 14, 0, asked="asked", answer=[answer]))
    assert answer in text_of(widget)
    assert answer in widget.el.get_by_role("status").inner_text()


def test_why_it_is_paused_and_that_the_kernel_is_silent_are_read_whole(widgets: WidgetPage) -> None:
    """What a person should do stands in the place of the last line, and is read out; hostile text stays text."""
    widgets.page.set_viewport_size({"width": 420, "height": 700})
    reason = '401: the key is not valid. `%wan login`, then `wan.batch("zoo").resume()`. {HOSTILE[0]}'
    widget = mount(widgets, 5, 0, 19, 0, 0, 0, 0, paused=reason, word="paused", icon="‖")
    more = widget.el.locator(".wan-more")
    assert "resume()" in more.inner_text()
    assert more.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert widget.el.locator("code").first.inner_text() == "%wan login"
    assert widgets.page.locator("img").count() == 0
    assert "401" in widget.el.get_by_role("status").inner_text()
    widgets.later(60)
    widgets.page.wait_for_function(
        "document.querySelector('.wan-more').textContent.includes('no word from the kernel')"
    )
    assert not widget.el.get_by_role("button").is_visible()


def test_a_page_that_was_reloaded_shows_the_result_itself(widgets: WidgetPage) -> None:
    """The output that would replace the card does not arrive there."""
    widget = mount(widgets, 24, 0, 0, 0, 0, 0, 4, is_over=True, html="<p>24 of 24 saved <a href='x.png'>file</a></p>")
    widgets.page.get_by_text("24 of 24 saved").wait_for()
    assert 'wan.batch("zoo") in a cell keeps' in text_of(widget)
