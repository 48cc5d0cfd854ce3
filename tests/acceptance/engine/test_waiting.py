"""Waiting for a job: it can be limited, it can happen anywhere, and it never costs the job anything."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.kit import ask, ended, rig, row_of, run_script, unlimited, until
from wan_notebook.simulator import create_app, serve_in_thread

SOON_S = 0.8  # half a second, and a little for a busy machine


def test_a_time_limit_around_await_ends_the_waiting_only(tmp_path: Path) -> None:
    """``asyncio.timeout`` and ``wait_for`` end it within half a second with TimeoutError, and the job goes on."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await job
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, 0.05)

    with rig(tmp_path, seconds=100.0) as made:
        job = ask(made.kernel(), seed=5)
        before = time.monotonic()
        asyncio.run(main())
        assert time.monotonic() - before < SOON_S
        assert ended(job).status == "saved"


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


NEST = """
import asyncio, threading
import nest_asyncio
import wan_notebook as wan
nest_asyncio.apply()

async def main():
    return [wan.generate("a fox", seed=1).result(30).status, (await wan.generate("a cat", seed=2)).status]

done = threading.Event()
wan.generate("a hen", seed=4).add_done_callback(lambda job: (job.result(30), done.set()))
output = wan.generate("a lime", seed=6)._repr_mimebundle_()[0]["text/plain"]
print(*asyncio.run(main()), done.wait(30), output.split()[1])
"""


@pytest.mark.process
def test_nest_asyncio_applied_after_our_import_does_no_harm() -> None:
    """Waiting, awaiting, callbacks and outputs outside IPython work over HTTP; JupyterLab's tests apply it before."""
    with serve_in_thread(create_app(unlimited(0.05))) as url:
        done = run_script(NEST, url)
    assert done.stdout.split() == ["saved", "saved", "True", "saved"], done.stderr[-1500:]
