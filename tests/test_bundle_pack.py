"""What goes into a bundle: everything that is shown and what it needs, and nothing that is nobody's business."""

from __future__ import annotations

import io
import json
import socket
import sqlite3
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests import bundle_kit
from tests.bundle_kit import HOST_URL, KEY_FINGERPRINT, USER, Project, code, pack, png, sha256, shown
from wan_notebook.bundle import Project as Bundled
from wan_notebook.bundle import plan_bundle, select, write_bundle
from wan_notebook.errors import CellError, StoreError
from wan_notebook.ledger import Ledger
from wan_notebook.request import canonical_json

project = bundle_kit.project
KEY = "sk-live-0123456789abcdef0123456789"


def members(path: Path) -> dict[str, bytes]:
    """Return a bundle's files."""
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        return {name: zipped.read(name) for name in zipped.namelist()}


def lines(found: dict[str, bytes]) -> dict[str, dict]:
    """Return the exported jobs by id."""
    rows = [json.loads(line) for line in found["ledger.jsonl"].splitlines()]
    return {row["job"]["id"]: row for row in rows}


def test_a_bundle_holds_what_is_shown_and_nothing_else(project: Project, tmp_path: Path) -> None:
    """The notebook, the shown takes with sidecars and inputs, the ledger in both forms, papers; no other job's."""
    kept = project.input("photo", png(77))
    fox = project.job(seed=5, pictures=2, inputs=[kept])
    project.job("not shown", seed=6)
    project.write_notebook(shown(fox))
    found = members(pack(project, tmp_path / "paper.zip"))

    pictures = {f"wan-pictures/{p.file}" for p in fox.pictures}
    assert set(found) == pictures | {f"{name}.json" for name in pictures} | {
        f"wan-pictures/{kept.file}",
        "wan-pictures/ledger.db",
        "ledger.jsonl",
        "study.ipynb",
        "README.md",
        "requirements.txt",
        "manifest.json",
        "ro-crate-metadata.json",
    }
    assert set(lines(found)) == {fox.id}
    assert found["study.ipynb"] == project.notebook.read_bytes()
    assert b"pillow==" in found["requirements.txt"]


def test_the_manifest_names_every_file_with_its_size_and_hash(project: Project, tmp_path: Path) -> None:
    """Size and SHA-256 of every file but the manifest itself are in the manifest."""
    project.write_notebook(shown(project.job()))
    found = members(pack(project, tmp_path / "paper.zip"))
    manifest = json.loads(found.pop("manifest.json"))

    assert {e["path"]: (e["size_bytes"], e["sha256"]) for e in manifest["files"]} == {
        name: (len(data), sha256(data)) for name, data in found.items()
    }
    assert (manifest["schema"], manifest["version"]) == ("wan-notebook/bundle", 1)


def test_the_ledger_inside_only_replays_and_counts_no_cost(project: Project, tmp_path: Path) -> None:
    """The ready ledger says replay=only, holds the jobs, and what they cost counts in no sum."""
    fox = project.job(cost="0.03")
    project.write_notebook(shown(fox))
    (tmp_path / "ledger.db").write_bytes(members(pack(project, tmp_path / "paper.zip"))["wan-pictures/ledger.db"])

    with Ledger.open(tmp_path / "ledger.db") as ledger:
        assert ledger.meta_get("replay") == "only"
        assert str(ledger.get(fox.id).cost) == "$0.03"
        assert str(ledger.spend().total) == "$0.00"
        assert ledger.find_answer(fox.fp_sent, by="sent", simulated_ok=False) is not None


def test_the_same_project_gives_the_same_bytes(project: Project, tmp_path: Path) -> None:
    """Times are fixed and names sorted: packing twice gives one and the same file."""
    project.write_notebook(shown(project.job(), project.job(seed=9, pictures=2)))
    one, two = pack(project, tmp_path / "one.zip"), pack(project, tmp_path / "two.zip")

    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as zipped:
        infos = zipped.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert [i.filename for i in infos[:-2]] == sorted(i.filename for i in infos[:-2])


def test_nothing_private_is_in_it(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or fingerprint of one, no signed address, no folder of this machine, no user, no host."""
    home = project.root.parent
    monkeypatch.setenv("HOME", str(home))
    photo = project.root / "photo.png"
    photo.write_bytes(png(70))
    odd = project.input(f'Image.open("{photo}")', png(71), position=1)
    fox = project.job(inputs=[project.input(str(photo), png(70)), odd])
    signed = "https://cdn.example.test/a.png?X-Amz-Signature=verysecretsignature&X-Amz-Expires=60"
    said = f"PosixPath('{project.file(fox)}') {home}/other {signed} {KEY} {KEY_FINGERPRINT}"
    stream = {"output_type": "stream", "name": "stdout", "text": [said]}
    result = {"output_type": "execute_result", "data": {"text/html": f"<p>{said}</p>"}, "metadata": {"at": said}}
    project.write_notebook(shown(fox), code("print(fox.files)", [stream, result]))
    path = pack(project, tmp_path / "paper.zip", keys=[KEY])

    private = [
        KEY,
        KEY_FINGERPRINT,
        USER,
        HOST_URL,
        "secret-host",
        "verysecretsignature",
        str(tmp_path),
        "private-place",
    ]
    private += [socket.gethostname() if len(socket.gethostname()) > 6 else KEY]
    raw, found = path.read_bytes(), members(path)
    for text in private:
        assert text.encode() not in raw, text
        for name, data in found.items():
            assert text.encode() not in data, (text, name)
    said_now = json.loads(found["study.ipynb"])["cells"][1]["outputs"][0]["text"][0]
    assert said_now.startswith(
        f"PosixPath('wan-pictures/{fox.pictures[0].file}') ~/other https://cdn.example.test/a.png"
    )
    assert json.loads(found["study.ipynb"])["cells"][1]["source"] == "print(fox.files)"


def test_a_key_in_a_cell_stops_the_bundle(project: Project, tmp_path: Path) -> None:
    """The cell's text is the record and is not changed: a key in it is an error that names the cell, and no file."""
    project.write_notebook(shown(project.job()), code(f'os.environ["WAN_API_KEY"] = "{KEY}"'))
    with pytest.raises(CellError, match="code cell 2"):
        pack(project, tmp_path / "paper.zip", keys=[KEY])
    assert list(tmp_path.glob("*.zip")) == []


def test_a_key_in_a_prompt_stops_the_bundle(project: Project, tmp_path: Path) -> None:
    """A prompt is part of the record: one that holds a key cannot be packed."""
    project.write_notebook(shown(project.job(f"a fox {KEY}")))
    with pytest.raises(CellError, match="would hold your key"):
        pack(project, tmp_path / "paper.zip", keys=[KEY])


def test_pictures_that_cells_read_come_along(project: Project, tmp_path: Path) -> None:
    """A picture that a cell names is packed under its path; other files and those outside are not, which is told."""
    (project.root / "data").mkdir()
    (project.root / "data/cat.png").write_bytes(png(3))
    (project.root / "data/table.csv").write_text("a,b")
    (project.root / ".secret.png").write_bytes(png(4))
    (project.root.parent / "outside.png").write_bytes(png(5))
    (project.root / "helpers.py").write_text("x = 1")
    project.write_notebook(
        shown(project.job(), source="%%wan -i data/cat.png\na cat"),
        code('import helpers\nopen("data/table.csv"), Image.open(".secret.png"), Image.open("../outside.png")'),
    )
    named = [item.job_id for item in bundle_kit.read_document(project.notebook).named()]
    plan = plan_bundle(Bundled.of(project.notebook, project.ledger, project.store), select(project.ledger, named))

    packed = {name for name, _ in plan.sizes if not name.startswith("wan-pictures/")}
    assert "data/cat.png" in packed
    assert not {n for n in packed if "secret" in n or "outside" in n or n.endswith((".csv", ".py"))}
    assert any("data/table.csv, helpers.py" in note for note in plan.notes)
    assert any("pictures outside the project: ../outside.png;" in note for note in plan.notes)


def test_a_position_in_a_photograph_is_told(project: Project, tmp_path: Path) -> None:
    """A photograph that says where it was taken cannot be cleaned (the cell needs it as it is): the person is told."""
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(buffer, "JPEG", exif=exif)
    (project.root / "holiday.jpg").write_bytes(buffer.getvalue())
    project.write_notebook(shown(project.job(), source="%%wan -i holiday.jpg\nx"))
    selection = select(project.ledger, [item.job_id for item in bundle_kit.read_document(project.notebook).named()])
    plan = plan_bundle(Bundled.of(project.notebook, project.ledger, project.store), selection)

    assert any("holiday.jpg says where it was taken" in note for note in plan.notes)


def test_sizes_are_known_before_anything_is_written(project: Project, tmp_path: Path) -> None:
    """The listing is exact: it names what the bundle then holds, with the bytes that each file has."""
    project.write_notebook(shown(project.job(pictures=2)))
    selection = select(project.ledger, [item.job_id for item in bundle_kit.read_document(project.notebook).named()])
    plan = plan_bundle(Bundled.of(project.notebook, project.ledger, project.store), selection)
    sizes = dict(plan.sizes)
    write_bundle(plan, tmp_path / "paper.zip")

    assert sizes == {name: len(data) for name, data in members(tmp_path / "paper.zip").items()}


def test_a_changed_or_missing_picture_stops_the_bundle(project: Project, tmp_path: Path) -> None:
    """A bundle that could not prove its pictures is not written, and no half of it stays."""
    fox, owl = project.job(), project.job("an owl", seed=6)
    project.write_notebook(shown(fox), shown(owl))
    project.file(fox).write_bytes(png(999))
    with pytest.raises(StoreError, match="changed since"):
        pack(project, tmp_path / "paper.zip")
    project.file(fox).unlink()
    with pytest.raises(StoreError, match="missing"):
        pack(project, tmp_path / "paper.zip")
    assert [p.name for p in tmp_path.iterdir() if "paper" in p.name] == []


def test_only_an_older_bundle_is_replaced(project: Project, tmp_path: Path) -> None:
    """Packing again replaces the bundle; any other file of that name is left alone."""
    project.write_notebook(shown(project.job()))
    target = pack(project, tmp_path / "paper.zip")
    pack(project, target)
    thesis = tmp_path / "thesis.zip"
    for content in (b"years of work", members_as_zip(b"x")):
        thesis.write_bytes(content)
        with pytest.raises(StoreError, match="no bundle"):
            pack(project, thesis)
        assert thesis.read_bytes() == content


def members_as_zip(data: bytes) -> bytes:
    """Return a zip file of something else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("thesis.tex", data)
    return buffer.getvalue()


def test_a_place_that_cannot_be_written_is_named(project: Project, tmp_path: Path) -> None:
    """An unwritable target is an error that names it."""
    project.write_notebook(shown(project.job()))
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write"):
        pack(project, tmp_path / "file" / "paper.zip")


def test_the_crate_describes_files_and_acts(project: Project, tmp_path: Path) -> None:
    """The RO-Crate is valid to its own library, lists every file, and says which act made which picture from what."""
    kept = project.input("photo", png(77))
    fox = project.job(pictures=2, inputs=[kept])
    project.write_notebook(shown(fox))
    path = pack(project, tmp_path / "paper.zip")
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall(tmp_path / "open")
    from rocrate.rocrate import ROCrate

    crate = ROCrate(tmp_path / "open")
    listed = {e.id for e in crate.data_entities}
    assert listed == {name for name in members(path) if name != "ro-crate-metadata.json"}
    action = crate.dereference(f"#job-{fox.id}")
    assert [e.id for e in action["result"]] == [f"wan-pictures/{p.file}" for p in fox.pictures]
    assert [e.id for e in action["object"]] == [f"wan-pictures/{kept.file}"]
    assert action["instrument"]["name"] == "wan2.6-image"
    assert crate.mainEntity.id == "study.ipynb"
    picture = crate.dereference(f"wan-pictures/{fox.pictures[0].file}")
    assert picture["sha256"] == sha256(project.file(fox).read_bytes())


def test_without_the_library_the_error_says_what_to_install(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named with the exact line, before anything is read or written."""
    monkeypatch.setitem(__import__("sys").modules, "rocrate.rocrate", None)
    project.write_notebook(shown(project.job()))
    with pytest.raises(CellError) as caught:
        pack(project, tmp_path / "paper.zip")
    assert 'pip install "wan-notebook[bundle]"' in caught.value.hint


def test_kept_copies_of_addresses_come_along(project: Project, tmp_path: Path) -> None:
    """An input that was given by its address is there without a network: its kept copy and its note are packed."""
    url = "https://example.test/cat.png"
    file = project.store.add("inputs/fetched-0123456789abcdef.png", png(9)).file
    project.ledger.meta_set(f"url:{sha256(url.encode())}", file)
    project.write_notebook(shown(project.job(), source=f"%%wan -i {url}\nx"))
    found = members(pack(project, tmp_path / "paper.zip"))
    (tmp_path / "ledger.db").write_bytes(found["wan-pictures/ledger.db"])

    assert found[f"wan-pictures/{file}"] == png(9)
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        assert ledger.meta_get(f"url:{sha256(url.encode())}") == file


def test_the_ready_ledger_is_one_clean_file(project: Project, tmp_path: Path) -> None:
    """The packed database has no journal beside it, and no trace of rows that were never meant to leave."""
    project.write_notebook(shown(project.job()))
    project.job("a private prompt", seed=99)
    data = members(pack(project, tmp_path / "paper.zip"))["wan-pictures/ledger.db"]

    assert b"a private prompt" not in data
    path = tmp_path / "x.db"
    path.write_bytes(data)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_an_exported_fingerprint_can_be_checked(project: Project) -> None:
    """The fingerprint in the export is the hash of the request beside it, so that a reader need not believe it."""
    fox = project.job()
    row = project.ledger.export_rows([fox.id])[0]
    assert row["job"]["fp_sent"].endswith(sha256(canonical_json(row["job"]["request"]).encode()))
    assert row["job"]["notebook"] == "study.ipynb"
