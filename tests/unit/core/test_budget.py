"""Budgets: how they are written, what counts, and refusals with a way out. The engine suite tests them end to end."""

import datetime as dt
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.database.kit import Clock, finish, ledger, new, owner, reported
from wan_notebook.budget import Budget, BudgetBook, parse_budget
from wan_notebook.database import Database, Price
from wan_notebook.errors import BudgetError
from wan_notebook.settings import SettingsLoader


class Desk:
    """A person with one folder and its ledger; ``book`` opens the budgets of a notebook."""

    def __init__(self, tmp_path: Path, name: str = "one", **env: str) -> None:
        self.folder = tmp_path / name / "wan-pictures"
        self.folder.mkdir(parents=True)
        self.clock = Clock()
        self.env = {"WAN_API_KEY": "k", "WAN_HOME": str(self.folder), **env}
        self.loader = SettingsLoader(self.env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)
        self.database = ledger(self.folder, self.clock)
        self.loader.remember_folder(self.folder)

    def book(self, notebook: str = "a.ipynb", database: Database | None = None) -> BudgetBook:
        """Return the budgets of a notebook."""
        database = database or self.database
        return BudgetBook(self.loader, self.loader.load(), database, notebook, self.clock, lambda: database)

    def order(self, *seeds: int, notebook: str = "a.ipynb") -> None:
        """Order pictures within the budgets."""
        book = self.book(notebook)
        price = book.unit_price("gateway")
        jobs = [new(seed=seed, notebook=notebook, price=str(price.amount) if price else "") for seed in seeds]
        with book.limits() as limits:
            self.database.create_or_join(jobs, limits=limits, owner=owner(), simulated_ok=False)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Give a person with one empty folder."""
    made = Desk(tmp_path)
    yield made
    made.database.close()


def refusal(desk: Desk, *seeds: int) -> BudgetError:
    """Expect an order to be refused."""
    with pytest.raises(BudgetError) as caught:
        desk.order(*(seeds or (9,)))
    assert "Nothing was sent" in caught.value.message
    return caught.value


# Writing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount", "currency", "per"),
    [
        ("5.00", "5.00", "USD", "total"),
        ("$5 per day", "5", "USD", "day"),
        ("0.2CNY/day", "0.2", "CNY", "day"),
        ("¥30 per notebook", "30", "CNY", "notebook"),
        ("4 EUR", "4", "EUR", "total"),
        ("JPY 500 per total", "500", "JPY", "total"),
        ("40 pictures", "40", "", "total"),
        ("1 picture/Notebook", "1", "", "notebook"),
    ],
)
def test_a_budget_is_read_as_people_write_it(text: str, amount: str, currency: str, per: str) -> None:
    """Symbols and codes, before or after, pictures, and a period; what a budget suggests can be typed again."""
    budget = parse_budget(text)
    assert budget == Budget(Decimal(amount), per, currency)  # type: ignore[arg-type]
    words = budget.command(budget.amount).removeprefix("%wan budget ")
    again, _, period = words.partition(" --per ")
    assert parse_budget(again, per=period) == budget
    assert parse_budget(budget.text.replace(" in total", " per total")) == budget


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


def test_of_budgets_on_the_same_thing_the_lowest_counts(desk: Desk) -> None:
    """Several sources tighten each other; other currencies and periods stand beside."""
    desk.env["WAN_BUDGET"] = "5 per day, 3 per day, 4 CNY per day, 40 pictures, 9"
    assert [b.text for b in desk.book().all()] == [
        "$3.00 per day",
        "¥4.00 per day",
        "40 pictures in total",
        "$9.00 in total",
    ]


# Keeping -------------------------------------------------------------------------------------------------------------


def test_off_says_what_it_removed(desk: Desk) -> None:
    """``%wan budget off`` removes every budget that a notebook set, and names them; WAN_BUDGET stays."""
    desk = Desk(desk.folder.parent.parent, "two", WAN_BUDGET="90 pictures")
    for text in ("5 pictures per day", "6 pictures per notebook", "7 pictures"):
        desk.book().set(parse_budget(text))
    assert [b.text for b in desk.book().remove(per="day")] == ["5 pictures per day"]
    assert [b.text for b in desk.book().remove()] == ["6 pictures per notebook", "7 pictures in total"]
    assert desk.book().remove() == []
    assert [b.source for b in desk.book().all()] == ["WAN_BUDGET"]
    desk.database.close()


def test_lines_say_what_is_used_and_reserved(desk: Desk) -> None:
    """One line a budget, in the words of its unit; without one, how to set one."""
    assert "no budget set" in desk.book().lines()[0]
    finish(desk.database, seed=1, cost=reported("0.03"), notebook="a.ipynb")
    desk.order(2)
    desk.book().set(parse_budget("40 pictures"))
    desk.book().set(parse_budget("$5 per notebook"))

    assert desk.book().lines() == [
        "$5.00 per notebook (%wan budget): $0.03 spent, $0.03 reserved for running jobs",
        "40 pictures in total (%wan budget): 1 used, 1 reserved for running jobs",
    ]
    assert "$0.00 spent" in desk.book("b.ipynb").lines()[-1] or desk.book("b.ipynb").lines()[0].startswith(
        "40 pictures"
    )


# Refusing ------------------------------------------------------------------------------------------------------------


def test_a_budget_of_the_environment_is_raised_where_it_is_set(tmp_path: Path) -> None:
    """No command of a notebook lifts it; it is frozen, so the kernel is restarted."""
    desk = Desk(tmp_path, WAN_BUDGET="1 picture per day")
    desk.env["WAN_BUDGET"] = "off"
    error = refusal(desk, 1, 2)
    assert "`2 pictures per day`" in error.hint
    assert "restart the kernel" in error.hint
    assert "%wan budget" not in error.hint
    desk.database.close()


def test_a_price_that_was_billed_is_not_lowered_by_a_setting(desk: Desk) -> None:
    """A set price below what the service last billed would loosen every budget: the higher one is checked."""
    finish(desk.database, seed=1, cost=reported("0.03"))
    desk.loader.store(prices={"gateway": ["0.0001", "USD"]})
    desk.book().set(parse_budget("0.05"))
    assert "could cost $0.03" in refusal(desk, 2).message
    assert desk.book().unit_price("gateway") == Price(Decimal("0.0001"), "USD")


def test_other_folders_of_the_person_count(tmp_path: Path) -> None:
    """Day and total count every folder; one that cannot be read is skipped. Prices are known from there, too."""
    one, two = Desk(tmp_path, "one"), Desk(tmp_path, "two")
    finish(one.database, seed=1, cost=reported("0.04"))
    broken = tmp_path / "three"
    broken.mkdir()
    (broken / "ledger.db").write_text("not a database")
    two.loader.remember_folder(broken)

    assert two.book().known_price() == Price(Decimal("0.04"), "USD", dt.date(2026, 11, 25))
    two.book().set(parse_budget("1 picture"))
    two.book().set(parse_budget("1 picture per notebook"))
    assert "1 picture in total" in refusal(two).message
    assert "1 picture in total (%wan budget): 1 used" in "".join(two.book().lines())
    for desk in (one, two):
        desk.database.close()
