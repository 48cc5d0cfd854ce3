"""From the word after a command to the job or picture that it names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from ..errors import CellError, WanError
from ..jobs import Job, Picture
from ..ledger import HistoryQuery, LedgerError
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
    try:
        return session.job(word)
    except LedgerError as error:
        raise _unknown(word, variables, error) from None


def _unknown(word: str, variables: Mapping[str, Any], error: LedgerError) -> WanError:
    """Word an unknown job with the nearest variables: whoever mistypes a name does not think of an id."""
    if word in variables:
        kind = type(variables[word]).__name__
        return CellError(f"{word} is no job but: {kind}.", hint=error.hint)
    names = [name for name, value in variables.items() if isinstance(value, Job | Picture) and name != "_wan"]
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if not near:
        return error
    return CellError(f"no variable and no job is called {word}.", hint=f"Nearest: {', '.join(near)}.")


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
        raise CellError(message, hint="Make a picture first: `%wan make a fox in snow`.")
    return session.job_of_row(rows[0])
