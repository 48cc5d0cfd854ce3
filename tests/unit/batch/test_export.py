"""A batch as a frame, a contact sheet and a data set."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from tests.kit import House, run_script
from tests.unit.batch.kit import RowsOfJobs, batch_of, noise_png
from wan_notebook.batch import save_sheet, to_dataset, to_pandas
from wan_notebook.errors import CellError, StoreError
from wan_notebook.metadata import read_metadata

LOAD = """
import json, sys, datasets
rows = datasets.load_dataset("imagefolder", data_dir=sys.argv[1], cache_dir=sys.argv[2])["train"]
print(json.dumps([{**row, "image": row["image"].size} for row in rows]))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One folder and service for all tests."""
    made = House(tmp_path_factory.mktemp("house"))
    made.configure(fixed_picture=noise_png())
    yield made
    made.close()


@pytest.fixture(scope="module")
def zoo(house: House) -> RowsOfJobs:
    """Rows with columns of every type and of our own names; the second fails, the third makes two pictures."""
    rows = [
        {"animal": "fox", "style": "ink", "seed": 1, "image": "x.png", "note": None, "mixed": 1, "state": "new"},
        {"animal": "owl [[fail]]", "style": "ink", "seed": 2},
        {"animal": "hare", "style": "oil", "seed": 3, "n": 2, "mixed": "1", "cat_file_name": "cat.png"},
    ]
    return batch_of(house.kernel(), rows)


def test_a_frame_has_a_row_for_each_row(zoo: RowsOfJobs, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's columns come first and stay as they are; ours stand beside them, and none says a thing twice."""
    monkeypatch.chdir(house.folder.parent)
    frame = to_pandas(zoo)
    theirs = ["animal", "style", "seed", "image", "note", "mixed", "state", "n", "cat_file_name"]
    ours = ["wan_state", "cost", "currency", "file", "files", "job", "prompt"]
    assert list(frame.columns) == theirs + ours
    assert list(frame["state"].fillna("")) == ["new", "", ""]
    assert list(frame["wan_state"]) == ["saved", "failed", "saved"]
    odd = [replace(job, columns={"seed": 0}) for job in zoo.jobs]
    assert "wan_seed" in to_pandas(replace(zoo, jobs=odd)), "the caller's says something else"
    assert [len(files) for files in frame["files"]] == [1, 0, 2]
    assert frame["file"][0].startswith("wan-pictures/")
    assert Path(frame["file"][0]).is_file()
    assert list(frame["cost"]) == [Decimal(0)] * 3
    assert list(frame["job"]) == [job.id for job in zoo.jobs]
    assert (str(frame["seed"].dtype), str(frame["n"].dtype)) == ("Int64", "Int64")


def test_a_sheet_has_every_picture_or_says_how_many_not(zoo: RowsOfJobs, tmp_path: Path) -> None:
    """A picture is not higher than programs take; a PDF has as many pages as it takes."""
    with Image.open(save_sheet(zoo, tmp_path / "few.png")) as sheet:
        assert sheet.width == 3 * 240
    many = replace(zoo, jobs=zoo.jobs[:1] * 1200)
    with Image.open(save_sheet(many, tmp_path / "many.jpg")) as sheet:
        assert sheet.height <= 12_000
        assert sheet.width == 16 * 160
    pages = save_sheet(replace(zoo, jobs=zoo.jobs[:1] * 70), tmp_path / "many.pdf").read_bytes()
    assert b"/Count 3" in pages
    with pytest.raises(StoreError, match=r"sheet\.gif: unknown ending"):
        save_sheet(zoo, tmp_path / "sheet.gif")
    for export in (save_sheet, to_dataset):
        with pytest.raises(CellError, match="No picture of the batch is saved yet"):
            export(replace(zoo, jobs=zoo.jobs[1:2]), tmp_path / "none.png")


def test_a_dataset_is_copies_and_a_line_each(zoo: RowsOfJobs, tmp_path: Path) -> None:
    """`file_name` is first, the caller's columns follow, every line has the same; pictures carry nothing of ours."""
    folder = to_dataset(zoo, tmp_path / "zoo")
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [line["file_name"] for line in lines] == ["row00001-1.png", "row00003-1.png", "row00003-2.png"]
    assert {path.name for path in folder.iterdir()} == {"metadata.jsonl", *(line["file_name"] for line in lines)}
    assert {tuple(line) for line in lines} == {tuple(lines[0])}
    assert list(lines[0])[:2] == ["file_name", "animal"]
    assert [line["mixed"] for line in lines] == ["1", "1", "1"]
    assert [(line["seed"], line["wan_seed"]) for line in lines] == [(1, 1), (3, 3), (3, 4)]
    assert (lines[0]["image_"], lines[1]["cat_file_name_"]) == ("x.png", "cat.png")
    assert read_metadata(zoo.jobs[0].files[0].read_bytes())
    assert read_metadata((folder / "row00001-1.png").read_bytes()) is None


def test_only_its_own_folder_is_written_again(zoo: RowsOfJobs, tmp_path: Path) -> None:
    """Also after it was interrupted; what left the batch goes, and anybody else's files stop it before the first."""
    folder = to_dataset(zoo, tmp_path / "zoo")
    (folder / "metadata.jsonl").unlink()
    (folder / ".DS_Store").touch()
    to_dataset(replace(zoo, jobs=zoo.jobs[:1]), folder)
    assert {path.name for path in folder.iterdir()} == {".DS_Store", "metadata.jsonl", "row00001-1.png"}
    for name, text in (("notes.txt", "mine"), ("metadata.jsonl", '{"file_name": "a.png"}\n')):
        other = tmp_path / name.partition(".")[0]
        other.mkdir()
        (other / name).write_text(text)
        with pytest.raises(StoreError, match=rf"holds files that were not written here \({name}\)"):
            to_dataset(zoo, other)
        assert [path.name for path in other.iterdir()] == [name]
    with pytest.raises(StoreError, match="a folder of pictures keeps it"):
        to_dataset(zoo, zoo.jobs[0].files[0].parent / "zoo")


@pytest.mark.process
def test_hugging_face_reads_it(zoo: RowsOfJobs, tmp_path: Path) -> None:
    """`datasets.load_dataset("imagefolder", data_dir=…)` has every picture with its columns."""
    pytest.importorskip("datasets")
    folder = to_dataset(zoo, tmp_path / "zoo")
    done = run_script(LOAD, "", str(folder), str(tmp_path / "cache"), HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["animal"] for row in rows] == ["fox", "hare", "hare"]
    assert [row["image"] for row in rows] == [
        list(picture.image.size) for job in (zoo.jobs[0], zoo.jobs[2]) for picture in job
    ]
    assert rows[0].keys() >= {"style", "seed", "wan_seed", "prompt", "model", "image_", "cat_file_name_"}
