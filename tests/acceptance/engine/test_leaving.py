"""The end of a program: what it ordered is sent, what goes on is said, and what was never sent is called so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import small_png
from tests.engine.kit import Rig, ask, ended, rig
from tests.environment import ROOT
from wan_notebook.__main__ import main
from wan_notebook.jobs.outcome import error_of
from wan_notebook.jobs.submit import AT_ONCE
from wan_notebook.ledger import HistoryQuery
from wan_notebook.present import Presenter, Tables
from wan_notebook.session.leaving import goodbye
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.server import serve_in_thread
from wan_notebook.states import JobState
from wan_notebook.views.gallery import bundle
from wan_notebook.views.terminal import card_text
from wan_notebook.views.terminal_tables import history_text

SCRIPT = 'import wan_notebook as wan\nprint(wan.generate("a fox", seed=1).id, flush=True)'
STALLED = """
import time
import wan_notebook as wan
for seed in range(20):
    wan.generate("a fox", seed=seed)
print(time.time(), flush=True)
"""
SOON_S = 0.6  # half a second, and a little for a busy machine
SHELL = "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.instance()\n"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """Return a folder and a service."""
    with rig(tmp_path) as found:
        yield found


def run(script: str, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run a script that ends at once after it ordered."""
    env = {**os.environ, "WAN_PROVIDER": "gateway", "WAN_API_KEY": "k", "WAN_BASE_URL": url, "WAN_HOME": str(folder)}
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_script_that_ends_after_its_order_has_sent_it(tmp_path: Path) -> None:
    """No order is lost in silence: it is sent, its id is on disk, one line says what goes on; in IPython none does."""
    app = create_app(SimulatorConfig(seconds=0.0, queries_per_s=0, fixed_picture=small_png()))
    with serve_in_thread(app) as url:
        folder = tmp_path / "script"
        done = run(SCRIPT, folder, url)
        job_id = done.stdout.strip()
        assert done.returncode == 0
        (line,) = done.stderr.splitlines()
        assert re.match(
            rf"wan_notebook: 1 job goes on at the service \({job_id}\); `python -m wan_notebook fetch`", line
        )
        assert "job.result()" in line
        assert app.state.simulator.tasks_created == 1

        assert run(SHELL + SCRIPT, tmp_path / "shell", url).stderr == ""
        assert app.state.simulator.tasks_created == 2
        waited = SCRIPT.replace(".id", ".result().id")
        assert run(waited, tmp_path / "waited", url).stderr == ""


def unsent(made: Rig) -> str:
    """Leave a job that was written down and not sent; return its id."""
    session = made.kernel()
    engine = session.need_home().engine
    engine.start = lambda _lives: None  # type: ignore[method-assign]
    job_id = ask(session, "a hen", seed=3).id
    session.close()
    return job_id


def test_what_was_never_sent_is_called_so_everywhere(made: Rig) -> None:
    """Nobody refused it: fetch, card, error and history say that the program ended first; asking again is one job."""
    job_id = unsent(made)
    session = made.kernel()
    session.resume()[0].settled().result(30)
    job = session.job(job_id)
    presenter = Presenter(session, session.need_home())
    text = card_text(presenter.card(job))
    error = str(error_of(job.rows[0]))
    html = bundle(presenter.card(job))[0]["text/html"]
    history = history_text(Tables(session, session.need_home(), base=made.folder).history(HistoryQuery()))

    for shown in (text, html, error, history):
        assert "never sent" in shown
        assert "refused" not in shown
        assert "accept" not in shown
    for shown in (text, html, error):
        assert "the program ended first; nothing was paid" in shown
    again = ended(ask(session, "a hen", seed=3))
    assert (again.status, made.service.tasks_created) == ("saved", 1)


def test_fetch_says_in_words_what_a_job_is(made: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """What was never sent needs no person; the advice is for a command line."""
    job_id = unsent(made)
    made.kernel().close()
    assert main(["fetch", str(made.folder)]) == 0
    said = capsys.readouterr().out
    assert f"{job_id}  never sent: the program ended first; nothing was paid." in said
    assert "%wan" not in said


@pytest.mark.parametrize("choice", ["again", "abandon"])
def test_a_job_in_doubt_is_decided_without_a_notebook(
    made: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    """``fetch`` names the commands, ``resolve`` explains and carries out; the exit code asks for a person."""
    url = made.serve()
    for name, value in (("PROVIDER", "gateway"), ("API_KEY", "k"), ("BASE_URL", url)):
        monkeypatch.setenv(f"WAN_{name}", value)
    session = made.kernel()
    made.arm("submit.reset_after")
    doubtful = ended(ask(session, "a hen", seed=1))
    session.close()
    place = ["--folder", str(made.folder)]

    assert main(["fetch", str(made.folder)]) == 1
    said = capsys.readouterr().out
    assert f"python -m wan_notebook resolve {doubtful.id} {choice} --folder" in said
    assert main(["resolve", doubtful.id, *place]) == 1
    said = capsys.readouterr().out
    assert f"python -m wan_notebook resolve {doubtful.id} {choice}" in said
    assert "%wan" not in said
    assert main(["resolve", doubtful.id[:6], choice, *place]) == 0
    said = capsys.readouterr().out
    assert ("sent again" in said and "  saved  " in said) if choice == "again" else "given up" in said
    assert main(["fetch", str(made.folder)]) == 0
    assert main(["resolve", doubtful.id, "again", *place]) == 1
    assert "not in doubt" in capsys.readouterr().err


def test_the_last_line_counts_what_it_names() -> None:
    """Sent, being sent, never sent (nobody was reached): each is told apart, with its ids."""
    rows = {"a1": "running", "b2": "running", "c3": "intent", "d4": "sending", "e5": "saved", "f6": "sending"}
    lives = [_Live(job_id, JobState(state)) for job_id, state in rows.items()]
    full = _Live("a7", JobState.SENDING, unwritten_task="t-7")  # the disk took no id
    line = goodbye([*lives, full], {"d4", "a7"})  # type: ignore[arg-type]
    assert "2 jobs go on at the service (a1, b2); `python -m wan_notebook fetch` collects them" in line
    assert "2 jobs were never sent (c3, f6)" in line
    assert "1 job was being sent (d4)" in line
    assert "`python -m wan_notebook resolve a7 adopt t-7`" in line
    assert goodbye(lives[-2:-1]) == ""  # type: ignore[arg-type]


class _Live:
    def __init__(self, job_id: str, state: JobState, *, unwritten_task: str = "") -> None:
        self.id, self.state, self.unwritten_task = job_id, state, unwritten_task
        self.is_settled = state is JobState.SAVED


def test_a_service_that_does_not_answer_holds_no_exit_up(tmp_path: Path) -> None:
    """Half a second in all, however many orders wait; what was cut is told from what never left."""
    config = SimulatorConfig(seconds=0.0, queries_per_s=0, faults=("submit.stall_after:always",))
    with serve_in_thread(create_app(config)) as url:
        idle = run("import time, wan_notebook.api\nprint(time.time(), flush=True)", tmp_path / "idle", url)
        idle_s = time.time() - float(idle.stdout)
        done = run(STALLED, tmp_path / "stalled", url)
        took_s = time.time() - float(done.stdout)

    assert took_s - idle_s < SOON_S
    assert f"{AT_ONCE} jobs were being sent" in done.stderr
    assert f"{20 - AT_ONCE} jobs were never sent" in done.stderr


def test_a_closed_session_leaves_no_thread_at_the_disk(made: Rig) -> None:
    """Whoever opens and closes sessions all day collects no threads, and what these hold."""
    before = set(threading.enumerate())
    session = made.kernel()
    ended(ask(session))
    at_the_disk = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("wan-disk")]
    session.close()
    for thread in at_the_disk:
        thread.join(5)
    assert at_the_disk
    assert not [thread.name for thread in at_the_disk if thread.is_alive()]
