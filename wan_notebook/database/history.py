"""The history: one page of jobs, and what the whole filter adds up to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, and_, cast, or_, select, union

from ..errors import StoreError
from ..money import Total
from ..text import did_you_mean
from .column_types import search_text
from .engine import DatabaseEngine
from .models import JobRow, JobSummary, PictureRow, flag_is, job_search, job_tags
from .spending import CostRow, add_up
from .status import NOT_SENT, PLAIN_WORDS, Status

LIMIT_MAX: Final = 1000
_NOT_SENT_WORDS: Final = "not sent"

_SORTS: Final[dict[str, Any]] = {
    "created": JobSummary.created_at,
    "prompt": job_search.c.haystack,
    "cost": cast(JobSummary.cost_amount, Float),
    "duration": JobSummary.duration_s,
    "pictures": JobSummary.picture_count,
    **{
        name: getattr(JobSummary, name)
        for name in ("status", "mode", "seed", "n", "notebook", "model", "provider", "user")
    },
}


@dataclass(frozen=True, kw_only=True)
class HistoryQuery:
    """Which jobs to show.

    ``words`` must all occur in prompt, name, tags, seed or id, in any case. ``status`` is a status, a plain word
    (open, waiting, running, done, not sent …) or several. Times are Unix seconds, ``since`` inclusive, ``until``
    exclusive. Of several ``tags`` a job must have every one. ``sort`` is a column: created, prompt, status, mode,
    seed, n, cost, duration, pictures, notebook, model, provider, user.
    """

    words: str = ""
    status: str | tuple[str, ...] | None = None
    since: float | None = None
    until: float | None = None
    tags: tuple[str, ...] = ()
    notebook: str = ""
    user: str = ""
    seed: int | None = None
    starred: bool = False
    rejected: bool | None = None
    include_trashed: bool = False
    only_trashed: bool = False
    """What is in the trash and can be taken out again."""
    sort: str = "created"
    descending: bool = True
    offset: int = 0
    limit: int = 20


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """One page, and what the whole filter adds up to; ``pictures`` counts pictures on disk."""

    rows: tuple[JobRow, ...] = ()
    total_rows: int = 0
    total: Total = field(default_factory=Total)
    pictures: int = 0


class History(DatabaseEngine):
    """Searching the history."""

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Return one page and the totals of its filter. Raises ``StoreError`` for an unknown sort, range or status."""
        query = query or HistoryQuery()
        wanted = _conditions(query)
        column = _SORTS[query.sort]
        order = column.desc() if query.descending else column.asc()
        if query.sort != "created":  # an index gives that order; others may be unknown, which comes last
            order = order.nulls_last()
        tie = JobRow.seq.desc() if query.descending else JobRow.seq.asc()
        found = select(JobRow).where(*wanted).order_by(order, tie).offset(query.offset).limit(query.limit)
        if query.sort == "prompt":
            found = found.join(job_search, job_search.c.job_seq == JobRow.seq)
        with self.reading() as session:
            figures = add_up(session, wanted).get("", CostRow())
            rows = session.scalars(found).all() if figures.jobs else ()
        return HistoryPage(rows=tuple(rows), total_rows=figures.jobs, total=figures.total, pictures=figures.pictures)


def nothing_found(query: HistoryQuery) -> HistoryPage:
    """Return what a folder without a ledger answers; a wrong question is an error there too."""
    _conditions(query)
    return HistoryPage()


def _conditions(query: HistoryQuery) -> list[ColumnElement[bool]]:
    if query.sort not in _SORTS:
        hint = f"{did_you_mean(query.sort, _SORTS)} Sort by one of: {', '.join(_SORTS)}.".strip()
        raise StoreError(f"The history cannot be sorted by {query.sort!r}.", hint=hint)
    if not 1 <= query.limit <= LIMIT_MAX or query.offset < 0:
        raise StoreError(f"A page has 1 to {LIMIT_MAX} rows and begins at 0 or later.")
    wanted: list[ColumnElement[bool]] = []
    if query.only_trashed:
        wanted += [JobSummary.trashed_at.is_not(None), JobSummary.purged_at.is_(None)]
    elif not query.include_trashed:
        wanted.append(JobSummary.trashed_at.is_(None))
    if query.status is not None:
        wanted.append(_has_status((query.status,) if isinstance(query.status, str) else query.status))
    if query.since is not None:
        wanted.append(JobSummary.created_at >= query.since)
    if query.until is not None:
        wanted.append(JobSummary.created_at < query.until)
    if words := search_text(query.words).split():
        hits = [job_search.c.haystack.contains(word, autoescape=True) for word in words]
        wanted.append(JobSummary.seq.in_(select(job_search.c.job_seq).where(*hits)))
    wanted += [JobSummary.seq.in_(select(job_tags.c.job_seq).where(job_tags.c.tag == tag)) for tag in query.tags if tag]
    wanted += [JobSummary.notebook == query.notebook] if query.notebook else []
    wanted += [JobSummary.user == query.user] if query.user else []
    wanted += [JobSummary.seed == query.seed] if query.seed is not None else []
    if query.starred:
        jobs = select(JobSummary.seq).where(flag_is(JobSummary.is_starred, True))
        pictures = select(PictureRow.job_seq).where(flag_is(PictureRow.is_starred, True))
        wanted.append(JobSummary.seq.in_(union(jobs, pictures)))
    if query.rejected is not None:
        wanted.append(flag_is(JobSummary.is_rejected, query.rejected))
    return wanted


def _has_status(words: Sequence[str]) -> ColumnElement[bool]:
    statuses: set[Status] = set()
    not_sent = and_(JobSummary.status == Status.REFUSED, JobSummary.error_code == NOT_SENT)
    conditions: list[ColumnElement[bool]] = []
    for word in words:
        plain = word.strip().lower().replace("-", "_").replace(" ", "_")
        if plain == NOT_SENT:
            conditions.append(not_sent)
        elif plain in PLAIN_WORDS:
            statuses |= PLAIN_WORDS[plain]
        elif plain in list(Status):
            statuses.add(Status(plain))
        else:
            known = [*Status, *PLAIN_WORDS, _NOT_SENT_WORDS]
            hint = f"{did_you_mean(plain, known)} Use one of: {', '.join(known)}.".strip()
            raise StoreError(f"{word!r} is not a status.", hint=hint)
    return or_(JobSummary.status.in_(statuses), *conditions)
