"""What a person does to a job afterwards: stars, tags, the trash, and what is left when it is emptied."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.database.kit import NOON, PATH, PICTURE, Clock, create, finish, given, move, reported
from wan_notebook.database import Database, HistoryQuery, Status
from wan_notebook.errors import StoreError

DAY_S = 86400.0


def purge(database: Database, older_than: float = NOON + 1) -> list[str]:
    """Empty the trash; return the files that were deleted."""
    files: list[str] = []
    assert database.purge_trash(older_than, lambda file: not files.append(file)) == len(files)  # type: ignore[func-returns-value]
    return files


def test_an_open_job_cannot_be_trashed(database: Database) -> None:
    """What still costs or owes something is not hidden; the message says what to do first."""
    job_id = create(database)
    for status in (*PATH[:4], None):
        with pytest.raises(StoreError) as caught:
            database.trash(job_id)
        assert job_id in caught.value.hint
        move(database, job_id, *([status] if status else []))


def test_emptying_the_trash_forgets_what_was_said_and_keeps_what_was_paid(database: Database, clock: Clock) -> None:
    """After 30 days picture, inputs, prompt and every text of a job are gone; its cost stays in every sum."""
    secret = "my secret garden"
    asked = {"negative_prompt": secret, "name": secret, "notes": (secret,), "tags": ("t",)}
    job_id = create(database, secret, inputs=(given(name=secret),), **asked)
    said = {
        "usage": {"p": secret},
        "service_metadata": {"p": secret},
        "items": [{"text": secret}],
        "detail": {"p": secret},
    }
    pictures = [
        {"index": 0, "file": "2026-11-25/garden.png", "note": secret, **PICTURE},
        {"index": 1, "corrupt_file": "2026-11-25/garden.corrupt"},
    ]
    move(database, job_id, *PATH[:4], pictures=pictures, error_message=secret, **reported("0.05"), **said)
    move(database, job_id, Status.SAVED)
    database.trash(job_id)
    clock.now += 29 * DAY_S
    assert purge(database, clock.now - 30 * DAY_S) == []
    clock.now += 2 * DAY_S
    files = purge(database, clock.now - 30 * DAY_S)
    assert files == ["2026-11-25/garden.corrupt", "2026-11-25/garden.png", "inputs/abc.png"]
    row = database.get(job_id)
    assert (row.status, row.seed, row.picture_count, row.purged_at, row.prompt) == (Status.SAVED, 5, 1, clock.now, "")
    assert database.history(HistoryQuery(words="garden", include_trashed=True)).total_rows == 0
    assert database.history(HistoryQuery(only_trashed=True)).total_rows == 0
    assert database.spend().total.known() == Decimal("0.05")
    database.close()
    assert database.path is not None
    for file in Path(database.path.parent).glob("ledger.db*"):
        assert secret.encode() not in file.read_bytes()


def test_a_file_that_cannot_be_deleted_keeps_its_job_in_the_trash(database: Database) -> None:
    """Files go first: a crash between deleting and forgetting leaves no forgotten picture on the disk."""
    job_id = finish(database, pictures=2)
    database.trash(job_id)

    assert database.purge_trash(NOON + 1, lambda file: file.endswith("0.png")) == 1
    assert database.get(job_id).prompt == "a fox"
    assert len(purge(database)) == 2
    assert purge(database) == []


def test_a_file_that_is_used_is_not_deleted(database: Database) -> None:
    """Inputs are kept once for all jobs: a file outlives one of them."""
    jobs = [create(database, inputs=(given(),)) for _ in range(2)]
    for job_id in jobs:
        move(database, job_id, Status.CANCELLED)
        database.trash(job_id)
    database.trash(jobs[1], on=False)
    assert purge(database) == []
    database.trash(jobs[1])
    assert purge(database) == ["inputs/abc.png"]
    assert database.get(jobs[1]).prompt == ""
