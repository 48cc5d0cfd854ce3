"""From the word after a command to the job or picture that it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import CellError
from ..jobs import Job, Picture
from ..ledger import HistoryQuery

if TYPE_CHECKING:
    from .context import Context

_PICTURE = re.compile(r"(?P<job>[^\[\]]+)\[(?P<index>-?\d+)\]\Z")


def find_job(context: Context, word: str) -> Job:
    """Return a job by a variable's name or its id (or the id's beginning). Raises ``CellError``, ``LedgerError``."""
    if not word:
        last = context.session.last
        if last:
            return last[-1][1]
        rows = context.ledger.history(HistoryQuery(limit=1)).rows
        if not rows:
            message = "there is no job yet."
            raise CellError(message, remedy="Make a picture first: `%wan make a fox in snow`.")
        return context.session.job_of_row(rows[0])
    value = context.shell.user_ns.get(word) if context.shell is not None else None
    if isinstance(value, Job):
        return value
    if isinstance(value, Picture):
        return value.job
    return context.session.job(word)


def find_pictures(context: Context, word: str) -> tuple[Job, int | None]:
    """Return a job and, for ``job[1]``, the index of one of its pictures."""
    match = _PICTURE.match(word)
    if match is None:
        return find_job(context, word), None
    return find_job(context, match["job"]), int(match["index"])
