"""Downloads in progress: whose they are, and which of them nobody will ever finish."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOLDER: Final = ".parts"
FORGOTTEN_S: Final = 25 * 3600.0
"""Older than a result's address can live: nobody can finish such a file, wherever its process ran."""

_NAME = re.compile(r"[^/]*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,10})\.(?:part|ready)")


def process_lives(pid: int) -> bool:
    """Say whether a process of this machine lives; on Windows always yes, since asking would end it there."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def clean(
    folder: Path, host: str, *, lives: Callable[[int], bool] = process_lives, now: Callable[[], float] = time.time
) -> list[str]:
    """Delete parts of dead processes of this machine, and forgotten ones of any; return their names."""
    gone = []
    for path in sorted(folder.glob("*")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        try:
            dead = match["host"] == host and not lives(int(match["pid"]))
            if dead or now() - path.stat().st_mtime > FORGOTTEN_S:
                path.unlink()
                gone.append(path.name)
        except OSError:  # another kernel was faster, or the folder is read-only: cleaning can wait
            continue
    return gone
