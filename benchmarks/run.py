"""All benchmarks, one after another: ``make bench``. Figures are ratios within one run wherever that is possible.

Each benchmark is a module of this folder with ``main()``; it prints a small table and returns nothing. One that fails
is reported, and the others still run.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback

NAMES = (
    "loading", "cell", "replay", "engine", "downloads", "realtime", "polling", "faults", "history", "ledger", "bundles",
    "panel",
)  # fmt: skip


def main() -> int:
    """Run the named benchmarks, or all; return how many failed."""
    failed = []
    for name in sys.argv[1:] or NAMES:
        start = time.perf_counter()
        print(f"\n== {name} " + "=" * (60 - len(name)), flush=True)
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except Exception:  # noqa: BLE001 - the others are worth their figures all the same
            traceback.print_exc()
            failed.append(name)
        print(f"   ({time.perf_counter() - start:.1f} s)", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
