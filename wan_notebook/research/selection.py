"""Which jobs a bundle or a methods paragraph is about: those that the notebook shows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ..database import HistoryQuery, Status
from ..errors import CellError
from ..text import pluralize

if TYPE_CHECKING:
    from ..database import Database, JobRow

_PAGE_ROWS: Final = 1000


class Selection(NamedTuple):
    """Finished jobs, oldest first, and what a person should know about those that are not among them."""

    rows: "tuple[JobRow, ...]"
    notes: tuple[str, ...] = ()


def select_jobs(
    database: "Database",
    shown: Sequence[str],
    *,
    tags: Sequence[str] = (),
    all_versions: bool = False,
    notebook: str = "",
) -> Selection:
    """Return the jobs of ``shown``; without any, the newest result of each request of this notebook's history.

    Parameters
    ----------
    database
        The ledger.
    shown
        Ids of the jobs that outputs and kernel show.
    tags
        Keep those with every one of these tags.
    all_versions
        Add every other result of the same requests.
    notebook
        The notebook's path, where nothing is shown.

    Raises
    ------
    CellError
        If a job is still open, or if nothing is left. Jobs whose pictures serve others as inputs come along.
    """
    rows = database.jobs(shown)
    found = [rows[job_id] for job_id in dict.fromkeys(shown) if job_id in rows and rows[job_id].trashed_at is None]
    notes = [
        f"job {job_id} is not here or in the trash: its cell cannot be replayed"
        for job_id in dict.fromkeys(shown)
        if job_id not in {row.id for row in found}
    ]
    named = f"the tag{'s' if len(tags) > 1 else ''} {' and '.join(tags)}"
    if tags:
        tagged = {row.id: row for row in matching(database, HistoryQuery(tags=tuple(tags)))}
        kept = [row for row in found if row.id in tagged]
        if kept and len(kept) < len(found):
            left = pluralize(len(found) - len(kept), "job")
            notes.append(f"{left} that the notebook shows without {named}: their cells cannot be replayed")
        found = kept or _newest(tagged.values())
    elif not shown:
        # The whole history if no job says that it is of this notebook: not every front end tells its path.
        of_notebook = matching(database, HistoryQuery(notebook=notebook)) if notebook else iter(())
        found = _newest(of_notebook) or _newest(matching(database, HistoryQuery()))
    if open_ids := [row.id for row in found if not row.is_final]:
        message = f"{pluralize(len(open_ids), 'job')} not finished yet: {', '.join(open_ids[:5])}."
        raise CellError(message, hint="`%wan wait`, then repeat.")
    chosen = {row.id: row for row in found if is_result(row)}
    notes += [f"job {row.id} is {row.status}: its cell cannot be replayed" for row in found if row.id not in chosen]
    if all_versions:
        chosen |= {row.id: row for one in list(chosen.values()) for row in _versions(database, one)}
    chosen |= _sources(database, chosen)
    if not chosen:
        what = f" with {named}" if tags else ""
        raise CellError(f"there is no finished picture{what}.", hint="`%wan history` shows what there is.")
    return Selection(tuple(sorted(chosen.values(), key=lambda row: (row.created_at, row.id))), tuple(notes))


def matching(database: "Database", query: HistoryQuery) -> "Iterator[JobRow]":
    """Yield every job that a query matches, newest first."""
    offset = 0
    while rows := database.history(replace(query, offset=offset, limit=_PAGE_ROWS)).rows:
        yield from rows
        offset += len(rows)


def is_result(row: "JobRow") -> bool:
    """Say whether a row has something to show."""
    has_text = any("text" in item for item in row.items)
    return row.status == Status.SAVED and row.purged_at is None and (row.picture_count > 0 or has_text)


def _versions(database: "Database", row: "JobRow") -> "list[JobRow]":
    by_seed = row.request_hash == row.request_hash_with_seed
    request_hash = row.request_hash_with_seed if by_seed else row.request_hash
    return [one for one in database.results(request_hash, with_seed=by_seed) if is_result(one)]


def _newest(rows: "Iterable[JobRow]") -> "list[JobRow]":
    kept: dict[str, JobRow] = {}
    for row in rows:
        if is_result(row):
            kept.setdefault(row.request_hash, row)
    return list(kept.values())


def _sources(database: "Database", rows: "dict[str, JobRow]") -> "dict[str, JobRow]":
    """Return the jobs whose pictures are inputs of these, and theirs: a cell may name them by id."""
    added: dict[str, JobRow] = {}
    waiting = list(rows.values())
    while waiting:
        wanted = (
            {record.source_job for record in waiting.pop().inputs if record.source_job} - rows.keys() - added.keys()
        )
        for row in database.jobs(wanted).values():
            if is_result(row) and row.trashed_at is None:
                added[row.id] = row
                waiting.append(row)
    return added
