"""What an earlier kernel left is taken up: by loading, by hand, from a command line; not where nothing may be asked."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit import NO_LIMITS, Kernel, Rig, ask, database_of, ended, rig, until
from wan_notebook.__main__ import main
from wan_notebook.session import default_session


def left_behind(made: Rig, count: int = 2, seed: int = 0) -> list[str]:
    """Leave jobs open that a killed kernel had sent, all of them finished at the service by now."""
    session = made.kernel()
    jobs = [ask(session, f"fox {number}", seed=number) for number in range(seed, seed + count)]
    until(lambda: all(job.rows[0].task_id for job in jobs))
    session.close()
    made.time.jump(3600)
    return [job.id for job in jobs]


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


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``python -m wan_notebook``: it must end with a code, and what it says is returned."""

    def run(*arguments: object, code: int = 0) -> str:
        assert main([str(argument) for argument in arguments]) == code
        said = capsys.readouterr()
        return said.out + said.err

    return run


def test_fetching_without_a_notebook(service: Rig, program: Callable[..., str]) -> None:
    """``fetch FOLDER`` saves what is open, names each file, and is done."""
    job_ids = left_behind(service)
    said = program("fetch", service.folder, "--timeout", 30)
    assert all(re.search(rf"{job_id}\s+saved", said) for job_id in job_ids)
    files = list(service.folder.glob("2*/*.png"))
    assert len(files) == 2
    assert all(path.name in said for path in files)
    assert "Nothing is open" in program("fetch", service.folder)


def test_fetching_what_cannot_be_had_ends(
    service: Rig, program: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in doubt, pictures that cannot be fetched, a key that Cron does not have: named, with a code.

    Attack: words that somebody wrote into the ledger would steer the terminal.
    """
    session = service.kernel()
    service.arm("submit.reset_after")
    doubtful = ended(ask(session, "in doubt", seed=1))
    session.close()
    (job_id,) = left_behind(service, 1)
    service.arm("download.endless:always")
    with closing(sqlite3.connect(service.folder / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE job_texts SET error_message = ?", ["evil\x1b]52;c;cm0=\x07\x9b2J\u202e"])
    said = program("fetch", service.folder, "--timeout", 30, code=1)
    assert re.search(rf"{doubtful.id}\s+in.doubt", said)
    assert re.search(rf"{job_id}\s+", said)
    said += program("resolve", doubtful.id, "--folder", service.folder, code=1)
    assert said.count("evil[U+001B]]52") == 2
    assert not set(said) & set("\x1b\x07\x9b\u202e")
    monkeypatch.delenv("WAN_API_KEY")
    said = program("fetch", service.folder, "--timeout", 0.1, code=1)
    assert "WAN_API_KEY" in said
    assert job_id in said


def test_fetching_from_anywhere(
    service: Rig, program: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Cron starts in the home folder: a project's folder will do, and without one every folder of this person."""
    monkeypatch.delenv("WAN_HOME")
    (tmp_path / "elsewhere").mkdir()
    for count, folder in ((1, [service.folder.parent]), (2, [])):
        left_behind(service, 1, seed=count)
        program("fetch", *folder, "--timeout", 30)
        assert len(list(service.folder.glob("2*/*.png"))) == count
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / "wan-pictures").exists()
    assert "ledger.db" in program("fetch", tmp_path / "elsewhere", code=1)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(("choice", "words"), [("again", "sent again"), ("abandon", "given up")])
def test_a_job_in_doubt_is_decided_without_a_notebook(
    service: Rig, program: Callable[..., str], choice: str, words: str
) -> None:
    """``fetch`` names the commands, ``resolve`` explains and carries out; the exit code asks for a person."""
    service.configure(seconds=0.0)
    session = service.kernel()
    service.arm("submit.reset_after")
    doubtful = ended(ask(session, "a hen", seed=1))
    session.close()
    place = ["--folder", service.folder]
    command = f"python -m wan_notebook resolve {doubtful.id} {choice}"
    assert f"{command} --folder" in program("fetch", service.folder, code=1)
    said = program("resolve", doubtful.id, *place, code=1)
    assert command in said
    assert "%wan" not in said
    assert words in program("resolve", doubtful.id[:6], choice, *place).lower()
    program("fetch", service.folder)
    assert "not in doubt" in program("resolve", doubtful.id, "again", *place, code=1)
