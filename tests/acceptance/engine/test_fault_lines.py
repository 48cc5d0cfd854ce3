"""Faults that no service makes: lines that cannot be reached, disks that are full, clocks that jump, other keys."""

from __future__ import annotations

import errno
import html
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.broken import BrokenLine, FullDisk
from tests.engine.kit import WAIT_S, Rig, ask, ended, rig, until
from wan_notebook.errors import JobError, JobExpired, JobRefused, JobTimeout, StoreError
from wan_notebook.jobs.submit import AT_ONCE
from wan_notebook.ledger.writer import Operation
from wan_notebook.present import Presenter
from wan_notebook.request import ImageRequest
from wan_notebook.session import Order
from wan_notebook.states import JobState
from wan_notebook.views.gallery import bundle
from wan_notebook.views.terminal import card_text

HOUR_S = 3600.0


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """A rig in this process."""
    with rig(tmp_path) as found:
        yield found


def broken(made: Rig, **counts: int) -> Counter[tuple[str, str]]:
    """Let requests fail before they are sent: ``submit_refused=2``."""
    plan: Counter[tuple[str, str]] = Counter()
    for name, count in counts.items():
        phase, _, kind = name.partition("_")
        plan[phase, kind] = count
    made.transport = lambda app: BrokenLine(app, plan)
    return plan


# ------------------------------------------------------------------ lines


@pytest.mark.parametrize("kind", ["refused", "dns", "connect_timeout"])
def test_what_was_certainly_not_sent_is_sent_again(made: Rig, kind: str) -> None:
    """Refused, unknown host, no connection in time: sent again with pauses, and paid once."""
    plan = broken(made, **{f"submit_{kind}": 4, f"poll_{kind}": 3, f"download_{kind}": 3})
    job = ended(ask(made.kernel(), seed=5))

    assert (job.status, made.service.tasks_created, not +plan) == ("saved", 1, True)


@pytest.mark.parametrize("kind", ["refused", "dns", "connect_timeout"])
def test_a_service_that_stays_away_is_given_up_unpaid(made: Rig, kind: str) -> None:
    """After a bounded number of attempts a submit is refused; nothing was sent, nothing is reserved."""
    broken(made, **{f"submit_{kind}": 1000})
    job = ended(ask(made.kernel(), seed=5))

    assert (job.status, made.service.tasks_created) == ("refused", 0)
    assert job.cost.amount == 0
    with pytest.raises(JobRefused, match="nothing was paid"):
        job.result(1)


def test_a_bad_certificate_stops_the_queue(made: Rig) -> None:
    """TLS: the submit is not repeated, the ones behind it are not tried, and the message names the certificate."""
    plan = broken(made, submit_tls=1000)
    job = ended(ask(made.kernel(), n=4))

    assert {live.state for live in job.lives} == {JobState.REFUSED}
    assert 1000 - plan["submit", "tls"] <= len(job.lives)
    assert "certificate" in job.rows[0].error_message


def test_a_bad_certificate_pauses_polls_and_stops_fetches(made: Rig) -> None:
    """TLS while polling: paused, then resumed. While fetching: the address is kept, and resuming fetches."""
    plan = broken(made, poll_tls=1, download_tls=1)
    session = made.kernel()
    job = ended(ask(session, seed=5))
    url = job.lives[0].row.pictures[0].url

    assert (job.status, bool(url), not +plan) == ("succeeded", True, True)
    with pytest.raises(JobError, match="certificate"):
        job.result(1)
    session.resume()
    until(lambda: job.status == "saved")
    assert job.result(1).files[0].is_file()
    assert made.service.tasks_created == 1


def test_a_login_page_in_the_picture_s_place_costs_no_picture(made: Rig) -> None:
    """The network answers every fetch itself: the job stays open with its address, and resuming fetches the picture."""
    session = made.kernel()
    made.arm("download.html_200:always")
    job = ended(ask(session, seed=5))

    assert (job.status, job.saved_pictures) == ("succeeded", ())
    with pytest.raises(JobError, match="something else in its place"):
        job.result(1)
    made.arm()
    session.resume()
    until(lambda: job.status == "saved")
    assert job.result(1).files[0].is_file()
    assert made.service.tasks_created == 1


def test_a_refused_address_is_fetched_once_more_by_hand(made: Rig) -> None:
    """403 for every picture, hours too early: the job is over, but its error says how its paid picture can be had."""
    session = made.kernel()
    made.arm("download.403:always")
    job = ended(ask(session, seed=5))
    task_id = job.rows[0].task_id
    with pytest.raises(JobExpired, match=f"`%wan resolve {job.id} adopt {task_id}`"):
        job.result(1)
    made.arm()
    session.doubts.resolve(job, "adopt", task_id)
    until(lambda: job.status == "saved")

    assert made.service.tasks_created == 1


def test_bytes_that_are_no_picture_say_where_they_are_and_came_from(made: Rig) -> None:
    """What came damaged every time is kept aside; text and page name the file, the address, and until when it holds."""
    session = made.kernel()
    made.arm("download.corrupt_crc:always")
    job = ended(ask(session, seed=5))
    (picture,) = job.rows[0].pictures
    card = Presenter(session, session.need_home()).card(job)

    assert picture.url
    for shown in (card_text(card), html.unescape(bundle(card)[0]["text/html"])):
        assert f"kept in {picture.corrupt_file}; the service has it until " in shown
        assert picture.url in shown


def test_what_a_service_says_and_what_to_do_is_in_the_error(made: Rig) -> None:
    """A refused job's error names status, code and the hint that fits the fault, also when it is read later."""
    session = made.kernel()
    made.arm("submit.401")
    job = ended(ask(session, seed=5))

    for found in (job, session.job(job.id)):
        with pytest.raises(JobRefused, match=r"HTTP 401.*`%wan login`") as caught:
            found.result(1)
        assert "→" not in str(caught.value)
        assert "\n" not in found.rows[0].error_message


def test_a_wait_in_vain_says_what_holds_the_job_up(made: Rig) -> None:
    """Whoever waited too long learns why: the key may not read the task, the network is away."""
    made.arm("poll.401:always")
    job = ask(made.kernel(), seed=5)
    until(lambda: bool(job.lives[0].note))
    with pytest.raises(JobTimeout, match="401"):
        job.result(0)


def test_an_hour_without_network_is_bridged(made: Rig) -> None:
    """Polls fail for an hour: the job stays running, its id is kept, and it is saved when the network is back."""
    plan = broken(made, poll_dns=10_000)
    made.service.config.__dict__["seconds"] = 5.0
    job = ask(made.kernel(), seed=5)
    until(lambda: plan["poll", "dns"] < 9_990)
    made.time.laptop_sleeps(HOUR_S)
    assert not job.is_done
    plan.clear()

    assert ended(job).status == "saved"


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize("dialect", ["gateway", "dashscope"])
def test_a_wrong_key_stops_the_queue_and_not_each_job(tmp_path: Path, dialect: str) -> None:
    """401 at submit: those that wait are not sent; with another key the same request is sent and made."""
    with rig(tmp_path, dialect=dialect, keys=frozenset({"key-two"})) as made:
        session = made.kernel()
        requests = tuple(ImageRequest(prompt=f"fox {seed}", seed=seed) for seed in range(40))
        job = ended(session.submit(Order(requests)))

        assert {live.state for live in job.lives} == {JobState.REFUSED}
        assert made.service.requests["POST", "submit"] <= AT_ONCE
        key = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}[dialect]
        session.sources.env[key] = "key-two"  # type: ignore[index]
        session.forget_clients()
        assert ended(ask(session, "fox 0", seed=0)).status == "saved"


def test_a_new_key_resumes_polls(tmp_path: Path) -> None:
    """401 while polling pauses all and fails none; the new key of the account goes on at once with every id."""
    with rig(tmp_path, keys=frozenset({"key-one"}), seconds=60.0) as made:
        session = made.kernel()
        jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(3)]
        until(lambda: all(job.lives[0].row.task_id for job in jobs))
        made.arm("poll.401:always")
        until(lambda: made.service.faults.struck["poll.401"] >= 1)
        polls = made.service.requests["GET", "poll"]
        assert not any(job.is_done for job in jobs)
        made.arm()
        session.forget_clients()

        assert {ended(job).status for job in jobs} == {"saved"}
        assert made.service.tasks_created == 3
        assert polls < 40
        assert len(made.clients) >= 2


def test_unknown_to_another_key_is_not_expired(tmp_path: Path) -> None:
    """A task that was asked for with another key is not shown to this one: it is kept, and other jobs are not held."""
    with rig(tmp_path, dialect="dashscope", seconds=3.0) as made:
        first = made.kernel()
        job = ask(first, seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        first.close()
        other = made.kernel(DASHSCOPE_API_KEY="key-of-another-account")
        live = other.resume()[0]
        until(lambda: "another one" in live.note)
        polls = made.service.requests["GET", "poll"]
        new = ended(ask(other, "a cat", seed=1))
        polls = made.service.requests["GET", "poll"] - polls

        assert new.status == "saved"
        assert not live.is_settled
        assert polls < 60
        other.sources.env["DASHSCOPE_API_KEY"] = "key-one"  # type: ignore[index]
        other.forget_clients()
        live.settled().result(WAIT_S)
        assert live.state == "saved"
        assert made.service.tasks_created == 2


def test_429_pauses_for_all(made: Rig) -> None:
    """One submit that is told to wait holds back the others; they are sent after it, each once."""
    made.service.config.__dict__["retry_after_s"] = 20
    made.arm("submit.429_retry_after")
    session = made.kernel()
    first = ask(session, "first", seed=1)
    until(lambda: made.service.faults.struck["submit.429_retry_after"] == 1)
    until(lambda: "trying again" in first.lives[0].note)
    gate = next(iter(session.need_home().engine.services._known.values())).gate
    until(lambda: gate.paused_until_s > made.time.clock() + 2)
    over_at = gate.paused_until_s - made.time.clock() + made.time.wall_clock()
    others = [ask(session, f"other {i}", seed=i) for i in range(5)]

    assert {ended(job).status for job in [first, *others]} == {"saved"}
    events = [event for job in others for event in session.need_home().ledger.events(job.id)]
    assert min(event.at for event in events if event.state == "sending") > over_at - 1.0
    assert made.service.tasks_created == 6


# ------------------------------------------------------------------ clocks


def test_polling_ends_when_24_hours_are_over(made: Rig) -> None:
    """A task that the service has forgotten after a day is expired, once it was asked for."""
    made.service.config.__dict__["seconds"] = 100.0
    job = ask(made.kernel(), seed=5)
    until(lambda: bool(job.lives[0].row.task_id))
    made.time.laptop_sleeps(49 * HOUR_S)

    assert ended(job).status == "expired"
    assert made.service.tasks_created == 1


def test_a_task_that_runs_for_more_than_a_day_is_polled_no_more(tmp_path: Path) -> None:
    """The service still calls it running after its 24 hours: no poll by itself, none expired; resuming asks once."""
    with rig(tmp_path, seconds=HOUR_S, clock=time.time) as made:  # the laptop's clock goes on, not the service's
        session = made.kernel()
        job = ask(session, seed=5)
        until(lambda: job.status == "running")
        made.time.laptop_sleeps(25 * HOUR_S)
        with pytest.raises(JobError, match=r"24 hours are over.*`%wan resume`"):
            job.result(WAIT_S)
        polls = made.service.requests["GET", "poll"]
        session.resume()
        until(lambda: made.service.requests["GET", "poll"] == polls + 1)
        until(lambda: bool(job.lives[0].stopped))

        assert made.service.requests["GET", "poll"] == polls + 1
        assert job.status == "running"


def test_a_day_with_a_network_that_is_still_away_expires_nothing_yet(made: Rig) -> None:
    """After a day's sleep the first failing queries are no verdict: the task is asked for before it is given up."""
    plan = broken(made)
    made.service.config.__dict__["seconds"] = 200.0
    job = ask(made.kernel(), seed=5)
    until(lambda: bool(job.lives[0].row.task_id))
    plan["poll", "dns"] = 3
    made.time.laptop_sleeps(24.5 * HOUR_S)  # the service keeps the result for a day after it was made

    assert ended(job).status in ("saved", "expired")
    assert plan["poll", "dns"] == 0


def test_after_a_sleep_all_are_asked_once_paced(tmp_path: Path) -> None:
    """A laptop that slept for an hour asks for every task again, below the limit, not all in one moment."""
    with rig(tmp_path, seconds=600.0, speed=20.0) as made:
        session = made.kernel(WAN_QUERIES_PER_S="20")
        jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(30)]
        until(lambda: all(job.lives[0].row.task_id for job in jobs))
        before = made.service.requests["GET", "poll"]
        woke_s = made.time.clock()
        made.time.laptop_sleeps(HOUR_S)
        for job in jobs:
            ended(job)
        took_s = made.time.clock() - woke_s

        assert {job.status for job in jobs} == {"saved"}
        asked = made.service.requests["GET", "poll"] - before
        assert asked <= 20 * took_s + 20


# ------------------------------------------------------------------ disks


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_refuses_before_money_is_spent(made: Rig, code: int) -> None:
    """Full or read-only at submit: an error that says so, no row, no request."""
    session = made.kernel()
    disk = session.need_home().store._files = FullDisk()
    disk.errno = code
    with pytest.raises(StoreError):
        ask(session, seed=5)

    assert made.service.requests["POST", "submit"] == 0
    assert session.need_home().ledger.open_jobs() == []


def test_a_full_disk_at_download_keeps_the_bytes(made: Rig) -> None:
    """Bytes that cannot be written wait in memory, the job is not called saved; they are written once there is room."""
    session = made.kernel()
    disk = session.need_home().store._files = FullDisk()
    made.service.config.__dict__["seconds"] = 1.0
    job = ask(session, seed=5)
    disk.errno = errno.ENOSPC
    held = session.need_home().engine._course._held
    until(lambda: held.bytes_now > 0)
    downloads = made.service.images_served
    until(lambda: disk.refused > 6)

    assert job.status == "succeeded"
    assert "disk" in job.lives[0].note
    made.arm("download.403:always")  # what is in memory is not fetched again
    disk.errno = 0
    assert ended(job).status == "saved"
    assert made.service.images_served == downloads
    assert held.bytes_now == 0


def test_bytes_in_memory_have_a_bound(made: Rig) -> None:
    """Beyond the bound nothing more is kept in memory; the pictures stay at the service and come later."""
    session = made.kernel()
    home = session.need_home()
    disk = home.store._files = FullDisk()
    held = home.engine._course._held
    held.most_bytes = 1
    made.service.config.__dict__["seconds"] = 100.0  # so that the disk is full before the first of them is done
    jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(3)]
    disk.errno = errno.ENOSPC
    until(lambda: all("disk" in job.lives[0].note for job in jobs))
    until(lambda: disk.refused > 12)
    size = len(made.service.config.fixed_picture)

    assert held.bytes_now <= size
    disk.errno = 0
    assert {ended(job).status for job in jobs} == {"saved"}


class FullLedger:
    """Lets the ledger's transactions fail as on a full disk, as long as it is on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self.refused = 0
        run = Operation.run

        def failing(operation: Operation[Any], connection: sqlite3.Connection, *, alone: bool) -> bool:
            if self.is_full:
                self.refused += 1
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return run(operation, connection, alone=alone)

        monkeypatch.setattr(Operation, "run", failing)
        self._monkeypatch = monkeypatch

    def fills_up_at_submit(self, made: Rig) -> None:
        """Let it fill up while the service takes an order."""
        submit = made.app.state.simulator.submit

        async def fill(*args: Any, **options: Any) -> Any:
            self.is_full = True
            return await submit(*args, **options)

        self._monkeypatch.setattr(made.app.state.simulator, "submit", fill)


def test_an_id_that_cannot_be_written_is_kept_until_it_can(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up while a submit is under way: the task's id waits in memory, and nothing is sent again."""
    disk = FullLedger(monkeypatch)
    session = made.kernel()
    session.need_home()
    disk.fills_up_at_submit(made)
    job = ask(session, seed=5)
    until(lambda: disk.refused > 3)

    assert job.status == "sending"
    assert "kept in memory" in job.lives[0].note
    disk.is_full = False
    assert ended(job).status == "saved"
    assert made.service.tasks_created == 1


def test_an_id_that_waits_for_room_is_written_when_the_kernel_ends(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt would come in seconds, and there is room by now: the end of the kernel does not wait for it."""
    disk = FullLedger(monkeypatch)
    session = made.kernel(speed=False)
    session.need_home()
    disk.fills_up_at_submit(made)
    monkeypatch.setattr("wan_notebook.jobs.moves.FIRST_WAIT_S", HOUR_S)
    monkeypatch.setattr("wan_notebook.jobs.moves.LONGEST_WAIT_S", HOUR_S)
    job = ask(session, seed=5)
    until(lambda: "kept in memory" in job.lives[0].note)
    task = job.lives[0].unwritten_task
    assert f"(task {task})" in job.lives[0].note
    disk.is_full = False
    session.close()

    (row,) = made.kernel().need_home().ledger.open_jobs()
    assert (row.state, row.task_id) == ("accepted", task)


def test_what_may_not_be_written_is_not_sent(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger takes the row and then nothing more: the POST is not made; when there is room, resuming sends it."""
    disk = FullLedger(monkeypatch)
    session = made.kernel()
    home = session.need_home()
    create = home.ledger.create_jobs

    def create_then_fill(*args: Any, **options: Any) -> Any:
        ids = create(*args, **options)
        disk.is_full = True
        return ids

    monkeypatch.setattr(home.ledger, "create_jobs", create_then_fill)
    job = ended(ask(session, seed=5))

    with pytest.raises(JobError, match="disk is full"):
        job.result(1)
    assert made.service.requests["POST", "submit"] == 0
    disk.is_full = False
    session.resume()
    until(lambda: job.status == "saved")
    assert made.service.tasks_created == 1
