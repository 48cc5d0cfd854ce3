"""The background thread: its own loop, empty contexts, and nothing that keeps a program from ending."""

import asyncio
import contextvars
import gc
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import anyio
import pytest

from tests.environment import ROOT
from wan_notebook.jobs import Background

WAIT_S = 10.0
CELL: contextvars.ContextVar[str] = contextvars.ContextVar("CELL", default="")


@pytest.fixture
def background() -> Iterator[Background]:
    """A loop that ends with the test."""
    made = Background("test")
    yield made
    made.stop()


async def cell() -> str:
    """Return the context variable as the loop sees it."""
    return CELL.get()


def test_no_context_of_a_cell_reaches_the_loop(background: Background) -> None:
    """Ipykernel keeps a cell's parent header in context variables: output from the loop must not stick to a cell."""
    CELL.set("cell 1")
    seen: list[str] = []
    done = threading.Event()
    background.call(lambda: seen.append(CELL.get()))
    background.call_back(lambda: (seen.append(CELL.get()), done.set()))
    assert background.submit(cell()).result(WAIT_S) == ""
    assert done.wait(WAIT_S)
    assert seen == ["", ""]


def test_a_blocking_call_runs_beside_the_loop_and_hands_over_its_error(background: Background) -> None:
    """The loop goes on while a thread waits for the disk; what the thread raises is raised where it is awaited."""

    async def work() -> str:
        with pytest.raises(ValueError, match="banana"):
            await background.in_thread(int, "banana", base=10)
        gate = threading.Event()
        waiting = asyncio.ensure_future(background.in_thread(gate.wait, WAIT_S))
        await asyncio.sleep(0)
        gate.set()
        return f"{await waiting} {await background.in_thread(threading.get_ident) != threading.get_ident()}"

    assert background.submit(work()).result(WAIT_S) == "True True"


def test_more_callbacks_than_threads_may_wait_for_each_other(background: Background) -> None:
    """A person's callback may wait for another job: however many do, all get through."""
    barrier = threading.Barrier(21)
    for _ in range(20):
        background.call_back(barrier.wait, WAIT_S)
    barrier.wait(WAIT_S)


def test_a_failing_callback_is_logged_and_harms_nobody(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody above a callback could see its error; printed, it would land in some cell."""
    with caplog.at_level(logging.ERROR):
        background.call(lambda: 1 / 0)
        assert background.submit(cell()).result(WAIT_S) == ""
    assert "in the background" in caplog.text


def test_it_stops_and_starts_again(background: Background) -> None:
    """Stopping cancels what runs and may be called at any time; the next call starts anew."""
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    background.stop()
    background.submit(forever())
    assert background.submit(cell()).result(WAIT_S) == ""
    background.stop(WAIT_S)
    assert (ended, background.is_running) == (["cancelled"], False)
    assert background.submit(cell()).result(WAIT_S) == ""


def test_a_connection_that_is_being_made_ends_without_a_warning(background: Background) -> None:
    """A script's stderr stays clean: tasks that have not begun are not cut off ("… was never awaited")."""

    async def connects() -> None:
        async with anyio.create_task_group() as group:
            while True:
                group.start_soon(asyncio.sleep, 3600)
                await asyncio.sleep(0)

    with warnings.catch_warnings(record=True, action="always") as told:
        background.submit(connects())
        background.submit(asyncio.sleep(0.01)).result(WAIT_S)
        background.stop(WAIT_S)
        gc.collect()
    assert not told


_SCRIPT = """
import asyncio
from wan_notebook.jobs import Background

background = Background()

async def last_words():
    await background.in_thread(print, "written while the interpreter ends", flush=True)

background.on_exit = lambda: background.submit(last_words()).result(5)
background.submit(asyncio.sleep(0)).result(5)
background.submit(asyncio.sleep(3600))
background.call_back(lambda: __import__("time").sleep(3600))
"""


@pytest.mark.process
def test_the_end_of_a_program_is_not_held_up_and_can_still_write() -> None:
    """Sleeping jobs and callbacks end with the program; a task's id can be written to disk until the very end."""
    command = [sys.executable, "-c", _SCRIPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "written while the interpreter ends"
    assert done.stderr == ""
