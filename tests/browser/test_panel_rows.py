"""Rows of jobs and of the history, and the gallery's search, in the widths that a notebook gives them."""

from typing import Any

import pytest
from wan_notebook.views.gallery_widget import Gallery
from wan_notebook.views.panel_widgets import JobRows

from tests.browser.page import WidgetPage
from tests.browser.panel_page import mount
from tests.browser.test_panel_form import JOB
from tests.browser.test_panel_gallery import ROW, table

LONG_SEED = "seed 2147483647"
# How much wider a field's hint is than the room that the browser gives it, in px.
HINT_OVERFLOW = """field => {
  const style = getComputedStyle(field), pen = document.createElement('canvas').getContext('2d');
  pen.font = style.font;
  const cross = field.type === 'search' ? parseFloat(style.fontSize) : 0;
  const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - cross;
  return pen.measureText(field.placeholder).width - room;
}"""


def _right(locator: Any) -> float:
    box = locator.bounding_box()
    return float(box["x"] + box["width"])


def test_costs_and_seeds_of_a_narrow_history_end_on_one_line(widgets: WidgetPage) -> None:
    """A long seed makes its column wider than a cost, which stays at the edge with those of the other rows."""
    widgets.page.set_viewport_size({"width": 848, "height": 700})
    table(widgets, [{**ROW, "seed": 2147483647, "key": ""}, {**ROW, "id": "a2", "key": ""}])
    sources = widgets.page.locator(".wan-history-source")
    seeds = widgets.page.locator("tbody td:nth-child(7)")
    ends = [_right(part.nth(at)) for part in (sources, seeds) for at in (0, 1)]
    assert max(ends) - min(ends) <= 1, ends


@pytest.mark.parametrize("width", [420, 600])
def test_what_a_running_job_may_cost_is_in_sight(widgets: WidgetPage, width: int) -> None:
    """In a narrow row the guess of the time is cut off, not the money."""
    widgets.page.set_viewport_size({"width": width, "height": 700})
    jobs = mount(widgets, JobRows, jobs=[{**JOB, "label": LONG_SEED}], sent_at=1e12)
    jobs.el.evaluate("column => column.classList.add('wan-right')")  # it stands in the column of results
    cost = widgets.page.get_by_text("up to $0.03", exact=True)
    assert _right(cost) <= _right(widgets.page.locator(".wan-jobrow-top"))


@pytest.mark.parametrize("width", [420, 700, 790])
def test_each_search_says_what_it_searches(widgets: WidgetPage, width: int) -> None:
    """The hint is not cut off, in the gallery as in the history, however many buttons stand beside it."""
    widgets.page.set_viewport_size({"width": width, "height": 700})
    mount(widgets, Gallery, items=[], total=0)
    table(widgets, [])
    for at in (0, 1):
        assert widgets.page.locator(".wan-filter-words").nth(at).evaluate(HINT_OVERFLOW) <= 0
