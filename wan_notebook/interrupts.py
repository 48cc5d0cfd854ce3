"""Ctrl-C (Kernel → Interrupt) held back where it would strike between two steps of which both or neither must happen.

It would also leave locks behind that others wait for: SQLAlchemy's pool and ``Future`` hold Python-level ones.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
LOOK_EVERY_S = 0.1
PATIENCE = 3
"""So many times one must ask before it strikes anywhere: a way out of whatever hangs."""

_asked: list[int] = []
"""One entry while interrupts are held back in the main thread: how often somebody asked."""


@contextmanager
def held() -> Iterator[None]:
    """Hold back an interrupt until the block ends, or until it looks (``check``). Only the main thread gets any."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or _asked or not callable(before):
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        _asked[0] += 1
        if _asked[0] >= PATIENCE:
            before(number, frame)

    _asked.append(0)
    try:
        signal.signal(signal.SIGINT, note)
        yield
        check()
    finally:
        with suppress(ValueError):  # no signals in this interpreter
            signal.signal(signal.SIGINT, before)
        _asked.clear()


def check() -> None:
    """Raise ``KeyboardInterrupt`` if somebody asked meanwhile, in the thread that is interrupted."""
    if _asked and _asked[0] and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def wait(future: Future[T]) -> T:
    """Wait for a future's result; an interrupt that is held back ends the waiting."""
    while True:
        check()
        try:
            value = future.result(timeout=LOOK_EVERY_S if _asked else None)
        except TimeoutError:
            if future.done():
                raise
            continue
        check()
        return value
