"""A submit whose outcome nobody knows: looked for, shown with its confidence, settled by a person."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kit import Rig, ask, ended, rig, until
from wan_notebook.errors import BudgetError, CellError, JobInDoubt
from wan_notebook.jobs import Job, submit
from wan_notebook.session import Session
from wan_notebook.session.doubts import match
from wan_notebook.wire import Phase, TaskState


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """DashScope, which has a list of tasks."""
    with rig(tmp_path, dialect="dashscope") as found:
        yield found


def doubtful(made: Rig, session: Session, fault: str = "submit.reset_after", seed: int = 5) -> Job:
    """Order something whose answer is lost."""
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


def test_the_list_finds_it_with_its_confidence(made: Rig) -> None:
    """The task that fits is named with how well it fits and why, beside the three choices; nothing is chosen."""
    session = made.kernel()
    known = ended(ask(session, "another", seed=1))
    job = doubtful(made, session)
    found = session.doubts.candidates(job.rows[0])
    text = session.doubts.explain(job)

    assert [c.task_id for c in found] == [t for t in made.service._store._tasks if t != known.rows[0].task_id]
    assert found[0].confidence > 0.3
    assert f"fits {found[0].confidence:.0%}" in text
    assert all(f"%wan resolve {job.id} {choice}" in text for choice in ("adopt TASK", "again", "abandon"))
    assert job.status == "in_doubt"


def test_one_that_did_not_arrive_has_no_candidate(made: Rig) -> None:
    """Where no unclaimed task of that time fits, that is said, and still left to the person."""
    session = made.kernel()
    ended(ask(session, "another", seed=1))
    job = doubtful(made, session, "submit.500")

    assert session.doubts.candidates(job.rows[0]) == []
    assert "probably did not arrive" in session.doubts.explain(job)


def test_adopting_fetches_and_pays_once(made: Rig) -> None:
    """Adopted: the task's pictures are fetched; no further task is made."""
    session = made.kernel()
    job = doubtful(made, session)
    task_id = session.doubts.candidates(job.rows[0])[0].task_id
    session.doubts.resolve(job, "adopt", task_id)
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
            session.doubts.resolve(job, "adopt", task_id)
    with pytest.raises(CellError, match="no choice"):
        session.doubts.resolve(job, "forget")

    assert job.status == "in_doubt"


def test_again_sends_once_more_knowingly(made: Rig) -> None:
    """Sent again: a new job at the same service; the old one is given up and is not called free."""
    session = made.kernel()
    job = doubtful(made, session)
    text = session.doubts.resolve(job, "again")
    rows = session.need_home().ledger.history().rows
    new = session.job(next(row.id for row in rows if row.id != job.id))

    assert new.id in text
    assert "both are billed" in text
    assert ended(new).status == "saved"
    assert new.rows[0].provider == "dashscope"
    assert job.status == "expired"
    assert job.cost.amount is None
    assert made.service.tasks_created == 2


def test_again_that_is_refused_changes_nothing(made: Rig) -> None:
    """If a budget refuses the second attempt, the first one is still in doubt."""
    session = made.kernel()
    job = doubtful(made, session)
    session.sources.env["WAN_BUDGET"] = "1 pictures"  # type: ignore[index]
    with pytest.raises(BudgetError):
        session.doubts.resolve(job, "again")

    assert job.status == "in_doubt"


def test_abandoning_settles_without_calling_it_free(made: Rig) -> None:
    """Given up: expired, its cost unknown; what is not in doubt cannot be resolved."""
    session = made.kernel()
    job = doubtful(made, session)
    session.doubts.resolve(job, "abandon")

    assert (job.status, job.cost.amount) == ("expired", None)
    with pytest.raises(CellError, match="not in doubt"):
        session.doubts.resolve(job, "again")
    assert made.service.tasks_created == 1


def test_a_salvaged_id_that_was_not_confirmed_is_kept(made: Rig) -> None:
    """An id from a cut reply that the service could not be asked for is shown to whoever decides."""
    session = made.kernel()
    made.arm("submit.truncated_json", "poll.500:always")
    job = ended(ask(session, seed=5))
    made.arm()
    task_id = next(iter(made.service._store._tasks))

    assert job.status == "in_doubt"
    assert f"{task_id}: read from the reply" in session.doubts.explain(job)


def test_a_salvaged_id_is_on_disk_before_it_is_confirmed(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is killed between the cut reply and the service's word does not take the id with it."""
    monkeypatch.setattr(submit, "CONFIRM_WAIT_S", 3600.0)
    session = made.kernel()
    ledger = session.need_home().ledger
    made.arm("submit.truncated_json", "poll.500:always")
    job = ask(session, seed=5)
    until(lambda: made.service.requests["GET", "poll"])
    task_id = next(iter(made.service._store._tasks))

    assert job.status == "sending"
    assert task_id in [event.detail.get("salvaged") for event in ledger.events(job.id)]


def test_the_gateway_has_no_list(tmp_path: Path) -> None:
    """Where there is no list, that is said; the choices stay."""
    with rig(tmp_path) as made:
        session = made.kernel()
        job = doubtful(made, session)
        text = session.doubts.explain(job)

        assert "no list of tasks" in text
        assert "abandon" in text


@pytest.mark.parametrize("zone_h", [-12, -3.5, 0, 5.75, 8, 14])
def test_times_without_a_zone_fit_in_any_zone(made: Rig, zone_h: float) -> None:
    """The service's times carry no zone: the same moment anywhere on earth fits, another moment does not."""
    session = made.kernel()
    row = doubtful(made, session).rows[0]
    at = dt.datetime.fromtimestamp(row.sending_at or 0, tz=dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=zone_h)

    def task(moment: dt.datetime, **more: Any) -> TaskState:
        return TaskState(task_id="t", phase=Phase.RUNNING, submitted_at_text=f"{moment:%Y-%m-%d %H:%M:%S.%f}", **more)

    near, later = match(row, task(at)), match(row, task(at + dt.timedelta(minutes=7)))
    assert near is not None
    assert near.confidence > 0.5
    assert later is None or later.confidence < 0.1
    assert match(row, task(at, model="wan2.5-image")) is None
    assert match(row, task(at + dt.timedelta(hours=40))) is None


def test_again_is_carried_out_once(made: Rig) -> None:
    """Two kernels that decide the same at the same moment send it once more, not twice; the second is told."""
    one, two = made.kernel(), made.kernel()
    job = doubtful(made, one)
    there = two.job(job.id)
    assert there.status == "in_doubt"
    one.doubts.resolve(job, "again")
    for choice, task in (("again", ""), ("abandon", "")):
        with pytest.raises(CellError, match="expired"):
            two.doubts.resolve(there, choice, task)
        there = two.job(job.id)

    until(lambda: made.service.tasks_created == 2)
    assert len(one.need_home().ledger.history().rows) == 2


def test_what_was_accepted_after_all_is_not_abandoned(made: Rig) -> None:
    """A job that another kernel has found meanwhile is not given up by one that still shows it in doubt."""
    one, two = made.kernel(), made.kernel()
    made.service.config.__dict__["seconds"] = 300.0
    job = doubtful(made, one)
    there = two.job(job.id)
    one.doubts.resolve(job, "adopt", one.doubts.candidates(job.rows[0])[0].task_id)
    for choice in ("abandon", "again"):
        with pytest.raises(CellError, match="not in doubt"):
            two.doubts.resolve(there, choice)

    assert one.need_home().ledger.get(job.id).state in ("accepted", "running")
    assert made.service.tasks_created == 1
