"""Serve the simulator on a port: `python -m wan_notebook.simulator --port 8000`."""

import argparse
import os
import sqlite3
import sys
import time

from .app import create_app, serve_in_thread
from .service import REPLY_FORMS, SimulatorConfig

VARIABLES = {
    "seconds": "WAN_SIMULATOR_SECONDS",
    "price": "WAN_SIMULATOR_PRICE",
    "queries_per_s": "WAN_QUERIES_PER_S",
    "submits_per_s": "WAN_SUBMITS_PER_S",
    "in_flight": "WAN_IN_FLIGHT",
}


def main() -> int:
    """Serve until interrupted; return the exit status."""
    forms = "\n".join(f"  {name:22}{meaning}" for name, meaning in REPLY_FORMS.items())
    parser = argparse.ArgumentParser(
        prog="python -m wan_notebook.simulator",
        description="Simulate the Wan 2.6 Image services on a port of this machine. The first line printed is the\n"
        "base URL; the gateway is at URL/model/v1/…, DashScope at URL/api/v1/… Nothing is billed, no picture is real.",
        epilog=f"reply forms, several joined by +:\n{forms}\n\nThe limits of an account follow WAN_QUERIES_PER_S, "
        "WAN_SUBMITS_PER_S and WAN_IN_FLIGHT (20, 5 and 5; 0 = none).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on; 0, the default: any free")
    parser.add_argument("--seconds", metavar="S", help="how long a task takes (3, or WAN_SIMULATOR_SECONDS)")
    parser.add_argument("--price", metavar="USD", help="the price of a picture (0.03, or WAN_SIMULATOR_PRICE)")
    parser.add_argument("--state", dest="state_path", metavar="FILE", help="keep tasks in this file")
    parser.add_argument("--reply-form", metavar="NAME", help="how replies are worded (documented)")
    given = vars(parser.parse_args())
    port = given.pop("port")
    if not 0 <= port <= 65535:
        parser.error(f"--port must be between 0 and 65535, got {port}")
    from_environment = {name: os.environ[key] for name, key in VARIABLES.items() if os.environ.get(key, "").strip()}
    try:
        with serve_in_thread(create_app(SimulatorConfig(**from_environment | given)), port=port) as url:
            print(url, flush=True)
            while True:
                time.sleep(3600)
    except (ValueError, ImportError, OSError, sqlite3.Error) as problem:
        hint = '; pip install "wan-notebook[simulator]"' if isinstance(problem, ImportError) else ""
        parser.error(f"cannot serve on port {port}: {problem}{hint}")
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
