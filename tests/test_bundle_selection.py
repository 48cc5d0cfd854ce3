"""Which jobs go into a bundle, and where its files lie: what is shown and what it was made from; the rest is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bundle_kit
from tests.bundle_kit import Project, png, shown
from wan_notebook.bundle import Project as Bundled
from wan_notebook.bundle import plan_bundle, select
from wan_notebook.errors import CellError
from wan_notebook.states import JobState

project = bundle_kit.project


def test_other_takes_come_only_when_asked(project: Project) -> None:
    """Of a request with several answers the shown one is packed; --all-takes adds the others."""
    old = project.job(seed=1, seedless=True)
    new = project.job(seed=2, seedless=True)

    assert [row.id for row in select(project.ledger, [new.id]).rows] == [new.id]
    assert [row.id for row in select(project.ledger, [new.id], all_takes=True).rows] == [old.id, new.id]


def test_without_a_hint_the_newest_take_of_each_request_is_taken(project: Project) -> None:
    """A notebook that names no job gives the newest answer to each request of the history."""
    project.job(seed=1, seedless=True)
    new = project.job(seed=2, seedless=True)
    owl = project.job("an owl", seed=3)

    assert [row.id for row in select(project.ledger, []).rows] == [new.id, owl.id]


def test_a_tag_narrows_and_says_so(project: Project) -> None:
    """--tag packs the shown jobs that have the tag, and tells that the other cells cannot be replayed."""
    fox, owl = project.job(tags=("figure-2",)), project.job("an owl", seed=6)
    selection = select(project.ledger, [fox.id, owl.id], tags=["figure-2"])

    assert [row.id for row in selection.rows] == [fox.id]
    assert "1 job that the notebook shows lacks the tag figure-2" in selection.notes[0]
    with pytest.raises(CellError, match="with the tag figure-9"):
        select(project.ledger, [fox.id], tags=["figure-9"])
    with pytest.raises(CellError, match="with the tags figure-2 and figure-9"):
        select(project.ledger, [fox.id], tags=["figure-2", "figure-9"])


def test_jobs_whose_pictures_are_inputs_come_along(project: Project) -> None:
    """A cell may name an earlier job by its id: what a shown picture was made from is packed, through every step."""
    first = project.job(seed=1)
    second = project.job("edit", seed=2, inputs=[project.input("fox", png(100), source_job=first.id)])
    third = project.job("edit again", seed=3, inputs=[project.input("x", png(200), source_job=second.id)])

    assert [row.id for row in select(project.ledger, [third.id]).rows] == [first.id, second.id, third.id]


def test_what_is_open_must_be_waited_for(project: Project) -> None:
    """A bundle without a picture that is on its way would not replay: it is an error with the way out."""
    fox = project.job(state=JobState.SUCCEEDED)
    with pytest.raises(CellError, match="not finished") as caught:
        select(project.ledger, [fox.id])
    assert "%wan wait" in caught.value.hint


def test_unknown_trashed_and_failed_jobs_are_told(project: Project) -> None:
    """Cells that cannot be replayed are named, each with its reason."""
    fox, owl = project.job(), project.job("an owl", seed=6)
    project.ledger.trash(owl.id)
    selection = select(project.ledger, ["ffffffffff", owl.id, fox.id])

    assert [row.id for row in selection.rows] == [fox.id]
    assert "ffffffffff is not in this store" in selection.notes[0]
    assert "in the trash" in selection.notes[1]


def test_a_project_keeps_its_layout(project: Project, tmp_path: Path) -> None:
    """A notebook in a folder below the store's keeps its place, so that its relative paths still lead somewhere."""
    fox = project.job()
    (project.root / "data").mkdir()
    (project.root / "data/cat.png").write_bytes(png(3))
    notebook = project.write_notebook(
        shown(fox, source="%%wan -i ../data/cat.png\nx"), path=project.root / "chapters" / "two.ipynb"
    )
    plan = plan_bundle(Bundled.of(notebook, project.ledger, project.store), select(project.ledger, [fox.id]))

    assert {"chapters/two.ipynb", "data/cat.png"} <= {name for name, _ in plan.sizes}
    assert plan.manifest.notebook == "chapters/two.ipynb"


def test_a_store_elsewhere_comes_along_beside_the_notebook(tmp_path: Path) -> None:
    """With WAN_HOME elsewhere the bundle still has its store where the notebook will find it."""
    kept = bundle_kit.open_project(tmp_path / "pool", "lab-pictures")
    away = tmp_path / "somewhere" / "study.ipynb"
    fox = kept.job()
    kept.write_notebook(shown(fox), path=away)
    plan = plan_bundle(Bundled.of(away, kept.ledger, kept.store), select(kept.ledger, [fox.id]))
    kept.ledger.close()

    assert {"study.ipynb", f"wan-pictures/{fox.pictures[0].file}"} <= {name for name, _ in plan.sizes}


def test_a_name_that_no_other_system_can_hold_is_refused(project: Project, tmp_path: Path) -> None:
    """A notebook called aux.ipynb could not be unpacked everywhere: renaming it is asked for."""
    fox = project.job()
    notebook = project.write_notebook(shown(fox), path=project.root / "aux.ipynb")
    with pytest.raises(CellError, match="device") as caught:
        plan_bundle(Bundled.of(notebook, project.ledger, project.store), select(project.ledger, [fox.id]))
    assert "Rename" in caught.value.hint
