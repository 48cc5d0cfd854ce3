"""The harness itself: what it says happened in JupyterLab did happen."""

from __future__ import annotations

from tests.lab.harness import Lab

COUNTER = """
import threading, time, ipywidgets
label = ipywidgets.Label("0")
label.add_class("test-counter")
def count():
    for i in range(1, 61):
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
    lab.write("a.ipynb", [COUNTER, "end = time.time() + 2.5\nwhile time.time() < end: pass\nprint('computed')"])
    lab.open("a.ipynb")
    lab.run_cell(0)
    lab.wait_css(".test-counter")
    lab.run_cell(1, wait=False)
    assert lab.prompt(1) == "[*]:"
    before = int(lab.page.locator(".test-counter").inner_text())
    lab.page.wait_for_timeout(1000)
    after = int(lab.page.locator(".test-counter").inner_text())
    assert lab.prompt(1) == "[*]:"
    assert after > before
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
