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
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from .database import Database, OverBudget, Price, Spend, SpendLimit
from .errors import BudgetError, WanError
from .files import locked
from .models import MODEL
from .money import Cost, Source, format_amount, read_amount
from .settings import LEDGER_NAME
from .text import did_you_mean, pluralize, shown

if TYPE_CHECKING:
    from .database import Used
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


def tightest(budgets: Sequence[Budget]) -> list[Budget]:
    """Return the lowest of the budgets on the same thing."""
    lowest: dict[tuple[Per, str], Budget] = {}
    for budget in budgets:
        key = (budget.per, budget.currency)
        if key not in lowest or budget.amount < lowest[key].amount:
            lowest[key] = budget
    return list(lowest.values())


class UnitPrice(NamedTuple):
    """The price of one picture; ``note`` is who says so: ``price as set``, ``as billed 3 Nov``, ``simulated``."""

    amount: Decimal
    currency: str
    note: str

    @property
    def is_simulated(self) -> bool:
        """Whether practice costs nothing."""
        return self.note == Source.SIMULATED

    def cost_of(self, pictures: int, practice_price: Decimal | None = None) -> Cost:
        """Return the most that so many pictures cost; of practice, its note is what they would cost."""
        if self.is_simulated:
            would = (
                f"would cost up to {format_amount(practice_price * pictures)}" if practice_price and pictures else ""
            )
            return Cost.zero(Source.SIMULATED, would)
        return Cost(self.amount * pictures, self.currency, Source.ESTIMATED, self.note)


class BudgetBook:
    """The budgets that bind a call from one notebook.

    Parameters
    ----------
    loader : SettingsLoader
        Where the person's budgets and other folders are known.
    settings : Settings
        Of the call.
    database : Database, optional
        Of the folder; None if it has none yet.
    notebook : str
        Path of the notebook, empty outside of one.
    wall_clock : callable
        Unix seconds; days are local ones.
    make_database : callable, optional
        Makes the folder's database, to keep a notebook's budget in.
    """

    def __init__(
        self,
        loader: "SettingsLoader",
        settings: "Settings",
        database: Database | None,
        notebook: str,
        wall_clock: Callable[[], float],
        make_database: Callable[[], Database] | None = None,
    ) -> None:
        self._loader = loader
        self._settings = settings
        self._database = database
        self._notebook = notebook
        self._wall_clock = wall_clock
        self._make_database = make_database

    def all(self) -> list[Budget]:
        """Return every budget in force: of ``WAN_BUDGET``, of the person, of this notebook."""
        found = [parse_budget(text, source=VARIABLE) for text in self._settings.budget_texts]
        return tightest(found + [parse_budget(text) for per in PERIODS for text in self._stored(per)])

    def lines(self) -> list[str]:
        """Return one line a budget: what is used and reserved of it, in every folder that it counts."""
        budgets, provider = self.all(), self._settings.provider
        if not budgets:
            return ["no budget set (`%wan budget 5.00 --per day`)"]
        with self._other_databases(budgets) as others:
            price = self._guard_price(provider, others)
            lines = []
            for budget in budgets:
                limit = self._limit(budget, price, others, simulated=budget.counts_pictures)
                here = limit.used(self._spend(limit, self._database) if self._database else Spend())
                used = sum((limit.used(spend) for spend in limit.elsewhere), here)
                blocked = "" if self._settings.is_simulated else _blocked_text(budget, price)
                lines.append(f"{budget.text} ({budget.source}): {_used_text(budget, used)}{blocked}")
        has_money = any(not budget.counts_pictures for budget in budgets)
        return [*lines, FREE_PRACTICE] if self._settings.is_simulated and has_money else lines

    def set(self, budget: Budget) -> None:
        """Keep a budget. Raise ``BudgetError`` if it is on money and no price is known in its currency."""
        price = self.known_price(self._settings.provider)
        if not budget.counts_pictures and price is None:
            message = f"a budget of {budget.text} cannot be kept: the price of a picture is not known yet."
            raise BudgetError(message, hint=_unknown_price_hint())
        if (
            price
            and not budget.counts_pictures
            and budget.currency != price.currency
            and not self._settings.is_simulated
        ):
            message = f"a budget of {budget.text} cannot be kept: a picture's price is in {price.currency}"
            hint = (
                f'Amounts are not converted. Set the budget in {price.currency}: `%wan budget "4 {price.currency}"`; '
                f'or set a price in {budget.currency}: `%wan config "price=0.03 {budget.currency}"`; '
                "or count pictures: `%wan budget 40 pictures`."
            )
            raise BudgetError(f"{message} ({price.note}).", hint=hint)
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
                    stack.enter_context(locked(self._loader.data_dir / "budget.lock"))
                except TimeoutError as error:
                    message = f"the budget cannot be checked: {error}. Nothing was sent."
                    raise BudgetError(message, hint="End that process if it hangs, then run the cell again.") from None
            others = stack.enter_context(self._other_databases(budgets))
            price = self._guard_price(self._settings.provider, others) if budgets else None
            limits = [self._limit(b, price, others, simulated=self._settings.is_simulated) for b in budgets]
            try:
                yield limits
            except OverBudget as error:
                raise _explained(error, budgets[limits.index(error.limit)]) from None

    # Prices ----------------------------------------------------------------------------------------------------------

    def unit_price(self, provider: str) -> UnitPrice | None:
        """Return the price of one picture: as set, else as last billed in this folder; None if nobody said."""
        if provider == "simulator":
            return UnitPrice(Decimal(0), "USD", Source.SIMULATED)
        if provider in self._settings.prices:
            return UnitPrice(*self._settings.prices[provider], "price as set")
        return _as_billed(self._database.last_price(provider, MODEL)) if self._database else None

    def known_price(self, provider: str) -> UnitPrice | None:
        """Return the price of one picture, as last billed in any folder of the person if this one has none."""
        if (own := self.unit_price(provider)) is not None:
            return own
        with self._other_databases() as others:
            return _newest_price(provider, others)

    def _guard_price(self, provider: str, others: Sequence[Database]) -> UnitPrice | None:
        """Return the price that a budget is checked with: a set price does not lower what was last billed."""
        price = self.unit_price(provider) or _newest_price(provider, others)
        billed = self._database.last_price(provider, MODEL) if self._database and price else None
        if price and billed and billed.currency == price.currency and billed.amount > price.amount:
            return price if price.is_simulated else _as_billed(billed)
        return price

    # What counts -----------------------------------------------------------------------------------------------------

    def _limit(
        self, budget: Budget, price: UnitPrice | None, others: Sequence[Database], *, simulated: bool
    ) -> SpendLimit:
        now = dt.datetime.fromtimestamp(self._wall_clock()).astimezone()
        known = Price(price.amount, price.currency, now.date()) if price and not price.is_simulated else None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        limit = SpendLimit(
            amount=budget.amount,
            currency=budget.currency,
            since=midnight if budget.per == "day" else None,
            notebook=self._notebook if budget.per == "notebook" else None,
            price=known,
            is_simulated=simulated and self._settings.is_simulated,
        )
        counted = others if budget.per != "notebook" else ()
        return replace(limit, elsewhere=tuple(self._spend(limit, database) for database in counted))

    def _spend(self, limit: SpendLimit, database: Database) -> Spend:
        return database.spend(since=limit.since, notebook=limit.notebook, simulated=limit.is_simulated)

    @contextmanager
    def _other_databases(self, budgets: Sequence[Budget] | None = None) -> Iterator[list[Database]]:
        """Open the person's other folders, read-only, if any of these budgets needs them; skip what cannot be read."""
        is_wanted = budgets is None or any(b.per != "notebook" or not b.counts_pictures for b in budgets)
        with ExitStack() as stack:
            opened = []
            for folder in self._loader.known_folders() if is_wanted else ():
                if folder == self._settings.folder:
                    continue
                with suppress(WanError):
                    database = Database.open(folder / LEDGER_NAME, read_only=True)
                    stack.callback(database.close)
                    opened.append(database)
            yield opened

    # Where they are kept ---------------------------------------------------------------------------------------------

    def _stored(self, per: str) -> list[str]:
        if per == "notebook":
            text = self._database.meta_get(f"{_META}:{self._notebook}") if self._database else ""
            return [part for part in (text or "").split(",") if part]
        found = self._stored_budgets().get(per)
        return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []

    def _stored_budgets(self) -> dict[str, Any]:
        found = self._loader.stored().get("budgets")
        return found if isinstance(found, dict) else {}

    def _write(self, texts: Sequence[str], per: str) -> None:
        if per != "notebook":
            self._loader.store(budgets={**self._stored_budgets(), per: list(texts)})
            return
        if self._database is None and self._make_database is not None:
            self._database = self._make_database()
        if self._database is not None:
            self._database.meta_set(f"{_META}:{self._notebook}", ",".join(texts))


def _as_billed(price: Price | None) -> UnitPrice | None:
    return UnitPrice(price.amount, price.currency, f"as billed {price.day:%-d %b}") if price else None


def _newest_price(provider: str, databases: Sequence[Database]) -> UnitPrice | None:
    billed = [price for database in databases if (price := database.last_price(provider, MODEL)) is not None]
    return _as_billed(max(billed, key=lambda price: price.day, default=None))


# Words ---------------------------------------------------------------------------------------------------------------


def _used_text(budget: Budget, used: "Used") -> str:
    note = f"{used.unknown} of unknown price" if used.unknown else ""
    if used.guessed:
        note = f"{pluralize(used.guessed, 'picture')} of unknown price counted like the next one"
    amounts = [f"{a:f}" if budget.counts_pictures else budget.in_words(a) for a in (used.spent, used.reserved)]
    past = "used" if budget.counts_pictures else "spent"
    text = f"{amounts[0]} {past}, {amounts[1]} reserved for running jobs"
    return f"{text} ({note})" if note else text


def _blocked_text(budget: Budget, price: UnitPrice | None) -> str:
    if budget.counts_pictures or (price is not None and price.currency == budget.currency):
        return ""
    why = "is not known" if price is None else f"is in {price.currency}"
    return f"; refuses every call while a picture's price {why}"


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
