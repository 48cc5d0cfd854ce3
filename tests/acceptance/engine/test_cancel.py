"""Cancelling, honestly: what it costs, and where it cannot be done."""

from pathlib import Path

import pytest

from tests.kit import Rig, ask, ended, rig, until
from wan_notebook.errors import BudgetError, JobCancelled


@pytest.mark.parametrize(
    ("fault", "words"), [("", "nothing is paid"), ("submit.trickle", "nothing is paid"), ("cancel.reset_after", "may")]
)
def test_pending_at_dashscope_can_be_cancelled(tmp_path: Path, fault: str, words: str) -> None:
    """What waits there costs nothing; a click waits for the submit under way; a lost answer claims nothing."""
    with rig(tmp_path, provider="dashscope", seconds=400.0, pending_share=1.0, speed=10.0) as slow:
        slow.arm(*fault.split())
        job = ask(slow.kernel(), seed=5)
        until(lambda: job.tracked[0].is_sending if "submit" in fault else bool(job.rows[0].task_id))
        assert words in job.cancel()
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


@pytest.mark.parametrize("watching", [False, True])
def test_an_edit_that_waits_for_its_input_is_free(tmp_path: Path, watching: bool) -> None:
    """Cancelled at once, also by a kernel that only watches; it is never sent, and reserves nothing any more."""
    with rig(tmp_path, seconds=10.0, speed=20.0) as made:
        session = made.kernel(WAN_BUDGET="2 pictures")
        fox = ask(session, seed=5)
        edit = ask(session, "at night", images=[fox], seed=6)
        with pytest.raises(BudgetError):
            ask(session, "another", seed=7)
        seen = made.kernel().job(edit.id) if watching else edit
        assert "nothing is paid" in seen.cancel()
        assert [str(ended(job).status) for job in (edit, seen)] == ["cancelled", "cancelled"]
        assert [str(ended(job).status) for job in (ask(session, "another", seed=7), fox)] == ["saved", "saved"]
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
