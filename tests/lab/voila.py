"""Drive a notebook in Voilà, and open an exported page without network."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import nbformat

from tests.lab.harness import notebook_of
from tests.lab.servers import VoilaServer


class VoilaPage:
    """One page of Voilà: `write(name, cells)`, `open(name)`, then `page` is Playwright's."""

    def __init__(self, server: VoilaServer, browser: Any) -> None:
        self.server = server
        self.folder = server.root / uuid.uuid4().hex[:12]
        self.folder.mkdir()
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def write(self, name: str, cells: list[str], *, kernel: str = "python3") -> Path:
        """Write a notebook of code cells into the folder."""
        path = self.folder / name
        nbformat.write(notebook_of(cells, kernel), path)
        return path

    def open(self, name: str, *, timeout_s: float = 90) -> Self:
        """Open a notebook of the folder and wait until the page is built."""
        url = self.server.url + self.server.page_path.format(notebook=f"{self.folder.name}/{name}")
        self.page.goto(url, wait_until="domcontentloaded", timeout=timeout_s * 1000)
        self.page.wait_for_selector("#rendered_cells", state="visible", timeout=timeout_s * 1000)
        return self

    def wait_text(self, text: str, *, timeout_s: float = 30) -> None:
        """Wait until the page contains a text."""
        self.page.wait_for_function(
            "text => document.body.textContent.includes(text)", arg=text, timeout=timeout_s * 1000
        )

    def text(self) -> str:
        """Return the text of the page's cells."""
        return self.page.locator("#rendered_cells").text_content() or ""

    def uncaught(self) -> list[str]:
        """Return the uncaught JavaScript errors."""
        return list(self.errors)

    def close(self) -> None:
        """Close the page; Voilà ends its kernel."""
        self.context.close()


@contextmanager
def offline_page(browser: Any, path: Path, *, javascript: bool = True, dark: bool = False) -> Iterator[Any]:
    """Open a file in a browser without any network, and without JavaScript if asked."""
    context = browser.new_context(
        offline=True, java_script_enabled=javascript, color_scheme="dark" if dark else "light"
    )
    try:
        page = context.new_page()
        page.goto(path.resolve().as_uri(), wait_until="load")
        yield page
    finally:
        context.close()
