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
from typing import TYPE_CHECKING

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


def publish(bundle: Bundle) -> None:
    """Display a MIME bundle ``(data, metadata)`` in the cell that runs now."""
    from IPython.display import publish_display_data

    publish_display_data(*bundle)


def show(
    shown: "Job | Batch",
    session: Session,
    front_end: FrontEnd,
    *,
    wait: bool | None = None,
    timeout_s: float | None = None,
    raises: bool = False,
) -> None:
    """Display a job or a batch in the cell that runs now.

    Parameters
    ----------
    shown, session
        The job or batch, and the session that follows it.
    front_end
        Who watches.
    wait
        Whether the cell waits for it; None: as the front end needs it.
    timeout_s
        The longest wait in seconds; None: 15 minutes where nobody watches (of a batch anew with each row that settles),
        else for ever.
    raises
        Whether what ended badly is this cell's error, so that Run All stops there. Of a batch what is there is shown
        before.

    Raises
    ------
    JobTimeout
        If it goes on after ``timeout_s``.
    JobError
        If it ended without its pictures, and ``raises``.
    """
    waits = front_end is not FrontEnd.LIVE if wait is None else wait
    is_live = front_end is FrontEnd.LIVE and not shown.is_done
    if is_live:
        from .live_card import LiveBatchCard, LiveCard  # they need a widget library, which a script does without

        (LiveCard if isinstance(shown, Job) else LiveBatchCard)(shown, session).start()
    limit_s = timeout_s or (HEADLESS_TIMEOUT_S if front_end is FrontEnd.HEADLESS else math.inf)
    if isinstance(shown, Job):
        if waits and not _wait(shown, limit_s, front_end, partial(_job_line, shown, session)):
            raise JobTimeout(shown.still_open(limit_s), job_id=shown.id, hint=f"`%wan show {shown.id}` fetches it.")
        if not is_live:
            publish(job_bundle(shown, session, full_paths=front_end is FrontEnd.TERMINAL))
        ended = [tracked.row for tracked in shown.tracked if tracked.status in SETTLED - {Status.SAVED}]
        if raises and ended and (waits or shown.is_done):
            raise error_of(ended[0])
        return
    with suppress(JobError):  # it does not go on: what is there is shown first
        if waits:
            _wait(shown, limit_s, front_end, partial(batch_text, shown), lambda: None if timeout_s else shown.status)
    if not is_live:
        publish(batch_bundle(shown))
    if raises and (waits or shown.is_done):
        shown.result(0.0)


def _wait(
    shown: "Job | Batch",
    patience_s: float,
    front_end: FrontEnd,
    line: Callable[[], str],
    moved: Callable[[], object] = lambda: None,
) -> bool:
    """Wait, where it is read with one line that is written over each second; return whether all is over.

    ``patience_s`` runs anew whenever what ``moved`` returns has changed.
    """
    width, end_s, before, is_over = 0, math.inf, object(), shown.wait(0.0)
    while not is_over:
        if before != (before := moved()):
            end_s = time.monotonic() + patience_s
        if (most_s := end_s - time.monotonic()) <= 0:
            break
        is_over = shown.wait(min(1.0, most_s))
        if front_end in (FrontEnd.UNTESTED, FrontEnd.TERMINAL) and not is_over:
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
