"""Machine A makes a notebook and its bundle; machine B, a clean folder without key or network, shows the same pictures.

Two processes with environments, home folders and project folders of their own. Each runs the notebook with nbconvert.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.environment import PREFIXES, ROOT, private_environment
from tests.lab.harness import notebook_of

CELLS = (
    "%load_ext wan_notebook",
    "%%wan --seed 5 --as fox\nA red fox asleep in fresh snow",
    "from PIL import Image\ncat = Image.open('data/chelsea.jpg')",
    "%%wan -i data/coffee.jpg -i cat -n 2 --seed 7 --as table\nThe cat from image 2 looks at the cup from image 1",
    "%%wan\nA seedless owl",
    "%%wan -n 3 --as herons\nThree herons, also without a seed",
    "%%wan --interleave --max-images 2 --seed 8\nHow to fold a boat",
    "for _ in range(2):\n    %wan make --size 1:1 a seedless heron in a loop",
    "%%wan -i herons[1] --seed 9\nThe second heron at night",
    "import wan_notebook as wan\nwan.compare(fox[0], herons[2])",
    "%wan verify",
    "%wan methods",
)
NO_NETWORK = """
import os, socket
def refuse(*args, **kwargs):
    with open(os.environ["NETWORK_LOG"], "a") as log:
        log.write(repr(args[1:]) + chr(10))
    raise RuntimeError("no network here")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
"""
PACK = "%load_ext wan_notebook\n%env JPY_SESSION_NAME=study.ipynb\n%wan bundle paper.zip"


class Machine:
    """A computer: a home, a project folder, and an environment; what a clean Python runs first may be given."""

    def __init__(self, folder: Path, customize: str = "", **env: str) -> None:
        self.home, self.project, self.log = folder / "home", folder / "project of mine", folder / "network.log"
        self.project.mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(customize)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIXES)}
        paths = os.pathsep.join([str(folder), str(ROOT)])
        self.env = {**kept, **private_environment(self.home), "PYTHONPATH": paths, "NETWORK_LOG": str(self.log), **env}

    def python(self, *arguments: str, code: int = 0) -> None:
        """Run Python in the project folder."""
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.env, cwd=self.project, capture_output=True, text=True, timeout=280)
        assert done.returncode == code, done.stdout + done.stderr[-3000:]

    def run(self, name: str, output: str) -> dict[str, Any]:
        """Run a notebook in a process of its own, and return it."""
        self.python("-m", "nbconvert", "--execute", "--to=notebook", f"--output={output}", name)
        return json.loads((self.project / output).read_text("utf-8"))  # type: ignore[no-any-return]


def named(document: dict[str, Any]) -> list[list[str]]:
    """Return the pictures' hashes that each output names, in order."""
    found = []
    for cell in document["cells"]:
        for output in cell.get("outputs", []):
            wan = output.get("metadata", {}).get("wan", {})
            hashes = [h for job in wan.get("jobs", []) for h in job["sha256"]] or wan.get("sha256", [])
            if hashes:
                found.append(hashes)
    return found


def pictures(folder: Path) -> dict[str, str]:
    """Return the hash of every picture of a store, without what was given as input."""
    store = folder / "wan-pictures"
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.glob("2*/*.png")
    }


@pytest.mark.notebook
@pytest.mark.timeout(600)
def test_another_machine_shows_the_same_pictures_for_nothing(tmp_path: Path) -> None:
    """Every picture byte-identical, $0.00, no request, no key, no network, another path; the proof travels along."""
    a = Machine(tmp_path / "a", WAN_PROVIDER="simulator", WAN_SIMULATOR_SECONDS="0")
    shutil.copytree(ROOT / "notebooks" / "data", a.project / "data")
    nbformat.write(notebook_of(list(CELLS)), a.project / "study.ipynb")
    made = a.run("study.ipynb", "study.ipynb")
    a.python("-m", "IPython", "-c", PACK)
    b = Machine(tmp_path / "b", NO_NETWORK)
    with zipfile.ZipFile(a.project / "paper.zip") as zipped:
        zipped.extractall(b.project)
    unzipped = pictures(b.project)
    ran = b.run("study.ipynb", "again.ipynb")
    assert len(named(made)) == 9
    assert named(ran) == named(made)
    assert pictures(a.project) == unzipped == pictures(b.project)
    assert len(unzipped) == 12
    assert not b.log.exists()
    b.python("-c", "import socket; socket.getaddrinfo('example.test', 443)", code=1)  # so it would have been noted
    assert b.log.exists()
    assert not list(b.home.rglob("simulator.db"))
    b.python("-m", "wan_notebook", "verify", "again.ipynb")
    paragraphs = [cell["outputs"][0]["data"]["text/markdown"] for cell in (made["cells"][-1], ran["cells"][-1])]
    taken_over = "10 requests were taken over from a bundle. "  # said, since what was imported was not asked for here
    assert "".join(paragraphs[1]).replace(taken_over, "", 1) == "".join(paragraphs[0])
    assert taken_over in "".join(paragraphs[1])
