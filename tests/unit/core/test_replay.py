"""Which results answer a request, and former readings; the acceptance tests replay whole notebooks."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.database.kit import NOON, finish, ledger
from wan_notebook.database import Database, JobRow, Status
from wan_notebook.errors import CellError
from wan_notebook.replay import CellId, Lookup, Occurrences, Submission, read_submission
from wan_notebook.request import ImageRequest

FOX, OWL = ImageRequest(prompt="a fox", seed=5), ImageRequest(prompt="an owl", seed=5)


def test_at_a_prompt_the_newest_result_is_shown_once() -> None:
    """Asked again at the same prompt, it is asked anew."""
    occurrences, cell = Occurrences(), CellId(execution="9", is_interactive=True)
    results = [JobRow(id=name, status=Status.SAVED, cell_id="a", versions={"run": name}) for name in ("s1:3", "s1:1")]
    for expected in (results[0], None):
        assert occurrences.choose(results, "hash", cell)[1] is expected
        occurrences.count("hash", cell)


@pytest.mark.parametrize("noted", ["-1", "x", "99999999999", "", "１"])
def test_an_index_of_somebody_elses_ledger_does_no_harm(noted: str) -> None:
    """What cannot be an index is counted instead."""
    row = JobRow(id="A1", status=Status.SAVED, cell_id="a", versions={"run": "s1:1", "meeting": noted})
    assert Occurrences().choose([row], "hash", CellId(cell_id="a", execution="9"))[1] in (row, None)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Give an empty ledger."""
    with ledger(tmp_path) as opened:
        yield opened


def answers(
    database: Database, submission: Submission, cell_id: str = "a"
) -> tuple[tuple[ImageRequest, ...], list[str]]:
    """Return how a kernel reads a cell, and the jobs that answer it."""
    rng = random.Random(1)  # noqa: S311 - seeds of pictures, no secrets
    options = {"replay": "on", "simulated_ok": False, "rng": rng, "now": NOON}
    looked_in = None if submission.fresh else database
    lookup = Lookup(database=looked_in, occurrences=Occurrences(), cell=CellId(cell_id=cell_id), **options)
    requests, jobs = read_submission(submission, lookup)
    return requests, [job.result.id for job in jobs if job.result]


def test_the_newest_result_answers_that_of_the_same_cell_first(database: Database) -> None:
    """Two cells with the same prompt and seed each get their own back; another cell, the newest."""
    ids = [finish(database, cell_id=cell_id) for cell_id in ("a", "b")]
    for cell_id, expected in (("a", ids[0]), ("b", ids[1]), ("c", ids[1]), ("", ids[1])):
        assert answers(database, Submission((FOX,)), cell_id)[1] == [expected], cell_id


def test_a_former_reading_is_shown_before_anything_is_bought(database: Database) -> None:
    """What the first edition paid for under its own reading of the same cell is not bought again."""
    submission = Submission((FOX,), former=(OWL,))
    assert answers(database, submission)[0] == submission.requests
    owl = finish(database, "an owl")
    assert answers(database, submission) == (submission.former, [owl])
    assert answers(database, replace(submission, fresh=True))[0] == submission.requests
    finish(database)
    assert answers(database, submission)[0] == submission.requests, "today's reading comes first"


def test_a_refusal_comes_after_the_lookup(database: Database) -> None:
    """A cell that is refused today still shows what the first edition made of it, in part is not enough."""
    submission = Submission((), former=(FOX, FOX.replace(seed=6)), refusal=CellError("refused today"))
    finish(database)
    with pytest.raises(CellError, match="refused today"):
        answers(database, submission)
    finish(database, seed=6)
    assert answers(database, submission)[0] == submission.former
    with pytest.raises(CellError):
        answers(database, replace(submission, fresh=True))
