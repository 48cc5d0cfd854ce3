"""A kernel that is killed at any point loses nothing that the ledger or the service still knows, and pays once."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.environment import ROOT
from tests.kit import unlimited
from wan_notebook.simulator import create_app, serve_in_thread

ENDS = {"saved", "in_doubt", "intent"}


@pytest.mark.process
@pytest.mark.timeout(320)
@pytest.mark.parametrize(
    ("journal", "stride"),
    [
        pytest.param("wal", 3, id="wal"),
        pytest.param("wal", 1, id="wal-every-step", marks=pytest.mark.nightly),
        pytest.param("rollback", 1, id="rollback", marks=pytest.mark.nightly),
    ],
)
def test_killed_at_its_steps(journal: str, stride: int, tmp_path: Path) -> None:
    """Killed before and after every commit, request and file operation, then resumed by another process.

    At most one task for the one job; a task whose id was on disk is saved with both pictures, each once; what was
    never sent stays so, for the same call to send; what nobody can know is in doubt; and nothing else remains.
    """
    app = create_app(unlimited())
    with serve_in_thread(app) as url:
        command = [sys.executable, "-m", "tests.acceptance.engine.crashing", url, str(tmp_path), journal, str(stride)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    names, *lines = [json.loads(line) for line in done.stdout.splitlines()]
    tasks = Counter(task.request.prompt for task in app.state.simulator.tasks.values())
    assert len(names) >= 40
    assert len(lines) >= (len(names) // stride if journal == "wal" else 20)
    for line in lines:
        _check(line, tasks[line["prompt"]], journal)
    seen = Counter(line["states"][0] if line["states"] else "nothing" for line in lines)
    assert {"saved", "in_doubt", *(() if stride > 1 else ("intent", "nothing"))} <= set(seen)


def _check(line: dict[str, object], tasks: int, journal: str) -> None:
    assert tasks <= 1, line
    states = line["states"]
    assert isinstance(states, list)
    if not states:
        assert tasks == 0, line
        return
    assert set(states) <= ENDS, line
    assert states != ["intent"] or tasks == 0, line
    assert (states == ["in_doubt"]) == (line["before"] in (["sending"], ["in_doubt"])), line
    if states == ["saved"]:
        assert tasks == 1, line
        assert line["whole"], line
        assert sorted(line["saved"]) == line["files"], line  # type: ignore[call-overload]
        assert len(line["files"]) == 2, line  # type: ignore[arg-type]
    if journal == "rollback":
        assert not line["journal"], line
