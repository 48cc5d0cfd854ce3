"""Verification: every picture that an output names is present and unchanged, or the way back to it is told."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import bundle_kit
from tests.bundle_kit import NOON, Project, code, pack, png, shown, unpack
from tests.environment import ROOT
from wan_notebook.bundle import Finding, Verification, read_document, verify, verify_notebook
from wan_notebook.bundle.document import document_of
from wan_notebook.commands.on_research import run_verify
from wan_notebook.errors import RecipeError
from wan_notebook.ledger import PictureRecord
from wan_notebook.recipe import embed, read_recipe, strip
from wan_notebook.states import JobState

project, other = bundle_kit.project, bundle_kit.other


def checked(made: Project, *, now: float = NOON) -> Verification:
    """Verify the project's notebook."""
    return verify_notebook(made.notebook, {}, now=now)


def findings(made: Project) -> list[Finding]:
    """Return what was found, in order."""
    return [check.finding for check in checked(made).checks]


def test_all_is_well(project: Project) -> None:
    """Pictures that are as they were are found, each once, however often they are shown."""
    fox, owl = project.job(pictures=2), project.job("an owl", seed=6)
    project.write_notebook(shown(fox), shown(owl), shown(fox, owl))
    found = checked(project)

    assert found.is_ok
    assert [c.finding for c in found.checks] == [Finding.OK] * 3
    assert found.summary == "3 pictures: all present and unchanged"


def test_a_missing_picture_names_its_cell_and_the_ways_back(project: Project) -> None:
    """The free and exact way (a bundle) comes first, then the service while it keeps it, then asking anew."""
    fox = project.job()
    project.ledger.update(fox.id, expires_at=NOON + 3600).result(10)
    project.write_notebook(shown(fox, count=7))
    project.file(fox).unlink()
    (check,) = checked(project).checks
    (later,) = checked(project, now=NOON + 7200).checks

    assert (check.finding, check.cell, check.expr) == (Finding.MISSING, "cell [7]", f"{fox.id}[0]")
    assert check.hint.index("%wan bundle --open") < check.hint.index(fox.task_id) < check.hint.index("--fresh")
    assert "paid anew and may differ" in check.hint
    assert fox.task_id not in later.hint


def test_two_hashes_tell_a_changed_picture_from_a_changed_recipe(project: Project) -> None:
    """Other pixels are a changed picture; the same picture with another recipe is told as that."""
    fox, owl = project.job(), project.job("an owl", seed=6)
    project.write_notebook(shown(fox), shown(owl))
    project.file(fox).write_bytes(png(4711))
    data = project.file(owl).read_bytes()
    recipe = read_recipe(data)
    assert recipe is not None
    forged = type(recipe)(**{**vars(recipe), "prompt": "something else"})
    project.file(owl).write_bytes(embed(strip(data), forged))

    assert findings(project) == [Finding.CHANGED, Finding.RECIPE]
    assert not checked(project).is_ok
    assert "move " in checked(project).checks[0].hint


def test_a_single_changed_bit_is_seen_anywhere(project: Project) -> None:
    """Whichever byte of the file changes, verification fails."""
    fox = project.job(data=[png(1, side_px=8)])
    project.write_notebook(shown(fox))
    original = project.file(fox).read_bytes()
    for at in range(0, len(original), 97):
        project.file(fox).write_bytes(original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :])
        assert findings(project)[0] in (Finding.CHANGED, Finding.RECIPE)
    project.file(fox).write_bytes(original)
    assert checked(project).is_ok


def test_a_picture_that_an_output_made_up_is_unknown(project: Project) -> None:
    """An output that names another hash than the ledger's shows a picture that this job never had."""
    fox = project.job()
    cell = shown(fox)
    cell["outputs"][0]["metadata"]["wan"]["jobs"][0]["sha256"] = ["0" * 64]
    project.write_notebook(cell)

    assert findings(project) == [Finding.UNKNOWN]


def test_a_store_that_lacks_the_job_says_so(project: Project, other: Project) -> None:
    """A notebook that came without its store: every picture is unknown, and the bundle is named."""
    other.write_notebook(shown(project.job()))
    (check,) = checked(other).checks

    assert check.finding is Finding.UNKNOWN
    assert "%wan bundle --open" in check.hint


def test_a_notebook_without_a_ledger_beside_it(project: Project, tmp_path: Path) -> None:
    """Nothing is created by looking: no folder, no ledger."""
    alone = tmp_path / "alone"
    notebook = project.write_notebook(shown(project.job()), path=alone / "study.ipynb")
    found = verify_notebook(notebook, {}, now=NOON)

    assert [c.finding for c in found.checks] == [Finding.UNKNOWN]
    assert "no ledger" in found.notes[0]
    assert [p.name for p in alone.iterdir()] == ["study.ipynb"]


def test_what_was_not_fetched_is_told_apart(project: Project) -> None:
    """A picture that still waits at the service can be fetched: that is the way, not asking anew."""
    fox = project.job(state=JobState.SUCCEEDED)
    project.ledger.save_picture(fox.id, PictureRecord(idx=0, url="https://x.test/a.png")).result(10)
    cell = shown(fox)
    cell["outputs"][0]["metadata"]["wan"]["jobs"][0]["sha256"] = [""]
    project.write_notebook(cell)
    (check,) = checked(project).checks

    assert check.finding is Finding.NOT_FETCHED
    assert "%wan resume" in check.hint


def test_pictures_named_by_hash_alone_are_found(project: Project) -> None:
    """A comparison names hashes only: they are looked up among the shown jobs, then in the whole history."""
    fox, owl = project.job(), project.job("an owl", seed=6)
    hashes = [fox.pictures[0].sha256, owl.pictures[0].sha256, "f" * 64]
    output = {"output_type": "display_data", "data": {}, "metadata": {"wan": {"view": "compare", "sha256": hashes}}}
    project.write_notebook(shown(fox), code("wan.compare(fox[0], owl[0])", [output]))

    assert findings(project) == [Finding.OK, Finding.OK, Finding.UNKNOWN]


def test_jobs_that_an_output_has_no_room_to_name_are_checked_too(project: Project) -> None:
    """A card of many jobs counts those it cannot name: the rest of their batch is checked."""
    rows = [project.job(seed=seed, batch_id="aaaaaaaaaa", part=seed) for seed in range(4)]
    cell = shown(*rows[:2])
    cell["outputs"][0]["metadata"]["wan"]["jobs_left_off"] = 2
    project.write_notebook(cell)
    project.file(rows[3]).unlink()

    assert findings(project) == [Finding.OK, Finding.OK, Finding.OK, Finding.MISSING]
    cell["outputs"][0]["metadata"]["wan"]["jobs_left_off"] = 9
    project.write_notebook(cell)
    assert "not all were checked" in checked(project).notes[0]


def test_a_notebook_without_pictures_is_not_called_verified(project: Project) -> None:
    """Cleared outputs pass, and the summary says that nothing was verified."""
    project.write_notebook(code("1 + 1"))
    assert "nothing to verify" in checked(project).summary


def test_an_opened_bundle_verifies(project: Project, other: Project, tmp_path: Path) -> None:
    """After a journey through a bundle the same notebook verifies, and a lost picture comes back by opening again."""
    fox = project.job(pictures=2)
    project.write_notebook(shown(fox))
    bundle = pack(project, tmp_path / "paper.zip")
    unpack(bundle, other)
    assert checked(other).is_ok
    other.file(other.ledger.get(fox.id)).unlink()
    assert not checked(other).is_ok
    unpack(bundle, other)
    assert checked(other).is_ok


# ------------------------------------------------------------------ the command line


def command(notebook: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m wan_notebook verify``."""
    return subprocess.run(
        [sys.executable, "-m", "wan_notebook", "verify", str(notebook)],
        capture_output=True, text=True, check=False, cwd=notebook.parent if notebook.parent.is_dir() else None,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


def test_exit_codes_for_scripts(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0: all present and unchanged; 1: something is not; 2: it cannot be read. The lines name cell and file."""
    monkeypatch.delenv("WAN_HOME")
    fox = project.job()
    project.write_notebook(shown(fox, count=3))
    project.ledger.close()
    good = command(project.notebook)
    project.file(fox).unlink()
    bad = command(project.notebook)
    broken = tmp_path / "broken.ipynb"
    broken.write_text("no json")

    assert (good.returncode, good.stderr) == (0, "")
    assert f"{fox.id}[0]  present and unchanged" in good.stdout
    assert bad.returncode == 1
    assert "cell [3]" in bad.stdout
    assert command(broken).returncode == 2
    assert command(tmp_path / "none.ipynb").returncode == 2


def test_a_ledger_of_a_newer_version_cannot_be_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer ledger is exit code 2 with the hint, never a half-read 0 or 1."""
    monkeypatch.delenv("WAN_HOME")
    project.write_notebook(shown(project.job()))
    project.ledger.close()
    connection = sqlite3.connect(project.store.folder / "ledger.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    assert run_verify(project.notebook) == 2


# ------------------------------------------------------------------ hostile notebooks

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["0" * 64, "abcdef12"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["jobs", "id", "sha256", "state", "jobs_left_off", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_metadata_can_be_verified(empty: Any) -> None:
    """Whatever an output's metadata say, verification ends in findings or in none, never in another error."""
    output = {"output_type": "display_data", "metadata": {"wan": empty}}
    cell = {"cell_type": "code", "source": "", "outputs": [output]}
    document = document_of(json.dumps({"cells": [cell]}).encode(), "x")
    found = verify(document.named(), None, bundle_kit.Store(Path("nowhere")), what="x", now=NOON)

    assert all(check.finding is Finding.UNKNOWN for check in found.checks)


def test_a_hostile_notebook_leads_out_of_no_store(project: Project) -> None:
    """Ids and hashes of an output choose rows of the ledger; they never become paths."""
    cell = shown(project.job())
    cell["outputs"][0]["metadata"]["wan"]["jobs"] = [
        {"id": "../../etc/passwd", "sha256": ["0" * 64]},
        {"id": "%", "sha256": ["0" * 64]},
        {"id": "abcdef", "sha256": ["../x", 5, "0" * 64]},
    ]
    project.write_notebook(cell)
    (check,) = checked(project).checks
    assert (check.job_id, check.finding) == ("abcdef", Finding.UNKNOWN)


def test_a_row_that_points_elsewhere_reads_nothing(project: Project, tmp_path: Path) -> None:
    """A ledger from somebody else may name any file: one outside the store counts as missing."""
    fox = project.job()
    outside = tmp_path / "outside.png"
    outside.write_bytes(project.file(fox).read_bytes())
    record = fox.pictures[0]
    project.ledger.save_picture(fox.id, replace(record, file="../../../outside.png")).result(10)
    project.write_notebook(shown(fox))
    assert findings(project) == [Finding.MISSING]


def test_the_readers_error_names_the_file(tmp_path: Path) -> None:
    """What is no notebook is an error that names the file and the hint."""
    for content in ("", "[]", '{"worksheets": []}'):
        (tmp_path / "x.ipynb").write_text(content)
        with pytest.raises(RecipeError, match=r"x\.ipynb is no notebook"):
            read_document(tmp_path / "x.ipynb")


def test_hashes_are_those_of_the_bytes(project: Project) -> None:
    """The hash that outputs name is SHA-256 of the bytes as the service sent them: anybody can check it by hand."""
    fox = project.job()
    assert hashlib.sha256(strip(project.file(fox).read_bytes())).hexdigest() == fox.pictures[0].sha256
