"""`Job` and `Picture`: waiting, pixels, marks, copies, and what an ending says in words."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.kit import Rig, ask, ended, project_of, rig
from wan_notebook.database import JobRow, Status
from wan_notebook.errors import ArgumentError, JobTimeout, NoSuchPictureError
from wan_notebook.jobs import Job, TrackedJob, error_of, status_line
from wan_notebook.request import ImageRequest
from wan_notebook.session import Session


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A folder and a service, shared by the tests here."""
    with rig(tmp_path_factory.mktemp("job")) as found:
        yield found


@pytest.fixture(scope="module")
def session(made: Rig) -> Session:
    """A kernel, shared by the tests here."""
    return made.kernel()


@pytest.fixture
def job(session: Session) -> Job:
    """A job with its picture."""
    return ended(ask(session, seed=5))


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
    row = job.worker.database.get(job.id)
    assert (row.is_starred, row.is_rejected, row.pictures[0].is_starred, row.tags) == (True, True, True, ("winter",))
    assert row.trashed_at is not None
    for undo in (job[0].unstar, job.unstar, lambda: job.reject(False), job.untrash):
        undo()
    row = job.worker.database.get(job.id)
    assert (row.is_starred, row.is_rejected, row.pictures[0].is_starred, row.trashed_at) == (False, False, False, None)


def test_an_index_that_does_not_exist_names_those_that_do(job: Job) -> None:
    """The error is an IndexError too, so that loops and unpacking work."""
    with pytest.raises(NoSuchPictureError, match=r"1 picture; \[3\] does not exist"):
        job[3]
    assert [picture.index for picture in job] == [0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda job: job.save(3), r"path = 3 .*fox\.png"),
        (lambda job: job[0].save(None), r"path = None .*fox\.png"),
        (lambda job: job["a"], r"index = 'a' .*\[0\]"),
        (lambda job: job[0].thumbnail(0), "size_px = 0 .*512"),
        (lambda job: job.wait("a"), "timeout = 'a' .*seconds"),
        (lambda job: job.result(-1), "timeout = -1 .*seconds"),
        (lambda job: job.tag(3), "tag = 3 .*text"),
    ],
)
def test_what_cannot_be_used_is_one_error_with_a_hint(job: Job, call: Callable[[Job], object], words: str) -> None:
    """An argument of a wrong type or range is named with its value and what to give instead."""
    with pytest.raises(ArgumentError, match=words):
        call(job)


def test_the_record_is_json(job: Job) -> None:
    """`to_dict` goes through json as it is, and names neither key nor signed address."""
    record = job.to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["jobs"][0]["created_at"].endswith("+00:00")
    assert "url" not in record["jobs"][0]["pictures"][0]
    assert "key-one" not in json.dumps(record)


def test_waiting_has_a_limit(session: Session) -> None:
    """`wait` says whether it is over; `result` raises, and says in plain words what holds the job up."""
    tracked = TrackedJob(row(Status.INTENT))
    job = Job([tracked], project_of(session).worker, request=ImageRequest(prompt="a fox", seed=5))
    assert job.wait(0.01) is False
    tracked.note = "the key may not read the task"
    with pytest.raises(JobTimeout, match=r"is still queued after 0\.01 s \(the key may not read the task\)"):
        job.result(0.01)


def row(status: Status, **columns: Any) -> JobRow:
    """Return a row that was never on disk."""
    made = JobRow(id="f00", status=status, prompt="a fox", seed=5, mode="text to image", pictures=[], inputs=[])
    made.error_text = f"{columns.pop('error_message', '')}\n→ {columns.pop('error_hint', '')}"
    for name, value in columns.items():
        setattr(made, name, value)
    return made


OLD_NOT_SENT = "never sent: the program ended first; nothing was paid"
ENDINGS = [
    (row(Status.REFUSED, error_code="not_sent", error_message="no proxy"), "JobNotSent", "was not sent; nothing was"),
    (row(Status.REFUSED, error_message=OLD_NOT_SENT), "JobNotSent", "nothing was paid"),
    (row(Status.REFUSED, error_code="InvalidApiKey", error_message="No key"), "JobRefused", "InvalidApiKey: No key."),
    (row(Status.FAILED, error_message="bad", error_hint="Run again."), "JobFailed", "Bad. Run again."),
    (row(Status.FAILED, request_id="r-1"), "JobFailed", "Request id r-1. Change the prompt"),
    (row(Status.CANCELLED), "JobCancelled", "was cancelled. Run the cell again"),
    (row(Status.FAILED, error_message="a\x1b]0;b\x07\u202ec"), "JobFailed", "A[U+001B]]0;b[U+0007][U+202E]c."),
    (row(Status.IN_DOUBT, error_hint="Check the net."), "JobInDoubt", "Check the net. Decide with `%wan resolve"),
    (row(Status.EXPIRED, task_id="t-1", finished_at=1.0, expires_at=9.0), "JobExpired", "resolve f00 adopt t-1`"),
    (row(Status.EXPIRED, task_id="t-1", finished_at=9.0, expires_at=1.0), "JobExpired", "run with --fresh"),
    (row(Status.RUNNING), "JobError", "is running. Wait for it with `%wan wait f00`"),
]


@pytest.mark.parametrize(("ending", "kind", "words"), ENDINGS)
def test_an_ending_says_what_happened_and_what_to_do(ending: JobRow, kind: str, words: str) -> None:
    """The service's own code and words stand as they came, but for what steers a terminal; ours read as sentences."""
    error = error_of(ending)
    assert (type(error).__name__, error.job_id) == (kind, "f00")
    assert words in str(error)
    assert ".." not in str(error)


def test_several_jobs_are_one_line() -> None:
    """Seeds that count up are a range; none is named that was not used."""
    rows = [row(Status.SAVED), row(Status.SAVED), row(Status.REFUSED, error_code="not_sent")]
    for seed, one in enumerate(rows, 5):
        one.seed = seed
    line = status_line(rows, "edit")
    assert line == "<Job f00: not sent saved, edit, seeds 5, 6, 7, 'a fox'>"
    job = Job([TrackedJob(one) for one in rows], None, request=None)  # type: ignore[arg-type]
    assert (job.status, job.seeds, job.is_done) == ("refused", (5, 6, 7), True)
