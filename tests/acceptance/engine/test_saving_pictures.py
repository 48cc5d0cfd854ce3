"""From the line to the disk: once, whole, within bounds, and whatever fails on the way costs no picture."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kit import Rig, ask, ended, rig, small_png, until
from wan_notebook.jobs import download
from wan_notebook.jobs.course import DISK_WORKERS
from wan_notebook.recipe import read_recipe, strip
from wan_notebook.session import Session
from wan_notebook.store import Files


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Rig]:
    """A folder and a service."""
    with rig(tmp_path) as made:
        yield made


def parts_left(there: Rig) -> list[str]:
    """Return what lies in the folder of downloads."""
    return [path.name for path in (there.folder / ".parts").glob("*")]


@pytest.mark.parametrize("keep_bytes", [8 * 1024 * 1024, 10])
def test_a_picture_is_the_same_by_way_of_memory_and_of_a_file(
    there: Rig, monkeypatch: pytest.MonkeyPatch, keep_bytes: int
) -> None:
    """Small ones stay in memory, large ones go into a part file: either way the recipe is in, and nothing is left."""
    monkeypatch.setattr(download, "KEEP_BYTES", keep_bytes)
    job = ended(ask(there.kernel(), seed=1))
    data = job.files[0].read_bytes()
    assert strip(data) == small_png()
    assert read_recipe(data) is not None
    assert job.files[0].with_name(f"{job.files[0].name}.json").is_file()
    assert parts_left(there) == []


@pytest.mark.parametrize("where", ["recipe_of", "embedded", "write_sidecar"])
def test_a_recipe_that_cannot_be_written_does_not_cost_its_picture(
    there: Rig, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The picture is what was paid for: it is saved as it came, without what describes it."""

    def broken(*_: Any) -> Any:
        raise ValueError("no such field")

    kernel = there.kernel()
    if where == "recipe_of":
        kernel.engine_parts = {**kernel.engine_parts, "recipe_of": broken}
    else:
        monkeypatch.setattr(download, where, broken)
    job = ended(ask(kernel, seed=1))
    assert job.status == "saved"
    assert job.files[0].read_bytes() == small_png()


def downloads_of(session: Session) -> int:
    """Return how many pictures were asked for."""
    return sum(client.requests_sent["download"] for client in session.providers.clients)


def test_a_slow_disk_holds_the_downloads_back(there: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are finished, only a few pictures are in memory: the others wait at the service."""
    kernel, gate, at_the_disk = there.kernel(), threading.Event(), threading.Semaphore(0)
    files = kernel.need_home().store._files
    original = files.write_new

    def slow(path: Path, *pieces: bytes | memoryview) -> None:
        if path.suffix == ".ready":
            at_the_disk.release()
            gate.wait(30)
        original(path, *pieces)

    monkeypatch.setattr(files, "write_new", slow)
    jobs = [ask(kernel, seed=seed) for seed in range(3 * download.IN_MEMORY_MAX)]
    for _ in range(DISK_WORKERS):
        assert at_the_disk.acquire(timeout=30)
    until(lambda: all(live.state == "succeeded" for job in jobs for live in job.lives))
    until(lambda: downloads_of(kernel) >= download.IN_MEMORY_MAX)
    assert downloads_of(kernel) == download.IN_MEMORY_MAX
    gate.set()
    assert [ended(job).status for job in jobs] == ["saved"] * len(jobs)


def test_a_disk_that_complains_after_a_picture_has_its_name_gets_no_copies_of_it(
    there: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network drives never make a folder's names durable: each try would leave one more file."""
    made = Files.sync_folder

    def complain(self: Files, path: Path) -> None:
        if any(path.glob("*.png")):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        made(self, path)

    monkeypatch.setattr(Files, "sync_folder", complain)
    job = ended(ask(there.kernel(), seed=1))
    assert (job.status, parts_left(there)) == ("saved", [])
    assert list(there.folder.glob("2*/*.png")) == list(job.files)
