"""Which results answer a request, and former readings; the acceptance tests replay whole notebooks."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.database.kit import PATH, PICTURE, Desk, move, owner
from wan_notebook.database import InputRow, JobRow, Status
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


# Lookups in a ledger -------------------------------------------------------------------------------------------------


class Archive(Desk):
    """A ledger with its lookups."""

    def lookup(self, cell: CellId | None = None, *, fresh: bool = False) -> Lookup:
        """Return the lookups of one call."""
        return Lookup(
            database=None if fresh else self.database,
            occurrences=Occurrences(),
            cell=cell or CellId(cell_id="a", execution="1"),
            replay="on",
            simulated_ok=False,
            rng=random.Random(1),  # noqa: S311 - seeds of pictures, no secrets
            now=self.clock.now,
        )

    def answer(self, request: ImageRequest, cell_id: str = "a") -> str:
        """Save a picture for a request with a seed; return its job's id."""
        request_hash = request.request_hash(with_seed=True)
        job = JobRow(
            provider="gateway",
            model=request.model,
            mode=request.mode,
            prompt=request.prompt,
            versions={"run": "s0:0"},
            cell_id=cell_id,
            request=request.canonical(with_seed=True),
            parameters=request.parameters(),
            request_hash=request_hash,
            request_hash_with_seed=request_hash,
            seed=request.seed,
            inputs=[InputRow(position=k, identity=image.identity) for k, image in enumerate(request.images)],
        )
        ((row, _),) = self.database.create_or_join([job], owner=owner(), simulated_ok=True, fresh=True)
        picture = {"index": 0, "file": f"{row.id}.png", **PICTURE}
        move(self.database, row.id, *PATH, pictures=[picture])
        return row.id


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Archive]:
    """Give an empty ledger."""
    made = Archive(tmp_path)
    yield made
    made.close()


def ask(desk: Archive, request: ImageRequest, cell: CellId | None = None) -> str:
    """Return the id of the job that answers a request."""
    (job,) = read_submission(Submission((request,)), desk.lookup(cell))[1]
    return job.result.id if job.result else ""


def test_the_newest_result_answers_that_of_the_same_cell_first(desk: Archive) -> None:
    """Two cells with the same prompt and seed each get their own back; another cell, the newest."""
    ids = [desk.answer(FOX, cell_id) for cell_id in ("a", "b")]
    for cell_id, expected in (("a", ids[0]), ("b", ids[1]), ("c", ids[1]), ("", ids[1])):
        assert ask(desk, FOX, CellId(cell_id=cell_id)) == expected, cell_id


# Former readings -----------------------------------------------------------------------------------------------------


def test_a_former_reading_is_shown_before_anything_is_bought(desk: Archive) -> None:
    """What the first edition paid for under its own reading of the same cell is not bought again."""
    submission = Submission((FOX,), former=(OWL,))
    assert read_submission(submission, desk.lookup())[0] == submission.requests
    owl = desk.answer(OWL)
    requests, jobs = read_submission(submission, desk.lookup())
    assert (requests, [job.result.id for job in jobs if job.result]) == (submission.former, [owl])
    assert read_submission(replace(submission, fresh=True), desk.lookup(fresh=True))[0] == submission.requests
    desk.answer(FOX)
    assert read_submission(submission, desk.lookup())[0] == submission.requests, "today's reading comes first"


def test_a_refusal_comes_after_the_lookup(desk: Archive) -> None:
    """A cell that is refused today still shows what the first edition made of it, in part is not enough."""
    submission = Submission((), former=(FOX, FOX.replace(seed=6)), refusal=CellError("refused today"))
    desk.answer(FOX)
    with pytest.raises(CellError, match="refused today"):
        read_submission(submission, desk.lookup())
    desk.answer(FOX.replace(seed=6))
    assert read_submission(submission, desk.lookup())[0] == submission.former
    with pytest.raises(CellError):
        read_submission(replace(submission, fresh=True), desk.lookup(fresh=True))
