"""Cancelling, honestly: what it costs, and where it cannot be done."""

from pathlib import Path

import pytest

from tests.kit import Rig, ask, ended, rig, until
from wan_notebook.errors import JobCancelled


@pytest.fixture
def slow(tmp_path: Path) -> Rig:
    """DashScope whose tasks wait for long before they run."""
    with rig(tmp_path, provider="dashscope", seconds=400.0, pending_share=1.0, speed=10.0) as made:
        yield made


@pytest.mark.parametrize("fault", ["", "submit.trickle"])
def test_pending_at_dashscope_can_be_cancelled(slow: Rig, fault: str) -> None:
    """A task that waits there costs nothing; a cancel right after the click waits for the answer that is under way."""
    slow.arm(*fault.split())
    job = ask(slow.kernel(), seed=5)
    until(lambda: job.tracked[0].is_sending if fault else bool(job.rows[0].task_id))
    assert "nothing is paid" in job.cancel()
    assert (ended(job).status, job.cost.amount) == ("cancelled", 0)
    with pytest.raises(JobCancelled):
        job.result(1)


@pytest.mark.parametrize(
    ("provider", "fault", "words", "requests"),
    [
        ("dashscope", "", "billed", 1),  # what runs there goes on
        ("gateway", "", "cannot cancel", 0),
        ("dashscope", "cancel.500:always", "goes on", 1),
    ],
)
def test_what_goes_on_is_made_and_billed(tmp_path: Path, provider: str, fault: str, words: str, requests: int) -> None:
    """The answer says so, and the picture is fetched; where the service cannot cancel, it is not asked."""
    with rig(tmp_path, provider=provider, seconds=60.0, pending_share=0.0) as made:
        job = ask(made.kernel(), seed=5)
        until(lambda: job.status == "running")
        made.arm(*fault.split())
        assert words in job.cancel()
        assert made.service.requests["cancel"] == (0 if fault else requests)
        assert ended(job).status == "saved"


def test_a_cancel_whose_answer_is_lost_claims_nothing(slow: Rig) -> None:
    """The connection breaks after the request was sent: it may be cancelled, and nobody says that it goes on."""
    slow.serve()
    job = ask(slow.kernel(), seed=5)
    until(lambda: bool(job.rows[0].task_id))
    slow.arm("cancel.reset_after")
    assert "may" in job.cancel()
    assert ended(job).status == "cancelled"
    assert job.cost.amount == 0


def test_between_two_attempts_it_is_free(made: Rig) -> None:
    """A submit that was certainly not taken (429) and waits for its next try is cancelled, and never sent."""
    made.faults.retry_after_s = 100
    made.arm("submit.429_retry_after:always")
    job = ask(made.kernel(), seed=5)
    until(lambda: made.struck["submit.429_retry_after"] == 1)
    until(lambda: bool(job.tracked[0].note))
    said = job.cancel()
    made.arm()
    assert "nothing is paid" in said
    assert job.status == "cancelled"
    assert made.struck["submit.429_retry_after"] == 1
    assert made.service.tasks_created == 0


def test_an_edit_that_waits_for_its_input_is_free(tmp_path: Path) -> None:
    """An edit of a picture that is still being made is cancelled at once, and not sent when that is done."""
    with rig(tmp_path, seconds=60.0) as made:
        session = made.kernel()
        fox = ask(session, seed=5)
        edit = ask(session, "at night", images=[fox], seed=6)
        said = edit.cancel()
        assert "nothing is paid" in said
        assert ended(edit).status == "cancelled"
        assert ended(fox).status == "saved"
        assert ended(ask(session, "another", seed=7)).status == "saved"
        assert made.service.tasks_created == 2


def test_what_is_over_says_so(made: Rig) -> None:
    """Finished, shown again from the store, in doubt: each answer says what there is."""
    session = made.kernel()
    job = ended(ask(session, seed=5))
    again = ask(made.kernel(), seed=5)
    made.arm("submit.reset_after")
    doubtful = ended(ask(session, seed=6))
    assert "already saved" in job.cancel()
    assert "already saved" in again.cancel()
    assert f"%wan resolve {doubtful.id}" in doubtful.cancel()


def test_another_kernels_job(tmp_path: Path) -> None:
    """A kernel that only watches can cancel what was not sent: the ledger decides, and the owner does not send it."""
    with rig(tmp_path, seconds=60.0) as made:
        one, two = made.kernel(), made.kernel()
        fox = ask(one, seed=5)
        edit = ask(one, "at night", images=[fox], seed=6)
        seen = two.job(edit.id)
        assert "nothing is paid" in seen.cancel()
        assert {str(ended(edit).status), str(ended(seen).status)} == {"cancelled"}
        assert ended(fox).status == "saved"
        assert made.service.tasks_created == 1
