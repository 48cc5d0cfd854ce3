"""A click on "full file" or "Open file" shows the whole picture in a tab of its own, wherever the notebook lies."""

import sys
from pathlib import Path
from typing import Any

from tests.lab.harness import Lab
from tests.lab.voila import VoilaPage

CELLS = ["%load_ext wan_notebook", "%%wan --as fox --seed 5\na fox, 50 % #1 in snow", "%wan panel"]
WIDTH = "i => i.decode().then(() => i.naturalWidth)"
SHOWN = "i => i.complete && i.naturalWidth === 1280"


def _shown(lab: Lab) -> Any:
    """Run the notebook; return the page once cell and panel show the picture."""
    quick = lab.server.add_kernel("quick", Path(sys.executable), {"WAN_SIMULATOR_SECONDS": "0.2"})
    lab.write("a.ipynb", CELLS, kernel=quick)
    lab.open("a.ipynb")
    lab.run_all()
    lab.wait_lasting(1)
    lab.wait_css(".wan-tile img[src^='blob:']")
    return lab.page


def _full_file(lab: Lab) -> Any:
    return lab.output(1).get_by_role("link", name="full file")


def _opens_the_file(lab: Lab, click: Any) -> None:
    """Check that a click opens a tab of the browser that shows the picture under its own name."""
    with lab.context.expect_page() as opened:
        click()
    tab = opened.value
    tab.wait_for_load_state()
    assert tab.evaluate("document.contentType") == "image/png", tab.url
    assert tab.locator("img").evaluate(WIDTH) == 1280
    assert tab.url.split("?")[0].endswith("-s5-1.png")
    tab.close()


def _panel_opens_it(lab: Lab) -> None:
    """Check the two places of the button: below the toolbar, and in the full view."""
    lab.page.locator(".wan-tile").click()
    for part in (".wan-inspector", ".wan-light"):
        if part == ".wan-light":
            lab.page.locator(".wan-tile").dblclick()
        buttons = lab.page.locator(part)
        buttons.get_by_text("More ▾").click()
        _opens_the_file(lab, buttons.get_by_text("Open file").click)
    lab.page.keyboard.press("Escape")


def _lab_opens_it(lab: Lab) -> None:
    """Check that JupyterLab opens a link of the saved output as a tab beside the notebook."""
    for link in (_full_file(lab), lab.output(1).locator("a img").first):
        link.click()
        picture = lab.page.locator(".jp-ImageViewer:visible img")
        lab.page.wait_for_function(SHOWN, arg=picture.element_handle())  # JupyterLab gives it its address twice
        lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")
        picture.wait_for(state="detached")


def test_jupyterlab_opens_the_file_of_a_notebook_in_a_subfolder(lab: Lab) -> None:
    """The server serves a folder above the notebook's."""
    _shown(lab)
    _panel_opens_it(lab)
    _lab_opens_it(lab)


def test_notebook_7_opens_the_file(notebook7: Lab) -> None:
    """Panel and saved output open tabs of the browser, the only ones that Notebook 7 has."""
    _shown(notebook7)
    _panel_opens_it(notebook7)
    _opens_the_file(notebook7, _full_file(notebook7).click)
    _opens_the_file(notebook7, notebook7.output(1).locator("a img").first.click)


def test_voila_opens_the_file(voila: VoilaPage) -> None:
    """Voilà's page says nothing of the folder it serves: the link leads to the file, the panel to its bytes."""
    quick = voila.server.add_kernel("quick", Path(sys.executable), {"WAN_SIMULATOR_SECONDS": "0.2"})
    voila.write("a.ipynb", CELLS, kernel=quick)
    voila.open("a.ipynb")
    page = voila.page
    page.wait_for_selector(".wan-tile img[src^='blob:']")
    page.locator(".wan-tile").click()
    page.locator(".wan-inspector").get_by_text("More ▾").click()
    for part in (page.get_by_role("link", name="full file"), page.locator(".wan-inspector").get_by_text("Open file")):
        with voila.context.expect_page() as opened:
            part.click()
        picture = opened.value.locator("img")
        assert picture.evaluate(WIDTH) == 1280
        opened.value.close()
