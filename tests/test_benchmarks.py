"""The benchmarks run in any size, so that a small run shows whether they still work."""

from __future__ import annotations

import sys
import types

import pytest

from benchmarks import downloads, history, run
from benchmarks.sizes import size, sizes


@pytest.mark.parametrize("count", [1, 7])
def test_pictures_are_measured_in_any_number(count: int) -> None:
    """One picture is enough, although the first ones usually warm up."""
    mb_per_s, bare_mb_per_s = downloads.compare(count)

    assert mb_per_s > 0
    assert bare_mb_per_s > 0


def test_the_history_is_timed_with_any_number_of_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    """None of its look-ups depends on how many there are."""
    history.main(1000)

    assert "get by prefix" in capsys.readouterr().out


def test_a_size_is_the_usual_one_unless_the_environment_says_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, or several with commas between them; nothing is measured less than once."""
    assert sizes("JOBS", 500, 1000) == [500, 1000]
    monkeypatch.setenv("BENCH_JOBS", "20, 0")
    assert sizes("JOBS", 500, 1000) == [20, 1]
    assert size("JOBS", 500) == 20


def test_one_failure_does_not_cost_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported and counted; a size from the environment reaches the benchmark that it is for."""
    said: list[tuple[int, ...]] = []

    def fail() -> None:
        raise RuntimeError("broken")

    for name, main in (("broken", fail), ("history", lambda *rows: said.append(rows))):
        module = types.ModuleType(f"benchmarks.{name}")
        module.main = main  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sys, "argv", ["run.py", "broken", "history"])
    monkeypatch.setenv("BENCH_HISTORY_ROWS", "12")

    assert run.main() == 1
    assert said == [(12,)]
    assert "failed: broken" in capsys.readouterr().out
