"""Run the simulator on a port: `python -m wan_notebook.simulator --port 8000`."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .app import create_app
from .config import ENVELOPES, SimulatorConfig, parse_price
from .faults import describe_faults

_DESCRIPTION = """Simulate the Wan 2.6 Image services on a port; prints the base URL on the first line.
The gateway answers at URL/model/v1/..., DashScope at URL/api/v1/... Nothing is billed, no picture is real."""

_FAULTS = """faults, as [PHASE.]NAME[:COUNT|:always][@SKIP]
(PHASE: submit, poll, download, list, cancel; COUNT: how often, 1 unless told; SKIP: requests that pass first):
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return the exit status."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    host, port = given.pop("host"), given.pop("port")
    try:
        # Imported here: --help and errors of arguments need no web server.
        from .server import PortServer, base_url, bind

        app = create_app(SimulatorConfig.from_env(**_settings(given)))
    except (ImportError, ValueError) as problem:
        parser.error(str(problem))
    except (OSError, sqlite3.Error) as problem:
        parser.error(f"cannot use the state file {given['state_path']}: {problem}")
    try:
        listener = bind(host, port)
    except (OSError, OverflowError) as problem:
        parser.error(f"cannot listen on {host} port {port}: {problem}; try --port 0 for any free one")
    print(base_url(listener), flush=True)
    try:
        PortServer(app).run([listener])
    except KeyboardInterrupt:
        return 130
    return 0


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    settings = {name: value for name, value in given.items() if value is not None}
    if "price" in settings:
        settings["price"] = parse_price(settings["price"])
    settings["faults"] = tuple(settings.pop("fault", ()))
    settings["keys"] = frozenset(settings.pop("key", ()))
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wan_notebook.simulator",
        usage="%(prog)s [--port N] [--seconds S] [options]",
        description=_DESCRIPTION,
        epilog=_FAULTS + describe_faults(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0, the default, takes any free one")
    add("--seconds", type=float, help="how long a task takes (default 3, or WAN_SIMULATOR_SECONDS)")
    add("--sigma", type=float, help="draw durations from a lognormal law with --seconds as its median")
    add("--seed-durations", type=int, dest="durations_seed", metavar="SEED", help="draw the same ones every time")
    add("--price", help="USD of one picture (default 0.03, or WAN_SIMULATOR_PRICE)")
    add("--state", type=Path, dest="state_path", metavar="FILE", help="keep tasks in this file")
    add("--key", action="append", metavar="KEY", help="accept only this key (repeatable); without, any")
    add("--queries-per-s", type=float, help="limit of queries per account (default 20, 0 = none)")
    add("--envelope", choices=ENVELOPES, help="gateway envelopes to accept (default both)")
    add("--fault", action="append", metavar="NAME[:COUNT]", help="arm a fault of the list below (repeatable)")
    add("--fault-pace", type=float, dest="fault_pace_s", metavar="S", help="pause of a trickling answer")
    add("--retry-after", type=int, dest="retry_after_s", metavar="S", help="what Retry-After headers say")
    return parser


if __name__ == "__main__":
    sys.exit(main())
