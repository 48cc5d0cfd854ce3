"""Which jobs a bundle, a verification or a methods paragraph is about: those that the notebook shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from ..errors import CellError, StoreError
from ..ledger import HistoryQuery, JobRow, Ledger
from ..session import Session
from ..states import JobState

_PAGE: Final = 1000
_PAGES: Final = 4
_FEW: Final = 10


@dataclass(frozen=True)
class Selection:
    """Finished jobs, oldest first, and what a person should know about those that are not among them."""

    rows: tuple[JobRow, ...]
    notes: tuple[str, ...] = ()


def shown_by(session: Session) -> tuple[str, ...]:
    """Return the ids of the jobs that this kernel's cells showed last; of a cell that ran again, only its last run."""
    last_run = {place.cell_id: place.execution for place, _ in session.last if place.cell_id}
    ids = [
        live.id
        for place, job in session.last
        if not place.cell_id or last_run[place.cell_id] == place.execution
        for live in job.lives
    ]
    return tuple(dict.fromkeys(ids))


def select(
    ledger: Ledger, shown: Sequence[str], *, tags: Sequence[str] = (), all_takes: bool = False, notebook: str = ""
) -> Selection:
    """Return the jobs of ``shown``; without any, the newest take of each request of this notebook's history.

    ``tags`` keeps those with every one of them; ``all_takes`` adds every other answer to the same requests. Jobs whose
    pictures serve others as inputs come along. Raises ``CellError`` if a job is still open, or if nothing is left.
    """
    found, notes = _known(ledger, shown)
    query = HistoryQuery(tag=tuple(tags))
    named = f"{'the tag' if len(query.tags) == 1 else 'the tags'} {' and '.join(query.tags)}"
    if query.tags:
        tagged = {row.id: row for row in matching(ledger, query)}
        kept = [row for row in found if row.id in tagged]
        left = len(found) - len(kept)
        if kept and left:
            lack = f"lacks {named}: its cell" if left == 1 else f"lack {named}: their cells"
            notes.append(f"{_jobs(left)} that the notebook shows {lack} cannot be replayed")
        found = kept or _newest(tagged.values())
    elif not shown:
        # The whole history if no job says that it is of this notebook: not every front end tells its path.
        of_notebook = matching(ledger, HistoryQuery(notebook=notebook)) if notebook else iter(())
        found = _newest(of_notebook) or _newest(matching(ledger, HistoryQuery()))
    open_ones = [row.id for row in found if not row.is_final]
    if open_ones:
        are = "is" if len(open_ones) == 1 else "are"
        message = f"{_jobs(len(open_ones))} {are} not finished: {', '.join(open_ones[:5])}."
        raise CellError(message, hint="`%wan wait`, then repeat.")
    rows = {row.id: row for row in found if _is_answer(row)}
    notes += [f"job {row.id} is {row.state}: its cell cannot be replayed" for row in found if row.id not in rows]
    if all_takes:
        rows |= {take.id: take for row in list(rows.values()) for take in takes_of(ledger, row)}
    rows |= _sources(ledger, rows)
    if not rows:
        what = f" with {named}" if query.tags else ""
        raise CellError(f"there is no finished picture{what}.", hint="`%wan history` shows what there is.")
    return Selection(tuple(sorted(rows.values(), key=lambda row: (row.created_at, row.id))), tuple(notes))


def takes_of(ledger: Ledger, row: JobRow) -> list[JobRow]:
    """Return every complete answer to the same request."""
    if row.fp_asked != row.fp_sent:
        return [take for take in ledger.takes(row.fp_asked, "asked") if _is_answer(take)]
    return [take for take in ledger.takes(row.fp_sent, "sent") if _is_answer(take)]


def get_job(ledger: Ledger, job_id: str) -> JobRow | None:
    """Return the job with exactly this id, or None."""
    try:
        row = ledger.get(job_id)
    except StoreError:
        return None
    return row if row.id == job_id else None


def get_jobs(ledger: Ledger, ids: Iterable[str]) -> dict[str, JobRow]:
    """Return the jobs with these ids that there are. Many are read in pages, which is several times as fast."""
    wanted = dict.fromkeys(ids)
    found: dict[str, JobRow] = {}
    if len(wanted) > _FEW:
        for row in islice(matching(ledger, HistoryQuery(include_trashed=True)), _PAGES * _PAGE):
            if row.id in wanted:
                found[row.id] = row
                if len(found) == len(wanted):
                    break
    one_by_one = {job_id: get_job(ledger, job_id) for job_id in wanted if job_id not in found}
    return found | {job_id: row for job_id, row in one_by_one.items() if row is not None}


def matching(ledger: Ledger, query: HistoryQuery) -> Iterator[JobRow]:
    """Yield every job that a query matches, newest first."""
    offset = 0
    while True:
        rows = ledger.history(replace(query, offset=offset, limit=_PAGE)).rows
        yield from rows
        if len(rows) < _PAGE:
            return
        offset += _PAGE


def _known(ledger: Ledger, ids: Iterable[str]) -> tuple[list[JobRow], list[str]]:
    found, notes = [], []
    wanted = list(dict.fromkeys(ids))
    known = get_jobs(ledger, wanted)
    for job_id in wanted:
        row = known.get(job_id)
        if row is None or row.trashed_at is not None:
            why = "is not in this store" if row is None else "is in the trash"
            notes.append(f"job {job_id} {why}: its cell cannot be replayed")
        else:
            found.append(row)
    return found, notes


def _is_answer(row: JobRow) -> bool:
    has_text = any("text" in item for item in row.items)
    return row.state is JobState.SAVED and row.purged_at is None and (row.picture_count > 0 or has_text)


def _newest(rows: Iterable[JobRow]) -> list[JobRow]:
    """Keep the newest answer to each request."""
    kept: dict[str, JobRow] = {}
    for row in rows:
        if _is_answer(row):
            kept.setdefault(row.fp_asked, row)
    return list(kept.values())


def _sources(ledger: Ledger, rows: dict[str, JobRow]) -> dict[str, JobRow]:
    """Return the jobs whose pictures are inputs of these, and theirs: a cell may name them by id."""
    added: dict[str, JobRow] = {}
    waiting = list(rows.values())
    while waiting:
        for record in waiting.pop().inputs:
            if record.source_job and record.source_job not in rows and record.source_job not in added:
                row = get_job(ledger, record.source_job)
                if row is not None and _is_answer(row) and row.trashed_at is None:
                    added[row.id] = row
                    waiting.append(row)
    return added


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
