"""Budgets: how they are written, what counts, and refusals with a way out. The engine suite tests them end to end."""

import datetime as dt
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.database.kit import Desk, at_once, create, finish, ledger, new, owner, reported, sql
from wan_notebook.budget import Budget, BudgetBook, parse_budget
from wan_notebook.database import Database, Price
from wan_notebook.errors import BudgetError


class Purse(Desk):
    """A person with a key; ``book`` opens the budgets of a notebook."""

    def __init__(self, tmp_path: Path, name: str = "one", **env: str) -> None:
        super().__init__(tmp_path, name, WAN_API_KEY="k", **env)

    def book(self, notebook: str = "a.ipynb", database: Database | None = None) -> BudgetBook:
        """Return the budgets of a notebook."""
        database = database or self.database
        return BudgetBook(self.loader, self.loader.load(), database, notebook, self.clock, lambda: database)

    def budget(self, *texts: str) -> None:
        """Set budgets."""
        for text in texts:
            self.book().set(parse_budget(text))

    def order(self, *seeds: int, database: Database | None = None, **options: Any) -> bool:
        """Order pictures within the budgets; say whether they are to be sent."""
        book, database = self.book(database=database), database or self.database
        price = book.unit_price("gateway")
        jobs = [new(seed=seed, notebook="a.ipynb", price=str(price.amount) if price else "") for seed in seeds]
        with book.checked() as check:
            given = {"owner": owner(), "simulated_ok": False, **options}
            return any(is_new for _, is_new in database.create_or_join(jobs, check=check, **given))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Purse]:
    """Give a person with one empty folder."""
    made = Purse(tmp_path)
    yield made
    made.close()


def refusal(desk: Purse, *seeds: int, **options: Any) -> BudgetError:
    """Expect an order to be refused, and nothing to be written."""
    before = len(desk.database.open_jobs())
    with pytest.raises(BudgetError) as caught:
        desk.order(*(seeds or (9,)), **options)
    assert "Nothing was sent" in caught.value.message
    assert len(desk.database.open_jobs()) == before
    return caught.value


# Writing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount", "currency", "per"),
    [
        ("5.00", "5.00", "USD", "total"),
        ("$5 per day", "5", "USD", "day"),
        ("0.2CNY/day", "0.2", "CNY", "day"),
        ("¥30 per notebook", "30", "CNY", "notebook"),
        ("4 EUR in total", "4", "EUR", "total"),
        ("JPY 500 per total", "500", "JPY", "total"),
        ("40 pictures", "40", "", "total"),
        ("1 picture/Notebook", "1", "", "notebook"),
    ],
)
def test_a_budget_is_read_as_people_write_it(text: str, amount: str, currency: str, per: str) -> None:
    """Symbols and codes, before or after, pictures, and a period; what a budget suggests can be typed again."""
    budget = parse_budget(text)
    assert budget == parse_budget(budget.text) == Budget(Decimal(amount), per, currency)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "banana", "-5", "-0", "1_000", "٣", "１２", "5 per", "5,00", "$5$", "4.5 pictures", "1e400"]
)
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    """A slip of the finger sets no budget: ASCII decimals only."""
    with pytest.raises(BudgetError) as caught:
        parse_budget(text)
    assert caught.value.hint


@given(st.text(max_size=20))
def test_any_text_is_a_budget_or_an_error(text: str) -> None:
    """Nothing but our own error comes out, and no budget is negative."""
    with suppress(BudgetError):
        assert parse_budget(text).amount >= 0


# Refusing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "price", "fits"),
    [
        ("0.14", ("0.04", "USD"), False),
        ("0.15", ("0.04", "USD"), True),
        ("5 pictures", None, True),
        ("4 pictures", None, False),
        ("9 CNY", ("0.04", "CNY"), True),
        ("0.08 per notebook", ("0.04", "USD"), True),
    ],
)
def test_a_budget_is_kept(tmp_path: Path, budget: str, price: tuple[str, str] | None, fits: bool) -> None:
    """What is spent ($0.02, two pictures), reserved ($0.05) and asked for ($0.08) must fit, or nothing is written."""
    desk = Purse(tmp_path, WAN_BUDGET=budget)
    finish(desk.database, "old", pictures=2, cost=reported("0.02", source="estimated"), notebook="b.ipynb")
    create(desk.database, price="0.05", notebook="b.ipynb")
    with desk.database.writing():
        desk.database.lease([row.id for row in desk.database.open_jobs()], owner())
    desk.loader.store(prices={"gateway": price} if price else {})
    assert desk.order(1, 2) if fits else refusal(desk, 1, 2)
    desk.close()


def test_joining_is_free_and_taking_over_counts_once(desk: Purse) -> None:
    """What is open asks for no new money; a call that crashed before sending fits where it fitted before."""
    desk.budget("1 picture")
    assert desk.order(1, owner=owner("dead"))
    assert not desk.order(1)
    desk.clock.now += 16
    assert desk.order(1)
    refusal(desk, 2)


def test_two_kernels_cannot_both_slip_under_a_budget(desk: Purse) -> None:
    """The check and the reservation are one step: of ten that each see room for the last one, one gets it."""
    desk.budget("1 picture per notebook")
    with ledger(desk.folder, desk.clock) as other:
        outcomes = at_once(lambda k: desk.order(k, database=(desk.database, other)[k % 2]), 10)
    assert sum(isinstance(outcome, BudgetError) for outcome in outcomes) == 9
    assert len(desk.database.open_jobs()) == 1


def test_a_price_that_was_billed_is_not_lowered_by_a_setting(desk: Purse) -> None:
    """A set price below what the service last billed would loosen every budget: the higher one is checked.

    What was billed to another key makes nothing cheap: the folder may come from somebody else.
    """
    finish(desk.database, seed=1, cost=reported("0.000001"), key_fingerprint="somebody's")
    desk.budget("0.05")
    assert "a price is not known" in refusal(desk).message
    finish(desk.database, seed=3, cost=reported("0.03"), key_fingerprint=desk.loader.load().key_fingerprint)
    desk.loader.store(prices={"gateway": ["0.0001", "USD"]})
    assert "could cost $0.03" in refusal(desk, 2).message
    assert desk.book().unit_price("gateway") == Price(Decimal("0.0001"), "USD")


def test_other_folders_of_the_person_count(tmp_path: Path) -> None:
    """Day and total count every folder, prices are known from there; one that cannot be read is skipped and named."""
    one, two, odd = Purse(tmp_path, "one"), Purse(tmp_path, "two"), Purse(tmp_path, "odd")
    finish(one.database, seed=1, cost=reported("0.04"), key_fingerprint=one.loader.load().key_fingerprint)
    finish(odd.database, seed=1, cost=reported("0.01"))
    sql(odd.folder, "UPDATE jobs SET n = 4611686018427387904, picture_count = 9223372036854775807")
    sql(odd.folder, "UPDATE jobs SET cost_currency = CAST(x'ff' AS TEXT), user = CAST(x'ff' AS TEXT)")
    broken = tmp_path / "three"
    broken.mkdir()
    (broken / "ledger.db").write_text("not a database")
    two.loader.remember_folder(broken)

    assert two.book().known_price() == Price(Decimal("0.04"), "USD", dt.date(2026, 11, 25))
    two.budget("1 picture", "1 picture per notebook")
    assert "1 picture in total" in refusal(two).message
    *lines, skipped = two.book().lines()
    assert any(line.startswith("1 picture in total (%wan budget): 1 used") for line in lines)
    assert skipped == f"Not counted, since it cannot be read: {broken}"
    sql(two.folder, "UPDATE meta SET value = 'nonsense,1 picture per notebook' WHERE key LIKE 'budget:%'")
    assert {budget.per for budget in two.book().all()} == {"total", "notebook"}
    for desk in (one, two, odd):
        desk.close()
