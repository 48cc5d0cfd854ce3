"""Every fault of the matrix, at every phase where it can strike: what becomes of the job, the task and the picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image

from tests.engine.kit import Rig, ask, ended
from tests.engine.matrix import ALL, Case
from wan_notebook.session import Session


class Place:
    """One way to the service, shared by the cases of the table: a rig with its kernel."""

    def __init__(self, made: Rig) -> None:
        self.rig = made
        self.kernel: Session = made.kernel()
        self.count = 0


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, bool], Place]]:
    """Each dialect in this process and over a socket, made when first needed."""
    found: dict[tuple[str, bool], Place] = {}

    class Places(dict[tuple[str, bool], Place]):
        def __missing__(self, key: tuple[str, bool]) -> Place:
            dialect, socket = key
            made = Rig(tmp_path_factory.mktemp(dialect), dialect=dialect, speed=200.0)
            if socket:
                made.serve()
            self[key] = found[key] = Place(made)
            return found[key]

    yield Places()
    for place in found.values():
        place.rig.close()


def _rows() -> list[object]:
    rows = []
    for case in ALL:
        for dialect in case.ways:
            name = f"{case.id}-{dialect}{'-socket' * case.only_socket}"
            rows.append(pytest.param(case, dialect, case.only_socket, id=name))
    return rows


@pytest.mark.parametrize(("case", "dialect", "socket"), _rows())
def test_matrix(case: Case, dialect: str, socket: bool, places: dict[tuple[str, bool], Place]) -> None:
    """After the fault: the state, at most one task for one job, every picture that can be had, no key to a stranger."""
    place = places[dialect, socket]
    place.count += 1
    service = place.rig.service
    before = service.tasks_created
    place.rig.arm(*case.faults.split())
    options = {"images": [Image.new("RGB", (300, 300), (place.count % 256, 0, 0))], "n": 2} if case.edit else {}
    job = ended(ask(place.kernel, f"case {place.count}", seed=5, **options))
    place.rig.arm()
    live = job.lives[0]
    files = [p for p in live.row.pictures if p.saved_at]

    assert (live.state, service.tasks_created - before, len(files)) == (case.state, case.tasks, case.pictures), (
        live.note
    )
    assert len([p for p in live.row.pictures if p.corrupt_file]) == case.corrupt
    assert live.row.missing == case.missing
    assert bool(live.stopped) == case.stopped
    assert not service.keys_leaked
    for picture in files:
        assert (place.rig.folder / picture.file).is_file()
    stored = place.kernel.need_home().ledger.get(job.id)
    assert stored.pictures == live.row.pictures
    assert stored.state == live.state
