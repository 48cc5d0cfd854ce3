"""Amounts with a currency and a source; sums that never mix either.

Money is ``Decimal`` with a currency and a source; unknown is never 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import total_ordering

SYMBOLS = {"USD": "$", "CNY": "¥", "EUR": "€"}


class Source(StrEnum):
    """Who says what it cost."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"
    SIMULATED = "simulated"
    STORED = "stored"


def to_decimal(value: object) -> Decimal | None:
    """Read a decimal amount as the gateway sends it: ASCII digits, finite and not negative; None for anything else."""
    text = str(value).strip(" \t")
    return Decimal(text) if re.fullmatch(r"\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?", text, re.ASCII) else None


def read_amount(text: str) -> tuple[Decimal, str] | None:
    """Read ``0.03``, ``$0.03``, ``0.2 CNY``, ``0.2CNY`` or ``JPY 5``: an amount and its currency; None for others."""
    match = re.fullmatch(r"([^\d\s.]*)\s*(\d[\d.]*)\s*([^\d\s.]*)", text.strip(), re.ASCII)
    before, number, after = match.groups() if match else ("", "", "")
    amount, unit = to_decimal(number), before or after
    if amount is None or (before and after):
        return None
    codes = {symbol: code for code, symbol in SYMBOLS.items()} | {code.lower(): code for code in SYMBOLS} | {"": "USD"}
    currency = codes.get(unit.lower(), unit)
    return (amount, currency) if re.fullmatch(r"[A-Z]{3}", currency) else None


def format_amount(amount: Decimal, currency: str = "USD") -> str:
    """Write an amount with at least two decimals and no rounding: ``$0.03``, ``$0.0255``, ``JPY 5.00``."""
    whole, _, fraction = (f"{amount.normalize():f}" if amount else "0").partition(".")
    shown = f"{whole}.{fraction:0<2}"
    return f"{SYMBOLS[currency]}{shown}" if currency in SYMBOLS else f"{currency} {shown}"


@total_ordering
@dataclass(frozen=True, eq=False)
class Cost:
    """What something cost. ``amount`` is None exactly if the source is unknown.

    It compares with plain numbers by its amount, so that ``job.cost <= 0.05`` works; an unknown price equals no
    number, and has no order: that is a ``ValueError``, not a guess. Costs add up to a ``Total``, also with ``sum``.
    """

    amount: Decimal | None = None
    currency: str = "USD"
    source: Source = Source.UNKNOWN
    note: str = ""
    parts: tuple[Cost, ...] = field(default=(), repr=False)
    """Of several costs that are not one amount together: each of them, so that a sum still has what is known."""

    @classmethod
    def zero(cls, source: Source, note: str = "") -> Cost:
        """Return a price of nothing, with its reason."""
        return cls(Decimal(0), source=source, note=note)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Cost):
            return (self.amount, self.currency) == (other.amount, other.currency)
        is_number = isinstance(other, int | float | Decimal) and not isinstance(other, bool)
        return self.amount == Decimal(str(other)) if is_number else NotImplemented

    def __hash__(self) -> int:
        return hash(self.amount)

    def __lt__(self, other: Cost | float | Decimal) -> bool:
        if isinstance(other, Cost) and other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be compared: amounts are never converted")
        return _number(self) < _number(other)

    def __add__(self, other: object) -> Total:
        return Total.of([self]).__add__(other)

    __radd__ = __add__

    def __float__(self) -> float:
        return float(_number(self))

    def __format__(self, spec: str) -> str:
        """Apply a number's format (``.2f``) to the amount, any other to the words; unknown stays in words."""
        if not spec.endswith(tuple("eEfFgGn")):
            return format(str(self), spec)
        return str(self) if self.amount is None else format(self.amount, spec)

    def __str__(self) -> str:
        if self.amount is None:
            return "price unknown"
        note = self.note
        for code, symbol in SYMBOLS.items():  # of two dollar signs in a table cell Jupyter makes a formula
            note = re.sub(rf"{re.escape(symbol)}(\d[\d.]*)", rf"\1 {code}", note)
        shown, why = format_amount(self.amount, self.currency), f" ({note})" if note else ""
        texts = {
            Source.ESTIMATED: f"≈{shown}{why or ' estimated'}",
            Source.SIMULATED: f"$0.00 simulated{why}",
            Source.STORED: "from store · $0.00",
        }
        return texts.get(self.source, shown)


def _number(value: Cost | float | Decimal) -> Decimal:
    amount = value.amount if isinstance(value, Cost) else Decimal(str(value))
    if amount is None:
        raise ValueError("the price is not known (job.cost.amount is None)")
    return amount


_BILLED = (Source.REPORTED, Source.ESTIMATED)
Amount = tuple[Source, str, Decimal]


def _merged(amounts: Iterable[Amount]) -> tuple[Amount, ...]:
    """Add up what has the same source and currency."""
    each = sorted(amounts)
    kinds = dict.fromkeys((source, currency) for source, currency, _ in each)
    return tuple((*kind, sum((a for s, c, a in each if (s, c) == kind), Decimal(0))) for kind in kinds)


@dataclass(frozen=True)
class Total:
    """A sum that keeps sources and currencies apart; ``unknown`` counts what has no price."""

    amounts: tuple[Amount, ...] = ()
    unknown: int = 0

    @classmethod
    def of(cls, costs: Iterable[Cost]) -> Total:
        """Add up; free by source (simulated, stored) is left out of the amounts."""
        each = [part for cost in costs for part in cost.parts or (cost,)]
        amounts = [(cost.source, cost.currency, cost.amount) for cost in each if cost.amount is not None]
        return cls(_merged(kind for kind in amounts if kind[0] in _BILLED), len(each) - len(amounts))

    def __add__(self, other: object) -> Total:
        """Add a cost, another sum, or the 0 that ``sum`` begins with; a bare amount has no currency."""
        other = Total.of([other]) if isinstance(other, Cost) else other
        if isinstance(other, Total):
            return Total(_merged([*self.amounts, *other.amounts]), self.unknown + other.unknown)
        return self if isinstance(other, int) and other == 0 else NotImplemented

    __radd__ = __add__

    def known(self, currency: str = "USD") -> Decimal:
        """Return reported and estimated amounts of one currency together: what a cap counts."""
        return sum((a for _, c, a in self.amounts if c == currency), Decimal(0))

    def __str__(self) -> str:
        parts = [f"{format_amount(a, c)} {s}" for want in _BILLED for s, c, a in self.amounts if s is want]
        parts += [f"{self.unknown} unknown"] if self.unknown else []
        return " + ".join(parts) if parts else "$0.00"
