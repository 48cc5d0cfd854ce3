"""The lasting card in a bare page: hostile text stays text, and it fits light, dark, narrow, wide and unstyled."""

import re

import pytest

from tests.browser.page import WidgetPage
from tests.views_samples import HOSTILE, article, batch, card, job, poisoned, sweep
from wan_notebook.views.gallery import bundle
from wan_notebook.views.model import CardView

CARDS: dict[str, CardView] = {
    "batch": batch(3),
    "sweep": sweep(6),
    "article": article(),
    "failed": card(job("failed", error_lines=("Inappropriate.",))),
    "in doubt": card(job("in_doubt")),
}
PUT = """html => {
  const box = document.createElement('div');
  box.className = 'box';
  box.innerHTML = html;
  document.body.append(box);
}"""


def put(widgets: WidgetPage, view: CardView, *, styles: bool = True) -> str:
    """Put a card into the page as a notebook does, and return what a person reads."""
    html = bundle(view)[0]["text/html"]
    widgets.page.evaluate("() => document.body.replaceChildren()")
    widgets.page.evaluate(PUT, html if styles else re.sub(r' style="[^"]*"', "", html))
    widgets.page.wait_for_function("[...document.images].every(i => i.complete)")
    return " ".join(widgets.page.locator(".box").inner_text().split())


@pytest.mark.parametrize("name", CARDS)
def test_hostile_text_does_nothing(widgets: WidgetPage, name: str) -> None:
    """A card whose every text is markup shows that text: no script, no request, no other title."""
    title = widgets.page.title()
    text = put(widgets, poisoned(CARDS[name], HOSTILE + "狐" * 2000))
    widgets.page.wait_for_timeout(100)
    assert "<img src=x onerror=" in text
    assert widgets.page.title() == title
    assert widgets.page.locator("script, [onerror], [onload], [onclick]").count() == 0
    assert widgets.page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_its_place(widgets: WidgetPage, name: str, width: int) -> None:
    """Narrow and wide, nothing reaches beyond the card, pictures keep their shape and captions their width."""
    widgets.page.set_viewport_size({"width": width, "height": 800})
    put(widgets, CARDS[name])
    assert widgets.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    inside = """() => {
      const frame = document.querySelector('.box > div').getBoundingClientRect();
      return [...document.images].every(i => {
        const box = i.getBoundingClientRect();
        const kept = Math.abs(box.width / box.height - i.naturalWidth / i.naturalHeight) < 0.03;
        return box.right <= frame.right + 0.5 && box.width >= 100 && kept;
      });
    }"""
    assert widgets.page.evaluate(inside)


def test_pictures_flow_side_by_side(widgets: WidgetPage) -> None:
    """In a wide output pictures of one job stand beside each other; in a narrow one below."""
    tops = "() => new Set([...document.images].map(i => Math.round(i.getBoundingClientRect().top))).size"
    widgets.page.set_viewport_size({"width": 1280, "height": 800})
    put(widgets, CARDS["sweep"])
    assert widgets.page.evaluate(tops) == 2
    widgets.page.set_viewport_size({"width": 400, "height": 800})
    assert widgets.page.evaluate(tops) == 3
    put(widgets, CARDS["batch"])
    assert widgets.page.evaluate(tops) == 3


@pytest.mark.parametrize("name", CARDS)
def test_without_any_style_it_still_reads(widgets: WidgetPage, name: str) -> None:
    """Every style removed: the same words in the same order, each figure's caption below its picture."""
    styled = put(widgets, CARDS[name])
    plain = put(widgets, CARDS[name], styles=False)
    assert plain == styled
    below = """() => [...document.images].every(i => {
      const caption = i.closest('td').querySelector('code');
      return caption.getBoundingClientRect().top >= i.getBoundingClientRect().bottom - 1;
    })"""
    assert widgets.page.evaluate(below)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_takes_the_pages_colour(widgets: WidgetPage, theme: str) -> None:
    """On a light and on a dark page all text but the icons is in the page's own colour."""
    widgets.theme(theme)
    own = "#212121" if theme == "light" else "#e0e0e0"
    widgets.page.evaluate("c => { document.body.style.color = c; }", own)
    put(widgets, CARDS["in doubt"])
    colours = widgets.page.locator(".box :is(td, b, code, summary, pre)").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).color))]"
    )
    assert colours == ["rgb(33, 33, 33)" if theme == "light" else "rgb(224, 224, 224)"]


def test_details_open_by_keyboard(widgets: WidgetPage) -> None:
    """Prompt and parameters open with Enter, without JavaScript."""
    put(widgets, card(job("cancelled", prompt="a hidden prompt")))
    summary = widgets.page.locator("summary")
    assert not widgets.page.get_by_text("a hidden prompt").is_visible()
    summary.focus()
    widgets.page.keyboard.press("Enter")
    assert widgets.page.get_by_text("a hidden prompt").is_visible()
