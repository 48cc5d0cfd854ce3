"""Money: what was spent, what is reserved, and limits on either. Sums are exact and never of two kinds."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import Any, Final, Literal

from sqlalchemy import BigInteger, ColumnElement, Integer, and_, case, cast, func, null, or_, select
from sqlalchemy.orm import Session

from ..errors import BudgetError, StoreError
from ..money import Cost, Source, Total, read_amount
from .engine import DatabaseEngine
from .models import (
    INTEGER_MAX,
    IS_OPEN,
    IS_REPORTED,
    TIME_MAX_S,
    JobSummary,
    PictureRow,
    Price,
    is_plausible,
    job_tags,
)
from .status import BILLED, FREE, Status

CostKey = Literal["day", "notebook", "tag", "user"]
QUARTER_HOUR_S: Final = 900  # local days begin at quarters of an hour, in every zone
IS_OURS: Final = and_(JobSummary.is_simulated == 0, JobSummary.imported_at.is_(None))
"""Whose cost counts: what is simulated cost nothing, what was imported was paid elsewhere."""


@dataclass(kw_only=True)
class CostRow:
    """What the jobs of one day (``2026-11-24``), notebook, tag or user add up to.

    ``pictures`` counts pictures on disk, ``billed`` also those that expired unfetched; ``unpriced`` are those of
    ``billed`` whose jobs have no known cost. ``would_cost`` is the price of practice pictures. ``free`` counts those
    of ``jobs`` that were never billed: refused, failed, cancelled, not sent.
    """

    key: str = ""
    jobs: int = 0
    pictures: int = 0
    total: Total = field(default_factory=Total)
    would_cost: Total = field(default_factory=Total)
    billed: int = 0
    unpriced: int = 0
    free: int = 0


@dataclass(kw_only=True)
class Spend:
    """What was spent and what is reserved.

    ``reserved`` is the most that open jobs may still cost, by currency; ``reserved_unknown`` counts those without a
    known price, ``reserved_unpriced`` the pictures that they may make. ``pictures_made`` may have been billed,
    ``pictures_saved`` are on disk, ``pictures_reserved`` is the most that open jobs may still make. ``unpriced`` are
    pictures made whose cost nobody knows, ``free`` jobs that were never billed.
    """

    total: Total = field(default_factory=Total)
    reserved: dict[str, Decimal] = field(default_factory=dict)
    reserved_unknown: int = 0
    reserved_unpriced: int = 0
    pictures_made: int = 0
    pictures_saved: int = 0
    pictures_reserved: int = 0
    jobs: int = 0
    free: int = 0
    unpriced: int = 0


@dataclass(frozen=True, kw_only=True)
class Used:
    """What counts against a limit, in its unit, and how many jobs could not be counted for want of a price."""

    spent: Decimal
    reserved: Decimal
    unknown: int = 0


@dataclass(frozen=True, kw_only=True)
class SpendLimit:
    """At most ``amount`` of ``currency``, or that many pictures if the currency is empty.

    ``since`` (Unix seconds) and ``notebook`` say which jobs count, ``is_simulated`` that practice does and nothing
    else; ``elsewhere`` is what was spent in other folders. ``price`` is that of one picture of this call, also taken
    for pictures whose price nobody knows.
    """

    amount: Decimal
    currency: str = "USD"
    since: float | None = None
    notebook: str | None = None
    price: Price | None = None
    elsewhere: tuple[Spend, ...] = ()
    is_simulated: bool = False

    @property
    def price_each(self) -> Decimal | None:
        """What one picture takes of this limit; None if that is not known, or is in another currency."""
        if not self.currency:
            return Decimal(1)
        return self.price.amount if self.price is not None and self.price.currency == self.currency else None

    def used(self, here: Spend) -> Used:
        """Return what counts against this limit, of what was spent in this folder and elsewhere."""
        spends, each = (here, *self.elsewhere), self.price_each
        if not self.currency:
            made, asked = sum(spend.pictures_made for spend in spends), sum(spend.pictures_reserved for spend in spends)
            return Used(spent=Decimal(made), reserved=Decimal(asked))
        spent = sum((spend.total.known(self.currency) for spend in spends), Decimal(0))
        reserved = sum((spend.reserved.get(self.currency, Decimal(0)) for spend in spends), Decimal(0))
        if each is None:
            unknown = sum(spend.total.unknown + spend.reserved_unknown for spend in spends)
            return Used(spent=spent, reserved=reserved, unknown=unknown)
        spent += each * sum(spend.unpriced for spend in spends)
        return Used(spent=spent, reserved=reserved + each * sum(spend.reserved_unpriced for spend in spends))


class OverBudget(BudgetError):
    """A call could exceed a limit, or nobody can say whether it would; nothing was written.

    ``asked`` is the most that the call can cost, or make; None if its price is not known in the limit's currency.
    """

    def __init__(self, limit: SpendLimit, *, used: Used, asked: Decimal | None) -> None:
        super().__init__(f"This call does not fit into a limit of {limit.amount} {limit.currency or 'pictures'}.")
        self.limit, self.used, self.asked = limit, used, asked


class Spending(DatabaseEngine):
    """What is asked about money."""

    def spend(self, since: float | None = None, notebook: str | None = None, simulated: bool = False) -> Spend:
        """Return what jobs created since a time, or of one notebook, cost and may still cost.

        Real ones, or with ``simulated`` the simulated ones alone: practice is never added to money. Imported jobs
        were paid elsewhere and count nowhere.
        """
        wanted = [JobSummary.is_simulated == int(simulated), JobSummary.imported_at.is_(None)]
        wanted += [JobSummary.created_at >= since] if since is not None else []
        wanted += [JobSummary.notebook == notebook] if notebook is not None else []
        with self.reading() as session:
            row = add_up(session, wanted).get("", CostRow())
            found = Spend(total=row.total, pictures_made=row.billed, pictures_saved=row.pictures)
            found.jobs, found.free, found.unpriced = row.jobs, row.free, row.unpriced
            _add_reserved(session, self.now(), wanted, found)
            return found

    def spend_of(self, limit: SpendLimit) -> Spend:
        """Return what counts against a limit here."""
        return self.spend(limit.since, limit.notebook, limit.is_simulated)

    def check_limits(self, limits: Iterable[SpendLimit], pictures: int) -> None:
        """Raise ``OverBudget`` if jobs of so many pictures would break a limit."""
        for limit in limits if pictures else ():
            used, each = limit.used(self.spend_of(limit)), limit.price_each
            asked = None if each is None else each * pictures
            if asked is None or used.unknown or used.spent + used.reserved + asked > limit.amount:
                raise OverBudget(limit, used=used, asked=asked)

    def cost_by(self, by: CostKey, since: float | None = None, *, simulated: bool = False) -> list[CostRow]:
        """Return costs by local day, notebook, tag or user, in the order of their names: of money, or of practice."""
        labels: Mapping[str, Any] = {
            "day": cast(JobSummary.created_at, Integer) // QUARTER_HOUR_S,
            "notebook": JobSummary.notebook,
            "tag": job_tags.c.tag,
            "user": JobSummary.user,
        }
        if by not in labels:
            raise StoreError(f"Costs cannot be summed by {by!r}.", hint=f"Use one of: {', '.join(labels)}.")
        wanted = [JobSummary.is_simulated == int(simulated), JobSummary.imported_at.is_(None)]
        wanted.append(JobSummary.created_at.between(since or 0, TIME_MAX_S))
        key_of = (lambda at: str(_local_day(at * QUARTER_HOUR_S))) if by == "day" else str
        with self.reading() as session:
            return sorted(add_up(session, wanted, labels[by], key_of).values(), key=lambda row: row.key)

    def last_price(self, provider: str, model: str) -> Price | None:
        """Return the newest reported cost of one picture, rounded up to a millionth; None if there is none."""
        delivered = select(func.count()).where(PictureRow.job_seq == JobSummary.seq).scalar_subquery()
        found = (
            select(JobSummary, delivered)
            .where(JobSummary.provider == provider, JobSummary.model == model, IS_REPORTED, IS_OURS)
            .where(JobSummary.cost_amount.is_not(None), delivered > 0)
            .where(JobSummary.created_at.between(0, TIME_MAX_S))  # an odd row must not stop every call
            .order_by(JobSummary.created_at.desc())
        )
        with self.reading() as session:
            row, count = session.execute(found.limit(1)).first() or (JobSummary(), 1)
        if row.cost_amount is None or row.cost_amount >= 10**9 or not row.cost_currency:
            return None
        each = (row.cost_amount / count).quantize(Decimal("0.000001"), rounding=ROUND_UP)
        return Price(Decimal(f"{each.normalize():f}"), row.cost_currency, _local_day(row.created_at))


def add_up(
    session: Session, wanted: Sequence[ColumnElement[bool]], label: Any = None, key_of: Callable[[Any], str] = str
) -> dict[str, CostRow]:
    """Add up jobs by ``key_of`` the value of a column, under "" without one.

    Equal amounts are counted together and multiplied, so that nothing is ever rounded.
    """
    price = (JobSummary.cost_source, JobSummary.cost_currency, JobSummary.cost_amount, JobSummary.cost_note)
    rows: dict[str, CostRow] = {}
    found = _grouped(session, wanted, null() if label is None else label, IS_OURS, JobSummary.status, *price)
    for jobs, asked, saved, value, is_ours, status, source, currency, amount, note in found:
        name = "" if label is None else key_of(value)
        row = rows.setdefault(name, CostRow(key=name))
        billed = asked if status == Status.EXPIRED else saved
        row.jobs, row.pictures, row.billed = row.jobs + jobs, row.pictures + saved, row.billed + billed
        row.free += jobs if status in FREE else 0
        is_known = is_plausible(amount) and isinstance(currency, str)
        if is_ours and not is_known and status in BILLED:
            row.unpriced += billed
            row.total += Total(unknown=jobs)
        elif is_ours and is_known and amount and source in ("reported", "estimated"):
            row.total += Cost(amount * jobs, currency, Source(source))
        elif source == Source.SIMULATED and (known := read_amount(str(note).removeprefix("would cost "))):
            row.would_cost += Cost(known[0] * jobs, known[1], Source.ESTIMATED)
    return rows


def _add_reserved(session: Session, now: float, wanted: Sequence[ColumnElement[bool]], found: Spend) -> None:
    # An intent whose owner is gone reserves nothing: the same call again sends it, and then reserves anew.
    is_held = and_(JobSummary.owner_token != "", JobSummary.lease_until >= now)
    reserves = and_(IS_OPEN, or_(JobSummary.status != Status.INTENT, is_held))
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
        if is_plausible(amount) and isinstance(currency, str):
            found.reserved[currency] = found.reserved.get(currency, Decimal(0)) + amount * jobs
        else:
            found.reserved_unknown += jobs
            found.reserved_unpriced += asked


def _grouped(session: Session, wanted: Sequence[ColumnElement[bool]], *columns: Any) -> Iterable[Any]:
    """Count jobs, pictures asked for and pictures on disk of each combination of values, which follows the counts."""
    # Named, so that GROUP BY can say them by name: a bound value in both places is not the same to a server.
    groups = [column.label(f"group_{number}") for number, column in enumerate(columns)]
    # A stored number that is none, or too large to be added up, counts as 0.
    sums = [
        cast(func.sum(case((column.between(0, INTEGER_MAX), column), else_=0)), BigInteger)
        for column in (JobSummary.n, JobSummary.picture_count)
    ]
    found: Any = select(func.count(), *sums, *groups).select_from(JobSummary)
    if columns[0] is job_tags.c.tag:
        found = found.join(job_tags, job_tags.c.job_seq == JobSummary.seq)
    return session.execute(found.where(*wanted).group_by(*(group.name for group in groups)))


def _local_day(at: float) -> dt.date:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone().date()
