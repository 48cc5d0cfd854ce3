"""How the panel looks where it really stands: what has the focus is in sight, words and signs can be read."""

from typing import Any

import pytest

from tests.lab.harness import Lab, low_contrast
from tests.lab.test_panel import BUTTON, opened

BELOW = "#md " + "text\n\n" * 60  # so that the panel is not the page's end
# The part of the focused field that the strip with the button lies over, in px; null once the focus has left the form.
COVERED = """() => {
  const field = document.activeElement, strip = document.querySelector('.wan-go');
  if (!field.closest('.wan-left') || strip.contains(field)) return null;
  const [f, s] = [field, strip].map(e => e.getBoundingClientRect());
  return Math.max(0, Math.min(f.bottom, s.bottom) - Math.max(f.top, s.top));
}"""
ACTIONS = ".wan-actions .wan-b"
OUTLINED = (
    ":is(.wan-left, .wan-cell, .wan-filters) :is(.wan-b:not([aria-disabled=true]), textarea, input:not([type=file]))"
)


def _walk(page: Any, key: str) -> list[float]:
    """Go through the form with Tab; return how much of each field was covered when it had the focus."""
    covered = []
    while (part := page.evaluate(COVERED)) is not None:
        covered.append(part)
        page.keyboard.press(key)
    return covered


def test_the_button_covers_no_field_that_has_the_focus(lab: Lab) -> None:
    """The button stays in sight while the form scrolls; a field that Tab reaches stops above it, wide and narrow."""
    lab.write("a.ipynb", ["%load_ext wan_notebook", "%wan panel", BELOW])
    lab.open("a.ipynb")
    lab.run_all()
    lab.wait_css(BUTTON)
    page = lab.page
    for width, height in ((1280, 700), (480, 700)):
        page.set_viewport_size({"width": width, "height": height})
        page.locator(".wan-f-prompt textarea").focus()
        there = _walk(page, "Tab")
        page.keyboard.press("Shift+Tab")
        back = _walk(page, "Shift+Tab")
        assert len(there) > 10
        assert max(there + back) <= 1, (width, there, back)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_signs_and_outlines_can_be_read(lab: Lab, theme: str) -> None:
    """States of jobs, an unknown name, the history: 4.5:1 for words, 3:1 for signs and outlines, in both themes."""
    jobs = "import wan_notebook as wan\nwan.generate('a fox', seed=5).result()\nfor word in ('fail', 'seconds:90'):\n"
    jobs += "    wan.generate(f'[[{word}]] an owl')"
    page = opened(lab, load=f"%load_ext wan_notebook\n{jobs}\nmood = 'curious'")
    lab.theme(theme)
    page.locator(".wan-f-prompt textarea").fill("a {nobody} {mood} fox")
    page.wait_for_selector(".wan-f-prompt[data-wrong] .wan-note >> text=nobody")
    page.locator(".wan-jobrow b", has_text="failed").first.wait_for()
    page.locator(".wan-tile").first.click()
    page.locator(".wan-inspector").get_by_text("More ▾").click()
    assert low_contrast(page, ".wan-panel") == []
    assert low_contrast(page, f":is({OUTLINED}, {ACTIONS})", "faint") == []
    page.locator(".wan-tile").first.dblclick()
    page.wait_for_function("document.querySelector('.wan-stage-image').naturalWidth > 1000")
    assert low_contrast(page, f".wan-light {ACTIONS}", "faint") == []
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="History").click()
    page.wait_for_selector(".wan-history tbody tr >> nth=2")
    assert low_contrast(page, ".wan-history") == []
