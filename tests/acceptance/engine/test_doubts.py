"""A submit whose outcome nobody knows: looked for, shown with its confidence, settled by a person."""

import re
from pathlib import Path

import httpx
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


class Broken(httpx.AsyncBaseTransport):
    """A network layer with a fault that nobody foresaw."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError("nobody foresaw this")


def test_an_unforeseen_fault_may_have_been_sent(made: Rig) -> None:
    """Whatever broke in the middle of a submit: it is not sent again by itself."""
    made.around = lambda _inner: Broken()
    assert ended(ask(made.kernel(), seed=5)).status == "in_doubt"


def test_the_list_finds_it(made: Rig) -> None:
    """The task that fits is named with what fits, beside the three choices; adopting it pays nothing."""
    session = made.kernel()
    known = ended(ask(session, "another", seed=1)).rows[0].task_id
    job = doubtful(made, session)
    text = explain(job)
    (lost,) = set(made.service.tasks) - {known}
    assert lost in text
    assert known not in text
    assert re.search(r"submitted \d+ s apart", text)
    assert all(f"%wan resolve {job.id} {choice}" in text for choice in ("adopt", "again", "abandon"))
    assert job.status == "in_doubt"
    session.resolve(job, "adopt", lost)
    until(lambda: job.status == "saved")
    assert job.result(1).rows[0].task_id == lost
    assert made.service.tasks_created == 2


@pytest.mark.parametrize(
    ("provider", "words"), [("dashscope", "probably did not arrive"), ("gateway", "no list of tasks")]
)
def test_one_that_is_not_found_is_left_to_the_person(tmp_path: Path, provider: str, words: str) -> None:
    """No unclaimed task of that time fits, or there is no list: that is said, and the choices stay."""
    with rig(tmp_path, provider=provider) as made:
        session = made.kernel()
        ended(ask(session, "another", seed=1))
        text = explain(doubtful(made, session, "submit.500"))
        assert words in text
        assert "abandon" in text


def test_a_doubt_about_practice_costs_nothing(tmp_path: Path) -> None:
    """A script that ends too early meets it on the first day: the simulator bills nothing and has no web page."""
    with rig(tmp_path, provider="simulator") as made:
        session = made.kernel()
        job = doubtful(made, session)
        text = explain(job) + session.resolve(job, "abandon")
        text += session.resolve(doubtful(made, session, seed=6), "again")
    assert "practice is free" in text
    assert "billed" not in text
    assert "web page" not in text


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


def test_again_that_is_refused_changes_nothing(made: Rig) -> None:
    """If a budget refuses the second attempt, the first one is still in doubt."""
    job = doubtful(made, made.kernel())
    session = made.kernel(WAN_BUDGET="1 pictures")
    with pytest.raises(BudgetError):
        session.resolve(session.job(job.id), "again")
    assert session.job(job.id).status == "in_doubt"


def test_a_salvaged_id_is_on_disk_before_it_is_confirmed(made: Rig) -> None:
    """A kernel that is killed between the cut reply and the service's word does not take the id with it.

    Where the service could not be asked, whoever decides is shown it.
    """
    session = made.kernel()
    made.arm("submit.truncated_json", "poll.stall_before:always")
    job = ask(session, seed=5)
    until(lambda: made.struck["poll.stall_before"])
    task_id = next(iter(made.service.tasks))
    assert job.status == "sending"
    assert any(task_id in str(event.detail) for event in database_of(session).events(job.id))
    assert ended(job).status == "in_doubt"
    assert task_id in explain(job)


@pytest.mark.parametrize("choice", ["again", "adopt", "abandon"])
def test_a_doubt_is_decided_once(made: Rig, choice: str) -> None:
    """Another kernel that still shows it in doubt is told; what was given up, also for another attempt, is not free."""
    made.configure(seconds=100.0)
    one, two = made.kernel(), made.kernel()
    job = doubtful(made, one)
    there = two.job(job.id)
    text = one.resolve(job, choice, next(iter(made.service.tasks)) if choice == "adopt" else "")
    for later in ("again", "abandon"):
        with pytest.raises(CellError, match=r"not in doubt|expired"):
            two.resolve(there, later)
        there = two.job(job.id)
    if choice == "adopt":
        assert row_of(one, job).status in ("accepted", "running")
    else:
        assert (str(job.status), job.cost.amount) == ("expired", None)
    new = [one.job(row.id) for row in history_of(one) if row.id != job.id]
    assert len(new) == (choice == "again")
    for again in new:
        assert again.id in text
        assert "both are billed" in text
        assert ended(again).status == "saved"
        assert again.rows[0].provider == "dashscope"
    assert made.service.tasks_created == 1 + len(new)
