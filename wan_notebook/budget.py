"""Caps on money or pictures: read, stored, and checked inside the transaction that would create the jobs.

A cap in ``WAN_BUDGET`` cannot be raised from a notebook, only tightened: every cap that is set counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from .errors import BudgetError
from .money import format_amount, to_decimal

Per = Literal["day", "notebook", "total"]
PERIODS: tuple[Per, ...] = ("day", "notebook", "total")

_CAP = re.compile(
    r"\s*(?P<currency>[$¥€]|[A-Z]{3}\s)?\s*(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>pictures?|USD|CNY|EUR|(?-i:[A-Z]{3}))?"
    r"(?:\s*(?:/|per)\s*(?P<per>day|notebook|total))?\s*\Z",
    re.IGNORECASE,
)
_CURRENCY = {"$": "USD", "¥": "CNY", "€": "EUR"}


@dataclass(frozen=True)
class Cap:
    """At most ``amount`` (of ``currency``, or pictures if that is empty) per ``per``."""

    amount: Decimal
    per: Per
    currency: str = "USD"
    source: str = "%wan budget"

    @property
    def counts_pictures(self) -> bool:
        """Whether it caps pictures rather than money."""
        return not self.currency

    @property
    def text(self) -> str:
        """Return the cap as it is written: ``$5.00 per day``, ``40 pictures per notebook``."""
        return f"{self.shown(self.amount)} {'in total' if self.per == 'total' else f'per {self.per}'}"

    def shown(self, amount: Decimal) -> str:
        """Write an amount in this cap's unit."""
        if self.counts_pictures:
            return f"{amount:f} picture{'' if amount == 1 else 's'}"
        return format_amount(amount, self.currency)

    def command(self, amount: Decimal) -> str:
        """Return the command that sets this cap to another amount."""
        unit = " pictures" if self.counts_pictures else "" if self.currency == "USD" else f" {self.currency}"
        return f"%wan budget {amount.normalize():f}{unit} --per {self.per}"


@dataclass(frozen=True)
class Used:
    """What counts against a cap: spent, reserved for open jobs (``in_doubt`` too), and how many of unknown price.

    ``guessed`` pictures have no known price and are counted at the price of the next one, in either sum: nobody knows
    that they were free.
    """

    spent: Decimal
    reserved: Decimal
    unknown: int = 0
    guessed: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.spent + other.spent, self.reserved + other.reserved,
                    self.unknown + other.unknown, self.guessed + other.guessed)  # fmt: skip

    def text(self, cap: Cap) -> str:
        """Return ``$0.09 spent, $0.03 reserved for running jobs``, with what is not known of it."""
        said = f"{self.unknown} unknown" if self.unknown else ""
        if self.guessed:
            said = (
                f"{self.guessed} picture{'' if self.guessed == 1 else 's'} of unknown price counted like the next one"
            )
        spent, reserved = cap.shown(self.spent), cap.shown(self.reserved)
        return f"{spent} spent, {reserved} reserved for running jobs{f' ({said})' if said else ''}"


def parse_cap(text: str, *, per: str | None = None, source: str = "%wan budget") -> Cap:
    """Read ``5.00``, ``$5 per day``, ``40 pictures/notebook``. Raises ``BudgetError``."""
    match = _CAP.match(text)
    amount = to_decimal(match["amount"]) if match else None
    if match is None or amount is None:
        message = f"{'budget' if source == '%wan budget' else source} = {text!r} is no amount."
        if source == "WAN_BUDGET":
            hint = "Write e.g. WAN_BUDGET='$5 per day, 40 pictures per notebook' (day, notebook or total)."
        else:
            hint = "Write e.g. `%wan budget 5.00 --per day` or `%wan budget 40 pictures`."
        raise BudgetError(message, hint=hint)
    chosen = (per or match["per"] or "total").lower()
    if chosen not in PERIODS:
        message = f"--per = {chosen!r} is not known."
        raise BudgetError(message, hint=f"Use one of: {', '.join(PERIODS)}.")
    unit = (match["unit"] or "").upper()
    mark = (match["currency"] or "").strip()
    if unit.startswith("PICTURE"):
        return Cap(amount, chosen, "", source)
    currency = _CURRENCY.get(mark, mark.upper()) or unit or "USD"
    return Cap(amount, chosen, currency, source)


def check_cap(cap: Cap, used: Used, *, call: Decimal | None, call_text: str) -> None:
    """Refuse a call that could exceed a cap. ``call`` is the most it can cost (or make), None if nobody knows."""
    if call is None or used.unknown:
        what = "this call's price is not known" if call is None else _unknown_text(used.unknown)
        message = f"the budget of {cap.text} ({cap.source}) cannot be kept: {what}. Nothing was sent."
        raise BudgetError(message, hint=no_price_hint(cap))
    most = used.spent + used.reserved + call
    if most <= cap.amount:
        return
    verb = "make" if cap.counts_pictures else "cost"
    message = (
        f"this call could {verb} {call_text} and exceed the budget of {cap.text} ({cap.source}): "
        f"{used.text(cap)}. Nothing was sent."
    )
    if cap.source == "WAN_BUDGET":
        raised = f"{cap.shown(most)} per {cap.per}"
        hint = f"WAN_BUDGET sets this cap; it can only be raised where it is set, e.g. to `{raised}`."
        raise BudgetError(message, hint=hint)
    raise BudgetError(message, hint=f"Ask for fewer pictures, or raise it: `{cap.command(most)}`.")


def no_comparison(cap: Cap, currency: str) -> BudgetError:
    """Return the refusal of a call whose price is in another currency than a cap: amounts are never converted."""
    message = (
        f"the budget of {cap.text} ({cap.source}) cannot be compared with a price in {currency}: amounts are not "
        "converted. Nothing was sent."
    )
    if cap.source == "WAN_BUDGET":
        hint = f"WAN_BUDGET sets this cap; take it out where it is set, or write it in {currency} there."
        return BudgetError(message, hint=hint)
    other = replace(cap, currency=currency).command(Decimal(5))
    hint = f"`%wan budget off --per {cap.per}` removes it; `{other}`, say, puts one in {currency} in its place."
    return BudgetError(message, hint=hint)


def _unknown_text(count: int) -> str:
    return "1 earlier job has no known price" if count == 1 else f"{count} earlier jobs have no known price"


def no_price_hint(in_force: Cap | None = None) -> str:
    """Return the three ways out where a price is not known. A cap that is ``in_force`` stands in two of their ways."""
    price = "set it with `%wan config price=0.03`"
    if in_force is None:
        without, pictures = "without this cap", "instead: `%wan budget 40 pictures`"
    elif in_force.source == "WAN_BUDGET":
        without, pictures = "where WAN_BUDGET does not set this cap", "there: WAN_BUDGET='40 pictures'"
    else:
        off = f"`%wan budget off --per {in_force.per}`"
        without, pictures = f"without this cap ({off})", f"instead: {off}, then `%wan budget 40 pictures`"
    return (
        f"Three ways out: make one picture {without}, so that its price becomes known; {price}; "
        f"or count pictures {pictures}."
    )


def tightest(caps: Sequence[Cap]) -> list[Cap]:
    """Return, of the caps on the same thing, the lowest: an environment's cap can only be tightened."""
    lowest: dict[tuple[Per, str], Cap] = {}
    for cap in caps:
        key = (cap.per, cap.currency)
        if key not in lowest or cap.amount < lowest[key].amount:
            lowest[key] = cap
    return list(lowest.values())
