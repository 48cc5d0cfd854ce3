"""Showing a job or a batch: a live card that gives its place to the static output, or waiting and then that output.

Who waits and what is displayed follows the front end. Nothing is printed or first displayed from the background thread.
"""

import math
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from ..database import SETTLED, Status
from ..errors import JobError, JobTimeout
from ..jobs import Job, error_of
from ..session import Session
from .batch_card import batch_bundle, batch_text
from .card import Card
from .formatting import join_facts, safe_line
from .gallery import job_bundle
from .table import Bundle

if TYPE_CHECKING:
    from ..batch import Batch

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


_WITH_LINE: Final = (FrontEnd.UNTESTED, FrontEnd.TERMINAL)


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
        limit_s = timeout_s or (HEADLESS_TIMEOUT_S if front_end is FrontEnd.HEADLESS else math.inf)
        line = partial(_job_line, job, session) if front_end in _WITH_LINE else None
        if not _wait_with_line(job, limit_s, line):
            raise JobTimeout(job.still_open(limit_s), job_id=job.id, hint=f"`%wan show {job.id}` fetches it.")
    if not is_live:
        publish(job_bundle(job, session, full_paths=front_end is FrontEnd.TERMINAL))
    ended = [tracked.row for tracked in job.tracked if tracked.status in SETTLED and tracked.status is not Status.SAVED]
    if raises and ended and (waits or job.is_done):
        raise error_of(ended[0])


def show_batch(
    batch: "Batch",
    session: Session,
    front_end: FrontEnd,
    *,
    wait: bool | None = None,
    timeout_s: float | None = None,
    raises: bool = True,
) -> None:
    """Display a batch in the cell that runs now, as ``show_job`` does.

    Where nobody watches, 15 minutes of patience run anew with each row that settles. Then what is there is shown, and
    the error of ``batch.result`` is this cell's error if ``raises``.
    """
    waits = front_end is not FrontEnd.LIVE if wait is None else wait
    is_live = front_end is FrontEnd.LIVE and not batch.is_done
    if is_live:
        from .live_card import LiveBatchCard  # it needs a widget library, which a script does without

        LiveBatchCard(batch, session).start()
    limit_s = timeout_s or (HEADLESS_TIMEOUT_S if front_end is FrontEnd.HEADLESS else math.inf)
    with suppress(JobError):  # it does not go on: what is there is shown first
        if waits:
            line = partial(batch_text, batch) if front_end in _WITH_LINE else None
            _wait_with_line(batch, limit_s, line, lambda: None if timeout_s else batch.status)
    if not is_live:
        publish(batch_bundle(batch))
    if raises and (waits or batch.is_done):
        batch.result(0.0)


def _wait_with_line(
    job: "Job | Batch", patience_s: float, line: Callable[[], str] | None, moved: Callable[[], object] = lambda: None
) -> bool:
    """Wait, if need be with one line that is written over; return whether all is over.

    Parameters
    ----------
    job
        What is waited for.
    patience_s
        The longest wait; it runs anew whenever what ``moved`` returns has changed.
    line
        Returns what to write, once a second; None: nothing.
    moved
        See ``patience_s``.
    """
    width, end_s, before, is_over = 0, math.inf, object(), job.wait(0.0)
    while not is_over:
        if before != (before := moved()):
            end_s = time.monotonic() + patience_s
        if (most_s := end_s - time.monotonic()) <= 0:
            break
        is_over = job.wait(min(1.0, most_s))
        if line and not is_over:
            width = max(8, shutil.get_terminal_size().columns - 1)
            _write(f"\r{safe_line(line())[:width]:<{width}}")  # a longer line could not be written over
    _write(f"\r{' ' * width}\r" if width else "")
    return is_over


def _job_line(job: Job, session: Session) -> str:
    card = Card(job, session)
    first = card.entries[0]
    parts = [f"{card.style.icon} {card.summary}", f"{first.elapsed_s:.0f} s", first.eta, first.tracked.note]
    return join_facts([*parts, f"job {first.row.id}"])


def _write(text: str) -> None:
    print(text, end="", flush=True)  # noqa: T201 - a terminal's line
