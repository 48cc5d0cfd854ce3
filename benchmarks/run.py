r"""All benchmarks, one after another: ``make bench``. Figures are ratios within one run wherever that is possible.

Each benchmark is a module of this folder with ``main()``; it prints a small table and returns nothing. One that fails
is reported, and the others still run. ``BENCH_…`` variables make it small, to see that everything still runs::

    BENCH_ROUNDS=1 BENCH_KERNELS=1 BENCH_JOBS=20 BENCH_CONNECTION_JOBS=5 BENCH_PICTURES=6 BENCH_MEMORY_PICTURES=1 \
    BENCH_REALTIME_JOBS=2 BENCH_POLLING_SEEDS=1 BENCH_HISTORY_ROWS=1000 BENCH_LEDGER_JOBS=5 BENCH_BUNDLE_PICTURES=2 \
    BENCH_PANEL_PICTURES=3 make bench
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback

from benchmarks.sizes import sizes

NAMES = (
    "loading", "cell", "replay", "engine", "downloads", "realtime", "polling", "faults", "history", "ledger", "bundles",
    "panel",
)  # fmt: skip
SIZED_BY = {
    "loading": "KERNELS", "polling": "POLLING_SEEDS", "history": "HISTORY_ROWS", "ledger": "LEDGER_JOBS",
    "bundles": "BUNDLE_PICTURES", "panel": "PANEL_PICTURES",
}  # fmt: skip
"""What ``main`` of these takes, if the variable is set; the others read their own."""


def main() -> int:
    """Run the named benchmarks, or all; return how many failed."""
    failed = []
    for name in sys.argv[1:] or NAMES:
        start = time.perf_counter()
        print(f"\n== {name} " + "=" * (60 - len(name)), flush=True)
        arguments = sizes(SIZED_BY[name])[:1] if name in SIZED_BY else []
        try:
            importlib.import_module(f"benchmarks.{name}").main(*arguments)
        except Exception:  # noqa: BLE001 - the others are worth their figures all the same
            traceback.print_exc()
            failed.append(name)
        print(f"   ({time.perf_counter() - start:.1f} s)", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
