"""Disks that are full or read-only: nothing is bought that cannot be kept, and nothing that was bought is lost."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.disks import FullDisk, FullLedger
from tests.kit import Rig, ask, database_of, ended, history_of, project_of, until
from wan_notebook.errors import JobError, StoreError
from wan_notebook.jobs import goodbye


@pytest.fixture
def disk(made: Rig, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    """The disk of the rig's folder."""
    return FullDisk(made.folder, monkeypatch)


@pytest.fixture
def ledger() -> Iterator[FullLedger]:
    """The disk of every ledger."""
    found = FullLedger()
    yield found
    found.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_refuses_before_money_is_spent(made: Rig, disk: FullDisk, code: int) -> None:
    """Full or read-only at submit: an error that says so, no row, no request."""
    session = made.kernel()
    project_of(session)
    disk.errno = code
    with pytest.raises(StoreError):
        ask(session, seed=5)
    assert made.service.requests["submit"] == 0
    assert history_of(session) == []


def test_a_picture_that_finds_the_disk_full_is_fetched_once_there_is_room(made: Rig, disk: FullDisk) -> None:
    """The job is not called saved, says why it does not go on, and resuming fetches it for nothing."""
    made.configure(seconds=1.0)
    session = made.kernel()
    job = ask(session, seed=5)
    until(lambda: bool(job.rows[0].task_id))
    disk.errno = errno.ENOSPC
    ended(job)
    assert job.status == "succeeded"
    with pytest.raises(JobError, match=r"disk|space"):
        job.result(1)
    disk.errno = 0
    session.resume()
    until(lambda: job.status == "saved")
    assert made.service.tasks_created == 1


def test_an_id_that_cannot_be_written_is_kept_until_it_can(made: Rig, ledger: FullLedger) -> None:
    """The disk fills up while a submit is under way: the task's id waits in memory, and nothing is sent again."""
    session = made.kernel()
    project_of(session)
    made.faults.on_submit = lambda: setattr(ledger, "is_full", True)
    job = ask(session, seed=5)
    until(lambda: ledger.refused > 3)
    assert job.status == "sending"
    task_id = next(iter(made.service.tasks))
    assert task_id in job.tracked[0].note
    assert f"resolve {job.id} adopt {task_id}" in goodbye(job.tracked)
    made.faults.on_submit = None
    ledger.is_full = False
    assert ended(job).status == "saved"
    assert made.service.tasks_created == 1


def test_an_id_that_waits_for_room_is_written_when_the_kernel_ends(made: Rig, ledger: FullLedger) -> None:
    """There is room by now: the end of the kernel does not wait for the next attempt."""
    session = made.kernel(fast=False)
    project_of(session)
    made.faults.on_submit = lambda: setattr(ledger, "is_full", True)
    ask(session, seed=5)
    until(lambda: ledger.refused >= 1)
    ledger.is_full = False
    session.close()
    (row,) = history_of(made.kernel())
    assert (str(row.status), row.task_id) == ("accepted", next(iter(made.service.tasks)))


def test_what_may_not_be_written_is_not_sent(made: Rig, ledger: FullLedger) -> None:
    """The ledger takes the row and then nothing more: the POST is not made; asked again, it is sent once."""
    session = made.kernel()
    database = database_of(session)
    create = database.create_or_join

    def create_then_fill(*args: object, **options: object) -> object:
        found = create(*args, **options)  # type: ignore[arg-type]
        ledger.is_full = True
        return found

    database.create_or_join = create_then_fill  # type: ignore[method-assign]
    job = ended(ask(session, seed=5))
    with pytest.raises(JobError, match="full"):
        job.result(1)
    assert made.service.requests["submit"] == 0
    ledger.is_full, database.create_or_join = False, create  # type: ignore[method-assign]
    again = ended(ask(session, seed=5))
    assert (again.id, str(again.status)) == (job.id, "saved")
    assert made.service.tasks_created == 1


def test_a_disk_that_complains_after_a_picture_has_its_name_gets_no_copies_of_it(
    made: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network drives never make a folder's names durable: each try would leave one more file."""
    synced = os.fsync

    def complain(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir() and any(path.glob("*.png")):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", complain)
    job = ended(ask(made.kernel(), seed=1))
    assert job.status == "saved"
    assert list(made.folder.glob("2*/*.png")) == list(job.files)
