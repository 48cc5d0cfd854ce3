"""A process that is forked after use (``multiprocessing`` on Linux): nothing hangs, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, os, sys
import wan_notebook as wan
from wan_notebook.errors import JobError, SettingsError

wan.generate("before", seed=1).result(20)
running = wan.generate("parent [[2s]]", seed=2)

def child(told):
    try:
        wan.generate("child", seed=3)
    except SettingsError as error:
        told.put("spawn" in error.hint)
    try:
        running.wait(20)
    except JobError as error:
        told.put("forked" in error.message)

context = multiprocessing.get_context("fork")
told = context.Queue()
process = context.Process(target=child, args=(told,))
process.start()
print(told.get(timeout=40), told.get(timeout=40), flush=True)
process.join()
if os.fork() == 0:
    sys.exit(0)  # with what the interpreter does at its end
os.wait()
print(running.result(20).status, wan.generate("after", seed=4).result(20).status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_is_told_so(tmp_path: Path) -> None:
    """The child has none of the threads: it neither asks nor waits, says why at once, and the parent goes on."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WAN_", "DASHSCOPE_"))}
    env |= {"WAN_HOME": str(tmp_path / "pictures"), "WAN_PROVIDER": "simulator", "WAN_SIMULATOR_SECONDS": "0"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=100)

    assert done.stdout.split() == ["True", "True", "saved", "saved"], done.stderr
    assert done.stderr == ""
