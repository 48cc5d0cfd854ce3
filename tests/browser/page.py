"""Run front-end modules in a bare page, against a model that behaves as anywidget's does.

    def test_the_lightbox_closes_on_escape(widgets):
        w = widgets.mount(SOURCE, {"items": [...], "thumb": b"..."}, css="card.css")
        w.el.locator("img").first.click()        # `w.el` is a Playwright locator, `widgets.page` the page
        w.set(items=[])                          # as the kernel does: change events fire
        w.receive({"kind": "more"}, b"...")      # a custom message from the kernel, with buffers
        assert w.get("selected") == 2            # what the module set
        assert w.saved() == [{"selected": 2}]    # what each save_changes sent
        assert w.sent() == [{"kind": "next"}]    # what model.send sent
        w.dispose()                              # the view is removed: signal aborted, cleanup called
        assert w.listeners() == 0
        widgets.theme("dark")                    # media query, JupyterLab's body attribute and colour variables

The module is loaded from a blob, as anywidget does it, so a relative import fails here as it would there. An uncaught
error, an error on the console, or a request to another machine fails the test when it ends; `widgets.forgive(regex)`
allows what is expected.
"""

import base64
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLOURS = {  # as JupyterLab 4 sets them
    "light": {"--jp-layout-color0": "#fff", "--jp-layout-color1": "#fff", "--jp-ui-font-color1": "rgba(0,0,0,.87)"},
    "dark": {"--jp-layout-color0": "#111", "--jp-layout-color1": "#212121", "--jp-ui-font-color1": "#fff"},
}
PAGE = b'<!doctype html><meta charset="utf-8"><title>widgets</title><body class="jp-ThemedContainer"></body>'


class _Handler(SimpleHTTPRequestHandler):
    """The folder's files, the stub, and an empty page at the top."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(PAGE, "text/html")
        elif self.path == "/favicon.ico":
            self._answer(b"", "image/x-icon")
        elif self.path == "/-/stub.js":
            self._answer((HERE / "stub.js").read_bytes(), "text/javascript")
        else:
            super().do_GET()

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class ModuleServer:
    """A folder over HTTP on a free port of 127.0.0.1, served by a thread."""

    def __init__(self, folder: Path) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """End the thread and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


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

    def line_ends(self) -> None:
        """End the line to the kernel, as a restart does."""
        self._call("lineEnds")

    def listeners(self) -> int:
        """Return how many listeners the module has on its model."""
        return int(self._call("listeners"))

    def dispose(self) -> None:
        """Remove the view as a closed cell does."""
        self._call("dispose")


class WidgetPage:
    """One page; see the module's docstring."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self._server = ModuleServer(folder)
        self.context = browser.new_context(viewport={"width": 1000, "height": 800}, color_scheme="light")
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self._forgiven: list[re.Pattern[str]] = []
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("console", self._note_console)
        self.page.on("request", self._note_request)
        self._open()

    def _open(self) -> None:
        self.page.goto(self._server.url)
        self.page.evaluate("async () => { window.widgetStub = await import('/-/stub.js'); }")

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self._server.url, "blob:", "data:")):
            self.problems.append(f"request to another machine: {request.url}")

    def mount(self, source: str, state: dict[str, Any] | None = None, *, css: str = "") -> Widget:
        """Load a module's text as anywidget does, call `initialize` and `render`, and return the widget."""
        options = {"state": to_page(state or {}), "source": source, "css": css}
        number = self.page.evaluate("options => window.widgetStub.mount(options)", options)
        return Widget(self.page, number)

    def theme(self, name: str) -> None:
        """Switch to `light` or `dark`: the media query, JupyterLab's attribute and its colours."""
        self.page.emulate_media(color_scheme=name)
        self.page.evaluate(
            "([light, colours]) => { document.body.dataset.jpThemeLight = String(light);"
            " for (const [k, v] of Object.entries(colours)) document.body.style.setProperty(k, v);"
            " document.body.style.background = 'var(--jp-layout-color0)'; }",
            [name == "light", COLOURS[name]],
        )

    def later(self, seconds: float) -> None:
        """Let time pass for the page's clock, at once."""
        self.page.evaluate(
            "s => { const now = performance.now.bind(performance); performance.now = () => now() + s * 1000; }", seconds
        )

    def forgive(self, pattern: str) -> None:
        """Allow problems that match a regular expression."""
        self._forgiven.append(re.compile(pattern))

    def uncaught(self) -> list[str]:
        """Return the problems that nobody forgave."""
        return [p for p in self.problems if not any(pattern.search(p) for pattern in self._forgiven)]

    def close(self) -> None:
        """Close the page and the server."""
        self.context.close()
        self._server.close()
