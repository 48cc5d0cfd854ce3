"""Budgets on money or pictures: reading them, where they are kept, what counts against them, and a picture's price.

A budget protects against accidents, not against a person's own code. ``WAN_BUDGET`` is frozen when the settings are
loaded and can only be tightened from a notebook. The check itself is inside the transaction that creates the jobs
(``Database.create_or_join``); this module says what to check, and explains a refusal.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, get_args

from .database import Database, OverBudget, Price, Spend, SpendLimit, Used
from .errors import BudgetError, WanError
from .files import locked
from .models import MODEL
from .money import format_amount, read_amount
from .settings import LEDGER_NAME
from .text import did_you_mean, pluralize, shown

if TYPE_CHECKING:
    from .environment import Settings
    from .settings import SettingsLoader

Per = Literal["day", "notebook", "total"]
PERIODS: Final[tuple[Per, ...]] = get_args(Per)
COMMAND: Final = "%wan budget"
VARIABLE: Final = "WAN_BUDGET"
FREE_PRACTICE: Final = "Practice pictures are free and do not count towards a money budget."

_META: Final = "budget"
_PERIOD: Final = re.compile(r"(?P<amount>.*?)\s*(?:/|\bper\b)\s*(?P<per>\w+)\s*", re.IGNORECASE | re.ASCII)
_PICTURES: Final = re.compile(r"(\d{1,9})\s*pictures?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Budget:
    """At most ``amount`` per day, per notebook or in total, in ``currency``; pictures if that is empty."""

    amount: Decimal
    per: Per
    currency: str = "USD"
    source: str = COMMAND

    @property
    def counts_pictures(self) -> bool:
        """Whether it limits pictures rather than money."""
        return not self.currency

    @property
    def text(self) -> str:
        """The budget as it is written: ``$5.00 per day``, ``40 pictures in total``."""
        return f"{self.in_words(self.amount)} {'in total' if self.per == 'total' else f'per {self.per}'}"

    def in_words(self, amount: Decimal) -> str:
        """Write an amount in this budget's unit."""
        return pluralize(int(amount), "picture") if self.counts_pictures else format_amount(amount, self.currency)

    def command(self, amount: Decimal) -> str:
        """Return the command that sets this budget to another amount."""
        unit = " pictures" if self.counts_pictures else "" if self.currency == "USD" else f" {self.currency}"
        return f"%wan budget {amount.normalize():f}{unit} --per {self.per}"


def parse_budget(text: str, *, per: str | None = None, source: str = COMMAND) -> Budget:
    """Read ``5.00``, ``$5 per day``, ``40 pictures/notebook``, in ASCII digits. Raise ``BudgetError``."""
    match = _PERIOD.fullmatch(text.strip())
    amount_text = match["amount"] if match else text.strip()
    chosen = (per or (match["per"] if match else "total")).lower()
    period = next((known for known in PERIODS if known == chosen), None)
    if period is None:
        hint = did_you_mean(chosen, PERIODS) or f"Use one of: {', '.join(PERIODS)}."
        raise BudgetError(f"{shown(chosen)} is not a period of a budget.", hint=hint)
    if pictures := _PICTURES.fullmatch(amount_text):
        return Budget(Decimal(pictures[1]), period, "", source)
    if (found := read_amount(amount_text)) is None:
        hint = "Write for example `%wan budget 5.00 --per day` or `%wan budget 40 pictures`."
        if source == VARIABLE:
            hint = "Write for example WAN_BUDGET='$5 per day, 40 pictures per notebook'."
        raise BudgetError(f"{source} = {shown(text)} is not an amount.", hint=hint)
    return Budget(found[0], period, found[1], source)


@dataclass(frozen=True)
class BudgetBook:
    """The budgets that bind a call from one notebook.

    ``loader`` knows the person's budgets and other folders; ``database`` is the folder's, None if it has none yet.
    ``make_database`` makes it. ``notebook`` is empty outside of one; ``wall_clock`` gives Unix seconds.
    """

    loader: "SettingsLoader"
    settings: "Settings"
    database: Database | None
    notebook: str
    wall_clock: Callable[[], float]
    make_database: Callable[[], Database]

    def all(self) -> list[Budget]:
        """Return the budgets in force, of ``WAN_BUDGET``, the person and this notebook: the lowest on each thing."""
        found = [parse_budget(text, source=VARIABLE) for text in self.settings.budget_texts]
        found += [parse_budget(text) for per in PERIODS for text in self._stored(per)]
        alike = [[other for other in found if (other.per, other.currency) == (b.per, b.currency)] for b in found]
        return [b for b, same in zip(found, alike, strict=True) if b is min(same, key=lambda other: other.amount)]

    def lines(self) -> list[str]:
        """Return one line a budget: what is used and reserved of it, in every folder that it counts."""
        budgets = self.all()
        if not budgets:
            return ["no budget set (`%wan budget 5.00 --per day`)"]
        with self._other_databases(budgets) as others:
            price = self._guard_price(others)
            lines = []
            for budget in budgets:
                limit = self._limit(budget, price, others, simulated=budget.counts_pictures)
                used = limit.used(self.database.spend_of(limit) if self.database else Spend())
                blocked, is_comparable = "", budget.counts_pictures or (price and price.currency == budget.currency)
                if not (is_comparable or self.settings.is_simulated):
                    why = f"is in {price.currency}" if price else "is not known"
                    blocked = f"; refuses every call while a picture's price {why}"
                lines.append(f"{budget.text} ({budget.source}): {_used_text(budget, used)}{blocked}")
        has_money = any(not budget.counts_pictures for budget in budgets)
        return [*lines, FREE_PRACTICE] if self.settings.is_simulated and has_money else lines

    def set(self, budget: Budget) -> None:
        """Keep a budget. Raise ``BudgetError`` if it is on money and no price is known in its currency."""
        if not budget.counts_pictures:
            price, message = self.known_price(), f"a budget of {budget.text} cannot be kept"
            if price is None:
                raise BudgetError(f"{message}: the price of a picture is not known yet.", hint=_unknown_price_hint())
            if budget.currency != price.currency and not self.settings.is_simulated:
                hint = (
                    "Amounts are not converted. "
                    f'Set the budget in {price.currency}: `%wan budget "4 {price.currency}"`; '
                    f'or set a price in {budget.currency}: `%wan config "price=0.03 {budget.currency}"`; '
                    "or count pictures: `%wan budget 40 pictures`."
                )
                raise BudgetError(f"{message}: a picture's price is in {price.currency} ({price.note}).", hint=hint)
        self.remove(per=budget.per, counts_pictures=budget.counts_pictures)
        self._write([*self._stored(budget.per), budget.text.replace(" in total", " per total")], budget.per)

    def remove(self, per: str | None = None, *, counts_pictures: bool | None = None) -> list[Budget]:
        """Forget the budgets of a period (of all without one) and return them; ``WAN_BUDGET`` stays."""
        removed = []
        for period in PERIODS if per is None else (per,):
            budgets = [parse_budget(text) for text in self._stored(period)]
            gone = [b for b in budgets if counts_pictures is None or b.counts_pictures is counts_pictures]
            if gone:
                self._write([b.text.replace(" in total", " per total") for b in budgets if b not in gone], period)
            removed += gone
        return removed

    @contextmanager
    def limits(self) -> Iterator[list[SpendLimit]]:
        """Give the limits that ``create_or_join`` checks, and explain an ``OverBudget`` that it raises.

        A budget that counts every folder is checked by one process at a time, since the transaction holds only one
        folder.
        """
        budgets = self.all()
        with ExitStack() as stack:
            if any(budget.per != "notebook" for budget in budgets):
                try:
                    stack.enter_context(locked(self.loader.data_dir / "budget.lock"))
                except TimeoutError as error:
                    message = f"the budget cannot be checked: {error}. Nothing was sent."
                    raise BudgetError(message, hint="End that process if it hangs, then run the cell again.") from None
            others = stack.enter_context(self._other_databases(budgets))
            price = self._guard_price(others) if budgets else None
            limits = [self._limit(b, price, others, simulated=self.settings.is_simulated) for b in budgets]
            try:
                yield limits
            except OverBudget as error:
                raise _explained(error, budgets[limits.index(error.limit)]) from None

    # Prices ----------------------------------------------------------------------------------------------------------

    def unit_price(self, provider: str) -> Price | None:
        """Return the price of one picture: as set, else as last billed in this folder; None if nobody said."""
        if provider == "simulator":
            return Price(Decimal(0), "USD")
        if provider in self.settings.prices:
            return Price(*self.settings.prices[provider])
        return self.database.last_price(provider, MODEL) if self.database else None

    def known_price(self) -> Price | None:
        """Return the price of one picture, as last billed in any folder of the person if this one has none."""
        if (own := self.unit_price(self.settings.provider)) is not None:
            return own
        with self._other_databases() as others:
            return self._newest_price(others)

    def _guard_price(self, others: Sequence[Database]) -> Price | None:
        """Return the price that a budget is checked with: a set price does not lower what was last billed."""
        price = self.unit_price(self.settings.provider) or self._newest_price(others)
        billed = self._newest_price([self.database] if self.database and price else [])
        is_higher = price and billed and billed.currency == price.currency and billed.amount > price.amount
        return billed if is_higher else price

    def _newest_price(self, databases: Sequence[Database]) -> Price | None:
        billed = [price for each in databases if (price := each.last_price(self.settings.provider, MODEL)) is not None]
        return max(billed, key=lambda price: price.day or dt.date.min, default=None)

    # What counts -----------------------------------------------------------------------------------------------------

    def _limit(self, budget: Budget, price: Price | None, others: Sequence[Database], *, simulated: bool) -> SpendLimit:
        now = dt.datetime.fromtimestamp(self.wall_clock()).astimezone()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        limit = SpendLimit(
            amount=budget.amount,
            currency=budget.currency,
            since=midnight if budget.per == "day" else None,
            notebook=self.notebook if budget.per == "notebook" else None,
            price=None if self.settings.is_simulated else price,
            is_simulated=simulated and self.settings.is_simulated,
        )
        counted = others if budget.per != "notebook" else ()
        return replace(limit, elsewhere=tuple(database.spend_of(limit) for database in counted))

    @contextmanager
    def _other_databases(self, budgets: Sequence[Budget] | None = None) -> Iterator[list[Database]]:
        """Open the person's other folders, read-only, if any of these budgets needs them; skip what cannot be read."""
        is_wanted = budgets is None or any(b.per != "notebook" or not b.counts_pictures for b in budgets)
        with ExitStack() as stack:
            opened = []
            for folder in self.loader.known_folders() if is_wanted else ():
                if folder == self.settings.folder:
                    continue
                with suppress(WanError):
                    opened.append(stack.enter_context(Database.open(folder / LEDGER_NAME, read_only=True)))
            yield opened

    # Where they are kept ---------------------------------------------------------------------------------------------

    def _stored(self, per: str) -> list[str]:
        if per == "notebook":
            text = self.database.meta_get(f"{_META}:{self.notebook}") if self.database else ""
            return [part for part in (text or "").split(",") if part]
        found = self.loader.stored_table("budgets").get(per)
        return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []

    def _write(self, texts: Sequence[str], per: str) -> None:
        if per != "notebook":
            self.loader.store(budgets={**self.loader.stored_table("budgets"), per: list(texts)})
        else:
            (self.database or self.make_database()).meta_set(f"{_META}:{self.notebook}", ",".join(texts))


# Words ---------------------------------------------------------------------------------------------------------------


def _used_text(budget: Budget, used: Used) -> str:
    note = f"{used.unknown} of unknown price" if used.unknown else ""
    if used.guessed:
        note = f"{pluralize(used.guessed, 'picture')} of unknown price counted like the next one"
    amounts = [f"{a:f}" if budget.counts_pictures else budget.in_words(a) for a in (used.spent, used.reserved)]
    past = "used" if budget.counts_pictures else "spent"
    text = f"{amounts[0]} {past}, {amounts[1]} reserved for running jobs"
    return f"{text} ({note})" if note else text


def _explained(error: OverBudget, budget: Budget) -> BudgetError:
    """Say why a call was refused, with a way out that works."""
    name = f"the budget of {budget.text} ({budget.source})"
    if error.reason == "other currency":
        currency = error.limit.price.currency if error.limit.price else "another currency"
        message = f"{name} cannot be compared with a price in {currency}: amounts are not converted. Nothing was sent."
        other = replace(budget, currency=currency).command(Decimal(5))
        hint = f"`%wan budget off --per {budget.per}` removes it; then `{other}`, for example, sets one in {currency}."
        if budget.source == VARIABLE:
            hint = f"Write it in {currency} where WAN_BUDGET is set, then restart the kernel."
        return BudgetError(message, hint=hint)
    if error.reason == "unknown price":
        what = "this call's price is not known"
        if error.asked is not None:
            count = error.used.unknown
            what = f"{pluralize(count, 'earlier job')} {'has' if count == 1 else 'have'} no known price"
        message = f"{name} cannot be kept: {what}. Nothing was sent."
        return BudgetError(message, hint=_unknown_price_hint(budget))
    asked = error.asked or Decimal(0)
    needed = error.used.spent + error.used.reserved + asked
    verb = "make" if budget.counts_pictures else "cost"
    message = f"this call could {verb} {budget.in_words(asked)} and exceed {name}: {_used_text(budget, error.used)}."
    hint = f"Ask for fewer pictures, or raise it: `{budget.command(needed)}`."
    if budget.source == VARIABLE:
        hint = (
            "Ask for fewer pictures. WAN_BUDGET can only be raised where it is set, for example to "
            f"`{budget.in_words(needed)} per {budget.per}`; then restart the kernel."
        )
    return BudgetError(f"{message} Nothing was sent.", hint=hint)


def _unknown_price_hint(budget: Budget | None = None) -> str:
    """Return the three ways out where a price is not known; a budget that is in force bars two of them."""
    price = "set it with `%wan config price=0.03`"
    if budget is None:
        return (
            "Three ways out: make one picture without this budget, so that its price becomes known; "
            f"{price}; or count pictures instead: `%wan budget 40 pictures`."
        )
    if budget.source == VARIABLE:
        return f"Two ways out: {price}; or restart the kernel with WAN_BUDGET='40 pictures' instead."
    off = f"`%wan budget off --per {budget.per}`"
    return (
        f"Three ways out: {price}; remove the budget ({off}) and make one picture, so that its price becomes known; "
        f"or count pictures instead: {off}, then `%wan budget 40 pictures`."
    )
