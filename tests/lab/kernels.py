"""A second environment with ipykernel 6.31: `python -m tests.lab.kernels` or the first test makes it.

It lies on top of the environment that makes it: all but ipykernel comes from there, so that it is made in seconds.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.environment import ROOT

FOLDER = ROOT / ".venv-k6"
REQUIREMENT = "ipykernel==6.31.*"


def ensure_kernel6(folder: Path = FOLDER) -> Path:
    """Return the Python of an environment with ipykernel 6.31 and the project; make it if it is not there yet."""
    python, stamp = folder / "bin/python", folder / "made-from"
    wanted = f"{REQUIREMENT} on {sys.prefix} with {sys.version}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], check=True)
    (folder / ".gitignore").write_text("*\n")
    packages, ours = (sysconfig.get_path("purelib", vars=base) for base in ({"base": str(folder)}, None))
    # As a line of a .pth file this also reads the other environment's own, which leads to the project.
    (Path(packages) / "beneath.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--disable-pip-version-check", REQUIREMENT], check=True, stdin=subprocess.DEVNULL)
    stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    print(ensure_kernel6())
