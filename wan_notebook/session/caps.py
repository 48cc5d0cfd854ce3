"""Budgets in force: where they are set, what counts against them, and what a picture costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from .. import catalog
from ..budget import Cap, Used, check_cap, no_comparison, no_price_hint, parse_cap, tightest
from ..errors import BudgetError, SettingsError
from ..folders import LEDGER_NAME, alone, data_dir, known_folders
from ..ledger import Ledger, Spend, SpendReader
from ..money import format_amount
from ..settings import Settings, Sources
from .replay import Part

Price = tuple[Decimal, str, str]
META = "budget"
LOCK_NAME = "budget.lock"
SIMULATED = "simulated"
PRACTICE = "Practice pictures cost nothing: they do not count against money."


class Caps:
    """The caps that bind a call from one notebook; of a folder without a ledger, what the other folders say."""

    def __init__(self, settings: Settings, ledger: Ledger | None, sources: Sources, notebook: str) -> None:
        self._settings, self._ledger, self._sources, self._notebook = settings, ledger, sources, notebook

    def all(self) -> list[Cap]:
        """Return every cap: of the environment, of the person, of this folder's notebook."""
        found = [parse_cap(text, source="WAN_BUDGET") for text in self._settings.budget_texts]
        found += [parse_cap(text) for text in self._stored()]
        return tightest(found)

    def lines(self) -> list[str]:
        """Return one line a cap: what is spent and reserved of it, in every folder that it counts."""
        caps = self.all()
        if not caps:
            return ["no cap is set (`%wan budget 5.00 --per day`)"]
        with self._elsewhere(caps) as others:
            provider = self._settings.provider.name
            price, practice = self._price(provider, others), provider == "simulator"
            # As `checking` counts: practice pictures for the next practice picture, and nowhere else.
            uses = [
                self._used(cap, self._ledger, others, price, simulated=practice and cap.counts_pictures) for cap in caps
            ]
        lines = [
            f"{cap.text} ({cap.source}): {used.text(cap)}{'' if practice else _blocked_text(cap, price)}"
            for cap, used in zip(caps, uses, strict=True)
        ]
        return [*lines, PRACTICE] if practice and any(not cap.counts_pictures for cap in caps) else lines

    def set(self, cap: Cap) -> None:
        """Remember a cap. An amount without a price known in its currency is refused, since it could not be kept."""
        provider = self._settings.provider.name
        price = self.known_price(provider)
        if not cap.counts_pictures and price is None:
            message = f"a budget of {cap.text} cannot be kept: no price of a picture is known yet."
            raise BudgetError(message, hint=no_price_hint())
        if not cap.counts_pictures and price is not None and provider != "simulator" and price[1] != cap.currency:
            message = f"a budget of {cap.text} cannot be kept: a picture's price is in {price[1]} ({price[2]})."
            raise BudgetError(message, hint=_other_currency(cap, price[1]))
        self.remove(cap.per, counts_pictures=cap.counts_pictures)
        self._write([*self._stored_of(cap.per), cap.text.replace(" in total", " per total")], cap.per)

    def remove(self, per: str | None = None, *, counts_pictures: bool | None = None) -> None:
        """Forget the caps of a period (all without one); ``WAN_BUDGET`` stays."""
        for period in ("day", "notebook", "total"):
            if per in (None, period):
                kept = [t for t in self._stored_of(period) if parse_cap(t).counts_pictures is not counts_pictures]
                self._write(kept if counts_pictures is not None else [], period)

    def unit_price(self, provider: str) -> Price | None:
        """Return the price of one picture: as set, else as last billed; None if nobody said (WAN_API §4)."""
        if provider == "simulator":
            return Decimal(0), "USD", SIMULATED
        if provider in self._settings.prices:
            amount, currency = self._settings.prices[provider]
            return amount, currency, "price as set"
        last = self._ledger.last_price(provider, catalog.MODEL) if self._ledger else None
        if last is not None:
            return last.amount, last.currency, f"as billed {last.day:%-d %b}"
        return None

    def known_price(self, provider: str) -> Price | None:
        """Return the price of one picture, as last billed in any folder of the person if this one has no price."""
        with self._elsewhere() as others:
            return self._price(provider, others)

    def most_text(self, parts_or_count: Sequence[Part] | int, provider: str) -> str:
        """Return the most that new pictures can cost: ``up to $0.12``, ``price unknown``."""
        count = parts_or_count if isinstance(parts_or_count, int) else pictures_of(parts_or_count)
        price = self.unit_price(provider)
        if provider == "simulator":
            return "$0.00 simulated"
        if price is None:
            return f"price unknown ({count} picture{'' if count == 1 else 's'} at most)"
        return f"up to {format_amount(price[0] * count, price[1])} ({price[2]})"

    @contextmanager
    def checking(
        self, caps: Sequence[Cap], parts: Sequence[Part], provider: str
    ) -> Iterator[Callable[[SpendReader], None]]:
        """Give what ``create_jobs`` runs inside its transaction.

        A cap that counts every folder is checked by one process at a time: the transaction holds this folder alone.
        """
        with ExitStack() as stack:
            if any(cap.per != "notebook" for cap in caps):
                try:
                    stack.enter_context(alone(data_dir() / LOCK_NAME))
                except TimeoutError as error:
                    message = f"the budget cannot be checked: {error}. Nothing was sent."
                    raise BudgetError(message, hint="End that process if it hangs, then run the cell again.") from None
            others = stack.enter_context(self._elsewhere(caps))
            price, pictures = self._price(provider, others) if caps else None, pictures_of(parts)

            def check(reader: SpendReader) -> None:
                for cap in caps:
                    used = self._used(cap, reader, others, price, simulated=provider == "simulator")
                    _check(cap, used, price, pictures, simulated=provider == "simulator")

            yield check

    # ------------------------------------------------------------------------------------------------------------------

    def _used(
        self, cap: Cap, here: SpendReader | Ledger | None, others: Sequence[Ledger], price: Price | None,
        *, simulated: bool = False,
    ) -> Used:  # fmt: skip
        """Return what counts against a cap, in every folder that it counts."""
        since = _midnight() if cap.per == "day" else None
        notebook = self._notebook if cap.per == "notebook" else None
        readers = [*([here] if here else []), *(others if cap.per != "notebook" else ())]
        spends = [reader.spend(since=since, notebook=notebook, simulated=simulated) for reader in readers]
        return sum((_used(cap, spend, price) for spend in spends), Used(Decimal(0), Decimal(0)))

    def _price(self, provider: str, others: Sequence[Ledger]) -> Price | None:
        if (own := self.unit_price(provider)) is not None:
            return own
        billed = [price for ledger in others if (price := ledger.last_price(provider, catalog.MODEL)) is not None]
        newest = max(billed, key=lambda price: price.day, default=None)
        return (newest.amount, newest.currency, f"as billed {newest.day:%-d %b}") if newest else None

    @contextmanager
    def _elsewhere(self, caps: Sequence[Cap] | None = None) -> Iterator[list[Ledger]]:
        """Open the ledgers of the person's other folders, if any of these caps concerns them."""
        wanted = caps is None or any(cap.per != "notebook" or not cap.counts_pictures for cap in caps)
        with ExitStack() as stack:
            yield [stack.enter_context(Ledger.open(path)) for path in self._other_ledgers()] if wanted else []

    def _other_ledgers(self) -> Iterator[Path]:
        for folder in known_folders():
            if folder != self._settings.folder:
                yield folder / LEDGER_NAME

    def _stored(self) -> list[str]:
        budgets = self._budgets()
        return [text for per in ("day", "notebook", "total") for text in self._stored_of(per, budgets)]

    def _stored_of(self, per: str, budgets: Mapping[str, Any] | None = None) -> list[str]:
        if per == "notebook":
            text = (self._ledger.meta_get(f"{META}:{self._notebook}") if self._ledger else None) or ""
            return [t for t in text.split(",") if t]
        found = (self._budgets() if budgets is None else budgets).get(per)
        return [t for t in found if isinstance(t, str)] if isinstance(found, list) else []

    def _budgets(self) -> dict[str, Any]:
        found = self._sources.stored().get("budgets")
        return found if isinstance(found, dict) else {}

    def _write(self, texts: Sequence[str], per: str) -> None:
        if per == "notebook":
            if self._ledger is None:
                raise AssertionError  # who sets a cap has made the folder
            self._ledger.meta_set(f"{META}:{self._notebook}", ",".join(texts))
            return
        try:
            self._sources.store(budgets={**self._budgets(), per: list(texts)})
        except OSError as error:
            message = f"the budget could not be stored in {self._sources.config_path} ({error.strerror or error})."
            raise SettingsError(message, hint="Make that folder writable, or use --per notebook.") from error


def pictures_of(parts: Sequence[Part]) -> int:
    """Return the most pictures that tasks can make."""
    return sum(part.request.pictures_asked for part in parts)


def _used(cap: Cap, spend: Spend, price: Price | None) -> Used:
    if cap.counts_pictures:
        return Used(Decimal(spend.pictures_made), Decimal(spend.pictures_reserved))
    spent, reserved = spend.total.known(cap.currency), spend.reserved.known(cap.currency)
    if price is None or price[1] != cap.currency or price[2] == SIMULATED:
        return Used(spent, reserved, spend.total.unknown + spend.reserved.unknown)
    made, open_ones = spend.unpriced, spend.reserved.unpriced
    return Used(spent + made * price[0], reserved + open_ones * price[0], guessed=made + open_ones)


def _check(cap: Cap, used: Used, price: Price | None, pictures: int, *, simulated: bool) -> None:
    if cap.counts_pictures:
        check_cap(cap, used, call=Decimal(pictures), call_text=cap.shown(Decimal(pictures)))
        return
    if simulated:
        return  # practice costs nothing, in any currency
    if price is not None and price[1] != cap.currency:
        raise no_comparison(cap, price[1])
    call = None if price is None else price[0] * pictures
    check_cap(cap, used, call=call, call_text=format_amount(call or Decimal(0), cap.currency))


def _other_currency(cap: Cap, currency: str) -> str:
    return (
        f'Amounts are not converted. Set the budget in {currency}: `%wan budget "4.00 {currency}"`; set a price in '
        f'{cap.currency}: `%wan config "price=0.03 {cap.currency}"`; or count pictures: `%wan budget 40 pictures`.'
    )


def _blocked_text(cap: Cap, price: Price | None) -> str:
    if cap.counts_pictures or (price is not None and price[1] == cap.currency):
        return ""
    if price is None:
        return "; refuses every call while a picture's price is not known"
    return f"; refuses every call while a picture's price is in {price[1]}"


def _midnight() -> float:
    now = dt.datetime.now().astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


__all__ = ["Caps", "pictures_of"]
