"""A kernel that kills itself at its k-th step, and one that comes after it. Run as a program, it forks both.

``python -m tests.acceptance.engine.crashing URL FOLDER JOURNAL STRIDE`` imports everything once, counts the steps of
an undisturbed run, then lets one fork die at each STRIDE-th step and another one resume; it prints a line of JSON for
each. Steps lie around every commit, every request, every piece of a download and every file operation that matters.
"""

import builtins
import hashlib
import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from PIL import Image

from tests.kit import Rig, ask, database_of, history_of
from wan_notebook.metadata import strip
from wan_notebook.session import Session

AT_ONCE = 4
WAIT_S = 40.0
OF_THE_LEDGER = ("commit", "request", "link", "rename", "replace")


class Steps:
    """Counts what happens between two states on disk; the process dies at step `last`."""

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

    def watch_files(self, folder: Path) -> None:
        """Count what makes a file durable or gives it its name."""
        for name in ("link", "rename", "replace"):
            setattr(os, name, self._around(getattr(os, name), name))
        opened = builtins.open

        def open_file(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if set(mode) & set("wxa+") and not isinstance(file, int) and os.fspath(file).startswith(str(folder)):
                self.step("before open")
            return opened(file, mode, *args, **options)

        builtins.open = io.open = open_file

    def watch_commits(self) -> None:
        """Count every commit, before it and once the connection is back."""
        sa.event.listen(sa.Engine, "commit", lambda _connection: self.step("before commit"))
        sa.event.listen(sa.Pool, "checkin", lambda *_: self.step("after commit"))

    def _around(self, original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.step(f"before {name}")
            result = original(*args, **options)
            self.step(f"after {name}")
            return result

        return call


class SteppingTransport(httpx.AsyncBaseTransport):
    """Counts a step before each request, after its head, and after each piece of its body."""

    def __init__(self, inner: httpx.AsyncBaseTransport, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand over, step by step."""
        self._steps.step("before request")
        response = await self._inner.handle_async_request(request)
        self._steps.step("after request")
        response.stream = _SteppingStream(response.stream, self._steps)
        return response


class _SteppingStream(httpx.AsyncByteStream):
    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            yield piece
            self._steps.step("after piece")

    async def aclose(self) -> None:
        await self._inner.aclose()


def kernel(url: str, folder: Path, steps: Steps | None = None) -> Session:
    """Start a kernel over HTTP; its service's tasks are over at once."""
    rig = Rig(folder, url=url, speed=20.0)
    if steps is not None:
        rig.around = lambda inner: SteppingTransport(inner, steps)
    return rig.kernel()


def ask_and_wait(url: str, folder: Path, steps: Steps) -> None:
    """Ask for two pictures and wait for them."""
    session = kernel(url, folder, steps)
    photo = Image.new("RGB", (300, 300), "teal")
    ask(session, folder.name, images=[photo], n=2, seed=5).result(WAIT_S)
    session.close()


def resume(url: str, folder: Path) -> dict[str, Any]:
    """Take up what is there, and say what became of it."""
    session = kernel(url, folder)
    project = session.known_project()
    if project is None:
        return {"states": [], "files": []}
    before = [str(row.status) for row in database_of(session).open_jobs()]
    for tracked in session.resume():
        if tracked.status != "intent":
            tracked.settled().result(WAIT_S)
    rows = history_of(session)
    kept = project.storage.folder
    pictures = [picture for row in rows for picture in row.pictures if picture.saved_at]
    found = {
        "before": before,
        "states": [str(row.status) for row in rows],
        "saved": [picture.file for picture in pictures],
        "whole": all(hashlib.sha256(strip(project.storage.read(p.file))).hexdigest() == p.sha256 for p in pictures),
        "files": sorted(str(path.relative_to(kept)) for path in kept.glob("2*/*.png")),
        "journal": (kept / "ledger.db-wal").exists(),
    }
    session.close()
    return found


def on_a_network_drive(root: Path) -> None:
    """Let every folder of this process lie on NFS, as far as the table of mounts says."""
    read = Path.read_text

    def read_text(path: Path, *args: Any, **options: Any) -> str:
        return f"server:/ {root} nfs4 rw 0 0\n" if str(path) == "/proc/mounts" else read(path, *args, **options)

    Path.read_text = read_text  # type: ignore[method-assign]


def counted(url: str, folder: Path, last: int) -> list[str]:
    """Ask with every step counted; die at `last`."""
    folder.mkdir()
    steps = Steps(last)
    steps.watch_commits()
    steps.watch_files(folder)
    ask_and_wait(url, folder, steps)
    return steps.names


def killed_and_resumed(url: str, folder: Path, step: int, name: str) -> None:
    """Let a kernel die at a step, take up what it left, and print what was found."""
    (end,) = ended([forked(lambda: counted(url, folder, step))])
    line = {"step": step, "name": name, "prompt": folder.name, "end": end, **resume(url, folder)}
    os.write(1, f"{json.dumps(line)}\n".encode())  # at once, whoever else writes


def forked(work: Callable[[], Any]) -> int:
    """Run something in a fork; return the fork's process id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(children: list[int]) -> list[int]:
    """Wait for forks; return how they ended."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(url: str, root: Path, journal: str, stride: int) -> None:
    """Let a kernel die at each stride-th of its steps, and another one come after it."""
    if journal == "rollback":
        on_a_network_drive(root)
    ended([forked(lambda: (root / "names").write_text(json.dumps(counted(url, root / f"{journal}-0", 0))))])
    names = json.loads((root / "names").read_text())
    print(json.dumps(names), flush=True)
    # With the other journal only what concerns the ledger is worth its time.
    steps = [step for step, name in enumerate(names, 1) if journal == "wal" or name.split()[1] in OF_THE_LEDGER]
    steps = steps[::stride]
    for first in range(0, len(steps), AT_ONCE):
        wave = steps[first : first + AT_ONCE]
        works = [partial(killed_and_resumed, url, root / f"{journal}-{step}", step, names[step - 1]) for step in wave]
        assert not any(ended([forked(work) for work in works]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
