"""Showing a job: a live card that turns into the static output in the same place, or waiting and then the output.

Who waits and what is displayed follows the front end. Nothing is printed or first displayed from the background thread.
"""

import shutil
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..database import Status
from ..errors import JobTimeout
from ..jobs import error_of
from .card import Card
from .formatting import terminal_width
from .gallery import Bundle, job_bundle, pages_bundles
from .text import card_text, waiting_line

if TYPE_CHECKING:
    from ..jobs import Job
    from ..session import Session

HEADLESS_TIMEOUT_S = 15 * 60.0


class FrontEnd(StrEnum):
    """How an output may be shown, and whether the cell waits for its job."""

    LIVE = "live"
    """JupyterLab and Notebook: the cell returns at once, a card shows the progress."""
    HEADLESS = "headless"
    """Nobody watches (nbclient, papermill, nbval, Voilà): the cell waits, then shows the static output."""
    UNTESTED = "untested"
    """VS Code and Colab: the cell waits with a line of text, then shows the static output."""
    TERMINAL = "terminal"
    """IPython in a terminal: the cell waits with a line of text."""


def publish(bundle: Bundle) -> None:
    """Display a MIME bundle ``(data, metadata)`` in the cell that runs now; as text where there is no IPython."""
    if "IPython" in sys.modules:
        from IPython.display import publish_display_data

        publish_display_data(*bundle)
    else:
        _write(bundle[0]["text/plain"] + "\n")


def show_job(
    job: "Job",
    session: "Session",
    front_end: FrontEnd,
    *,
    wait: bool | None = None,
    timeout_s: float | None = None,
    raises: bool = True,
) -> None:
    """Display a job in the cell that runs now.

    Parameters
    ----------
    job, session
        The job, and the session that follows it.
    front_end
        Who watches.
    wait
        Whether the cell waits for the job; None: as the front end needs it.
    timeout_s
        The longest wait in seconds; None: 15 minutes where nobody watches, else for ever.
    raises
        Whether a job that ended badly is this cell's error, so that Run All stops there.

    Raises
    ------
    JobTimeout
        If the job goes on after ``timeout_s``.
    JobError
        If it ended without its pictures, and ``raises``.
    """
    waits = front_end is not FrontEnd.LIVE if wait is None else wait
    if front_end is FrontEnd.LIVE and not job.is_done:
        from .live_card import LiveDisplay

        LiveDisplay(job, session).start()
        if waits:
            _wait(job, timeout_s)
    else:
        if waits and front_end is FrontEnd.HEADLESS:
            _wait(job, timeout_s or HEADLESS_TIMEOUT_S)
        elif waits:
            _wait_with_line(job, session, timeout_s)
        publish(bundle_for(job, session, front_end))
    if raises and (waits or job.is_done):
        raise_if_failed(job)


def show_pages(job: "Job", session: "Session") -> None:
    """Display every picture of a job, in as many outputs as they need."""
    for bundle in pages_bundles(job, session):
        publish(bundle)


def bundle_for(job: "Job", session: "Session", front_end: FrontEnd) -> Bundle:
    """Return a job's static output; in a terminal, where nothing is a link, with full paths."""
    data, metadata = job_bundle(job, session)
    if front_end is FrontEnd.TERMINAL:
        data["text/plain"] = card_text(Card(job, session), full_paths=True)
    return data, metadata


def raise_if_failed(job: "Job") -> None:
    """Raise the error of a job that ended without its pictures."""
    for tracked in job.tracked:
        if tracked.is_settled and tracked.status is not Status.SAVED:
            raise error_of(tracked.row)


def _wait(job: "Job", timeout_s: float | None) -> None:
    if not job.wait(timeout_s):
        raise _timed_out(job, timeout_s or 0.0)


def _timed_out(job: "Job", timeout_s: float) -> JobTimeout:
    hint = f"Its pictures will be fetched: `%wan show {job.id}`."
    return JobTimeout(job.still_open(timeout_s), job_id=job.id, hint=hint)


def _wait_with_line(job: "Job", session: "Session", timeout_s: float | None) -> None:
    """Wait with one line that is written over."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    width = 0
    while not job.wait(1.0 if end is None else max(0.0, min(1.0, end - time.monotonic()))):
        if end is not None and time.monotonic() >= end:
            raise _timed_out(job, timeout_s or 0.0)
        line = waiting_line(Card(job, session), shutil.get_terminal_size().columns - 1)
        width = max(width, terminal_width(line))
        _write(f"\r{line}{' ' * (width - terminal_width(line))}")
    if width:
        _write("\r" + " " * width + "\r")


def _write(text: Any) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
