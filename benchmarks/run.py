"""All benchmarks, one after another: ``make bench``. Figures are ratios within one run wherever that is possible.

Each benchmark is a module of this folder with ``main()``; it prints a small table and returns nothing.
"""

from __future__ import annotations

import importlib
import sys
import time

NAMES = ("loading", "cell", "engine", "downloads", "polling", "history")


def main() -> int:
    """Run the named benchmarks, or all."""
    for name in sys.argv[1:] or NAMES:
        start = time.perf_counter()
        print(f"\n== {name} " + "=" * (60 - len(name)))
        importlib.import_module(f"benchmarks.{name}").main()
        print(f"   ({time.perf_counter() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
