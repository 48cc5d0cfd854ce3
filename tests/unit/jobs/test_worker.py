"""The worker: an account's limits, what was never sent, ids that must not be lost, and what a partial success says."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.faults import Reply
from tests.unit.jobs.rig import WAIT_S, Project, Rig, ask, end, ended, rig
from wan_notebook.database import NOT_SENT, Database, DatabaseUnavailable, Status
from wan_notebook.errors import JobError, JobFailed, JobNotSent, NotSentError, StoreError
from wan_notebook.images import PendingImage, load_image
from wan_notebook.jobs import Job, TrackedJob, goodbye, is_not_sent
from wan_notebook.providers import ServiceClient
from wan_notebook.request import ImageRequest


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """A folder and a service."""
    with rig(tmp_path) as found:
        yield found


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    stop_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < stop_s, "it did not happen"
        time.sleep(0.002)


def notes_of(job: Job) -> list[str]:
    """Keep every note that a job shows."""
    notes: list[str] = []
    job.tracked[0].listen(lambda tracked: notes.append(tracked.note))
    return notes


# ------------------------------------------------------------------ an account's limits


def test_no_more_tasks_are_in_flight_than_the_account_allows(made: Rig) -> None:
    """The others wait as intents, say their place, and are cancelled for free; they are never sent."""
    made.configure(seconds=1e6)
    kernel = made.kernel(WAN_IN_FLIGHT="2")
    jobs = [ask(kernel, seed=seed) for seed in range(5)]
    until(lambda: jobs[-1].tracked[0].note == "waiting: 2 of 2 running, 2 ahead")

    assert ["nothing is paid" in job.cancel() for job in jobs[2:]] == [True] * 3
    assert {(ended(job).status, job.cost.amount) for job in jobs[2:]} == {("cancelled", 0)}
    assert made.service.requests["submit"] == 2


def test_two_kernels_keep_the_limit_together(tmp_path: Path) -> None:
    """The limit is the account's, so it is counted in the ledger and not in a kernel."""
    with rig(tmp_path, seconds=5.0, in_flight=2) as made:
        kernels = [made.kernel(WAN_IN_FLIGHT="2"), made.kernel(WAN_IN_FLIGHT="2")]
        jobs = [ask(kernels[seed % 2], seed=seed) for seed in range(6)]

        assert {ended(job).status for job in jobs} == {"saved"}
        assert made.service.requests["submit"] == 6


def test_a_429_is_never_a_failed_job(made: Rig) -> None:
    """Too many requests prove that no task was made: the job goes back to waiting, however often, and all wait."""
    made.arm("submit.429:9")
    kernel = made.kernel()
    first = ask(kernel, seed=1)
    notes = notes_of(first)
    until(lambda: made.faults.struck["submit.429"] >= 1)
    second = ask(kernel, seed=2)

    assert {ended(job).status for job in (first, second)} == {"saved"}
    assert made.service.tasks_created == 2
    assert any("trying again" in note for note in notes)
    moves = [event.status for event in kernel.database.events(first.id) if event.kind == "state"]
    assert "refused" not in moves


# ------------------------------------------------------------------ never sent


def broken_client(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    """Let submits fail before anything is sent, once an error."""
    left, submit = list(errors), ServiceClient.submit

    async def fail(client: ServiceClient, request: Any) -> Any:
        if left:
            raise left.pop(0)
        return await submit(client, request)

    monkeypatch.setattr(ServiceClient, "submit", fail)


def test_what_cannot_be_sent_is_not_in_doubt(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot be built sent nothing: the job says so and how to go on, and the same call sends."""
    broken_client(monkeypatch, NotSentError("The proxy in ALL_PROXY cannot be used.", kind="setting", hint="Unset it."))
    kernel = made.kernel()
    job = ended(ask(kernel))
    with pytest.raises(JobNotSent, match=r"was not sent; nothing was paid. The proxy in ALL_PROXY") as told:
        job.result(1)

    assert told.value.hint == "Unset it."
    assert is_not_sent(job.rows[0])
    assert "not sent" in repr(job)
    again = ended(ask(kernel))
    assert (again.status, again.id != job.id) == ("saved", True)
    assert made.service.tasks_created == 1


def test_a_refused_connection_is_tried_a_few_times_first(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded: a service that stays away ends the job as not sent."""
    broken_client(monkeypatch, *[NotSentError("Nothing answers.", kind="refused")] * 9)
    kernel = made.kernel()
    refused = ended(ask(kernel, seed=1))
    assert is_not_sent(refused.rows[0])
    assert ended(ask(kernel, seed=2)).status == "saved"


def abandoned(made: Rig, monkeypatch: pytest.MonkeyPatch, status: Status) -> str:
    """Leave a job behind that a kernel which was killed had brought to a status."""
    kernel = made.kernel()
    with monkeypatch.context() as patch:
        patch.setattr(kernel.worker, "start", lambda *_: None)
        job = ask(kernel)
    if status is Status.SENDING:
        account = f"gateway:{kernel.worker.settings(None).account}"
        kernel.database.claim_to_send(job.id, kernel.worker.owner, account=account, in_flight=0, submits_per_s=0)
    end(kernel)
    return job.id


def test_resuming_leaves_alone_what_was_not_sent_and_the_same_call_sends_it(
    made: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before sending must not fail tomorrow's run, and must not buy anything nobody asked for today."""
    job_id = abandoned(made, monkeypatch, Status.INTENT)
    kernel = made.kernel()
    tracked = kernel.worker.resume(kernel.database.open_jobs())[0]
    tracked.settled().result(WAIT_S)
    with pytest.raises(JobNotSent, match="was not sent"):
        Job([tracked], kernel, request=ImageRequest(prompt="a fox in snow", seed=5)).wait(1)
    assert (tracked.status, made.service.requests["submit"]) == (Status.INTENT, 0)

    again = ended(ask(kernel))
    assert (again.id, again.status) == (job_id, "saved")


def test_what_may_have_been_sent_is_in_doubt(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that was killed while sending: nobody knows, unless its events prove that nothing was sent."""
    job_id = abandoned(made, monkeypatch, Status.SENDING)
    kernel = made.kernel()
    kernel.worker.resume(kernel.database.open_jobs())[0].settled().result(WAIT_S)
    assert kernel.database.get(job_id).status is Status.IN_DOUBT

    with rig(made.folder.parent / "first edition") as other:
        job_id = abandoned(other, monkeypatch, Status.SENDING)
        kernel = other.kernel()
        kernel.database.add_event(job_id, NOT_SENT, {"attempt": 1})
        kernel.worker.resume(kernel.database.open_jobs())[0].settled().result(WAIT_S)
        assert kernel.database.get(job_id).status is Status.INTENT
        assert ended(ask(kernel)).status == "saved"


def test_an_input_that_never_comes_ends_the_job_unsent(made: Rig) -> None:
    """An edit of another job's picture waits for it; if that job fails, nothing is sent and nothing is paid."""
    made.arm("poll.failed")
    kernel = made.kernel()
    source = ask(kernel, seed=1)
    edit = ended(ask(kernel, seed=2, images=(PendingImage("fox", source.id),)))

    assert is_not_sent(edit.rows[0])
    assert f"job {source.id} is failed with 0 pictures" in edit.rows[0].error_message


def test_an_input_that_comes_is_sent(made: Rig) -> None:
    """Once the other job is over its picture goes out, and the row names it."""
    kernel = made.kernel()
    source = ask(kernel, seed=1)
    edit = ended(ask(kernel, seed=2, images=(PendingImage("fox", source.id),)))
    assert (edit.status, edit.rows[0].inputs[0].source_job) == ("saved", source.id)
    assert edit.rows[0].pending_inputs == ()


# ------------------------------------------------------------------ disks


class FullLedger:
    """Lets transitions of a ledger fail as on a full disk, while it is on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
        self.is_full, self.refused, transition = False, 0, database.transition

        def fail(*args: Any, **options: Any) -> Any:
            if self.is_full:
                self.refused += 1
                raise DatabaseUnavailable("The ledger cannot be written: the disk is full.")
            return transition(*args, **options)

        monkeypatch.setattr(database, "transition", fail)


def test_a_task_id_is_written_as_soon_as_there_is_room(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a paid task waits in memory, on the card and in the last line of a script; nothing is sent again."""
    kernel = made.kernel()
    disk = FullLedger(monkeypatch, kernel.database)
    made.faults.on_submit = lambda: setattr(disk, "is_full", True)
    job = ask(kernel)
    until(lambda: disk.refused > 2)
    task_id = next(iter(made.service.tasks))

    assert job.status == "sending"
    assert task_id in job.tracked[0].note
    assert f"resolve {job.id} adopt {task_id}" in goodbye(kernel.worker.mine)
    disk.is_full = False
    assert ended(job).status == "saved"
    assert made.service.tasks_created == 1


def test_a_picture_that_cannot_be_written_stays_at_the_service(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk stops the job with its address, its card says why, and resuming fetches the picture."""
    kernel = made.kernel()
    with monkeypatch.context() as patch:
        patch.setattr(kernel.storage, "stage", lambda *_, **__: (_ for _ in ()).throw(StoreError("The disk is full.")))
        job = ended(ask(kernel))
    with pytest.raises(JobError, match=r"succeeded and does not go on.*The disk is full.*`%wan resume`"):
        job.result(1)
    kernel.worker.resume(kernel.database.open_jobs())
    until(lambda: job.status == "saved")
    assert made.service.tasks_created == 1


# ------------------------------------------------------------------ how a task ends


PART = {"finish_reason": "stop", "code": "DataInspectionFailed", "message": {"role": "assistant", "content": []}}


def dashscope_success(url: str, *choices: Any) -> Reply:
    """Return a success with one picture and further choices."""
    picture = {"message": {"role": "assistant", "content": [{"type": "image", "image": url}]}}
    output = {"task_id": "t", "task_status": "SUCCEEDED", "choices": [picture, *choices] if url else list(choices)}
    return Reply.json({"request_id": "r", "output": output, "usage": {}})


def test_a_partial_success_says_why_a_picture_is_missing(tmp_path: Path) -> None:
    """The service's own word for each picture that did not come is kept, and the one that came is saved."""
    with rig(tmp_path, provider="dashscope") as made:
        kernel = made.kernel()
        made.arm("submit.trickle")
        first = ended(ask(kernel, seed=1))
        task = next(iter(made.service.tasks.values()))
        url = f"http://simulator.test/results/{task.task_id}/0.png"
        made.arm()
        made.faults.answer("poll", dashscope_success(url, PART))
        job = ended(ask(kernel, seed=2, n=2, images=(load_image(first.images[0], name="p"),)))

        assert job.rows[0].notes == ("1 of 2 did not come: DataInspectionFailed",)


def test_a_success_without_a_picture_is_a_failure(tmp_path: Path) -> None:
    """A job that brought nothing is not called saved: result() says that no picture came."""
    with rig(tmp_path, provider="dashscope") as made:
        made.faults.answer("poll", dashscope_success(""), times=9)
        job = ended(ask(made.kernel()))
        with pytest.raises(JobFailed, match="no picture"):
            job.result(1)


def test_a_failure_of_the_service_is_not_blamed_on_the_prompt(tmp_path: Path) -> None:
    """InternalError is the service's own: run again, nothing to change."""
    with rig(tmp_path, provider="dashscope") as made:
        job = ended(ask(made.kernel(), "a fox [[fail:InternalError.Algo]]"))
        with pytest.raises(JobFailed, match=r"InternalError\.Algo") as told:
            job.result(1)
        assert "run" in told.value.hint
        assert "Change the prompt" not in told.value.hint


def test_the_last_line_of_a_script_tells_each_state_apart(made: Rig) -> None:
    """Running, being sent, not sent: each with its ids and how to go on; nothing if all is over."""
    row = ended(ask(made.kernel())).rows[0]
    jobs = []
    for job_id, status in {"a1": "running", "b2": "accepted", "c3": "intent", "d4": "sending", "e5": "saved"}.items():
        copy = type(row)(id=job_id, status=Status(status), prompt="a fox")
        jobs.append(TrackedJob(copy))
    line = goodbye(jobs)
    assert "2 jobs going on at the service (`python -m wan_notebook fetch` collects the pictures): a1, b2" in line
    assert "1 job not sent (the program ended first, nothing was paid): c3" in line
    assert "1 job being sent" in line
    assert goodbye(jobs[-1:]) == ""


def test_a_crash_between_a_name_and_its_record_makes_no_second_file(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is recognised by the hash that was recorded before it got its name; nothing is fetched again."""
    kernel = made.kernel()
    save = kernel.database.save_picture

    def die(*args: Any, **columns: Any) -> Any:
        if "saved_at" in columns:
            raise StoreError("killed")
        return save(*args, **columns)

    with monkeypatch.context() as patch:
        patch.setattr(kernel.database, "save_picture", die)
        job = ended(ask(kernel))
    served = made.service.images_served
    resumed: Project = made.kernel()
    end(kernel)
    resumed.worker.resume(resumed.database.open_jobs())[0].settled().result(WAIT_S)

    assert resumed.database.get(job.id).status is Status.SAVED
    assert made.service.images_served == served
    assert len(list(made.folder.glob("2*/*.png"))) == 1
