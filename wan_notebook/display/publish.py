"""Showing a job: a live card that turns into the static output in the same place, or waiting and then the output.

Who waits and what is displayed follows the front end. Nothing is printed or first displayed from the background thread.
"""

import math
import shutil
import time
from enum import StrEnum

from ..database import SETTLED, Status
from ..errors import JobTimeout
from ..jobs import Job, error_of
from ..session import Session
from .card import Card
from .formatting import join_facts, safe_line
from .gallery import job_bundle
from .table import Bundle

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
    """Display a MIME bundle ``(data, metadata)`` in the cell that runs now."""
    from IPython.display import publish_display_data

    publish_display_data(*bundle)


def show_job(
    job: Job,
    session: Session,
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
    is_live = front_end is FrontEnd.LIVE and not job.is_done
    if is_live:
        from .live_card import LiveCard  # it needs a widget library, which a script does without

        LiveCard(job, session).start()
    if waits:
        limit_s = timeout_s or (HEADLESS_TIMEOUT_S if front_end is FrontEnd.HEADLESS else None)
        has_line = front_end in (FrontEnd.UNTESTED, FrontEnd.TERMINAL)
        if not (_wait_with_line(job, session, limit_s) if has_line else job.wait(limit_s)):
            raise JobTimeout(job.still_open(limit_s or 0.0), job_id=job.id, hint=f"`%wan show {job.id}` fetches it.")
    if not is_live:
        publish(job_bundle(job, session, full_paths=front_end is FrontEnd.TERMINAL))
    ended = [tracked.row for tracked in job.tracked if tracked.status in SETTLED and tracked.status is not Status.SAVED]
    if raises and ended and (waits or job.is_done):
        raise error_of(ended[0])


def _wait_with_line(job: Job, session: Session, timeout_s: float | None) -> bool:
    """Wait with one line that is written over; return whether all is settled."""
    end_s, width = time.monotonic() + (math.inf if timeout_s is None else timeout_s), 0
    while not job.wait(max(0.0, min(1.0, end_s - time.monotonic()))):
        if time.monotonic() >= end_s:
            return False
        card, width = Card(job, session), max(8, shutil.get_terminal_size().columns - 1)
        first = card.entries[0]
        parts = [f"{card.style.icon} {card.summary}", f"{first.elapsed_s:.0f} s", first.eta, first.tracked.note]
        line = safe_line(join_facts([*parts, f"job {first.row.id}"]))
        _write(f"\r{line[:width]:<{width}}")  # a longer line could not be written over
    _write(f"\r{' ' * width}\r" if width else "")
    return True


def _write(text: str) -> None:
    print(text, end="", flush=True)  # noqa: T201 - a terminal's line
