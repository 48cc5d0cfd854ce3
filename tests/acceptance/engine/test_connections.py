"""Faults that no service makes: connections that fail, other keys, clocks that jump."""

import time
from pathlib import Path

import pytest

from tests.fakes.faults import Reply
from tests.kit import KEY_VARIABLE, WAIT_S, Rig, ask, database_of, ended, rig, set_env, until
from wan_notebook.display import job_bundle
from wan_notebook.errors import JobError, JobExpired, JobRefused

HOUR_S = 3600.0


def test_a_bad_certificate_pauses_polls_and_stops_downloads(made: Rig) -> None:
    """TLS while polling: paused, then resumed. While downloading: the address is kept, and resuming fetches."""
    made.arm("poll.tls", "download.tls")
    session = made.kernel()
    job = ended(ask(session, seed=5))
    url = job.rows[0].pictures[0].url
    assert (str(job.status), bool(url), made.struck.total()) == ("succeeded", True, 2)
    with pytest.raises(JobError, match="certificate"):
        job.result(1)
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
    assert ask(made.kernel(), seed=5).id == job.id, "what may still be fetched is not bought again"
    session.resolve(job, "adopt", task_id)
    until(lambda: job.status == "saved")
    assert made.service.tasks_created == 1


def test_bytes_that_are_not_a_picture_say_where_they_are_and_came_from(made: Rig) -> None:
    """What came damaged every time is kept aside; text and page name the file and the address."""
    session = made.kernel()
    made.arm("download.corrupt_crc:always")
    job = ended(ask(session, seed=5))
    (picture,) = job.rows[0].pictures
    data, _ = job_bundle(job, session)
    assert picture.url
    assert (made.folder / picture.corrupt_file).is_file()
    for shown in (data["text/plain"], data["text/html"]):
        assert picture.corrupt_file in shown


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    ("provider", "fault", "words"),
    [("gateway", "", "401"), ("dashscope", "", "401"), ("gateway", "submit.tls:always", "certificate")],
)
def test_what_no_submit_can_pass_stops_the_queue(tmp_path: Path, provider: str, fault: str, words: str) -> None:
    """A wrong key, a bad certificate: those that wait are not sent; once it is mended the same request is made.

    The error names the status, with the hint that fits the fault, also when it is read later.
    """
    with rig(tmp_path, provider=provider, keys=frozenset({"key-one" if fault else "key-two"})) as made:
        session = made.kernel()
        made.arm(*fault.split())
        job = ended(ask(session, "fox", seed=range(20)))
        assert {str(row.status) for row in job.rows} == {"refused"}
        for found in (job, session.job(job.id)):
            with pytest.raises(JobRefused, match=words) as caught:
                found.result(1)
            assert ("SSL_CERT_FILE" if fault else "%wan login") in f"{caught.value} {caught.value.hint}"
        assert "reported" not in job_bundle(job, session)[0]["text/plain"]  # nobody named an amount (USER_TRIAL P5.2)
        assert made.service.requests["submit"] + made.struck["submit.tls"] <= 10
        made.arm()
        set_env(session, **({} if fault else {KEY_VARIABLE[provider]: "key-two"}))
        session.forget_clients()
        assert ended(ask(session, "fox", seed=0)).status == "saved"


def test_a_new_key_resumes_polls(tmp_path: Path) -> None:
    """401 while polling pauses all and fails none; the new key of the account goes on at once with every id."""
    with rig(tmp_path, keys=frozenset({"key-one"}), seconds=300.0) as made:
        session = made.kernel()
        jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(3)]
        until(lambda: all(job.rows[0].task_id for job in jobs))
        made.arm("poll.401:always")
        until(lambda: made.struck["poll.401"] >= 1)
        assert not any(job.is_done for job in jobs)
        made.arm()
        session.forget_clients()
        assert {str(ended(job).status) for job in jobs} == {"saved"}
        assert made.service.tasks_created == 3
        assert made.struck["poll.401"] < 40


def test_unknown_to_another_key_is_not_expired(tmp_path: Path) -> None:
    """A task that was asked for with another key is not shown to this one: it is kept, and other jobs are not held."""
    with rig(tmp_path, provider="dashscope", seconds=3.0) as made:
        first = made.kernel()
        job = ask(first, seed=5)
        until(lambda: bool(job.rows[0].task_id))
        first.close()
        other = made.kernel(DASHSCOPE_API_KEY="key-of-another-account")
        (tracked,) = other.resume(foreign=True)
        until(lambda: bool(tracked.note or tracked.stopped))
        polls = made.service.requests["poll"]
        new = ended(ask(other, "a cat", seed=1))
        polls = made.service.requests["poll"] - polls
        assert new.status == "saved"
        assert tracked.status == "accepted"
        assert polls < 60
        set_env(other, DASHSCOPE_API_KEY="key-one")
        other.forget_clients()
        other.resume()
        tracked.settled().result(WAIT_S)
        assert tracked.status == "saved"
        assert made.service.tasks_created == 2


def test_429_pauses_for_all(made: Rig) -> None:
    """One submit that is told to wait holds back the others; they are sent after it, each once."""
    made.faults.retry_after_s = 20
    made.arm("submit.429_retry_after")
    session = made.kernel()
    first = ask(session, "first", seed=1)
    until(lambda: made.struck["submit.429_retry_after"] == 1)
    told_at = made.time.wall_clock()
    until(lambda: bool(first.tracked[0].note))
    others = [ask(session, f"other {i}", seed=i) for i in range(5)]
    assert {str(ended(job).status) for job in [first, *others]} == {"saved"}
    sent = [e.at for job in others for e in database_of(session).events(job.id) if e.status == "sending"]
    assert min(sent) > told_at + 15
    assert made.service.tasks_created == 6


@pytest.mark.parametrize("fault", ["429", "429_retry_after"])
def test_a_service_that_is_busy_for_long_fails_no_job(made: Rig, fault: str) -> None:
    """429 is proof that no task was made: the job waits, unsent and free to cancel, until the service takes it.

    The row then has the key that sent it, which may be another one by now: who asks with the first one is told nothing.
    """
    made.arm(f"submit.{fault}:always")
    session = made.kernel()
    job, other = ask(session, seed=5), ask(session, seed=6)
    until(lambda: made.struck[f"submit.{fault}"] >= 5)
    assert not job.is_done
    assert made.service.tasks_created == 0
    until(lambda: "nothing is paid" in other.cancel())  # while it is being sent it says: cancel again
    set_env(session, WAN_API_KEY="key-two")
    made.arm()
    assert (str(ended(job).status), str(ended(other).status)) == ("saved", "cancelled")
    assert job.rows[0].key_fingerprint == session.settings().key_fingerprint
    assert made.service.tasks_created == 1


# ------------------------------------------------------------------ clocks


@pytest.mark.parametrize(("hours", "ends"), [(1, "saved"), (24.5, "saved expired"), (49, "expired")])
def test_hours_without_a_network_are_no_verdict(made: Rig, hours: float, ends: str) -> None:
    """After a sleep the task is asked for before it is given up; a service forgets it after a day."""
    made.configure(seconds=200.0)
    job = ask(made.kernel(), seed=5)
    until(lambda: bool(job.rows[0].task_id))
    made.arm("poll.dns:always")
    made.time.jump(hours * HOUR_S)
    until(lambda: made.struck["poll.dns"] > 3)
    assert not job.is_done
    made.arm()
    assert str(ended(job).status) in ends.split()
    assert made.service.tasks_created == 1


def test_a_task_that_runs_for_more_than_a_day_is_polled_no_more(tmp_path: Path) -> None:
    """The service still calls it running after its 24 hours: no poll by itself, none expired; resuming asks once."""
    with rig(tmp_path, seconds=HOUR_S, clock=time.time, pending_share=0.0) as made:  # only the laptop's clock goes on
        session = made.kernel()
        job = ask(session, seed=5)
        until(lambda: job.status == "running")
        made.time.jump(25 * HOUR_S)
        with pytest.raises(JobError, match="24 hours"):
            job.result(WAIT_S)
        polls = made.service.requests["poll"]
        session.resume()
        until(lambda: made.service.requests["poll"] == polls + 1)
        until(lambda: bool(job.tracked[0].stopped))
        assert made.service.requests["poll"] == polls + 1
        assert job.status == "running"


def test_after_a_sleep_all_are_asked_once_paced(tmp_path: Path) -> None:
    """A laptop that slept for an hour asks for every task again, below the limit, not all in one moment."""
    with rig(tmp_path, seconds=600.0, speed=20.0) as made:
        session = made.kernel(WAN_QUERIES_PER_S="8")
        jobs = [ask(session, f"fox {seed}", seed=seed) for seed in range(12)]
        until(lambda: all(job.rows[0].task_id for job in jobs))
        before, woke_s = made.service.requests["poll"], made.time.clock()
        made.time.jump(HOUR_S)
        for job in jobs:
            ended(job)
        took_s = made.time.clock() - woke_s
        assert {str(job.status) for job in jobs} == {"saved"}
        assert made.service.requests["poll"] - before <= 8 * took_s + 8


def test_a_link_that_holds_the_key_is_neither_stored_nor_opened(made: Rig) -> None:
    """The job says so in one line and stays open; with an honest link, or another key, it goes on."""
    key = "sk-TEST-0123456789abcdef"
    content = [{"type": "image", "url": f"https://files.example/1.png?key={key}"}]
    reply = Reply.json({"status": "completed", "output": [{"content": content}]})
    made.faults.answer("poll", reply, times=float("inf"))
    job = ask(made.kernel(WAN_API_KEY=key))
    (tracked,) = job.tracked
    until(lambda: "link that holds your key" in tracked.note)
    assert "https://files.example/1.png?key=•••" in tracked.note
    assert str(job.status) in ("accepted", "running")
    assert not any(key.encode() in path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    made.faults.clear()
    assert str(ended(job).status) == "saved"
