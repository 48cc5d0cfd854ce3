"""The background thread with its event loop, where everything that talks to a service runs.

The kernel's own loop is never used and never patched. All threads are daemons, so that none keeps a program from
ending, and all run in empty contexts: ipykernel keeps a cell's parent header in context variables.
"""

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


class Background:
    """A named daemon thread that runs an event loop; it starts with the first call and may be started again."""

    def __init__(self, name: str = "wan-notebook") -> None:
        self.on_exit: Callable[[], object] | None = None
        """Called when the interpreter ends, while the loop still runs."""
        self._name, self._guard, self._pid = name, threading.Lock(), 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the loop runs in this process; a forked child has none of its parent's threads."""
        return self._loop is not None and self._pid == os.getpid()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop."""
        return Context().run(asyncio.run_coroutine_threadsafe, work, self._start())

    def call(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a function soon, on the loop."""
        Context().run(self._start().call_soon_threadsafe, fn, *args)

    async def in_thread(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking function in a thread of its own; for use on the loop.

        Not in a ThreadPoolExecutor: that takes no more calls once the interpreter begins to end, when a task's id may
        still have to reach the disk.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # the coroutine that waits may be cancelled, the call is not

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - handed to the coroutine that waits
                future.set_exception(error)

        async with self._calls:
            self._new_thread(run)
            return await asyncio.wrap_future(future)

    def call_back(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a person's function in a thread of its own, where it may wait for other jobs."""
        self._new_thread(_guarded, fn, *args)

    def stop(self, timeout_s: float = 0.5) -> None:
        """Stop the loop, waiting at most ``timeout_s`` for its end; tasks at the service go on."""
        with self._guard:
            loop, self._loop = self._loop, None
            atexit.unregister(self._exit)
        if loop and self._thread and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
            if self._thread is not threading.current_thread():
                self._thread.join(timeout_s)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._calls = asyncio.Semaphore(3)  # of calls to the database and the disk; more would only wait
                self._loop.set_exception_handler(_log_unhandled)
                self._thread = self._new_thread(_run_loop, self._loop)
                atexit.register(self._exit)
            return self._loop

    def _new_thread(self, target: Callable[..., object], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name=self._name, daemon=True)
        Context().run(thread.start)
        return thread

    def _exit(self) -> None:
        if self.is_running:
            _guarded(self.on_exit or (lambda: None))
            self.stop()


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(_end_tasks())
    loop.close()


async def _end_tasks() -> None:
    """Cancel what runs, and what that starts while it ends: a connection that is being made takes several rounds."""
    until_s = time.monotonic() + 0.3
    while (tasks := asyncio.all_tasks() - {asyncio.current_task()}) and time.monotonic() < until_s:
        for task in tasks:
            coroutine = task.get_coro()
            # anyio's tasks wrap a coroutine: cancelled before they begin, they would leave it "never awaited".
            if not isinstance(coroutine, CoroutineType) or getcoroutinestate(coroutine) != CORO_CREATED:
                task.cancel()
        await asyncio.wait(tasks, timeout=0.01)


def _guarded(fn: Callable[..., object], *args: Any) -> None:
    try:
        fn(*args)
    except Exception:  # nobody above could see it
        log.exception("a callback failed")


def _log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # The default handler prints to stderr, which would land in whatever cell runs at that moment.
    log.error("in the background: %s", context.get("message"), exc_info=context.get("exception"))
