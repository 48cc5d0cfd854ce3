r"""Drive a real JupyterLab, Notebook 7 or Voilà in Chromium.

A test takes the fixture `lab` (JupyterLab), `notebook7` or `voila`: a folder of its own and a fresh kernel for each
notebook that it opens. Notebook 7 and Voilà are pages of their own; JupyterLab, which takes seconds to load, stays
open for the tests of a module, each of which finds it without a notebook; after a failure it is loaded anew.

    lab.write("a.ipynb", ["%load_ext wan_notebook", "%%wan\na fox", "import time; time.sleep(3)"])
    lab.open("a.ipynb")             # waits until the kernel has really answered this page
    lab.run_cell(0)                 # waits until it is done; wait=False returns at once
    lab.wait_text(1, "running")     # text in the output of code cell 1; lab.wait_css(".wan-card") for a selector
    lab.reload()                    # the browser's reload: same kernel;  lab.reopen(): new kernel

Cells are code cells, counted from 0; in `write`, a text that starts with `#md ` makes a Markdown cell, which has no
number. `lab.output(i)` is a Playwright locator, `lab.page` the page, `lab.folder` the notebook's folder on disk.
`lab.server.add_kernel(name, python, env={...})` registers a kernel for `lab.write(..., kernel=name)`. Kernels see
`WAN_PROVIDER=simulator`, a private home and this checkout. An uncaught JavaScript error fails the test when it ends.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

from tests.lab.servers import Server

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # a hidden tab has cells too
CELL = f"{PANEL} .jp-Notebook .jp-CodeCell"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# The front end's own complaint about a cell whose kernel was restarted under it; nothing of ours can cause it.
FORGIVEN = (r"Canceled future for execute_request", r"^Error: Canceled$")
OPEN_S = 90

_READY = """async idle => {
  const app = window.jupyterapp;
  const panel = app && app.shell.currentWidget;
  if (!panel || !panel.context || !panel.sessionContext) return false;
  await panel.context.ready;
  await panel.sessionContext.ready;
  const kernel = panel.sessionContext.session && panel.sessionContext.session.kernel;
  if (!kernel || kernel.connectionStatus !== 'connected') return false;
  if (!idle) return true;
  await kernel.requestKernelInfo();
  return kernel.status === 'idle';
}"""
# Another notebook in a JupyterLab that is open: the launcher, which stands where nothing is open, goes.
_OPEN = """async path => {
  const app = window.jupyterapp;
  const others = [...app.shell.widgets('main')];
  window.testsRunning = 0;
  await app.serviceManager.kernelspecs.refreshSpecs();
  await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
  others.forEach(widget => widget.close());
}"""
_LEAVE = """() => {
  for (const widget of [...window.jupyterapp.shell.widgets('main')]) {
    if (widget.context) widget.context.model.dirty = false;  // else it asks
    widget.close();
  }
}"""
# A cell that was sent off is running from the call on, whatever its prompt shows yet.
_START = """([command, index]) => {
  const app = window.jupyterapp;
  if (index !== null) {
    const notebook = app.shell.currentWidget.content;
    let seen = -1;
    notebook.activeCellIndex = notebook.widgets.findIndex(c => c.model.type === 'code' && ++seen === index);
  }
  window.testsRunning = (window.testsRunning || 0) + 1;
  const over = () => { window.testsRunning -= 1; };
  app.commands.execute(command).then(over, over);
}"""
_IDLE = """sel => {
  if (window.testsRunning) return false;
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const prompts = [...document.querySelectorAll(sel + ' .jp-InputPrompt')];
  return kernel.status === 'idle' && !prompts.some(p => p.textContent.includes('*'));
}"""


CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


def low_contrast(page: Any, css: str, kind: str = "unreadable") -> Any:
    """Return the texts of some elements that cannot be read, or with `faint` the fields whose outline is not seen."""
    return page.evaluate(f"([kind, css]) => {{ {CONTRAST}\nreturn {{ unreadable, faint }}[kind](css); }}", [kind, css])


def notebook_of(cells: list[str], kernel: str = "python3") -> nbformat.NotebookNode:
    """Return a notebook of these code cells; one that starts with `#md ` is Markdown."""
    make = nbformat.v4
    nodes = [
        make.new_markdown_cell(text[4:]) if text.startswith("#md ") else make.new_code_cell(text) for text in cells
    ]
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    return make.new_notebook(cells=nodes, metadata={"kernelspec": spec})


class FrontEndPage:
    """One browser page and a folder of notebooks."""

    def __init__(self, server: Server, browser: Any, page: Any = None) -> None:
        self.server = server
        self.folder = server.root / uuid.uuid4().hex[:12]
        self.folder.mkdir()
        if page is None:
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.set_default_timeout(60_000)
            page.on("dialog", lambda dialog: dialog.accept())  # "unsaved changes"
        self.page, self.context = page, page.context
        self._errors: list[str] = []
        self._forgiven = [*FORGIVEN, *server.forgiven]
        self.page.on("pageerror", self._note_error)

    def write(self, name: str, cells: list[str], *, kernel: str = "python3") -> None:
        """Write a notebook of code cells into the folder."""
        nbformat.write(notebook_of(cells, kernel), self.folder / name)

    def url(self, name: str) -> str:
        """Return the address of a notebook of the folder, in a new workspace."""
        path = (self.folder / name).relative_to(self.server.root).as_posix()
        return self.server.url + self.server.page_path.format(workspace=f"t{uuid.uuid4().hex[:8]}", notebook=path)

    def _note_error(self, error: Any) -> None:
        self._errors.append(str(error))

    def uncaught(self) -> list[str]:
        """Return the uncaught JavaScript errors that nobody forgave."""
        return [e for e in self._errors if not any(re.search(pattern, e) for pattern in self._forgiven)]

    def close(self) -> None:
        self.context.close()


class VoilaPage(FrontEndPage):
    """A notebook as a page of Voilà; the server ends its kernel with the page."""

    def open(self, name: str) -> None:
        """Open a notebook of the folder and wait until the page is built."""
        self.page.goto(self.url(name), wait_until="domcontentloaded", timeout=OPEN_S * 1000)
        self.page.wait_for_selector("#rendered_cells", state="visible", timeout=OPEN_S * 1000)


class Lab(FrontEndPage):
    """One open notebook of JupyterLab or Notebook 7."""

    _name = ""
    _dark = False

    # -------------------------------------------------------------- open and close

    def read(self, name: str) -> nbformat.NotebookNode:
        return nbformat.read(self.folder / name, as_version=4)

    def saved(self) -> nbformat.NotebookNode:
        return self.read(self._name)

    def __init__(self, server: Server, browser: Any, page: Any = None) -> None:
        """Take over a page that `leave` left behind, if any."""
        super().__init__(server, browser, page)
        self._is_loaded = page is not None

    def open(self, name: str) -> None:
        """Open a notebook of the folder and wait until its kernel answers this page."""
        self._name = name
        if self._is_loaded:
            self.page.evaluate(_OPEN, (self.folder / name).relative_to(self.server.root).as_posix())
        else:
            self.page.goto(self.url(name), wait_until="domcontentloaded", timeout=OPEN_S * 1000)
        self._settle()

    def reload(self) -> None:
        """Reload the page as a person would: the kernel goes on, unsaved outputs are gone."""
        self.page.reload(wait_until="domcontentloaded", timeout=OPEN_S * 1000)
        self._settle(idle=False)

    def reopen(self) -> None:
        """End the kernel and open the saved file in a new workspace."""
        self._end_sessions()
        self._is_loaded = False
        self.open(self._name)

    def _settle(self, *, idle: bool = True) -> None:
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=OPEN_S * 1000)
        self.page.wait_for_selector(f"{PANEL} .jp-Notebook", timeout=OPEN_S * 1000)
        end = time.monotonic() + OPEN_S
        while time.monotonic() < end:
            for button in self.page.query_selector_all(".jp-Dialog .jp-mod-accept"):
                button.click()  # "Select Kernel" and its like: the suggestion is right
            # The page's own indicator says "idle" before the kernel is connected, and a cell run then is dropped.
            kernels = [session["kernel"] for session in self._sessions()]
            if kernels and all(each["connections"] for each in kernels) and self.page.evaluate(_READY, idle):
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"no kernel answered {self._name} in {OPEN_S} s:\n{self.server.log()[-2000:]}")

    def _sessions(self) -> list[dict[str, Any]]:
        sessions = self.context.request.get(f"{self.server.url}/api/sessions").json()
        return [s for s in sessions if (self.server.root / s["path"]).parent == self.folder]

    def _end_sessions(self) -> None:
        # Only this folder's: another test may use the same server.
        cookies = {cookie["name"]: cookie["value"] for cookie in self.context.cookies()}
        for session in self._sessions():
            url = f"{self.server.url}/api/sessions/{session['id']}"
            self.context.request.delete(url, headers={"X-XSRFToken": cookies.get("_xsrf", "")})

    def close(self) -> None:
        """End the kernels of this folder and the page."""
        try:
            if self._dark:
                self.theme("light")
            self._end_sessions()
        finally:
            super().close()

    def leave(self) -> Any:
        """Close the notebook and end its kernel; return the page, for the next test."""
        self.page.remove_listener("pageerror", self._note_error)
        if self._dark:
            self.theme("light")
        self.page.evaluate(_LEAVE)
        self._end_sessions()
        self.context.clear_permissions()
        return self.page

    # -------------------------------------------------------------- run

    def run_all(self, *, wait: bool = True) -> None:
        """Run every cell as the menu does."""
        self.page.evaluate(_START, ["notebook:run-all-cells", None])
        if wait:
            self.page.wait_for_function(_IDLE, arg=CELL, timeout=120_000)

    def run_cell(self, *indices: int, wait: bool = True) -> None:
        """Run code cells in place, one after the other, as Ctrl+Enter does."""
        for index in indices:
            self.page.evaluate(_START, ["notebook:run-cell", index])
            if wait:
                self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until every cell that was started has answered."""
        self.page.wait_for_function(_IDLE, arg=CELL)

    def restart_kernel(self) -> None:
        """Give the notebook a fresh interpreter; its outputs stay."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        self._settle()

    def type_into(self, index: int, text: str) -> None:
        """Put the cursor at the end of a code cell and type, key by key, so that completers see it."""
        self.cell(index).locator(".jp-InputArea-editor .cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text)

    # -------------------------------------------------------------- look

    def cell(self, index: int) -> Any:
        return self.page.locator(CELL).nth(index)

    def output(self, index: int) -> Any:
        return self.cell(index).locator(".jp-Cell-outputArea")

    def prompt(self, index: int) -> str:
        """Return the prompt of a code cell: `[ ]:`, `[*]:` or `[3]:`."""
        return (self.cell(index).locator(".jp-InputPrompt").first.text_content() or "").strip()

    def sources(self) -> list[str]:
        """Return the texts of the code cells as the editors have them."""
        widgets = "window.jupyterapp.shell.currentWidget.content.widgets"
        return self.page.evaluate(
            f"() => {widgets}.filter(c => c.model.type === 'code').map(c => c.model.sharedModel.getSource())"
        )

    def out_text(self, index: int) -> str:
        """Return the text of a code cell's outputs, also of what is scrolled away."""
        area = self.output(index)
        return (area.text_content() or "") if area.count() else ""

    def wait_text(self, index: int, text: str) -> None:
        """Wait until a code cell's outputs contain a text."""
        self.page.wait_for_function(
            "([sel, i, text]) => document.querySelectorAll(sel)[i]"
            "?.querySelector('.jp-Cell-outputArea')?.textContent.includes(text)",
            arg=[CELL, index, text],
        )

    def wait_lasting(self, index: int) -> None:
        """Wait until a code cell shows pictures as HTML: its card says `saved` a moment before it gives way."""
        self.output(index).locator(".jp-RenderedHTML img[alt]").first.wait_for()

    def wait_css(self, css: str) -> None:
        self.page.wait_for_selector(f"{PANEL} {css}")

    def save(self) -> None:
        """Save the notebook and wait until the file is written."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def theme(self, name: str) -> None:
        """Switch between `light` and `dark`."""
        self._dark = name == "dark"
        command = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        self.page.evaluate(command, THEMES[name])
        theme = f"body[data-jp-theme-light='{json.dumps(not self._dark)}']"
        self.page.wait_for_selector(theme, state="attached")  # Playwright calls it hidden


@contextmanager
def offline_page(browser: Any, path: Path, *, javascript: bool = True, dark: bool = False) -> Iterator[Any]:
    """Open a file in a browser without any network, and without JavaScript if asked."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(offline=True, java_script_enabled=javascript, color_scheme=scheme)
    try:
        page = context.new_page()
        page.goto(path.resolve().as_uri(), wait_until="load")
        yield page
    finally:
        context.close()
