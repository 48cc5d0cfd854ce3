"""The history: one page of jobs, and what the whole filter adds up to. Four or five queries, however many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from wan_notebook.money import Total
from wan_notebook.states import JobState

from . import codec, schema
from .clauses import OPEN_CLAUSE, STARRED_CLAUSE
from .faults import LedgerError
from .figures import HistoryPage, HistoryQuery
from .find import rows_of
from .sums import add_up
from .tx import Condition, Read

LIMIT_MAX: Final = 1000
_COMMON: Final = 1000

_j = schema.jobs.c
_s = schema.job_search.c
_STARRED = sa.union(
    sa.select(_j.seq).where(sa.text(STARRED_CLAUSE)),
    sa.select(schema.pictures.c.job_seq).where(sa.text(STARRED_CLAUSE)),
)
_SORTS: Final[dict[str, sa.ColumnElement[Any]]] = {
    "created": _j.created_at,
    "prompt": _s.haystack,
    "state": _j.state,
    "mode": _j.mode,
    "seed": _j.seed,
    "n": _j.n,
    "cost": sa.cast(_j.cost_amount, sa.Float),
    "duration": _j.duration_s,
    "pictures": _j.picture_count,
    "notebook": _j.notebook,
    "model": _j.model,
    "provider": _j.provider,
}

_NOTHING: Final = HistoryPage(rows=(), total_rows=0, total=Total(), pictures=0)


def history(read: Read, query: HistoryQuery) -> HistoryPage:
    """Return one page and the totals of its filter. Raises ``LedgerError`` for a sort or range that does not exist."""
    _check(query)
    words = codec.search_text(query.words).split()
    wanted = _filter(query)
    sums = add_up(read, [*wanted, *_having(words)]).get(None)
    if sums is None or not sums.jobs:
        return _NOTHING
    page = _page(read, query, [*wanted, *_having(words, are_common=sums.jobs > _COMMON)])
    place = {seq: at for at, seq in enumerate(page)}
    found = read(sa.select(*schema.JOB).where(_j.seq.in_(page))) if page else []
    rows = sorted(rows_of(read, found), key=lambda row: place[row.seq])
    return HistoryPage(rows=tuple(rows), total_rows=sums.jobs, total=sums.total, pictures=sums.made)


def nothing_found(query: HistoryQuery) -> HistoryPage:
    """Return what a folder without a ledger answers; a wrong question is an error there too."""
    _check(query)
    _filter(query)
    return _NOTHING


def _check(query: HistoryQuery) -> None:
    if query.sort not in _SORTS:
        raise LedgerError(f"The history cannot be sorted by {query.sort!r}.", hint=f"By {', '.join(_SORTS)}.")
    if not 1 <= query.limit <= LIMIT_MAX or query.offset < 0:
        raise LedgerError(f"A page has 1 to {LIMIT_MAX} rows and begins at 0 or later.")


def _page(read: Read, query: HistoryQuery, wanted: Sequence[Condition]) -> list[int]:
    source: sa.FromClause = schema.jobs
    if query.sort == "prompt":
        source = schema.jobs.join(schema.job_search, _s.job_seq == _j.seq)
    column = _SORTS[query.sort]
    order = column.desc() if query.descending else column.asc()
    if query.sort != "created":  # its index gives this order; others may be unknown, which stands last
        order = order.nulls_last()
    tie = _j.seq.desc() if query.descending else _j.seq.asc()
    found = sa.select(_j.seq).select_from(source).where(*wanted).order_by(order, tie)
    return [row[0] for row in read(found.offset(query.offset).limit(query.limit))]


def _filter(query: HistoryQuery) -> list[Condition]:
    wanted: list[Condition] = []
    if query.only_trashed:
        wanted += [_j.trashed_at.is_not(None), _j.purged_at.is_(None)]
    elif not query.include_trashed:
        wanted.append(_j.trashed_at.is_(None))
    if query.state is not None:
        states = (query.state,) if isinstance(query.state, str) else query.state
        wanted.append(_j.state.in_([_state(state) for state in states]))
    if query.running:
        wanted.append(sa.text(OPEN_CLAUSE))
    if query.since is not None:
        wanted.append(_j.created_at >= query.since)
    if query.until is not None:
        wanted.append(_j.created_at < query.until)
    return [*wanted, *_marks(query)]


def _having(words: Sequence[str], *, are_common: bool = False) -> list[Condition]:
    if not words:
        return []
    hits = sa.select(_s.job_seq).where(*[_s.haystack.contains(word, autoescape=True) for word in words])
    # A page of common words is found soonest by looking up one job's text after the other; a rare word by reading
    # all texts once.
    return [hits.where(_s.job_seq == _j.seq).exists() if are_common else _j.seq.in_(hits)]


def _marks(query: HistoryQuery) -> list[Condition]:
    wanted: list[Condition] = []
    for tag in query.tags:
        tagged = sa.select(schema.job_tags.c.job_seq).where(schema.job_tags.c.tag == codec.encode_text(tag))
        wanted.append(_j.seq.in_(tagged))
    if query.notebook:
        wanted.append(_j.notebook == codec.encode_text(query.notebook))
    if query.seed is not None:
        wanted.append(_j.seed == query.seed)
    if query.starred:
        wanted.append(_j.seq.in_(_STARRED))
    if query.rejected is not None:
        wanted.append(_j.rejected == int(query.rejected))
    return wanted


def _state(state: str) -> str:
    try:
        return JobState(state).value
    except ValueError:
        raise LedgerError(f"There is no state {state!r}.", hint=f"One of {', '.join(JobState)}.") from None
