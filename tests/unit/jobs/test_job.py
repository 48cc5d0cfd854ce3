"""`Job` and `Picture`: waiting, pixels, marks, copies, and what an ending says in words."""

import asyncio
import copy
import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.jobs.rig import WAIT_S, Rig, ask, ended, rig
from wan_notebook.database import JobRow, Status
from wan_notebook.errors import JobError, JobTimeout, NoSuchPictureError
from wan_notebook.jobs import Job, TrackedJob, WaitInterrupted, cost_of, error_of, set_display, set_reopen, status_line
from wan_notebook.request import ImageRequest

SOON_S = 1.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A folder and a service, shared by the tests here."""
    with rig(tmp_path_factory.mktemp("job")) as found:
        found.kernel()
        yield found


@pytest.fixture
def job(made: Rig) -> Job:
    """A job with its picture."""
    return ended(ask(made.projects[0]))


@pytest.fixture
def running(made: Rig) -> Iterator[Job]:
    """A job that runs for long."""
    made.configure(seconds=1e6)
    job = ask(made.projects[0], f"slow {time.monotonic()}")
    yield job
    made.configure(seconds=0.0)


def test_a_picture_is_an_array_and_has_a_thumbnail(job: Job) -> None:
    """`numpy.asarray(job[0])` and `plt.imshow(job[0])` see pixels; a small copy serves figures with many pictures."""
    pixels = np.asarray(job[0])
    assert (pixels.shape, pixels.dtype) == ((640, 640, 3), np.uint8)
    assert np.array(job[0], dtype=float).mean() == pytest.approx(pixels.mean())
    with pytest.raises(ValueError, match="copy"):
        np.asarray(job[0], copy=False)
    assert job[0].thumbnail(64).size == (64, 64)
    assert job.images[0].size == (640, 640)


def test_marks_are_on_disk_at_once(job: Job) -> None:
    """Stars, rejections, tags and trash, of a job or one picture, are what the next look shows."""
    job[0].star()
    job.star()
    job.reject()
    assert job.tag("study", "winter") == ("study", "winter")
    assert job[0].tag(remove=["study"]) == ("winter",)
    job.trash()
    row = job.project.database.get(job.id)
    assert (row.is_starred, row.is_rejected, row.pictures[0].is_starred, row.tags) == (True, True, True, ("winter",))
    assert row.trashed_at is not None
    for undo in (job[0].unstar, job.unstar, lambda: job.reject(False), job.untrash):
        undo()
    row = job.project.database.get(job.id)
    assert (row.is_starred, row.is_rejected, row.pictures[0].is_starred, row.trashed_at) == (False, False, False, None)


def test_an_index_that_does_not_exist_names_those_that_do(job: Job) -> None:
    """The error is an IndexError too, so that loops and unpacking work."""
    with pytest.raises(NoSuchPictureError, match=r"1 picture; \[3\] does not exist"):
        job[3]
    assert [picture.index for picture in job] == [0]


def test_the_record_is_json(job: Job) -> None:
    """`to_dict` goes through json as it is, and names neither key nor signed address."""
    record = job.to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["jobs"][0]["created_at"].endswith("+00:00")
    assert "url" not in record["jobs"][0]["pictures"][0]
    assert job.project.worker.settings(None).key_fingerprint not in json.dumps(record)


def reopen(folder: str, ids: tuple[str, ...], name: str) -> Any:
    """Stand for the session's way to open a pickled job."""
    return Path(folder).name, ids, name


def test_a_copy_is_the_same_job_and_a_pickle_names_the_record(job: Job) -> None:
    """What a job stands for exists once; elsewhere it is opened again from its folder and ids."""
    assert copy.copy(job) is job
    assert copy.deepcopy({"jobs": [job]})["jobs"][0] is job
    assert copy.deepcopy(job[0]) == job[0]
    set_reopen(reopen)
    assert pickle.loads(pickle.dumps(job)) == ("wan-pictures", (job.id,), "")  # noqa: S301 - our own
    assert f"{job:>200}".endswith(str(job))


def test_jobs_show_themselves_through_one_hook(job: Job) -> None:
    """Whoever knows a display says so; without one IPython asks for the bundle, then for the repr."""
    shown: list[Any] = []
    set_display(lambda found: bool(shown.append(found)) or True, lambda found: ({"text/plain": repr(found)}, {}))
    job._ipython_display_()
    assert shown == [job]
    assert job[0]._repr_mimebundle_()[0]["text/plain"] == repr(job[0])
    set_display(lambda _: False, lambda _: None)
    with pytest.raises(NotImplementedError):
        job._ipython_display_()


# ------------------------------------------------------------------ waiting


def test_an_interrupt_ends_the_waiting_only(running: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel → Interrupt comes back at once, in one sentence without a traceback; the job goes on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    begun_s = time.monotonic()
    try:
        with pytest.raises(WaitInterrupted, match=f"%wan wait {running.id}") as told:
            running.result()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun_s < 0.2 + SOON_S
    assert told.value._render_traceback_() == [str(told.value)]
    assert not running.is_done


def test_waiting_has_a_limit(made: Rig) -> None:
    """`wait` says whether it is over; `result` raises, and says what holds the job up."""
    tracked = TrackedJob(row(Status.RUNNING))
    job = Job([tracked], made.projects[0], request=ImageRequest(prompt="a fox", seed=5))
    assert job.wait(0.01) is False
    tracked.note = "the key may not read the task"
    with pytest.raises(JobTimeout, match=r"after 0\.01 s \(the key may not read the task\); it goes on"):
        job.result(0.01)


def test_await_can_be_limited_and_cancelled(running: Job) -> None:
    """`asyncio.timeout` and `wait_for` end the waiting as with anything else; a cancel says that the job goes on."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await running
        waiting = asyncio.ensure_future(running)
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError, match="goes on"):
            await waiting

    asyncio.run(main())
    assert not running.is_done


def test_await_and_callbacks_get_the_job(made: Rig) -> None:
    """`await job` returns it; a callback may wait for other jobs."""
    kernel = made.projects[0]
    done = threading.Event()
    job = ask(kernel, "awaited")
    job.add_done_callback(lambda found: (ask(kernel, "next").result(WAIT_S), found.status == "saved" and done.set()))

    async def main() -> Job:
        return await job

    assert asyncio.run(main()) is job
    assert done.wait(WAIT_S)


def test_a_job_that_nobody_works_on_is_not_waited_for(running: Job) -> None:
    """Waiting for a stopped job would be for ever: it raises, with the reason and the way on."""
    running.tracked[0].stop("The disk is full.")
    with pytest.raises(JobError, match=r"does not go on: The disk is full\.") as told:
        running.wait()
    assert told.value.hint == "Fix the cause, then run `%wan resume`. Nothing is submitted twice."
    running.tracked[0].stopped = ""


# ------------------------------------------------------------------ endings in words


def row(status: Status, **columns: Any) -> JobRow:
    """Return a row that was never on disk."""
    made = JobRow(id="f00", status=status, prompt="a fox", seed=5, mode="text to image", pictures=[], inputs=[])
    words = {name: columns.pop(name, "") for name in ("error_message", "error_hint")}
    made.set_error(words["error_message"], words["error_hint"])
    for name, value in columns.items():
        setattr(made, name, value)
    return made


OLD_NOT_SENT = "never sent: the program ended first; nothing was paid"
ENDINGS = [
    (row(Status.REFUSED, error_code="not_sent", error_message="no proxy"), "JobNotSent", "was not sent; nothing was"),
    (row(Status.REFUSED, error_message=OLD_NOT_SENT), "JobNotSent", "nothing was paid. The program ended first."),
    (row(Status.REFUSED, error_code="InvalidApiKey", error_message="No key"), "JobRefused", "InvalidApiKey: No key."),
    (row(Status.FAILED, error_message="bad", error_hint="Run again."), "JobFailed", "Bad. Run again."),
    (row(Status.FAILED, request_id="r-1"), "JobFailed", "Request id r-1. Change the prompt"),
    (row(Status.CANCELLED), "JobCancelled", "was cancelled. Run the cell again"),
    (
        row(Status.IN_DOUBT, error_hint="Check the network."),
        "JobInDoubt",
        "Check the network. Decide with `%wan resolve",
    ),
    (row(Status.EXPIRED, task_id="t-1", finished_at=1.0, expires_at=9.0), "JobExpired", "resolve f00 adopt t-1`"),
    (row(Status.EXPIRED, task_id="t-1", finished_at=9.0, expires_at=1.0), "JobExpired", "run with --fresh"),
    (row(Status.RUNNING), "JobError", "is running. Wait for it with `%wan wait f00`"),
]


@pytest.mark.parametrize(("ending", "kind", "words"), ENDINGS)
def test_an_ending_says_what_happened_and_what_to_do(ending: JobRow, kind: str, words: str) -> None:
    """The service's own code and words stand as they came; ours read as sentences."""
    error = error_of(ending)
    assert (type(error).__name__, error.job_id) == (kind, "f00")
    assert words in str(error)
    assert ".." not in str(error)


def test_what_was_not_made_costs_nothing_and_unknown_is_not_0() -> None:
    """Failed, refused and cancelled jobs are free; an expired one may have been billed."""
    assert [cost_of(row(status)).amount for status in (Status.FAILED, Status.CANCELLED)] == [0, 0]
    assert cost_of(row(Status.EXPIRED)).amount is None


def test_several_jobs_are_one_line() -> None:
    """Seeds that count up are a range; none is named that was not used."""
    rows = [row(Status.SAVED), row(Status.SAVED), row(Status.REFUSED, error_code="not_sent")]
    for seed, one in enumerate(rows, 5):
        one.seed = seed
    line = status_line(rows, "edit")
    assert line == "<Job f00: not sent saved, edit, 0 pictures, seeds 5…7, 'a fox'>"
    job = Job([TrackedJob(one) for one in rows], None, request=None)  # type: ignore[arg-type]
    assert (job.status, job.seeds, job.is_done) == ("refused", (5, 6, 7), True)
