"""A job handle is one of many on the same record: it is copied, pickled, displayed, and outlives the extension."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import wan_notebook as wan
from tests.environment import ROOT
from tests.kit import WAIT_S, Kernel, ask, rig, run_script
from wan_notebook.errors import JobError, WanError
from wan_notebook.session import default_session

READ = """
import pickle, sys
found = pickle.loads(sys.stdin.buffer.read())
print(found["job"].status, found["job"].seeds, found["job"].images[0].size, found["picture"].file.name)
"""
FORK = """
import multiprocessing, os, sys
import wan_notebook as wan
from wan_notebook.errors import JobError, SettingsError

wan.generate("before", seed=1).result(20)
running = wan.generate("parent [[seconds:2]]", seed=2)

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


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """A kernel on the built-in simulator."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0.4")
    made = Kernel()
    yield made
    made.close()


def test_a_copy_is_the_same_job(tmp_path: Path) -> None:
    """Copying what holds a job, even one that runs, copies no lock, no ledger and no task."""
    with rig(tmp_path, seconds=200.0) as made:
        job = ask(made.kernel(), seed=1)
        assert copy.copy(job) is job
        assert copy.deepcopy({"jobs": [job]})["jobs"][0] is job
        assert job.result(WAIT_S).status == "saved"
        assert copy.deepcopy(job[0]) is job[0] or copy.deepcopy(job[0]) == job[0]


@pytest.mark.process
def test_a_pickled_job_is_opened_again_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pickle names the record: another process, whose own folder is another, has its status and its pictures.

    What is gone is named; no empty folder is made in its place.
    """
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    job = wan.generate("a fox", seed=[4, 5]).result(WAIT_S)
    data = pickle.dumps({"job": job, "picture": job[1]})
    default_session().close()
    env = {**os.environ, "WAN_HOME": str(tmp_path / "other"), "WAN_REPLAY": "only", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", READ], input=data, env=env, capture_output=True, timeout=100)
    assert done.stdout.decode().split() == ["saved", "(4,", "5)", "(1280,", "1280)", job[1].file.name], done.stderr
    assert not (tmp_path / "other").exists()
    (tmp_path / "wan-pictures").rename(tmp_path / "moved")
    with pytest.raises(WanError, match="wan-pictures"):
        pickle.loads(data)  # noqa: S301 - our own
    assert not (tmp_path / "wan-pictures").exists()


@pytest.mark.parametrize("command", ["%unload_ext wan_notebook", "%reload_ext wan_notebook"])
def test_a_running_job_outlives_the_extension(kernel: Kernel, command: str) -> None:
    """Unloading or reloading in mid-run: who holds the job gets its pictures, and the cell joins it unpaid."""
    kernel.run("%load_ext wan_notebook")
    kernel.run("%%wan --seed 5 --as fox --no-wait\na fox")
    kernel.run(command)
    assert kernel.names["fox"].result(WAIT_S).status == "saved"
    kernel.run("%reload_ext wan_notebook")
    kernel.run("%%wan --seed 5 --as again\na fox")
    assert kernel.names["again"].id == kernel.names["fox"].id


def test_nobody_waits_for_a_session_that_was_closed(tmp_path: Path) -> None:
    """A closed session follows nothing: waiting for its jobs ends, and says how to go on."""
    with rig(tmp_path, seconds=1e6) as made, ThreadPoolExecutor(1) as pool:
        session = made.kernel()
        job = ask(session, seed=1)
        waiting = pool.submit(job.wait, WAIT_S)
        session.close()
        with pytest.raises(JobError, match="closed"):
            waiting.result(2 * WAIT_S)
        with pytest.raises(JobError):
            job.result(WAIT_S)


def test_a_job_displays_itself_without_the_extension(kernel: Kernel) -> None:
    """After nothing but an import, a cell that ends in a job shows its picture, not only a line."""
    kernel.run("import wan_notebook as wan\njob = wan.generate('a fox', seed=5)")
    (shown,) = [output for output in kernel.run("job") if "text/html" in output]
    assert "data:image/webp" in shown["text/html"]
    assert "image/jpeg" in shown


@pytest.mark.process
def test_a_forked_process_is_told_so(tmp_path: Path) -> None:
    """The child has none of the threads: it neither asks nor waits, says why at once, and the parent goes on."""
    env = {"WAN_HOME": str(tmp_path / "pictures"), "WAN_PROVIDER": "simulator", "WAN_SIMULATOR_SECONDS": "0"}
    done = run_script(FORK, **env)
    assert done.stdout.split() == ["True", "True", "saved", "saved"], done.stderr
    assert done.stderr == ""
