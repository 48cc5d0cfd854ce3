"""Handles that are copied or pickled: a job is a record, and its copy is another handle of the same one.

A pickle holds the ids and the folder, no state and no key. In another process it opens that folder's record anew.
"""

from __future__ import annotations

import copyreg
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..folders import LEDGER_NAME
from ..jobs import Job, Picture
from ..ledger import LedgerError
from ..settings import Sources
from .core import Session, default_session

_elsewhere: dict[Path, Session] = {}
_guard = threading.Lock()


def reopen_job(folder: str, ids: tuple[str, ...], name: str) -> Job:
    """Return a handle of a pickled job. Raises ``LedgerError`` if its folder or its record is gone."""
    session = _session_of(Path(folder))
    jobs = [session.job(one) for one in ids]
    lives = [next(live for live in job.lives if live.id == one) for one, job in zip(ids, jobs, strict=True)]
    return Job(lives, jobs[0].owner, request=jobs[0].request, name=name)


def reopen_picture(job: Job, index: int) -> Picture:
    """Return a picture of a pickled job."""
    return job[index]


def _session_of(folder: Path) -> Session:
    session = default_session()
    home = session.home(create=False)
    if home is not None and home.store.folder == folder:
        return session
    if not (folder / LEDGER_NAME).is_file():
        message = f"this job belongs to {folder}, which is not there."
        raise LedgerError(message, hint="Bring that folder back to where it was; its pictures lie in it.")
    with _guard:
        if folder not in _elsewhere or _elsewhere[folder].is_closed:
            _elsewhere[folder] = Session(Sources(env={**os.environ, "WAN_HOME": str(folder)}))
        return _elsewhere[folder]


def _reduce_job(job: Job) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    ids = tuple(live.id for live in job.lives)
    return reopen_job, (str(job.owner.path_of("")), ids, job.name)


def _reduce_picture(picture: Picture) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return reopen_picture, (picture.job, picture.index)


copyreg.pickle(Job, _reduce_job)
copyreg.pickle(Picture, _reduce_picture)
