"""What was spent, what is reserved, what a picture last cost, how long jobs took."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from typing import Any, Literal

import sqlalchemy as sa

from wan_notebook.money import Total
from wan_notebook.states import JobState

from . import codec, find, schema
from .clauses import OPEN_CLAUSE, REPORTED_CLAUSE, TIMED_CLAUSE
from .figures import CostRow, DurationKey, Price, Reserved, Spend
from .job_row import JobRow
from .sums import Sum, add_up
from .tx import Condition, Read

CostKey = Literal["day", "notebook", "tag", "user"]

_j = schema.jobs.c
_QUARTER_HOUR_S = 900
_PRICE_STEP = Decimal("0.000001")
_OURS = (_j.simulated == 0, _j.imported_at.is_(None))
_PICTURE_COUNT = sa.select(sa.func.count()).where(schema.pictures.c.job_seq == _j.seq).scalar_subquery()
_LAST_PRICE = (
    sa.select(_j.cost_amount, _j.cost_currency, _j.created_at, _PICTURE_COUNT)
    .where(_j.provider == sa.bindparam("provider"), _j.model == sa.bindparam("model"), sa.text(REPORTED_CLAUSE))
    .where(*_OURS, _j.cost_amount.is_not(None), _PICTURE_COUNT > 0)
    .order_by(_j.created_at.desc())
    .limit(1)
)
_NOTHING = Sum(jobs=0, made=0, billed=0, total=Total())


class SpendReader:
    """The figures at one moment; inside ``create_jobs(check=…)`` nobody can change them before the jobs are made."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def spend(self, *, since: float | None = None, notebook: str | None = None, simulated: bool = False) -> Spend:
        """Return what jobs created since a time, or of one notebook, cost and may still cost.

        Real ones, or with ``simulated`` the simulated ones alone: practice is never added to money.
        """
        wanted: list[Condition] = [_j.simulated == int(simulated), _j.imported_at.is_(None)]
        if since is not None:
            wanted.append(_j.created_at >= since)
        if notebook is not None:
            wanted.append(_j.notebook == codec.encode_text(notebook))
        return _spend(self._read, wanted)

    def last_price(self, provider: str, model: str) -> Price | None:
        """Return the newest reported cost of one picture, rounded up to a millionth; None if there is none."""
        return last_price(self._read, provider, model)

    def find_open(self, fingerprint: str, *, by: find.By, simulated_ok: bool) -> JobRow | None:
        """Return the newest open job of this request: another kernel may just have begun it."""
        return find.find_open(self._read, fingerprint, by=by, simulated_ok=simulated_ok)

    def find_open_request(self, asked: str, *, simulated_ok: bool) -> JobRow | None:
        """Return the first job of the newest request as asked of which any part is still open."""
        return find.find_open_request(self._read, asked, simulated_ok=simulated_ok)

    def find_answer(self, fingerprint: str, *, by: find.By, simulated_ok: bool) -> JobRow | None:
        """Return the newest saved take of this request."""
        return find.find_answer(self._read, fingerprint, by=by, simulated_ok=simulated_ok)


def _spend(read: Read, wanted: Sequence[Condition]) -> Spend:
    everything = add_up(read, wanted).get(None, _NOTHING)
    reserved: dict[str, Decimal] = {}
    unknown = unpriced = pending = half_saved = awaited = awaited_pictures = 0
    by = (_j.state, _j.cost_amount.is_not(None), _j.reserved_currency, _j.reserved_amount)
    figures = (sa.func.count(), sa.func.sum(_j.n), sa.func.sum(_j.picture_count))
    for state, is_priced, currency, amount, count, asked, saved in read(
        sa.select(*by, *figures).where(sa.text(OPEN_CLAUSE), *wanted).group_by(*by)
    ):
        pending += asked
        half_saved += saved
        if is_priced:  # the service has said what it cost: that is spent, not reserved
            continue
        if state == JobState.SUCCEEDED:
            awaited += count
            awaited_pictures += saved
        if amount is None:
            unknown += count
            unpriced += asked
        else:
            reserved[currency] = reserved.get(currency, Decimal(0)) + Decimal(amount) * count
    return Spend(
        # A finished job that is not fetched yet is reserved, so its cost does not count as unknown as well.
        total=Total(everything.total.amounts, everything.total.unknown - awaited),
        reserved=Reserved(amounts=tuple(sorted(reserved.items())), unknown=unknown, unpriced=unpriced),
        pictures_made=everything.billed - half_saved,
        pictures_saved=everything.made,
        pictures_reserved=pending,
        jobs=everything.jobs,
        unpriced=everything.unpriced - awaited_pictures,
    )


def last_price(read: Read, provider: str, model: str) -> Price | None:
    """Return the newest reported cost of one picture, rounded up to a millionth; None if there is none."""
    rows = read(_LAST_PRICE, {"provider": codec.encode_text(provider), "model": codec.encode_text(model)})
    if not rows:
        return None
    amount, currency, at, count = rows[0]
    each = (Decimal(amount) / count).quantize(_PRICE_STEP, rounding=ROUND_UP)
    return Price(Decimal(f"{each.normalize():f}"), currency, _local_day(at))


def _local_day(at: float) -> dt.date:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone().date()


def durations(read: Read, key: DurationKey, limit: int) -> list[float]:
    """Return the newest durations of jobs of one kind in seconds, newest last."""
    found = (
        sa.select(_j.duration_s)
        .where(_j.provider == key.provider, _j.model == key.model, _j.mode == key.mode)
        .where(_j.size_tier == key.size_tier, _j.n == key.n, sa.text(TIMED_CLAUSE))
        .order_by(_j.finished_at.desc(), _j.seq.desc())
        .limit(limit)
    )
    return [row[0] for row in read(found)][::-1]


def cost_by(read: Read, by: CostKey, since: float | None) -> list[CostRow]:
    """Return costs by local day, notebook, tag or user, in the order of their names."""
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
    wanted: list[Condition] = [*_OURS]
    if since is not None:
        wanted.append(_j.created_at >= since)
    key_of = (lambda at: _local_day(at * _QUARTER_HOUR_S).isoformat()) if by == "day" else codec.decode_text
    rows = add_up(read, wanted, source=source, label=label, key_of=key_of)
    return [
        CostRow(key=name, jobs=figures.jobs, pictures=figures.made, total=figures.total)
        for name, figures in sorted(rows.items())
    ]
