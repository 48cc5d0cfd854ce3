"""`%%wan` in a real JupyterLab: the live card, the lasting gallery, what survives saving and reopening."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab.harness import Lab

SETUP = "%load_ext wan_notebook"
FOX = "%%wan --as fox --seed 5\na red fox in snow"
LONG = "%%wan --as fox --seed 5\na red fox in snow [[seconds:15]]"  # the simulator takes the words literally


@pytest.fixture
def slow(lab: Lab) -> str:
    """A kernel whose simulated pictures take six seconds: long enough to look at the card."""
    lab.server.add_kernel("slow", Path(sys.executable), {"WAN_PROVIDER": "simulator", "WAN_SIMULATOR_SECONDS": "6"})
    return "slow"


@pytest.fixture
def quick(lab: Lab) -> str:
    """A kernel whose simulated pictures take half a second."""
    lab.server.add_kernel("quick", Path(sys.executable), {"WAN_PROVIDER": "simulator", "WAN_SIMULATOR_SECONDS": "0.5"})
    return "quick"


def test_the_card_is_live_while_another_cell_computes_then_the_gallery_takes_its_place(lab: Lab, slow: str) -> None:
    """The cell returns at once, its card moves while another cell computes, and lasting HTML replaces it."""
    lab.write("live.ipynb", [SETUP, FOX, "import time; time.sleep(9); print('computed')"], kernel=slow)
    lab.open("live.ipynb")
    lab.run_all(wait=False)
    lab.wait_text(1, "running")
    lab.wait_css("img[alt]")
    busy = lab.prompt(2)
    lab.wait_lasting(1)
    lab.wait_done()

    assert "*" in busy
    lab.save()
    outputs = lab.saved()["cells"][1]["outputs"]
    assert [sorted(o["data"]) for o in outputs] == [["image/jpeg", "text/html", "text/plain"]]
    assert outputs[0]["metadata"]["wan"]["jobs"][0]["state"] == "saved"
    lab.reopen()
    lab.wait_css("img[alt]")
    assert "saved" in lab.out_text(1)


def test_restart_and_run_all_makes_no_request(lab: Lab, quick: str) -> None:
    """A finished notebook, run again from the top, shows the same pictures and asks the service nothing."""
    count = (
        "import wan_notebook.session as s\n"
        "print({k: v for c in s.default_session().providers.clients for k, v in c.requests_sent.items()})"
    )
    cells = [SETUP, FOX, "%%wan --as again\nan owl", "fox.result(); again.result(); print('done')", count]
    lab.write("again.ipynb", cells, kernel=quick)
    lab.open("again.ipynb")
    lab.run_all()
    lab.wait_text(3, "done")
    first = json.loads(lab.out_text(4).replace("'", '"'))
    lab.restart_kernel()
    lab.run_all()
    lab.wait_text(3, "done")

    assert first["submit"] == 2
    assert lab.out_text(4).strip() == "{}"
    assert "from store" in lab.out_text(1)
    assert "from store" in lab.out_text(2)


def test_a_picture_by_its_name_is_shown_and_an_unsaved_notebook_not_packed(lab: Lab, quick: str) -> None:
    """`fox[0]` shows its picture, saved like any other; a bundle of a file without cells asks for saving first."""
    lab.write("unsaved.ipynb", ["", "", "", ""], kernel=quick)
    lab.open("unsaved.ipynb")
    for index, text in enumerate((SETUP, FOX, "fox[0]", "%wan bundle paper.zip")):
        lab.type_into(index, text)
        lab.run_cell(index)
        if index == 1:
            lab.wait_lasting(1)
    lab.wait_text(2, "fox[0]")
    lab.wait_text(3, "Save the notebook")
    lab.save()

    output = lab.saved()["cells"][2]["outputs"][0]
    assert sorted(output["data"]) == ["image/jpeg", "text/html", "text/plain"]
    assert output["data"]["text/html"].count("<img") == 1


def test_an_interrupt_ends_the_waiting_never_the_job(lab: Lab, slow: str) -> None:
    """Kernel → Interrupt comes through at once, in `job.images` and in `await job`, and says how to come back."""
    cells = [SETUP, LONG, "fox.images", "await fox", "fox.wait(); print(fox.status)"]
    lab.write("interrupt.ipynb", cells, kernel=slow)
    lab.open("interrupt.ipynb")
    lab.run_cell(0)
    lab.run_cell(1)
    for cell in (2, 3):
        lab.run_cell(cell, wait=False)
        lab.page.wait_for_timeout(300)
        lab.interrupt()
        lab.wait_text(cell, "goes on")
    lab.run_cell(4)

    assert "%wan wait" in lab.out_text(2)
    assert "saved" in lab.out_text(4)


def test_a_reload_in_mid_run_shows_the_result_in_the_widget(lab: Lab, slow: str) -> None:
    """After a reload the lasting output cannot arrive; the card shows the picture and how to make it lasting."""
    lab.write("reload.ipynb", [SETUP, LONG, "%wan show fox"], kernel=slow)
    lab.open("reload.ipynb")
    lab.run_cell(0)
    lab.run_cell(1)
    lab.wait_text(1, "running")
    lab.save()
    lab.reload()
    lab.wait_text(1, "%wan show")
    lab.run_cell(2)
    lab.wait_text(2, "saved")


def test_run_all_with_five_cells(lab: Lab, quick: str) -> None:
    """Five cells, edits of earlier results among them, all come back with their pictures."""
    cells = [
        SETUP,
        FOX,
        "%%wan -i fox --as night --seed 6\nat night",
        "%%wan -n 2 --seed 7 --as owls\nan owl",
        "%%wan -i owls[1] --seed 8\nan owl in a hat",
        "%%wan --interleave --max-images 2 --seed 9\ntwo steps",
        "[j.wait() for j in (fox, night, owls)]; print('all there')",
    ]
    lab.write("five.ipynb", cells, kernel=quick)
    lab.open("five.ipynb")
    lab.run_all()
    for cell in range(1, 6):
        lab.wait_text(cell, "saved")

    lab.theme("dark")
    assert "all there" in lab.out_text(6)


def test_an_old_kernel_shows_the_same(lab: Lab, kernel6: str) -> None:
    """Ipykernel 6.31: the card is live, then the gallery takes its place."""
    lab.write("old.ipynb", [SETUP, FOX], kernel=kernel6)
    lab.open("old.ipynb")
    lab.run_cell(0)
    lab.run_cell(1)
    lab.wait_lasting(1)
    lab.save()

    assert "text/html" in lab.saved()["cells"][1]["outputs"][0]["data"]


def test_notebook_7_shows_the_same(notebook7: Lab) -> None:
    """The card and the gallery in Jupyter Notebook 7."""
    notebook7.write("seven.ipynb", [SETUP, FOX])
    notebook7.open("seven.ipynb")
    notebook7.run_cell(0)
    notebook7.run_cell(1)
    notebook7.wait_text(1, "saved")
    notebook7.wait_css("img[alt]")
