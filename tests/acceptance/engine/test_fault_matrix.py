"""Every fault of the matrix, in every phase where it can strike: what becomes of the job, the task and the picture."""

from collections.abc import Iterator

import pytest
from PIL import Image

from tests.acceptance.engine.matrix import MATRIX, Case
from tests.kit import Rig, ask, ended, row_of
from wan_notebook.session import Session


class Place:
    """One way to the service, shared by the cases of the table: a rig with its kernel."""

    def __init__(self, made: Rig) -> None:
        self.rig = made
        self.kernel: Session = made.kernel()
        self.count = 0


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, bool], Place]]:
    """Each provider in this process and over a socket, made when first needed."""

    class Places(dict[tuple[str, bool], Place]):
        def __missing__(self, key: tuple[str, bool]) -> Place:
            provider, socket = key
            made = Rig(tmp_path_factory.mktemp(provider), provider=provider, speed=100.0)
            if socket:
                made.serve()
            self[key] = Place(made)
            return self[key]

    found = Places()
    yield found
    for place in found.values():
        place.rig.close()


def _rows() -> list[object]:
    """Return every third case of each group with one provider for every run, and all the others for the nightly run."""
    rows = []
    for cases in MATRIX.values():
        for number, case in enumerate(cases):
            for way, provider in enumerate(case.ways):
                name = f"{case.id}-{provider}{'-socket' * case.only_socket}"
                is_usual = number % 3 == 0 and way == number // 3 % len(case.ways)
                marks = () if is_usual else (pytest.mark.nightly,)
                rows.append(pytest.param(case, provider, case.only_socket, id=name, marks=marks))
    return rows


@pytest.mark.parametrize(("case", "provider", "socket"), _rows())
def test_matrix(case: Case, provider: str, socket: bool, places: dict[tuple[str, bool], Place]) -> None:
    """After the fault: the state, at most one task for one job, every picture that can be had, no key to a stranger."""
    place = places[provider, socket]
    place.count += 1
    service = place.rig.service
    before = service.tasks_created
    place.rig.arm(*case.faults.split())
    options = {"images": [Image.new("RGB", (300, 300), (place.count % 256, 0, 0))], "n": 2} if case.edit else {}
    job = ended(ask(place.kernel, f"case {place.count}", seed=5, **options))
    place.rig.arm()
    (tracked,), (row,) = job.tracked, job.rows
    saved = [picture for picture in row.pictures if picture.saved_at]
    found = (str(job.status), service.tasks_created - before, len(saved))
    assert found == (case.state, case.tasks, case.pictures), tracked.note
    assert len([picture for picture in row.pictures if picture.corrupt_file]) == case.corrupt
    assert row.missing == case.missing
    assert bool(tracked.stopped) == case.stopped
    assert case.state not in ("refused", "failed", "cancelled") or not job.cost.amount
    assert not service.keys_leaked + place.rig.faults.keys_leaked
    assert all((place.rig.folder / picture.file).is_file() for picture in saved)
    stored = row_of(place.kernel, job)
    assert stored.status == row.status
    assert [(p.file, p.sha256, p.corrupt_file) for p in stored.pictures] == [
        (p.file, p.sha256, p.corrupt_file) for p in row.pictures
    ]
    if case.state == "in_doubt":
        place.kernel.resolve(job, "abandon")  # else the kernel looks for it, a hundred times a second
