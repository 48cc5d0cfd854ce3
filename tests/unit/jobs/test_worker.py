"""The worker: an account's limits, what was never sent, and what a task's end says."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.faults import Reply
from tests.kit import Rig, ask, ended, rig, until
from wan_notebook.database import Database
from wan_notebook.errors import JobNotSent, NotSentError
from wan_notebook.jobs import is_not_sent
from wan_notebook.providers import ServiceClient


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """A folder and a service."""
    with rig(tmp_path) as found:
        yield found


def test_no_more_tasks_are_in_flight_than_the_account_allows(made: Rig) -> None:
    """The others wait as intents, say their place, and are cancelled for free; they are never sent."""
    made.configure(seconds=1e6)
    made.time.speed = 5.0  # a kernel that is starved for some seconds must not seem to be gone for ten minutes
    session = made.kernel(WAN_IN_FLIGHT="2")
    jobs = [ask(session, seed=seed) for seed in range(5)]
    until(lambda: jobs[-1].tracked[0].note == "waiting: 2 of 2 running, 2 ahead")
    assert ["nothing is paid" in job.cancel() for job in jobs[2:]] == [True] * 3
    assert {(ended(job).status, job.cost.amount) for job in jobs[2:]} == {("cancelled", 0)}
    assert made.service.requests["submit"] == 2


def test_a_job_that_stops_says_so_while_leases_are_renewed(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that gave its lease back is not taken for one that another kernel took: its cell is told, once."""
    release, renew, looks = Database.release, Database.renew, list[Collection[str]]()

    def slow_release(database: Database, ids: Collection[str], owner: Any) -> None:
        release(database, ids, owner)
        seen = len(looks)
        until(lambda: len(looks) > seen + 2)

    def counted_renew(database: Database, ids: Collection[str], owner: Any) -> Any:
        looks.append(ids)
        return renew(database, ids, owner)

    session = made.kernel()
    other = ask(session, "a fox that takes its time [[seconds:1000000]]", seed=1)
    until(lambda: other.status == "running")
    made.arm("download.403_html:always")
    with monkeypatch.context() as patch:
        patch.setattr(Database, "release", slow_release)
        patch.setattr(Database, "renew", counted_renew)
        job = ended(ask(session, "an owl", seed=2))
    assert (job.status, other.status) == ("succeeded", "running")
    assert "403" in job.tracked[0].stopped


def test_what_cannot_be_sent_is_not_in_doubt(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot be built sent nothing: the job says so and how to go on, and the same call sends."""

    async def fail(*_: Any) -> Any:
        raise NotSentError("The proxy in ALL_PROXY cannot be used.", kind="setting", hint="Unset it.")

    session = made.kernel()
    with monkeypatch.context() as patch:
        patch.setattr(ServiceClient, "submit", fail)
        job = ended(ask(session, seed=5))
    with pytest.raises(JobNotSent, match=r"was not sent; nothing was paid. The proxy in ALL_PROXY") as told:
        job.result(1)
    assert told.value.hint == "Unset it."
    assert is_not_sent(job.rows[0])
    assert "not sent" in repr(job)
    again = ended(ask(session, seed=5))
    assert (again.status, again.id != job.id) == ("saved", True)
    assert made.service.tasks_created == 1


PART = {"finish_reason": "stop", "code": "DataInspectionFailed", "message": {"role": "assistant", "content": []}}


def dashscope_success(url: str, *choices: Any) -> Reply:
    """Return a success with one picture and further choices."""
    picture = {"message": {"role": "assistant", "content": [{"type": "image", "image": url}]}}
    output = {"task_id": "t", "task_status": "SUCCEEDED", "choices": [picture, *choices]}
    return Reply.json({"request_id": "r", "output": output, "usage": {}})


def test_a_partial_success_says_why_a_picture_is_missing(tmp_path: Path) -> None:
    """The service's own word for each picture that did not come is kept, and the one that came is saved."""
    with rig(tmp_path, provider="dashscope") as made:
        session = made.kernel()
        first = ended(ask(session, seed=1))
        url = f"http://simulator.test/results/{first.rows[0].task_id}/0.png"
        made.faults.answer("poll", dashscope_success(url, PART))
        job = ended(ask(session, seed=2, n=2, images=first[0]))
        assert job.rows[0].notes == ("1 of 2 did not come: DataInspectionFailed",)
