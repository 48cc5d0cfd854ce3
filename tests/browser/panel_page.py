"""Mount the panel's parts in a bare page, with their defaults; the page's body is the panel."""

from collections.abc import Callable
from typing import Any

from tests.browser.page import Widget, WidgetPage

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "\u202egnp.exe\u202c \u2066left\u2069",
    "狐" * 2000,
    "👩‍👩‍👧‍👦 🦊 e\u0301",
    "`code` \"quotes\" 'apostrophes' &amp; {braces}",
)
DRESS = """css => {
  const style = document.createElement('style');
  style.textContent = css;
  document.head.append(style);
  document.body.classList.add('wan-panel');
  document.body.style.margin = '0';
}"""


def mount(widgets: WidgetPage, kind: Any, **state: Any) -> Widget:
    """Render one part of the panel; traits that are not given have their defaults."""
    from wan_notebook.views.panel_widgets import RunBar

    made = kind()
    names = [name for name in made.keys if not name.startswith("_") and name not in ("layout", "tabbable", "tooltip")]
    values = {name: getattr(made, name) for name in names}
    widgets.page.evaluate(DRESS, str(RunBar._css) + str(getattr(kind, "_css", "")))  # as anywidget: styles first
    return widgets.mount(source=str(kind._esm), state={**values, **state})


def field(widgets: WidgetPage, name: str, html: str) -> None:
    """Put a stock field into the panel, as ipywidgets lays it out."""
    widgets.page.evaluate(
        """([name, html]) => {
          const box = document.createElement('div');
          box.className = `wan-field wan-f-${name}`;
          box.innerHTML = html;
          document.body.classList.add('wan-panel');
  document.body.style.margin = '0';
          document.body.append(box);
        }""",
        [name, html],
    )


def wait_sent(widgets: WidgetPage, widget: Widget, is_it: Callable[[dict[str, Any]], object], count: int = 1) -> None:
    """Wait until the page has sent so many messages of a kind."""
    for _ in range(600):
        if sum(bool(is_it(message)) for message in widget.sent()) >= count:
            return
        widgets.page.wait_for_timeout(20)
    raise AssertionError(f"not sent: {widget.sent()}")


def safe(widgets: WidgetPage) -> None:
    """Check that no hostile text became anything else than text."""
    page = widgets.page
    assert page.title() == "widgets"
    assert page.locator("img[src='x']").count() == 0
    assert page.locator(".wan-panel script").count() == 0
