"""The writing thread: what it says is done is on the disk, whatever fails beside it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ledger_kit import DRAFT, create, draft, move, opened, saved_picture
from wan_notebook.errors import BudgetError
from wan_notebook.ledger import JobRow, Ledger, LedgerConflict, LedgerError, writer
from wan_notebook.states import JobState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    with opened(path) as made:
        yield made


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the write lock, as another kernel or a backup program would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def test_what_is_told_is_committed(ledger: Ledger, path: Path) -> None:
    """A future resolves after its commit: anybody else sees the change before the caller is told."""
    job_id = create(ledger)
    seen: list[Any] = []

    def look(_: object) -> None:
        other = sqlite3.connect(path)
        seen.append(other.execute("SELECT state FROM jobs WHERE id = ?", [job_id]).fetchone()[0])
        other.close()

    moved = ledger.transition(job_id, JobState.SENDING)
    moved.add_done_callback(look)
    moved.result(10)
    create(ledger)  # the callback runs on the writing thread, so it is over before another write is
    assert seen == ["sending"]


def test_what_waits_together_is_committed_together(ledger: Ledger, path: Path) -> None:
    """Concurrent jobs share a commit: fifty changes that waited need a few fsyncs, not fifty."""
    ids = [row.id for row in ledger.create_jobs([DRAFT] * 50)]
    statements: list[str] = []
    ledger._writer._connection.set_trace_callback(statements.append)
    with locked(path):
        moves = [ledger.transition(job_id, JobState.SENDING) for job_id in ids]
    assert all(moved.result(10).state is JobState.SENDING for moved in moves)
    assert 1 <= statements.count("COMMIT") <= 2  # the first change may have been taken alone


def test_what_follows_a_commit_closely_waits_for_company(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that comes alone is written at once; one that came during a commit shares the next with what follows."""
    ids = [row.id for row in ledger.create_jobs([DRAFT] * 3)]
    statements: list[str] = []
    ledger._writer._connection.set_trace_callback(statements.append)
    moves: list[Future[JobRow]] = []
    pauses: list[float] = []

    class Pause:
        """The pause of the writing thread, in which another kernel's work comes to an end."""

        def sleep(self, pause_s: float) -> None:
            pauses.append(pause_s)
            moves.append(ledger.transition(ids[2], JobState.SENDING))

    monkeypatch.setattr(writer, "time", Pause())
    with locked(path):
        moves.append(ledger.transition(ids[0], JobState.SENDING))
        while not statements:  # until it is taken, alone
            pass
        moves.append(ledger.transition(ids[1], JobState.SENDING))
    assert all(moved.result(10) for moved in moves[:2])
    assert all(moved.result(10) for moved in moves)
    assert pauses == [writer.GATHER_S]
    assert statements.count("COMMIT") == 2


def test_a_failing_change_breaks_no_other(ledger: Ledger, path: Path) -> None:
    """A conflict in the middle of a shared commit is its own affair."""
    ids = [row.id for row in ledger.create_jobs([DRAFT] * 3)]
    with locked(path):
        moves = [
            ledger.transition(ids[0], JobState.SENDING),
            ledger.transition(ids[1], JobState.SAVED),
            ledger.update(ids[1], colour="red"),
            ledger.transition(ids[2], JobState.SENDING),
        ]
    assert isinstance(moves[1].exception(10), LedgerConflict)
    assert isinstance(moves[2].exception(10), LedgerError)
    assert [ledger.get(job_id).state for job_id in ids] == ["sending", "intent", "sending"]


def test_a_failing_change_leaves_nothing_of_itself(ledger: Ledger) -> None:
    """A change that fails half way is undone whole: its event is gone with it."""
    job_id = create(ledger)
    with pytest.raises(LedgerError):
        move(ledger, job_id, JobState.SENDING, pictures=[saved_picture(0), saved_picture(1, width_px="wide")])
    row = ledger.get(job_id)
    assert (row.state, row.sending_at, row.pictures) == (JobState.INTENT, None, ())
    assert len(ledger.events(job_id)) == 1


def test_a_check_that_refuses_stops_the_creation(ledger: Ledger) -> None:
    """A budget is asked inside the transaction, and its refusal reaches the caller as it is."""

    def refuse(_: object) -> None:
        raise BudgetError("too much")

    with pytest.raises(BudgetError, match="too much"):
        ledger.create_jobs([DRAFT], check=refuse)
    assert ledger.open_jobs() == []


def test_two_kernels_cannot_both_slip_under_a_cap(path: Path) -> None:
    """The check and the reservation are one step: of ten that each see room for the last one, one gets it."""

    def at_most_one(reader: Any) -> None:
        if reader.spend().pictures_reserved >= 2:
            raise BudgetError("no room")

    with opened(path) as one, opened(path) as two:
        refused = []

        def order(ledger: Ledger) -> None:
            try:
                ledger.create_jobs([DRAFT], check=at_most_one)
            except BudgetError:
                refused.append(1)

        threads = [threading.Thread(target=order, args=[ledger]) for ledger in (one, two) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one.open_jobs()) == 1
        assert len(refused) == 9


# ------------------------------------------------------------------ threads


def test_a_cancelled_wait_does_not_take_the_write_back(ledger: Ledger, path: Path) -> None:
    """Whoever stops waiting for a row that says what was paid cannot thereby unwrite it."""
    job_id = create(ledger)
    move(ledger, job_id, JobState.SENDING)

    async def give_up() -> None:
        with locked(path):
            wait = asyncio.ensure_future(
                asyncio.wrap_future(ledger.transition(job_id, JobState.ACCEPTED, task_id="paid"))
            )
            await asyncio.sleep(0)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait

    asyncio.run(give_up())
    ledger.meta_set("later", "x")
    assert ledger.get(job_id).task_id == "paid"


@pytest.fixture
def interruptible() -> Iterator[threading.Event]:
    """Let SIGUSR1 interrupt like Ctrl-C; the event tells that it has."""
    came = threading.Event()

    def interrupt(*_: object) -> None:
        came.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield came
    signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_before_the_commit_leaves_no_job(
    ledger: Ledger, path: Path, interruptible: threading.Event
) -> None:
    """Ctrl-C while the ledger is busy: the job that nobody was told of is never made."""
    ledger.meta_set("x", "y")
    with locked(path):
        waiting = threading.Thread(target=_interrupt_main_soon)
        waiting.start()
        with pytest.raises(KeyboardInterrupt):
            ledger.create_jobs([DRAFT])
        waiting.join()
    ledger.meta_set("x", "z")
    assert ledger.history().total_rows == 0


def _interrupt_main_soon() -> None:
    main = threading.main_thread().ident
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # until the main thread waits for the ledger's answer
        frame = sys._current_frames().get(main or 0)
        names = [step.name for step in traceback.extract_stack(frame)] if frame else []
        if names[-2:] == ["result", "wait"] and "create_jobs" in names:
            break
        time.sleep(0.005)
    signal.pthread_kill(main or 0, signal.SIGUSR1)


def test_an_interrupt_during_the_commit_leaves_no_open_job(ledger: Ledger, interruptible: threading.Event) -> None:
    """Ctrl-C when the job is already made: it is cancelled, or some later kernel would send it unasked."""

    def interrupt_main(_: object) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert interruptible.wait(10)

    with pytest.raises(KeyboardInterrupt):
        ledger.create_jobs([DRAFT], check=interrupt_main)
    deadline = time.monotonic() + 20
    while [row.state for row in ledger.history().rows] != [JobState.CANCELLED]:
        ledger.meta_set("x", "y")
        assert time.monotonic() < deadline


def test_a_callback_cannot_wait_for_its_own_thread(ledger: Ledger) -> None:
    """Waiting on the writing thread for the writing thread is refused, where it would hang for ever."""
    errors: list[BaseException] = []

    def misuse(_: object) -> None:
        for call in (lambda: create(ledger), lambda: ledger.meta_set("x", "y")):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)

    ledger.record_shown(create(ledger), "", "", "replay").add_done_callback(misuse)
    ledger.meta_set("later", "x")
    assert len(errors) == 2


def test_closing_writes_what_is_queued(path: Path) -> None:
    """A kernel that ends keeps what it was about to write."""
    with opened(path) as ledger:
        ids = [row.id for row in ledger.create_jobs([DRAFT] * 20)]
        moves = [ledger.transition(job_id, JobState.SENDING) for job_id in ids]
    assert all(moved.result(20).state is JobState.SENDING for moved in moves)  # on a busy machine a little later
    with opened(path) as ledger:
        assert {row.state for row in ledger.open_jobs()} == {JobState.SENDING}


def test_closing_never_holds_up_the_shutdown(ledger: Ledger, path: Path) -> None:
    """With a file that another program keeps locked, closing gives up waiting within half a second."""
    create(ledger)
    with locked(path):
        late = ledger.update(ledger.open_jobs()[0].id, name="late")
        begin = time.monotonic()
        ledger.close()
        ledger.close()
        assert time.monotonic() - begin < 5  # 0.4 s, and what a busy machine adds; the lock is waited for longer
        assert not late.done()
    assert late.result(10).name == "late"


def test_after_closing_writes_are_refused(path: Path) -> None:
    """A write after the end fails at once and says why, instead of waiting for ever."""
    with opened(path) as ledger:
        job_id = create(ledger)
    with pytest.raises(LedgerError, match="closed"):
        ledger.transition(job_id, JobState.SENDING).result(10)
    with pytest.raises(LedgerError, match="closed"):
        ledger.create_jobs([draft()])


def test_a_ledger_that_is_only_read_has_no_thread(path: Path) -> None:
    """Looking at the ledgers of other folders starts nothing."""
    with opened(path) as ledger:
        before = threading.active_count()
        ledger.history()
        assert threading.active_count() == before
