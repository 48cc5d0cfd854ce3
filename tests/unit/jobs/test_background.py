"""The background thread: its own loop, empty contexts, and nothing that keeps a program from ending."""

import contextvars
import logging
import threading
from collections.abc import Iterator

import pytest

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
