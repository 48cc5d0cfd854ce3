"""Opening a ledger: its journal, its version, what a glance at it costs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.ledger_kit import NOON, WAY, an_input, create, draft, finish, move, opened, reported, saved_picture
from wan_notebook.errors import StoreError
from wan_notebook.ledger import HistoryQuery, Ledger, LedgerError, OpenSummary, peek_open, schema
from wan_notebook.ledger.connect import on_network_filesystem, prepare
from wan_notebook.states import JobState

V1 = Path(__file__).parent / "data" / "ledger_v1.sql"

MOUNTS = r"""
proc /proc proc rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /home/team nfs4 rw 0 0
//nas/share /mnt/with\040space cifs rw 0 0
/dev/vdb /home/team/local ext4 rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
/dev/vda / ext4 rw 0 0
broken line
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


def journal_of(path: Path) -> str:
    """Return the journal that the file uses."""
    connection = sqlite3.connect(path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    return str(mode)


@pytest.mark.parametrize(
    ("folder", "is_network"),
    [
        ("/home/me/work", False),
        ("/home/team/study", True),
        ("/home/team", True),
        ("/home/teamwork", False),
        ("/home/team/local/x", False),
        ("/mnt/with space/a", True),
        ("/mnt/ssh/a", True),
        ("//nas/share/a", True),
    ],
)
def test_network_filesystems_are_told_by_their_mount(folder: str, is_network: bool) -> None:
    """WAL damages a database that several machines write, so each path's own mount decides."""
    assert on_network_filesystem(Path(folder) / "ledger.db", MOUNTS) is is_network


def test_the_journal_follows_the_place(path: Path, tmp_path: Path) -> None:
    """A write-ahead log on a local disk; on a network a rollback journal, also for a file that had the other one."""
    with opened(path):
        assert journal_of(path) == "wal"
    network = f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs4 rw 0 0\n"
    with opened(path, mounts=network) as ledger:
        create(ledger)
        assert journal_of(path) == "delete"
    with opened(path, journal="rollback"):
        assert journal_of(path) == "delete"
    with opened(path, journal="wal"):
        assert journal_of(path) == "wal"


def test_a_rollback_journal_is_not_forced_on_an_open_wal(path: Path) -> None:
    """Two kernels with different journals would not see each other: the second one is told what to do."""
    with opened(path) as ledger:
        create(ledger)
        with pytest.raises(LedgerError) as caught, opened(path, journal="rollback"):
            pass
        assert caught.value.hint


def test_both_journals_make_every_commit_durable(path: Path) -> None:
    """A power cut loses nothing that was told: each commit is fsynced, whatever the journal."""
    for journal in ("wal", "rollback"):
        with opened(path, journal=journal) as ledger:
            create(ledger)
            assert ledger._writer._connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_two_kernels_may_create_the_same_ledger_at_once(path: Path) -> None:
    """The schema is made once, by whoever is first; nobody sees half of it."""
    errors = []

    def open_it() -> None:
        try:
            with opened(path) as ledger:
                create(ledger)
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with opened(path) as ledger:
        assert len(ledger.open_jobs()) == 6


def test_a_newer_ledger_is_refused_unchanged(path: Path) -> None:
    """A file of a later version is not half-read; the message says to upgrade."""
    with opened(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=7")
    connection.close()
    with pytest.raises(LedgerError, match=r"newer wan_notebook \(schema 7") as caught, opened(path):
        pass
    assert "pip install --upgrade" in caught.value.hint


def test_a_foreign_database_is_refused_unchanged(path: Path) -> None:
    """A file of another program, database or not, is named and left alone."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (x)")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="database of something else"), opened(path):
        pass
    path.write_bytes(b"These are my notes, and no database at all." * 100)
    with pytest.raises(LedgerError, match="no ledger"), opened(path):
        pass
    assert path.read_bytes().startswith(b"These are my notes")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file where the folder should be is an error with a hint, not a traceback of the system."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError) as caught, opened(tmp_path / "file" / "ledger.db"):
        pass
    assert caught.value.hint


def test_a_ledger_that_cannot_be_written_can_be_read(path: Path) -> None:
    """A bundle on a read-only medium shows its pictures; a write says that it cannot be, and where."""
    with opened(path) as ledger:
        job_id = finish(ledger)
        assert not ledger.is_read_only
    Path(f"{path}-wal").mkdir()  # where SQLite's log cannot be made, as on a medium that is read-only
    before = path.read_bytes()
    with opened(path) as ledger:
        assert ledger.is_read_only
        found = ledger.find_answer("wan1:sha256:asked", by="asked", simulated_ok=False)
        assert found is not None
        assert found.id == job_id
        with pytest.raises(StoreError, match="cannot be opened"):
            create(ledger)
    assert peek_open(path) == OpenSummary()
    assert path.read_bytes() == before


def test_an_old_ledger_that_cannot_be_written_shows_its_pictures_too(path: Path) -> None:
    """A project that was archived with an earlier version is read as if it had been brought up to date."""
    connection = sqlite3.connect(path)
    connection.executescript(V1.read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    Path(f"{path}-wal").mkdir()
    before = path.read_bytes()
    with opened(path) as ledger:
        assert ledger.is_read_only
        saved = ledger.history().rows[1]
        assert [picture.file for picture in saved.pictures] == ["2026-11-25/a-0.png", "2026-11-25/a-1.png"]
        assert [picture.recipe_sha256 for picture in saved.pictures] == ["", ""]
        assert str(ledger.spend().total) == "$0.061 reported"
        with pytest.raises(StoreError, match="cannot be opened"):
            create(ledger)
    assert path.read_bytes() == before


def test_a_ledger_of_version_1_opens_with_everything_in_it(path: Path) -> None:
    """A file as the first release wrote it is read, searched, added up and written by this one."""
    connection = sqlite3.connect(path)
    connection.executescript(V1.read_text(encoding="utf-8"))
    connection.close()
    with opened(path) as ledger:
        page = ledger.history()
        assert [row.prompt for row in page.rows] == ["an open job", "a fox in snow \x00 狐"]
        saved = page.rows[1]
        assert (saved.state, saved.seed, saved.tags) == (JobState.SAVED, 5, ("study",))
        assert str(saved.cost) == "$0.061"
        assert [picture.file for picture in saved.pictures] == ["2026-11-25/a-0.png", "2026-11-25/a-1.png"]
        assert [record.file for record in saved.inputs] == ["inputs/abc.png"]
        assert [event.state for event in ledger.events(saved.id)] == ["intent", *WAY]
        assert str(page.total) == "$0.061 reported"
        assert [row.id for row in ledger.history(HistoryQuery(words="狐")).rows] == [saved.id]
        assert move(ledger, page.rows[0].id, JobState.SENDING).state is JobState.SENDING


def write_v1(path: Path) -> None:
    """Write the fixture anew; run by hand if version 1 changes before it is released."""
    with opened(path, wall_clock=lambda: NOON) as ledger:
        changes = {"prompt": "a fox in snow \x00 狐", "tags": ("study",), "inputs": (an_input(),)}
        job_id = finish(ledger, pictures=0, cost=reported("0.061"), **changes)
        for idx in (0, 1):
            ledger.save_picture(job_id, saved_picture(idx, file=f"2026-11-25/a-{idx}.png")).result()
        ledger.create_jobs([draft(prompt="an open job", created_at=NOON + 60)])
    connection = sqlite3.connect(path)
    lines = [*connection.iterdump(), f"PRAGMA user_version={schema.SCHEMA_VERSION};"]
    V1.write_text("\n".join(lines) + "\n", encoding="utf-8")
    connection.close()


def test_a_migration_adds_and_loses_nothing(path: Path) -> None:
    """An older file gets what the steps add, one version after the other, and keeps every row."""
    with opened(path) as ledger:
        job_id = create(ledger)
    now = schema.SCHEMA_VERSION
    column = "ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'"
    prepare(path, migrations={now: [column], now + 1: ["CREATE TABLE moods (x TEXT)"]}, version=now + 2)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == now + 2
    assert connection.execute("SELECT id, mood FROM jobs").fetchall() == [(job_id, "calm")]
    connection.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    """A step that cannot be done leaves the file as it was, usable by the version that wrote it."""
    with opened(path) as ledger:
        job_id = create(ledger)
    now = schema.SCHEMA_VERSION
    with pytest.raises(LedgerError):
        prepare(path, migrations={now: ["CREATE TABLE moods (x TEXT)", "this is no SQL"]}, version=now + 1)
    with opened(path) as ledger:
        assert ledger.get(job_id).id == job_id
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'moods'").fetchone()[0] == 0
    connection.close()


def test_an_old_ledger_becomes_the_same_as_a_new_one(path: Path, tmp_path: Path) -> None:
    """A change of the schema without a new version and its step is noticed here."""
    new = tmp_path / "new.db"
    connection = sqlite3.connect(path)
    connection.executescript(V1.read_text(encoding="utf-8"))
    connection.close()
    made = []
    for file in (path, new):
        with opened(file):
            connection = sqlite3.connect(file)
            found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
            made.append({(*row[:3], " ".join((row[3] or "").split())) for row in found if row[1] != "sqlite_stat1"})
            connection.close()
    assert made[0] == made[1]


def test_every_version_has_its_step() -> None:
    """No version is left without the step that leads to it."""
    assert sorted(schema.MIGRATIONS) == list(range(1, schema.SCHEMA_VERSION))


# ------------------------------------------------------------------ a glance


def test_a_glance_counts_what_is_open(path: Path) -> None:
    """The line that a new kernel prints is made of these counts."""
    with opened(path) as ledger:
        for state in JobState:
            job_id = create(ledger, state=state)
            ledger.update(job_id, expires_at=NOON + len(state)).result(10)
        assert peek_open(path) == OpenSummary(
            unsent=1, sending=1, running=2, unfetched=1, in_doubt=1, earliest_expiry=NOON + len("intent")
        )


def test_a_glance_makes_nothing(path: Path) -> None:
    """Loading the extension in a folder without a ledger leaves the folder as it was."""
    assert not peek_open(path)
    assert not peek_open(path.parent / "nowhere" / "ledger.db")
    assert [entry.name for entry in path.parent.iterdir() if "ledger" in entry.name or entry.name == "nowhere"] == []


def test_a_glance_never_fails(path: Path) -> None:
    """A damaged or foreign file is reported, so that loading the extension goes on."""
    path.write_bytes(b"no database" * 1000)
    assert str(path) in peek_open(path).problem
    path.write_bytes(b"")
    assert "no such table" in peek_open(path).problem


def test_a_glance_at_a_closed_ledger_changes_no_byte(path: Path) -> None:
    """Reading leaves the file as it was."""
    with opened(path) as ledger:
        create(ledger)
    before = path.read_bytes()
    assert peek_open(path).unsent == 1
    assert path.read_bytes() == before


def test_a_glance_imports_nothing_heavy() -> None:
    """``%load_ext`` must not pay for SQLAlchemy."""
    code = "import sys, wan_notebook.ledger.peek; print('sqlalchemy' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=V1.parents[2])
    assert done.stdout.split() == ["False", "False"]


def test_the_package_gives_its_names_lazily() -> None:
    """Every public name can be had, and a wrong one is an error as usual."""
    from wan_notebook import ledger

    assert ledger.Ledger is Ledger
    assert all(getattr(ledger, name) is not None for name in ledger.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Banana'"):
        _ = ledger.Banana
