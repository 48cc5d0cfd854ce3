"""The floor: a bare httpx loop that makes the same requests, writes nothing and checks nothing."""

from __future__ import annotations

import asyncio
import time

import httpx


async def jobs(base_url: str, count: int) -> None:
    """Submit, poll and fetch ``count`` zero-second jobs over ten connections."""
    limits = httpx.Limits(max_connections=10, max_keepalive_connections=10)
    slots = asyncio.Semaphore(10)
    headers = {"Authorization": "Bearer bench"}
    async with httpx.AsyncClient(base_url=base_url, limits=limits, timeout=60) as client:

        async def one(seed: int) -> None:
            body = {
                "model": "wan26_image",
                "input": {"messages": [{"role": "user", "content": [{"text": "a fox"}]}]},
                "parameters": {"enable_interleave": True, "n": 1, "max_images": 1, "seed": seed},
            }
            async with slots:
                task = (await client.post("/model/v1/generation", json=body, headers=headers)).json()["id"]
                while True:
                    state = (await client.get(f"/model/v1/generation/task/{task}", headers=headers)).json()
                    if state["status"] == "completed":
                        break
                    await asyncio.sleep(0.01)
                for item in state["output"][0]["content"]:
                    if item["type"] == "image":
                        await client.get(item["url"])

        await asyncio.gather(*(one(seed) for seed in range(count)))


def measure(base_url: str, count: int) -> tuple[float, float]:
    """Return CPU seconds and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(jobs(base_url, count))
    return time.process_time() - cpu, time.perf_counter() - wall
