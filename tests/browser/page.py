"""Run front-end modules in a bare page, against a model that behaves as anywidget's does.

    w = widgets.mount(SOURCE, {"items": [...], "thumb": b"..."}, css="…")
    w.el.locator("img").first.click()        # `w.el` is a Playwright locator, `widgets.page` the page
    w.set(items=[])                          # as the kernel does: change events fire
    assert w.saved() == [{"selected": 2}]    # what each save_changes sent; w.sent() are messages

The module is loaded from a blob, as anywidget does it, so a relative import fails here as it would there. An uncaught
error, an error on the console, or a request to any machine fails the test when it ends.
"""

import base64
from pathlib import Path
from typing import Any

URL = "http://localhost:9/"  # answered here, never sent
HTML = '<!doctype html><meta charset="utf-8"><title>widgets</title><body class="jp-ThemedContainer"></body>'


def to_page(value: Any) -> Any:
    """Return what JSON can carry: bytes become a note that the stub turns into a DataView."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"__bytes__": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {key: to_page(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_page(inner) for inner in value]
    return value


class Widget:
    """One rendered module and its model."""

    def __init__(self, page: Any, number: int) -> None:
        self._page = page
        self._number = number
        self.el = page.locator(f"#widget-{number}")

    def _call(self, method: str, *args: Any) -> Any:
        script = "([number, method, args]) => window.widgetStub.call(number, method, args)"
        return self._page.evaluate(script, [self._number, method, to_page(list(args))])

    def get(self, name: str) -> Any:
        """Return the value of a trait as the page has it."""
        return self._call("get", name)

    def set(self, **state: Any) -> None:
        """Change traits as the kernel does."""
        self._call("fromKernel", state)

    def receive(self, message: Any, *buffers: bytes) -> None:
        """Deliver a custom message from the kernel."""
        self._call("receive", message, list(buffers))

    def saved(self) -> list[dict[str, Any]]:
        """Return what each `save_changes` would have sent to the kernel."""
        return list(self._call("saved"))

    def sent(self) -> list[Any]:
        """Return the custom messages sent to the kernel."""
        return list(self._call("sent"))

    def listeners(self) -> int:
        """Return how many listeners the module has on its model."""
        return int(self._call("listeners"))

    def dispose(self) -> None:
        """Remove the view as a closed cell does."""
        self._call("dispose")


class WidgetPage:
    """One page; see the module's docstring."""

    def __init__(self, browser: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1000, "height": 800}, color_scheme="light")
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("console", self._note_console)
        self.page.on("request", self._note_request)
        self.page.route(f"{URL}**", lambda route: route.fulfill(body=HTML, content_type="text/html"))
        self.page.goto(URL)
        self.page.add_script_tag(path=Path(__file__).with_name("stub.js"))

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((URL, "blob:", "data:")):
            self.problems.append(f"request to another machine: {request.url}")

    def mount(self, source: str, state: dict[str, Any], *, css: str) -> Widget:
        """Load a module's text as anywidget does, styles first, call `initialize` and `render`; return the widget."""
        self.page.add_style_tag(content=css)
        number = self.page.evaluate("options => window.widgetStub.mount(options)", [to_page(state), source])
        return Widget(self.page, number)

    def later(self, seconds: float) -> None:
        """Let time pass for the page's clock, at once."""
        self.page.evaluate(
            "s => { const now = performance.now.bind(performance); performance.now = () => now() + s * 1000; }", seconds
        )
