"""The command line: ``python -m wan_notebook demo``, ``fetch``, ``verify``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import WanError


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m wan_notebook", description="Wan 2.6 Image in notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run the quickstart notebook on the built-in simulator")
    demo.add_argument("--output", type=Path, default=Path("wan-demo"), help="folder to write to (wan-demo)")
    fetch = commands.add_parser("fetch", help="collect the pictures of open jobs, without a notebook")
    fetch.add_argument("folder", nargs="?", type=Path, help="a folder of pictures (default: the nearest one)")
    fetch.add_argument("--timeout", type=float, default=900.0, help="seconds to wait at most (900)")
    verify = commands.add_parser("verify", help="check that every picture a notebook shows is present and unchanged")
    verify.add_argument("notebook", type=Path, help="the notebook's file; exit code 0 well, 1 not, 2 unreadable")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "demo":
            from .demo import run_demo

            return run_demo(arguments.output)
        if arguments.command == "verify":
            from .commands.on_research import run_verify

            return run_verify(arguments.notebook)
        from .fetching import run_fetch

        return run_fetch(arguments.folder, timeout_s=arguments.timeout)
    except WanError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
