"""Waiting for a job: it can be interrupted, it can happen anywhere, and it never costs the job anything."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import Rig, ask, ended, rig, row_of, run_script, unlimited, until
from wan_notebook.jobs import WaitInterrupted
from wan_notebook.simulator import create_app, serve_in_thread

SOON_S = 0.8  # half a second, and a little for a busy machine


def interrupt_soon() -> list[float]:
    """Send this process an interrupt in a moment; the list gets the time."""
    at: list[float] = []

    def send() -> None:
        at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(0.15, send).start()
    return at


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Take an interrupt as a kernel does: tests that are started in the background ignore it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Rig]:
    """A service that takes 100 fast seconds."""
    with rig(tmp_path, seconds=100.0) as made:
        yield made


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_waiting_only(slow: Rig) -> None:
    """Kernel → Interrupt comes back within half a second, says how to come back, and the job goes on."""
    slow.configure(seconds=300.0)
    job = ask(slow.kernel(), seed=5)
    at = interrupt_soon()
    with pytest.raises(WaitInterrupted, match=f"%wan wait {job.id}"):
        job.result()
    assert time.monotonic() - at[0] < SOON_S
    assert not job.is_done
    assert ended(job).status == "saved"
    assert slow.service.tasks_created == 1


def test_cancelling_await_ends_the_waiting_only(slow: Rig) -> None:
    """``await job`` that is cancelled comes back within half a second, and the job goes on."""

    async def wait() -> object:
        return await job

    async def main() -> float:
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.1)
        at = time.monotonic()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return time.monotonic() - at

    job = ask(slow.kernel(), seed=5)
    assert asyncio.run(main()) < SOON_S
    assert ended(job).status == "saved"


def test_a_time_limit_around_await_is_a_timeout(slow: Rig) -> None:
    """``asyncio.timeout`` and ``wait_for`` end the waiting with TimeoutError, as with anything else that is awaited."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await job
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, 0.05)

    job = ask(slow.kernel(), seed=5)
    asyncio.run(main())
    assert ended(job).status == "saved"


def test_result_works_inside_a_running_loop(made: Rig) -> None:
    """A synchronous wait inside a coroutine, as in a notebook's cell, gets its pictures."""

    async def cell() -> int:
        return len(ask(session, seed=5).result(20).images) + len((await ask(session, seed=6)).images)

    session = made.kernel()
    assert asyncio.run(cell()) == 2


def test_closing_waits_for_a_submit_under_way(tmp_path: Path) -> None:
    """A POST whose answer comes in a moment is not cut by Kernel → Restart: its task's id reaches the disk."""
    with rig(tmp_path, speed=1.0) as made:
        made.faults.pace_s = 0.002
        made.serve()
        session = made.kernel()
        made.arm("submit.trickle")
        job = ask(session, seed=5)
        until(lambda: made.service.tasks_created == 1)
        before = time.monotonic()
        session.close()
        took_s = time.monotonic() - before
        assert row_of(made.kernel(), job).task_id
        assert took_s < 2 * SOON_S


# ------------------------------------------------------------------ in processes of their own

NEST = """
import asyncio, sys, threading
import nest_asyncio
if "before" in sys.argv: nest_asyncio.apply()
import wan_notebook as wan
if "after" in sys.argv: nest_asyncio.apply()

async def main():
    first = wan.generate("a fox", seed=1).result(30)
    second = await wan.generate("a cat", seed=2)
    third = asyncio.run(inner())
    return [len(job.images) for job in (first, second, third)]

async def inner():
    return await wan.generate("a dog", seed=3)

done = threading.Event()
wan.generate("a hen", seed=4).add_done_callback(lambda job: (job.result(30), done.set()))
print(asyncio.run(main()), done.wait(30))
"""


@pytest.mark.process
@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.nightly), "after"])
def test_an_applied_nest_asyncio_does_no_harm(when: str) -> None:
    """Patched before or after our import, over HTTP: waiting, awaiting and callbacks work."""
    with serve_in_thread(create_app(unlimited(0.05))) as url:
        done = run_script(NEST, url, when)
    assert done.stdout.split() == ["[1,", "1,", "1]", "True"], done.stderr[-1500:]
