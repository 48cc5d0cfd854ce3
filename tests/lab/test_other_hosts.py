"""Notebook 7, Voilà and exported pages: the harness reaches each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.chromium import print_pdf
from tests.lab.harness import Lab
from tests.lab.voila import VoilaPage, offline_page

SLIDER = "import ipywidgets; s = ipywidgets.IntSlider(7); s.add_class('test-slider'); s"
PAGE = """<!doctype html><body><p id="a">static</p>
<script>document.getElementById('a').textContent = 'scripted'</script>
<script src="https://example.org/x.js" onerror="document.title = 'blocked'"></script>"""


def test_notebook_7_is_driven_by_the_same_calls(notebook7: Lab) -> None:
    """Open, run, save and restart work in Notebook 7 as in JupyterLab."""
    notebook7.write("a.ipynb", [SLIDER, "print(s.value * 6)"])
    notebook7.open("a.ipynb")
    notebook7.run_all()
    notebook7.wait_css(".test-slider")
    assert notebook7.out_text(1).strip() == "42"
    notebook7.save()
    assert notebook7.saved().cells[1].outputs[0].text.strip() == "42"
    notebook7.restart_kernel()
    notebook7.run_cell(1)
    assert "NameError" in notebook7.out_text(1)


def test_voila_shows_outputs_and_live_widgets(voila: VoilaPage) -> None:
    """A notebook's outputs and widgets appear in Voilà."""
    voila.write("a.ipynb", ["print('from ' + 'voila')", SLIDER])
    voila.open("a.ipynb")
    voila.wait_text("from voila")
    voila.page.wait_for_selector(".test-slider")


def test_an_exported_page_has_no_network(chromium: Any, tmp_path: Path) -> None:
    """A file is opened without network, with or without JavaScript."""
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    with offline_page(chromium, path) as page:
        page.wait_for_function("document.title === 'blocked'")
        assert page.locator("#a").inner_text() == "scripted"
    with offline_page(chromium, path, javascript=False) as page:
        assert page.locator("#a").inner_text() == "static"


def test_a_page_is_printed(tmp_path: Path) -> None:
    """The browser prints a file to a PDF."""
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    assert print_pdf(path, tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
