"""Machine A makes a notebook and its bundle; machine B, a clean folder without key or network, shows the same pictures.

Two processes with environments, home folders and project folders of their own. Each runs the notebook with nbclient.
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

import pytest

from tests.environment import ROOT, private_environment

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
RUN = """
import json, os, sys
import nbformat
from nbclient import NotebookClient

path, cells = sys.argv[1], json.loads(sys.argv[2])
if os.path.exists(path):
    document = nbformat.read(path, 4)
else:
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
NotebookClient(document, timeout=240, resources={"metadata": {"path": os.path.dirname(path)}}).execute()
nbformat.write(document, sys.argv[3])
"""
NO_NETWORK = """
import os, socket
def refuse(*args, **kwargs):
    with open(os.environ["NETWORK_LOG"], "a") as log:
        log.write(repr(args[1:]) + chr(10))
    raise RuntimeError("no network here")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
"""
COUNT = """
import hashlib, json, socket
import wan_notebook as wan
found = list(wan.history(limit=100))
try:
    socket.getaddrinfo("example.test", 443)
    blocked = False
except RuntimeError:
    blocked = True
digests = [hashlib.sha256(path.read_bytes()).hexdigest() for job in found for path in job.files]
print(json.dumps({"blocked": blocked, "seen": sorted(digests)}))
"""


class Machine:
    """A computer: a home, a project folder, and an environment."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.home, self.project = folder / "home", folder / "project of mine"
        self.home.mkdir(parents=True)
        self.project.mkdir()
        self.log = folder / "network.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WAN_", "DASHSCOPE_"))}
        paths = os.pathsep.join([str(folder / "site"), str(ROOT)])
        self.env = {**kept, **private_environment(self.home), "PYTHONPATH": paths, "NETWORK_LOG": str(self.log), **env}
        (folder / "site").mkdir()
        self.site = folder / "site" / "sitecustomize.py"

    def cut_the_network(self) -> None:
        """Let every connection and every look-up of a name fail, and be noted."""
        self.site.write_text(NO_NETWORK)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project folder."""
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=self.env, cwd=self.project, capture_output=True, text=True, check=False, timeout=280
        )

    def run(self, name: str, *cells: str, output: str = "") -> dict[str, Any]:
        """Run a notebook in a process of its own, write it, and return it."""
        target = self.project / (output or name)
        arguments = [str(self.project / name), json.dumps(cells), str(target)]
        done = self.python("-c", RUN, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(target.read_text("utf-8"))  # type: ignore[no-any-return]


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
    made = a.run("study.ipynb", *CELLS)
    a.run("pack.ipynb", "%load_ext wan_notebook", "%env JPY_SESSION_NAME=study.ipynb", "%wan bundle paper.zip")
    b = Machine(tmp_path / "b")
    b.cut_the_network()
    with zipfile.ZipFile(a.project / "paper.zip") as zipped:
        zipped.extractall(b.project)
    unzipped = pictures(b.project)
    ran = b.run("study.ipynb", output="again.ipynb")
    counted = b.run("count.ipynb", "%load_ext wan_notebook", COUNT)
    assert len(named(made)) == 9
    assert named(ran) == named(made)
    assert pictures(a.project) == unzipped == pictures(b.project)
    assert len(unzipped) == 12
    result = json.loads("".join(counted["cells"][1]["outputs"][0]["text"]))
    assert result["blocked"]
    assert result["seen"] == sorted(unzipped.values())
    assert b.log.read_text().splitlines() == ["(443,)"]  # the one attempt that was made to see that it fails
    assert not list(b.home.rglob("simulator.db"))
    verified = b.python("-m", "wan_notebook", "verify", "again.ipynb")
    assert verified.returncode == 0, verified.stdout
    paragraphs = [cell["outputs"][0]["data"]["text/markdown"] for cell in (made["cells"][-1], ran["cells"][-1])]
    taken_over = "10 requests were taken over from a bundle. "  # said, since what was imported was not asked for here
    assert "".join(paragraphs[1]).replace(taken_over, "", 1) == "".join(paragraphs[0])
    assert taken_over in "".join(paragraphs[1])
