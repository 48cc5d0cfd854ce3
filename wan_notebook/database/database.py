"""``Database``: the whole ledger, with its history (pages of jobs, sums of money) and what a person does to jobs.

Sums are exact and never of two kinds: money, and practice.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_UP, Decimal
from types import MappingProxyType
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import StoreError
from ..money import Cost, Source, Total, read_amount
from ..text import did_you_mean
from .batches import WAITING_LEASE_S, has_batches
from .jobs import locked_job, reindex
from .models import (
    INTEGER_MAX,
    IS_OPEN,
    LISTED,
    TIME_MAX_S,
    BatchRow,
    BatchTaskRow,
    EventRow,
    InputRow,
    JobRow,
    JobSummary,
    MetaRow,
    PictureRow,
    Price,
    is_plausible,
    job_search,
    job_tags,
    search_text,
    storable,
)
from .status import BILLED, FINAL, FREE, NOT_SENT, PLAIN_WORDS, STATES, Status
from .transfer import Transfer

CostKey = Literal["day", "notebook", "tag", "user"]
QUARTER_HOUR_S: Final = 900  # local days begin at quarters of an hour, in every zone
IS_OURS: Final = sa.and_(JobSummary.is_simulated == 0, JobSummary.imported_at.is_(None))
"""Whose cost counts: what is simulated cost nothing, what was imported was paid elsewhere."""
_SORTS: Final[dict[str, Any]] = {
    "created": JobSummary.created_at,
    "prompt": job_search.c.haystack,
    "cost": sa.cast(JobSummary.cost_amount, sa.Float),
    "duration": JobSummary.duration_s,
    "pictures": JobSummary.picture_count,
    **{name: getattr(JobSummary, name) for name in ("status", "mode", "seed", "n")},
    **{name: getattr(JobSummary, name) for name in ("notebook", "model", "provider", "user")},
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
    batch: str = ""
    """Jobs of the newest batch of this name or id."""
    is_folded: bool = False
    """Of each batch only its newest job that matches; ``HistoryPage.batches`` says of which."""
    starred: bool = False
    rejected: bool | None = None
    include_trashed: bool = False
    only_trashed: bool = False
    """What is in the trash and can be taken out again."""
    sort: str = "created"
    descending: bool = True
    offset: int = 0
    limit: int = 20

    def __post_init__(self) -> None:
        """Raise ``StoreError`` for an unknown sort or status, in a folder without a ledger too."""
        if self.sort not in _SORTS:
            hint = f"{did_you_mean(self.sort, _SORTS)} Sort by one of: {', '.join(_SORTS)}.".strip()
            raise StoreError(f"The history cannot be sorted by {self.sort!r}.", hint=hint)
        _has_status(self.statuses)

    @property
    def statuses(self) -> tuple[str, ...]:
        """The words for statuses of which a job must have one; none for any."""
        return (self.status,) if isinstance(self.status, str) else self.status or ()


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """One page, and what the whole filter adds up to; ``pictures`` counts pictures on disk.

    ``lines`` counts what pages have: jobs, or with ``is_folded`` one a batch. ``batches`` has those by ``JobRow.seq``.
    """

    rows: tuple[JobRow, ...] = ()
    batches: Mapping[int, BatchRow] = field(default_factory=dict)
    lines: int = 0
    total_rows: int = 0
    total: Total = field(default_factory=Total)
    pictures: int = 0


@dataclass(kw_only=True)
class Spend:
    """What jobs add up to: all, or those of one day (``2026-11-24``), notebook, tag or user, its ``key``.

    ``pictures_saved`` are on disk, ``pictures_made`` may have been billed; ``unpriced`` are those of them whose cost
    nobody knows, ``free`` are jobs that were never billed. ``would_cost`` is the price of practice. ``reserved`` is the
    most that open jobs may still cost, by currency, ``pictures_reserved`` the most that they may still make;
    ``reserved_unknown`` counts those without a known price, ``reserved_unpriced`` the pictures that these may make.
    """

    key: str = ""
    jobs: int = 0
    total: Total = field(default_factory=Total)
    would_cost: Total = field(default_factory=Total)
    pictures_saved: int = 0
    pictures_made: int = 0
    unpriced: int = 0
    free: int = 0
    reserved: dict[str, Decimal] = field(default_factory=dict)
    reserved_unknown: int = 0
    reserved_unpriced: int = 0
    pictures_reserved: int = 0


class Database(Transfer):
    """A ledger, open for this process: one SQLite file, or a server. Make one with ``Database.open``.

    Every method is one short transaction, blocks for a few milliseconds and may be called from any thread. What it
    returns is a snapshot, detached from the database; a change returns a new row. Errors are ``StoreError``; of these
    only ``DatabaseUnavailable`` (disk full, locked, connection lost) is worth another try.
    """

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Return one page and the totals of its filter."""
        query = query or HistoryQuery()
        wanted = _conditions(query)
        column = _SORTS[query.sort]
        # An index gives the order of creation; other columns may be unknown, which comes last.
        orders = [] if query.sort == "created" else [column.is_(None)]
        orders += [by.desc() if query.descending else by.asc() for by in (column, JobRow.seq)]
        page = sa.select(JobRow).where(*wanted).order_by(*orders).offset(query.offset).limit(query.limit)
        if query.sort == "prompt":
            page = page.join(job_search, job_search.c.job_seq == JobRow.seq)
        with self.reading() as session:
            found, is_folded = _add_up(session, wanted).get("", Spend()), query.is_folded and has_batches(session)
            folded = [_folded(wanted)] if is_folded else []
            rows = session.scalars(page.where(*folded)).all() if found.jobs else ()
            totals = HistoryPage(total_rows=found.jobs, total=found.total, pictures=found.pictures_saved)
            if not is_folded:
                return replace(totals, rows=tuple(rows), lines=found.jobs)
            lines = session.scalar(sa.select(sa.func.count(JobSummary.seq)).where(*wanted, *folded)) or 0
            shown = _BATCH_OF.c.job_seq.in_([row.seq for row in rows])
            of_rows = sa.select(_BATCH_OF.c.job_seq, BatchRow).join(BatchRow, BatchRow.seq == _BATCH_OF.c.batch_seq)
            batches: dict[int, BatchRow] = dict(session.execute(of_rows.where(shown)).all())
            return replace(totals, rows=tuple(rows), lines=lines, batches=batches)

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
            row.tags = tuple(dict.fromkeys(tag for tag in (*row.tags, *add) if tag not in remove and tag.strip()))
            reindex(session, [row])
            return row.tags

    def trash(self, job_id: str, on: bool = True) -> None:
        """Put a job into the trash, or take it out. An open one stays: it still costs or owes something."""
        with self.writing() as session:
            row = locked_job(session, job_id)
            if on and row.status not in FINAL:
                hint = f"Cancel it, wait for it, or run `%wan resolve {job_id}`."
                raise StoreError(f"Job {job_id} is {row.status}, so it cannot go to the trash.", hint=hint)
            row.trashed_at = self.now() if on else None

    def purge_trash(self, older_than: float, delete_file: Callable[[str], bool]) -> int:
        """Forget prompts, inputs and pictures of jobs trashed before a time (Unix seconds); costs stay.

        ``delete_file`` says whether a file is gone; one that another job uses stays. Files go first, and a job whose
        files are not all gone stays in the trash: no crash leaves a forgotten picture. Returns how many files went.
        """
        count = 0
        with self.writing() as session:
            due = sa.select(JobRow).where(JobRow.trashed_at < older_than, JobRow.purged_at.is_(None))
            for row in session.scalars(due).all():
                files = {given.file for given in row.inputs}
                files |= {file for picture in row.pictures for file in (picture.file, picture.corrupt_file)}
                gone = [delete_file(file) for file in sorted(files - {""}) if not _is_used(session, file, row)]
                count += sum(gone)
                if all(gone):
                    _forget(session, row, self.now())
        return count

    def meta_set(self, key: str, value: str) -> None:
        """Remember a value under a key."""
        with self.writing() as session:
            session.merge(MetaRow(key=key, value=value))

    def spend(
        self,
        since: float | None = None,
        notebook: str | None = None,
        simulated: bool = False,
        listed: bool = True,
    ) -> Spend:
        """Return what jobs created since a time, or of one notebook, cost and may still cost.

        Without ``listed`` the price of what only the price list knows is unknown.

        Real ones, or with ``simulated`` the simulated ones alone: practice is never added to money. Imported jobs
        were paid elsewhere and count nowhere.
        """
        wanted = [JobSummary.is_simulated == int(simulated), JobSummary.imported_at.is_(None)]
        wanted += [JobSummary.created_at >= since] if since is not None else []
        wanted += [JobSummary.notebook == notebook] if notebook is not None else []
        with self.reading() as session:
            found = _add_up(session, wanted, listed=listed).get("", Spend())
            _add_reserved(session, self.now(), wanted, found)
            _add_unwritten(session, self.now(), {"notebook": notebook, "is_simulated": simulated}, found)
            return found

    def batch_spend(self, batch: BatchRow) -> Spend:
        """Return what the jobs of a batch cost, whoever paid for them, and may still cost."""
        of_batch = sa.select(BatchTaskRow.job_seq).where(BatchTaskRow.batch_seq == batch.seq)
        wanted = [JobSummary.seq.in_(of_batch)]
        with self.reading() as session:
            found = _add_up(session, wanted).get("", Spend())
            _add_reserved(session, self.now(), wanted, found)
            return found

    def cost_by(self, by: CostKey, *, simulated: bool = False) -> list[Spend]:
        """Return costs by local day, notebook, tag or user, in the order of their names: of money, or of practice."""
        labels: Mapping[str, Any] = {
            "day": sa.cast(JobSummary.created_at, sa.Integer) // QUARTER_HOUR_S,
            "notebook": JobSummary.notebook,
            "tag": job_tags.c.tag,
            "user": JobSummary.user,
        }
        wanted = [JobSummary.is_simulated == int(simulated), JobSummary.imported_at.is_(None)]
        wanted.append(JobSummary.created_at.between(0, TIME_MAX_S))

        def key_of(value: Any) -> str:
            if by == "day":
                value = dt.datetime.fromtimestamp(value * QUARTER_HOUR_S, tz=dt.UTC).astimezone().date()
            return storable(str(value))

        with self.reading() as session:
            return sorted(_add_up(session, wanted, labels[by], key_of).values(), key=lambda row: row.key)

    def last_price(self, provider: str, model: str, key_fingerprint: str = "") -> Price | None:
        """Return the newest reported cost of one picture, rounded up to a millionth; None if there is none.

        With ``key_fingerprint`` only what was made with that key counts: what somebody else wrote cannot know it.
        """
        delivered = sa.select(sa.func.count()).where(PictureRow.job_seq == JobSummary.seq).scalar_subquery()
        found = (
            sa.select(JobSummary.cost_amount, JobSummary.cost_currency, JobSummary.created_at, delivered)
            .where(JobSummary.provider == provider, JobSummary.model == model, IS_OURS)
            .where(JobSummary.key_fingerprint == key_fingerprint if key_fingerprint else sa.true())
            .where(sa.text("jobs.cost_source = 'reported'"))  # worded like the partial index, or it is not used
            .where(JobSummary.cost_amount.is_not(None), delivered > 0)
            .where(JobSummary.created_at.between(0, TIME_MAX_S))  # an odd row must not stop every call
            .order_by(JobSummary.created_at.desc())
        )
        with self.reading() as session:
            newest: Any = session.execute(found.limit(1)).first() or (None, "", 0, 1)
        amount, currency, created_at, count = newest
        if not (is_plausible(amount) and amount < 10**9 and isinstance(currency, str) and currency.isalpha()):
            return None
        day = dt.datetime.fromtimestamp(created_at, tz=dt.UTC).astimezone().date()
        each = (amount / count).quantize(Decimal("0.000001"), rounding=ROUND_UP)
        return Price(Decimal(f"{each.normalize():f}"), currency, day)


def _conditions(query: HistoryQuery) -> list[sa.ColumnElement[bool]]:
    job = JobSummary
    wanted: list[sa.ColumnElement[bool]] = []
    if query.only_trashed:
        wanted += [job.trashed_at.is_not(None), job.purged_at.is_(None)]
    elif not query.include_trashed:
        wanted.append(job.trashed_at.is_(None))
    wanted += _has_status(query.statuses)
    wanted += [job.created_at >= query.since] if query.since is not None else []
    wanted += [job.created_at < query.until] if query.until is not None else []
    if words := search_text(query.words).split():
        hits = [job_search.c.haystack.contains(word, autoescape=True) for word in words]
        wanted.append(job.seq.in_(sa.select(job_search.c.job_seq).where(*hits)))
    wanted += [
        job.seq.in_(sa.select(job_tags.c.job_seq).where(job_tags.c.tag == storable(tag))) for tag in query.tags if tag
    ]
    equal = {name: getattr(query, name) for name in ("notebook", "user", "seed")}
    wanted += [getattr(job, name) == value for name, value in equal.items() if value not in ("", None)]
    if query.starred:
        pictures = sa.select(PictureRow.job_seq).where(PictureRow.is_starred == 1)
        wanted.append(job.seq.in_(sa.union(sa.select(job.seq).where(job.is_starred == 1), pictures)))
    if query.batch:
        is_named = sa.or_(BatchRow.name == query.batch, BatchRow.id == query.batch)
        newest = sa.select(sa.func.max(BatchRow.seq)).where(is_named).scalar_subquery()
        tasks = sa.select(BatchTaskRow.job_seq).where(BatchTaskRow.batch_seq == newest, BatchTaskRow.is_current == 1)
        wanted.append(job.seq.in_(tasks))
    wanted += [job.is_rejected == int(query.rejected)] if query.rejected is not None else []
    return wanted


_PARTS: Final = sa.select(BatchTaskRow.job_seq, sa.func.max(BatchTaskRow.batch_seq).label("batch_seq"))
_BATCH_OF: Final = _PARTS.where(BatchTaskRow.is_current == 1).group_by(BatchTaskRow.job_seq).subquery()
"""The newest batch of each job that has one."""


def _folded(wanted: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """Return the condition that leaves of each batch its newest job that is wanted."""
    newest = sa.select(sa.func.max(JobSummary.seq)).join(_BATCH_OF, _BATCH_OF.c.job_seq == JobSummary.seq)
    newest = newest.where(*wanted).group_by(_BATCH_OF.c.batch_seq)
    return sa.or_(JobSummary.seq.not_in(sa.select(_BATCH_OF.c.job_seq)), JobSummary.seq.in_(newest))


def _has_status(words: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for word in words:
        plain = word.strip().lower().replace("-", "_").replace(" ", "_")
        if plain == NOT_SENT:
            conditions.append(sa.and_(JobSummary.status == Status.REFUSED, JobSummary.error_code == NOT_SENT))
        elif plain in PLAIN_WORDS:
            conditions.append(JobSummary.status.in_(PLAIN_WORDS[plain]))
        else:
            hint = f"{did_you_mean(word, STATES)} Use one of: {', '.join(STATES)}.".strip()
            raise StoreError(f"{word!r} is not a status.", hint=hint)
    return [sa.or_(*conditions)] if words else []


def _forget(session: Session, row: JobRow, now: float) -> None:
    """Remove what says something of the picture."""
    for picture in row.pictures:
        picture.file = picture.corrupt_file = picture.url = picture.note = ""
    for name, nothing in {**_FORGOTTEN, "inputs": [], "purged_at": now}.items():
        setattr(row, name, nothing)
    session.execute(sa.update(EventRow).where(EventRow.job_seq == row.seq).values(detail={}))
    reindex(session, [row])


def _is_used(session: Session, file: str, by_others_than: JobRow) -> bool:
    columns = ((PictureRow, PictureRow.file), (PictureRow, PictureRow.corrupt_file), (InputRow, InputRow.file))
    found = (sa.select(row.job_seq).where(column == file, row.job_seq != by_others_than.seq) for row, column in columns)
    return any(session.scalar(each.limit(1)) for each in found)


def _add_up(
    session: Session,
    wanted: Sequence[sa.ColumnElement[bool]],
    label: Any = None,
    key_of: Callable[[Any], str] = str,
    *,
    listed: bool = True,
) -> dict[str, Spend]:
    """Add up jobs by ``key_of`` the value of a column, under "" without one.

    Equal amounts are counted together and multiplied, so that nothing is ever rounded.
    """
    price = (JobSummary.cost_source, JobSummary.cost_currency, JobSummary.cost_amount, JobSummary.cost_note)
    rows: dict[str, Spend] = {}
    found = _grouped(session, wanted, sa.null() if label is None else label, IS_OURS, JobSummary.status, *price)
    for jobs, asked, saved, value, is_ours, status, source, currency, amount, note in found:
        name = "" if label is None else key_of(value)
        row = rows.setdefault(name, Spend(key=name))
        billed = asked if status == Status.EXPIRED else saved
        row.jobs, row.pictures_saved = row.jobs + jobs, row.pictures_saved + saved
        row.pictures_made, row.free = row.pictures_made + billed, row.free + (jobs if status in FREE else 0)
        is_known = is_plausible(amount) and isinstance(currency, str) and currency.isascii()
        is_known = is_known and (listed or not str(note).startswith(LISTED))
        if is_ours and not is_known and status in BILLED:
            row.unpriced += billed
            row.total += Total(unknown=jobs)
        elif is_ours and is_known and amount and source in ("reported", "estimated"):
            row.total += Cost(amount * jobs, currency, Source(source))
        elif source == Source.SIMULATED and (known := read_amount(str(note).removeprefix("would cost "))):
            row.would_cost += Cost(known[0] * jobs, known[1], Source.ESTIMATED)
    return rows


def _add_reserved(session: Session, now: float, wanted: Sequence[sa.ColumnElement[bool]], found: Spend) -> None:
    # An intent whose owner is gone reserves nothing: the same call again sends it, and then reserves anew.
    reserves = sa.and_(IS_OPEN, sa.or_(JobSummary.status != Status.INTENT, JobSummary.has_lease(now)))
    is_made, is_priced = JobSummary.status == Status.SUCCEEDED, JobSummary.cost_amount.is_not(None)
    price = (JobSummary.reserved_currency, JobSummary.reserved_amount)
    rows = _grouped(session, [reserves, *wanted], is_made, is_priced, *price)
    for jobs, asked, saved, made, priced, currency, amount in rows:
        found.pictures_reserved += asked
        found.pictures_made -= saved
        if priced:  # the service has said what it cost: that is spent, not reserved
            continue
        if made:  # reserved until it is fetched, so its cost does not count as unknown as well
            found.total = Total(found.total.amounts, found.total.unknown - jobs)
            found.unpriced -= saved
        if is_plausible(amount) and isinstance(currency, str) and currency.isascii():
            found.reserved[currency] = found.reserved.get(currency, Decimal(0)) + amount * jobs
        else:
            found.reserved_unknown += jobs
            found.reserved_unpriced += asked


def _add_unwritten(session: Session, now: float, of: Mapping[str, object], found: Spend) -> None:
    """Add what batches reserve whose jobs are just being written; a kernel that was killed writes no more."""
    alive = (BatchRow.written_at.is_(None), BatchRow.reserved_at > now - WAITING_LEASE_S)
    wanted = [getattr(BatchRow, name) == value for name, value in of.items() if value is not None]
    for row in session.scalars(sa.select(BatchRow).where(*alive, *wanted)) if has_batches(session) else ():
        found.pictures_reserved += row.reserved_pictures
        if row.reserved_amount is not None:
            known = found.reserved.get(row.reserved_currency, Decimal(0))
            found.reserved[row.reserved_currency] = known + row.reserved_amount
        elif row.reserved_pictures:
            found.reserved_unknown += 1
            found.reserved_unpriced += row.reserved_pictures


def _grouped(session: Session, wanted: Sequence[sa.ColumnElement[bool]], *columns: Any) -> Iterable[Any]:
    """Count jobs, pictures asked for and pictures on disk of each combination of values, which follows the counts."""
    # Named, so that GROUP BY can say them by name: a bound value in both places is not the same to a server.
    groups = [column.label(f"group_{number}") for number, column in enumerate(columns)]
    # A stored number that is none, or too large to be added up, counts as 0.
    sums = [
        sa.cast(sa.func.sum(sa.case((column.between(0, INTEGER_MAX), column), else_=0)), sa.BigInteger)
        for column in (JobSummary.n, JobSummary.picture_count)
    ]
    found: Any = sa.select(sa.func.count(), *sums, *groups).select_from(JobSummary)
    if columns[0] is job_tags.c.tag:
        found = found.join(job_tags, job_tags.c.job_seq == JobSummary.seq)
    return session.execute(found.where(*wanted).group_by(*(group.name for group in groups)))
