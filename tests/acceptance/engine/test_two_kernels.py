"""Several kernels on one ledger: one works, the others watch; nobody asks twice, nobody buys twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kit import WAIT_S, Rig, ask, ended, rig, until
from wan_notebook.jobs.leases import Leases, process_start
from wan_notebook.ledger import Owner
from wan_notebook.session import Session

LEASE_S = 15.0


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """Two kernels' house; a lease of 15 s lasts 0.75 s here, which a noisy machine does not outlast."""
    with rig(tmp_path, seconds=10.0, speed=20.0) as found:
        yield found


def leases_of(session: Session) -> Leases:
    """Return who a kernel is."""
    return session.need_home().engine.leases


def goes_silent(session: Session) -> None:
    """End a kernel as a crash does: nothing is let go of."""
    session.runtime.stop()


def is_working(session: Session, job_id: str) -> bool:
    """Whether a kernel works on a job."""
    return job_id in session.need_home().engine._running


def test_one_works_and_the_other_watches(made: Rig) -> None:
    """A job has one owner; the second kernel asks the service nothing, and shows the same states and pictures."""
    one, two = made.kernel(), made.kernel()
    job = ask(one, seed=5)
    until(lambda: bool(job.lives[0].row.task_id))
    seen = two.job(job.id)
    states: list[str] = []
    seen.lives[0].listen(lambda live: states.append(str(live.state)))
    ended(seen)

    assert not is_working(two, job.id)
    assert seen.files == ended(job).files
    assert states[-1] == "saved"
    assert two.providers.clients == ()
    assert made.service.tasks_created == 1


def test_resuming_twice_works_once(made: Rig) -> None:
    """However often a kernel is told to resume, and whoever owns the job, it is asked for and fetched by one."""
    one, two = made.kernel(), made.kernel()
    job = ask(one, seed=5)
    until(lambda: bool(job.lives[0].row.task_id))
    for session in (one, two, two, one, two):
        session.resume()
    ended(job)

    assert made.service.images_served == 1
    assert len(list(made.folder.glob("2*/*.png"))) == 1


def test_a_dead_local_owner_is_replaced_at_once(tmp_path: Path) -> None:
    """A process that is no more cannot hold a lease: its job is taken up without waiting for the lease to run out."""
    with rig(tmp_path, seconds=0.5, speed=1.0) as made:
        gone = subprocess.Popen([sys.executable, "-c", "pass"])
        gone.wait()
        one = made.kernel()
        leases_of(one).owner = replace(leases_of(one).owner, pid=gone.pid, started=1.0)
        job = ask(one, seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        goes_silent(one)
        two = made.kernel()
        live = two.resume()[0]
        live.settled().result(LEASE_S / 2)

        assert live.state == "saved"
        assert made.service.tasks_created == 1


def test_a_reused_process_id_is_no_life(tmp_path: Path) -> None:
    """Another process with the dead one's id started at another time: the owner counts as dead."""
    with rig(tmp_path) as made:
        leases = leases_of(made.kernel())
        me = leases.owner
        started = process_start(1) or 0.0

        assert leases.is_dead(Owner(host=me.host, pid=1, started=started + 3600, token="x"))
        assert not leases.is_dead(Owner(host=me.host, pid=1, started=started, token="x"))
        assert not leases.is_dead(Owner(host="elsewhere", pid=2**22 + 1, started=1.0, token="x"))


def test_an_owner_elsewhere_is_replaced_after_its_lease(made: Rig) -> None:
    """Whether a kernel on another machine lives, nobody can see: it is waited for until its lease is over."""
    one = made.kernel()
    leases_of(one).owner = replace(leases_of(one).owner, host="elsewhere")
    job = ask(one, seed=5)
    until(lambda: bool(job.lives[0].row.task_id))
    goes_silent(one)
    row = one.need_home().ledger.get(job.id)
    two = made.kernel()
    live = two.resume()[0]
    until(lambda: is_working(two, job.id))

    assert made.time.wall_clock() >= (row.lease_until or 0)
    live.settled().result(WAIT_S)
    assert live.state == "saved"
    assert made.service.tasks_created == 1


def test_a_closed_kernel_lets_go_at_once(tmp_path: Path) -> None:
    """Kernel → Restart: the next kernel need not wait for the lease."""
    with rig(tmp_path, seconds=0.4, speed=1.0) as made:
        one = made.kernel()
        job = ask(one, seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        one.close()
        live = made.kernel().resume()[0]
        live.settled().result(LEASE_S / 2)

        assert live.state == "saved"


def test_who_slept_too_long_stops_and_watches(tmp_path: Path) -> None:
    """A kernel that could not renew finds its job taken: it asks no more and shows what the other one does."""
    with rig(tmp_path, seconds=30.0, speed=6.0) as made:  # slow enough for a busy machine to renew in time
        one, two = made.kernel(), made.kernel()
        job = ask(one, seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        asleep = threading.Event()
        one.runtime.call(asleep.wait, WAIT_S)
        two.resume()
        until(lambda: is_working(two, job.id))
        asleep.set()
        until(lambda: not is_working(one, job.id))
        until(lambda: is_working(two, job.id))  # a last word of the first one's may make it look again

        assert ended(job).status == "saved"
        assert made.service.images_served == 1


def test_the_limit_is_shared(tmp_path: Path) -> None:
    """Each of two kernels with open jobs of one account uses half of the limit, and all of it once it is alone."""
    with rig(tmp_path, seconds=30.0, speed=20.0) as made:
        one, two = made.kernel(WAN_QUERIES_PER_S="20"), made.kernel(WAN_QUERIES_PER_S="20")
        long = [ask(one, f"long [[30s]] {i}", seed=i) for i in range(2)]
        short = [ask(two, f"short {i}", seed=i) for i in range(2)]

        def rates() -> list[float]:
            services = [s.need_home().engine.services._known.values() for s in (one, two)]
            return [round(service.poller.pacer._full_per_s, 3) for known in services for service in known]

        until(lambda: rates() == [9.5, 9.5])
        made.service.config.__dict__["seconds"] = 0.0
        for job in short:
            ended(job)
        more = ask(one, "long again", seed=9)
        until(lambda: rates()[0] == 19.0 or all(job.is_done for job in [*long, more]))

        assert rates()[0] == 19.0


def test_two_kernels_stay_below_the_limit_together(tmp_path: Path) -> None:
    """With the service's limit enforced, two kernels with many jobs each lose none."""
    with rig(tmp_path, seconds=8.0, queries_per_s=20.0, speed=10.0) as made:
        kernels = [made.kernel(WAN_QUERIES_PER_S="20") for _ in range(2)]
        jobs = [ask(kernels[i % 2], f"fox {i}", seed=i) for i in range(40)]

        assert {ended(job).status for job in jobs} == {"saved"}
        assert made.service.tasks_created == 40


def test_the_same_request_at_the_same_time_is_bought_once(tmp_path: Path) -> None:
    """Two kernels that order the same thing in the same moment make one task and show one picture."""
    with rig(tmp_path, seconds=1.0, speed=10.0) as made:
        kernels = [made.kernel(), made.kernel()]
        for seed in range(8):
            start, jobs = threading.Barrier(2), []

            def order(session: Session, start: Any = start, jobs: Any = jobs, seed: int = seed) -> None:
                start.wait()
                jobs.append(ask(session, seed=seed))

            threads = [threading.Thread(target=order, args=(session,)) for session in kernels]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert jobs[0].id == jobs[1].id
            assert {ended(job).status for job in jobs} == {"saved"}

        assert made.service.tasks_created == 8


def test_what_another_kernel_finished_meanwhile_is_not_bought_again(tmp_path: Path) -> None:
    """The other kernel's answer came between this one's look and its order: it is shown, nothing is sent."""
    with rig(tmp_path) as made:
        one, two = made.kernel(), made.kernel()
        lookup = two._lookup

        def slow_lookup(*args: Any, **options: Any) -> Any:
            found = lookup(*args, **options)
            ended(ask(one, seed=5))
            return replace(found, ledger=None)  # what it saw before

        two._lookup = slow_lookup  # type: ignore[method-assign]
        job = ask(two, seed=5)

        assert job.replayed == {job.id}
        assert made.service.tasks_created == 1


def test_several_pictures_without_a_seed_are_joined_as_one_request(tmp_path: Path) -> None:
    """A seedless request for three pictures that is on its way is joined whole, its saved pictures included.

    Nothing is bought again, in the same kernel or another one, and the seeds stay s, s+1, s+2.
    """
    with rig(tmp_path, seconds=60.0, speed=20.0) as made:
        one, two = made.kernel(), made.kernel()
        first = ask(one, n=3)
        until(lambda: all(live.row.task_id for live in first.lives))
        again, there = ask(one, n=3), ask(two, n=3)
        made.service.config.__dict__["seconds"] = 0.0

        seeds = [live.row.seed for live in first.lives]
        assert seeds == [seeds[0], (seeds[0] or 0) + 1, (seeds[0] or 0) + 2]
        for job in (again, there):
            assert [live.id for live in job.lives] == [live.id for live in first.lives]
            assert job.request.seed == seeds[0]
        assert ended(there).status == "saved"
        assert made.service.tasks_created == 3


def test_a_request_that_is_partly_saved_is_still_joined(tmp_path: Path) -> None:
    """As long as one of its pictures is to come, a seedless request run again shows the saved ones beside it."""
    with rig(tmp_path, seconds=0.0, speed=20.0) as made:
        one = made.kernel(WAN_REPLAY="off")
        first = ask(one, "fox", n=2)
        ended(first)
        ledger = one.need_home().ledger
        last = first.lives[1].id
        ledger._writer.put(ledger._writer.operation(lambda tx: tx.connection.execute(
            "UPDATE jobs SET state='in_doubt' WHERE id=?", [last]))).result()  # fmt: skip
        again = ask(one, "fox", n=2)

        assert [live.id for live in again.lives] == [live.id for live in first.lives]
        assert made.service.tasks_created == 2


def test_a_corrected_clock_kills_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is set by hours, and the moment of boot with it, leaves a living owner alive."""
    with rig(tmp_path) as made:
        leases = leases_of(made.kernel())
        read = Path.read_text

        def corrected(path: Path, *args: Any, **options: Any) -> str:
            text = read(path, *args, **options)
            if str(path) != "/proc/stat":
                return text
            return "\n".join("btime 1" if line.startswith("btime") else line for line in text.splitlines())

        other = Owner(host=leases.owner.host, pid=1, started=process_start(1) or 0.0, token="x")
        monkeypatch.setattr(Path, "read_text", corrected)

        assert not leases.is_dead(other)


@pytest.mark.parametrize("choice", ["adopt", "abandon"])
def test_a_doubt_decided_in_one_kernel_is_seen_in_the_others(tmp_path: Path, choice: str) -> None:
    """The kernel that was in doubt, and one that joined, show what a person decided elsewhere, and its pictures."""
    with rig(tmp_path, dialect="dashscope") as made:
        one, two, three = made.kernel(), made.kernel(), made.kernel()
        made.arm("submit.reset_after")
        job = ended(ask(one, seed=5))
        joined = ended(ask(two, seed=5))
        other = three.job(job.id)
        assert (job.status, joined.id, joined.status) == ("in_doubt", job.id, "in_doubt")
        task_id = three.doubts.candidates(other.rows[0])[0].task_id
        three.doubts.resolve(other, choice, task_id if choice == "adopt" else "")
        end = "saved" if choice == "adopt" else "expired"
        until(lambda: job.status == joined.status == end)

        assert job.rows[0].pictures == joined.rows[0].pictures == ended(other).rows[0].pictures
        assert made.service.tasks_created == 1
