"""Opening a ledger: its journal and version, what is refused, what a glance costs, and disks that break."""

import os
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.attacks import LIFTS_BUDGETS
from tests.unit.database.kit import NOON, PATH, at_once, create, finish, given, ledger, move, new, owner, reported, sql
from wan_notebook.database import (
    Database,
    DatabaseUnavailable,
    HistoryQuery,
    OpenSummary,
    Status,
    count_open,
    on_network_filesystem,
)
from wan_notebook.errors import StoreError
from wan_notebook.export import records_of

ROOT = Path(__file__).resolve().parents[3]
V1 = ROOT / "tests" / "data" / "ledger_v1.sql"
V2 = ROOT / "tests" / "data" / "first_edition" / "project" / "wan-pictures" / "ledger.db"

MOUNTS = r"""
proc /proc proc rw 0 0
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


def tables(folder: Path) -> dict[str, set[str]]:
    """Return the columns of every table, and the names of the indexes."""
    names = sql(folder, "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    return {name: {row[1] for row in sql(folder, f"PRAGMA table_info({name})")} for (name,) in names}


# ------------------------------------------------------------------ journals and versions


def test_network_filesystems_are_told_by_their_mount() -> None:
    """A write-ahead log damages a database that several machines write, so each path's own mount decides."""
    network = ["/home/team/study", "/home/team", "/mnt/with space/a", "/mnt/ssh/a", "//nas/share/a"]
    local = ["/home/me/work", "/home/teamwork", "/home/team/local/x"]
    found = [on_network_filesystem(Path(folder) / "ledger.db", MOUNTS) for folder in network + local]
    assert found == [True] * 5 + [False] * 3


def test_the_journal_follows_the_place(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write-ahead log on a local disk, a rollback journal on a network filesystem."""
    for is_network, mode in ((False, "wal"), (True, "delete"), (False, "wal")):
        monkeypatch.setattr("wan_notebook.database.engine.on_network_filesystem", lambda _, found=is_network: found)
        with ledger(tmp_path) as database:
            create(database)
            assert sql(tmp_path, "PRAGMA journal_mode") == [(mode,)]


def test_the_first_ledger_opens_with_everything_in_it(tmp_path: Path, path: Path) -> None:
    """What schema 1 wrote is read, searched and written by this edition, and becomes schema 3."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(V1.read_text(encoding="utf-8"))
    before = dict(sql(tmp_path, "SELECT id, state FROM jobs"))
    with ledger(tmp_path) as database:
        page = database.history(HistoryQuery(limit=1000, include_trashed=True))
        assert {row.id: row.status for row in page.rows} == before
        assert [row.damage for row in page.rows if row.damage] == []
        assert page.rows[1].prompt == "a fox in snow \x00 狐"  # stored escaped
        assert database.history(HistoryQuery(words="狐")).rows[0].id == page.rows[1].id
        assert move(database, page.rows[0].id, Status.SENDING).status is Status.SENDING
    assert sql(tmp_path, "PRAGMA user_version") == [(3,)]
    ledger(tmp_path / "new").close()
    assert tables(tmp_path) == tables(tmp_path / "new")


def test_two_kernels_may_create_the_same_ledger_at_once(tmp_path: Path) -> None:
    """The schema is made once, by whichever is first; nobody sees half of it."""

    def open_it(_: int) -> str:
        with ledger(tmp_path) as database:
            return create(database)

    ids = at_once(open_it, 6)
    with ledger(tmp_path) as database:
        assert {row.id for row in database.open_jobs()} == set(ids)


# ------------------------------------------------------------------ what is refused


REFUSED = {
    "PRAGMA user_version=7": r"newer wan_notebook \(schema 7",
    LIFTS_BUDGETS: "trigger",
    "CREATE VIEW v AS SELECT 1": "view",
    "CREATE UNIQUE INDEX i ON jobs (state)": "index",
    "INSERT INTO pictures (job_seq, idx, saved_at) VALUES (99, 0, 1.0)": "pictures of no job",
    "ALTER TABLE jobs ADD x INT NOT NULL ON CONFLICT REPLACE DEFAULT 1": "table",
    "ALTER TABLE jobs DROP missing; ALTER TABLE jobs ADD missing TEXT DEFAULT '' NOT NULL": "table",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_a_ledger_that_is_not_as_we_make_it_is_refused_unchanged(tmp_path: Path, path: Path, statement: str) -> None:
    """A newer file is not half-read, and nothing in a file may act by itself: a trigger could lift every budget."""
    ledger(tmp_path).close()
    sql(tmp_path, *statement.split("; ALTER", 1)[:1], *("ALTER" + more for more in statement.split("; ALTER")[1:]))
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=REFUSED[statement]) as caught:
            ledger(tmp_path, read_only=read_only)
        assert caught.value.hint
    assert path.read_bytes() == before


def test_opening_a_ledger_deletes_no_other_file(tmp_path: Path, path: Path) -> None:
    """SQLite deletes the "super-journal" that a hot journal names, wherever it is: a planted one is refused."""
    ledger(tmp_path).close()
    victim = tmp_path / "thesis.tex"
    victim.write_text("precious")
    name, magic = str(victim).encode(), bytes.fromhex("d9d505f920a163d7")
    pages, page_bytes = path.stat().st_size // 4096, 4096
    head = (magic + struct.pack(">5I", 0, 0, pages, 512, page_bytes)).ljust(512, b"\0")
    tail = struct.pack(">I", 2**30 // page_bytes + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    path.with_name("ledger.db-journal").write_bytes(head + tail)
    with pytest.raises(StoreError, match="would delete"):
        ledger(tmp_path)
    assert victim.read_text() == "precious"


def test_a_file_of_another_program_is_refused_unchanged(tmp_path: Path, path: Path) -> None:
    """A foreign database, a file that is none at all, and a folder that cannot be made are named and left alone."""
    sql(tmp_path, "CREATE TABLE recipes (x)")
    with pytest.raises(StoreError, match="database of another program"):
        ledger(tmp_path)
    path.write_bytes(b"These are my notes, not a database at all." * 100)
    with pytest.raises(StoreError, match="not a ledger"):
        ledger(tmp_path)
    assert path.read_bytes().startswith(b"These are my notes")
    with pytest.raises(DatabaseUnavailable) as caught:
        ledger(path)
    assert caught.value.hint


@pytest.mark.parametrize("address", ["://", "http://[::1/secret", "sqlite:secret@://x"])
def test_an_address_that_is_none_is_said_without_it(address: str) -> None:
    """It may hold a password, so the error names the variable only."""
    with pytest.raises(StoreError, match="WAN_LEDGER") as caught:
        Database.open(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db-journal"])
def test_links_and_pipes_are_not_opened(tmp_path: Path, path: Path, name: str) -> None:
    """A planted link must not make us write somewhere else, nor a pipe make everybody wait."""
    target = tmp_path / "elsewhere.db"
    target.write_bytes(b"")
    (tmp_path / name).symlink_to(target)
    with pytest.raises(StoreError, match="is a link"):
        ledger(tmp_path)
    assert target.read_bytes() == b""
    (tmp_path / name).unlink()
    ledger(tmp_path).close()
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match="pipe"):
        ledger(tmp_path, read_only=True)
    assert not count_open(path)


def test_a_ledger_is_private_and_a_public_one_is_told(tmp_path: Path, path: Path) -> None:
    """Prompts are nobody else's business; a file that everybody may change is reported with what to run."""
    with ledger(tmp_path) as database:
        assert path.stat().st_mode & 0o007 == 0
        assert database.file_warning == ""
        path.chmod(0o666)
        assert "chmod o-rwx" in database.file_warning


# ------------------------------------------------------------------ read-only


def test_a_ledger_that_cannot_be_written_can_be_read(tmp_path: Path, path: Path) -> None:
    """Pictures on a read-only medium are shown, of schema 2 as it is; a write says that it cannot be."""
    shutil.copy(V2, path)
    (tmp_path / "ledger.db-wal").mkdir()  # where SQLite's log cannot be made, as on a medium that is read-only
    before = path.read_bytes()
    with ledger(tmp_path) as database:
        assert (database.history().total_rows > 10, database.spend().jobs > 0) == (True, True)
        with pytest.raises(DatabaseUnavailable):
            create(database)
    assert count_open(path).problem == ""
    assert path.read_bytes() == before


def test_reading_another_folder_changes_nothing(tmp_path: Path, path: Path) -> None:
    """A budget counts other folders without bringing their ledgers up to date, or making one where there is none."""
    with pytest.raises(DatabaseUnavailable):
        ledger(tmp_path, read_only=True)
    assert not path.exists()
    shutil.copy(V2, path)
    with ledger(tmp_path, read_only=True) as reader:
        assert reader.spend().jobs > 0
    assert sql(tmp_path, "PRAGMA user_version") == [(2,)]
    with ledger(tmp_path) as database, ledger(tmp_path, read_only=True) as reader:
        before = reader.history().total_rows
        finish(database)
        assert reader.history().total_rows == before + 1


# ------------------------------------------------------------------ damage


DAMAGE = {
    "jobs SET created_at = 1e308": "created_at",
    "jobs SET mode = 'bogus'": "mode",
    "jobs SET state = 'happy'": "status",
    "jobs SET cost_source = 'guess'": "cost_source",
    "jobs SET seed = 'five'": "seed",
    "job_texts SET request = '[]'": "request",
    """job_texts SET parameters = '{"n": "x"}'""": "parameters",
    "pictures SET saved_at = -1": "saved_at",
    "pictures SET file = '../../x.png'": "file",
    "pictures SET corrupt_file = 'ledger.db'": "corrupt_file",
    "inputs SET file = 'ledger.db-wal'": "file",
    "inputs SET file = 'inputs/' || char(27) || '.png'": "file",
    "jobs SET picture_count = 9223372036854775807": "picture_count",
    "jobs SET user = CAST(x'ff' AS TEXT)": "user",
    "jobs SET cost_amount = x'31'": "cost_amount",
    "jobs SET cost_amount = '1', cost_source = 'reported', cost_currency = x'ff'": "cost_currency",
    "jobs SET cost_source = 'simulated', cost_note = CAST(x'ff' AS TEXT)": "cost_note",
    "jobs SET state = 'running', reserved_amount = '1', reserved_currency = x'ff'": "reserved_currency",
    "jobs SET expires_at = 9e999, state = 'succeeded'": "expires_at",
    "job_texts SET usage = CAST(x'ff' AS TEXT)": "usage",
    "inputs SET name = CAST(x'ff' AS TEXT)": "name",
}


def test_bad_rows_are_shown_as_such_and_the_rest_works(tmp_path: Path, path: Path) -> None:
    """Whatever stands in a row, history, sums and exports go on; the row says what of it could not be read."""
    with ledger(tmp_path) as database:
        good = finish(database, "good", cost=reported("1"))
        bad = {change: finish(database, "bad", inputs=(given(),)) for change in DAMAGE}
        for change, job_id in bad.items():
            key = "seq" if change.startswith("jobs") else "job_seq"
            sql(tmp_path, f"UPDATE {change} WHERE {key} = {database.get(job_id).seq}")
        rows = {row.id: row for row in database.history(HistoryQuery(limit=1000)).rows}
        assert rows[good].damage == ""
        for change, job_id in bad.items():
            assert DAMAGE[change] in rows[job_id].damage, change
            assert str(rows[job_id].cost)
            assert list(records_of(rows[job_id], "here", "job"))
            with pytest.raises(StoreError, match="cannot be exported"):
                database.export_rows([job_id])
        assert all(database.cost_by(by) for by in ("day", "notebook", "user"))
        assert database.spend().jobs == len(rows)
        assert database.spend().total.known() == 1
        assert len(database.export_rows([good])) == 1
        sql(tmp_path, "UPDATE pictures SET idx = 'x'")
        with pytest.raises(StoreError, match="cannot hold"):
            database.mark(good, 0, is_starred=True)
    assert count_open(path).problem == ""


# ------------------------------------------------------------------ a glance


def test_a_glance_counts_what_is_open_and_changes_nothing(tmp_path: Path, path: Path) -> None:
    """The line of a new kernel is made of these counts; no ledger, or a damaged one, stops nothing."""
    assert not count_open(path)
    assert not count_open(tmp_path / "nowhere" / "ledger.db")
    assert not path.exists()
    with ledger(tmp_path) as database:
        move(database, create(database), Status.SENDING, Status.IN_DOUBT)
        move(database, create(database), *PATH[:2], expires_at=NOON)
    before = path.read_bytes()
    assert count_open(path) == OpenSummary(running=1, in_doubt=1, earliest_expiry=NOON)
    assert path.read_bytes() == before
    path.write_bytes(b"not a database" * 1000)
    assert str(path) in count_open(path).problem


# ------------------------------------------------------------------ processes and disks


def test_a_damaged_file_is_said(tmp_path: Path, path: Path) -> None:
    """Garbage in the file becomes an error that names it and says that the pictures are safe."""
    with ledger(tmp_path) as database:
        database.create_or_join([new(seed=k) for k in range(50)], owner=owner(), simulated_ok=False)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(DatabaseUnavailable, match=rf"{path}.*damaged") as caught, ledger(tmp_path) as database:
        database.open_jobs()
    assert "picture files are not affected" in caught.value.hint


def test_nothing_is_ordered_into_a_ledger_that_is_gone(tmp_path: Path, path: Path) -> None:
    """A file that was deleted or replaced takes writes that nobody finds again: no job is made, so nothing is sent."""
    with ledger(tmp_path) as database:
        create(database)
        kept = path.read_bytes()
        for change in (path.unlink, lambda: path.write_bytes(kept)):
            change()
            with pytest.raises(StoreError, match="deleted, moved or replaced"):
                create(database)
