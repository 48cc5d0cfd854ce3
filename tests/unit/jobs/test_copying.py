"""Copies of pictures elsewhere: the format that the name says, and never over a file that is not ours."""

import os
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.kit import ask, ended, rig
from wan_notebook.errors import StoreError
from wan_notebook.export import to_csv
from wan_notebook.jobs import Job
from wan_notebook.metadata import read_any, read_metadata


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Job]:
    """Two jobs with a picture each; their folder stays after the kernel."""
    with rig(tmp_path_factory.mktemp("copying")) as made:
        kernel = made.kernel()
        return ended(ask(kernel, seed=1)), ended(ask(kernel, seed=2))


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp", "a.png", "a"])
def test_the_ending_says_the_format(jobs: tuple[Job, Job], tmp_path: Path, name: str) -> None:
    """A .jpg holds JPEG bytes, a .png the very same bytes; the metadata comes along, unless a clean copy is wanted."""
    (path,) = jobs[0].save(tmp_path / name)
    kind = {"a.webp": "WEBP", "a.png": "PNG", "a": "PNG"}.get(name, "JPEG")
    with Image.open(path) as image:
        assert (image.format, image.size) == (kind, (640, 640))
    assert getattr(read_metadata(path.read_bytes()), "prompt", None) == "a fox in snow"
    assert kind != "PNG" or path.read_bytes() == jobs[0].files[0].read_bytes()
    clean = jobs[0][0].save(tmp_path / f"clean-{name}", clean=True)
    assert read_any(clean.read_bytes()) is None


@pytest.mark.parametrize("name", ["thesis.png", "cat.jpg"])
def test_what_was_not_made_here_is_left_alone(jobs: tuple[Job, Job], tmp_path: Path, name: str) -> None:
    """A photograph, or anything else under that name, stays; the error says how to replace it all the same."""
    target = tmp_path / name
    target.write_bytes(b"somebody's only copy")
    with pytest.raises(StoreError, match=r"left alone.*--force.*overwrite=True"):
        jobs[0].save(target)
    assert target.read_bytes() == b"somebody's only copy"
    jobs[0].save(target, overwrite=True)
    jobs[1].save(target)  # ours by now: a cell that saves its picture can run again
    with Image.open(target) as image:
        assert image.size == (640, 640)


def test_pictures_that_are_damaged_in_the_ledger_end_in_one_line(tmp_path: Path) -> None:
    """In a ledger that somebody edited a saved job may have no usable picture: that is said in one line."""
    with rig(tmp_path) as made:
        job = ended(ask(made.kernel(), seed=1))
        job.tracked[0].row.pictures[0].saved_at = None
        with pytest.raises(StoreError, match="no picture to save"):
            job.save(tmp_path / "a.png")


def test_the_same_bytes_are_no_conflict(jobs: tuple[Job, Job], tmp_path: Path) -> None:
    """A clean copy, which says nothing of its origin, can be saved again by a cell that runs again."""
    for _ in range(2):
        assert jobs[0][0].save(tmp_path / "clean.png", clean=True) == tmp_path / "clean.png"


def test_the_kept_pictures_are_never_replaced(jobs: tuple[Job, Job], tmp_path: Path) -> None:
    """Not even with overwrite, nor by an export: what is in the folder of pictures is the only original."""
    originals = {kept: kept.read_bytes() for kept in (jobs[0].files[0], jobs[0].files[0].parents[1] / "ledger.db")}
    os.mkfifo(pipe := tmp_path / "pipe.png")  # as a device would be, a file over it is no use to anybody
    for kept in (*originals, pipe):
        for write in (partial(jobs[1].save, kept, overwrite=True), partial(to_csv, (), kept, "job")):
            with pytest.raises(StoreError, match=r"folder of pictures|cannot be saved|not a file"):
                write()
    assert all(kept.read_bytes() == before for kept, before in originals.items())


CASES = [
    ("a.docx", r"cannot be saved as .docx. Known endings: \.png, \.jpg, \.jpeg, \.webp"),
    ("fox v1.2", r"\.png, \.jpg"),
    *((odd, "cannot write") for odd in ("file/a.png", "a\0.png", "\ud800.png", "x/" * 2000 + "a.png")),
    ("x" * 300 + ".png", "cannot write x+.png|cannot write .*File name too long"),
]


@pytest.mark.parametrize(("name", "words"), CASES)
def test_a_place_that_cannot_be_written_is_one_line(
    jobs: tuple[Job, Job], tmp_path: Path, name: str, words: str
) -> None:
    """No traceback of the operating system, and no file that says one thing and holds another."""
    folder = tmp_path / "chosen"
    folder.mkdir()
    (folder / "file").touch()
    with pytest.raises(StoreError, match=words):
        jobs[0].save(folder / name)
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_several_pictures_get_numbers_or_a_folder(jobs: tuple[Job, Job], tmp_path: Path) -> None:
    """A folder gets them under their own names; all are checked before the first is written."""
    (tmp_path / "folder.png").mkdir()
    assert jobs[0][0].save(tmp_path / "folder.png").parent == tmp_path / "folder.png"
    both = Job([jobs[0].tracked[0], jobs[1].tracked[0]], jobs[0].worker, request=jobs[0].request)
    assert [path.name for path in both.save(tmp_path / "a.jpg")] == ["a-1.jpg", "a-2.jpg"]
    assert {path.parent.name for path in both.save(tmp_path / "foxes")} == {"foxes"}
    (tmp_path / "Makefile").touch()
    with pytest.raises(StoreError, match="cannot write"):
        both.save(tmp_path / "Makefile")
    (tmp_path / "b-2.png").write_text("mine")
    with pytest.raises(StoreError, match="left alone"):
        both.save(tmp_path / "b.png")
    assert not (tmp_path / "b-1.png").exists()


def test_a_link_stays_one_and_a_name_may_be_long(jobs: tuple[Job, Job], tmp_path: Path) -> None:
    """What a link leads to is replaced; the temporary file beside a long name has a name of its own."""
    jobs[0].save(tmp_path / "real.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    jobs[1].save(tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == jobs[1].files[0].read_bytes()
    assert jobs[0].save(tmp_path / ("a" * 250 + ".png"))[0].is_file()
