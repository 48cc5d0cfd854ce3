"""`%%wan` in a real JupyterLab: the live card, the lasting gallery, what survives saving, reopening and restarting."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.acceptance.frozen import FIRST_EDITION, load
from tests.lab.harness import PANEL, Lab
from tests.lab.kernels import ensure_kernel6
from tests.lab.test_front_ends import assert_pictures
from wan_notebook.simulator import Simulator, SimulatorConfig, create_app, serve_in_thread

SETUP = "%load_ext wan_notebook"
FOX = "%%wan --as fox --seed 5\na red fox in snow [[seconds:0.5]]"
LONG = "%%wan --as fox --seed 5\na red fox in snow [[seconds:100]]"
BUSY = "import os\nopen('busy', 'w').close()\nwhile not os.path.exists('go'): pass\nprint('computed')"
CANCEL = ".wan-act:not([data-absent]) button"
FALLBACK = ".wan-card-static"
HTML = f".jp-OutputArea-output[data-mime-type='text/html']:not(:has({FALLBACK}))"
KERNELS = ["ipykernel7", "ipykernel6"]


@pytest.fixture
def ahead_s() -> list[float]:
    """Give what the service's clock is ahead by, in sum; a test that adds to it need not wait."""
    return []


@pytest.fixture
def service(ahead_s: list[float]) -> Iterator[tuple[Simulator, str]]:
    """Both services on a free port: the simulator, and its URL."""
    limits = {"queries_per_s": 0, "submits_per_s": 0, "in_flight": 0}
    app = create_app(SimulatorConfig(seconds=0.5, clock=lambda: time.time() + sum(ahead_s), **limits))
    with serve_in_thread(app) as url:
        yield app.state.simulator, url


def kernel(lab: Lab, generation: str = "ipykernel7", url: str = "", provider: str = "gateway") -> str:
    """Register a kernel of one generation, which asks a service at an address, if any."""
    python = ensure_kernel6() if generation == "ipykernel6" else Path(sys.executable)
    keys = {"WAN_PROVIDER": provider, "WAN_BASE_URL": url, "DASHSCOPE_API_KEY": "sk-x", "WAN_API_KEY": "k"}
    return lab.server.add_kernel(f"{generation}-{provider if url else ''}", python, keys if url else {})


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


@pytest.mark.parametrize("generation", KERNELS)
def test_the_card_lives_while_a_cell_computes_and_a_save_keeps_only_what_lasts(lab: Lab, generation: str) -> None:
    """The card moves and turns into the gallery while the kernel is busy; no widget is saved; `job` shows itself."""
    cells = [SETUP, FOX.replace("0.5", "4"), BUSY, "fox", "import wan_notebook as wan\nwan.history()", "print(fox)"]
    lab.write("live.ipynb", cells, kernel=kernel(lab, generation))
    lab.open("live.ipynb")
    lab.run_cell(0, 1)
    compute(lab, 2)
    lab.wait_css(".wan-card")
    lab.wait_text(1, "running")
    assert lab.output(1).locator(CANCEL).count() == 0, "the simulator inside the kernel cannot cancel"
    lab.wait_lasting(1)
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 1)
    let_go(lab, 2)
    lab.run_cell(3, 4, 5)
    lab.save()

    notebook, raw = lab.saved(), (lab.folder / "live.ipynb").read_text()
    assert "widget" not in raw
    assert "model_id" not in raw
    assert "wan-card-static" not in raw
    fox, again, history = ([o for o in notebook.cells[i].outputs if any(o.data.values())] for i in (1, 3, 4))
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


@pytest.mark.parametrize("generation", KERNELS)
def test_cancel_is_seen_at_once_and_acts_when_the_kernel_is_free(
    lab: Lab, service: tuple[Simulator, str], generation: str
) -> None:
    """A click shows while another cell computes, then cancels what still waits; what cannot has no button."""
    simulator, url = service
    cells = [
        SETUP,
        "%%wan --as fox --seed 5\na red fox [[seconds:600]]",
        "%%wan --provider gateway --seed 6\na red fox [[seconds:600]]",
        BUSY,
        "print(fox.status)",
    ]
    lab.write("cancel.ipynb", cells, kernel=kernel(lab, generation, url, "dashscope"))
    lab.open("cancel.ipynb")
    lab.run_cell(0, 1, 2)
    lab.wait_text(1, "accepted")
    lab.wait_text(2, "job ")
    lab.output(2).get_by_text(re.compile("accepted|running")).first.wait_for()
    assert lab.output(2).locator(CANCEL).count() == 0, "the gateway cannot cancel"
    compute(lab, 3)

    lab.output(1).locator(CANCEL).click()
    assert "cancel requested" in lab.out_text(1)  # by the page alone: nothing has answered
    let_go(lab, 3)
    lab.output(1).locator(HTML).first.wait_for()  # the lasting output, without a picture
    assert "jp-Cell" in lab.page.evaluate("document.activeElement.className"), "the keyboard goes on from there"
    lab.run_cell(4)

    assert "cancelled" in lab.out_text(1)
    assert lab.out_text(4).strip() == "cancelled"
    assert simulator.requests["cancel"] == 1
    assert simulator.tasks_created == 2


def test_restart_and_run_all_makes_no_request(lab: Lab, service: tuple[Simulator, str]) -> None:
    """A finished notebook, run again from the top, shows the same pictures and asks the service nothing."""
    simulator, url = service
    cells = [SETUP, FOX, "%%wan --as again\nan owl", "fox.result(); again.result(); print('done')"]
    lab.write("again.ipynb", cells, kernel=kernel(lab, url=url))
    lab.open("again.ipynb")
    lab.run_all()
    lab.wait_text(3, "done")
    assert simulator.tasks_created == 2
    requests = simulator.requests.total()
    lab.restart_kernel()
    lab.run_all()
    lab.wait_text(3, "done")

    assert simulator.requests.total() == requests
    assert "from store" in lab.out_text(1)
    assert "from store" in lab.out_text(2)


@pytest.mark.parametrize("made_by", ["lab", "nbclient"])
@pytest.mark.parametrize("run_by", ["lab", "nbclient"])
def test_a_notebook_of_the_first_edition_replays(
    lab: Lab, service: tuple[Simulator, str], made_by: str, run_by: str
) -> None:
    """Jobs without a seed, made with and without cell ids, are shown as the first edition showed them itself."""
    simulator, url = service
    name = f"made-by-{made_by}"
    shutil.copytree(FIRST_EDITION / "seedless" / name, lab.folder, dirs_exist_ok=True)
    cells = lab.read("seedless.ipynb")
    cells.metadata["kernelspec"]["name"] = kernel(lab, url=url)
    nbformat.write(cells, lab.folder / "seedless.ipynb")
    if run_by == "lab":
        lab.open("seedless.ipynb")
        lab.run_all()
        text = lab.out_text(8)
    else:
        command = [sys.executable, "-m", "nbconvert", "--execute", "--to=notebook", "--inplace", "seedless.ipynb"]
        subprocess.run(command, cwd=lab.folder, env=lab.server.env, check=True)
        text = lab.read("seedless.ipynb").cells[8].outputs[0].text
    wanted = load("seedless/shown.json")[name][f"run again by {run_by}"]
    shown = re.findall(r"\b[0-9a-f]{10}\b", text)

    assert len(shown) == len(wanted["shown"])
    assert [(new, old) for new, old in zip(shown, wanted["shown"], strict=True) if old not in (None, new)] == []
    assert simulator.tasks_created <= wanted["tasks"]


def test_a_restarted_kernel_takes_the_job_up(lab: Lab) -> None:
    """After a restart in mid-run the old card says so, `%load_ext` what is open; `%wan show` brings the picture."""
    lab.write("restart.ipynb", [SETUP, LONG.replace("100", "8"), "%wan show", "%wan history"])
    lab.open("restart.ipynb")
    lab.run_cell(0, 1)
    lab.wait_text(1, "running")
    lab.restart_kernel()
    lab.wait_text(1, "%wan resume")
    lab.run_cell(0)

    assert re.search("1 job (is )?running", lab.out_text(0))
    lab.run_cell(2)
    lab.wait_lasting(2)
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 1)
    lab.run_cell(3)
    assert "1 job" in lab.out_text(3)


def test_an_unsaved_notebook_is_not_packed(lab: Lab) -> None:
    """A bundle of a file without cells asks for saving first."""
    lab.write("unsaved.ipynb", ["", ""])
    lab.open("unsaved.ipynb")
    for index, text in enumerate((SETUP, "%wan bundle paper.zip")):
        lab.type_into(index, text)
        lab.run_cell(index)
    lab.wait_text(1, "Save the notebook")


def test_an_interrupt_ends_the_waiting_never_the_job(
    lab: Lab, service: tuple[Simulator, str], ahead_s: list[float]
) -> None:
    """Kernel → Interrupt comes through at once, in `job.images` and in `await job`, and says how to come back."""
    cells = [SETUP, LONG, "fox.images", "await fox", "fox.wait(); print(fox.status)"]
    lab.write("interrupt.ipynb", cells, kernel=kernel(lab, url=service[1]))
    lab.open("interrupt.ipynb")
    lab.run_cell(0, 1)
    for cell in (2, 3):
        lab.run_cell(cell, wait=False)
        lab.page.wait_for_timeout(300)
        lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        lab.wait_text(cell, "goes on")
        lab.wait_idle()  # what is sent before the interrupted cell has answered is dropped by the kernel
    ahead_s.append(100)
    lab.run_cell(4)

    assert "%wan wait" in lab.out_text(2)
    assert "(" not in lab.out_text(2)  # not "intent", a word of the program
    assert max(map(len, lab.out_text(2).splitlines())) <= 88  # a notebook breaks longer ones in the middle of a word
    assert "saved" in lab.out_text(4)


def test_a_card_after_a_reload_and_on_the_next_day(lab: Lab) -> None:
    """After a reload the lasting output cannot arrive: the card shows it; without its kernel a text tells the way."""
    lab.write("reload.ipynb", [SETUP, LONG.replace("100", "6"), "%wan show"])
    lab.open("reload.ipynb")
    lab.run_cell(0, 1)
    lab.wait_text(1, "running")
    lab.save()
    lab.reload()
    lab.output(1).locator(".wan-card img[alt]").wait_for()
    assert lab.output(1).locator(FALLBACK).is_hidden()
    link = lab.output(1).locator(".wan-card").get_by_role("link", name="full file")
    with lab.context.expect_page() as opened:
        link.click()
    assert opened.value.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 1280
    opened.value.close()
    lab.reopen()
    lab.output(1).locator(FALLBACK, has_text="%wan show").wait_for()
    assert "a red fox in snow" in lab.output(1).locator(f"{FALLBACK} pre").inner_text()
    lab.run_cell(0, 2)
    lab.wait_text(2, "saved")


def test_a_notebook_that_applied_nest_asyncio_works(lab: Lab) -> None:
    """On ipykernel 6, Run All after the user's own `nest_asyncio.apply()`: every cell runs, `await` and `wait` work.

    On ipykernel 7 such a notebook may lose cells without any help of ours; nothing is promised there.
    """
    cells = [
        "import asyncio, nest_asyncio\nnest_asyncio.apply()\nasyncio.run(asyncio.sleep(0.2))",
        SETUP,
        FOX,
        "print(fox.result(60).status)",
        "asyncio.run(asyncio.sleep(0.2))",
        "%%wan --as owl --seed 6\nan owl [[seconds:0.5]]",
        "async def main():\n    return (await owl).status\nprint(asyncio.run(main()), len(owl.images))",
    ]
    lab.write("nest.ipynb", cells, kernel=kernel(lab, "ipykernel6"))
    lab.open("nest.ipynb")
    lab.run_all()

    assert [lab.prompt(i) for i in range(7)] == [f"[{i}]:" for i in range(1, 8)]
    assert lab.out_text(3).strip() == "saved"
    assert lab.out_text(6).strip() == "saved 1"
    for cell in (2, 5):
        lab.wait_lasting(cell)
    assert_pictures(lab.page, f"{PANEL} .jp-OutputArea-output", 2)
