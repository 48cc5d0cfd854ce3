"""A submit whose outcome nobody knows: looked for, shown with its confidence, settled by a person."""

import re
from pathlib import Path

import pytest

from tests.kit import Rig, ask, database_of, ended, history_of, rig, row_of, until
from wan_notebook.errors import BudgetError, CellError, JobInDoubt
from wan_notebook.jobs import Job, explain
from wan_notebook.session import Session


@pytest.fixture
def made(dashscope: Rig) -> Rig:
    """DashScope, which has a list of tasks."""
    return dashscope


def doubtful(made: Rig, session: Session, fault: str = "submit.reset_after", seed: int = 5) -> Job:
    """Ask for something whose answer is lost."""
    made.arm(fault)
    job = ended(ask(session, f"a fox {seed}", seed=seed))
    made.arm()
    assert job.status == "in_doubt"
    return job


def candidate(session: Session, job: Job) -> str:
    """Return the id of the task that the explanation of a job in doubt names first."""
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", explain(job))
    assert found
    return found[0]


def test_in_doubt_says_so_and_names_the_way_out(made: Rig) -> None:
    """Waiting ends with an error that names the command; nothing is sent again by itself, not on resuming either."""
    session = made.kernel()
    job = doubtful(made, session)
    with pytest.raises(JobInDoubt, match="not sent again") as told:
        job.result(1)
    assert not re.search(r"[A-Z][a-z]+Error|Timeout\b|\)\.\)|\.\.", str(told.value))  # sentences, no class's name
    session.resume()
    assert job.status == "in_doubt"
    assert ask(session, "a fox 5", seed=5).id == job.id  # joined, never bought again
    assert made.service.tasks_created == 1


def test_the_list_finds_it(made: Rig) -> None:
    """The task that fits is named with what fits, beside the three choices; nothing is chosen."""
    session = made.kernel()
    known = ended(ask(session, "another", seed=1))
    job = doubtful(made, session)
    text = explain(job)
    (lost,) = [task_id for task_id in made.service.tasks if task_id != known.rows[0].task_id]
    assert lost in text
    assert known.rows[0].task_id not in text
    assert re.search(r"submitted \d+ s apart", text)
    assert all(f"%wan resolve {job.id} {choice}" in text for choice in ("adopt", "again", "abandon"))
    assert job.status == "in_doubt"


def test_one_that_did_not_arrive_has_no_candidate(made: Rig) -> None:
    """Where no unclaimed task of that time fits, that is said, and still left to the person."""
    session = made.kernel()
    ended(ask(session, "another", seed=1))
    job = doubtful(made, session, "submit.500")
    assert "probably did not arrive" in explain(job)


def test_adopting_fetches_and_pays_once(made: Rig) -> None:
    """Adopted: the task's pictures are fetched; no further task is made."""
    session = made.kernel()
    job = doubtful(made, session)
    task_id = candidate(session, job)
    session.resolve(job, "adopt", task_id)
    until(lambda: job.status == "saved")
    assert job.result(1).rows[0].task_id == task_id
    assert made.service.tasks_created == 1


def test_a_task_is_adopted_by_one_job_only(made: Rig) -> None:
    """Another job's task, an unknown one and none at all are refused, and nothing is changed."""
    session = made.kernel()
    taken = ended(ask(session, "another", seed=1)).rows[0].task_id
    job = doubtful(made, session)
    for task_id in (taken, "no-such-task", ""):
        with pytest.raises(CellError):
            session.resolve(job, "adopt", task_id)
    with pytest.raises(CellError, match="forget"):
        session.resolve(job, "forget")
    assert job.status == "in_doubt"


def test_again_sends_once_more_knowingly(made: Rig) -> None:
    """Sent again: a new job at the same service; the old one is given up and is not called free."""
    session = made.kernel()
    job = doubtful(made, session)
    text = session.resolve(job, "again")
    new = session.job(next(row.id for row in history_of(session) if row.id != job.id))
    assert new.id in text
    assert "both are billed" in text
    assert ended(new).status == "saved"
    assert new.rows[0].provider == "dashscope"
    assert job.status == "expired"
    assert job.cost.amount is None
    assert made.service.tasks_created == 2


def test_again_that_is_refused_changes_nothing(made: Rig) -> None:
    """If a budget refuses the second attempt, the first one is still in doubt."""
    job = doubtful(made, made.kernel())
    session = made.kernel(WAN_BUDGET="1 pictures")
    with pytest.raises(BudgetError):
        session.resolve(session.job(job.id), "again")
    assert session.job(job.id).status == "in_doubt"


def test_abandoning_settles_without_calling_it_free(made: Rig) -> None:
    """Given up: expired, its cost unknown; what is not in doubt cannot be resolved."""
    session = made.kernel()
    job = doubtful(made, session)
    session.resolve(job, "abandon")
    assert (str(job.status), job.cost.amount) == ("expired", None)
    with pytest.raises(CellError, match="not in doubt"):
        session.resolve(job, "again")
    assert made.service.tasks_created == 1


def test_a_salvaged_id_that_was_not_confirmed_is_kept(made: Rig) -> None:
    """An id from a cut reply that the service could not be asked for is shown to whoever decides."""
    session = made.kernel()
    made.arm("submit.truncated_json", "poll.500:always")
    job = ended(ask(session, seed=5))
    made.arm()
    assert job.status == "in_doubt"
    assert next(iter(made.service.tasks)) in explain(job)


def test_a_salvaged_id_is_on_disk_before_it_is_confirmed(made: Rig) -> None:
    """A kernel that is killed between the cut reply and the service's word does not take the id with it."""
    session = made.kernel()
    made.arm("submit.truncated_json", "poll.stall_before:always")
    job = ask(session, seed=5)
    until(lambda: made.struck["poll.stall_before"])
    task_id = next(iter(made.service.tasks))
    assert job.status == "sending"
    assert any(task_id in str(event.detail) for event in database_of(session).events(job.id))


def test_the_gateway_has_no_list(tmp_path: Path) -> None:
    """Where there is no list, that is said; the choices stay."""
    with rig(tmp_path / "gateway") as made:
        text = explain(doubtful(made, made.kernel()))
        assert "no list of tasks" in text
        assert "abandon" in text


def test_again_is_carried_out_once(made: Rig) -> None:
    """Two kernels that decide the same send it once more, not twice; the second is told."""
    one, two = made.kernel(), made.kernel()
    job = doubtful(made, one)
    there = two.job(job.id)
    assert there.status == "in_doubt"
    one.resolve(job, "again")
    for choice in ("again", "abandon"):
        with pytest.raises(CellError, match=r"not in doubt|expired"):
            two.resolve(there, choice)
        there = two.job(job.id)
    until(lambda: made.service.tasks_created == 2)
    assert len(history_of(one)) == 2


def test_what_was_accepted_after_all_is_not_abandoned(made: Rig) -> None:
    """A job that another kernel has found meanwhile is not given up by one that still shows it in doubt."""
    one, two = made.kernel(), made.kernel()
    made.configure(seconds=300.0)
    job = doubtful(made, one)
    there = two.job(job.id)
    one.resolve(job, "adopt", candidate(one, job))
    for choice in ("abandon", "again"):
        with pytest.raises(CellError, match="not in doubt"):
            two.resolve(there, choice)
    assert row_of(one, job).status in ("accepted", "running")
    assert made.service.tasks_created == 1
