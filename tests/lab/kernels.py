"""A second environment with ipykernel 6.31: `python -m tests.lab.kernels` or the first test makes it."""

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.environment import ROOT

FOLDER = ROOT / ".venv-k6"
REQUIREMENT = "ipykernel==6.31.*"


def ensure_kernel6(folder: Path = FOLDER) -> Path:
    """Return the Python of an environment with ipykernel 6.31 and the project; make it if it is not there yet."""
    python = folder / "bin/python"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + REQUIREMENT.encode()).hexdigest()
    stamp = folder / "made-from"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    (folder / ".gitignore").write_text("*\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, REQUIREMENT, "-e", str(ROOT)], check=True, stdin=subprocess.DEVNULL)
    stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    print(ensure_kernel6())
