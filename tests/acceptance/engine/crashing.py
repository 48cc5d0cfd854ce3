"""A kernel that kills itself at its k-th step, and one that comes after it. Run as a program, it forks both.

``python -m tests.engine.crashing URL FOLDER JOURNAL`` imports everything once, counts the steps of an undisturbed run,
then lets one fork die at each step and another one resume; it prints a line of JSON for each step.
"""

from __future__ import annotations

import inspect
import json
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from wan_notebook.api import generate
from wan_notebook.client.network import Network
from wan_notebook.client.sinks import FileSink
from wan_notebook.folders import config_dir
from wan_notebook.keys import KeyStore
from wan_notebook.ledger import connect
from wan_notebook.ledger.writer import Writer
from wan_notebook.recipe import changed_in
from wan_notebook.runtime import Runtime
from wan_notebook.schedule import PollSetting
from wan_notebook.session import Session
from wan_notebook.settings import Sources
from wan_notebook.store import Files

AT_ONCE = 4
WAIT_S = 40.0
OF_THE_LEDGER = ("Writer._transact", "Network.exchange", "Files.publish")
QUICK = PollSetting(waste_s=0.005, min_interval_s=0.02, max_interval_s=0.2, first_look_s=0.02)


class Steps:
    """Counts what happens between two states on disk; the process dies at step ``last``."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.names: list[str] = []
        self._lock = threading.Lock()

    def step(self, name: str) -> None:
        """Note a step, and die if it is the one."""
        with self._lock:
            self.names.append(name)
            if len(self.names) == self.last:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str, *, after: bool = True) -> None:
        """Count a step before each call of a method, and one after it where the next step is not the same moment."""
        original = getattr(owner, name)
        label = f"{owner.__name__}.{name}"

        def call(*args: Any, **options: Any) -> Any:
            self.step(f"before {label}")
            result = original(*args, **options)
            if after:
                self.step(f"after {label}")
            return result

        async def wait(*args: Any, **options: Any) -> Any:
            self.step(f"before {label}")
            result = await original(*args, **options)
            self.step(f"after {label}")
            return result

        setattr(owner, name, wait if inspect.iscoroutinefunction(original) else call)

    def patch(self) -> None:
        """Count every commit, every request, every file operation."""
        self.around(Writer, "_transact")
        self.around(Network, "exchange")
        self.around(FileSink, "write")
        self.around(Files, "publish")
        for name in ("write_new", "sync", "sync_folder"):
            self.around(Files, name, after=False)


def kernel(url: str, folder: Path) -> Session:
    """Start a kernel over HTTP."""
    env = {
        "WAN_HOME": str(folder / "wan-pictures"),
        "WAN_PROVIDER": "gateway",
        "WAN_API_KEY": "key-one",
        "WAN_BASE_URL": url,
        "WAN_QUERIES_PER_S": "0",
    }
    sources = Sources(env=env, cwd=folder, config_path=config_dir() / "config.json", keys=KeyStore(use_keyring=False))
    parts = {"setting": lambda: QUICK, "rng": random.Random(1)}  # noqa: S311 - pauses, no secrets
    return Session(sources, runtime=Runtime(), engine_parts=parts)


def order_and_wait(url: str, folder: Path) -> None:
    """Ask for two pictures and wait for them."""
    session = kernel(url, folder)
    photo = Image.new("RGB", (300, 300), "teal")
    generate(folder.name, images=[photo], n=2, seed=5, session=session).result(WAIT_S)
    session.close()


def resume(url: str, folder: Path) -> dict[str, Any]:
    """Take up what is there, and say what became of it."""
    session = kernel(url, folder)
    if session.home(create=False) is None:
        return {"states": [], "files": []}
    before = [str(row.state) for row in session.need_home().ledger.open_jobs()]
    for live in session.resume():
        live.settled().result(WAIT_S)
    home = session.need_home()
    rows = home.ledger.history().rows
    rows = [home.ledger.get(row.id) for row in rows]
    found = {
        "before": before,
        "states": [str(row.state) for row in rows],
        "saved": [picture.file for row in rows for picture in row.pictures if picture.saved_at],
        "whole": all(not changed_in(home.store.read(p.file), p) for row in rows for p in row.pictures if p.saved_at),
        "files": sorted(str(path.relative_to(home.store.folder)) for path in home.store.folder.glob("2*/*.png")),
        "journal": (home.store.folder / "ledger.db-wal").exists(),
    }
    session.close()
    return found


def forked(work: Callable[[], Any], result: Path) -> int:
    """Run something in a fork and write what it returns; return the fork's process id."""
    child = os.fork()
    if child:
        return child
    try:
        result.write_text(json.dumps(work()))
    except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
        result.write_text(json.dumps({"error": traceback.format_exc()}))
        os._exit(1)
    os._exit(0)


def counted(url: str, folder: Path, last: int) -> list[str]:
    """Order with every step counted; die at ``last``."""
    steps = Steps(last)
    steps.patch()
    order_and_wait(url, folder)
    return steps.names


def waves(steps: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the steps in portions that run side by side."""
    for first in range(0, len(steps), AT_ONCE):
        yield steps[first : first + AT_ONCE]


def main(url: str, root: Path, journal: str) -> None:
    """Let a kernel die at each of its steps, and another one come after it."""
    if journal == "rollback":
        connect.on_network_filesystem = lambda *_: True
    undisturbed = root / f"{journal}-0"
    undisturbed.mkdir()
    os.waitpid(forked(lambda: counted(url, undisturbed, 0), root / "names"), 0)
    names = json.loads((root / "names").read_text())
    print(json.dumps(names), flush=True)
    # With the other journal only what concerns the ledger is worth its time.
    wanted = [step for step, name in enumerate(names, 1) if journal == "wal" or name.split()[1] in OF_THE_LEDGER]
    for wave in waves(wanted):
        folders = {step: root / f"{journal}-{step}" for step in wave}
        for folder in folders.values():
            folder.mkdir()
        dying = [
            forked(lambda s=step, f=folder: counted(url, f, s), root / f"died-{step}")
            for step, folder in folders.items()
        ]
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in dying]
        coming = [forked(lambda f=f: resume(url, f), root / f"came-{step}") for step, f in folders.items()]
        for child, (step, folder), end in zip(coming, folders.items(), ends, strict=True):
            os.waitpid(child, 0)
            found = json.loads((root / f"came-{step}").read_text())
            line = {"step": step, "name": names[step - 1], "prompt": folder.name, "end": end, **found}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
