"""Kernel → Interrupt held back between two steps of which both or neither must happen."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.engine.kit import ask, ended, rig
from wan_notebook import interrupts


@pytest.fixture(autouse=True)
def _pythons_own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    """Do what a kernel does on Kernel → Interrupt."""
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    """Whatever the block does is done whole; then the interrupt arrives, and the handler is as it was."""
    done = []

    def work() -> None:
        with interrupts.held():
            interrupt()
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupts.check()


def test_who_asks_three_times_is_obeyed_at_once() -> None:
    """A block that hangs can be left."""
    asked = []

    def work() -> None:
        with interrupts.held():
            for number in range(5):
                asked.append(number)
                interrupt()

    with pytest.raises(KeyboardInterrupt):
        work()

    assert len(asked) == interrupts.PATIENCE


def test_waiting_ends_although_interrupts_are_held() -> None:
    """What waits for another thread looks whether somebody asked."""
    never: Future[None] = Future()
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        interrupts.wait(never)


def test_another_thread_is_left_alone() -> None:
    """Only the main thread gets interrupts, so only it holds them back."""
    seen = []

    def work() -> None:
        with interrupts.held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [signal.default_int_handler]


def test_orders_interrupted_anywhere_can_be_asked_again(tmp_path: Path) -> None:
    """However early or late an interrupt comes, nothing hangs afterwards, nothing is bought twice, nothing is stuck."""
    with rig(tmp_path, speed=20.0) as made:
        session = made.kernel()
        begun = time.perf_counter()
        ended(ask(session, "warm", seed=1))
        took = time.perf_counter() - begun
        for number in range(40):
            timer = threading.Timer(took * number / 40, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                ask(session, f"fox {number}", seed=2)
                time.sleep(took)
            except KeyboardInterrupt:
                pass
            timer.cancel()
            timer.join()
        states = [row.state for row in map(session.need_home().ledger.get, ids(session))]
        for number in range(40):
            ended(ask(session, f"fox {number}", seed=2))
        prompts = [row.prompt for row in map(session.need_home().ledger.get, ids(session)) if row.task_id]

        assert "refused" not in states
        assert len(prompts) == len(set(prompts)) == made.service.tasks_created


def ids(session: object) -> list[str]:
    """Return all jobs."""
    from wan_notebook.ledger import HistoryQuery

    return [row.id for row in session.need_home().ledger.history(HistoryQuery(limit=500)).rows]  # type: ignore[attr-defined]
