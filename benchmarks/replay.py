"""A cell of four pictures that was answered before: from its run to its displayed output (aim: at most 15 ms)."""

from __future__ import annotations

import statistics

from benchmarks.kernels import kernel

SETUP = """
%load_ext wan_notebook
import time
from IPython.core.interactiveshell import InteractiveShell
def timed():
    start = time.perf_counter()
    get_ipython().run_cell_magic("wan", "-n 4 --seed 5 --as job", "a fox in snow")
    return (time.perf_counter() - start) * 1000
"""


def main(rounds: int = 9) -> None:
    """Print the first run of a new kernel, its first replay, and the median of the later ones."""
    with kernel(WAN_SIMULATOR_SECONDS="0.1") as run:
        run(SETUP)
        run("timed(); job.wait()")
        first, *later = [float(run("print(timed())")) for _ in range(rounds)]
        run("assert job.status == 'saved' and len(job.files) == 4")
    print(
        f"replay of a cell with 4 pictures: first {first:.0f} ms, then median {statistics.median(later):.1f} ms, "
        f"least {min(later):.1f} ms (aim 15)"
    )


if __name__ == "__main__":
    main()
