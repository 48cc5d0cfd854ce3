"""Time the ledger's writes: ``python benchmarks/ledger.py [JOBS]``, 500 by default.

Every job is created, moved through six states with its picture, each step awaited on one event loop, as the engine
does it; everything is committed and fsynced. Prints CPU per job and per write.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.folders import folder
from wan_notebook.ledger import JobDraft, JobRow, Ledger, Owner, PictureRecord
from wan_notebook.states import JobState

WRITES = 6
"""Five moves and one saved picture."""


def draft(seed: int) -> JobDraft:
    """Return a job like a cell's: every column that the session fills is filled."""
    parameters = {"n": 1, "seed": seed, "size": "1280*1280", "watermark": False}
    request = {"model": "wan2.6-image", "prompt": "a fox in snow", "images": [], "parameters": parameters}
    return JobDraft(
        provider="gateway",
        base_url="https://example.test",
        model="wan26_image",
        mode="text to image",
        prompt="a fox in snow",
        parameters=parameters,
        request=request,
        fp_asked=f"wan1:sha256:{seed:064x}",
        fp_sent=f"wan1:sha256:{seed:064x}",
        seed=seed,
        size_tier="1K",
        tags=("study",),
        notebook="study.ipynb",
        cell_id="c0ffee",
        user="someone",
        versions={"wan_notebook": "1.0", "python": "3.12"},
        reserved_amount=Decimal("0.03"),
        reserved_currency="USD",
    )


async def live(ledger: Ledger, job_id: str) -> JobRow:
    """Move one job from ``intent`` to ``saved``."""

    async def to(state: JobState, **columns: object) -> JobRow:
        return await asyncio.wrap_future(ledger.transition(job_id, state, **columns))  # type: ignore[arg-type]

    await to(JobState.SENDING, expect=JobState.INTENT)
    await to(JobState.ACCEPTED, task_id=f"task-{job_id}", request_id="req", expires_at=time.time() + 86400)
    await to(JobState.RUNNING)
    found = PictureRecord(idx=0, url="https://example.test/x.png?signature=abc")
    cost = {"cost_amount": Decimal("0.03"), "cost_currency": "USD", "cost_source": "reported"}
    await to(JobState.SUCCEEDED, pictures=[found], duration_s=12.5, items=[{"picture": 0}], usage={"n": 1}, **cost)
    saved = PictureRecord(idx=0, sha256="0" * 64, file=f"2026-11-24/{job_id}.png", saved_at=time.time())
    await asyncio.wrap_future(ledger.save_picture(job_id, saved))
    return await to(JobState.SAVED)


async def run(ledger: Ledger, count: int) -> None:
    """Create and move all jobs at once."""
    owner = Owner(host="here", pid=os.getpid(), started=time.time(), token="bench")  # noqa: S106 - no secret
    ids = [row.id for seed in range(count) for row in ledger.create_jobs([draft(seed)], owner=owner)]
    created = time.process_time()
    rows = await asyncio.gather(*[live(ledger, job_id) for job_id in ids])
    if any(row.state is not JobState.SAVED for row in rows):
        message = "a job was not saved"
        raise RuntimeError(message)
    moved_ms = (time.process_time() - created) * 1e3 / count
    print(f"  moving:   {moved_ms:.2f} ms CPU a job, {moved_ms / WRITES:.3f} ms a write")


def main(count: int = 500) -> None:
    """Print the figures."""
    with folder() as name, Ledger.open(Path(name, "ledger.db")) as ledger:
        begin, cpu = time.perf_counter(), time.process_time()
        print(f"{count} jobs, each created alone, then all moved at once:")
        asyncio.run(run(ledger, count))
        wall, spent = time.perf_counter() - begin, time.process_time() - cpu
        print(f"  together: {spent * 1e3 / count:.2f} ms CPU a job, {wall:.2f} s wall")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
