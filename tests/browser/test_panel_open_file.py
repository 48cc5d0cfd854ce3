"""The gallery's "Open file": one click, to the server's own address where it gives the file, else to the bytes."""

import io
import json
import re
from typing import Any

import pytest
from PIL import Image
from wan_notebook.views.gallery_widget import Gallery

from tests.browser.page import Widget, WidgetPage
from tests.browser.panel_page import mount

ID = "0001/0"
ITEM = {
    "id": ID, "stack": "s", "seed": 1, "star": False, "rej": False, "kind": "image", "label": "a fox",
    "expr": "0001[0]", "alt": "a fox, seed 1", "facts": [],
}  # fmt: skip
CONFIG = """config => {
  const script = document.createElement('script');
  script.id = 'jupyter-config-data';
  script.type = 'application/json';
  script.textContent = config;
  document.body.append(script);
  window.opened = [];
  const open = window.open.bind(window);
  window.open = (url, ...rest) => { window.opened.push(url); return url ? null : open(url, ...rest); };
}"""


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def _chosen(widgets: WidgetPage, config: dict[str, str], *paths: str) -> Widget:
    """Choose the only picture in a page that says this of its server; the kernel has told the file's paths."""
    widgets.page.evaluate(CONFIG, json.dumps(config))
    widget = mount(widgets, Gallery, items=[ITEM], total=1)
    widgets.page.locator(".wan-tile").click()
    if paths:
        known = {"prompt": "a fox", "negative": "", "facts": [], "cell": "", "inputs": []}
        widget.receive({"kind": "details", "id": ID, **known, "paths": list(paths)})
    return widget


def _open(page: Any) -> Any:
    page.locator(".wan-inspector").get_by_text("More ▾").click()
    return page.locator(".wan-inspector").get_by_text("Open file").click()


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        ({"serverRoot": "/home/ann"}, ["/home/ann/a b/fox #1.png"]),
        ({"serverRoot": "~"}, ["/home/ann/a b/fox #1.png", "~/a b/fox #1.png"]),
        ({"serverRoot": "/"}, ["/a b/fox #1.png"]),
        ({"rootUri": "file:///home/ann%20lee"}, ["/home/ann lee/a b/fox #1.png"]),  # all that Notebook 7 says
    ],
)
def test_what_the_server_gives_is_opened_by_its_address(
    widgets: WidgetPage, config: dict[str, str], paths: list[str]
) -> None:
    """JupyterLab's and Notebook 7's words for the served folder both do, also for all of the disk."""
    _chosen(widgets, {"baseUrl": "/me/", **config}, *paths)
    _open(widgets.page)
    assert widgets.page.evaluate("window.opened") == ["/me/files/a%20b/fox%20%231.png"]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"serverRoot": "/home/ann"}, "/elsewhere/fox.png"),
        ({"serverRoot": "/home/ann"}, "/home/annie/fox.png"),
        ({"serverRoot": "/home/ann"}, "/home/ann/.pictures/fox.png"),
        ({"serverRoot": "/home/ann"}, ""),
        ({}, "/home/ann/fox.png"),  # Voilà
    ],
)
def test_what_the_server_does_not_give_comes_from_the_kernel_with_the_same_click(
    widgets: WidgetPage, config: dict[str, str], path: str
) -> None:
    """Outside the served folder, in a dot-folder, or not told yet: the tab opens at once, its picture comes later."""
    widget = _chosen(widgets, {"baseUrl": "/", **config}, *filter(None, [path]))
    with widgets.context.expect_page() as opened:
        _open(widgets.page)
    tab = opened.value
    assert "kernel" in tab.locator("body").inner_text()
    assert tab.evaluate("window.opener") is None
    widget.receive({"kind": "full", "key": f"full:{ID}", "mime": "image/png"}, _png())
    tab.wait_for_url(re.compile("^blob:"))
    assert tab.evaluate("[document.contentType, document.images[0].naturalWidth]") == ["image/png", 40]


def test_a_missing_file_is_told_in_its_tab(widgets: WidgetPage) -> None:
    """A picture that the kernel cannot read either leaves no tab that waits for ever."""
    widget = _chosen(widgets, {})
    with widgets.context.expect_page() as opened:
        _open(widgets.page)
    widget.receive({"kind": "full", "key": f"full:{ID}", "mime": "image/png"}, b"")
    opened.value.get_by_text("The file is missing.").wait_for()
