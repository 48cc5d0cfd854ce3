"""Bundles: complete, private, the same bytes for the same content, and nothing hostile gets out of one."""

import hashlib
import io
import json
import os
import re
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

import wan_notebook as wan
from tests.environment import ROOT
from tests.fakes.attacks import CRATE, Change, in_ledger, other_picture, renamed, rewritten
from tests.kit import House, ask, in_shell, project_of, small_png
from tests.unit.database.kit import sql
from wan_notebook.database import HistoryQuery
from wan_notebook.display import history_table, job_bundle
from wan_notebook.errors import CellError, RecipeError, StoreError
from wan_notebook.exporter import WanMarkdownExporter
from wan_notebook.jobs import Job
from wan_notebook.research import methods_paragraph, open_bundle, verify_notebook, write_bundle
from wan_notebook.session import Session


class Study(NamedTuple):
    """A session with two jobs, a notebook that shows the first, and its bundle."""

    session: Session
    notebook: Path
    job: Job
    archive: Path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """One study for all tests, which leave it as it is."""
    house = House(tmp_path_factory.mktemp("house"))
    session = house.kernel()
    first = ask(session, "a red fox", seed=5).result(20)
    ask(session, "a red fox", seed=6).result(20)
    data, metadata = job_bundle(first, session)
    output = {"output_type": "display_data", "data": data, "metadata": metadata}
    cell = {"cell_type": "code", "id": "c1", "metadata": {}, "execution_count": 1}
    cell |= {"source": "%%wan --seed 5\na red fox", "outputs": [output]}
    notebook = house.folder.parent / "study.ipynb"
    notebook.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}), "utf-8")
    archive = notebook.with_name("out.zip")
    write_bundle(session, notebook, archive)
    yield Study(session, notebook, first, archive)
    house.close()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Somebody else's project, in which a notebook runs."""
    house = House(tmp_path / "other")
    monkeypatch.chdir(house.folder.parent)
    yield house
    house.close()


def test_the_same_content_gives_the_same_bytes(study: Study) -> None:
    """Times are fixed and names sorted, so that a bundle can be compared and archived."""
    again = study.notebook.with_name("again.zip")
    write_bundle(study.session, study.notebook, again)
    assert again.read_bytes() == study.archive.read_bytes()


def test_a_bundle_opens_elsewhere_for_free(study: Study, elsewhere: House) -> None:
    """Its jobs answer there, marked as imported; nothing counts as spent; opened again it adds what is lost alone."""
    other = elsewhere.kernel()
    assert "1 job added" in open_bundle(study.archive, other)[0]
    again = ask(other, "a red fox", seed=5)
    assert again.id == study.job.id
    assert again.rows[0].imported_at is not None
    assert elsewhere.service.tasks_created == 0
    assert "1 request was taken over from a bundle." in methods_paragraph(other, None, shown=[again.id])
    assert "imported" in job_bundle(again, other)[0]["text/plain"]
    assert "imported" in history_table(other, HistoryQuery()).to_text()
    assert ("record", "imported") in wan.compare(again[0], study.job[0], session=other).items[0].facts
    again.files[0].unlink()
    assert "0 jobs added" in open_bundle(study.archive, other)[0]
    assert again.files[0].read_bytes() == study.job.files[0].read_bytes()


def test_a_file_that_is_here_is_never_overwritten(study: Study, elsewhere: House) -> None:
    """A picture of the same name gets another one, and a notebook that differs is left alone."""
    mine = elsewhere.folder / study.job.rows[0].pictures[0].file
    mine.parent.mkdir(parents=True)
    for path in (mine, elsewhere.folder.parent / "study.ipynb"):
        path.write_bytes(b"my own")
    lines = open_bundle(study.archive, other := elsewhere.kernel())
    assert mine.read_bytes() == (elsewhere.folder.parent / "study.ipynb").read_bytes() == b"my own"
    assert "differs: it was left alone" in lines[-1]
    assert ask(other, "a red fox", seed=5).files[0].name == f"{mine.stem}_2.png"


def test_a_file_that_is_not_a_bundle_is_left_alone(study: Study) -> None:
    """A bundle is written over nothing but an older bundle; neither it nor a notebook is looked for in a pipe."""
    mine = study.notebook.with_name("mine.zip")
    mine.write_bytes(b"my own file")
    os.mkfifo(pipe := study.notebook.with_name("pipe.ipynb"))
    for target in (mine, pipe, mine.with_name("n" * 300)):
        with pytest.raises(StoreError, match=r"not a bundle|cannot write"):
            write_bundle(study.session, study.notebook, target)
    with pytest.raises(StoreError, match="not a file"):
        verify_notebook(study.session, pipe)
    pipe.unlink()
    assert mine.read_bytes() == b"my own file"


def test_links_that_will_be_dead_for_its_reader_are_named(study: Study, elsewhere: House) -> None:
    """Links of Markdown cells and outputs that lead to what is not packed are noted; those to pictures are sound."""
    notebook = elsewhere.folder.parent / "study.ipynb"
    open_bundle(study.archive, session := elsewhere.kernel())
    document = json.loads(notebook.read_text("utf-8"))
    text = "[table](data/my%20table.csv) ![](study.ipynb) [there](https://example.org/x.html) [here](#top)"
    sound = f"<a href='wan-pictures/{study.job.rows[0].pictures[0].file}'>full file</a>"
    document["cells"][0]["outputs"] = [{"output_type": "display_data", "data": {"text/html": [sound]}, "metadata": {}}]
    document["cells"] += [{"cell_type": "markdown", "metadata": {}, "source": [text]}]
    notebook.write_text(json.dumps(document), "utf-8")
    dead = [line for line in write_bundle(session, notebook, notebook.with_suffix(".zip")) if "links in" in line]
    assert dead == ["note: links in cells lead to files that are not packed: data/my table.csv"]


def test_what_a_bundle_lacks_is_said(study: Study, elsewhere: House) -> None:
    """Another kernel does not know the jobs of a loop that shows nothing; a cell that is not saved cannot be packed."""
    notebook = elsewhere.folder.parent / "study.ipynb"
    open_bundle(study.archive, session := elsewhere.kernel())
    document = json.loads(notebook.read_text("utf-8"))
    document["cells"] += [{"cell_type": "code", "id": "loop", "source": "ask()", "outputs": [], "metadata": {}}]
    notebook.write_text(json.dumps(document), "utf-8")
    job = ask(session, "a boat", seed=1).result(20)
    for cell, shown, words in (("loop", [], "not packed, since"), ("new", [job.id], "the notebook on disk")):
        session.project().database.update(job.id, notebook=str(notebook), cell_id=cell)
        lines = write_bundle(session, notebook, notebook.with_suffix(".zip"), shown=shown)
        assert [line for line in lines if words in line and line.endswith(f"jobs: {job.id}")], lines


def test_a_key_in_a_cell_is_not_packed(study: Study, elsewhere: House) -> None:
    """A bundle that would hold the key is refused before anything is written."""
    session = elsewhere.kernel(WAN_API_KEY="sk-secret1234567890abcdef")
    open_bundle(study.archive, session)
    notebook = elsewhere.folder.parent / "leak.ipynb"
    notebook.write_text(study.notebook.read_text("utf-8").replace("a red fox", "sk-secret1234567890abcdef", 1), "utf-8")
    with pytest.raises(CellError, match=r"leak\.ipynb holds your key"):
        write_bundle(session, notebook, notebook.with_name("leak.zip"))
    assert not notebook.with_name("leak.zip").exists()


# Attacks -------------------------------------------------------------------------------------------------------------

ATTACKS: dict[str, Change] = {
    "prompt": in_ledger(prompt="another prompt"),
    "any hash": in_ledger("pictures", sha256="*"),
    "the ledger as a picture": in_ledger("pictures", file="ledger.db"),
    "the ledger aside": in_ledger("pictures", corrupt_file="ledger.db"),
    "outside": in_ledger("pictures", file="../study.ipynb"),
    "picture": other_picture,
    "newer": lambda files: files.update({CRATE: files[CRATE].replace(b'\\"version\\": 2', b'\\"version\\": 9')}),
    "no record": lambda files: files.update({CRATE: b'{"@graph": [{}]}'}),
    **{f"name {name}": renamed(name) for name in ("../evil.ipynb", "/evil.ipynb", "C:evil.ipynb", ".hidden/x.ipynb")},
    "device": renamed("con.ipynb"),
    "twins": lambda files: files.update({"STUDY.ipynb": b"{}"}),
}


@pytest.mark.parametrize("change", ATTACKS.values(), ids=ATTACKS)
def test_what_cannot_be_trusted_is_refused_whole(study: Study, elsewhere: House, change: Change) -> None:
    """Hashes and shown columns are recomputed, names checked on every system: a mismatch writes nothing."""
    hostile = rewritten(study.archive, elsewhere.folder.parent / "hostile.zip", change)
    with pytest.raises((RecipeError, StoreError)):
        open_bundle(hostile, elsewhere.kernel())
    assert not list(elsewhere.folder.glob("2*"))
    assert not [*elsewhere.folder.parent.parent.rglob("*evil*"), *elsewhere.folder.parent.glob("*.ipynb")]


def test_a_record_of_other_rules_is_shown(elsewhere: House) -> None:
    """A count that no request may have today, in a ledger or a bundle, hides no picture; its cell is written too."""
    other = elsewhere.kernel()
    job = ask(other, images=[small_png()], seed=5).result(20)
    sent = {**job.rows[0].parameters, "n": 99, "size": "1*1"}
    other.project().database.update(job.id, parameters=sent, n=99)
    other.close()
    sql(elsewhere.folder, "UPDATE inputs SET file = (SELECT file FROM pictures)")
    later = elsewhere.kernel()
    assert not later.job(job.id).request.images[0].data, "a picture that nobody gave would be sent"
    assert "data:image" in job_bundle(later.job(job.id), later)[0]["text/html"]
    assert "-n 99" in in_shell(later, line=f"recall {job.id}")[0]


@pytest.mark.parametrize(
    "change",
    [
        "pictures SET file = '', sha256 = x'ff'",
        "pictures SET file = '../../../x', sha256 = '../../../x'",
        "pictures SET file = x'ff', sha256 = ''",
        "jobs SET mode = 'bogus', state = 'happy', cost_source = 'guess', created_at = 1e308",
        "job_texts SET request = '[]'",
        """job_texts SET pending_inputs = '[{"a": 1}]', parameters = '{"n": "x", "size": 5}'""",
    ],
)
def test_an_odd_row_of_a_foreign_folder_breaks_nothing(elsewhere: House, change: str) -> None:
    """History, card and cell of it are shown as far as they can be read; nothing is written outside the folder."""
    session = elsewhere.kernel()
    job = ask(session, seed=5).result(20)
    session.close()
    sql(elsewhere.folder, f"UPDATE {change}")
    before = sorted(elsewhere.folder.parent.parent.glob("*"))
    later = elsewhere.kernel()
    assert re.search(rf"{job.id}[^✓]*damaged: ", history_table(later, HistoryQuery()).to_html())
    assert job.id in job_bundle(later.job(job.id), later)[0]["text/html"]
    assert in_shell(later, line=f"recall {job.id}")
    in_shell(later, line=f"show {job.id} --takes")
    assert sorted(elsewhere.folder.parent.parent.glob("*")) == before


def test_a_kept_copy_of_an_address_serves_its_own_bundle_only(study: Study, elsewhere: House) -> None:
    """A stranger's picture does not answer the person's own `-i https://…`."""
    key = "url:" + hashlib.sha256(b"https://example.org/mine.png").hexdigest()

    def keep(files: dict[str, bytes]) -> None:
        kept = json.dumps({key: study.job.rows[0].pictures[0].file}).replace('"', '\\"')
        files[CRATE] = files[CRATE].replace(b'\\"kept\\": {}', b'\\"kept\\": ' + kept.encode())

    other = elsewhere.kernel()
    open_bundle(rewritten(study.archive, elsewhere.folder.parent / "kept.zip", keep), other)
    with zipfile.ZipFile("kept.zip") as archive:
        assert key.encode() in archive.read(CRATE)
    assert not other.project().database.meta_get(key)


def test_a_planted_link_is_not_followed(study: Study, elsewhere: House, tmp_path: Path) -> None:
    """Where a folder of pictures, or the notebook, is a link to elsewhere, nothing is written there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (elsewhere.folder.parent / "study.ipynb").symlink_to(outside / "study.ipynb")
    day = study.job.rows[0].pictures[0].file.partition("/")[0]
    other = elsewhere.kernel()
    other.project()
    (elsewhere.folder / day).symlink_to(outside)
    with pytest.raises(StoreError, match=r"link|leads out"):
        open_bundle(study.archive, other)
    (elsewhere.folder / day).unlink()
    assert "through a link" in open_bundle(study.archive, other)[-1]
    assert not list(outside.iterdir())


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 100, None], ids=["empty", "head", "text", "half"])
def test_a_damaged_file_is_refused_in_one_sentence(study: Study, elsewhere: House, data: bytes | None) -> None:
    """Whatever a file is, opening it says what is wrong and writes nothing."""
    archive = elsewhere.folder.parent / "damaged.zip"
    archive.write_bytes(study.archive.read_bytes()[:5000] if data is None else data)
    os.mkfifo(pipe := archive.with_name("pipe.zip"))
    for path in (archive, archive.with_name("misspelt.zip"), pipe):
        with pytest.raises(RecipeError, match=r"(cannot be read|not a file).*Check the path"):
            open_bundle(path, elsewhere.kernel())


def test_a_bomb_is_refused_before_it_unpacks(study: Study, elsewhere: House) -> None:
    """A file that unpacks to a multiple of what it takes is not read."""
    buffer = io.BytesIO(study.archive.read_bytes())
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.txt", bytes(1_000_000))
    archive = elsewhere.folder.parent / "bomb.zip"
    archive.write_bytes(buffer.getvalue())
    with pytest.raises(RecipeError, match="would unpack"):
        open_bundle(archive, elsewhere.kernel())


def test_a_record_of_too_many_values_is_refused_before_it_is_parsed(study: Study, elsewhere: House) -> None:
    """A few hundred kilobytes of `{},{},…` would become gigabytes of objects."""
    many = b'{"@graph": [' + b"{}, " * 2_000_000 + b"{}]}"
    rows = rewritten(study.archive, elsewhere.folder.parent / "rows.zip", lambda f: f.update({"ledger.jsonl": many}))
    crate = rows.with_name("crate.zip")
    with zipfile.ZipFile(crate, "w") as made:
        made.writestr(CRATE, many)
    for hostile in (rows, crate):
        with pytest.raises(RecipeError, match="more values"):
            open_bundle(hostile, elsewhere.kernel())


# Verification and methods --------------------------------------------------------------------------------------------


def test_verification_finds_what_changed(study: Study) -> None:
    """A picture that is missing or changed is named, with the ways to get it back."""
    assert not verify_notebook(study.session, study.notebook).problems
    file = study.job.files[0]
    sound = file.read_bytes()
    for change, finding in ((lambda: file.write_bytes(sound[:-30] + bytes(30)), "changed"), (file.unlink, "missing")):
        change()
        found = verify_notebook(study.session, study.notebook)
        assert [check.finding for check in found.problems] == [finding]
    file.write_bytes(sound)
    assert "%wan bundle --open" in found.table().to_text()
    assert found.table().to_text().count("missing or changed") == 1


def test_markdown_shows_its_pictures_on_github(study: Study) -> None:
    """Every picture of ours is a file beside the text, in one block of HTML; other outputs stay as they are."""
    foreign = {"text/html": '<img src="data:image/png;base64,QQ==">', "image/jpeg": "QQ=="}
    notebook = nbformat.read(study.notebook, 4)
    outputs = notebook.cells[0].outputs
    outputs[0].data["text/html"] = outputs[0].data["text/html"].replace("a red fox</pre>", "a red\n\nfox</pre>")
    outputs.append(nbformat.v4.new_output("display_data", foreign))
    text, told = WanMarkdownExporter().from_notebook_node(notebook, {"output_files_dir": "study_files"})

    ours, is_kept, _ = text.partition(foreign["text/html"])
    names = re.findall(r'<img src="([^"]+)"', ours)
    assert is_kept
    assert names == ["study_files/wan_0.webp"]
    assert told["outputs"][names[0]][8:12] == b"WEBP"
    assert "\n\n" not in ours[ours.index("<div") : ours.rindex("</div>")]
    assert "a red&#10;\nfox</pre>" in ours
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["nbconvert.exporters"]
    assert EntryPoint("", entries["wan-markdown"], "").load() is WanMarkdownExporter


@pytest.mark.parametrize("latex", [False, True])
def test_methods_run_nothing_of_a_record(elsewhere: House, latex: bool) -> None:
    """What a record says of software and money is text in the paper, in either format."""
    session = elsewhere.kernel()
    job = ask(session, seed=5).result(20)
    hostile = {"python": "$x$ <b> [a](b) \\input{/etc/passwd} `c`", "pillow": "1"}
    project_of(session).database.update(job.id, versions=hostile, is_simulated=False)
    text = methods_paragraph(session, None, latex=latex, shown=[job.id])
    assert re.findall(r"(?<!\\)(?:\\\\)*[$<]", text.replace(r"$\times$", "")) == []
    assert ("\\input{" if latex else " [a](") not in text


def test_methods_say_what_practice_pictures_are(study: Study) -> None:
    """Practice is never passed off as a result, in Markdown and in LaTeX."""
    for latex, times in ((False, "×"), (True, r"$\times$")):
        text = methods_paragraph(study.session, study.notebook, latex=latex)
        assert text.startswith("1 picture was drawn by the built-in simulator")
        assert "not made by an image model and not a result" in text
        assert times in text
