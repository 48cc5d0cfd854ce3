"""A click on "full file" or "Open file" shows the whole picture in a tab of its own, wherever the notebook lies."""

import sys
from pathlib import Path
from typing import Any

from tests.lab.harness import FrontEndPage, Lab, VoilaPage

CELLS = ["%load_ext wan_notebook", "%%wan --as fox --seed 5\na fox, 50 % #1 in snow", "%wan panel"]


def _shown(front_end: FrontEndPage) -> Any:
    """Open and run the notebook; return the page once cell and panel show the picture."""
    quick = front_end.server.add_kernel("quick", Path(sys.executable), {"WAN_SIMULATOR_SECONDS": "0.2"})
    front_end.write("a.ipynb", CELLS, kernel=quick)
    front_end.open("a.ipynb")
    if isinstance(front_end, Lab):
        front_end.run_all()
        front_end.wait_lasting(1)
    front_end.page.locator(".wan-tile").scroll_into_view_if_needed()  # it loads what is seen
    front_end.page.wait_for_selector(".wan-tile img[src^='blob:']")
    return front_end.page


def _tab_of(front_end: FrontEndPage, element: Any) -> tuple[str, str, int]:
    """Click, and return the address, kind and picture's width of the browser's tab that opens."""
    with front_end.context.expect_page() as opened:
        element.click()
    tab = opened.value
    tab.wait_for_load_state()
    width = tab.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)")
    found = tab.url.split("?")[0], tab.evaluate("document.contentType"), width
    tab.close()
    return found


def _opens_the_file(front_end: FrontEndPage, element: Any) -> None:
    address, kind, width = _tab_of(front_end, element)
    assert address.endswith("-s5-1.png")
    assert (kind, width) == ("image/png", 1280)


def _panel_opens_it(lab: Lab) -> None:
    """Check the two places of the button: below the toolbar, and in the full view."""
    lab.page.locator(".wan-tile").click()
    for part in (".wan-inspector", ".wan-light"):
        if part == ".wan-light":
            lab.page.locator(".wan-tile").dblclick()
        buttons = lab.page.locator(part)
        buttons.get_by_text("More ▾").click()
        _opens_the_file(lab, buttons.get_by_text("Open file"))
    lab.page.keyboard.press("Escape")


def test_jupyterlab_opens_the_file_of_a_notebook_in_a_subfolder(lab: Lab) -> None:
    """The server serves a folder above the notebook's; a link of the output opens a tab beside the notebook."""
    page = _shown(lab)
    _panel_opens_it(lab)
    for link in (lab.output(1).get_by_role("link", name="full file"), lab.output(1).locator("a img").first):
        link.click()
        picture = page.locator(".jp-ImageViewer:visible img")
        shown = "i => i.complete && i.naturalWidth === 1280"
        page.wait_for_function(shown, arg=picture.element_handle())  # JupyterLab gives it its address twice
        page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")
        picture.wait_for(state="detached")


def test_notebook_7_opens_the_file(notebook7: Lab) -> None:
    """Panel and saved output open tabs of the browser, the only ones that Notebook 7 has."""
    _shown(notebook7)
    _panel_opens_it(notebook7)
    _opens_the_file(notebook7, notebook7.output(1).get_by_role("link", name="full file"))
    _opens_the_file(notebook7, notebook7.output(1).locator("a img").first)


def test_voila_opens_the_file(voila: VoilaPage) -> None:
    """Voilà's page says nothing of the folder it serves: the link leads to the file, the panel to its bytes."""
    page = _shown(voila)
    page.locator(".wan-tile").click()
    page.locator(".wan-inspector").get_by_text("More ▾").click()
    for part in (page.get_by_role("link", name="full file"), page.locator(".wan-inspector").get_by_text("Open file")):
        assert _tab_of(voila, part)[2] == 1280
