"""The one background thread and its event loop.

Everything that talks to a service runs here; the kernel's own loop is never used and never patched (DESIGN: decisions).
Nothing here may keep an interpreter from ending: all threads are daemons.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import logging
import queue
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, ref

T = TypeVar("T")
P = ParamSpec("P")
log = logging.getLogger(__name__)

WORKERS = 2  # decoding pictures gains nothing from more (measured on 2 cores)
STOP_TIMEOUT_S = 0.5
UNDO_TIMEOUT_S = 0.2


class DaemonExecutor(ThreadPoolExecutor):
    """A small pool of daemon threads; the stock one is joined at exit and could hold up a kernel's shutdown."""

    def __init__(self, workers: int = WORKERS, name: str = "wan-worker") -> None:
        super().__init__(max_workers=workers)
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._count, self._name = workers, name
        self._started = 0
        self._guard = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; one more thread is started as long as there are fewer than allowed."""
        future: Future[T] = Future()
        self._jobs.put(partial(_run_into, future, partial(fn, *args, **kwargs)))
        with self._guard:
            if self._started < self._count:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002, RUF100 - the base class's signature
        """Let the threads end once they are idle; never waits."""
        for _ in range(self._started):
            self._jobs.put(None)


def _run_into(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        future.set_exception(error)
    else:
        future.set_result(value)


class _Inbox:
    """Brings what other threads answer to one loop, and wakes it once for all that came meanwhile.

    asyncio's own way, ``wrap_future``, wakes it for each: a call to the system, after which the thread that answers
    has to wait for the interpreter's lock again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # it must not live for as long as this entry does
        self._came: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._is_called = False

    def answer(self, future: Future[T]) -> asyncio.Future[T]:
        """Return what to await for a thread's future."""
        waiting: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting.add_done_callback(lambda done: future.cancel() if done.cancelled() else None)
        future.add_done_callback(lambda done: self._arrived(waiting, done))
        return waiting

    def _arrived(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        self._came.append((waiting, done))
        if not self._is_called:
            self._is_called = True
            loop = self._loop()
            with suppress(RuntimeError):  # it is closed: nobody waits there any more
                if loop is not None:
                    loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_called = False  # first: what comes from here on calls again
        while self._came:
            waiting, done = self._came.popleft()
            if waiting.done():
                continue
            if done.cancelled():
                waiting.cancel()
            elif (error := done.exception()) is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result())


_inboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Inbox] = WeakKeyDictionary()


def from_thread(future: Future[T]) -> asyncio.Future[T]:
    """Return what to await, on the running loop, for a future that a thread resolves."""
    loop = asyncio.get_running_loop()
    inbox = _inboxes.get(loop)
    if inbox is None:
        inbox = _inboxes[loop] = _Inbox(loop)
    return inbox.answer(future)


class Runtime:
    """A named daemon thread that runs an asyncio loop; ``start`` and ``stop`` may be called any number of times."""

    def __init__(self, name: str = "wan-notebook") -> None:
        self._name = name
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._callbacks = DaemonExecutor(4, "wan-callback")
        self.on_exit: Callable[[], object] | None = None
        """Called when the interpreter ends, while the loop still runs."""

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> asyncio.AbstractEventLoop:
        """Start the thread if it does not run, and return its loop."""
        with self._guard:
            if self._loop is not None and self.is_running:
                return self._loop
            loop = asyncio.new_event_loop()
            loop.set_default_executor(DaemonExecutor())
            loop.set_exception_handler(_log_unhandled)
            self._thread = threading.Thread(target=_run_loop, args=(loop,), name=self._name, daemon=True)
            # An empty context: ipykernel keeps a cell's parent header in context variables.
            contextvars.Context().run(self._thread.start)
            self._loop = loop
            atexit.register(self._exit)
            return loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop, in an empty context so that no output sticks to the cell that started it."""
        loop = self.start()
        return contextvars.Context().run(asyncio.run_coroutine_threadsafe, work, loop)

    def call(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a function soon, on the loop."""
        contextvars.Context().run(self.start().call_soon_threadsafe, fn, *args)

    def in_worker(self, fn: Callable[..., T], *args: Any) -> Awaitable[T]:
        """Run a blocking function in a worker thread; for use on the loop."""
        return asyncio.get_running_loop().run_in_executor(None, fn, *args)

    def call_back(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a person's function on a thread of its own kind, so that it may wait for jobs."""
        contextvars.Context().run(self._callbacks.submit, _guarded, fn, *args)

    def _exit(self) -> None:
        try:
            if self.on_exit is not None:
                self.on_exit()
        finally:
            self.stop()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the loop and join its thread, at most ``timeout_s``; jobs on the service go on."""
        with self._guard:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            atexit.unregister(self._exit)
        if loop is None or thread is None or not thread.is_alive():
            return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(timeout_s)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        # A connection that is just being made takes a few rounds to undo; cut off, it would complain in some cell.
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=UNDO_TIMEOUT_S))
        loop.close()


def _guarded(fn: Callable[..., object], *args: Any) -> None:
    try:
        fn(*args)
    except Exception:  # a failing listener must not take others down, and has nobody above it
        log.exception("a callback failed")


def _log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # The default handler prints to stderr, which would land in whatever cell runs now.
    log.error("in the background: %s", context.get("message"), exc_info=context.get("exception"))
