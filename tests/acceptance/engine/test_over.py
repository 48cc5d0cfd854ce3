"""A cell over the rows of a table: later kernels, places where nobody watches, and bundles of what it made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from tests.kit import House, Kernel, Rig, in_shell, project_of, until
from wan_notebook import api
from wan_notebook.batch import Batch
from wan_notebook.display import FrontEnd, batch_bundle
from wan_notebook.errors import JobError, ReplayError, StoreError
from wan_notebook.magics import Runner
from wan_notebook.research import methods_paragraph, open_bundle, verify_notebook, write_bundle
from wan_notebook.session import Session


@pytest.fixture(autouse=True)
def shell() -> Iterator[InteractiveShell]:
    """IPython, which takes outputs."""
    yield Kernel().shell
    InteractiveShell.clear_instance()


def shown_by(session: Session, **call: Any) -> str:
    """Return what a command or cell shows as text."""
    with capture_output() as captured:
        in_shell(session, **call)
    return captured.stdout + "".join(output.data["text/plain"] for output in captured.outputs)


def test_a_later_kernel_says_what_nobody_sends(made: Rig) -> None:
    """`resume` and `wait` fetch what was sent; the rest waits for its cell, and is not looked at again."""
    made.configure(seconds=30.0)
    zoo: dict[str, Any] = {"cell": ("--over rows --as zoo --no-wait", "a {animal}")}
    zoo |= {"rows": [{"animal": str(number)} for number in range(20)]}
    first = made.kernel(WAN_IN_FLIGHT="2")
    shown_by(first, **zoo)
    batch = api.batch("zoo", session=first)
    until(lambda: sum(batch.status.get(state, 0) for state in ("accepted", "running")) == 2)
    first.close()
    made.configure(seconds=0.0)
    later = made.kernel()
    said = shown_by(later, line="resume")
    assert "2 jobs picked up" in said
    assert "18 not sent: run the cell again" in said
    assert "2 of 20 saved, 18 not sent: run the cell again" in shown_by(later, line="wait")
    assert not project_of(later).worker.mine
    shown_by(later, **zoo)
    assert api.batch("zoo", session=later).wait(30)
    assert made.service.tasks_created == 20


def test_doubts_and_what_waits_are_decided_for_a_whole_batch(made: Rig) -> None:
    """`resolve --batch` settles all doubts; `cancel --all` ends what is not sent, of batches of other kernels too."""
    made.arm("submit.reset_after:2@1")
    session = made.kernel(WAN_IN_FLIGHT="3")
    rows = [{"animal": animal} for animal in ("fox", "owl", "cat")]
    with pytest.raises(JobError, match="2 of 3 rows"):
        shown_by(session, cell=("--over rows --as zoo --wait", "a {animal}"), rows=rows)
    assert "2 tasks at the service" not in shown_by(session, line="cancel zoo")
    shown_by(session, line="resolve --batch zoo again")
    assert api.batch("zoo", session=session).wait(30)
    assert api.batch("zoo", session=session).status == {"saved": 3}
    made.configure(seconds=30.0)
    shown_by(session, cell=("--over rows --as ark --no-wait --seed 1..2", "a {animal}"), rows=rows)
    until(lambda: api.batch("ark", session=session).status.get("intent") == 3)
    assert "batch ark: 3 tasks not sent" in shown_by(made.kernel(), line="cancel --all")
    until(lambda: api.batch("ark", session=session).status.get("cancelled") == 3)


def test_a_row_that_failed_fails_the_cell_where_nobody_watches(made: Rig, shell: InteractiveShell) -> None:
    """The cell waits, and its output is there and names the row: papermill and nbclient stop at this cell."""
    rows = [{"animal": "fox"}, {"animal": "[[fail]]"}]
    runner = Runner(shell, made.kernel(), {"rows": rows}, FrontEnd.HEADLESS)
    with capture_output() as captured, pytest.raises(JobError, match=r"1 of 2 rows have no picture\. row 2:"):
        runner.make("--over rows --as zoo", "a {animal}")
    (output,) = captured.outputs
    assert "1 of 2 saved" in output.data["text/plain"]
    assert "text/html" in output.data
    assert output.metadata["wan"]["jobs"]
    assert isinstance(shell.user_ns["zoo"], Batch)


def test_a_notebook_with_a_batch_is_packed_verified_and_replayed(tmp_path: Path, monkeypatch: Any) -> None:
    """Rows with seeds and without, more than an output names; elsewhere they are shown again, and nothing is bought."""
    house, other = House(tmp_path / "here"), House(tmp_path / "there")
    rows = [*({"animal": "fox"} for _ in range(3)), *({"animal": "owl", "seed": seed} for seed in range(67))]
    batch = api.map(rows, "a {animal}", name="zoo", session=house.kernel())
    assert isinstance(batch, Batch)
    data, metadata = batch_bundle(batch.result(60))
    output = {"output_type": "display_data", "data": data, "metadata": metadata}
    cell = {"cell_type": "code", "id": "c1", "metadata": {}, "execution_count": 1, "outputs": [output]}
    cell |= {"source": "rows = pandas.read_csv('rows.csv')\nwan.map(rows, 'a {animal}', name='zoo')"}
    notebook = house.folder.parent / "study.ipynb"
    notebook.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}), "utf-8")
    later = house.kernel()
    assert verify_notebook(later, notebook).summary == "70 pictures: present and unchanged"
    assert methods_paragraph(later, notebook).startswith("70 pictures were drawn by the built-in simulator")
    batch[69].files[0].rename(kept := tmp_path / "kept.png")
    assert [check.finding for check in verify_notebook(later, notebook).problems] == ["missing"]
    kept.rename(batch[69].files[0])
    notebook.with_name("rows.csv").touch()
    said = write_bundle(later, notebook, archive := tmp_path / "out.zip")
    assert "note: tables that cells read are not packed: rows.csv" in said
    monkeypatch.chdir(other.folder.parent)
    reader = other.kernel(WAN_REPLAY="only")
    assert "70 jobs added" in open_bundle(archive, reader)[0]
    shown_by(reader, cell=("--over rows --as zoo --wait", "a {animal}"), rows=rows)
    again = api.batch("zoo", session=reader)
    assert [job.id for job in again] == [job.id for job in batch]
    assert again.status == {"saved": 70}
    assert not verify_notebook(reader, other.folder.parent / "study.ipynb").problems
    with pytest.raises(ReplayError):
        shown_by(reader, cell=("--over rows --as zoo --fresh", "a {animal}"), rows=rows)
    assert other.service.tasks_created == 0
    with pytest.raises(StoreError, match="No batch has the name"):
        shown_by(reader, line="resolve --batch ark again")
    for made in (house, other):
        made.close()
