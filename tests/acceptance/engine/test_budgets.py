"""Budgets: a call that could exceed one is refused before it is sent, whoever else is buying."""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit import Rig, ask, at_cell, command, database_of, ended, history_of, rig, set_env, side_by_side
from wan_notebook.errors import BudgetError
from wan_notebook.session import Session


def set_price(session: Session, price: str = "0.03", currency: str = "USD") -> None:
    """Set the price of a picture, as ``%wan config price=`` does."""
    provider = session.settings().provider
    session.loader.store(prices={provider: [price, currency]})
    assert session.settings().prices[provider] == (Decimal(price), currency)


def refused(call: Callable[[], Any], *words: str) -> BudgetError:
    """Expect a refusal whose message and hint hold these words."""
    with pytest.raises(BudgetError) as caught:
        call()
    said = f"{caught.value.message} {caught.value.hint}"
    for word in words:
        assert word in said, said
    return caught.value


def test_a_call_that_could_exceed_a_budget_is_not_sent(made: Rig) -> None:
    """The message has what was spent, this call's most, and the command that raises the budget; nothing is sent."""
    session = at_cell(made.kernel(), notebook="a.ipynb")
    set_price(session)
    command(session, "budget 0.05 --per notebook")
    ended(ask(session, seed=1))
    refused(lambda: ask(session, seed=2), "$0.03", "%wan budget 0.06 USD --per notebook")
    assert made.service.tasks_created == 1
    assert len(history_of(session)) == 1


def test_yesterday_does_not_count_today(made: Rig) -> None:
    """A budget per day begins anew at midnight, local time."""
    session = made.kernel()
    made.time.jump(-48 * 3600.0)
    ended(ask(session, seed=1))
    made.time.jump(48 * 3600.0)
    command(session, "budget 1 pictures --per day")
    assert ended(ask(session, seed=2)).status == "saved"
    refused(lambda: ask(session, seed=3), "1 picture")


def test_several_budgets_hold_at_once(made: Rig) -> None:
    """Money per day and pictures in total are both kept; the tightest refuses. What it cannot count is said."""
    session = made.kernel()
    (other := made.folder.parent / "other").mkdir()
    (other / "ledger.db").write_text("not a ledger")
    session.loader.remember_folder(other)
    set_price(session)
    command(session, "budget 5.00 --per day")
    command(session, "budget 2 pictures --per total")
    refused(lambda: ask(session, n=3), "2 pictures in total", "3 pictures")
    with pytest.warns(UserWarning, match=f"does not count {other}"):
        assert ended(ask(session, n=2)).status == "saved"
    assert len(session.budgets.lines()) == 3


def test_an_environments_budget_is_only_tightened(made: Rig) -> None:
    """A notebook may set less than WAN_BUDGET, never more, and changing the variable in it changes nothing."""
    session = made.kernel(WAN_BUDGET="2 pictures/total")
    command(session, "budget 40 pictures")
    set_env(session, WAN_BUDGET="40 pictures")
    refused(lambda: ask(session, n=3), "WAN_BUDGET")
    command(session, "budget 1 pictures")
    refused(lambda: ask(session, n=2), "1 picture in total", "%wan budget")
    session.budgets.remove()
    assert {budget.source for budget in session.budgets.all()} == {"WAN_BUDGET"}
    refused(lambda: ask(session, n=3), "2 pictures in total")


def test_an_amount_without_a_price_is_refused_when_it_is_set(made: Rig) -> None:
    """A budget that could not be kept is not taken: three ways out are named, and after one of them it is taken."""
    session = made.kernel()
    refused(lambda: command(session, "budget 5.00"), "%wan config price", "pictures")
    assert session.budgets.all() == []
    ended(ask(session, seed=1))
    command(session, "budget 5.00")
    price = session.budgets.unit_price("gateway")
    assert price is not None
    assert (price.amount, price.currency) == (Decimal("0.03"), "USD")


def test_folders_cannot_both_slip_under_one_budget(tmp_path: Path) -> None:
    """Kernels in different folders that ask at the same moment keep the person's budget together."""
    with rig(tmp_path / "0") as one, rig(tmp_path / "1") as two, rig(tmp_path / "2") as three:
        kernels = [made.kernel(WAN_BUDGET="4 pictures") for made in (one, two, three)]
        for session in kernels:
            database_of(session)
        kernels = [made.kernel(WAN_BUDGET="4 pictures") for made in (one, two, three)]  # that know all three folders
        calls = [partial(ask, k, f"fox {n}", seed=seed) for n, k in enumerate(kernels) for seed in range(3)]
        refusals = [error for error in side_by_side(*calls) if isinstance(error, BudgetError)]
        assert (len(calls), len(refusals)) == (9, 5)


def test_currencies_are_never_mixed(made: Rig) -> None:
    """A budget in yuan blocks calls whose price is in dollars: it is named, and a command that is offered lifts it."""
    yuan = made.kernel()
    set_price(yuan, "0.20", "CNY")
    command(yuan, "budget 30 CNY --per day")
    session = made.kernel()
    set_price(session)
    command(session, "budget 5.00 --per total")
    error = refused(lambda: ask(session, seed=1), "¥30.00 per day", "USD", "not converted")
    assert "$5.00" not in error.message
    command(session, re.findall("`%wan ([^`]+)`", error.hint)[0])
    assert ended(ask(session, seed=1)).status == "saved"


@pytest.mark.parametrize("way_out", [0, 1])
def test_a_budget_in_another_currency_than_the_price_is_refused_when_it_is_set(made: Rig, way_out: int) -> None:
    """It could not be kept. What is offered instead can be given as it stands, and helps."""
    session = made.kernel()
    set_price(session)
    error = refused(lambda: command(session, "budget 4 EUR"), "cannot be kept", "USD")
    assert not session.budgets.all()
    command(session, re.findall("`%wan ([^`]+)`", error.hint)[way_out])
    if way_out == 0:
        command(made.kernel(), "budget 4 EUR")
    assert session.budgets.all()[0].text.startswith(("€4.00", "40 pictures")[way_out])


def test_an_unknown_price_is_not_taken_for_nothing(made: Rig) -> None:
    """An amount in ``WAN_BUDGET`` without a known price: nothing is sent, and what is advised is said."""
    session = made.kernel(WAN_BUDGET="$5 per day")
    refused(lambda: ask(session, seed=1), "cannot be kept")
    assert "price" in session.budgets.lines()[0]
    assert made.service.tasks_created == 0
    assert ended(ask(made.kernel(WAN_BUDGET="40 pictures"), seed=1)).status == "saved"


def test_pictures_of_unknown_price_are_not_free_once_a_price_is_known(tmp_path: Path) -> None:
    """What was made before anybody knew a price counts like the next picture, and the message says so."""
    with rig(tmp_path, provider="dashscope") as made:
        session = made.kernel()
        ended(ask(session, n=2))
        set_price(session)
        command(session, "budget 0.10")
        assert "$0.06" in session.budgets.lines()[0]
        refused(lambda: ask(session, seed=9, n=2), "$0.06")
        assert ended(ask(session, seed=9)).status == "saved"


def test_the_costs_say_what_is_reserved_and_count_what_there_is(made: Rig) -> None:
    """What is in doubt is beside the sum; a job that was given up may be billed, but made no picture."""
    session = made.kernel()
    made.arm("submit.reset_after")
    doubtful = ended(ask(session, seed=1))
    spend = database_of(session).spend()
    assert (spend.reserved_unknown, dict(spend.reserved)) == (1, {})
    set_price(session)
    made.arm("submit.reset_after")
    ended(ask(session, seed=2))
    spend = database_of(session).spend()
    assert (spend.reserved_unknown, dict(spend.reserved)) == (1, {"USD": Decimal("0.03")})
    made.arm()
    ended(ask(session, seed=3))
    session.resolve(doubtful, "abandon")
    spend, (day,) = database_of(session).spend(), database_of(session).cost_by("day")
    assert str(spend.total) == "$0.03 reported + 1 unknown"
    assert spend.pictures_saved == day.pictures_saved == 1
