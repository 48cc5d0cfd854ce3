"""The harness itself: what it says happened in a front end did happen."""

from pathlib import Path

from tests.environment import ROOT
from tests.lab.harness import Lab

BOO = "from IPython.display import Javascript; Javascript('setTimeout(() => { throw Error(\"boo\") })')"
ENVIRONMENT = """import os, wan_notebook
print(sorted(k for k in os.environ if k.startswith(('WAN_', 'DASH'))), os.environ['HOME'], wan_notebook.__file__)"""


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
