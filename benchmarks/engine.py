"""What the durable engine costs: CPU per zero-second job, as a ratio to a bare httpx loop in the same run."""

from __future__ import annotations

import io
import resource
import time
from pathlib import Path

from PIL import Image

from benchmarks import bare
from benchmarks.folders import folder
from benchmarks.service import service
from benchmarks.sizes import size, sizes
from wan_notebook.api import generate
from wan_notebook.session import Session
from wan_notebook.settings import Sources
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.server import serve_in_thread


def make_session(base_url: str, folder: Path, **env: str) -> Session:
    """Return a session over a service on a port, with the limit lifted."""
    settings = {
        "WAN_PROVIDER": "gateway",
        "WAN_API_KEY": "bench",
        "WAN_BASE_URL": base_url,
        "WAN_HOME": str(folder / "wan-pictures"),
        "WAN_QUERIES_PER_S": "0",
    }
    return Session(Sources(env={**settings, **env}, cwd=folder, config_path=folder / "config.json"))


def run(base_url: str, count: int, *, prompt: str = "a fox") -> tuple[float, float, Session]:
    """Order ``count`` jobs and wait for all; return CPU and wall seconds, everything committed and fsynced."""
    with folder() as name:
        session = make_session(base_url, Path(name))
        generate("warm up", seed=1, session=session).result(60)
        cpu, wall = time.process_time(), time.perf_counter()
        jobs = [generate(prompt, seed=seed, session=session) for seed in range(count)]
        for job in jobs:
            job.result(300)
        spent = time.process_time() - cpu, time.perf_counter() - wall
        session.close()
        return *spent, session


def connections(count: int) -> str:
    """Say how many TCP connections so many jobs of 3 s take; the service, in this process, counts them."""
    app = create_app(SimulatorConfig(seconds=3.0, sigma=0.4, queries_per_s=0.0, fixed_picture=small_picture()))
    with serve_in_thread(app) as base_url:
        run(base_url, count)
    opened, requests = app.state.simulator.connections, app.state.simulator.requests.total()
    return f"{count} jobs: {opened} TCP connections for {requests} requests, {opened / requests:.2%} (aim at most 1 %)"


def small_picture() -> bytes:
    """Return a picture that costs nothing to make."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def compare(count: int) -> tuple[float, float, float, float, float]:
    """Return the ratio of CPU, then CPU (ms a job) and wall (s) of the engine, and of the bare loop in turn with it."""
    with service() as base_url:
        bare.measure(base_url, 20)
        bare_cpu, bare_wall = bare.measure(base_url, count)
        cpu, wall, _ = run(base_url, count)
    return cpu / bare_cpu, cpu / count * 1000, wall, bare_cpu / count * 1000, bare_wall


def main() -> None:
    """Print CPU for 500 and 1000 jobs, the middle one of some rounds, and connections for 200."""
    for count in sizes("JOBS", 500, 1000):
        rounds = sorted(compare(count) for _ in range(size("ROUNDS", 3)))
        ratio, per_job, wall, bare_per_job, bare_wall = rounds[len(rounds) // 2]
        print(
            f"{count} zero-second jobs: {per_job:.2f} ms CPU a job, bare loop {bare_per_job:.2f} ms, "
            f"ratio {ratio:.2f} ({rounds[0][0]:.2f} to {rounds[-1][0]:.2f} in {len(rounds)} rounds; aim 1.5); "
            f"wall {wall:.1f} s (bare {bare_wall:.1f} s)"
        )
    print(connections(size("CONNECTION_JOBS", 200)))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
