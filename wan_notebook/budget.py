"""Budgets on money or pictures: reading them, where they are kept, what counts against them, and a picture's price.

A budget protects against accidents, not against a person's own code. ``WAN_BUDGET`` is frozen when the settings are
loaded and can only be tightened from a notebook. The check itself is inside the transaction that creates the jobs
(``Database.create_or_join``); this module says what to check, and explains a refusal.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from .database import Database, Price, Spend
from .environment import Settings
from .errors import BudgetError
from .files import locked
from .models import DASHSCOPE_REGIONS, GATEWAY_URL, MODEL, MODELS, WORKSPACE_HOST, WORKSPACE_REGIONS
from .money import format_amount, read_amount
from .settings import LEDGER_NAME, SettingsLoader
from .text import did_you_mean, pluralize, shown

Per = Literal["day", "notebook", "total"]
PERIODS: Final[tuple[Per, ...]] = get_args(Per)
COMMAND: Final = "%wan budget"

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

    def of(self, price: Price | None, pictures: int) -> Decimal | None:
        """Return what so many pictures take of it; None if that is not known, or is in another currency."""
        if self.counts_pictures:
            return Decimal(pictures)
        return price.amount * pictures if price and price.currency == self.currency else None

    def dearest(self, prices: Iterable[Price | None]) -> Price | None:
        """Return the highest of several prices, or one that is not known or in another currency."""
        return max(prices, key=lambda price: (self.of(price, 1) is None, self.of(price, 1) or 0))

    def used(self, price: Price | None, spends: Sequence[Spend]) -> "Used":
        """Return what counts against it; pictures of unknown price count like the next one."""
        if self.counts_pictures:
            made, asked = sum(s.pictures_made for s in spends), sum(s.pictures_reserved for s in spends)
            return Used(self, Decimal(made), Decimal(asked))
        each = self.of(price, 1)
        unknown = sum(s.total.unknown + s.reserved_unknown for s in spends) if each is None else 0
        spent = [s.total.known(self.currency) + (each or 0) * s.unpriced for s in spends]
        asked_for = [s.reserved.get(self.currency, Decimal(0)) + (each or 0) * s.reserved_unpriced for s in spends]
        return Used(self, sum(spent, Decimal(0)), sum(asked_for, Decimal(0)), unknown)


@dataclass(frozen=True)
class Used:
    """What counts against a budget, in its unit, and how many jobs could not be counted for want of a price."""

    budget: Budget
    spent: Decimal
    reserved: Decimal
    unknown: int = 0

    def __str__(self) -> str:
        unit = (lambda amount: f"{amount:f}") if self.budget.counts_pictures else self.budget.in_words
        unknown = f" ({self.unknown} of unknown price)" if self.unknown else ""
        return f"{unit(self.spent)} used, {unit(self.reserved)} reserved for running jobs{unknown}"


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

    loader: SettingsLoader
    settings: Settings
    database: Database | None
    notebook: str
    wall_clock: Callable[[], float]
    make_database: Callable[[], Database]
    skipped: list[str] = field(default_factory=list)

    def all(self) -> list[Budget]:
        """Return the budgets in force, of ``WAN_BUDGET``, the person and this notebook: the lowest on each thing."""
        found = [
            *(parse_budget(text, source="WAN_BUDGET") for text in self.settings.budget_texts),
            *(budget for per in PERIODS for budget in self._stored(per)),
        ]
        lowest: dict[tuple[Per, str], Budget] = {}
        for budget in found:
            other = lowest.setdefault((budget.per, budget.currency), budget)
            lowest[budget.per, budget.currency] = min(other, budget, key=lambda each: each.amount)
        return list(lowest.values())

    def lines(self) -> list[str]:
        """Return one line a budget: what is used and reserved of it, in every folder that it counts."""
        budgets, lines = self.all(), []
        if not budgets:
            return ["no budget set (`%wan budget 5.00 --per day`)"]
        prices, elsewhere = self._elsewhere(budgets)
        price = prices[MODEL]
        for budget, others in zip(budgets, elsewhere, strict=True):
            is_blind = budget.of(price, 1) is None and not self.settings.is_simulated
            blocked = f"; refuses every call until a picture's price is known in {budget.currency}" if is_blind else ""
            used = budget.used(price, [self._spend(self.database, budget), *others])
            lines.append(f"{budget.text} ({budget.source}): {used}{blocked}")
        if self.settings.is_simulated and not all(budget.counts_pictures for budget in budgets):
            lines.append("Practice pictures are free and do not count towards a money budget.")
        return [*lines, *(f"Not counted, since it cannot be read: {folder}" for folder in self.skipped)]

    def set(self, budget: Budget) -> None:
        """Keep a budget. Raise ``BudgetError`` if it is on money and no price is known in its currency."""
        price = self.known_price()
        if budget.of(price, 1) is None and not self.settings.is_simulated:
            why = f"in {price.currency}" if price else "not known yet"
            hint = f"{self._set_price(budget, 'Set it')}; or count pictures: `%wan budget 40 pictures`."
            raise BudgetError(f"a budget of {budget.text} cannot be kept: the price of a picture is {why}.", hint=hint)
        self.remove(per=budget.per, counts_pictures=budget.counts_pictures)
        self._write([*self._stored(budget.per), budget], budget.per)

    def remove(self, per: str | None = None, *, counts_pictures: bool | None = None) -> list[Budget]:
        """Forget the budgets of a period (of all without one) and return them; ``WAN_BUDGET`` stays."""
        removed = []
        for period in PERIODS if per is None else (per,):
            budgets = self._stored(period)
            gone = [b for b in budgets if counts_pictures is None or b.counts_pictures is counts_pictures]
            if gone:
                self._write([b for b in budgets if b not in gone], period)
            removed += gone
        return removed

    @contextmanager
    def checked(self, wanted: Mapping[str, int] | None = None) -> Iterator[Callable[[int], None] | None]:
        """Give the check that ``create_or_join`` makes inside its transaction: may so many pictures be ordered?

        ``wanted`` are the pictures of each model, all of the default one if it is left out; if only some of them are
        ordered, they count as the dearest ones. None without a budget. A budget that counts every folder is checked by
        one process at a time, since the transaction holds only one folder. Practice costs no money.
        """
        budgets = [budget for budget in self.all() if budget.counts_pictures or not self.settings.is_simulated]
        with ExitStack() as stack:
            if any(budget.per != "notebook" for budget in budgets):
                try:
                    stack.enter_context(locked(self.loader.data_dir / "budget.lock"))
                except TimeoutError as error:
                    message = f"the budget cannot be checked: {error}. Nothing was sent."
                    raise BudgetError(message, hint="End that process if it hangs, then run the cell again.") from None
            prices, elsewhere = self._elsewhere(budgets, wanted or [MODEL]) if budgets else ({}, [])

            def check(pictures: int) -> None:
                for budget, others in zip(budgets, elsewhere, strict=True):
                    price, each = budget.dearest(prices.values()), wanted or {MODEL: pictures}
                    is_whole = pictures == sum(each.values()) and not budget.counts_pictures
                    asked = budget.of(price_of(each, prices), 1) if is_whole else budget.of(price, pictures)
                    used = budget.used(price, [self._spend(self.database, budget), *others])
                    self._refuse(budget, used, asked, price)

            yield check if budgets else None

    # Prices, and what counts ------------------------------------------------------------------------------------------

    def unit_price(self, provider: str, model: str = MODEL, base_url: str | None = None) -> Price | None:
        """Return the price of one picture of a model: as set, as last billed in this folder, or as listed.

        None if nobody said. What is only listed at an address (the configured one) is an estimate: see ``counted``.
        """
        if provider == "simulator":
            return Price(Decimal(0), "USD")
        if provider in self.settings.prices:
            return Price(*self.settings.prices[provider])
        billed = self.database.last_price(provider, model) if self.database else None
        return billed or list_price(provider, model, self.settings.base_url if base_url is None else base_url)

    def counted(self, price: Price | None) -> Price | None:
        """Return a price that budgets may go by: a list price only if the person said so."""
        return None if price and price.listed and self.settings.provider not in self.settings.by_list else price

    def counted_prices(self, models: Iterable[str]) -> dict[str, Price | None]:
        """Return the price of each model that may be reserved."""
        known = {model: self.counted(self.unit_price(self.settings.provider, model)) for model in models}
        return {model: price or (self.known_price(model) if self.all() else None) for model, price in known.items()}

    def known_price(self, model: str = MODEL) -> Price | None:
        """Return the price of one picture that budgets go by, as last billed in any folder if this one has none."""
        return self.counted(self.unit_price(self.settings.provider, model)) or self._elsewhere([], [model])[0][model]

    def _spend(self, database: Database | None, budget: Budget) -> Spend:
        """Return what counts against a budget in a folder."""
        if database is None:
            return Spend()
        now = dt.datetime.fromtimestamp(self.wall_clock()).astimezone()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        return database.spend(
            since=midnight if budget.per == "day" else None,
            notebook=self.notebook if budget.per == "notebook" else None,
            simulated=budget.counts_pictures and self.settings.is_simulated,
            listed=self.settings.provider in self.settings.by_list,
        )

    def _elsewhere(
        self, budgets: Sequence[Budget], models: Iterable[str] = (MODEL,)
    ) -> tuple[dict[str, Price | None], list[list[Spend]]]:
        """Return each model's price that budgets go by, and what counts against each in the person's other folders.

        A set price does not lower what was last billed here; where there is none, it is what another folder paid. Only
        bills of the key in use count: a folder from somebody else could make pictures look cheap.
        """
        provider, key = self.settings.provider, self.settings.key_fingerprint
        billed: dict[str, list[Price | None]] = {model: [] for model in models}
        spends = [list[Spend]() for _ in budgets]
        self.skipped.clear()
        for folder in self.loader.known_folders():
            if folder == self.settings.folder:
                continue
            try:
                with Database.open(folder / LEDGER_NAME, read_only=True) as database:
                    for model, found in billed.items():
                        found.append(database.last_price(provider, model, key))
                    for budget, others in zip(budgets, spends, strict=True):
                        others += [self._spend(database, budget)] if budget.per != "notebook" else []
            except Exception:  # noqa: BLE001 - whatever is wrong with another folder, it stops no call in this one
                self.skipped.append(str(folder))
        prices: dict[str, Price | None] = {}
        for model, found in billed.items():
            own = self.counted(self.unit_price(provider, model))
            last = self.database.last_price(provider, model, key) if self.database else None
            if own and (own.day or own.listed):  # as billed, to whom ever; the list is for what was never billed
                own = last
            elif own and last and own.currency == last.currency:
                own = max(own, last, key=lambda price: price.amount)
            own = own or max(filter(None, found), key=lambda price: price.day or dt.date.min, default=None)
            prices[model] = own or self.counted(list_price(provider, model, self.settings.base_url))
        return prices, spends

    # Where they are kept ----------------------------------------------------------------------------------------------

    def _stored(self, per: str) -> list[Budget]:
        if per != "notebook":
            return [parse_budget(str(text)) for text in self.loader.stored().get("budgets", {}).get(per, ())]
        found, text = list[Budget](), self.database.meta_get(f"{_META}:{self.notebook}") if self.database else None
        for part in text.split(",") if text else ():
            with suppress(BudgetError):  # the ledger of somebody else may hold anything
                found.append(parse_budget(part))
        return found

    def _write(self, budgets: Sequence[Budget], per: str) -> None:
        texts = [budget.text for budget in budgets]
        if per != "notebook":
            self.loader.store(budgets={**self.loader.stored().get("budgets", {}), per: texts})
        else:
            (self.database or self.make_database()).meta_set(f"{_META}:{self.notebook}", ",".join(texts))

    # Refusals ---------------------------------------------------------------------------------------------------------

    def _refuse(self, budget: Budget, used: Used, asked: Decimal | None, price: Price | None) -> None:
        """Refuse a call that could break a budget, or may for all that is known, with a way out that works."""
        name, is_ours = f"the budget of {budget.text} ({budget.source})", budget.source == COMMAND
        if asked is None or used.unknown:
            why = "a price is not known"
            if price and price.currency != budget.currency:
                why = f"a picture's price is in {price.currency}, and amounts are not converted"
            hint = (
                f"`{COMMAND} off --per {budget.per}` removes it" if is_ours else "Restart the kernel without WAN_BUDGET"
            )
            hint += f"; or {self._set_price(budget, 'set the price')}."
            raise BudgetError(f"{name} cannot be kept: {why}. Nothing was sent.", hint=hint)
        needed = used.spent + used.reserved + asked
        if needed > budget.amount:
            could = f"this call could {'make' if budget.counts_pictures else 'cost'} {budget.in_words(asked)}"
            raised = f"{needed.normalize():f} {budget.currency or 'pictures'}"
            hint = f"raise it: `{COMMAND} {raised} --per {budget.per}`"
            hint = hint if is_ours else f"restart the kernel with `{raised} per {budget.per}` in WAN_BUDGET"
            message = f"{could} and exceed {name}: {used}. Nothing was sent."
            raise BudgetError(message, hint=f"Ask for fewer pictures, or {hint}.")

    def _set_price(self, budget: Budget, how: str) -> str:
        """Return how a price becomes known in a budget's currency."""
        hint = f"{how}: `%wan config price=0.03{budget.currency}`"
        listed = list_price(self.settings.provider, MODEL, self.settings.base_url)
        if listed and listed.currency == budget.currency:
            hint += f", or `price=list` ({format_amount(listed.amount, listed.currency)}, {listed.note})"
        return hint


# Refusals ------------------------------------------------------------------------------------------------------------


def price_of(wanted: Mapping[str, int], prices: Mapping[str, Price | None]) -> Price | None:
    """Return the price of all pictures that are wanted of each model, or None: one is not known, or in another coin."""
    each = [(prices[model], count) for model, count in wanted.items()]
    known = [price._replace(amount=price.amount * count) for price, count in each if price]
    if not known or len(known) < len(each) or len({price.currency for price in known}) > 1:
        return None
    weakest = max(known, key=lambda price: bool(price.listed))  # says where the whole comes from
    return weakest._replace(amount=sum((price.amount for price in known), Decimal(0)))


def list_price(provider: str, model: str, base_url: str) -> Price | None:
    """Return the list price of one picture of a model at an address; None for an address without a list."""
    ends: dict[str, tuple[str, ...]] = {"gateway": (GATEWAY_URL.removeprefix("https:"),)}
    for region, url in DASHSCOPE_REGIONS.items():
        ends[region] = (f"//{urlsplit(url).hostname}", f".{WORKSPACE_REGIONS[region]}.{WORKSPACE_HOST}")
    place = next((place for place, end in ends.items() if f"//{urlsplit(base_url).hostname}".endswith(end)), "")
    listed = MODELS[model].list_prices.get(place) if model in MODELS and provider != "simulator" else None
    return Price(Decimal(listed[0]), listed[1], listed=MODELS[model].list_date) if listed else None
