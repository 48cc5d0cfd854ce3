"""`scripts/ensure_browser.sh`: what it does where there is a browser, where it may install one, where it may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.environment import ROOT


class Machine:
    """A machine of a few programs: a user id, perhaps apt-get (which notes its calls), perhaps Chromium."""

    def __init__(self, folder: Path, *, user: int, apt: bool = True) -> None:
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.bin.mkdir()
        for name in ("bash", "dirname", "chmod"):
            (self.bin / name).symlink_to(shutil.which(name))
        # In place of `python -m tests.browser.chromium`, whose own search has its own tests.
        self.add("python", 'command -v chromium || { echo "none found" >&2; exit 1; }')
        self.add("id", f"echo {user}")
        if apt:
            install = f'*install*) echo > "{self.bin}/chromium"; chmod +x "{self.bin}/chromium";;'
            self.add("apt-get", f'echo "$DEBIAN_FRONTEND $*" >> "{self.calls}"; case "$*" in {install} esac')

    def add(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!{shutil.which('sh')}\n{script}\n")
        path.chmod(0o755)

    def run(self, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / "bash"), str(ROOT / "scripts/ensure_browser.sh")],
            env={"PATH": str(self.bin), "PYTHON": "python", **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def apt_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


def test_a_browser_that_is_there_is_used(tmp_path: Path) -> None:
    """Nothing is installed where a browser is found, root or not."""
    machine = Machine(tmp_path, user=0)
    machine.add("chromium", "")
    done = machine.run()
    assert (done.returncode, done.stdout) == (0, f"Browser: {machine.bin}/chromium\n")
    assert machine.apt_calls() == []


def test_root_on_debian_gets_one_without_questions(tmp_path: Path) -> None:
    """The lists are brought up to date first, and apt never asks."""
    machine = Machine(tmp_path, user=0)
    done = machine.run()
    assert done.returncode == 0, done.stderr
    update, install = machine.apt_calls()
    assert update.startswith("noninteractive update")
    assert install.startswith("noninteractive install -y")
    assert "--no-install-recommends chromium fonts-dejavu-core fonts-noto-cjk" in install


@pytest.mark.parametrize(("user", "apt", "says"), [(1000, True, "sudo apt-get install -y"), (0, False, "Install one")])
def test_others_are_told_what_to_run(tmp_path: Path, user: int, apt: bool, says: str) -> None:
    """Without root, or without apt, the command is printed and the check fails."""
    machine = Machine(tmp_path, user=user, apt=apt)
    done = machine.run()
    assert done.returncode == 1
    assert says in done.stderr
    assert machine.apt_calls() == []


def test_a_chosen_browser_is_not_replaced(tmp_path: Path) -> None:
    """A wrong `WAN_TEST_BROWSER` is an error, not a reason to install another."""
    machine = Machine(tmp_path, user=0)
    done = machine.run(WAN_TEST_BROWSER=os.devnull)
    assert done.returncode == 1
    assert machine.apt_calls() == []
