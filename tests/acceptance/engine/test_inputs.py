"""Pictures as inputs: photographs over the whole path, and pictures of jobs that still run."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.environment import ROOT
from tests.fakes.pictures import encoded, gradient
from tests.kit import WAIT_S, House, Rig, ask, ended, in_shell, rig
from wan_notebook.errors import RequestError
from wan_notebook.images import PendingImage
from wan_notebook.jobs import Job
from wan_notebook.magics import cell_parser, read_cell
from wan_notebook.metadata import read_metadata, strip
from wan_notebook.money import Source
from wan_notebook.session import Session

PHOTOGRAPHS = ROOT / "notebooks" / "data"
KEY = "a-key-that-must-not-be-seen"


def read(session: Session, expression: str, **names: Any) -> Any:
    """Return the one input picture of a cell with ``-i expression``."""
    submission, _ = read_cell(cell_parser().read(f"-i {expression}"), "at night", session.resolver(names))
    (image,) = submission.requests[0].images
    return image


def test_an_index_does_not_wait_for_the_job(tmp_path: Path) -> None:
    """``-i p[1]``, as captions print it, names the picture that will be made; looking it up does not hold up a cell."""
    with rig(tmp_path, seconds=1000.0) as made:
        session = made.kernel()
        p = ask(session, seed=5, n=3)
        edit = ask(session, images=ask(session, seed=1), n=2, seed=8)
        for text, row, index in (
            ("p[1]", p.rows[1], 0),
            ("p[-1]", p.rows[2], 0),
            ("d['key'][0]", p.rows[0], 0),
            ("[p[2]]", p.rows[2], 0),
            ("edit[-1]", edit.rows[0], -1),
            ("edit[1]", edit.rows[0], 1),
        ):
            found = read(session, text, p=p, edit=edit, d={"key": p})
            assert isinstance(found, PendingImage)
            assert (found.job_id, found.index) == (row.id, index), text
        assert not p.is_done
        assert not edit.is_done


def test_the_picture_that_was_named_is_the_one_that_is_sent(tmp_path: Path) -> None:
    """Once the other job is over, its second picture goes out, not its first; the edit is never bought again."""
    with rig(tmp_path, seconds=5.0) as made:
        session = made.kernel()
        both = ask(session, seed=5, n=2)
        in_shell(session, cell=("-i both[1] --seed 9", "at night"), both=both)
        edit = ended(session.last[-1][1])
        assert edit.status == "saved"
        assert edit.rows[0].inputs[0].source_job == both.rows[1].id
        assert ask(made.kernel(), "at night", images=[both[1]], seed=9).id == edit.id
        assert made.service.tasks_created == 3


def test_an_index_that_is_not_there_lists_the_choices(tmp_path: Path) -> None:
    """The error names what can be typed instead, whether the job is over or not."""
    with rig(tmp_path, seconds=1.0) as made:
        session = made.kernel()
        job = ended(ask(session, seed=5, n=2))
        for found in (job, ask(session, seed=50, n=2)):
            for index in (2, -3):
                with pytest.raises(RequestError, match=r"2 pictures") as caught:
                    read(session, f"p[{index}]", p=found)
                assert re.search(r"p\[0\].*p\[1\]", f"{caught.value}")


# ------------------------------------------------------------------ photographs


@pytest.fixture(params=["gateway", pytest.param("dashscope", marks=pytest.mark.nightly)])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A kernel with a key, and the service on a port, with pictures that are really painted."""
    made = Rig(tmp_path, provider=request.param, speed=1.0, fixed_picture=None, keys=frozenset({KEY}))
    made.serve()
    yield made.kernel(fast=False, WAN_API_KEY=KEY, DASHSCOPE_API_KEY=KEY)
    made.close()
    assert not made.service.keys_leaked


def check(job: Job) -> None:
    """Every picture is on disk, whole, with nothing beside it but its sidecar, and says how it was made."""
    for picture in job:
        metadata = read_metadata(picture.file.read_bytes())
        assert metadata is not None
        assert metadata.task_id == picture.tracked.row.task_id
        assert strip(picture.file.read_bytes()) == picture.data
        assert picture.file.with_name(f"{picture.file.name}.json").is_file()
        assert not [path for path in picture.file.parent.parent.rglob("*.part") if path.is_file()]
    assert job.cost.source is (Source.REPORTED if job.rows[0].provider == "gateway" else Source.UNKNOWN)


def test_pictures_are_made_and_photographs_edited(session: Session) -> None:
    """Without an image at most 1280×1280, the result at 2K; photographs in the shape of the last, as many as asked."""
    cat = Image.open(PHOTOGRAPHS / "chelsea.jpg")
    first = ask(session, "a rocket at dawn", size="16:9", seed=1).result(WAIT_S)
    second = ask(session, "at night", images=first[0], size="2K", seed=2).result(WAIT_S)
    both = ask(session, "the cat by the cup", images=[PHOTOGRAPHS / "coffee.jpg", cat], n=2, seed=7).result(WAIT_S)
    for job in (first, second, both):
        check(job)
    assert [len(job.images) for job in (first, second, both)] == [1, 1, 2]
    assert first.images[0].size == (1280, 720)
    assert second.images[0].width > 2048
    width, height = both.images[0].size
    assert abs(width / height - cat.width / cat.height) < 0.03
    assert abs(width * height - 1280 * 1280) < 60_000


def test_text_is_illustrated_from_a_photograph(session: Session, tmp_path: Path) -> None:
    """Texts and pictures come in the service's order, at most as many as asked; the key is in no file and no repr."""
    cat = PHOTOGRAPHS / "chelsea.jpg"
    job = ask(session, "the cat's day", images=cat, interleave=True, max_images=3, seed=3).result(WAIT_S)
    check(job)
    assert 1 <= len(job.files) == len(job.images) <= 3
    assert job.text
    assert [next(iter(item)) for item in job.rows[0].items][:2] == ["text", "picture"]
    assert KEY not in repr(job) + repr(session.settings()) + str(job.to_dict()) + repr(vars(session))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


# ------------------------------------------------------------------ another encoder


def encoder_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pillow write other bytes for the same pixels, as another version of it or of its libraries does."""
    original: Callable[..., None] = Image.Image.save

    other = {"PNG": {"compress_level": 3}, "JPEG": {"quality": 71}, "WEBP": {"quality": 71}}

    def save(self: Image.Image, target: Any, format: str | None = None, **options: Any) -> None:
        original(self, target, format, **options | other.get(format or "", {}))

    monkeypatch.setattr(Image.Image, "save", save)


def test_request_hashes_do_not_depend_on_an_encoder(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture in memory, one that is too large to send as it is, and a file are the same request after an update."""
    memory = gradient(400, 300)
    inputs = (memory, memory.resize((8016, 250)), encoded(memory.convert("RGBA")))
    before, after = house.kernel(), house.kernel()
    first = [ask(before, images=[image], seed=5).result(WAIT_S) for image in inputs]
    sent = first[0].rows[0].inputs[0].sha256
    encoder_of_another_version(monkeypatch)
    again = [ask(after, images=[image], seed=5) for image in inputs]
    anew = ask(after, images=[memory], seed=6).result(WAIT_S)
    assert [job.id for job in again] == [job.id for job in first]
    assert house.service.tasks_created == len(inputs) + 1
    assert anew.rows[0].inputs[0].sha256 != sent
