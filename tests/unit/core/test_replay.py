"""Which results a request without a seed shows, former readings, and what is under way."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.database.kit import Clock, ledger, owner
from wan_notebook.database import Database, InputRow, JobRow, Status
from wan_notebook.errors import CellError, ReplayError
from wan_notebook.images import InputImage
from wan_notebook.replay import (
    CellId,
    Lookup,
    Occurrences,
    PlannedJob,
    Submission,
    former_readings,
    read_submission,
    refuse_unanswered,
)
from wan_notebook.request import ImageRequest

FOX, OWL = ImageRequest(prompt="a fox"), ImageRequest(prompt="an owl")


def result(name: str, cell_id: str, run: str, index: int | None = None) -> JobRow:
    """Return a saved result that an execution of a cell made."""
    versions = {"run": run} | ({} if index is None else {"meeting": str(index)})
    return JobRow(id=name, status=Status.SAVED, cell_id=cell_id, versions=versions)


def shown(results: Sequence[JobRow], cell: CellId, *, times: int = 1) -> list[str]:
    """Return what a new kernel shows each time it meets the request in a cell."""
    occurrences, found = Occurrences(), []
    for _ in range(times):
        _, row = occurrences.choose(results, "hash", cell)
        occurrences.count("hash", cell)
        found.append(row.id if row else "-")
    return found


A1, B1 = result("A1", "a", "s1:1"), result("B1", "b", "s1:2")
A2, LOOP0, LOOP1 = result("A2", "a", "s1:3"), result("L0", "a", "s2:1", 0), result("L1", "a", "s2:1", 1)


@pytest.mark.parametrize(
    ("results", "cell", "times", "expected"),
    [
        ([], CellId(cell_id="a", execution="9"), 1, ["-"]),
        ([A2, B1, A1], CellId(cell_id="a", execution="9"), 1, ["A2"]),
        ([A2, B1, A1], CellId(cell_id="b", execution="9"), 1, ["B1"]),
        # In one execution, a loop: the second round has no result of a second round.
        ([A2, B1, A1], CellId(cell_id="a", execution="9"), 2, ["A2", "-"]),
        ([LOOP1, LOOP0, A1], CellId(cell_id="a", execution="9"), 3, ["L0", "L1", "-"]),
        # A cell that is not known takes what other cells show, in order.
        ([B1, A1], CellId(cell_id="new", execution="9"), 1, ["A1"]),
        # Tools that name no cells show each cell's newest result, in the cells' order.
        ([A2, B1, A1], CellId(), 3, ["A2", "B1", "-"]),
        # At a prompt the newest is shown once; asked again, it is asked anew.
        ([A2, A1], CellId(execution="9", is_interactive=True), 2, ["A2", "-"]),
    ],
)
def test_a_kernel_shows_what_the_notebook_showed(
    results: list[JobRow], cell: CellId, times: int, expected: list[str]
) -> None:
    """Run All after a restart is free: each cell and each round of a loop shows its own newest result."""
    assert shown(results, cell, times=times) == expected


def test_a_cell_that_is_run_again_asks_anew() -> None:
    """Another execution of the same cell in this kernel means a new picture; another cell does not."""
    occurrences = Occurrences()
    first, again = CellId(cell_id="a", execution="1"), CellId(cell_id="a", execution="2")
    occurrences.count("hash", first)
    assert occurrences.choose([A1], "hash", again) == (0, None)
    assert occurrences.choose([A1], "other", again) == (0, A1)
    assert occurrences.choose([A1], "hash", CellId(cell_id="b", execution="3")) == (0, A1)


@pytest.mark.parametrize("noted", ["-1", "x", "99999999999", "", "１"])
def test_an_index_of_somebody_elses_ledger_does_no_harm(noted: str) -> None:
    """What cannot be an index is counted instead."""
    row = JobRow(id="A1", status=Status.SAVED, cell_id="a", versions={"run": "s1:1", "meeting": noted})
    assert Occurrences().choose([row], "hash", CellId(cell_id="a", execution="9"))[1] in (row, None)


# Lookups in a ledger -------------------------------------------------------------------------------------------------


class Desk:
    """A ledger with its lookups; ``answer`` puts a request's jobs into it."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.database: Database = ledger(folder, self.clock)
        self.occurrences = Occurrences()

    def lookup(self, cell: CellId | None = None, **options: Any) -> Lookup:
        """Return the lookups of one call."""
        rng = random.Random(1)  # noqa: S311 - seeds of pictures, no secrets
        usual = {"replay": "on", "fresh": False, "simulated_ok": False, "rng": rng, "now": self.clock.now}
        cell = cell or CellId(cell_id="a", execution="1")
        return Lookup(database=self.database, occurrences=self.occurrences, cell=cell, **{**usual, **options})

    def answer(self, request: ImageRequest, seed: int, *statuses: Status, **columns: Any) -> list[str]:
        """Create the jobs of a request and move each to one of these statuses."""
        tasks = request.split(seed)
        hashes = [task.request_hash(with_seed=True) for task in tasks]
        asked = [request.request_hash(with_seed=False), *hashes[1:]] if request.seed is None else hashes
        usual = {"provider": "gateway", "model": request.model, "mode": request.mode, "prompt": request.prompt}
        usual |= {"versions": {"run": "s0:0"}, "cell_id": "a", **columns}
        jobs = [
            JobRow(
                **usual,
                request=task.canonical(with_seed=True),
                parameters=task.parameters(),
                request_hash=asked[at],
                request_hash_with_seed=hashes[at],
                request_position=at,
                seed=task.seed,
                inputs=[InputRow(position=k, identity=image.identity) for k, image in enumerate(request.images)],
            )
            for at, task in enumerate(tasks)
        ]
        rows = self.database.create_or_join(jobs, owner=owner(), simulated_ok=True, fresh=True)
        for (row, _), status in zip(rows, statuses, strict=True):
            self._move(row.id, status)
        return [row.id for row, _ in rows]

    def _move(self, job_id: str, status: Status) -> None:
        path = [Status.SENDING, Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED, Status.SAVED]
        if status is Status.REFUSED:
            path = [Status.SENDING, Status.REFUSED]
        for step in path[: path.index(status) + 1] if status in path else []:
            self.database.transition(job_id, step)
        if status is Status.SAVED:
            picture = {"sha256": "2" * 64, "mime": "image/png", "saved_at": self.clock.now, "file": f"{job_id}.png"}
            self.database.update(job_id, pictures=[{"index": 0, **picture}])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Give an empty ledger."""
    made = Desk(tmp_path)
    yield made
    made.database.close()


def found(jobs: Sequence[PlannedJob]) -> list[tuple[str, bool]]:
    """Return the id of each job's answer, and whether it is still under way."""
    return [(job.result.id if job.result else "", job.is_open) for job in jobs]


def ask(desk: Desk, *requests: ImageRequest, **options: Any) -> Sequence[PlannedJob]:
    """Look a call up."""
    return read_submission(Submission(requests), desk.lookup(**options))[1]


def test_the_newest_result_answers_that_of_the_same_cell_first(desk: Desk) -> None:
    """Two cells with the same prompt and seed each get their own back; another cell, the newest."""
    ids = [desk.answer(FOX.replace(seed=5), 5, Status.SAVED, cell_id=cell_id)[0] for cell_id in ("a", "b")]
    for cell_id, expected in (("a", ids[0]), ("b", ids[1]), ("c", ids[1]), ("", ids[1])):
        assert found(ask(desk, FOX.replace(seed=5), cell=CellId(cell_id=cell_id))) == [(expected, False)], cell_id


def test_a_seedless_request_under_way_is_known_by_its_seeds(desk: Desk) -> None:
    """Its tasks are joined one by one: the done one is shown, the running one waited for, the refused one bought."""
    ids = desk.answer(FOX.replace(n=3), 7, Status.SAVED, Status.RUNNING, Status.REFUSED)
    desk.occurrences.count(FOX.replace(n=3).request_hash(with_seed=False), CellId(cell_id="a", execution="0"))
    rerun = ask(desk, FOX.replace(n=3))

    assert found(rerun) == [(ids[0], False), (ids[1], True), ("", False)]
    assert all(job.request_hash == job.request_hash_with_seed for job in rerun)


# Former readings -----------------------------------------------------------------------------------------------------


def test_a_former_reading_is_shown_before_anything_is_bought(desk: Desk) -> None:
    """What the first edition paid for under its own reading of the same cell is not bought again."""
    submission = Submission((FOX.replace(seed=5),), former=(OWL.replace(seed=5),))
    assert read_submission(submission, desk.lookup())[0] == submission.requests

    ids = desk.answer(OWL.replace(seed=5), 5, Status.SAVED)
    requests, jobs = read_submission(submission, desk.lookup())
    assert (requests, found(jobs)) == (submission.former, [(ids[0], False)])
    assert read_submission(replace(submission, fresh=True), desk.lookup(fresh=True))[0] == submission.requests

    ids = desk.answer(FOX.replace(seed=5), 5, Status.SAVED)
    assert found(read_submission(submission, desk.lookup())[1]) == [(ids[0], False)], "today's reading comes first"


def test_a_refusal_comes_after_the_lookup(desk: Desk) -> None:
    """A cell that is refused today still shows what the first edition made of it, in part is not enough."""
    submission = Submission((), former=(FOX.replace(seed=5), FOX.replace(seed=6)), refusal=CellError("refused today"))
    desk.answer(FOX.replace(seed=5), 5, Status.SAVED)
    with pytest.raises(CellError, match="refused today"):
        read_submission(submission, desk.lookup())
    desk.answer(FOX.replace(seed=6), 6, Status.SAVED)
    assert read_submission(submission, desk.lookup())[0] == submission.former
    with pytest.raises(CellError):
        read_submission(replace(submission, fresh=True), desk.lookup(fresh=True))


def test_a_picture_that_had_another_identity_is_looked_up_with_it(desk: Desk) -> None:
    """A turned photograph is read otherwise today; its former results are shown, and only its own."""
    image = InputImage(name="cat", identity="pixels:new", data=b"x", mime="image/png", width_px=300, height_px=300)
    before = replace(image, identity="pixels:old")
    edit = ImageRequest(prompt="at night", images=[replace(image, former_identity="pixels:old")], seed=5)
    ids = desk.answer(ImageRequest(prompt="at night", images=[before], seed=5), 5, Status.SAVED)

    assert found(ask(desk, edit)) == [(ids[0], False)]
    assert found(ask(desk, ImageRequest(prompt="at night", images=[image], seed=5))) == [("", False)]
    assert former_readings(Submission((FOX,))) == []


# WAN_REPLAY=only -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "fresh", "by_store", "words"),
    [
        (FOX.replace(seed=6), False, False, ["WAN_REPLAY=only", "'a fox'", "Unset WAN_REPLAY"]),
        (FOX.replace(prompt="x " * 200), False, False, ["…'"]),
        (FOX, True, False, ["--fresh", "Unset WAN_REPLAY"]),
        (FOX, True, True, ["opened bundle", "in a folder of your own"]),
        (FOX.replace(seed=6), False, True, ["opened bundle", "in a folder of your own"]),
    ],
)
def test_where_nothing_may_be_bought_the_missing_one_is_named(
    desk: Desk, request_: ImageRequest, fresh: bool, by_store: bool, words: list[str]
) -> None:
    """It says who forbids it, which request has no answer, and what to do."""
    jobs = desk.lookup(fresh=fresh, replay="only").jobs([request_])
    with pytest.raises(ReplayError) as caught:
        refuse_unanswered(jobs, fresh=fresh, by_store=by_store)
    assert all(word in f"{caught.value.message} {caught.value.hint}" for word in words)
    assert not (by_store and "unset" in caught.value.hint.lower())
