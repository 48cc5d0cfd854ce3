"""The figures that the polling policy is held to, in virtual time on a double of the service."""

from __future__ import annotations

import importlib.util
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "benchmarks" / "polling.py"
SEEDS = range(3)


def load() -> ModuleType:
    """Load the benchmark, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location("wan_benchmark_polling", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


polling = load()
NAMES = [row.name for row in polling.ROWS if row.jobs > 1 and (row.most_polls or row.limit_per_s)]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_reaches_its_aims(name: str) -> None:
    """Polls a task, delay of detection and its tail stay below the aims; no job is lost and no query refused."""
    row: Any = next(row for row in polling.ROWS if row.name == name)
    outcomes = polling.simulate(row, SEEDS)
    assert sum(o.refused + o.lost for o in outcomes) == 0
    if row.most_polls is not None:
        assert statistics.fmean(o.polls for o in outcomes) <= row.most_polls
        assert statistics.fmean(o.delay_s for o in outcomes) <= row.most_delay_s
    if row.most_p95_s is not None:
        assert statistics.fmean(o.p95_s for o in outcomes) <= row.most_p95_s
    if row.limit_per_s:
        assert max(o.peak for o in outcomes) <= row.limit_per_s


def test_the_eta_on_cards_holds() -> None:
    """The 80 % interval, stated each second for each running task, holds 70 to 90 % of the time, in the tail too."""
    outcomes = polling.simulate(polling.ROWS[0], range(4))
    assert 0.70 <= polling.coverage([o.eta for o in outcomes]) <= 0.90
    assert 0.70 <= polling.coverage([o.eta_tail for o in outcomes]) <= 0.90


def test_the_double_refuses_what_is_too_much() -> None:
    """The service of these figures can refuse at all: 21 queries in a second bring one 429."""
    service = polling.Service({"a": 5.0}, 20.0)
    answers = [service.ask("a", 1.0 + i * 0.04) for i in range(21)]
    assert answers.count(None) == 1
    assert service.ask("a", 6.0) is True
