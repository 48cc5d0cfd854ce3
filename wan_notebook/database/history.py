"""The history: one page of jobs with its totals, and what a person does to jobs: stars, tags, the trash."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, and_, cast, delete, false, insert, or_, select, union, update
from sqlalchemy.orm import Session

from ..errors import StoreError
from ..money import Total
from ..text import did_you_mean
from .jobs import Jobs, locked_job, portions, reindex
from .models import (
    EventRow,
    InputRow,
    JobRow,
    JobSummary,
    MetaRow,
    PictureRow,
    deletions,
    job_search,
    job_tags,
    search_text,
)
from .spending import CostRow, add_up
from .status import NOT_SENT, PLAIN_WORDS, STATES, Status

_AS_NAMED: Final = ("status", "mode", "seed", "n", "notebook", "model", "provider", "user")
_SORTS: Final[dict[str, Any]] = {
    "created": JobSummary.created_at,
    "prompt": job_search.c.haystack,
    "cost": cast(JobSummary.cost_amount, Float),
    "duration": JobSummary.duration_s,
    "pictures": JobSummary.picture_count,
    **{name: getattr(JobSummary, name) for name in _AS_NAMED},
}

_FORGOTTEN: Final[dict[str, Any]] = {
    **dict.fromkeys(("prompt", "negative_prompt", "name", "error_text"), ""),
    **dict.fromkeys(("parameters", "request", "usage", "service_metadata"), MappingProxyType({})),
    **dict.fromkeys(("items", "notes", "pending_inputs"), ()),
}
"""What goes when the trash is emptied; statuses, times, seeds and amounts stay, since the bill does."""


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


class History(Jobs):
    """Searches the history, marks its jobs and empties the trash."""

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Return one page and the totals of its filter. Raises ``StoreError`` for an unknown sort, range or status."""
        query = query or HistoryQuery()
        wanted = _conditions(query)
        column = _SORTS[query.sort]
        # An index gives the order of creation; other columns may be unknown, which comes last.
        orders = [] if query.sort == "created" else [column.is_(None)]
        orders += [by.desc() if query.descending else by.asc() for by in (column, JobRow.seq)]
        found = select(JobRow).where(*wanted).order_by(*orders).offset(query.offset).limit(query.limit)
        if query.sort == "prompt":
            found = found.join(job_search, job_search.c.job_seq == JobRow.seq)
        with self.reading() as session:
            figures = add_up(session, wanted).get("", CostRow())
            rows = session.scalars(found).all() if figures.jobs else ()
        return HistoryPage(rows=tuple(rows), total_rows=figures.jobs, total=figures.total, pictures=figures.pictures)

    def mark(self, job_id: str, index: int | None = None, **marks: bool) -> None:
        """Set ``is_starred`` or ``is_rejected`` of a job, or of one picture of it; what is rejected still answers."""
        with self.writing() as session:
            job = locked_job(session, job_id)
            marked = [job] if index is None else [picture for picture in job.pictures if picture.index == index]
            if not marked:
                raise StoreError(f"Job {job_id} has no picture [{index}].")
            for name, is_on in marks.items():
                setattr(marked[0], name, is_on)

    def tag(self, job_id: str, add: Iterable[str] = (), remove: Collection[str] = ()) -> tuple[str, ...]:
        """Add and remove tags; return those that the job has now."""
        with self.writing() as session:
            row = locked_job(session, job_id)
            kept = [tag for tag in (*row.tags, *add) if tag not in remove and tag.strip()]
            row.tags = tuple(dict.fromkeys(kept))
            reindex(session, [row])
            return row.tags

    def trash(self, job_id: str, on: bool = True) -> None:
        """Put a job into the trash, or take it out. An open one stays: it still costs or owes something."""
        with self.writing() as session:
            row = locked_job(session, job_id)
            if on and not row.is_final:
                hint = f"Cancel it, wait for it, or run `%wan resolve {job_id}`."
                raise StoreError(f"Job {job_id} is {row.status}, so it cannot go to the trash.", hint=hint)
            row.trashed_at = self.now() if on else None

    def purge_trash(self, older_than: float) -> list[str]:
        """Forget prompts, inputs and pictures of jobs trashed before a time (Unix seconds); costs stay.

        Returns the files to delete, those of an earlier call that crashed included, but none that another job uses.
        Delete them, then call ``files_deleted``.
        """
        with self.writing() as session:
            due = select(JobRow).where(JobRow.trashed_at < older_than, JobRow.purged_at.is_(None))
            now, files = self.now(), set[str]()
            for row in session.scalars(due).all():
                files |= _forget(session, row, now)
            session.flush()
            listed = set(session.scalars(select(deletions.c.file)))
            if new := files - listed - _still_used(session, sorted(files)):
                session.execute(insert(deletions), [{"file": file} for file in sorted(new)])
            return sorted(listed | new)

    def files_deleted(self, files: Iterable[str]) -> None:
        """Confirm that these files of purged jobs are gone."""
        with self.writing() as session:
            for portion in portions(files):
                session.execute(delete(deletions).where(deletions.c.file.in_(portion)))

    def meta_set(self, key: str, value: str | None) -> None:
        """Remember a value under a key; None forgets it."""
        with self.writing() as session:
            if value is None:
                session.execute(delete(MetaRow).where(MetaRow.key == key))
            else:
                session.merge(MetaRow(key=key, value=value))


def nothing_found(query: HistoryQuery) -> HistoryPage:
    """Return what a folder without a ledger answers; a wrong question is an error there too."""
    _conditions(query)
    return HistoryPage()


def _conditions(query: HistoryQuery) -> list[ColumnElement[bool]]:
    if query.sort not in _SORTS:
        hint = f"{did_you_mean(query.sort, _SORTS)} Sort by one of: {', '.join(_SORTS)}.".strip()
        raise StoreError(f"The history cannot be sorted by {query.sort!r}.", hint=hint)
    if query.limit < 1 or query.offset < 0:
        raise StoreError("A page has 1 row or more and begins at 0 or later.")
    job = JobSummary
    wanted: list[ColumnElement[bool]] = []
    if query.only_trashed:
        wanted += [job.trashed_at.is_not(None), job.purged_at.is_(None)]
    elif not query.include_trashed:
        wanted.append(job.trashed_at.is_(None))
    if query.status is not None:
        wanted.append(_has_status((query.status,) if isinstance(query.status, str) else query.status))
    wanted += [job.created_at >= query.since] if query.since is not None else []
    wanted += [job.created_at < query.until] if query.until is not None else []
    if words := search_text(query.words).split():
        hits = [job_search.c.haystack.contains(word, autoescape=True) for word in words]
        wanted.append(job.seq.in_(select(job_search.c.job_seq).where(*hits)))
    wanted += [job.seq.in_(select(job_tags.c.job_seq).where(job_tags.c.tag == tag)) for tag in query.tags if tag]
    equal = {name: getattr(query, name) for name in ("notebook", "user", "seed")}
    wanted += [getattr(job, name) == value for name, value in equal.items() if value not in ("", None)]
    if query.starred:
        pictures = select(PictureRow.job_seq).where(PictureRow.is_starred == 1)
        wanted.append(job.seq.in_(union(select(job.seq).where(job.is_starred == 1), pictures)))
    wanted += [job.is_rejected == int(query.rejected)] if query.rejected is not None else []
    return wanted


def _has_status(words: Sequence[str]) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = []
    for word in words:
        plain = word.strip().lower().replace("-", "_").replace(" ", "_")
        if plain == NOT_SENT:
            conditions.append(and_(JobSummary.status == Status.REFUSED, JobSummary.error_code == NOT_SENT))
        elif plain in PLAIN_WORDS:
            conditions.append(JobSummary.status.in_(PLAIN_WORDS[plain]))
        else:
            hint = f"{did_you_mean(word, STATES)} Use one of: {', '.join(STATES)}.".strip()
            raise StoreError(f"{word!r} is not a status.", hint=hint)
    return or_(false(), *conditions)


def _forget(session: Session, row: JobRow, now: float) -> set[str]:
    """Remove what says something of the picture; return the files that showed it."""
    files = {new.file for new in row.inputs}
    for picture in row.pictures:
        files |= {picture.file, picture.corrupt_file}
        picture.file = picture.corrupt_file = picture.url = picture.note = ""
    for name, nothing in _FORGOTTEN.items():
        setattr(row, name, nothing)
    row.inputs = []
    row.purged_at = now
    session.execute(update(EventRow).where(EventRow.job_seq == row.seq).values(detail={}))
    reindex(session, [row])
    return files - {""}


def _still_used(session: Session, files: list[str]) -> set[str]:
    columns = (PictureRow.file, PictureRow.corrupt_file, InputRow.file)
    found = [session.scalars(select(c).where(c.in_(portion))) for portion in portions(files) for c in columns]
    return {file for each in found for file in each}
