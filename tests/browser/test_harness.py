"""The bare page itself: nothing that goes wrong in it stays unseen."""

from tests.browser.page import WidgetPage


def test_what_goes_wrong_is_collected(widgets: WidgetPage) -> None:
    """Uncaught errors, rejected promises, console errors and requests to other machines are all seen."""
    source = """export default { render({ el }) {
      setTimeout(() => { throw new Error("late"); });
      Promise.reject(new Error("rejected"));
      console.error("said");
      el.innerHTML = '<img src="https://example.org/x.png">';
    } };"""
    widgets.mount(source)
    widgets.page.wait_for_timeout(300)
    problems = "\n".join(widgets.uncaught())
    for word in ("uncaught: late", "uncaught: rejected", "console: said", "https://example.org/x.png"):
        assert word in problems
    widgets.forgive(".")
    assert widgets.uncaught() == []
