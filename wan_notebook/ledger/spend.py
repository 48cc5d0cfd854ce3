"""What was spent, what is reserved, what a picture last cost.

Sums are exact: amounts stay decimal text in the database, equal ones are counted there, and only the few distinct
ones are multiplied and added here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import ROUND_UP, Decimal
from typing import Any, Literal

import sqlalchemy as sa

from wan_notebook.money import Source, Total
from wan_notebook.states import OPEN, JobState

from . import codec, find, schema
from .figures import CostRow, DurationKey, Price, Reserved, Spend
from .job_row import JobRow
from .tx import Read

CostKey = Literal["day", "notebook", "tag", "user"]

_j = schema.jobs.c
_QUARTER_HOUR_S = 900
_PRICE_STEP = Decimal("0.000001")
_BILLED = frozenset({JobState.SUCCEEDED, JobState.SAVED, JobState.EXPIRED})
"""Ended at the service with a bill: without a reported amount their cost is unknown, never 0."""


def money_columns() -> tuple[sa.ColumnElement[Any], ...]:
    """Return what rows are grouped by before they are added up: few distinct values, however many rows."""
    return (_j.cost_source, _j.cost_currency, _j.cost_amount, _j.state, _j.simulated)


def add_up(groups: Iterable[Sequence[Any]]) -> Total:
    """Add groups of ``(source, currency, amount, state, simulated, count)``; simulated ones cost nothing."""
    sums: dict[tuple[Source, str], Decimal] = {}
    unknown = 0
    for source, currency, amount, state, simulated, count in groups:
        if simulated:
            continue
        if amount is None:
            unknown += count if JobState(state) in _BILLED else 0
        elif source in (Source.REPORTED, Source.ESTIMATED):
            key = (Source(source), currency)
            sums[key] = sums.get(key, Decimal(0)) + Decimal(amount) * count
    return Total(tuple((source, currency, amount) for (source, currency), amount in sorted(sums.items())), unknown)


class SpendReader:
    """The figures at one moment; inside ``create_jobs(check=…)`` nobody can change them before the jobs are made."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def spend(self, *, since: float | None = None, notebook: str | None = None) -> Spend:
        """Return what jobs created since a time, or of one notebook, cost and may still cost."""
        wanted = [_j.simulated == 0, _j.imported_at.is_(None)]
        if since is not None:
            wanted.append(_j.created_at >= since)
        if notebook is not None:
            wanted.append(_j.notebook == codec.encode_text(notebook))
        by = (*money_columns(), _j.reserved_currency, _j.reserved_amount)
        count = sa.func.count()
        figures = (count, sa.func.sum(_j.n), sa.func.sum(_j.picture_count))
        return _spend(self._read(sa.select(*by, *figures).where(*wanted).group_by(*by)))

    def last_price(self, provider: str, model: str) -> Price | None:
        """Return the newest reported cost of one picture, rounded up to a millionth; None if there is none."""
        return last_price(self._read, provider, model)

    def find_open(self, fingerprint: str, *, by: find.By, simulated_ok: bool) -> JobRow | None:
        """Return the newest open job of this request: another kernel may just have begun it."""
        return find.find_open(self._read, fingerprint, by=by, simulated_ok=simulated_ok)

    def find_answer(self, fingerprint: str, *, by: find.By, simulated_ok: bool) -> JobRow | None:
        """Return the newest saved take of this request."""
        return find.find_answer(self._read, fingerprint, by=by, simulated_ok=simulated_ok)


def _spend(groups: Sequence[Sequence[Any]]) -> Spend:
    reserved: dict[str, Decimal] = {}
    unpriced = made = pending = jobs = 0
    for *money, currency, amount, count, asked, delivered in groups:
        jobs += count
        state, known = JobState(money[3]), money[2] is not None
        if state is JobState.EXPIRED:
            made += asked
        elif state in OPEN:
            pending += asked
        else:
            made += delivered
        if state in OPEN and not known:
            if amount is None:
                unpriced += count
            else:
                reserved[currency] = reserved.get(currency, Decimal(0)) + Decimal(amount) * count
    # An open job without an amount is reserved, not spent: only what is over counts as unknown.
    settled = [(*money, count) for *money, _, _, count, _, _ in groups if JobState(money[3]) not in OPEN or money[2]]
    return Spend(
        total=add_up(settled),
        reserved=Reserved(amounts=tuple(sorted(reserved.items())), unknown=unpriced),
        pictures_made=made,
        pictures_reserved=pending,
        jobs=jobs,
    )


def last_price(read: Read, provider: str, model: str) -> Price | None:
    """Return the newest reported cost of one picture, rounded up to a millionth; None if there is none."""
    pictures = sa.select(sa.func.count()).where(schema.pictures.c.job_seq == _j.seq).scalar_subquery()
    found = (
        sa.select(_j.cost_amount, _j.cost_currency, _j.created_at, pictures)
        .where(_j.provider == provider, _j.model == model, _j.cost_source == Source.REPORTED.value)
        .where(_j.simulated == 0, _j.cost_amount.is_not(None), pictures > 0)
        .order_by(_j.created_at.desc(), _j.seq.desc())
        .limit(1)
    )
    rows = read(found)
    if not rows:
        return None
    amount, currency, at, count = rows[0]
    each = Decimal(amount) / count
    day = dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone().date()
    return Price(each.quantize(_PRICE_STEP, rounding=ROUND_UP).normalize(), currency, day)


def durations(read: Read, key: DurationKey, limit: int) -> list[float]:
    """Return the newest durations of jobs of one kind in seconds, newest last."""
    found = (
        sa.select(_j.duration_s)
        .where(_j.provider == key.provider, _j.model == key.model, _j.mode == key.mode)
        .where(_j.size_tier == key.size_tier, _j.n == key.n, _j.duration_s.is_not(None))
        .order_by(_j.finished_at.desc(), _j.seq.desc())
        .limit(limit)
    )
    return [row[0] for row in read(found)][::-1]


def cost_by(read: Read, by: CostKey, since: float | None) -> list[CostRow]:
    """Return costs by local day, notebook, tag or user; days in order, the rest by name."""
    label: sa.ColumnElement[Any]
    source: sa.FromClause = schema.jobs
    if by == "day":
        # Days are local and zones differ by quarters of an hour: count quarters, and tell their day here.
        label = sa.cast(_j.created_at / _QUARTER_HOUR_S, sa.Integer)
    elif by == "tag":
        label = schema.job_tags.c.tag
        source = schema.jobs.join(schema.job_tags, schema.job_tags.c.job_seq == _j.seq)
    else:
        label = _j.notebook if by == "notebook" else _j.user
    columns = (label, *money_columns())
    found = sa.select(*columns, sa.func.count(), sa.func.sum(_j.picture_count)).select_from(source)
    found = found.where(_j.simulated == 0, _j.imported_at.is_(None)).group_by(*columns)
    if since is not None:
        found = found.where(_j.created_at >= since)
    groups: dict[str, list[Sequence[Any]]] = {}
    for value, *rest in read(found):
        groups.setdefault(_label(by, value), []).append(rest)
    return [
        CostRow(
            key=name,
            jobs=sum(row[-2] for row in rows),
            pictures=sum(row[-1] for row in rows),
            total=add_up(row[:-1] for row in rows),
        )
        for name, rows in sorted(groups.items())
    ]


def _label(by: CostKey, value: Any) -> str:
    if by == "day":
        return dt.datetime.fromtimestamp(value * _QUARTER_HOUR_S, tz=dt.UTC).astimezone().date().isoformat()
    return codec.decode_text(value)
