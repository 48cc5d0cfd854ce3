"""Where things live: the folder of pictures near a notebook, and the person's own folders.

The folder is visible (``wan-pictures/``), since Jupyter's file browser and links do not serve dot-folders.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from . import interrupts

FOLDER_NAME = "wan-pictures"
LEDGER_NAME = "ledger.db"
INDEX_NAME = "folders.json"
LOCK_WAIT_S = 10.0
_LOOK_EVERY_S = 0.005


def config_dir() -> Path:
    """Return the person's folder of settings."""
    return Path(platformdirs.user_config_dir("wan_notebook", appauthor=False))


def data_dir() -> Path:
    """Return the person's folder of data: the index of picture folders, the simulator's tasks."""
    return Path(platformdirs.user_data_dir("wan_notebook", appauthor=False))


def store_folder(start: Path, env: Mapping[str, str]) -> Path:
    """Return the folder of pictures: ``WAN_HOME``, else the nearest one upward, else beside the notebook.

    It need not exist yet; nothing is created here.
    """
    if home := env.get("WAN_HOME", "").strip():
        return Path(home).expanduser().absolute()
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / FOLDER_NAME).is_dir():
            return folder / FOLDER_NAME
    return start / FOLDER_NAME


def known_folders(index: Path | None = None) -> list[Path]:
    """Return every folder of pictures that this person has used and that still has a ledger."""
    index = index or data_dir() / INDEX_NAME
    try:
        names = json.loads(index.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    folders = [Path(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return [folder for folder in folders if (folder / LEDGER_NAME).is_file()]


def remember_folder(folder: Path, index: Path | None = None) -> None:
    """Add a folder to the person's index; a folder that cannot be noted is not worth failing for."""
    index = index or data_dir() / INDEX_NAME
    if folder in known_folders(index):
        return
    # Of two kernels that begin at once, neither may forget the other's folder: budgets count over all of them.
    with suppress(OSError), alone(index.with_suffix(".lock")):
        write_private(index, json.dumps([str(f) for f in (*known_folders(index), folder)], indent=1))


@contextmanager
def alone(lock: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold a lock over all threads and processes of this person; it ends with its holder, even a killed one.

    Where no lock can be had (nothing can be written there), goes on without. Raises ``TimeoutError``.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError:
        yield
        return
    try:
        end = time.monotonic() + wait_s
        while not _taken(handle):
            if time.monotonic() >= end:
                message = f"another process holds {lock}"
                raise TimeoutError(message)
            interrupts.check()
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    """Lock an open file if nobody holds it; a filesystem without locks counts as held by us."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError | PermissionError)
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it is never there half-written or readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
