"""The bare page itself: a module sees what anywidget would show it, and nothing that goes wrong stays unseen."""

from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.browser.chromium import BrowserNotFoundError, find_browser
from tests.browser.page import WidgetPage

COUNTER = """
export default {
  initialize({ model }) { model.set("begun", true); },
  render({ model, el, signal }) {
    const button = document.createElement("button");
    const paint = () => { button.textContent = model.get("count"); };
    const hear = (message, buffers) => { button.title = message.text + buffers[0].getUint8(1); };
    button.addEventListener("click", () => {
      model.set("count", model.get("count") + 1);
      model.save_changes();
      model.send({ kind: "clicked" });
    });
    model.on("change:count", paint);
    model.on("msg:custom", hear);
    signal.addEventListener("abort", () => model.off("msg:custom", hear));
    el.append(button);
    paint();
    return () => model.off("change:count", paint);
  },
};
"""


def test_a_module_talks_with_its_model(widgets: WidgetPage) -> None:
    """State goes in both directions, messages with buffers too, and a removed view leaves no listener."""
    widget = widgets.mount(source=COUNTER, state={"count": 3, "thumb": b"\x01\x02"})
    button = widget.el.locator("button")
    button.click()
    assert button.inner_text() == "4"
    assert widget.get("count") == 4
    assert widget.saved() == [{"begun": True, "count": 4}]
    assert widget.sent() == [{"kind": "clicked"}]
    widget.set(count=9)
    assert button.inner_text() == "9"
    assert len(widget.saved()) == 1
    widget.receive({"text": "byte "}, b"\x05\x07")
    assert button.get_attribute("title") == "byte 7"
    assert widget.listeners() == 2
    widget.dispose()
    assert widget.listeners() == 0
    assert widget.el.count() == 0


def test_files_are_served_and_blobs_have_no_neighbours(widgets: WidgetPage, tmp_path: Path) -> None:
    """A module by its address may import its neighbour; as a widget it may not, here as in anywidget."""
    (tmp_path / "a.js").write_text("import { b } from './b.js'; export const a = b + 1; export default {};")
    (tmp_path / "b.js").write_text("export const b = 41;")
    (tmp_path / "c.js").write_text("export default { render({ el }) { el.className = 'c'; el.textContent = 'c'; } };")
    (tmp_path / "c.css").write_text(".c { color: rgb(1, 2, 3); }")
    widgets.serve(tmp_path)
    widgets.load("a.js")
    assert widgets.page.evaluate("module.a") == 42
    with pytest.raises(Error, match="resolve"):
        widgets.mount("a.js")
    widget = widgets.mount("c.js", css="c.css")
    assert widget.el.evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"


def test_what_goes_wrong_is_collected(widgets: WidgetPage) -> None:
    """Uncaught errors, rejected promises, console errors and requests to other machines are all seen."""
    source = """export default { render({ el }) {
      setTimeout(() => { throw new Error("late"); });
      Promise.reject(new Error("rejected"));
      console.error("said");
      el.innerHTML = '<img src="https://example.org/x.png">';
    } };"""
    widgets.mount(source=source)
    widgets.page.wait_for_timeout(300)
    problems = "\n".join(widgets.uncaught())
    for word in ("uncaught: late", "uncaught: rejected", "console: said", "https://example.org/x.png"):
        assert word in problems
    widgets.forgive(".")
    assert widgets.uncaught() == []


def test_light_and_dark_are_both_kinds(widgets: WidgetPage) -> None:
    """The media query, JupyterLab's attribute and its colour variables change together."""
    for name, dark in (("dark", True), ("light", False), ("dark", True)):
        widgets.theme(name)
        assert widgets.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark
        assert widgets.page.evaluate("document.body.dataset.jpThemeLight") == ("false" if dark else "true")
        background = widgets.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(17, 17, 17)" if dark else "rgb(255, 255, 255)")


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
