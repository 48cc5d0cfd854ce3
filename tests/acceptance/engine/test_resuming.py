"""What an earlier kernel left is taken up: by loading, by hand, from a command line; not where nothing may be asked."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import NO_LIMITS, Kernel, Rig, ask, database_of, ended, ids, rig, until
from wan_notebook.__main__ import main
from wan_notebook.session import default_session


def left_behind(made: Rig, count: int = 2) -> list[str]:
    """Leave jobs open that a killed kernel had sent, all of them finished at the service by now."""
    session = made.kernel()
    jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(count)]
    until(lambda: all(job.rows[0].task_id for job in jobs))
    session.close()
    made.time.jump(3600)
    return ids(jobs)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A service on a port, which the environment names."""
    with rig(tmp_path, seconds=400.0) as made:
        keys = {"WAN_HOME": str(made.folder), "WAN_PROVIDER": "gateway", "WAN_API_KEY": "key-one"}
        for name, value in {**keys, "WAN_BASE_URL": made.serve(), **NO_LIMITS}.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.mark.parametrize("replay", ["on", "only"])
def test_loading_says_what_is_open_and_takes_it_up(service: Rig, monkeypatch: pytest.MonkeyPatch, replay: str) -> None:
    """A new kernel tells in a line what is open, and fetches it; under WAN_REPLAY=only it asks for nothing."""
    job_ids = left_behind(service)
    requests = service.service.requests.total()
    if replay == "only":
        monkeypatch.setenv("WAN_REPLAY", replay)
    kernel = Kernel()
    assert "2 jobs" in str(kernel.run("%load_ext wan_notebook"))
    database = database_of(default_session())
    until(lambda: replay == "only" or all(database.get(job_id).status == "saved" for job_id in job_ids))
    kernel.close()
    assert service.service.tasks_created == 2
    assert (service.service.requests.total() == requests) == (replay == "only")


def test_loading_where_there_is_nothing_says_nothing(service: Rig) -> None:
    """No ledger: no word, no folder, no request."""
    kernel = Kernel()
    assert kernel.run("%load_ext wan_notebook") == []
    kernel.close()
    assert not service.folder.exists()


def test_fetching_without_a_notebook(service: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m wan_notebook fetch FOLDER`` saves what is open, names each file, and is done."""
    job_ids = left_behind(service)
    code = main(["fetch", str(service.folder), "--timeout", "30"])
    said = capsys.readouterr().out
    assert code == 0
    assert all(re.search(rf"{job_id}\s+saved", said) for job_id in job_ids)
    files = list(service.folder.glob("2*/*.png"))
    assert len(files) == 2
    assert all(path.name in said for path in files)
    assert main(["fetch", str(service.folder)]) == 0
    assert "Nothing is open" in capsys.readouterr().out


def test_fetching_what_cannot_be_had_ends(service: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """A job in doubt and one whose pictures cannot be fetched end the command at once, with a code that says so."""
    session = service.kernel()
    service.arm("submit.reset_after")
    doubtful = ended(ask(session, "in doubt", seed=1))
    session.close()
    (job_id,) = left_behind(service, 1)
    service.arm("download.endless:always")
    code = main(["fetch", str(service.folder), "--timeout", "30"])
    said = capsys.readouterr().out
    assert code == 1
    assert re.search(rf"{doubtful.id}\s+in.doubt", said)
    assert re.search(rf"{job_id}\s+", said)


def test_fetching_without_a_key_says_so(
    service: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron has another environment: what is missing there is named, and the code asks for a person."""
    (job_id,) = left_behind(service, 1)
    monkeypatch.delenv("WAN_API_KEY")
    code = main(["fetch", str(service.folder), "--timeout", "0.1"])
    said = capsys.readouterr()
    assert "WAN_API_KEY" in said.out + said.err
    assert job_id in said.out
    assert code == 1


def test_fetching_from_anywhere(service: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Cron starts in the home folder: a project's folder will do, and without one every folder of this person."""
    monkeypatch.delenv("WAN_HOME")
    job_ids = left_behind(service)
    assert main(["fetch", str(service.folder.parent), "--timeout", "30"]) == 0
    assert len(list(service.folder.glob("2*/*.png"))) == len(job_ids)
    session = service.kernel()
    later = ask(session, "later", seed=9)
    until(lambda: bool(later.rows[0].task_id))
    session.close()
    service.time.jump(3600)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["fetch", "--timeout", "30"]) == 0
    assert len(list(service.folder.glob("2*/*.png"))) == len(job_ids) + 1
    assert not (tmp_path / "elsewhere" / "wan-pictures").exists()


def test_fetching_names_a_folder_without_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds no ledger is an error, and nothing is made there."""
    assert main(["fetch", str(tmp_path)]) == 1
    assert "ledger.db" in capsys.readouterr().err
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("choice", ["again", "abandon"])
def test_a_job_in_doubt_is_decided_without_a_notebook(
    service: Rig, capsys: pytest.CaptureFixture[str], choice: str
) -> None:
    """``fetch`` names the commands, ``resolve`` explains and carries out; the exit code asks for a person."""
    service.configure(seconds=0.0)
    session = service.kernel()
    service.arm("submit.reset_after")
    doubtful = ended(ask(session, "a hen", seed=1))
    session.close()
    place = ["--folder", str(service.folder)]
    assert main(["fetch", str(service.folder)]) == 1
    assert f"python -m wan_notebook resolve {doubtful.id} {choice} --folder" in capsys.readouterr().out
    assert main(["resolve", doubtful.id, *place]) == 1
    said = capsys.readouterr().out
    assert f"python -m wan_notebook resolve {doubtful.id} {choice}" in said
    assert "%wan" not in said
    assert main(["resolve", doubtful.id[:6], choice, *place]) == 0
    said = capsys.readouterr().out
    assert ("sent again" if choice == "again" else "given up") in said.lower()
    assert main(["fetch", str(service.folder)]) == 0
    assert main(["resolve", doubtful.id, "again", *place]) == 1
    assert "not in doubt" in capsys.readouterr().err
