"""A simulator in a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SERVE = """
import io, sys, random
from PIL import Image
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.server import serve_in_thread

seconds, sigma, queries, size = float(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
picture = io.BytesIO()
noise = random.Random(1).randbytes(max(16, size * 1024 // 3 // 16) * 16 * 3)
side = max(16, int((len(noise) // 3) ** 0.5))
Image.frombytes("RGB", (side, side), noise[: side * side * 3]).save(picture, "PNG", compress_level=1)
config = SimulatorConfig(seconds=seconds, sigma=sigma, durations_seed=7, queries_per_s=queries,
                         fixed_picture=picture.getvalue())
with serve_in_thread(create_app(config)) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def service(
    *, seconds: float = 0.0, sigma: float = 0.0, queries_per_s: float = 0.0, picture_kb: int = 10
) -> Iterator[str]:
    """Run a simulator whose every result is one noisy picture of about ``picture_kb``; yields its base URL."""
    arguments = [str(seconds), str(sigma), str(queries_per_s), str(picture_kb)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", _SERVE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate("")
