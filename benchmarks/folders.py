"""Folders to measure in. They are deleted when all is over, never between two measurements.

Some file systems do not give out at once what was just freed (ext4 without a journal passes over the inodes of the last
minutes, one by one): cleaning up after one measurement would make the files of the next one dearer.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def folder() -> Iterator[str]:
    """Yield the path of an empty folder."""
    yield tempfile.mkdtemp(dir=_base())


@cache
def _base() -> str:
    base = tempfile.mkdtemp(prefix="wan-benchmarks-")
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return base
