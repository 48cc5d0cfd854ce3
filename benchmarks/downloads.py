"""Pictures of 2 MB on their way to the disk: fetched, checked, fsynced, named and recorded, against a bare download."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from pathlib import Path

import httpx

from benchmarks.engine import make_session
from benchmarks.folders import folder
from benchmarks.service import service
from benchmarks.sizes import size
from wan_notebook.ledger import JobDraft, Ledger, PictureRecord
from wan_notebook.session import Session
from wan_notebook.states import JobState

PICTURE_KB = 2048
WARM_UP = 20  # threads, connections, and memory that the system has to find first
HEADERS = {"Authorization": "Bearer bench"}


async def make_tasks(base_url: str, count: int) -> list[tuple[str, str]]:
    """Submit so many tasks; return their ids and addresses."""
    body = {
        "model": "wan26_image",
        "input": {"messages": [{"role": "user", "content": [{"text": "a fox"}]}]},
        "parameters": {"enable_interleave": True, "n": 1, "max_images": 1},
    }
    found = []
    async with httpx.AsyncClient(base_url=base_url, headers=HEADERS, timeout=60) as client:
        for _ in range(count):
            task = (await client.post("/model/v1/generation", json=body)).json()["id"]
            content = (await client.get(f"/model/v1/generation/task/{task}")).json()["output"][0]["content"]
            found.append((task, next(item["url"] for item in content if item["type"] == "image")))
    return found


async def fetch_bare(urls: list[str]) -> int:
    """Download over ten connections; keep and check nothing."""
    limits = httpx.Limits(max_connections=10, max_keepalive_connections=10)
    slots, total = asyncio.Semaphore(10), 0
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def one(url: str) -> None:
            nonlocal total
            async with slots:
                content = (await client.get(url)).content
            total += len(content)

        await asyncio.gather(*(one(url) for url in urls))
    return total


def finished_jobs(ledger: Ledger, base_url: str, tasks: list[tuple[str, str]]) -> None:
    """Write jobs whose tasks are finished and whose pictures are not fetched."""
    drafts = [
        JobDraft(
            provider="gateway", base_url=base_url, model="wan2.6-image", mode="text to image", prompt="a fox",
            request={}, fp_asked=task, fp_sent=task, seed=seed,
        )
        for seed, (task, _) in enumerate(tasks)
    ]  # fmt: skip
    now = time.time()
    for job_id, (task, url) in zip([row.id for row in ledger.create_jobs(drafts)], tasks, strict=True):
        ledger.transition(job_id, JobState.SENDING)
        ledger.transition(job_id, JobState.ACCEPTED, task_id=task, accepted_at=now)
        record = PictureRecord(job_id=job_id, idx=0, url=url)
        last = ledger.transition(job_id, JobState.SUCCEEDED, pictures=[record], finished_at=now)
    last.result(60)


def memory(name: str) -> float:
    """Return what this process holds (``VmRSS``) or held at most (``VmHWM``) in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name)) / 1024


def forget_peak() -> None:
    """Let the peak begin anew where Linux can: the bare loop's must not hide ours."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def fetch_ours(session: Session, base_url: str, tasks: list[tuple[str, str]]) -> tuple[int, float]:
    """Let the engine fetch what is finished; return the bytes that it saved, and the seconds that it took."""
    finished_jobs(session.need_home().ledger, base_url, tasks)
    start = time.perf_counter()
    lives = session.resume()
    for live in lives:
        live.settled().result(300)
    took_s = time.perf_counter() - start
    saved = [picture.size_bytes or 0 for live in lives for picture in live.row.pictures if picture.saved_at]
    assert len(saved) == len(tasks)
    return sum(saved), took_s


def compare(count: int) -> tuple[float, float]:
    """Return MB/s of the engine and of the bare loop. The first pictures warm up, as far as one is left to measure."""
    warm = min(WARM_UP, count - 1)
    with service(picture_kb=PICTURE_KB) as base_url, folder() as name:
        tasks = asyncio.run(make_tasks(base_url, count))
        session = make_session(base_url, Path(name))
        if warm:
            fetch_ours(session, base_url, tasks[:warm])
        start = time.perf_counter()
        total = asyncio.run(fetch_bare([url for _, url in tasks[: min(count, 100)]]))
        bare = total / (time.perf_counter() - start)
        saved, took_s = fetch_ours(session, base_url, tasks[warm:])
        session.close()
        return saved / took_s / 1e6, bare / 1e6


def growth(count: int) -> float:
    """Return by how many MiB the peak of the memory grows while the engine fetches pictures, from the first one on."""
    with service(picture_kb=PICTURE_KB) as base_url, folder() as name:
        tasks = asyncio.run(make_tasks(base_url, count))
        session = make_session(base_url, Path(name))
        session.need_home()
        forget_peak()
        before = memory("VmRSS")
        fetch_ours(session, base_url, tasks)
        grown = memory("VmHWM") - before
        session.close()
        return grown


def main() -> None:
    """Print throughput as a ratio, the middle one of some rounds, and the memory that many pictures take."""
    count, memory_count = size("PICTURES", 320), size("MEMORY_PICTURES", 500)
    grown = growth(memory_count)  # first: what the others leave behind would serve it
    rounds = sorted((compare(count) for _ in range(size("ROUNDS", 3))), key=lambda pair: pair[0] / pair[1])
    ratios = [ours / bare for ours, bare in rounds]
    ours, bare = rounds[len(rounds) // 2]
    print(
        f"{count} pictures of 2 MB, checked and fsynced: {ours:.0f} MB/s, bare httpx {bare:.0f} MB/s, "
        f"ratio {ours / bare:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f} in {len(rounds)} rounds; aim 0.8)"
    )
    print(f"{memory_count} pictures of 2 MB: peak memory grows by {grown:.0f} MiB (aim at most 64)")


if __name__ == "__main__":
    main()
