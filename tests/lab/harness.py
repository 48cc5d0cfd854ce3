r"""Drive a real JupyterLab (or Notebook 7) in Chromium.

A test takes the fixture `lab` (JupyterLab) or `notebook7`; both are a `Lab` with a folder of its own, a page of its
own, and a fresh kernel for each notebook that it opens:

    def test_the_card_counts_while_another_cell_computes(lab):
        lab.write("a.ipynb", ["%load_ext wan_notebook", "%%wan\na fox", "import time; time.sleep(3)"])
        lab.open("a.ipynb")             # waits until the kernel has really answered this page
        lab.run_cell(0)                 # waits until it is done; wait=False returns at once
        lab.run_all(wait=False)
        lab.wait_text(1, "running")     # text in the output of code cell 1; lab.wait_css(".wan-card") for a selector
        lab.wait_done()                 # no cell runs or waits
        lab.save()                      # to disk; then lab.saved() is the file, lab.saved_text() its raw JSON
        lab.reload()                    # the browser's reload: same kernel;  lab.reopen(): new kernel
        lab.restart_kernel()            # fresh interpreter, outputs stay;    lab.interrupt(): as the stop button
        lab.theme("dark")
        assert "saved" in lab.out_text(1)

Cells are code cells, counted from 0; in `write`, a text that starts with `#md ` makes a Markdown cell, which has no
number. `lab.cell(i)`, `lab.output(i)` are Playwright locators, `lab.page` the page; `lab.prompt(i)`, `lab.source(i)`,
`lab.n_cells()` tell what is there; `lab.type_into(i, text)` types.
`lab.folder` is the notebook's folder on disk. `lab.write(..., kernel="k6")` uses the kernel of the fixture `kernel6`
(ipykernel 6.31 in an environment of its own); `lab.server.add_kernel(name, python, env={...})` registers another, for
example one with `WAN_SIMULATOR_SECONDS=0`. Kernels see `WAN_PROVIDER=simulator`, a private home and this checkout.

An uncaught JavaScript error fails the test when it ends; `lab.forgive(regex)` allows the ones that are expected. When
a test fails, the page is photographed into the temporary folder `wan-notebook-failures`, and the report says where.
"""

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any, Self

import nbformat

from tests.lab.servers import LabServer, NotebookServer

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # a hidden tab has cells too
CELL = f"{PANEL} .jp-Notebook .jp-CodeCell"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# The front end's own complaint about a cell whose kernel was restarted under it; nothing of ours can cause it.
FORGIVEN = (r"Canceled future for execute_request", r"^Error: Canceled$")

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


def notebook_of(cells: list[str], kernel: str = "python3") -> nbformat.NotebookNode:
    """Return a notebook of these code cells; one that starts with `#md ` is Markdown."""
    make = nbformat.v4
    nodes = [
        make.new_markdown_cell(text[4:]) if text.startswith("#md ") else make.new_code_cell(text) for text in cells
    ]
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    return make.new_notebook(cells=nodes, metadata={"kernelspec": spec})


class Lab:
    """One browser page with one open notebook; see the module's docstring."""

    def __init__(self, server: LabServer | NotebookServer, browser: Any, folder: Path | None = None) -> None:
        self.server = server
        self.folder = folder or server.root / uuid.uuid4().hex[:12]
        self.folder.mkdir(exist_ok=True)
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.console: list[tuple[str, str]] = []
        self._forgiven = [re.compile(pattern) for pattern in (*FORGIVEN, *server.forgiven)]
        self._name = ""
        self._dark = False
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.console.append((message.type, message.text)))
        self.page.on("dialog", lambda dialog: dialog.accept())  # "unsaved changes"

    # -------------------------------------------------------------- the file

    def write(self, name: str, cells: list[str], *, kernel: str = "python3") -> Path:
        """Write a notebook of code cells into the folder."""
        path = self.folder / name
        nbformat.write(notebook_of(cells, kernel), path)
        return path

    def read(self, name: str) -> nbformat.NotebookNode:
        """Return a notebook of the folder."""
        return nbformat.read(self.folder / name, as_version=4)

    def rewrite(self, name: str, document: nbformat.NotebookNode) -> None:
        """Write a notebook of the folder anew."""
        nbformat.write(document, self.folder / name)

    def saved(self) -> nbformat.NotebookNode:
        """Return the notebook as it is on disk."""
        return self.read(self._name)

    def saved_text(self) -> str:
        """Return the raw JSON of the notebook on disk."""
        return (self.folder / self._name).read_text(encoding="utf-8")

    # -------------------------------------------------------------- open and close

    def open(self, name: str, *, timeout_s: float = 90) -> Self:
        """Open a notebook of the folder in a new workspace and wait until its kernel answers this page."""
        self._name = name
        path = (self.folder / name).relative_to(self.server.root).as_posix()
        page = self.server.page_path.format(workspace=f"t{uuid.uuid4().hex[:8]}", notebook=path)
        self.page.goto(self.server.url + page, wait_until="domcontentloaded", timeout=timeout_s * 1000)
        self._settle(timeout_s)
        return self

    def reload(self, *, timeout_s: float = 90) -> None:
        """Reload the page as a person would: the kernel goes on, unsaved outputs are gone."""
        self.page.reload(wait_until="domcontentloaded", timeout=timeout_s * 1000)
        self._settle(timeout_s, idle=False)

    def reopen(self) -> None:
        """End the kernel and open the saved file anew."""
        self._end_sessions()
        self.open(self._name)

    def _settle(self, timeout_s: float, *, idle: bool = True) -> None:
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=timeout_s * 1000)
        self.page.wait_for_selector(f"{PANEL} .jp-Notebook", timeout=timeout_s * 1000)
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for button in self.page.query_selector_all(".jp-Dialog .jp-mod-accept"):
                button.click()  # "Select Kernel" and its like: the suggestion is right
            if self._connected() and self.page.evaluate(_READY, idle):
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"no kernel answered {self._name} in {timeout_s} s:\n{self.server.log()[-2000:]}")

    def _connected(self) -> bool:
        # The page's own indicator says "idle" before the kernel is connected, and a cell run then is dropped.
        kernels = [session["kernel"] for session in self._sessions()]
        return bool(kernels) and all(kernel["connections"] >= 1 for kernel in kernels)

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
            self.forgive(".*")  # what breaks from here on is the closing itself
            self._end_sessions()
        finally:
            self.context.close()

    # -------------------------------------------------------------- run

    def _start(self, command: str, index: int | None = None) -> None:
        self.page.evaluate(_START, [command, index])

    def run_all(self, *, wait: bool = True, timeout_s: float = 120) -> None:
        """Run every cell as the menu does."""
        self._start("notebook:run-all-cells")
        if wait:
            self.wait_done(timeout_s=timeout_s)

    def run_cell(self, index: int, *, wait: bool = True, timeout_s: float = 60) -> None:
        """Run code cell `index` in place, as Ctrl+Enter does."""
        self._start("notebook:run-cell", index)
        if wait:
            self.wait_done(timeout_s=timeout_s)

    def wait_done(self, *, timeout_s: float = 120) -> None:
        """Wait until no cell runs or waits and the kernel is idle."""
        self.page.wait_for_function(_IDLE, arg=CELL, timeout=timeout_s * 1000)

    def restart_kernel(self, *, timeout_s: float = 60) -> None:
        """Give the notebook a fresh interpreter; its outputs stay."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        self._settle(timeout_s)

    def interrupt(self) -> None:
        """Interrupt the kernel, as the stop button does."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")

    def type_into(self, index: int, text: str) -> None:
        """Put the cursor at the end of a code cell and type, key by key, so that completers see it."""
        self.cell(index).locator(".jp-InputArea-editor .cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text)

    # -------------------------------------------------------------- look

    def cell(self, index: int) -> Any:
        """Return the locator of a code cell."""
        return self.page.locator(CELL).nth(index)

    def output(self, index: int) -> Any:
        """Return the locator of a code cell's outputs."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def prompt(self, index: int) -> str:
        """Return the prompt of a code cell: `[ ]:`, `[*]:` or `[3]:`."""
        return (self.cell(index).locator(".jp-InputPrompt").first.text_content() or "").strip()

    def source(self, index: int) -> str:
        """Return the text of a code cell as the editor has it."""
        return str(
            self.page.evaluate(
                "i => window.jupyterapp.shell.currentWidget.content.widgets"
                ".filter(c => c.model.type === 'code')[i].model.sharedModel.getSource()",
                index,
            )
        )

    def n_cells(self) -> int:
        """Return how many code cells the notebook has."""
        return int(self.page.locator(CELL).count())

    def out_text(self, index: int) -> str:
        """Return the text of a code cell's outputs, also of what is scrolled away."""
        area = self.output(index)
        return (area.text_content() or "") if area.count() else ""

    def wait_text(self, index: int, text: str, *, timeout_s: float = 30) -> None:
        """Wait until a code cell's outputs contain a text."""
        self.page.wait_for_function(
            "([sel, i, text]) => { const cell = document.querySelectorAll(sel)[i];"
            " const area = cell && cell.querySelector('.jp-Cell-outputArea');"
            " return area && area.textContent.includes(text); }",
            arg=[CELL, index, text],
            timeout=timeout_s * 1000,
        )

    def wait_lasting(self, index: int, *, timeout_s: float = 30) -> None:
        """Wait until a code cell shows pictures as HTML: its card says `saved` a moment before it gives way."""
        lasting = self.output(index).locator(".jp-RenderedHTML img[alt]").first
        lasting.wait_for(timeout=timeout_s * 1000)

    def wait_css(self, css: str, *, state: str = "visible", timeout_s: float = 30) -> Any:
        """Wait for an element of the open notebook."""
        return self.page.wait_for_selector(f"{PANEL} {css}", state=state, timeout=timeout_s * 1000)

    # -------------------------------------------------------------- save, theme, errors

    def save(self) -> None:
        """Save the notebook and wait until the file is written."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def theme(self, name: str) -> None:
        """Switch between `light` and `dark`."""
        self._dark = name == "dark"
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[name]
        )
        self.page.wait_for_selector(
            f"body[data-jp-theme-light='{json.dumps(not self._dark)}']",
            state="attached",  # Playwright calls it hidden
        )

    def forgive(self, pattern: str) -> None:
        """Allow uncaught JavaScript errors that match a regular expression."""
        self._forgiven.append(re.compile(pattern))

    def uncaught(self) -> list[str]:
        """Return the uncaught JavaScript errors that nobody forgave."""
        return [e for e in self.errors if not any(pattern.search(e) for pattern in self._forgiven)]
