"""Who works on a job: one kernel at a time."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger_kit import NOON, Clock, create, draft, finish, owner
from wan_notebook.ledger import Ledger


@pytest.fixture
def clock() -> Clock:
    """Time at noon."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=clock) as opened:
        yield opened


def test_a_lease_is_exclusive_until_it_is_over(ledger: Ledger) -> None:
    """A job has one owner; another kernel gets it when the lease is over, and not before."""
    job_id = create(ledger)
    assert ledger.lease([job_id], owner("one"), now=NOON).result(10) == {job_id}
    assert ledger.lease([job_id], owner("two"), now=NOON + 14.9).result(10) == frozenset()
    assert ledger.lease([job_id], owner("one"), now=NOON + 14.9).result(10) == {job_id}
    assert ledger.lease([job_id], owner("two"), now=NOON + 30).result(10) == {job_id}
    assert ledger.get(job_id).owner == owner("two")
    assert [event.kind for event in ledger.events(job_id)] == ["state", "taken", "taken"]


def test_a_dead_owner_is_replaced_at_once(ledger: Ledger) -> None:
    """Who knows that the holder is dead need not wait, and takes from nobody else."""
    ids = [ledger.create_jobs([draft()], owner=owner(token))[0].id for token in ("dead", "alive")]
    assert ledger.lease(ids, owner("new"), now=NOON, replacing={"dead"}).result(10) == {ids[0]}


def test_renewing_tells_what_was_taken(ledger: Ledger) -> None:
    """A kernel that was asleep learns which jobs are no longer its own; a late one keeps what nobody took."""
    ids = [row.id for row in ledger.create_jobs([draft(), draft()], owner=owner("one"))]
    ledger.lease(ids[:1], owner("two"), now=NOON + 100).result(10)
    assert ledger.renew(ids, owner("one"), now=NOON + 101).result(10) == {ids[1]}
    assert ledger.get(ids[1]).lease_until == NOON + 116


def test_releasing_gives_only_one_s_own_away(ledger: Ledger) -> None:
    """Letting go in one kernel never frees what another one holds."""
    ids = [row.id for row in ledger.create_jobs([draft(), draft()], owner=owner("one"))]
    ledger.lease(ids[:1], owner("two"), now=NOON + 100).result(10)
    ledger.release(ids, owner("one")).result(10)
    assert [ledger.get(job_id).owner for job_id in ids] == [owner("two"), None]


def test_what_is_over_or_unknown_cannot_be_leased(ledger: Ledger) -> None:
    """Nobody works on a finished job."""
    assert ledger.lease([finish(ledger), "f00"], owner("one")).result(10) == frozenset()


def test_many_kernels_that_want_one_job_get_it_once(tmp_path: Path) -> None:
    """The lease is compared and set: of eight that ask at the same moment, one holds the job."""
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as first:
        job_id = create(first)
        ledgers = [Ledger.open(path) for _ in range(4)]
        asked = [ledgers[k % 4].lease([job_id], owner(f"kernel {k}")) for k in range(8)]
        concurrent.futures.wait(asked, timeout=20)
        assert sum(bool(future.result()) for future in asked) == 1
        for other in ledgers:
            other.close()
