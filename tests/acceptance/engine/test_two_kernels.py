"""Several kernels on one ledger: one works, the others watch; nothing is asked twice, nothing is bought twice."""

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit import WAIT_S, Rig, ask, database_of, ended, project_of, rig, row_of, side_by_side, until
from wan_notebook.session import Session

LEASE_S = 15.0


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """A rig in which a lease of 15 s lasts 0.75 s, which a busy machine does not outlast."""
    with rig(tmp_path, seconds=10.0, speed=20.0) as found:
        yield found


def at_the_service(session: Session, **options: Any) -> Any:
    """Return a job whose task has its id."""
    job = ask(session, seed=5, **options)
    until(lambda: bool(job.rows[0].task_id))
    return job


def becomes(session: Session, **changes: Any) -> None:
    """Let a kernel be another process or run on another machine, as far as its leases say."""
    worker = project_of(session).worker
    worker.owner = replace(worker.owner, **changes)


def goes_silent(session: Session) -> None:
    """End a kernel as a crash does: nothing is released."""
    session.background.stop(1.0)


def works_on(session: Session, job: Any) -> bool:
    """Whether a kernel holds a job."""
    return row_of(session, job).owner_token == project_of(session).worker.owner.token


def test_one_works_and_the_other_watches(made: Rig) -> None:
    """A job has one owner; the second kernel asks the service nothing, and shows the same states and pictures.

    However often a kernel is told to resume, the job is asked for and fetched by one.
    """
    one, two = made.kernel(), made.kernel()
    job = at_the_service(one)
    for session in (one, two, two, one, two):
        session.resume()
    asked_by_two = made.clients_of(two)
    seen = two.job(job.id)
    states: list[str] = []
    seen.tracked[0].listen(lambda tracked: states.append(str(tracked.status)))
    ended(seen)
    assert seen.files == ended(job).files
    assert states[-1] == "saved"
    assert made.clients_of(two) == asked_by_two == 0
    assert made.service.images_served == len(list(made.folder.glob("2*/*.png"))) == 1
    assert made.service.tasks_created == 1


@pytest.mark.parametrize("end", ["killed", "restarted"])
def test_a_kernel_that_is_no_more_is_replaced_at_once(tmp_path: Path, end: str) -> None:
    """A dead process holds no lease, and Kernel → Restart gives it back: nobody waits for the lease's end."""
    with rig(tmp_path, seconds=0.5, speed=1.0) as made:
        one = made.kernel()
        if end == "killed":
            gone = subprocess.Popen(["true"])
            gone.wait()
            becomes(one, pid=gone.pid)
        at_the_service(one)
        (goes_silent if end == "killed" else Session.close)(one)
        (tracked,) = made.kernel().resume()
        tracked.settled().result(LEASE_S / 2)
        assert tracked.status == "saved"
        assert made.service.tasks_created == 1


def test_an_owner_elsewhere_is_replaced_after_its_lease(made: Rig) -> None:
    """Whether a kernel on another machine lives cannot be seen: its job is left alone until its lease is over."""
    one = made.kernel()
    becomes(one, host="elsewhere")
    job = at_the_service(one)
    goes_silent(one)
    lease_until = row_of(one, job).lease_until or 0
    two = made.kernel()
    (tracked,) = two.resume()
    until(lambda: works_on(two, job))
    assert made.time.wall_clock() >= lease_until
    tracked.settled().result(WAIT_S)
    assert tracked.status == "saved"
    assert made.service.tasks_created == 1


def test_what_another_machine_did_not_send_is_sent_by_the_same_call(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that was joined before it was sent is sent here once its owner's lease is over, and once only."""
    one, two = made.kernel(), made.kernel()
    becomes(one, host="elsewhere")
    monkeypatch.setattr(project_of(one).worker, "start", lambda *_: None)
    job = ask(one, seed=5)
    goes_silent(one)
    joined = ask(two, seed=5)
    assert (joined.id, str(joined.status)) == (job.id, "intent")
    assert str(ended(joined).status) == "saved"
    assert works_on(two, joined) or row_of(two, job).owner_token == ""
    assert made.service.tasks_created == 1


def test_a_kernel_that_slept_too_long_stops_and_watches(tmp_path: Path) -> None:
    """A kernel that could not renew finds its job taken: it asks no more and shows what the other one does."""
    with rig(tmp_path, seconds=30.0, speed=6.0) as made:  # slow enough for a busy machine to renew in time
        one, two = made.kernel(), made.kernel()
        job = at_the_service(one)
        asleep = threading.Event()
        one.background.call(asleep.wait, WAIT_S)
        two.resume()
        until(lambda: works_on(two, job))
        asleep.set()
        assert ended(job).status == "saved"
        assert works_on(two, job) or row_of(two, job).owner_token == ""
        assert made.service.images_served == 1


def test_two_kernels_stay_below_the_limits_together(tmp_path: Path) -> None:
    """With the service's limits enforced, two kernels with many jobs each lose none."""
    limits = {"WAN_QUERIES_PER_S": "20", "WAN_SUBMITS_PER_S": "5", "WAN_IN_FLIGHT": "5"}
    with rig(tmp_path, seconds=2.0, queries_per_s=20.0, submits_per_s=5.0, in_flight=5, speed=10.0) as made:
        kernels = [made.kernel(**limits) for _ in range(2)]
        jobs = [ask(kernels[i % 2], f"fox {i}", seed=i) for i in range(10)]
        assert {str(ended(job).status) for job in jobs} == {"saved"}
        assert made.service.tasks_created == 10


def test_the_same_request_at_the_same_time_is_bought_once(tmp_path: Path) -> None:
    """Two kernels that ask the same in the same moment make one task and show one picture."""
    with rig(tmp_path, seconds=1.0, speed=10.0) as made:
        kernels = [made.kernel(), made.kernel()]
        for seed in range(4):
            jobs = side_by_side(*(partial(ask, session, seed=seed) for session in kernels))
            assert jobs[0].id == jobs[1].id
            assert {str(ended(job).status) for job in jobs} == {"saved"}
        assert made.service.tasks_created == 4


def test_several_pictures_without_a_seed_are_joined_as_one_request(tmp_path: Path) -> None:
    """A seedless request for three pictures that is on its way is joined whole, its saved pictures included.

    Nothing is bought again, in the same kernel or another one, and the seeds stay s, s+1, s+2.
    """
    with rig(tmp_path, seconds=60.0, speed=20.0) as made:
        one, two = made.kernel(), made.kernel()
        first = ask(one, n=3)
        until(lambda: all(row.task_id for row in first.rows))
        with pytest.warns(UserWarning, match="the same request"):
            again, there = ask(one, n=3), ask(two, n=3)
        made.configure(seconds=0.0)
        seeds = [row.seed for row in first.rows]
        assert seeds == [seeds[0], (seeds[0] or 0) + 1, (seeds[0] or 0) + 2]
        for job in (again, there):
            assert [row.id for row in job.rows] == [row.id for row in first.rows]
            assert job.request.seed == seeds[0]
        assert ended(there).status == "saved"
        assert made.service.tasks_created == 3


def test_a_request_that_is_partly_saved_is_still_joined(tmp_path: Path) -> None:
    """As long as one of its pictures is to come, a seedless request run again shows the saved ones beside it."""
    with rig(tmp_path, speed=20.0) as made:
        one = made.kernel()
        made.arm("submit.reset_after@1")  # the second task's answer is lost
        first = ended(ask(one, "fox", n=2))
        made.arm()
        assert sorted(str(row.status) for row in first.rows) == ["in_doubt", "saved"]
        with pytest.warns(UserWarning, match="the same request"):
            again = ask(one, "fox", n=2)
        assert [row.id for row in again.rows] == [row.id for row in first.rows]
        assert made.service.tasks_created == 2


@pytest.mark.parametrize("choice", ["adopt", "abandon"])
def test_a_doubt_decided_in_one_kernel_is_seen_in_the_others(tmp_path: Path, choice: str) -> None:
    """The kernel that was in doubt, and one that joined, show what a person decided elsewhere, and its pictures."""
    with rig(tmp_path, provider="dashscope", speed=20.0) as made:
        one, two, three = made.kernel(), made.kernel(), made.kernel()
        made.arm("submit.reset_after")
        job = ended(ask(one, seed=5))
        joined = ended(ask(two, seed=5))
        other = three.job(job.id)
        assert (str(job.status), joined.id, str(joined.status)) == ("in_doubt", job.id, "in_doubt")
        three.resolve(other, choice, next(iter(made.service.tasks)) if choice == "adopt" else "")
        end = "saved" if choice == "adopt" else "expired"
        until(lambda: job.status == joined.status == end)
        files = [[picture.file for picture in found.rows[0].pictures] for found in (job, joined, ended(other))]
        assert files[0] == files[1] == files[2]
        assert made.service.tasks_created == 1
        assert database_of(one).get(job.id).status == end
