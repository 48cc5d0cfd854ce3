"""Budgets on money or pictures: reading them, where they are kept, what counts against them, and a picture's price.

A budget protects against accidents, not against a person's own code. ``WAN_BUDGET`` is frozen when the settings are
loaded and can only be tightened from a notebook. The check itself is inside the transaction that creates the jobs
(``Database.create_or_join``); this module says what to check, and explains a refusal.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, get_args

from .database import Database, OverBudget, Price, Spend, SpendLimit, Used
from .errors import BudgetError
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

_META: Final = "budget"
_PERIOD: Final = re.compile(r"(?P<amount>.*?)\s*(?:/|\bper\b|\bin\b)\s*(?P<per>\w+)\s*", re.IGNORECASE | re.ASCII)
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
        hint = "Write for example `$5 per day` or `40 pictures per notebook`."
        raise BudgetError(f"{source} = {shown(text)} is not an amount.", hint=hint)
    return Budget(found[0], period, found[1], source)


@dataclass(frozen=True)
class BudgetBook:
    """The budgets that bind a call from one notebook.

    ``loader`` knows the person's budgets and other folders; ``database`` is the folder's, None if it has none yet.
    ``make_database`` makes it. ``notebook`` is empty outside of one; ``wall_clock`` gives Unix seconds. ``skipped``
    lists the other folders that could not be counted.
    """

    loader: "SettingsLoader"
    settings: "Settings"
    database: Database | None
    notebook: str
    wall_clock: Callable[[], float]
    make_database: Callable[[], Database]
    skipped: list[str] = field(default_factory=list)

    def all(self) -> list[Budget]:
        """Return the budgets in force, of ``WAN_BUDGET``, the person and this notebook: the lowest on each thing."""
        found = [parse_budget(text, source=VARIABLE) for text in self.settings.budget_texts]
        found += [parse_budget(text) for per in PERIODS for text in self._stored(per)]
        lowest: dict[tuple[Per, str], Budget] = {}
        for budget in found:
            other = lowest.setdefault((budget.per, budget.currency), budget)
            lowest[budget.per, budget.currency] = min(other, budget, key=lambda each: each.amount)
        return list(lowest.values())

    def lines(self) -> list[str]:
        """Return one line a budget: what is used and reserved of it, in every folder that it counts."""
        budgets = self.all()
        if not budgets:
            return ["no budget set (`%wan budget 5.00 --per day`)"]
        lines = []
        for budget, limit in zip(budgets, self._limits(budgets), strict=True):
            used = limit.used(self.database.spend_of(limit) if self.database else Spend())
            is_blind = limit.price_each is None and not self.settings.is_simulated
            blocked = f"; refuses every call until a picture's price is known in {budget.currency}" if is_blind else ""
            lines.append(f"{budget.text} ({budget.source}): {_used_text(budget, used)}{blocked}")
        if self.settings.is_simulated and not all(budget.counts_pictures for budget in budgets):
            lines.append("Practice pictures are free and do not count towards a money budget.")
        return [*lines, *(f"Not counted, since it cannot be read: {folder}" for folder in self.skipped)]

    def set(self, budget: Budget) -> None:
        """Keep a budget. Raise ``BudgetError`` if it is on money and no price is known in its currency."""
        price = None if budget.counts_pictures else self.known_price()
        is_fine = budget.counts_pictures or self.settings.is_simulated
        if not is_fine and (price is None or price.currency != budget.currency):
            why = f"in {price.currency} ({price.note})" if price else "not known yet"
            hint = f"Set the budget in {price.currency}: `%wan budget 4{price.currency}`; or " if price else ""
            hint += f"set the price: `%wan config price=0.03{budget.currency}`; or count pictures: "
            message = f"a budget of {budget.text} cannot be kept: the price of a picture is {why}."
            raise BudgetError(message, hint=f"{hint}`%wan budget 40 pictures`.")
        self.remove(per=budget.per, counts_pictures=budget.counts_pictures)
        self._write([*self._stored(budget.per), budget.text], budget.per)

    def remove(self, per: str | None = None, *, counts_pictures: bool | None = None) -> list[Budget]:
        """Forget the budgets of a period (of all without one) and return them; ``WAN_BUDGET`` stays."""
        removed = []
        for period in PERIODS if per is None else (per,):
            budgets = [parse_budget(text) for text in self._stored(period)]
            gone = [b for b in budgets if counts_pictures is None or b.counts_pictures is counts_pictures]
            if gone:
                self._write([b.text for b in budgets if b not in gone], period)
            removed += gone
        return removed

    @contextmanager
    def limits(self) -> Iterator[list[SpendLimit]]:
        """Give the limits that ``create_or_join`` checks, and explain an ``OverBudget`` that it raises.

        A budget that counts every folder is checked by one process at a time, since the transaction holds only one
        folder. Practice costs no money.
        """
        budgets = [budget for budget in self.all() if budget.counts_pictures or not self.settings.is_simulated]
        with ExitStack() as stack:
            if any(budget.per != "notebook" for budget in budgets):
                try:
                    stack.enter_context(locked(self.loader.data_dir / "budget.lock"))
                except TimeoutError as error:
                    message = f"the budget cannot be checked: {error}. Nothing was sent."
                    raise BudgetError(message, hint="End that process if it hangs, then run the cell again.") from None
            limits = self._limits(budgets) if budgets else []
            try:
                yield limits
            except OverBudget as error:
                raise _explained(error, budgets[limits.index(error.limit)]) from None

    # Prices, and what counts ------------------------------------------------------------------------------------------

    def unit_price(self, provider: str) -> Price | None:
        """Return the price of one picture: as set, else as last billed in this folder; None if nobody said."""
        if provider == "simulator":
            return Price(Decimal(0), "USD")
        if provider in self.settings.prices:
            return Price(*self.settings.prices[provider])
        return self.database.last_price(provider, MODEL) if self.database else None

    def known_price(self) -> Price | None:
        """Return the price of one picture, as last billed in any folder of the person if this one has none."""
        return self.unit_price(self.settings.provider) or _newest(self._elsewhere([]))

    def _limits(self, budgets: Sequence[Budget]) -> list[SpendLimit]:
        provider, now = self.settings.provider, dt.datetime.fromtimestamp(self.wall_clock()).astimezone()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        limits = [
            SpendLimit(
                amount=budget.amount,
                currency=budget.currency,
                since=midnight if budget.per == "day" else None,
                notebook=self.notebook if budget.per == "notebook" else None,
                is_simulated=budget.counts_pictures and self.settings.is_simulated,
            )
            for budget in budgets
        ]
        is_alone = all(budget.per == "notebook" and budget.counts_pictures for budget in budgets)
        others = [] if is_alone else self._elsewhere(limits)
        price = None if self.settings.is_simulated else self.unit_price(provider) or _newest(others)
        billed = self.database.last_price(provider, MODEL) if self.database and price else None
        if price and billed and billed.currency == price.currency:  # a set price does not lower what was last billed
            price = max(price, billed, key=lambda each: each.amount)
        return [
            replace(limit, price=price, elsewhere=tuple(s[at] for _, s in others) if budget.per != "notebook" else ())
            for at, (budget, limit) in enumerate(zip(budgets, limits, strict=True))
        ]

    def _elsewhere(self, limits: Sequence[SpendLimit]) -> list[tuple[Price | None, list[Spend]]]:
        """Ask the person's other folders for the price, and for what counts against each limit."""
        found = []
        self.skipped.clear()
        for folder in self.loader.known_folders():
            if folder == self.settings.folder:
                continue
            try:
                with Database.open(folder / LEDGER_NAME, read_only=True) as database:
                    price = database.last_price(self.settings.provider, MODEL)
                    found.append((price, [database.spend_of(limit) for limit in limits]))
            except Exception:  # noqa: BLE001 - whatever is wrong with another folder, it stops no call in this one
                self.skipped.append(str(folder))
        return found

    # Where they are kept ----------------------------------------------------------------------------------------------

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


def _newest(others: Sequence[tuple[Price | None, object]]) -> Price | None:
    return max((price for price, _ in others if price), key=lambda price: price.day or dt.date.min, default=None)


# Words ---------------------------------------------------------------------------------------------------------------


def _used_text(budget: Budget, used: Used) -> str:
    spent, reserved = (f"{a:f}" if budget.counts_pictures else budget.in_words(a) for a in (used.spent, used.reserved))
    unknown = f" ({used.unknown} of unknown price)" if used.unknown else ""
    return f"{spent} {'used' if budget.counts_pictures else 'spent'}, {reserved} reserved for running jobs{unknown}"


def _explained(error: OverBudget, budget: Budget) -> BudgetError:
    """Say why a call was refused, with a way out that works."""
    name, price = f"the budget of {budget.text} ({budget.source})", error.limit.price
    if error.asked is None or error.used.unknown:
        why = "a price is not known"
        if price and price.currency != budget.currency:
            why = f"a picture's price is in {price.currency}, and amounts are not converted"
        hint = f"`%wan budget off --per {budget.per}` removes it; or"
        if budget.source == VARIABLE:
            hint = "Restart the kernel with another WAN_BUDGET, for example '40 pictures'; or"
        hint += f" set the price: `%wan config price=0.03{budget.currency}`."
        return BudgetError(f"{name} cannot be kept: {why}. Nothing was sent.", hint=hint)
    needed = error.used.spent + error.used.reserved + error.asked
    could = f"this call could {'make' if budget.counts_pictures else 'cost'} {budget.in_words(error.asked)}"
    hint = f"Ask for fewer pictures, or raise it: `{budget.command(needed)}`."
    if budget.source == VARIABLE:
        raised = f"{budget.in_words(needed)} per {budget.per}"
        hint = f"Ask for fewer pictures, or restart the kernel with a higher WAN_BUDGET, for example `{raised}`."
    return BudgetError(f"{could} and exceed {name}: {_used_text(budget, error.used)}. Nothing was sent.", hint=hint)
