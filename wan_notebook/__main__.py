"""The command line: ``python -m wan_notebook demo``, ``fetch``, ``resolve``, ``verify``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import WanError


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except WanError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "demo":
        from .demo import run_demo

        return run_demo(arguments.output)
    if arguments.command == "verify":
        from .commands.on_research import run_verify

        return run_verify(arguments.notebook)
    from .fetching import run_fetch, run_resolve

    if arguments.command == "resolve":
        choice, task, folder = arguments.choice or "", arguments.task or "", arguments.folder
        return run_resolve(arguments.job, choice, task, folder, timeout_s=arguments.timeout)
    return run_fetch(arguments.named or arguments.folder, timeout_s=arguments.timeout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wan_notebook", description="Wan 2.6 Image in notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run the quickstart notebook on the built-in simulator")
    demo.add_argument("--output", type=Path, default=Path("wan-demo"), help="folder to write to (wan-demo)")
    pictures = "a folder of pictures (default: the nearest one)"
    fetch = commands.add_parser("fetch", help="collect the pictures of open jobs, without a notebook")
    everywhere = "a folder of pictures, or its project (default: the nearest one, else all of yours)"
    fetch.add_argument("named", metavar="folder", nargs="?", type=Path, help=everywhere)
    fetch.add_argument("--timeout", type=float, default=900.0, help="seconds to wait at most (900)")
    fetch.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # as resolve has it
    resolve = commands.add_parser("resolve", help="decide about a job that may or may not have arrived")
    resolve.add_argument("job", help="the job's id, or its beginning; alone, what is known of it")
    resolve.add_argument("choice", nargs="?", choices=("adopt", "again", "abandon"))
    resolve.add_argument("task", nargs="?", help="with adopt: the service's task")
    resolve.add_argument("--folder", type=Path, help=pictures)
    resolve.add_argument("--timeout", type=float, default=900.0, help="seconds to wait at most (900)")
    verify = commands.add_parser("verify", help="check that every picture a notebook shows is present and unchanged")
    verify.add_argument("notebook", type=Path, help="the notebook's file; exit code 0 well, 1 not, 2 unreadable")
    return parser


if __name__ == "__main__":
    sys.exit(main())
