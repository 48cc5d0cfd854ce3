"""Bundles: complete, private, the same bytes for the same content, and nothing hostile gets out of one."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.environment import ROOT
from tests.kit import House, ask
from wan_notebook.display import job_bundle
from wan_notebook.errors import CellError, RecipeError, StoreError
from wan_notebook.research import methods_paragraph, open_bundle, plan_bundle, verify_notebook, write_bundle
from wan_notebook.session import Session

FIRST_EDITION = ROOT / "tests" / "data" / "first_edition" / "study.zip"


@pytest.fixture
def study(tmp_path: Path) -> Any:
    """A session with two jobs, and a notebook that shows the first."""
    house = House(tmp_path / "house")
    session = house.kernel()
    first = ask(session, "a red fox", seed=5).result(20)
    ask(session, "a red fox", seed=6).result(20)
    cell = nbformat.v4.new_code_cell("%%wan --seed 5\na red fox")
    data, metadata = job_bundle(first, session)
    cell.outputs = [nbformat.v4.new_output("display_data", data, metadata=metadata)]
    notebook = house.folder.parent / "study.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), notebook)
    yield session, notebook, first
    house.close()


def packed(session: Session, notebook: Path, name: str = "out.zip", **options: Any) -> Path:
    """Write a bundle and return it."""
    target = notebook.with_name(name)
    write_bundle(plan_bundle(session, notebook, target, **options))
    return target


def other_kernel(tmp_path: Path) -> tuple[House, Session]:
    """Return a kernel of somebody else's project."""
    house = House(tmp_path / "other")
    return house, house.kernel()


def test_the_same_content_gives_the_same_bytes(study: Any) -> None:
    """Times are fixed and names sorted, so that a bundle can be compared and archived."""
    session, notebook, _ = study
    one, two = packed(session, notebook, "one.zip"), packed(session, notebook, "two.zip")
    assert one.read_bytes() == two.read_bytes()


def test_a_bundle_opens_elsewhere_for_free(study: Any, tmp_path: Path) -> None:
    """Its jobs answer there, marked as imported; nothing is counted as spent, and opening it twice adds nothing."""
    session, notebook, first = study
    archive = packed(session, notebook)
    house, other = other_kernel(tmp_path)
    lines = open_bundle(archive, other)
    assert "1 job added" in lines[0]
    again = ask(other, "a red fox", seed=5)
    assert again.id == first.id
    assert again.rows[0].imported_at is not None
    assert house.service.tasks_created == 0
    assert "0 jobs added" in open_bundle(archive, other)[0]
    house.close()


def test_a_bundle_of_the_first_edition_opens(tmp_path: Path) -> None:
    """Files that exist are read for ever."""
    house, other = other_kernel(tmp_path)
    assert "10 jobs added" in open_bundle(FIRST_EDITION, other)[0]
    house.close()


def test_a_file_that_is_not_a_bundle_is_left_alone(study: Any) -> None:
    """A bundle is written over nothing but an older bundle."""
    session, notebook, _ = study
    mine = notebook.with_name("mine.zip")
    mine.write_bytes(b"my own file")
    with pytest.raises(StoreError, match="not a bundle"):
        plan_bundle(session, notebook, mine)
    assert mine.read_bytes() == b"my own file"


def test_a_key_in_a_cell_is_not_packed(study: Any) -> None:
    """A bundle that would hold the key is refused before anything is written."""
    _, notebook, first = study
    house = House(notebook.parent)
    session = house.kernel(WAN_API_KEY="sk-secret1234567890abcdef")
    document = nbformat.read(notebook, as_version=4)
    document.cells[0].source += " sk-secret1234567890abcdef"
    nbformat.write(document, notebook)
    with pytest.raises(CellError, match="holds your key"):
        plan_bundle(session, notebook, notebook.with_name("leak.zip"), shown=[first.id])
    assert not notebook.with_name("leak.zip").exists()
    house.close()


Change = Callable[[dict[str, bytes]], None]


def rewritten(archive: Path, change: Change, *, names: dict[str, str] | None = None) -> Path:
    """Return a copy of a bundle whose files were changed, with sizes and hashes that agree again."""
    with zipfile.ZipFile(archive) as given:
        files = {info.filename: given.read(info) for info in given.infolist()}
    change(files)
    crate = json.loads(files["ro-crate-metadata.json"])
    for item in crate["@graph"]:
        if (name := item.get("@id")) in files and "sha256" in item:
            item |= {"sha256": hashlib.sha256(files[name]).hexdigest(), "contentSize": str(len(files[name]))}
    files["ro-crate-metadata.json"] = json.dumps(crate).encode()
    target = archive.with_name("changed.zip")
    with zipfile.ZipFile(target, "w") as made:
        for name, data in files.items():
            made.writestr((names or {}).get(name, name), data)
    return target


def in_ledger(**columns: Any) -> Change:
    """Return a change of the first job's columns."""

    def change(files: dict[str, bytes]) -> None:
        first, *rest = files["ledger.jsonl"].splitlines()
        row = json.loads(first)
        row["job"] |= columns
        files["ledger.jsonl"] = b"\n".join([json.dumps(row).encode(), *rest])

    return change


def other_picture(files: dict[str, bytes]) -> None:
    """Put another picture in the place of the one that the job made."""
    name = next(name for name in files if name.endswith(".png"))
    files[name] = files[name][:-20] + bytes(20)


@pytest.mark.parametrize(
    "change",
    [
        in_ledger(prompt="another prompt"),
        in_ledger(fp_sent="wan1:sha256:" + "0" * 64),
        in_ledger(seed=99),
        in_ledger(mode="a bogus mode"),
        in_ledger(created_at=1e308),
        other_picture,
    ],
    ids=["prompt", "hash", "seed", "mode", "time", "picture"],
)
def test_a_picture_cannot_pass_as_the_answer_to_another_request(study: Any, tmp_path: Path, change: Change) -> None:
    """Hashes and shown columns are recomputed at import: a mismatch refuses the bundle, and nothing is written."""
    session, notebook, _ = study
    hostile = rewritten(packed(session, notebook), change)
    house, other = other_kernel(tmp_path)
    with pytest.raises((RecipeError, StoreError)):
        open_bundle(hostile, other)
    assert not list(house.folder.glob("2*"))
    assert not (house.folder.parent / "study.ipynb").exists()
    house.close()


@pytest.mark.parametrize("name", ["../evil.ipynb", "/evil.ipynb", "C:evil.ipynb", ".hidden/x.ipynb", "con.ipynb"])
def test_nothing_is_written_outside(study: Any, tmp_path: Path, name: str) -> None:
    """Names that lead elsewhere on some system refuse the bundle."""
    session, notebook, _ = study

    def rename(files: dict[str, bytes]) -> None:
        files[name] = files.pop("study.ipynb")
        files["ro-crate-metadata.json"] = files["ro-crate-metadata.json"].replace(b"study.ipynb", name.encode())

    hostile = rewritten(packed(session, notebook), rename)
    house, other = other_kernel(tmp_path)
    with pytest.raises(RecipeError):
        open_bundle(hostile, other)
    assert not list(tmp_path.rglob("evil*"))
    house.close()


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 100, None], ids=["empty", "head", "text", "half"])
def test_a_damaged_file_is_refused_in_one_sentence(study: Any, tmp_path: Path, data: bytes | None) -> None:
    """Whatever a file is, opening it says what is wrong and writes nothing."""
    session, notebook, _ = study
    archive = packed(session, notebook)
    archive.write_bytes(archive.read_bytes()[:5000] if data is None else data)
    house, other = other_kernel(tmp_path)
    with pytest.raises(RecipeError, match="cannot be read"):
        open_bundle(archive, other)
    house.close()


def test_a_bomb_is_refused_before_it_unpacks(study: Any, tmp_path: Path) -> None:
    """A file that unpacks to a multiple of what it takes is not read."""
    session, notebook, _ = study
    archive = packed(session, notebook)
    buffer = io.BytesIO(archive.read_bytes())
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.txt", bytes(100_000_000))
    archive.write_bytes(buffer.getvalue())
    house, other = other_kernel(tmp_path)
    with pytest.raises(RecipeError, match="would unpack"):
        open_bundle(archive, other)
    house.close()


# Verification and methods --------------------------------------------------------------------------------------------


def test_verification_finds_what_changed(study: Any) -> None:
    """A picture that is missing or changed is named, with the ways to get it back."""
    session, notebook, first = study
    assert verify_notebook(session, notebook).is_ok
    file = first.files[0]
    sound = file.read_bytes()
    file.write_bytes(sound[:-30] + bytes(30))
    found = verify_notebook(session, notebook)
    assert [check.finding.value for check in found.problems] == ["changed"]
    file.unlink()
    found = verify_notebook(session, notebook)
    assert [check.finding.value for check in found.problems] == ["missing"]
    assert "%wan bundle --open" in found.table().to_text()
    assert found.table().to_text().count("missing or changed") == 1


def test_methods_say_what_practice_pictures_are(study: Any) -> None:
    """Practice is never passed off as a result, in Markdown and in LaTeX."""
    session, notebook, _ = study
    for latex in (False, True):
        text = methods_paragraph(session, notebook, latex=latex)
        assert text.startswith("1 picture was drawn by the built-in simulator")
        assert "not made by an image model, and not a result" in text
    assert "1280×1280" in methods_paragraph(session, notebook) or "640×640" in methods_paragraph(session, notebook)
    assert r"$\times$" in methods_paragraph(session, notebook, latex=True)
