"""Finding jobs: what answers a request again, what is joined, what a half-typed id means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_kit import NOON, WAY, Clock, create, draft, finish, move, saved_picture
from wan_notebook.ledger import Ledger, LedgerError, PictureRecord, find
from wan_notebook.states import OPEN, JobState

ASKED = "wan1:sha256:asked"
SENT = "wan1:sha256:sent"


@pytest.fixture
def clock() -> Clock:
    """Time at noon."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=clock) as opened:
        yield opened


def answer(ledger: Ledger, **options: object) -> str | None:
    """Return the id of what answers a real request as asked."""
    found = ledger.find_answer(ASKED, by="asked", **{"simulated_ok": False, **options})  # type: ignore[arg-type]
    return found.id if found else None


def test_many_jobs_are_found_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes up a thousand jobs asks a few times, not a thousand; ids that nobody knows are left out."""
    monkeypatch.setattr(find, "PORTION", 3)
    made = ledger.create_jobs([draft(seed=seed) for seed in range(8)])
    found = ledger.jobs([*(row.id for row in made), "nobody"])
    assert found == {row.id: ledger.get(row.id) for row in made}
    assert [found[row.id].prompt for row in made] == [row.prompt for row in made]


def test_the_newest_saved_take_answers(ledger: Ledger, clock: Clock) -> None:
    """A request that was answered before is answered by its newest take, without asking again."""
    assert answer(ledger) is None
    finish(ledger)
    clock.now += 60
    newest = finish(ledger)
    finish(ledger, created_at=NOON - 60)
    assert answer(ledger) == newest
    assert ledger.find_answer(SENT, by="sent", simulated_ok=False) is not None
    assert ledger.find_answer(SENT, by="asked", simulated_ok=False) is None


def test_a_simulated_answer_never_serves_a_real_request(ledger: Ledger, clock: Clock) -> None:
    """A practice picture is no answer to a paid question; a real one serves everybody."""
    simulated = finish(ledger, simulated=True)
    assert answer(ledger) is None
    assert answer(ledger, simulated_ok=True) == simulated
    clock.now += 60
    real = finish(ledger)
    assert answer(ledger) == answer(ledger, simulated_ok=True) == real


def test_the_take_of_the_same_cell_comes_first(ledger: Ledger, clock: Clock) -> None:
    """Two cells with the same prompt each get their own picture back."""
    here = finish(ledger, cell_id="c1")
    clock.now += 60
    elsewhere = finish(ledger, cell_id="c2")
    assert answer(ledger, cell_id="c1") == here
    assert answer(ledger, cell_id="c3") == answer(ledger) == elsewhere


def test_a_take_without_all_its_pictures_is_no_answer(ledger: Ledger) -> None:
    """A take whose delivered pictures are not all on disk would show less than was paid."""
    job_id = create(ledger)
    found = [PictureRecord(idx=idx, url="https://files.test/x") for idx in (0, 1)]
    move(ledger, job_id, *WAY[:4], pictures=found)
    ledger.save_picture(job_id, saved_picture(0)).result(10)
    assert answer(ledger) is None
    move(ledger, job_id, JobState.SAVED)
    assert answer(ledger) is None
    ledger.save_picture(job_id, saved_picture(1)).result(10)
    assert answer(ledger) == job_id


def test_a_corrupt_picture_beside_a_good_one_still_answers(ledger: Ledger) -> None:
    """Bytes that are no picture do not make the person pay again for the others."""
    job_id = create(ledger)
    corrupt = PictureRecord(idx=1, corrupt_file="2026-11-25/x.png.corrupt")
    move(ledger, job_id, *WAY[:4], pictures=[saved_picture(0), corrupt])
    move(ledger, job_id, JobState.SAVED)
    assert answer(ledger) == job_id


def test_text_alone_is_an_answer_and_nothing_is_none(ledger: Ledger) -> None:
    """A success without a picture answers with its text; one with neither has nothing to show."""
    job_id = create(ledger)
    move(ledger, job_id, *WAY)
    assert answer(ledger) is None
    ledger.update(job_id, items=[{"text": "I would rather write."}]).result(10)
    assert answer(ledger) == job_id


def test_what_lies_in_the_trash_does_not_answer(ledger: Ledger) -> None:
    """A trashed take is neither shown again nor listed among the takes."""
    job_id = finish(ledger)
    ledger.trash(job_id)
    assert answer(ledger) is None
    assert ledger.takes(ASKED, "asked") == []
    ledger.trash(job_id, on=False)
    assert answer(ledger) == job_id


@pytest.mark.parametrize("state", list(JobState))
def test_what_is_open_is_joined(ledger: Ledger, state: JobState) -> None:
    """A request that is still open, ``in_doubt`` included, is found instead of bought again; an ended one is not."""
    job_id = create(ledger, state=state)
    found = ledger.find_open(ASKED, by="asked", simulated_ok=False)
    assert (found.id if found else None) == (job_id if state in OPEN else None)
    assert ledger.find_open("other", by="asked", simulated_ok=False) is None


def test_an_open_simulated_job_is_not_joined_by_a_real_request(ledger: Ledger) -> None:
    """A real request never waits for a practice picture."""
    job_id = create(ledger, simulated=True)
    assert ledger.find_open(ASKED, by="asked", simulated_ok=False) is None
    joined = ledger.find_open(ASKED, by="asked", simulated_ok=True)
    assert joined is not None
    assert joined.id == job_id


def test_takes_are_in_the_order_of_their_asking(ledger: Ledger) -> None:
    """``--takes`` shows all answers of one request side by side, oldest first."""
    ids = [create(ledger, created_at=NOON + at) for at in (30, 10, 20)]
    assert [row.id for row in ledger.takes(ASKED, "asked")] == [ids[1], ids[2], ids[0]]
    assert len(ledger.takes(SENT, "sent")) == 3


def test_a_check_sees_what_another_kernel_just_began(ledger: Ledger) -> None:
    """Inside the creating transaction an open twin can be found, so that two kernels do not both buy."""
    job_id = create(ledger)
    seen = []
    ledger.create_jobs(
        [draft()], check=lambda reader: seen.append(reader.find_open(ASKED, by="asked", simulated_ok=False))
    )
    assert [row.id for row in seen] == [job_id]
    assert seen[0].prompt == "a fox in snow"


# ------------------------------------------------------------------ ids


def test_an_id_may_be_begun(ledger: Ledger) -> None:
    """The first characters of an id suffice, in any case, as long as they fit one job."""
    job_id = create(ledger)
    for text in (job_id, job_id[:3], job_id[:1], f" {job_id.upper()} "):
        assert ledger.get(text).id == job_id


def test_an_ambiguous_beginning_names_its_ids(ledger: Ledger) -> None:
    """A beginning that fits several jobs is an error that lists them."""
    ids: list[str] = []
    while len({job_id[0] for job_id in ids}) == len(ids):
        ids.append(create(ledger))
    twins = [job_id for job_id in ids if job_id[0] == ids[-1][0]]
    with pytest.raises(LedgerError) as caught:
        ledger.get(ids[-1][0])
    assert all(job_id in str(caught.value) for job_id in twins)
    assert "one more character" in caught.value.hint


def test_an_unknown_id_names_the_nearest(ledger: Ledger) -> None:
    """A slip of the finger is answered with what was probably meant."""
    with pytest.raises(LedgerError, match="no jobs yet"):
        ledger.get("abc")
    job_id = create(ledger)
    wrong = job_id[:4] + ("0" if job_id[4] != "0" else "1") + job_id[5:]
    with pytest.raises(LedgerError, match=job_id):
        ledger.get(wrong)


@pytest.mark.parametrize("text", ["", "  ", "%", "_", "a%", "'", "\x00", "狐", "\ud800", "x" * 500])
def test_what_is_no_id_finds_nothing(ledger: Ledger, text: str) -> None:
    """A wildcard or any other text is no id, and no error of the database."""
    create(ledger)
    with pytest.raises(LedgerError, match="No job has the id"):
        ledger.get(text)


def test_real_jobs_and_task_ids_are_told(ledger: Ledger) -> None:
    """Whether a folder holds paid work, and which of the service's tasks are known, can be asked."""
    create(ledger, simulated=True)
    create(ledger, state=JobState.REFUSED)
    assert not ledger.has_real()
    move(ledger, create(ledger), JobState.SENDING, JobState.ACCEPTED, task_id="t1")
    assert ledger.has_real()
    assert ledger.task_ids() == {"t1"}


def test_what_is_remembered_can_be_changed_and_forgotten(ledger: Ledger) -> None:
    """Settings of a folder live in the ledger, whatever their text."""
    assert ledger.meta_get("budget") is None
    ledger.meta_set("budget", "5.00")
    ledger.meta_set("budget", "\x00 狐")
    assert ledger.meta_get("budget") == "\x00 狐"
    ledger.meta_set("budget", None)
    assert ledger.meta_get("budget") is None
