"""The README and the saved notebooks say what is true: tables from the parser, examples that run, nothing private."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from scripts.readme_tables import filled
from tests.notebook_kit import NOTEBOOKS, execute, pictures_of
from wan_notebook.settings import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRIVATE = re.compile(r"/(?:tmp|root|home|Users|var|work)/|[A-Za-z]:\\\\Users|\bsk-[A-Za-z0-9]{8}|Bearer ")
SAVED_MAX_BYTES = 1_500_000
SIMULATOR_VARIABLES = ("WAN_SIMULATOR_SECONDS", "WAN_SIMULATOR_PRICE")


def test_the_readmes_tables_are_the_parsers() -> None:
    """Options and commands in the README are exactly what the parser accepts; `scripts/readme_tables.py` mends it."""
    assert filled(README) == README


def test_the_readme_names_every_variable_of_the_environment() -> None:
    """Every variable that is read is explained."""
    table = README.split("## Environment")[1].split("\n## ")[0]
    assert [name for name in (*VARIABLES, *SIMULATOR_VARIABLES) if f"`{name}`" not in table] == []


def test_what_the_readme_points_to_exists() -> None:
    """Links and pictures lead somewhere, and the make targets are there."""
    links = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r'(?:src|srcset)="([^":]+)"', README)
    targets = re.findall(r"`make (\w+)`", README)
    makefile = (ROOT / "Makefile").read_text("utf-8")

    assert len(links) >= 8
    assert [link for link in links if not (ROOT / link).is_file()] == []
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.notebook
def test_every_example_of_the_readme_runs(tmp_path: Path) -> None:
    """The python and ipython blocks, run from the first to the last in one kernel, work and show their pictures."""
    for name, target in (("chelsea.jpg", "cat.jpg"), ("coffee.jpg", "coffee.jpg")):
        shutil.copy(NOTEBOOKS / "data" / name, tmp_path / target)
    blocks = [text for language, text in BLOCK.findall(README) if language in ("python", "ipython")]
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in blocks])

    execute(document, tmp_path)

    cells = [cell for cell in document.cells if cell.source.startswith("%%wan")]
    assert len(blocks) >= 7
    assert len(cells) >= 3
    assert all(pictures_of(cell) for cell in cells)
    assert (tmp_path / "bicycle.png").is_file()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_saved_notebook_is_small_whole_and_tells_nothing_private(path: Path) -> None:
    """It holds its outputs with pictures, few bytes, and no path, key or widget of the machine that made it."""
    text = path.read_text("utf-8")
    document = nbformat.read(path, as_version=4)
    code = [cell for cell in document.cells if cell.cell_type == "code"]
    asked = [cell for cell in code if cell.source.startswith("%%wan")]
    made = [c for c in asked if "--dry-run" not in c.source and "raises-exception" not in c.metadata.get("tags", [])]

    assert len(text.encode()) <= SAVED_MAX_BYTES
    assert PRIVATE.findall(re.sub(r"[A-Za-z0-9+/=]{200,}", "", text)) == []
    assert "widgets" not in document.metadata
    assert document.metadata.kernelspec.name == "python3"
    assert [cell.source for cell in made if not pictures_of(cell)] == []
    assert all(cell.execution_count for cell in code)
