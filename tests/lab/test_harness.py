"""The harness itself: what it says happened in JupyterLab did happen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.environment import ROOT
from tests.lab.harness import Lab

COUNTER = """
import threading, time, ipywidgets
label = ipywidgets.Label("0")
label.add_class("test-counter")
def count():
    for i in range(1, 5000):
        label.value = str(i)
        time.sleep(0.1)
threading.Thread(target=count, daemon=True).start()
label
"""


def test_cells_run_in_order_and_outputs_are_read(lab: Lab) -> None:
    """Run All runs every cell once; Markdown cells do not shift the counting of code cells."""
    lab.write("a.ipynb", ["x = 20", "#md # A heading", "print(x + 1)", "x += 2; x"])
    lab.open("a.ipynb")
    assert lab.n_cells() == 3
    lab.run_all()
    assert lab.out_text(1).strip() == "21"
    assert "22" in lab.out_text(2)
    assert [lab.prompt(i) for i in range(3)] == ["[1]:", "[2]:", "[3]:"]
    lab.run_cell(2)
    assert "24" in lab.out_text(2)
    assert lab.prompt(2) == "[4]:"
    assert lab.source(0) == "x = 20"


def test_a_widget_counts_while_another_cell_computes(lab: Lab) -> None:
    """A widget that a thread changes is seen to change while a cell holds the kernel."""
    lab.write("a.ipynb", [COUNTER, "import os\nwhile not os.path.exists('go'): pass\nprint('computed')"])
    lab.open("a.ipynb")
    lab.run_cell(0)
    lab.wait_css(".test-counter")
    lab.run_cell(1, wait=False)
    assert lab.prompt(1) == "[*]:"
    before = int(lab.page.locator(".test-counter").inner_text())
    lab.page.wait_for_function("n => +document.querySelector('.test-counter').textContent > n + 2", arg=before)
    assert lab.prompt(1) == "[*]:"
    (lab.folder / "go").touch()
    lab.wait_done()
    assert "computed" in lab.out_text(1)


def test_saved_outputs_are_there_when_reopened(lab: Lab) -> None:
    """What was saved is in the file and in the page that opens it with a new kernel."""
    lab.write(
        "a.ipynb",
        ["from IPython.display import HTML; HTML('<b>lasting</b>')", "print('known' if 'HTML' in dir() else 'fresh')"],
    )
    lab.open("a.ipynb")
    lab.run_cell(0)
    lab.save()
    assert lab.saved().cells[0].outputs[0].data["text/html"] == "<b>lasting</b>"
    lab.reopen()
    assert "lasting" in lab.out_text(0)
    lab.run_cell(1)
    assert "fresh" in lab.out_text(1)


def test_interrupt_restart_reload_and_theme(lab: Lab, tmp_path: Path) -> None:
    """What a person's hands can do to a running notebook can be done here."""
    lab.write("a.ipynb", ["import time\nprint('begun')\ntime.sleep(100)", "x = 5", "print('x' in dir())"])
    lab.open("a.ipynb")
    lab.run_cell(0, wait=False)
    lab.wait_text(0, "begun")
    lab.interrupt()
    lab.wait_done(timeout_s=20)
    assert "KeyboardInterrupt" in lab.out_text(0)
    lab.run_cell(1)
    lab.reload()
    lab.run_cell(2)
    assert lab.out_text(2).strip() == "True"
    lab.restart_kernel()
    lab.run_cell(2)
    assert lab.out_text(2).strip() == "False"
    light = lab.shot(tmp_path / "light.png").read_bytes()
    lab.theme("dark")
    assert lab.shot(tmp_path / "dark.png").read_bytes() != light


def test_a_page_reloaded_in_mid_run_can_be_waited_for(lab: Lab) -> None:
    """After a reload the kernel's work goes on, and `wait_done` still knows when it is over."""
    lab.write(
        "a.ipynb", ["import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\nopen('over', 'w').close()"]
    )
    lab.open("a.ipynb")
    lab.run_cell(0, wait=False)
    lab.reload()
    with pytest.raises(Error, match="Timeout"):
        lab.wait_done(timeout_s=1)
    (lab.folder / "go").touch()
    lab.wait_done()
    assert (lab.folder / "over").exists()


def test_kernels_have_no_settings_from_outside(lab: Lab) -> None:
    """A kernel sees the simulator as its provider, a private home, and this checkout's package."""
    show = "import os, wan_notebook\nprint(sorted(k for k in os.environ if k.startswith(('WAN_', 'DASH'))))"
    lab.write("a.ipynb", [show, "print(os.environ['HOME'], wan_notebook.__file__)"])
    lab.open("a.ipynb")
    lab.run_all()
    assert lab.out_text(0).strip() == "['WAN_PROVIDER']"
    home, package = lab.out_text(1).split()
    assert Path(home) == lab.server.home
    assert Path(package).parent.parent == ROOT


def test_an_uncaught_script_error_is_noticed(lab: Lab) -> None:
    """A script that fails in the page cannot pass unseen; forgiving is by pattern."""
    lab.write(
        "a.ipynb", ["from IPython.display import Javascript; Javascript('setTimeout(() => { throw Error(\"boo\") })')"]
    )
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


def test_a_kernel_with_its_own_environment(lab: Lab) -> None:
    """A test can give its kernel variables that no other test sees."""
    name = lab.server.add_kernel("with-price", Path(sys.executable), {"WAN_SIMULATOR_PRICE": "0.5"})
    lab.write("a.ipynb", ["import os; print(os.environ['WAN_SIMULATOR_PRICE'])"], kernel=name)
    lab.open("a.ipynb")
    assert lab.page.locator(".jp-Toolbar-kernelName:visible").inner_text() == "Python (with-price)"
    lab.run_all()
    assert lab.out_text(0).strip() == "0.5"


def test_typed_text_reaches_the_completer(lab: Lab) -> None:
    """Keys arrive one by one, and Tab shows what the kernel offers."""
    lab.write("a.ipynb", ["long_name_one, long_name_two = 1, 2", "print(long_na"])
    lab.open("a.ipynb")
    lab.run_cell(0)
    lab.type_into(1, "me")
    assert lab.completions() == ["long_name_one", "long_name_two"]
    lab.page.keyboard.press("Enter")
    lab.type_into(1, ")")
    assert lab.source(1) == "print(long_name_one)"
    lab.run_cell(1)
    assert lab.out_text(1).strip() == "1"
