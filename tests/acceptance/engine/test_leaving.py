"""The end of a program: what it asked for is sent, what goes on is said, and what was never sent is called so."""

import re
import threading
import time
from pathlib import Path

import pytest

from tests.fakes.faults import Faults
from tests.kit import NO_LIMITS, WAIT_S, Rig, ask, ended, project_of, run_script, unlimited
from wan_notebook.__main__ import main
from wan_notebook.display import job_bundle
from wan_notebook.errors import JobNotSent, StoreError
from wan_notebook.simulator import create_app, serve_in_thread

SCRIPT = 'import wan_notebook as wan\nprint(wan.generate("a fox", seed=1).id, flush=True)'
STALLED = """
import time
import wan_notebook as wan
for seed in range(20):
    wan.generate("a fox", seed=seed)
print(time.time(), flush=True)
"""
SOON_S = 3.0  # two seconds at most until the first submit begins, then half a second, and a little more
SHELL = "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.instance()\n"


@pytest.mark.process
def test_a_script_that_ends_at_once_has_sent_its_request(tmp_path: Path) -> None:
    """No request is lost: it is sent, its id is on disk, one line says what goes on; in IPython none does."""
    app = create_app(unlimited())
    with serve_in_thread(app) as url:
        done = run_script(SCRIPT, url, WAN_HOME=str(tmp_path / "script"))
        assert done.returncode == 0
        (line,) = done.stderr.splitlines()
        assert all(words in line for words in ("1 job", done.stdout.strip(), "python -m wan_notebook fetch"))
        assert app.state.simulator.tasks_created == 1
        assert run_script(SHELL + SCRIPT, url, WAN_HOME=str(tmp_path / "shell")).stderr == ""
        assert app.state.simulator.tasks_created == 2
        waited = SCRIPT.replace(".id", ".result().id")
        assert run_script(waited, url, WAN_HOME=str(tmp_path / "waited")).stderr == ""


def test_what_was_never_sent_is_sent_by_the_same_call(
    made: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resuming and fetching leave it alone and say so; asking again is one job and one task, with the same id."""
    session = made.kernel()
    project_of(session).worker.start = lambda *_: None
    job_id = ask(session, "a hen", seed=3).id
    session.close()
    monkeypatch.setenv("WAN_API_KEY", "key-one")
    main(["fetch", str(made.folder)])
    said = capsys.readouterr().out
    assert re.search(rf"{job_id}.*not sent", said)
    assert "%wan" not in said  # the advice is for a command line
    session = made.kernel()
    (tracked,) = session.resume()
    tracked.settled().result(WAIT_S)
    with pytest.raises(JobNotSent, match="was not sent"):
        session.job(job_id).wait(1)
    assert tracked.status == "intent"
    data, _ = job_bundle(session.job(job_id), session)
    for shown in (data["text/plain"], data["text/html"]):
        assert "not sent" in shown
        assert "refused" not in shown
    assert made.service.tasks_created == 0
    again = ended(ask(session, "a hen", seed=3))
    assert (again.id, str(again.status), made.service.tasks_created) == (job_id, "saved", 1)


@pytest.mark.process
def test_a_service_that_does_not_answer_holds_no_exit_up(tmp_path: Path) -> None:
    """Once one request is under way, half a second for all; what was cut is told from what never left."""
    faults = Faults(create_app(unlimited()))
    faults.add("submit.stall_after:always")
    with faults.serve() as url:
        idle = run_script("import time, wan_notebook.api\nprint(time.time(), flush=True)", url, WAN_HOME=str(tmp_path))
        idle_s = time.time() - float(idle.stdout)
        done = run_script(STALLED, url, WAN_HOME=str(tmp_path / "stalled"), **NO_LIMITS)
        took_s = time.time() - float(done.stdout)
    assert took_s - idle_s < SOON_S
    counts = [int(count) for count in re.findall(r"(\d+) jobs? (?:being sent|not sent|in doubt)", done.stderr)]
    assert sum(counts) == 20, done.stderr


def test_a_closed_session_leaves_no_thread(made: Rig) -> None:
    """Opening and closing sessions all day collects no threads, and nothing that these would hold, also not later."""
    before = set(threading.enumerate())
    session = made.kernel()
    ended(ask(session))
    started = set(threading.enumerate()) - before
    session.close()
    for thread in started:
        thread.join(5)
    assert started
    assert not list(filter(threading.Thread.is_alive, started))
    with pytest.raises(StoreError, match="was closed"):
        session.project()
