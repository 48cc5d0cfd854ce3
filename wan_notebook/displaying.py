"""A job or a picture that a cell's last line names shows itself, with or without the extension."""

from __future__ import annotations

from typing import Any

from . import host
from .jobs import Job, Picture
from .present import Presenter, bundler
from .session import Session, default_session
from .show import show


def display_job(job: Job, session: Session, shell: Any) -> bool:
    """Display a job in the cell that runs now, unless this very cell has shown it already."""
    if job.shown_in != host.place(shell).execution:
        presenter = Presenter(session, session.need_home(), base=host.notebook_folder())
        show(job, presenter, session.runtime, host.front_end(shell), raises=False)
    return True


def display_anywhere(job: Job) -> bool:
    """Display a job where only ``import wan_notebook`` was said; False outside a shell, and of another folder."""
    session, shell = default_session(), host.shell()
    return shell is not None and _is_of(session, job) and display_job(job, session, shell)


def bundle_anywhere(shown: Job | Picture) -> Any:
    """Return the lasting bundle where only ``import wan_notebook`` was said; None for a job of another folder."""
    session = default_session()
    job = shown.job if isinstance(shown, Picture) else shown
    return bundler(lambda: session)(shown) if _is_of(session, job) else None


def _is_of(session: Session, job: Job) -> bool:
    home = session.home(create=False)
    return home is not None and home.engine is job.owner
