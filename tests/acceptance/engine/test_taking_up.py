"""What an earlier kernel left is taken up: by loading, by hand, from a command line; not where nothing may be asked."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tests.engine.conftest import House
from tests.engine.kit import Rig, ask, ended, rig, until
from wan_notebook.__main__ import main
from wan_notebook.greeting import summary_line
from wan_notebook.ledger import OpenSummary
from wan_notebook.schedule import ECONOMICAL, PROMPT
from wan_notebook.session import Session, default_session
from wan_notebook.store import Store


def left_behind(made: Rig, count: int = 2) -> list[str]:
    """Leave jobs open that a killed kernel had sent, all of them finished at the service by now."""
    session = made.kernel()
    jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(count)]
    until(lambda: all(job.lives[0].row.task_id for job in jobs))
    session.close()
    made.time.laptop_sleeps(3600)
    return [job.id for job in jobs]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service on a port, which the environment names."""
    with rig(tmp_path, seconds=400.0) as made:
        url = made.serve()
        for name, value in {
            "WAN_HOME": str(made.folder),
            "WAN_PROVIDER": "gateway",
            "WAN_API_KEY": "key-one",
            "WAN_BASE_URL": url,
        }.items():
            monkeypatch.setenv(name, value)
        yield made


class Shell:
    """A fresh shell, as after Kernel → Restart."""

    def __enter__(self) -> Shell:
        InteractiveShell.clear_instance()
        self.shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        return self

    def run(self, line: str) -> str:
        """Run a line and return what it prints."""
        with capture_output() as captured:
            result = self.shell.run_cell(line)
        assert result.success, result.error_in_exec
        return str(captured.stdout) + "".join(str(output.data.get("text/plain", "")) for output in captured.outputs)

    def __exit__(self, *_: object) -> None:
        self.shell.run_line_magic("unload_ext", "wan_notebook")
        default_session().close()
        InteractiveShell.clear_instance()


def all_saved(session: Session, ids: list[str]) -> bool:
    """Whether the ledger says so."""
    return all(session.need_home().ledger.get(job_id).state == "saved" for job_id in ids)


def test_loading_says_what_is_open_and_takes_it_up(service: Rig) -> None:
    """A new kernel tells in a line what is open, fetches it, and asks for nothing new."""
    ids = left_behind(service)
    with Shell() as shell:
        said = shell.run("%load_ext wan_notebook")
        assert "2 running" in said
        assert "gone in" in said
        until(lambda: all_saved(default_session(), ids))

    assert service.service.tasks_created == 2


def test_loading_where_nothing_may_be_asked(service: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under WAN_REPLAY=only what is open is told and left alone."""
    left_behind(service)
    monkeypatch.setenv("WAN_REPLAY", "only")
    requests = service.service.requests.total()
    with Shell() as shell:
        assert "2 running" in shell.run("%load_ext wan_notebook")
        assert default_session().providers.clients == ()

    assert service.service.requests.total() == requests


def test_the_line_calls_only_that_running_which_the_service_has() -> None:
    """What a killed kernel was sending may never have arrived: it is counted by itself."""
    summary = OpenSummary(sending=1, running=2, unfetched=1, earliest_expiry=11_400.0)

    said = "wan: 1 being sent, 2 running, 1 finished and not fetched, gone in 3 h 10 min."
    assert summary_line(summary, 0.0) == said


def test_loading_where_there_is_nothing_says_nothing(service: Rig) -> None:
    """No ledger: no word, no folder, no request."""
    with Shell() as shell:
        assert shell.run("%load_ext wan_notebook") == ""

    assert not service.folder.exists()


def test_resuming_by_hand(service: Rig) -> None:
    """%wan resume says what is open and takes it up; with nothing open it says that."""
    with Shell() as shell:
        shell.run("%load_ext wan_notebook")
        ids = left_behind(service)
        assert "2 running" in shell.run("%wan resume")
        until(lambda: all_saved(default_session(), ids))
        assert "Nothing is open" in shell.run("%wan resume")


def test_fetching_without_a_notebook(service: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m wan_notebook fetch FOLDER`` saves what is open, names each file, and is done."""
    ids = left_behind(service)
    code = main(["fetch", str(service.folder), "--timeout", "30"])
    said = capsys.readouterr().out

    assert code == 0
    assert all(f"{job_id}  saved  2" in said for job_id in ids)
    assert len(list(service.folder.glob("2*/*.png"))) == 2
    assert main(["fetch", str(service.folder)]) == 0
    assert "Nothing is open" in capsys.readouterr().out


def test_fetching_what_cannot_be_had_ends(service: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """A job in doubt and one whose pictures cannot be fetched end the command at once, with a code that says so."""
    session = service.kernel()
    service.arm("submit.reset_after")
    doubtful = ended(ask(session, "in doubt", seed=1))
    session.close()
    ids = left_behind(service, 1)
    service.arm("download.endless:always")
    code = main(["fetch", str(service.folder), "--timeout", "30"])
    said = capsys.readouterr().out

    assert code == 1
    assert f"{doubtful.id}  in_doubt" in said
    assert f"{ids[0]}  succeeded" in said
    assert "could not be fetched" in said


def test_fetching_without_a_key_says_so(
    service: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron has another environment: what is missing there is named, and the code asks for a person."""
    (job_id,) = left_behind(service, 1)
    monkeypatch.delenv("WAN_API_KEY")
    service.arm("poll.401:always")

    assert main(["fetch", str(service.folder), "--timeout", "0.1"]) == 1
    said = capsys.readouterr()
    assert "no key for gateway (looked in WAN_API_KEY" in said.err
    assert f"{job_id}  " in said.out


def test_fetching_from_anywhere(service: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Cron starts in the home folder: a project's folder will do, and without one every folder of this person."""
    monkeypatch.delenv("WAN_HOME")
    ids = left_behind(service)
    assert main(["fetch", str(service.folder.parent), "--timeout", "30"]) == 0
    assert len(list(service.folder.glob("2*/*.png"))) == len(ids)

    session = service.kernel()
    later = ask(session, "later", seed=9)
    until(lambda: bool(later.lives[0].row.task_id))
    session.close()
    service.time.laptop_sleeps(3600)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["fetch", "--timeout", "30"]) == 0
    assert len(list(service.folder.glob("2*/*.png"))) == len(ids) + 1
    assert not (tmp_path / "elsewhere" / "wan-pictures").exists()


def test_fetching_names_a_folder_without_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds no ledger is an error, and nothing is made there."""
    assert main(["fetch", str(tmp_path)]) == 1
    assert "holds no ledger.db" in capsys.readouterr().err


def test_a_pace_that_is_set_in_mid_run_holds_for_the_next_job(tmp_path: Path) -> None:
    """`%wan config polling=economical` and WAN_QUERIES_PER_S need no restart of the kernel."""
    with rig(tmp_path) as made:
        kernel = made.kernel()
        ended(ask(kernel, seed=1))
        (service,) = kernel.need_home().engine.services._known.values()
        poller = service.poller
        assert (poller._queue.setting, poller.pacer.rate_per_s(0.0)) == (PROMPT, math.inf)

        kernel.sources.session["polling"] = "economical"
        kernel.sources.env = {**kernel.sources.env, "WAN_QUERIES_PER_S": "10"}
        ended(ask(kernel, seed=2))
        assert poller._queue.setting == ECONOMICAL
        assert poller.pacer.rate_per_s(0.0) <= 10


def test_what_a_killed_kernel_was_fetching_does_not_stay(house: House) -> None:
    """Each may be many megabytes, and nobody else knows of them; what a living kernel fetches is left alone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    parts = [Store(house.folder, pid=pid).part_path("job", 0) for pid in (gone.pid, os.getppid())]
    parts[0].parent.mkdir(parents=True)
    for part in parts:
        part.write_bytes(b"half a picture")
    house.kernel().need_home()
    assert [part.exists() for part in parts] == [False, True]
