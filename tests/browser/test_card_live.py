"""The live card in a bare page: it counts by itself, takes a click at once, stays still, and acts on no text."""

import dataclasses
import itertools
import time
from typing import Any

import pytest

from tests.browser.page import Widget, WidgetPage
from tests.views_samples import HOSTILE, batch, card, job, picture, poisoned
from wan_notebook.present.words import duration_text
from wan_notebook.views.card import LiveCard
from wan_notebook.views.live import live_state, thumbs_of
from wan_notebook.views.model import CardView

RUNNING = job(
    "running",
    elapsed_s=12.0,
    eta_text="about 8–14 s more",
    can_cancel=True,
    most_text="up to $0.12",
    expected_size_text="≈1108×1478, shape of image 3 (ref)",
    expires_text="until 25 Nov 14:32",
)
SWEEP = card(*[dataclasses.replace(RUNNING, job_id=f"a{i}", seed=i) for i in range(5)], title="seeds 0–4")


def state_of(view: CardView, *, age_s: float = 0.0) -> dict[str, Any]:
    """Return the traits of a card that was sent some seconds ago."""
    state = {**live_state(view), "sent_at": time.time() - age_s}
    thumbs: list[bytes] = []
    if state["done"] and view.pictures:
        state["thumbs"], thumbs = thumbs_of(view)
    return {"view": state, "thumbs": thumbs}


def mount(widgets: WidgetPage, view: CardView, *, age_s: float = 0.0) -> Widget:
    """Show a card as a notebook does."""
    return widgets.mount(source=LiveCard._esm, state=state_of(view, age_s=age_s), css="card.css")


def seconds(widget: Widget) -> float:
    """Return the elapsed time that the first row shows."""
    return float(widget.el.locator(".wan-time").first.inner_text().removesuffix(" s"))


def text_of(widget: Widget) -> str:
    """Return what a person reads."""
    return " ".join(widget.el.inner_text().split())


# ------------------------------------------------------------------ time


def test_it_counts_without_updates(widgets: WidgetPage) -> None:
    """The seconds go on with no message from the kernel, and stop when the job has ended."""
    widget = mount(widgets, card(RUNNING))
    first = seconds(widget)
    widgets.page.wait_for_function(
        "first => parseFloat(document.querySelector('.wan-time').textContent) > first + 0.5", arg=first
    )
    widget.set(**state_of(card(job("failed", elapsed_s=14.0))))
    assert seconds(widget) == 14.0
    widgets.page.wait_for_timeout(300)
    assert seconds(widget) == 14.0


def test_a_reloaded_page_counts_on(widgets: WidgetPage) -> None:
    """A page that finds a state of 30 s ago shows 30 s more; the kernel's own clock decides once it answers."""
    widget = mount(widgets, card(RUNNING), age_s=30)
    assert 42 <= seconds(widget) < 50
    assert widget.sent() == [{"kind": "hello"}]
    widget.receive({"kind": "clock", "now": widget.get("view")["sent_at"] + 5})
    assert 17 <= seconds(widget) < 20


def test_a_page_whose_clock_is_behind_never_counts_back(widgets: WidgetPage) -> None:
    """A browser's clock that is an hour slow takes nothing from the time."""
    assert 12 <= seconds(mount(widgets, card(RUNNING), age_s=-3600)) < 15


@pytest.mark.parametrize("took_s", [0.26, 3.17, 8.05, 125.7, 11405.0])
def test_a_card_that_is_over_says_what_its_caption_says(widgets: WidgetPage, took_s: float) -> None:
    """A picture took one time, whether the card or the saved output tells it: rounded, not cut off."""
    widget = mount(widgets, card(job("failed", elapsed_s=took_s)))
    assert widget.el.locator(".wan-time").first.inner_text() == duration_text(took_s)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.0 s"), (8.44, "8.4 s"), (59.99, "59.9 s"), (125, "2 min 5 s"), (11405, "3 h 10 min")]
)
def test_durations_read_as_everywhere(widgets: WidgetPage, value: float, text: str) -> None:
    """The browser writes a duration as Python does, and never a second too early."""
    widgets.load("card.js")
    assert widgets.page.evaluate("value => module.durationText(value)", value) == text


# ------------------------------------------------------------------ cancel


def test_a_click_is_shown_at_once_and_sent_once(widgets: WidgetPage) -> None:
    """Cancel says `cancel requested` before the kernel could know, sends one wish, and keeps the focus."""
    widget = mount(widgets, card(RUNNING))
    button = widget.el.get_by_role("button", name="Cancel")
    button.focus()
    widgets.page.keyboard.press("Enter")
    assert "running, cancel requested" in text_of(widget)
    widgets.page.keyboard.press("Enter")
    widgets.page.keyboard.press("Space")
    assert widget.sent()[1:] == [{"kind": "cancel", "jobs": ["a3f9c2"]}]
    focused = widgets.page.evaluate("document.activeElement.textContent")
    assert focused == "cancel requested"
    widget.set(**state_of(card(dataclasses.replace(RUNNING, eta_text="about 5–9 s more"))))
    assert widget.el.locator("button").inner_text() == "cancel requested"
    widget.set(**state_of(card(job("cancelled", elapsed_s=13.0))))
    assert not widget.el.locator("button").is_visible()
    assert "■ cancelled" in text_of(widget)


def test_each_job_of_a_sweep_has_its_own_cancel(widgets: WidgetPage) -> None:
    """A click cancels its own row only; a row that cannot be cancelled has no button."""
    jobs = [dataclasses.replace(j, can_cancel=i != 2) for i, j in enumerate(SWEEP.jobs)]
    widget = mount(widgets, card(*jobs))
    assert widget.el.get_by_role("button").count() == 4
    widget.el.get_by_role("button", name="Cancel seed 3").click()
    assert widget.sent()[1:] == [{"kind": "cancel", "jobs": ["a3"]}]
    assert text_of(widget).count("cancel requested") == 1


# ------------------------------------------------------------------ stillness


def test_nothing_jumps_when_the_state_changes(widgets: WidgetPage) -> None:
    """From sending to running to cancelling the card keeps its height, and its parts their places."""
    widget = mount(widgets, card(job("sending", elapsed_s=0.1)))
    parts = (".wan-card", ".wan-time", "progress", ".wan-act", ".wan-icon")

    def places() -> list[Any]:
        boxes = [widget.el.locator(part).first.bounding_box() for part in parts]
        return [(box["x"], box["y"], box["height"]) for box in boxes]

    before = places()
    for view in (
        job("accepted", elapsed_s=1.0),
        RUNNING,
        dataclasses.replace(RUNNING, progress=0.7, elapsed_s=99.0, eta_text=""),
        dataclasses.replace(RUNNING, cancel_requested=True, mode="illustrated text " * 9),
        dataclasses.replace(RUNNING, can_cancel=False, elapsed_s=4000.0),
        job("succeeded", elapsed_s=20.0, most_text="up to $0.12"),
    ):
        widget.set(**state_of(card(view)))
        assert places() == before, view.state


@pytest.mark.parametrize("width", [400, 1000])
def test_it_fits_narrow_and_wide(widgets: WidgetPage, width: int) -> None:
    """Side by side or full width, no part lies over another and nothing is cut off to the side."""
    widgets.page.set_viewport_size({"width": width, "height": 800})
    for view in (card(RUNNING), SWEEP, card(poisoned(RUNNING))):
        widget = mount(widgets, view)
        assert widgets.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        row = widget.el.locator(".wan-job").first
        if view is not SWEEP and "8–14" in text_of(widget):
            assert row.locator(".wan-eta").evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= 34")
        boxes = [row.locator(part).bounding_box() for part in (".wan-time", ".wan-eta", ".wan-act")]
        for left, right in itertools.pairwise(boxes):
            assert left["x"] + left["width"] <= right["x"] + 0.5


def test_a_card_of_many_shows_what_wants_something(widgets: WidgetPage) -> None:
    """A sweep of 140 stays small: rows come and go with what is open, in order, and what is saved is counted."""
    jobs = [dataclasses.replace(RUNNING, job_id=f"j{i:03}", seed=i) for i in range(140)]
    widget = mount(widgets, card(*jobs))
    rows = widget.el.locator(".wan-job")
    assert rows.count() == 24
    height = widget.el.bounding_box()["height"]
    assert height < 460
    saved = [dataclasses.replace(one, state="saved") for one in jobs[:120]]
    widget.set(**state_of(card(*saved, *jobs[120:])))
    assert rows.count() == 24
    assert [text.split()[-1] for text in rows.locator(".wan-label").all_inner_texts()][-20:] == [
        str(i) for i in range(120, 140)
    ]
    assert "120 saved" in text_of(widget)
    assert "and 116 more" in text_of(widget)
    assert widget.el.bounding_box()["height"] == height


# ------------------------------------------------------------------ a kernel that is gone


@pytest.mark.parametrize("way", ["silence", "restart"])
@pytest.mark.parametrize("width", [420, 1000])
def test_a_card_says_that_its_kernel_is_gone(widgets: WidgetPage, way: str, width: int) -> None:
    """It does not count on for ever: it stands still, says what brings the pictures, and goes on if a word comes."""
    widgets.page.set_viewport_size({"width": width, "height": 800})
    widget = mount(widgets, card(RUNNING))
    height = widget.el.bounding_box()["height"]
    assert "kernel" not in text_of(widget)
    if way == "silence":
        widgets.later(25)
    else:
        widget.line_ends()
    line = widget.el.locator(".wan-more[data-silent]")
    line.wait_for()
    begins = "no word from the kernel for 25 s" if way == "silence" else "the line to the kernel ended"
    assert line.inner_text().replace("\xa0", " ") == (
        f"{begins}: if it was restarted, %wan resume and %wan show a3f9c2 bring the pictures"
    )
    assert line.evaluate("e => e.scrollWidth <= e.clientWidth")
    if width == 1000:
        assert widget.el.bounding_box()["height"] == height
    assert "8–14" not in text_of(widget)
    assert widget.el.get_by_role("button").count() == 0
    stands = seconds(widget)
    widgets.page.wait_for_timeout(250)
    assert seconds(widget) == stands
    widget.set(**state_of(card(dataclasses.replace(RUNNING, elapsed_s=40.0))))
    assert "kernel" not in text_of(widget)
    assert seconds(widget) >= 40.0


def test_a_card_that_is_over_waits_for_no_word(widgets: WidgetPage) -> None:
    """What is final needs no kernel."""
    widget = mount(widgets, card(job("failed", elapsed_s=3.0)))
    widgets.later(60)
    widget.line_ends()
    widgets.page.wait_for_timeout(250)
    assert widget.el.locator(".wan-more[data-silent]").count() == 0


# ------------------------------------------------------------------ results, text, cleaning up


def test_after_a_reload_the_pictures_are_shown_here(widgets: WidgetPage) -> None:
    """A page that opens on a finished job shows its pictures, and says how to make them lasting."""
    widget = mount(widgets, batch(3))
    images = widget.el.locator("img")
    images.first.wait_for()
    assert images.count() == 3
    widgets.page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert images.nth(1).get_attribute("alt") == "fox[1], seed 5: A fox asleep in fresh snow"
    assert "%wan show a3f9c2 in a cell makes it lasting" in text_of(widget)


def test_a_card_that_is_about_to_be_replaced_stays_as_it_is(widgets: WidgetPage) -> None:
    """When the job ends in front of the person, the lasting output comes: the pictures do not flash up before it."""
    widget = mount(widgets, card(RUNNING))
    widgets.page.wait_for_timeout(300)
    widget.set(**state_of(batch(2)))
    assert "✓ saved" in text_of(widget)
    widgets.page.wait_for_timeout(400)
    assert widget.el.locator("img").count() == 0
    widget.el.locator("img").first.wait_for()  # nobody replaced it: after a while it shows them itself
    assert widget.el.locator("img").count() == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_text_is_text(widgets: WidgetPage, theme: str) -> None:
    """Markup in every field is shown, not acted on: no element, no request, no error, no other title."""
    widgets.theme(theme)
    title = widgets.page.title()
    ended = dataclasses.replace(job("failed", error_lines=(HOSTILE,)), elapsed_s=3.0)
    for view in (card(RUNNING), card(ended), SWEEP, card(job(items=(picture(),)))):
        widget = mount(widgets, poisoned(view, HOSTILE + "狐" * 2000))
        widgets.page.wait_for_timeout(100)
        assert widget.el.locator("script, b b, iframe, [onerror], [onload]").count() == 0
        assert "<img src=x onerror=" in (widget.el.text_content() or "")
        assert widgets.page.evaluate("[...document.images].every(i => i.src.startsWith('blob:'))")
    assert widgets.page.title() == title


def test_a_state_is_read_out_and_the_seconds_are_not(widgets: WidgetPage) -> None:
    """A screen reader hears the change of state politely; the clock is outside of what it watches."""
    widget = mount(widgets, card(RUNNING))
    said = widget.el.get_by_role("status")
    assert said.text_content() == "running · the service is making it · text to image · job a3f9c2"
    assert said.locator(".wan-time").count() == 0
    widgets.page.evaluate(
        "() => { window.heard = 0; new MutationObserver(() => { window.heard += 1; })"
        ".observe(document.querySelector('[role=status]'), { childList: true, characterData: true, subtree: true }); }"
    )
    widgets.page.wait_for_timeout(400)
    assert widgets.page.evaluate("heard") == 0
    widget.set(**state_of(card(job("failed", elapsed_s=3.0, error_lines=("Inappropriate.",)))))
    assert (said.text_content() or "").startswith("failed")
    assert widget.el.get_by_role("progressbar").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(widgets: WidgetPage, theme: str) -> None:
    """Every text of the card has a contrast of at least 4.5:1 with JupyterLab's own colours, its icons too."""
    widgets.theme(theme)
    colour = "rgba(0,0,0,.87)" if theme == "light" else "#fff"
    widgets.page.evaluate("c => document.body.style.setProperty('--jp-content-font-color1', c)", colour)
    widget = mount(widgets, card(dataclasses.replace(RUNNING, notes=("a note",))))
    for css, least in ((".wan-muted", 4.5), ("b", 4.5), ("button", 4.5), (".wan-icon", 4.5)):
        for ratio in widget.el.locator(css).evaluate_all(CONTRAST):
            assert ratio >= least, (css, ratio)


CONTRAST = """elements => elements.filter(e => e.textContent).map(element => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const parse = text => numbers(text).map((n, i) => text.startsWith('color(srgb') && i < 3 ? n * 255 : n);
  const over = (top, alpha, ground) => top.map((c, i) => c * alpha + ground[i] * (1 - alpha));
  const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = parse(getComputedStyle(document.body).backgroundColor).slice(0, 3);
  let alpha = 1;
  for (let e = element; e; e = e.parentElement) alpha *= Number(getComputedStyle(e).opacity);
  const [r, g, b, a = 1] = parse(getComputedStyle(element).color);
  const pair = [light(over([r, g, b], a * alpha, ground)), light(ground)].sort((x, y) => y - x);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
})"""


def test_a_removed_card_leaves_nothing_behind(widgets: WidgetPage) -> None:
    """Listeners, timers and picture addresses end with the view."""
    widgets.page.evaluate(
        "() => { window.revoked = 0; const old = URL.revokeObjectURL;"
        " URL.revokeObjectURL = url => { window.revoked += 1; return old.call(URL, url); };"
        " window.ticks = 0; const begin = window.setInterval, end = window.clearInterval;"
        " window.setInterval = (...a) => { window.ticks += 1; return begin(...a); };"
        " window.clearInterval = id => { window.ticks -= 1; return end(id); }; }"
    )
    widget = mount(widgets, batch(2))
    widget.el.locator("img").nth(1).wait_for()
    widgets.page.evaluate("window.revoked = 0")
    assert widget.listeners() > 2
    assert widgets.page.evaluate("ticks") == 1
    widget.dispose()
    assert widget.listeners() == 0
    assert widgets.page.evaluate("ticks") == 0
    assert widgets.page.evaluate("revoked") == 2


def test_only_what_changed_is_touched(widgets: WidgetPage) -> None:
    """A selection in a text survives updates that do not change it."""
    widget = mount(widgets, card(RUNNING))
    widgets.page.evaluate("() => { window.kept = document.querySelector('.wan-cut bdi').firstChild; }")
    widget.set(**state_of(card(dataclasses.replace(RUNNING, eta_text="about 2–4 s more", progress=0.9))))
    assert "about 2–4 s more" in text_of(widget)
    assert widgets.page.evaluate("document.querySelector('.wan-cut bdi').firstChild === window.kept")
