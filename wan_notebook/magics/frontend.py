"""Which front end shows the outputs of this kernel, what it has run, and how a job shows itself in it."""

import os
import sys
from typing import Any

from ..batch import Batch, BatchPlan
from ..display import (
    HEADLESS_TIMEOUT_S,
    Bundle,
    FrontEnd,
    batch_bundle,
    compare_bundle,
    job_bundle,
    picture_bundle,
    plan_bundle,
    show,
)
from ..figure import Comparison
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
    """Let a job, a picture or a batch that is a cell's last line show itself as the cell's own output."""
    set_display(_show, _bundle, cell_of_job)


def _show(shown: "Job | Batch") -> bool:
    """Display a job or batch unless this very cell has shown it; False for one of another folder."""
    if (session := _session_of(shown)) is None:
        return False
    execution, where = session.cell().execution, front_end(current_shell())
    if shown.shown_in != execution:
        shown.shown_in = execution
        show(shown, session, where)
    elif where is FrontEnd.TERMINAL:
        print(repr(shown))  # noqa: T201 - the prompt `Out[3]:` is there already
    return True


def _bundle(shown: "Job | Picture | Comparison | Batch | BatchPlan") -> "Bundle | None":
    """Return the static output of what shows itself; None for what is of another folder."""
    if isinstance(shown, Comparison):
        return compare_bundle(shown)
    if isinstance(shown, Batch):
        if current_shell() is None:  # as below
            shown.wait(HEADLESS_TIMEOUT_S)
        return batch_bundle(shown)
    if isinstance(shown, BatchPlan):
        return plan_bundle(shown)
    if (session := _session_of(shown.job if isinstance(shown, Picture) else shown)) is None:
        return None
    if isinstance(shown, Job) and current_shell() is None:  # marimo takes one output, once
        shown.wait(HEADLESS_TIMEOUT_S)
    return picture_bundle(shown, session) if isinstance(shown, Picture) else job_bundle(shown, session)


def _session_of(shown: "Job | Batch") -> Session | None:
    """Return the session of a batch, or this process's, if the job belongs to its folder."""
    if isinstance(shown, Batch):
        return shown.session
    session = default_session()
    project = session.known_project()
    return session if project is not None and project.worker is shown.worker else None
