"""From the word after a command to the job or picture that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import CellError
from ..jobs import Job, Picture
from ..ledger import HistoryQuery
from ..session import Session

_PICTURE = re.compile(r"(?P<job>[^\[\]]+)\[(?P<index>-?\d+)\]\Z")


def find_job(session: Session, variables: Mapping[str, Any], word: str) -> Job:
    """Return a job by a variable's name or its id (or the id's beginning). Raises ``CellError``, ``LedgerError``."""
    if not word:
        return _newest(session)
    value = variables.get(word)
    if isinstance(value, Job):
        return value
    if isinstance(value, Picture):
        return value.job
    return session.job(word)


def find_pictures(session: Session, variables: Mapping[str, Any], word: str) -> tuple[Job, int | None]:
    """Return a job and, for ``job[1]`` or a variable that is a picture, the index of one of its pictures."""
    match = _PICTURE.match(word)
    if isinstance(picture := variables.get(word), Picture):
        return picture.job, picture.index
    if match is None:
        return find_job(session, variables, word), None
    return find_job(session, variables, match["job"]), int(match["index"])


def _newest(session: Session) -> Job:
    if session.last:
        return session.last[-1][1]
    rows = session.need_home().ledger.history(HistoryQuery(limit=1)).rows
    if not rows:
        message = "there is no job yet."
        raise CellError(message, remedy="Make a picture first: `%wan make a fox in snow`.")
    return session.job_of_row(rows[0])
