"""Which front end shows the outputs of this kernel, what it has run, and how a job shows itself in it."""

import os
import sys
from typing import Any

from ..display import HEADLESS_TIMEOUT_S, Bundle, FrontEnd, job_bundle, picture_bundle, show_job
from ..jobs import Job, Picture, set_display
from ..kernel import current_shell, is_watched
from ..session import Session, default_session
from .render_cell import cell_of_job


def front_end(shell: Any) -> "FrontEnd":
    """Return the front end of a shell, which decides who waits: the cell or the person."""
    if getattr(shell, "kernel", None) is None:
        return FrontEnd.TERMINAL
    if not is_watched(shell):  # nbclient, nbconvert, papermill, nbval, Voilà
        return FrontEnd.HEADLESS
    if "google.colab" in sys.modules or "VSCODE_PID" in os.environ or "__vsc_ipynb_file__" in shell.user_ns:
        return FrontEnd.UNTESTED
    return FrontEnd.LIVE


def cells_run(shell: Any) -> frozenset[str]:
    """Return the texts of the cells that this kernel has run, as they were typed."""
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", ())
    return frozenset(text.strip() for text in history if isinstance(text, str) and text.strip())


def show_jobs_in_cells() -> None:
    """Let a job or a picture that is a cell's last line show itself as the cell's own output."""
    set_display(_show, _bundle, cell_of_job)


def _show(job: Job) -> bool:
    """Display a job unless this very cell has shown it; False for a job of another folder."""
    if (session := _session_of(job)) is None:
        return False
    execution = session.cell().execution
    if job.shown_in != execution:
        job.shown_in = execution
        show_job(job, session, front_end(current_shell()), raises=False)
    elif front_end(current_shell()) is FrontEnd.TERMINAL:
        print(repr(job))  # noqa: T201 - the prompt `Out[3]:` is there already
    return True


def _bundle(shown: Job | Picture) -> "Bundle | None":
    """Return the static output of a job or a picture; None for one of another folder."""
    if (session := _session_of(shown.job if isinstance(shown, Picture) else shown)) is None:
        return None
    if isinstance(shown, Job) and current_shell() is None:  # marimo takes one output, once
        shown.wait(HEADLESS_TIMEOUT_S)
    return picture_bundle(shown, session) if isinstance(shown, Picture) else job_bundle(shown, session)


def _session_of(job: Job) -> Session | None:
    """Return this process's session, if the job belongs to its folder."""
    session = default_session()
    project = session.known_project()
    return session if project is not None and project.worker is job.worker else None
