"""Every fault of the matrix, in every phase where it can strike: what becomes of the job, the task and the picture."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from PIL import Image

from tests.acceptance.engine.matrix import MATRIX, Case
from tests.kit import Rig, ask, ended, rig, row_of
from wan_notebook.session import Session

Place = Callable[[str, bool], tuple[Rig, Session]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each provider in this process and over a socket, with one kernel for all its cases, made when first needed."""
    with ExitStack() as stack:

        @cache
        def made(provider: str, socket: bool) -> tuple[Rig, Session]:
            found = stack.enter_context(rig(tmp_path_factory.mktemp(provider), provider=provider))
            if socket:
                found.serve()
            return found, found.kernel()

        yield made


def _rows() -> list[object]:
    """Return every third case of each group with one provider for every run, and all the others for the nightly run."""
    rows = []
    for cases in MATRIX.values():
        for number, case in enumerate(cases):
            for way, provider in enumerate(case.ways):
                name = f"{case.faults.replace(' ', '+')}-{provider}{'-socket' * case.only_socket}"
                is_usual = number % 3 == 0 and way == number // 3 % len(case.ways)
                marks = () if is_usual else (pytest.mark.nightly,)
                rows.append(pytest.param(case, provider, case.only_socket, id=name, marks=marks))
    return rows


@pytest.mark.parametrize(("case", "provider", "socket"), _rows())
def test_matrix(case: Case, provider: str, socket: bool, place: Place) -> None:
    """After the fault: the state, at most one task for one job, every picture that can be had, no key to a stranger."""
    made, kernel = place(provider, socket)
    service = made.service
    before = service.tasks_created
    made.arm(*case.faults.split())
    options = {"images": [Image.new("RGB", (300, 300))], "n": 2} if case.edit else {}
    job = ended(ask(kernel, f"{case}", seed=5, **options))
    made.arm()
    (tracked,), (row,) = job.tracked, job.rows
    saved = [picture for picture in row.pictures if picture.saved_at]
    found = (str(job.status), service.tasks_created - before, len(saved))
    assert found == (case.state, case.tasks, case.pictures), tracked.note
    assert len([picture for picture in row.pictures if picture.corrupt_file]) == case.corrupt
    assert row.missing == case.missing
    assert bool(tracked.stopped) == case.stopped
    assert case.state not in ("refused", "failed", "cancelled") or not job.cost.amount
    assert not service.keys_leaked + made.faults.keys_leaked
    assert all((made.folder / picture.file).is_file() for picture in saved)
    stored = row_of(kernel, job)
    assert stored.status == row.status
    assert [(p.file, p.sha256, p.corrupt_file) for p in stored.pictures] == [
        (p.file, p.sha256, p.corrupt_file) for p in row.pictures
    ]
    if case.state == "in_doubt":
        kernel.resolve(job, "abandon")  # else the kernel looks for it, a hundred times a second
