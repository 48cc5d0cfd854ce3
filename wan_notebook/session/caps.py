"""Budgets in force: where they are set, what counts against them, and what a picture costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from .. import catalog
from ..budget import Cap, Used, check_cap, no_price_remedy, parse_cap, tightest
from ..errors import BudgetError, SettingsError
from ..folders import LEDGER_NAME, known_folders
from ..ledger import Ledger, Spend, SpendReader
from ..money import format_amount
from ..settings import Settings, Sources
from .replay import Part

Price = tuple[Decimal, str, str]
META = "budget"


class Caps:
    """The caps that bind a call from one notebook."""

    def __init__(self, settings: Settings, ledger: Ledger, sources: Sources, notebook: str) -> None:
        self._settings, self._ledger, self._sources, self._notebook = settings, ledger, sources, notebook

    def all(self) -> list[Cap]:
        """Return every cap: of the environment, of the person, of this folder's notebook."""
        found = [parse_cap(text, source="WAN_BUDGET") for text in self._settings.budget_texts]
        found += [parse_cap(text) for text in self._stored()]
        return tightest(found)

    def lines(self) -> list[str]:
        """Return one line a cap: what is spent and reserved of it."""
        found = []
        for cap in self.all():
            used = self.used(cap, self._ledger)
            reserved = f", {cap.shown(used.reserved)} reserved" if used.reserved else ""
            found.append(f"{cap.text} ({cap.source}): {cap.shown(used.spent)} spent{reserved}")
        return found or ["no cap is set (`%wan budget 5.00 --per day`)"]

    def set(self, cap: Cap) -> None:
        """Remember a cap. An amount without a known price is refused, since it could not be kept."""
        if not cap.counts_pictures and self.unit_price(self._settings.provider.name) is None:
            message = f"a budget of {cap.text} cannot be kept: no price of a picture is known yet."
            raise BudgetError(message, remedy=no_price_remedy())
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
            return Decimal(0), "USD", "simulated"
        if provider in self._settings.prices:
            amount, currency = self._settings.prices[provider]
            return amount, currency, "price as set"
        if (last := self._ledger.last_price(provider, catalog.MODEL)) is not None:
            return last.amount, last.currency, f"as billed {last.day:%-d %b}"
        return None

    def most_text(self, parts_or_count: Sequence[Part] | int, provider: str) -> str:
        """Return the most that new pictures can cost: ``up to $0.12``, ``price unknown``."""
        count = parts_or_count if isinstance(parts_or_count, int) else pictures_of(parts_or_count)
        price = self.unit_price(provider)
        if provider == "simulator":
            return "$0.00 simulated"
        if price is None:
            return f"price unknown ({count} picture{'' if count == 1 else 's'} at most)"
        return f"up to {format_amount(price[0] * count, price[1])} ({price[2]})"

    def checker(self, parts: Sequence[Part], provider: str) -> Callable[[SpendReader], None] | None:
        """Return what ``create_jobs`` runs inside its transaction; None if no cap is set."""
        caps = self.all()
        if not caps:
            return None
        price, pictures = self.unit_price(provider), pictures_of(parts)
        simulated = provider == "simulator"
        elsewhere = [Ledger.open(path) for path in self._other_ledgers()]

        def check(reader: SpendReader) -> None:
            try:
                for cap in caps:
                    self._check(cap, reader, elsewhere, price, pictures, simulated=simulated)
            finally:
                for ledger in elsewhere:
                    ledger.close()

        return check

    def used(self, cap: Cap, reader: SpendReader | Ledger, *, simulated: bool = False) -> Used:
        """Return what counts against a cap in one ledger."""
        since = _midnight() if cap.per == "day" else None
        notebook = self._notebook if cap.per == "notebook" else None
        spend = reader.spend(since=since, notebook=notebook, simulated=simulated)
        return _used(cap, spend, self.unit_price(self._settings.provider.name))

    # ------------------------------------------------------------------------------------------------------------------

    def _check(
        self, cap: Cap, reader: SpendReader, elsewhere: Sequence[Ledger], price: Price | None, pictures: int,
        *, simulated: bool,
    ) -> None:  # fmt: skip
        uses = [self.used(cap, reader, simulated=simulated)]
        if cap.per != "notebook":
            uses += [self.used(cap, ledger, simulated=simulated) for ledger in elsewhere]
        used = Used(sum((u.spent for u in uses), Decimal(0)), sum((u.reserved for u in uses), Decimal(0)),
                    sum(u.unknown for u in uses))  # fmt: skip
        if cap.counts_pictures:
            check_cap(cap, used, call=Decimal(pictures), call_text=f"{pictures} pictures")
            return
        if price is not None and price[1] != cap.currency and not simulated:
            message = f"the budget of {cap.text} cannot be compared with a price in {price[1]}. Nothing was sent."
            raise BudgetError(message, remedy=f"Set the budget in {price[1]}, or count pictures.")
        call = None if price is None else price[0] * pictures
        check_cap(cap, used, call=call, call_text=format_amount(call or Decimal(0), cap.currency))

    def _other_ledgers(self) -> Iterator[Path]:
        for folder in known_folders():
            if folder != self._settings.folder:
                yield folder / LEDGER_NAME

    def _stored(self) -> list[str]:
        return [text for per in ("day", "notebook", "total") for text in self._stored_of(per)]

    def _stored_of(self, per: str) -> list[str]:
        if per == "notebook":
            text = self._ledger.meta_get(f"{META}:{self._notebook}") or ""
            return [t for t in text.split(",") if t]
        budgets = self._sources.stored().get("budgets")
        found = budgets.get(per) if isinstance(budgets, dict) else None
        return [t for t in found if isinstance(t, str)] if isinstance(found, list) else []

    def _write(self, texts: Sequence[str], per: str) -> None:
        if per == "notebook":
            self._ledger.meta_set(f"{META}:{self._notebook}", ",".join(texts))
            return
        budgets = self._sources.stored().get("budgets")
        try:
            self._sources.store(budgets={**(budgets if isinstance(budgets, dict) else {}), per: list(texts)})
        except OSError as error:
            message = f"the budget could not be stored in {self._sources.config_path} ({error.strerror or error})."
            raise SettingsError(message, remedy="Make that folder writable, or use --per notebook.") from error


def pictures_of(parts: Sequence[Part]) -> int:
    """Return the most pictures that tasks can make."""
    return sum(part.request.pictures_asked for part in parts)


def _used(cap: Cap, spend: Spend, price: Price | None) -> Used:
    if cap.counts_pictures:
        return Used(Decimal(spend.pictures_made), Decimal(spend.pictures_reserved))
    spent, reserved = spend.total.known(cap.currency), spend.reserved.known(cap.currency)
    unknown = spend.total.unknown + spend.reserved.unknown
    return Used(spent, reserved, 0 if price is not None else unknown)


def _midnight() -> float:
    now = dt.datetime.now().astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


__all__ = ["Caps", "pictures_of"]
