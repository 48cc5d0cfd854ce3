"""`%wan bundle`, `%wan verify`, `%wan methods`, as a person types them in a notebook."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tests import bundle_kit
from tests.bundle_kit import Project, code, pack, png, shown
from wan_notebook.bundle import Check, Finding, Verification
from wan_notebook.commands.research_tables import verification_bundle
from wan_notebook.errors import CellError, StoreError
from wan_notebook.ledger import Ledger
from wan_notebook.session import default_session

project = bundle_kit.project


class Notebook:
    """A shell in a project's folder, in which cells run."""

    def __init__(self, shell: InteractiveShell, root: Path) -> None:
        self.shell, self.root = shell, root
        self.outputs: list[dict[str, Any]] = []

    def run(self, cell: str) -> str:
        """Run a cell and return what it shows as text; its rich outputs are in ``outputs``. Raises the cell's error."""
        with capture_output() as captured:
            result = self.shell.run_cell(cell, store_history=True)
        self.outputs = [
            {"output_type": "display_data", "data": output.data, "metadata": output.metadata}
            for output in captured.outputs
        ]
        if error := result.error_in_exec or result.error_before_exec:
            raise error
        return "\n".join([captured.stdout, *(output.data.get("text/plain", "") for output in captured.outputs)])

    def save(self, *cells: str, name: str = "study.ipynb") -> None:
        """Run cells and save them with their outputs, as a front end does."""
        made = []
        for count, cell in enumerate(cells, 1):
            self.run(cell)
            made.append(code(cell, self.outputs, count))
        (self.root / name).write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notebook]:
    """A fresh shell in a folder of its own, with the extension loaded, on a simulator that is quick."""
    root = tmp_path / "mine"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    monkeypatch.delenv("WAN_HOME")
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "wan_notebook")
    yield Notebook(shell, root)
    shell.run_line_magic("unload_ext", "wan_notebook")
    default_session().close()
    InteractiveShell.clear_instance()


FOX = "%%wan --seed 5 --as fox\na fox in snow"
OWL = "%%wan --seed 6 --tag figure-2\nan owl"


def names(path: Path) -> list[str]:
    """Return the files of a bundle."""
    with zipfile.ZipFile(path) as zipped:
        return zipped.namelist()


def test_a_bundle_lists_what_it_will_hold_then_writes(notebook: Notebook) -> None:
    """Every file with its size and the total stand before the line that says that it is written."""
    notebook.save("%load_ext wan_notebook", FOX)
    said = notebook.run("%wan bundle paper")
    listing, _, end = said.partition("wrote paper.zip")

    assert end.strip()
    assert "paper.zip will hold 1 picture of 1 job" in listing
    assert all(name in listing for name in names(notebook.root / "paper.zip"))
    assert f"in {len(names(notebook.root / 'paper.zip'))} files" in listing


def test_what_this_kernel_showed_is_packed_before_it_is_saved(notebook: Notebook) -> None:
    """A cell that was run after the last save is in the bundle, and the person is told to save."""
    notebook.save(FOX)
    notebook.run(OWL)
    said = notebook.run("%wan bundle paper.zip")

    assert "1 job that this kernel showed is not in the saved notebook: save it" in said
    assert "hold 2 pictures of 2 jobs" in said


def test_a_tag_and_all_takes(notebook: Notebook) -> None:
    """--tag packs the tagged jobs only; --all-takes adds earlier answers to the same request."""
    notebook.save(FOX, "%%wan --seed 5 --fresh\na fox in snow", OWL)
    tagged = notebook.run("%wan bundle tagged.zip --tag figure-2")
    whole = notebook.run("%wan bundle whole.zip --all-takes")

    assert "1 picture of 1 job" in tagged
    assert "lack the tag figure-2" in tagged
    assert "3 pictures of 3 jobs" in whole
    with pytest.raises(CellError, match="figure-9"):
        notebook.run("%wan bundle none.zip --tag figure-9")


def test_which_notebook_it_is_must_be_known(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several notebooks and a front end that says nothing, the error lists them and how to say which."""
    notebook.save(FOX)
    notebook.save(OWL, name="other.ipynb")
    with pytest.raises(CellError, match=r"has 2: other\.ipynb, study\.ipynb") as caught:
        notebook.run("%wan bundle paper.zip")
    assert "JPY_SESSION_NAME" in caught.value.hint
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook.root / "other.ipynb"))
    notebook.run("%wan bundle paper.zip")
    assert "other.ipynb" in names(notebook.root / "paper.zip")


def test_the_notebook_is_known_by_the_cells_that_ran(notebook: Notebook) -> None:
    """Where the front end says nothing, the one file that has the kernel's cells is meant."""
    notebook.save(FOX, OWL)
    (notebook.root / "a.ipynb").write_text(json.dumps({"cells": [code("print(1)"), code(OWL)], "metadata": {}}))
    (notebook.root / "broken.ipynb").write_text("{")
    notebook.run("%wan bundle paper.zip")

    assert "study.ipynb" in names(notebook.root / "paper.zip")


def test_without_a_saved_notebook_nothing_is_packed(notebook: Notebook) -> None:
    """A notebook that was never saved is an error that says so."""
    notebook.run(FOX)
    with pytest.raises(CellError, match="no notebook"):
        notebook.run("%wan bundle paper.zip")


def test_a_notebook_that_is_empty_on_disk_is_not_packed(notebook: Notebook) -> None:
    """JupyterLab makes the file before it is first saved: the bundle would hold no cell at all."""
    (notebook.root / "Untitled.ipynb").write_text(json.dumps({"cells": [code("")], "metadata": {}}))
    with pytest.raises(CellError, match=r"Save the notebook \(Ctrl\+S\) and run this again"):
        notebook.run("%wan bundle paper.zip")
    assert not (notebook.root / "paper.zip").exists()


def test_what_the_saved_notebook_lacks_is_said_first(notebook: Notebook) -> None:
    """Before the listing, where it is read."""
    notebook.save(FOX)
    notebook.run(OWL)
    assert notebook.run("%wan bundle paper.zip").startswith("note: 1 job that this kernel showed is not in the saved")


def test_a_folder_that_is_not_there_is_not_made(notebook: Notebook) -> None:
    """A mistyped path is an error before anything is listed."""
    notebook.save(FOX)
    with pytest.raises(StoreError, match="there is no folder"):
        notebook.run("%wan bundle missing/paper.zip")
    assert not (notebook.root / "missing").exists()


def test_methods_of_a_tag(notebook: Notebook) -> None:
    """The paragraph is about one figure, if one is named."""
    notebook.save(FOX, OWL)
    assert "The record holds 1 request" in notebook.run("%wan methods --tag figure-2")
    with pytest.raises(CellError, match="figure-9"):
        notebook.run("%wan methods --tag figure-9")


def test_keys_of_the_session_are_looked_for(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is set anywhere and stands in a cell stops the bundle."""
    notebook.save(FOX, "secret = 'sk-live-abcdef0123456789'")
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-live-abcdef0123456789")
    with pytest.raises(CellError, match="holds your key"):
        notebook.run("%wan bundle paper.zip")


def test_opening_a_bundle(notebook: Notebook, project: Project, tmp_path: Path) -> None:
    """What came is said in one line with its cost for us; again it says that all was here."""
    project.write_notebook(shown(project.job(pictures=2)))
    pack(project, tmp_path / "their paper.zip")
    first = notebook.run(f'%wan bundle --open "{tmp_path}/their paper.zip"')
    again = notebook.run(f'%wan bundle --open "{tmp_path}/their paper.zip"')

    assert "1 job added, $0.00: what they cost was paid elsewhere" in first
    assert "study.ipynb" in first
    assert "0 jobs added (1 was here already)" in again
    assert (notebook.root / "study.ipynb").is_file()
    assert (notebook.root / "wan-pictures" / "ledger.db").is_file()
    assert "2 pictures" in notebook.run("%wan verify study.ipynb")


def test_replaying_what_came_costs_nothing(notebook: Notebook, project: Project, tmp_path: Path) -> None:
    """After opening, the cell that made the picture shows it, though it was made elsewhere."""
    project.write_notebook(shown(project.job("a heron", seed=5)))
    pack(project, tmp_path / "paper.zip")
    notebook.run(f"%wan bundle --open {tmp_path}/paper.zip")
    said = notebook.run("%%wan --seed 5\na heron")

    assert "from store" in said
    assert sum(sum(c.requests_sent.values()) for c in default_session().providers.clients) == 0


def test_verify_says_and_fails(notebook: Notebook) -> None:
    """All well: one line and a table that is folded. Something lost: the table and an error, so that Run All stops."""
    notebook.save(FOX, OWL)
    assert "2 pictures: all present and unchanged" in notebook.run("%wan verify")
    table = notebook.outputs[0]["data"]["text/html"]
    assert "<details" in table
    notebook.shell.user_ns["fox"].files[0].unlink()
    with pytest.raises(StoreError, match="1 of 2 pictures is missing or changed"):
        notebook.run("%wan verify")
    assert "--fresh" in notebook.outputs[0]["data"]["text/html"]
    assert "!!" in notebook.outputs[0]["data"]["text/plain"]


def test_verify_checks_what_is_not_saved_yet(notebook: Notebook) -> None:
    """Headless runs write the file at the end: what this kernel has shown is checked all the same."""
    notebook.run(FOX)
    assert "1 picture: present and unchanged" in notebook.run("%wan verify")


def test_outputs_of_an_earlier_run_are_not_this_notebooks_pictures(notebook: Notebook) -> None:
    """A cell that was run since the file was saved shows another job now; one that was not run shows what is saved."""
    notebook.run(FOX)
    stale = [{"output_type": "display_data", "data": {}, "metadata": {"wan": {"jobs": [{"id": "abcdef1234"}]}}}]
    stale[0]["metadata"]["wan"]["jobs"][0]["sha256"] = ["0" * 64]
    for cells in ([code(FOX, stale)], [code(FOX, stale), code(OWL, stale)]):
        (notebook.root / "study.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
        if len(cells) == 1:
            assert "1 picture: present and unchanged" in notebook.run("%wan verify")
            continue
        with pytest.raises(StoreError, match="1 of 2 pictures is missing"):
            notebook.run("%wan verify")


def test_verify_without_anything_to_verify(notebook: Notebook) -> None:
    """No notebook and nothing shown is an error; a named one that is missing too."""
    with pytest.raises(CellError, match="no notebook"):
        notebook.run("%wan verify")


def test_the_table_escapes_what_it_shows(notebook: Notebook, project: Project) -> None:
    """Text of a hostile notebook or ledger stays text in the table."""
    evil = "<img src=x onerror=alert(1)>"
    check = Check(cell=evil, job_id=evil, expr=evil, finding=Finding.MISSING, file=evil, hint=evil)
    data, metadata = verification_bundle(Verification(what=evil, checks=(check,), notes=(evil,)))
    assert "<img" not in data["text/html"]
    assert metadata == {"wan": {"schema": 1, "view": "verify"}}


def test_methods_in_both_languages(notebook: Notebook) -> None:
    """The paragraph is Markdown with the same text as plain, or LaTeX to paste."""
    notebook.save(FOX)
    said = notebook.run("%wan methods")
    assert "practice picture" in said
    assert notebook.outputs[0]["data"]["text/markdown"] == notebook.outputs[0]["data"]["text/plain"]
    notebook.run("%wan methods --latex")
    assert list(notebook.outputs[0]["data"]) == ["text/plain"]
    assert r"1280$\times$1280 px" in notebook.outputs[0]["data"]["text/plain"]


def test_an_opened_project_replays_for_a_reader_with_a_key(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bundle of practice pictures shows them to somebody whose key chooses a real service, and buys nothing."""
    notebook.save(FOX)
    notebook.run("%wan bundle paper.zip")
    theirs = tmp_path / "theirs"
    with zipfile.ZipFile(notebook.root / "paper.zip") as zipped:
        zipped.extractall(theirs)
    monkeypatch.chdir(theirs)
    monkeypatch.setenv("WAN_API_KEY", "sk-live-abcdef0123456789")
    default_session().close()
    notebook.shell.run_line_magic("reload_ext", "wan_notebook")

    assert "from store" in notebook.run(FOX)
    with Ledger.open(theirs / "wan-pictures" / "ledger.db") as ledger:
        assert ledger.history().total_rows == 1


def test_pictures_of_the_cells_come_from_the_notebooks_folder(notebook: Notebook) -> None:
    """A picture that a cell reads by a relative path is in the bundle under that path."""
    (notebook.root / "data").mkdir()
    (notebook.root / "data/cat.png").write_bytes(png(3, side_px=300))
    notebook.save("%%wan -i data/cat.png --seed 7\na cat at night")
    notebook.run("%wan bundle paper.zip")
    assert "data/cat.png" in names(notebook.root / "paper.zip")
