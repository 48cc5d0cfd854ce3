"""`%%wan` in a real JupyterLab: the live card, the lasting gallery, what survives saving and reopening."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab.harness import Lab

SETUP = "%load_ext wan_notebook"
FOX = "%%wan --as fox --seed 5\na red fox in snow"


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
    lab.shot(Path("/tmp/wan-live.png"))
    lab.wait_css("img[alt]")
    busy = lab.prompt(2)
    lab.wait_text(1, "saved")
    lab.wait_done()
    lab.shot(Path("/tmp/wan-done.png"))

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
