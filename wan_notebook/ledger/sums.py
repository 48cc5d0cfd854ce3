"""Exact sums over many jobs without sorting them: amounts in billionths as integers, one sum a source and currency.

An amount that is no whole number of billionths, or larger than a million, has none; such are rare and added up one
by one as decimals, so that nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from wan_notebook.money import Source, Total
from wan_notebook.states import JobState

from . import schema
from .tx import Condition, Read

_j = schema.jobs.c
_k = schema.cost_kinds.c

_BILLED: Final = sorted({JobState.SUCCEEDED, JobState.SAVED, JobState.EXPIRED})
"""Ended at the service with a bill: without a reported amount their cost is unknown, never 0."""

_COUNTS = sa.and_(_j.simulated == 0, _j.imported_at.is_(None))
"""Whose cost counts: what is simulated cost nothing, what was imported was paid elsewhere."""

Kind = tuple[Source, str]


@dataclass(frozen=True, kw_only=True)
class Sum:
    """What some jobs add up to. ``made`` counts pictures on disk, ``billed`` also those that expired unfetched.

    ``unpriced`` are those of ``billed`` whose jobs have no known cost.
    """

    jobs: int
    made: int
    billed: int
    total: Total
    unpriced: int = 0


def add_up(
    read: Read,
    wanted: Sequence[Condition],
    *,
    source: sa.FromClause = schema.jobs,
    label: sa.ColumnElement[Any] | None = None,
    key_of: Callable[[Any], Any] = lambda value: value,
) -> dict[Any, Sum]:
    """Add up the jobs that are wanted, by ``key_of`` the value of ``label`` if there is one (else under None)."""
    found_kinds = read(sa.select(_k.source, _k.currency, _k.odd))
    kinds: list[Kind] = sorted({(Source(row[0]), row[1]) for row in found_kinds})
    key = sa.null() if label is None else label
    billed = sa.case((_j.state == JobState.EXPIRED.value, _j.n), else_=_j.picture_count)
    is_unknown = sa.and_(_COUNTS, _j.cost_amount.is_(None), _j.state.in_(_BILLED))
    figures = [
        sa.func.count(),
        sa.func.sum(_j.picture_count),
        sa.func.sum(billed),
        sa.func.count(sa.case((is_unknown, 1))),
        sa.func.sum(sa.case((is_unknown, billed))),
        *[sa.func.sum(sa.case((_is_of(kind), _j.cost_nano))) for kind in kinds],
    ]
    found = sa.select(key, *figures).select_from(source).where(*wanted)
    added: dict[Any, list[int]] = {}
    for value, *row in read(found if label is None else found.group_by(label)):
        so_far = added.setdefault(key_of(value), [0] * len(figures))
        so_far[:] = [before + (more or 0) for before, more in zip(so_far, row, strict=True)]
    odd = _odd(read, wanted, source, key, key_of) if any(row[2] for row in found_kinds) else {}
    return {key: _sum(kinds, row, odd.get(key, [])) for key, row in added.items()}


def _sum(kinds: Sequence[Kind], row: Sequence[int], odd: Iterable[tuple[Kind, Decimal]]) -> Sum:
    jobs, made, billed, unknown, unpriced, *nanos = row
    amounts = [(kind, _decimal(nano)) for kind, nano in zip(kinds, nanos, strict=True) if nano]
    return Sum(jobs=jobs, made=made, billed=billed, total=_total([*amounts, *odd], unknown), unpriced=unpriced)


def _is_of(kind: Kind) -> sa.ColumnElement[bool]:
    return sa.and_(_COUNTS, _j.cost_source == kind[0].value, _j.cost_currency == kind[1])


def _decimal(nano: int) -> Decimal:
    return Decimal(f"{Decimal(nano).scaleb(-9).normalize():f}")


def _odd(
    read: Read,
    wanted: Sequence[Condition],
    source: sa.FromClause,
    key: sa.ColumnElement[Any],
    key_of: Callable[[Any], Any],
) -> dict[Any, list[tuple[Kind, Decimal]]]:
    columns = (key, _j.cost_source, _j.cost_currency, _j.cost_amount)
    is_odd = (_j.cost_amount.is_not(None), _j.cost_nano.is_(None))
    made: dict[Any, list[tuple[Kind, Decimal]]] = {}
    for value, kind, currency, amount in read(sa.select(*columns).select_from(source).where(*is_odd, _COUNTS, *wanted)):
        made.setdefault(key_of(value), []).append(((Source(kind), currency), Decimal(amount)))
    return made


def _total(amounts: Iterable[tuple[Kind, Decimal]], unknown: int) -> Total:
    sums: dict[Kind, Decimal] = {}
    for kind, amount in amounts:
        if kind[0] in (Source.REPORTED, Source.ESTIMATED):
            sums[kind] = sums.get(kind, Decimal(0)) + amount
    return Total(tuple((source, currency, amount) for (source, currency), amount in sorted(sums.items())), unknown)
