"""What a person does to a job afterwards: stars, tags, the trash, and what is left when it is emptied."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.ledger_kit import NOON, WAY, Clock, an_input, create, finish, move, reported, saved_picture
from wan_notebook.ledger import HistoryQuery, Ledger, LedgerError, PictureRecord
from wan_notebook.states import OPEN, JobState

DAY_S = 86400.0


@pytest.fixture
def clock() -> Clock:
    """Time at noon."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=clock) as opened:
        yield opened


def test_stars_and_rejections_are_kept(ledger: Ledger) -> None:
    """A job and each of its pictures can be starred and rejected, and released again."""
    job_id = finish(ledger, pictures=2)
    ledger.star(job_id)
    ledger.star(job_id, 1)
    ledger.reject(job_id, 0)
    row = ledger.get(job_id)
    assert (row.starred, row.rejected) == (True, False)
    assert [(picture.starred, picture.rejected) for picture in row.pictures] == [(False, True), (True, False)]
    ledger.star(job_id, on=False)
    ledger.reject(job_id, 0, on=False)
    row = ledger.get(job_id)
    assert not row.starred
    assert not row.pictures[0].rejected


def test_a_star_on_nothing_is_an_error(ledger: Ledger) -> None:
    """A wrong index or id is said, not swallowed."""
    job_id = finish(ledger, pictures=1)
    with pytest.raises(LedgerError, match=r"no picture \[7\]"):
        ledger.star(job_id, 7)
    with pytest.raises(LedgerError, match="no job"):
        ledger.star("f00")


def test_tags_are_a_set_in_their_order(ledger: Ledger) -> None:
    """A tag is there once; an empty one never."""
    job_id = create(ledger, tags=("a", "b", "a"))
    assert ledger.tag(job_id, "b", "c", " ", "") == ("a", "b", "c")
    assert ledger.tag(job_id, remove=["a", "x"]) == ("b", "c")
    assert ledger.get(job_id).tags == ("b", "c")
    assert ledger.history(HistoryQuery(tag="a")).total_rows == 0
    assert ledger.history(HistoryQuery(tag="c")).total_rows == 1


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_open_job_cannot_be_trashed(ledger: Ledger, state: JobState) -> None:
    """What still costs or owes something is not hidden; the message says what to do first."""
    job_id = create(ledger, state=state)
    with pytest.raises(LedgerError, match=str(state)) as caught:
        ledger.trash(job_id)
    assert job_id in caught.value.hint


def test_emptying_the_trash_forgets_what_was_said_and_keeps_what_was_paid(ledger: Ledger, clock: Clock) -> None:
    """After 30 days picture, inputs, prompt and every text of a job are gone; its cost stays in every sum."""
    secret = "my secret garden"
    job_id = create(
        ledger, prompt=secret, negative_prompt=secret, name=secret, request={"p": secret}, parameters={"p": secret},
        inputs=(an_input(name=secret),), notes=(secret,),
    )  # fmt: skip
    move(ledger, job_id, *WAY[:4], **reported("0.05"), usage={"p": secret}, metadata={"p": secret},
         items=[{"text": secret}], detail={"p": secret}, error_message=secret)  # fmt: skip
    ledger.save_picture(job_id, saved_picture(0, file="2026-11-25/garden.png", note=secret)).result(10)
    ledger.save_picture(job_id, PictureRecord(idx=1, corrupt_file="2026-11-25/garden.png.corrupt")).result(10)
    move(ledger, job_id, JobState.SAVED)
    ledger.trash(job_id)
    clock.now += 29 * DAY_S
    assert ledger.purge_trash(clock.now - 30 * DAY_S) == []
    clock.now += 2 * DAY_S
    files = ledger.purge_trash(clock.now - 30 * DAY_S)
    assert files == ["2026-11-25/garden.png", "2026-11-25/garden.png.corrupt", "inputs/abc.png"]
    assert secret not in str(ledger.get(job_id).to_dict())
    assert secret not in str(ledger.events(job_id))
    assert ledger.history(HistoryQuery(words="garden", include_trashed=True)).total_rows == 0
    assert ledger.spend().total.known() == Decimal("0.05")
    row = ledger.get(job_id)
    assert (row.state, row.seed, row.picture_count, row.purged_at) == (JobState.SAVED, 5, 1, clock.now)
    ledger.close()
    assert secret.encode() not in ledger.path.read_bytes()


def test_files_to_delete_are_remembered_until_they_are_gone(ledger: Ledger) -> None:
    """A crash between forgetting and deleting leaves no forgotten picture on the disk."""
    job_id = finish(ledger, pictures=2)
    ledger.trash(job_id)
    files = ledger.purge_trash(NOON + 1)
    assert len(files) == 2
    assert ledger.purge_trash(NOON + 1) == files
    ledger.files_deleted(files[:1])
    assert ledger.purge_trash(NOON + 1) == files[1:]


def test_a_file_that_another_job_uses_is_not_deleted(ledger: Ledger) -> None:
    """Inputs are kept once for all jobs, and two jobs may share a picture's file: both outlive one of them."""
    shared = saved_picture(0, file="2026-11-25/same.png")
    for _ in range(2):
        job_id = create(ledger, inputs=(an_input(),))
        move(ledger, job_id, *WAY[:4], pictures=[shared])
        move(ledger, job_id, JobState.SAVED)
    ledger.trash(job_id)
    assert ledger.purge_trash(NOON + 1) == []


@pytest.mark.parametrize("how", ["input", "picture"])
def test_a_file_that_is_used_again_is_not_deleted(ledger: Ledger, how: str) -> None:
    """A name on the list of files to delete leaves it when a new job writes that file."""
    old = create(ledger, inputs=(an_input(file="x.png"),), state=JobState.SAVED)
    ledger.trash(old)
    assert ledger.purge_trash(NOON + 1) == ["x.png"]
    if how == "input":
        create(ledger, inputs=(an_input(file="x.png"),))
    else:
        ledger.save_picture(create(ledger), saved_picture(file="x.png")).result(10)
    assert ledger.purge_trash(NOON + 1) == []


def test_what_a_kernel_says_too_late_of_a_picture_keeps_no_file(ledger: Ledger) -> None:
    """A record that is not taken, since the picture was saved before, takes no file off the list of those to delete."""
    job_id = finish(ledger)
    ledger.trash(job_id)
    files = ledger.purge_trash(NOON + 1)
    ledger.save_picture(job_id, saved_picture(file=files[0], saved_at=None)).result(10)
    assert ledger.purge_trash(NOON + 1) == files


def test_what_was_taken_out_of_the_trash_stays(ledger: Ledger, clock: Clock) -> None:
    """Taking a job out of the trash stops its thirty days."""
    job_id = finish(ledger)
    ledger.trash(job_id)
    ledger.trash(job_id, on=False)
    assert ledger.purge_trash(clock.now + DAY_S) == []
    assert ledger.get(job_id).prompt == "a fox in snow"


def test_showing_again_is_remembered(ledger: Ledger) -> None:
    """A replay is an event, with where and how."""
    job_id = finish(ledger)
    ledger.record_shown(job_id, "a.ipynb", "c1", "replay").result(10)
    event = ledger.events(job_id)[-1]
    assert (event.kind, event.state) == ("shown", "")
    assert event.detail == {"notebook": "a.ipynb", "cell_id": "c1", "how": "replay"}
