"""The harness itself: what it says happened in a front end did happen."""

from pathlib import Path
from typing import Any

from tests.browser.chromium import print_pdf
from tests.environment import ROOT
from tests.lab.harness import Lab
from tests.lab.voila import VoilaPage, offline_page

SLIDER = "import ipywidgets; s = ipywidgets.IntSlider(7); s.add_class('test-slider'); s"
BOO = "from IPython.display import Javascript; Javascript('setTimeout(() => { throw Error(\"boo\") })')"
ENVIRONMENT = """import os, wan_notebook
print(sorted(k for k in os.environ if k.startswith(('WAN_', 'DASH'))), os.environ['HOME'], wan_notebook.__file__)"""
PAGE = """<!doctype html><body><p id="a">static</p>
<script>document.getElementById('a').textContent = 'scripted'</script>
<script src="https://example.org/x.js" onerror="document.title = 'blocked'"></script>"""


def test_a_notebook_is_run_saved_reopened_and_interrupted(lab: Lab) -> None:
    """Code cells are counted without Markdown; a saved output is there with a new kernel; interrupts arrive."""
    cells = ["x = 20", "#md # A heading", "print(x + 1)", ENVIRONMENT, "import time\nprint('begun')\ntime.sleep(100)"]
    lab.write("a.ipynb", cells)
    lab.open("a.ipynb")
    for cell in range(3):
        lab.run_cell(cell)
    assert [lab.prompt(i) for i in range(4)] == ["[1]:", "[2]:", "[3]:", "[ ]:"]
    assert lab.out_text(1).strip() == "21"
    names, home, package = lab.out_text(2).rsplit(maxsplit=2)
    assert (names, Path(home)) == ("['WAN_PROVIDER']", lab.server.home)
    assert Path(package).parent.parent == ROOT
    lab.run_cell(3, wait=False)
    lab.wait_text(3, "begun")
    lab.interrupt()
    lab.wait_done(timeout_s=20)
    assert "KeyboardInterrupt" in lab.out_text(3)
    lab.save()
    lab.reopen()
    assert lab.out_text(1).strip() == "21"
    lab.run_cell(1)
    assert "NameError" in lab.out_text(1)


def test_an_uncaught_script_error_is_noticed(lab: Lab) -> None:
    """A script that fails in the page cannot pass unseen; forgiving is by pattern."""
    lab.write("a.ipynb", [BOO])
    lab.open("a.ipynb")
    lab.run_all()
    lab.page.wait_for_timeout(300)
    assert any("boo" in error for error in lab.uncaught())
    lab.forgive("^boo$")
    assert lab.uncaught() == []


def test_the_older_kernel_generation_runs_the_project(lab: Lab, kernel6: str) -> None:
    """The second environment has ipykernel 6.31 and imports this package."""
    lab.write("a.ipynb", ["import ipykernel, wan_notebook, ipywidgets\nprint(ipykernel.__version__)"], kernel=kernel6)
    lab.open("a.ipynb")
    lab.run_all()
    assert lab.out_text(0).startswith("6.31.")


def test_voila_shows_outputs_and_live_widgets(voila: VoilaPage) -> None:
    """A notebook's outputs and widgets appear in Voilà."""
    voila.write("a.ipynb", ["print('from ' + 'voila')", SLIDER])
    voila.open("a.ipynb")
    voila.wait_text("from voila")
    voila.page.wait_for_selector(".test-slider")


def test_an_exported_page_has_no_network_and_can_be_printed(chromium: Any, tmp_path: Path) -> None:
    """A file is opened without network, with or without JavaScript, and the browser prints it."""
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    with offline_page(chromium, path) as page:
        page.wait_for_function("document.title === 'blocked'")
        assert page.locator("#a").inner_text() == "scripted"
    with offline_page(chromium, path, javascript=False) as page:
        assert page.locator("#a").inner_text() == "static"
    assert print_pdf(path, tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
