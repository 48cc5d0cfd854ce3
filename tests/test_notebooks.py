"""The notebooks run from the top for anybody: with parameters, as a page, showing the pictures that were saved."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from tests.notebook_kit import NOTEBOOKS, execute, kernel_environment, pictures_of
from wan_notebook.testing import assert_similar

ALL = pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
PICTURE = re.compile(r'<img[^>]+src="([^"]+)"')
# What each notebook's `parameters` cell lets a run set, to something other than what is saved.
PARAMETERS = {
    "01_quickstart": {"mood": "sleepy"},
    "02_edit_a_photograph": {"season": "rainy"},
    "03_several_and_illustrated": {"seeds": [45, 49, 52]},
    "04_panel": {"style": "charcoal"},
    "05_history_and_cost": {"subject": "a regatta"},
    "06_a_small_study": {"subject": "a lighthouse", "seeds": [7, 8]},
}


def copy_of(path: Path, folder: Path) -> Any:
    """Return a notebook to run in `folder`, where its data lie beside it."""
    shutil.copytree(NOTEBOOKS / "data", folder / "data")
    return nbformat.read(path, as_version=4)


@ALL
@pytest.mark.notebook
def test_a_run_from_the_top_shows_the_saved_pictures(path: Path, tmp_path: Path) -> None:
    """Cell by cell the pictures look as saved, which nbval does not see; the exported page holds them without links."""
    saved = nbformat.read(path, as_version=4)
    document = copy_of(path, tmp_path)

    execute(document, tmp_path)

    for before, after in zip(saved.cells, document.cells, strict=True):
        for old, new in zip(pictures_of(before), pictures_of(after), strict=True):
            assert_similar(new, old)
    page, _ = HTMLExporter().from_notebook_node(document)
    shown = PICTURE.findall(page)
    assert len(shown) >= sum(len(pictures_of(cell)) for cell in saved.cells) > 0
    assert [src[:60] for src in shown if not src.startswith("data:image/")] == []
    for src in shown:
        Image.open(io.BytesIO(base64.b64decode(src.partition(",")[2]))).verify()


@ALL
@pytest.mark.notebook
def test_papermill_runs_it_with_parameters(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell tagged `parameters` holds what a run may set, and what is set reaches the requests."""
    document = copy_of(path, tmp_path)
    nbformat.write(document, tmp_path / path.name)
    for name, value in kernel_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    given = PARAMETERS[path.stem]

    papermill.execute_notebook(
        tmp_path / path.name, tmp_path / "out.ipynb", parameters=given, cwd=tmp_path, progress_bar=False
    )

    out = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    tags = [tag for cell in out.cells for tag in cell.metadata.get("tags", ()) if "parameters" in tag]
    shown = " ".join(
        str(output.get("data", {}).get("text/html", "")) for cell in out.cells for output in cell.get("outputs", ())
    )
    assert tags == ["parameters", "injected-parameters"]
    assert [
        word
        for value in given.values()
        for word in (value if isinstance(value, list) else [value])
        if str(word) not in shown
    ] == []
