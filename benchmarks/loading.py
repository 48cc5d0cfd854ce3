"""What `%load_ext wan_notebook` costs in a fresh kernel (aim: at most 50 ms)."""

from __future__ import annotations

import statistics

from benchmarks.kernels import kernel

CELL = (
    "import time; start = time.perf_counter()\n"
    "get_ipython().run_line_magic('load_ext', 'wan_notebook')\n"
    "print((time.perf_counter() - start) * 1000)"
)


def main(kernels: int = 5) -> None:
    """Print the median over fresh kernels."""
    found = []
    for _ in range(kernels):
        with kernel() as run:
            found.append(float(run(CELL)))
    print(f"%load_ext in a fresh kernel: median {statistics.median(found):.0f} ms, least {min(found):.0f} ms (aim 50)")
