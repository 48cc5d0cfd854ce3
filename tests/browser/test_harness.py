"""The bare page itself: nothing that goes wrong in it stays unseen."""

from pathlib import Path

import pytest

from tests.browser.chromium import BrowserNotFoundError, find_browser
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


def test_the_browser_is_looked_for_in_order(tmp_path: Path) -> None:
    """The named one wins, then PATH in the order of names, then applications; a wrong name is no silent other."""

    def program(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    chrome, app, named = program("bin/google-chrome"), program("app"), program("named")
    path = {"PATH": str(tmp_path / "bin")}
    assert find_browser(path, ()) == chrome
    chromium = program("bin/chromium")
    assert find_browser(path, (str(app),)) == chromium
    assert find_browser({**path, "WAN_TEST_BROWSER": str(named)}, ()) == named
    assert find_browser({"PATH": ""}, (str(app),)) == app
    with pytest.raises(BrowserNotFoundError, match="WAN_TEST_BROWSER='nowhere'"):
        find_browser({**path, "WAN_TEST_BROWSER": "nowhere"}, ())
    with pytest.raises(BrowserNotFoundError, match="Install one"):
        find_browser({"PATH": ""}, ())
