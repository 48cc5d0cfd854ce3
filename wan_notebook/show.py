"""Showing a job: a live card that turns into the lasting result in the same output, or waiting and then the result.

Who waits and what is displayed follows the front end (DESIGN: who waits). Nothing is printed or first displayed from
the background thread.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from .errors import JobTimeout
from .host import FrontEnd
from .jobs import Job, LiveJob
from .jobs.outcome import error_of
from .present import Presenter
from .runtime import Runtime
from .states import JobState
from .views.gallery import bundle, pages
from .views.html import cell_width
from .views.terminal import card_text, waiting_line

log = logging.getLogger(__name__)
UPDATE_EVERY_S = 0.1  # at most ten updates a second: above a thousand messages a second Jupyter drops them
REFRESH_EVERY_S = 2.0  # an ETA changes with the time alone
HEADLESS_TIMEOUT_S = 15 * 60.0


def show(
    job: Job,
    presenter: Presenter,
    runtime: Runtime,
    host: FrontEnd,
    *,
    wait: bool | None = None,
    timeout_s: float | None = None,
    raises: bool = True,
) -> None:
    """Display a job in the cell that runs now. With ``raises``, a job that ended badly is this cell's error."""
    waits = host is not FrontEnd.LIVE if wait is None else wait
    if host is FrontEnd.LIVE and not job.is_done:
        LiveDisplay(job, presenter, runtime).start()
        if waits:
            _wait(job, timeout_s)
    else:
        if waits and host is FrontEnd.HEADLESS:
            _wait(job, timeout_s or HEADLESS_TIMEOUT_S)
        elif waits:
            # A terminal, or a front end whose widgets are not proven: text, then the lasting output directly.
            _wait_with_lines(job, presenter, timeout_s)
        display_result(job, presenter, full_paths=host is FrontEnd.TERMINAL)
    if raises and (waits or job.is_done):
        raise_if_failed(job)


def display_result(job: Job, presenter: Presenter, *, full_paths: bool = False) -> None:
    """Display what there is now as lasting HTML, without ``update_display_data``.

    ``full_paths`` is for a terminal, where nothing is a link.
    """
    from IPython.display import publish_display_data

    card = presenter.card(job)
    data, metadata = bundle(card)
    if full_paths:
        data["text/plain"] = card_text(card, full_paths=True)
    publish_display_data(data, metadata)


def display_pages(job: Job, presenter: Presenter) -> None:
    """Display every picture, in as many outputs as they need."""
    from IPython.display import publish_display_data

    for data, metadata in pages(presenter.card(job)):
        publish_display_data(data, metadata)


def raise_if_failed(job: Job) -> None:
    """Raise the error of a job that ended without its pictures, so that Run All stops there."""
    for live in job.lives:
        if live.is_settled and live.state is not JobState.SAVED:
            raise error_of(live.row)


def _wait(job: Job, timeout_s: float | None) -> None:
    if not job.wait(timeout_s):
        raise _timed_out(job, timeout_s or 0.0)


def _timed_out(job: Job, timeout_s: float) -> JobTimeout:
    hint = f"Its pictures will be fetched: `%wan show {job.id}`."
    return JobTimeout(job.still_open(timeout_s), job_id=job.id, hint=hint)


def _wait_with_lines(job: Job, presenter: Presenter, timeout_s: float | None) -> None:
    """Wait in a terminal, with one line that is written over."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    width = 0
    while not job.wait(1.0 if end is None else max(0.0, min(1.0, end - time.monotonic()))):
        if end is not None and time.monotonic() >= end:
            raise _timed_out(job, timeout_s or 0.0)
        line = waiting_line(presenter.card(job, with_pictures=False), shutil.get_terminal_size().columns - 1)
        width = max(width, cell_width(line))
        _write(f"\r{line}{' ' * (width - cell_width(line))}")
    if width:
        _write("\r" + " " * width + "\r")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class LiveDisplay:
    """One card in one cell: traits while it runs, then the lasting HTML in its place."""

    def __init__(self, job: Job, presenter: Presenter, runtime: Runtime) -> None:
        self._job, self._presenter, self._runtime = job, presenter, runtime
        self._stops: list[Callable[[], None]] = []
        self._dirty = asyncio.Event()
        self._handle: Any = None
        self._card: Any = None

    def start(self) -> None:
        """Display the card from the cell's own thread, then follow the job on the background thread."""
        from IPython.display import display

        from .views.card import LiveCard

        card = self._presenter.card(self._job, with_pictures=False)
        self._card = LiveCard(card, on_cancel=self._cancel, wall_clock=self._presenter.wall_clock)
        self._handle = display(self._card, display_id=True)
        self._stops = [live.listen(self._changed) for live in self._job.lives]
        self._runtime.submit(self._follow())

    def _cancel(self, job_ids: Sequence[str]) -> None:
        """Pass the wish on; the answer comes back as a change of the job."""
        wanted = [live for live in self._job.lives if live.id in job_ids]
        self._runtime.call_back(self._job.owner.cancel, wanted)

    def _changed(self, _live: LiveJob) -> None:
        self._dirty.set()

    async def _follow(self) -> None:
        """Bring changes to the card, coalesced; replace it once everything is settled."""
        try:
            while not self._job.is_done:
                await self._next_change()
                if not self._job.is_done:
                    self._card.update(self._presenter.card(self._job, with_pictures=False))
                    await asyncio.sleep(UPDATE_EVERY_S)
            card = await self._runtime.in_worker(self._presenter.card, self._job)
            data, metadata = await self._runtime.in_worker(bundle, card)
            # After a page reload the last update does not arrive: the widget shows the pictures itself.
            await self._runtime.in_worker(self._card.update, card)
            self._handle.update(data, metadata=metadata, raw=True)
        except Exception:  # the thread's boundary: a display that failed must not look like a running job for ever
            log.exception("the card of job %s", self._job.id)
        finally:
            for stop in self._stops:
                stop()

    async def _next_change(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_EVERY_S):
                await self._dirty.wait()
        except TimeoutError:
            return
        self._dirty.clear()


__all__ = ["LiveDisplay", "display_pages", "display_result", "raise_if_failed", "show"]
