"""Both kernel generations while a cell computes: Cancel, the live card; a kernel that restarts; what a save keeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.harness import PANEL, Lab
from tests.lab.kernels import ensure_kernel6
from tests.lab.test_front_ends import assert_pictures
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.server import serve_in_thread

SETUP = "%load_ext wan_notebook"
FOX = "%%wan --as fox --seed 5\na red fox in snow [[seconds:0.5]]"
BUSY = "import os\nopen('busy', 'w').close()\nwhile not os.path.exists('go'): pass\nprint('computed')"
CANCEL = ".wan-act:not([data-absent]) button"
HTML = ".jp-OutputArea-output[data-mime-type='text/html']"
KERNELS = ["ipykernel7", "ipykernel6"]


def add_kernel(lab: Lab, generation: str, name: str, env: dict[str, str]) -> str:
    """Register a kernel of one generation with these variables."""
    python = ensure_kernel6() if generation == "ipykernel6" else Path(sys.executable)
    return lab.server.add_kernel(f"{name}-{generation}", python, env)


def compute(lab: Lab, cell: int) -> None:
    """Run a cell that computes until the file `go` is there, and return once it does compute."""
    lab.run_cell(cell, wait=False)
    lab.page.wait_for_function("() => window.testsRunning > 0")
    while not (lab.folder / "busy").exists():
        lab.page.wait_for_timeout(20)


def let_go(lab: Lab, cell: int) -> None:
    """Let that cell end; until then it must have been at work."""
    assert "*" in lab.prompt(cell)
    (lab.folder / "go").touch()
    lab.wait_text(cell, "computed")


def wait_lasting(lab: Lab, cell: int) -> Any:
    """Wait until a cell's output is the lasting one, pictures or not, and return it."""
    area = lab.output(cell).locator(HTML)
    area.first.wait_for()
    return area


@pytest.fixture
def service() -> Iterator[tuple[Any, str]]:
    """Serve both dialects on a free port: the simulator, and its URL."""
    app = create_app(SimulatorConfig(seconds=0.5))
    with serve_in_thread(app) as url:
        yield app.state.simulator, url


@pytest.mark.parametrize("generation", KERNELS)
def test_cancel_is_seen_at_once_and_acts_when_the_kernel_is_free(
    lab: Lab, service: tuple[Any, str], generation: str
) -> None:
    """A click shows while another cell computes, then cancels what still waits; what cannot has no button."""
    simulator, url = service
    env = {"WAN_PROVIDER": "dashscope", "WAN_BASE_URL": url, "DASHSCOPE_API_KEY": "sk-x", "WAN_API_KEY": "k"}
    cells = [
        SETUP,
        "%%wan --as fox --seed 5\na red fox [[seconds:600]]",
        "%%wan --provider gateway --seed 6\na red fox [[seconds:600]]",
        BUSY,
        "print(fox.status)",
    ]
    lab.write("cancel.ipynb", cells, kernel=add_kernel(lab, generation, "cancel", env))
    lab.open("cancel.ipynb")
    for cell in range(3):
        lab.run_cell(cell)
    lab.wait_text(1, "accepted")
    lab.wait_text(2, "job ")
    lab.page.wait_for_function(
        "([sel, i]) => /accepted|running/.test(document.querySelectorAll(sel)[i].textContent)",
        arg=[f"{PANEL} .jp-CodeCell", 2],
    )
    assert lab.output(2).locator(CANCEL).count() == 0, "the gateway cannot cancel"
    compute(lab, 3)

    lab.output(1).locator(CANCEL).click()
    assert "cancel requested" in lab.out_text(1)  # by the page alone: nothing has answered
    let_go(lab, 3)
    wait_lasting(lab, 1)
    lab.run_cell(4)

    assert "cancelled" in lab.out_text(1)
    assert "Nothing: a cancelled job is not billed." in lab.out_text(1)
    assert lab.out_text(4).strip() == "cancelled"
    assert simulator.requests[("POST", "cancel")] == 1
    assert simulator.tasks_created == 2


@pytest.mark.parametrize("generation", KERNELS)
def test_the_card_lives_while_a_cell_computes_and_a_save_keeps_only_what_lasts(lab: Lab, generation: str) -> None:
    """The card moves and turns into the gallery while the kernel is busy; no widget is saved; `job` shows itself."""
    cells = [SETUP, FOX.replace("0.5", "4"), BUSY, "fox", "import wan_notebook as wan\nwan.history()", "print(fox)"]
    lab.write("live.ipynb", cells, kernel=add_kernel(lab, generation, "live", {"WAN_PROVIDER": "simulator"}))
    lab.open("live.ipynb")
    lab.run_cell(0)
    lab.run_cell(1)
    compute(lab, 2)
    lab.wait_css(".wan-card")
    lab.wait_text(1, "running")
    assert lab.output(1).locator(CANCEL).count() == 0, "the simulator inside the kernel cannot cancel"
    wait_lasting(lab, 1)
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 1)
    let_go(lab, 2)
    for cell in (3, 4, 5):
        lab.run_cell(cell)
    lab.save()

    notebook, raw = lab.saved(), lab.saved_text()
    assert "widget" not in raw
    assert "model_id" not in raw
    fox, again, history = (notebook.cells[i].outputs for i in (1, 3, 4))
    for outputs in (fox, again, history):
        assert len(outputs) == 1
        assert len(json.dumps(outputs)) <= 400_000
    assert set(fox[0].data) == {"text/html", "text/plain", "image/jpeg"}
    assert fox[0].metadata.wan.jobs[0].state == "saved"
    assert "fox[0]" in again[0].data["text/html"]
    assert "red fox" in history[0].data["text/html"]
    assert notebook.cells[5].outputs[0].text.count("\n") == 1
    lab.reopen()
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 3)


def test_a_restarted_kernel_takes_the_job_up(lab: Lab) -> None:
    """After a restart in mid-run the old card says so, `%load_ext` what is open; `%wan show` brings the picture."""
    cells = [SETUP, "%%wan --as fox --seed 5\na red fox [[seconds:8]]", "%wan show", "%wan history"]
    lab.write("restart.ipynb", cells)
    lab.open("restart.ipynb")
    lab.run_cell(0)
    lab.run_cell(1)
    lab.wait_text(1, "running")
    lab.restart_kernel()
    lab.wait_text(1, "the line to the kernel ended: if it was restarted, %wan resume")
    lab.run_cell(0)

    assert "wan: 1 running" in lab.out_text(0)
    lab.run_cell(2)
    wait_lasting(lab, 2)
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 1)
    lab.run_cell(3)
    assert "1 job" in lab.out_text(3)


def test_a_notebook_that_applied_nest_asyncio_works(lab: Lab) -> None:
    """On ipykernel 6, Run All after the user's own `nest_asyncio.apply()`: every cell runs, `await` and `wait` work.

    On ipykernel 7 such a notebook may lose cells without any help of ours; nothing is promised there.
    """
    nest = "import asyncio, nest_asyncio\nnest_asyncio.apply()\nasyncio.run(asyncio.sleep(0.2))"
    cells = [
        nest,
        SETUP,
        FOX,
        "print(fox.result(60).status)",
        "asyncio.run(asyncio.sleep(0.2))",
        "%%wan --as owl --seed 6\nan owl [[seconds:0.5]]",
        "async def main():\n    return (await owl).status\nprint(asyncio.run(main()), len(owl.images))",
    ]
    kernel = add_kernel(lab, "ipykernel6", "nest", {"WAN_PROVIDER": "simulator"})
    lab.write("nest.ipynb", cells, kernel=kernel)
    lab.open("nest.ipynb")
    lab.run_all()

    assert [lab.prompt(i) for i in range(7)] == [f"[{i}]:" for i in range(1, 8)]
    assert lab.out_text(3).strip() == "saved"
    assert lab.out_text(6).strip() == "saved 1"
    for cell in (2, 5):
        wait_lasting(lab, cell)
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 2)
