"""Budgets: a call that could exceed a cap is refused before it is sent, whoever else is buying."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kit import Rig, ask, ended, rig, until
from wan_notebook.budget import Cap, no_price_hint, parse_cap
from wan_notebook.commands import Context, run
from wan_notebook.errors import BudgetError
from wan_notebook.ledger import JobDraft
from wan_notebook.money import read_amount
from wan_notebook.present import Tables
from wan_notebook.session import Place, Session
from wan_notebook.session.caps import Caps
from wan_notebook.states import JobState
from wan_notebook.subcommands import read_subcall


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """A service that bills $0.03 a picture."""
    with rig(tmp_path) as found:
        yield found


def caps_of(session: Session, notebook: str = "") -> Caps:
    """Return the caps that bind a notebook."""
    return Caps(session.settings(), session.need_home().ledger, session.sources, notebook)


def set_price(session: Session, price: str = "0.03", currency: str = "USD") -> None:
    """Set the price of a picture, as ``%wan config price=`` does."""
    provider = session.settings().provider.name
    session.sources.store(prices={provider: [price, currency]})
    assert session.settings().prices[provider] == (Decimal(price), currency)


def refused(order: Callable[[], Any], *words: str) -> BudgetError:
    """Expect a refusal whose message and hint hold these words."""
    with pytest.raises(BudgetError) as caught:
        order()
    said = f"{caught.value.message} {caught.value.hint}"
    for word in words:
        assert word in said, said
    return caught.value


@pytest.mark.parametrize("per", ["day", "notebook", "total"])
def test_a_call_that_could_exceed_a_cap_is_not_sent(made: Rig, per: str) -> None:
    """The message has what was spent, this call's most, and the command that raises the cap; nothing is sent."""
    session = made.kernel()
    session.place = lambda: Place(notebook="a.ipynb")
    set_price(session)
    caps_of(session, "a.ipynb").set(parse_cap("0.05", per=per))
    ended(ask(session, seed=1))

    refused(lambda: ask(session, seed=2), "$0.03 spent", "could cost $0.03", f"%wan budget 0.06 --per {per}")
    assert made.service.tasks_created == 1
    assert len(session.need_home().ledger.history().rows) == 1


def test_a_replay_is_within_every_budget(made: Rig) -> None:
    """What is in the store is shown, however little may be spent."""
    session = made.kernel()
    set_price(session)
    ended(ask(session, seed=1))
    caps_of(session).set(parse_cap("0.03"))

    assert ask(made.kernel(), seed=1).status == "saved"


def test_another_notebooks_spending_does_not_count(made: Rig) -> None:
    """A cap per notebook binds that one alone."""
    session = made.kernel()
    session.place = lambda: Place(notebook="a.ipynb")
    caps_of(session, "a.ipynb").set(parse_cap("1 pictures", per="notebook"))
    ended(ask(session, seed=1))
    refused(lambda: ask(session, seed=2), "1 picture spent")
    session.place = lambda: Place(notebook="b.ipynb")

    assert ended(ask(session, seed=2)).status == "saved"


def test_yesterday_does_not_count_today(made: Rig) -> None:
    """A cap per day begins anew at midnight, local time."""
    session = made.kernel()
    made.time.slept_s = -48 * 3600.0
    ended(ask(session, seed=1))
    made.time.slept_s = 0.0
    caps_of(session).set(parse_cap("1 pictures", per="day"))
    assert ended(ask(session, seed=2)).status == "saved"

    refused(lambda: ask(session, seed=3), "1 picture spent")


def test_several_caps_hold_at_once(made: Rig) -> None:
    """Money per day and pictures in total are both kept; the tightest refuses."""
    session = made.kernel()
    set_price(session)
    caps = caps_of(session)
    caps.set(parse_cap("5.00", per="day"))
    caps.set(parse_cap("2 pictures", per="total"))

    refused(lambda: ask(session, n=3), "2 pictures in total", "3 pictures")
    assert ended(ask(session, n=2)).status == "saved"
    assert len(caps.lines()) == 2


def test_an_environments_cap_is_only_tightened(made: Rig) -> None:
    """A notebook may set less than WAN_BUDGET, never more; its message says where it is raised."""
    session = made.kernel(WAN_BUDGET="2 pictures/total")
    caps = caps_of(session)
    caps.set(parse_cap("40 pictures"))
    refused(lambda: ask(session, n=3), "WAN_BUDGET", "where it is set")
    caps.set(parse_cap("1 pictures"))

    refused(lambda: ask(session, n=2), "1 picture in total", "%wan budget")
    caps.remove()
    assert [cap.source for cap in caps.all()] == ["WAN_BUDGET"]


def test_an_amount_without_a_price_is_refused_when_it_is_set(made: Rig) -> None:
    """A cap that could not be kept is not taken: three ways out are named, and after one of them it is taken."""
    session = made.kernel()
    caps = caps_of(session)

    refused(lambda: caps.set(parse_cap("5.00")), "make one picture", "%wan config price=", "count pictures")
    assert caps.all() == []
    ended(ask(session, seed=1))
    caps_of(session).set(parse_cap("5.00"))
    assert caps_of(session).unit_price("gateway") == (Decimal("0.03"), "USD", caps.unit_price("gateway")[2])  # type: ignore[index]


def test_what_is_in_doubt_counts_as_reserved(made: Rig) -> None:
    """A submit that may have arrived may be billed: it holds its part of the budget until a person decides."""
    session = made.kernel()
    set_price(session)
    caps_of(session).set(parse_cap("0.05"))
    made.arm("submit.reset_after")
    job = ended(ask(session, seed=1))

    assert job.status == "in_doubt"
    refused(lambda: ask(session, seed=2), "$0.03 reserved")


@pytest.mark.parametrize(
    ("fault", "state"),
    [("submit.403", "refused"), ("poll.failed", "failed"), ("submit.429_retry_after:always", "refused")],
)
def test_what_failed_counts_nothing(made: Rig, fault: str, state: str) -> None:
    """Refused and failed jobs cost nothing and free what they had reserved."""
    session = made.kernel()
    set_price(session)
    caps_of(session).set(parse_cap("0.03"))
    made.arm(fault)
    assert ended(ask(session, seed=1)).status == state
    made.arm()

    assert ended(ask(session, seed=2)).status == "saved"


def test_what_was_cancelled_before_it_was_sent_counts_nothing(made: Rig) -> None:
    """Cancelled while it waits for another picture: its reservation is gone."""
    made.service.config.__dict__["seconds"] = 20.0
    session = made.kernel()
    caps_of(session).set(parse_cap("2 pictures"))
    fox = ask(session, seed=1)
    edit = ask(session, "at night", images=[fox], seed=2)
    refused(lambda: ask(session, seed=3), "2 pictures reserved")
    edit.cancel()
    until(lambda: edit.status == JobState.CANCELLED)

    assert ended(ask(session, seed=3)).status == "saved"


def test_two_kernels_cannot_both_slip_under_a_cap(made: Rig) -> None:
    """Of two that order at the same moment with room for one, one is refused."""
    made.service.config.__dict__["seconds"] = 20.0
    kernels = [made.kernel(WAN_BUDGET="1 pictures"), made.kernel(WAN_BUDGET="1 pictures")]
    start, said = threading.Barrier(2), []

    def order(number: int) -> None:
        start.wait()
        try:
            ask(kernels[number], f"fox {number}", seed=number)
            said.append("sent")
        except BudgetError:
            said.append("refused")

    threads = [threading.Thread(target=order, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["refused", "sent"]
    until(lambda: made.service.tasks_created == 1)


@pytest.mark.parametrize("way_out", [0, 1])
def test_currencies_are_never_mixed(made: Rig, way_out: int) -> None:
    """A cap in yuan beside one in dollars blocks calls in dollars: it is named, and each command offered lifts it."""
    session = made.kernel()
    set_price(session, "0.20", "CNY")
    caps_of(session).set(parse_cap("30 CNY", per="day"))
    set_price(session)
    caps_of(session).set(parse_cap("5.00", per="total"))
    blocking = "¥30.00 per day (%wan budget)"

    error = refused(lambda: ask(session, seed=1), blocking, "a price in USD", "not converted")
    assert "$5.00" not in error.message
    assert next(line for line in caps_of(session).lines() if "refuses every call" in line).startswith(blocking)
    command = re.findall("`%wan ([^`]+)`", error.hint)[way_out]
    run(read_subcall(command), Context(session, None, {}))

    assert ended(ask(session, seed=1)).status == "saved"
    assert caps_of(session).all()[-1] == parse_cap("5.00", per="total")


@pytest.mark.parametrize(("way_out", "then"), [(0, "$4.00"), (1, "€4.00"), (2, "40 pictures")])
def test_a_cap_in_another_currency_than_the_price_is_refused_when_it_is_set(made: Rig, way_out: int, then: str) -> None:
    """It could not be kept. What is offered instead can be given as it stands, and helps."""
    session = made.kernel()
    set_price(session)
    euros = parse_cap("4 EUR")

    error = refused(lambda: caps_of(session).set(euros), "cannot be kept", "price is in USD")
    assert not caps_of(session).all()
    run(read_subcall(re.findall("`%wan ([^`]+)`", error.hint)[way_out]), Context(session, None, {}))
    if way_out == 1:
        caps_of(session).set(euros)
    assert caps_of(session).all()[0].text.startswith(then)


def test_a_cap_in_the_currency_of_the_price_is_kept(made: Rig) -> None:
    """Dollars are nothing special: yuan are counted against yuan."""
    session = made.kernel()
    set_price(session, "0.20", "CNY")
    caps_of(session).set(parse_cap("0.30 CNY"))

    assert "refuses" not in caps_of(session).lines()[0]
    refused(lambda: ask(session, n=2), "could cost ¥0.40")
    assert ended(ask(session, seed=1)).status == "saved"


def test_a_cap_of_the_environment_in_another_currency_says_where_it_is_removed(made: Rig) -> None:
    """No command of the notebook lifts it, so none is offered."""
    session = made.kernel(WAN_BUDGET="30 CNY/day")
    set_price(session)

    error = refused(lambda: ask(session, seed=1), "¥30.00 per day (WAN_BUDGET)", "in USD there")
    assert "%wan" not in error.hint


def test_the_total_is_over_all_folders(tmp_path: Path) -> None:
    """Day and total count what was spent in every folder of the person."""
    with rig(tmp_path / "one") as first, rig(tmp_path / "two") as second:
        ended(ask(first.kernel(), seed=1))
        session = second.kernel(WAN_BUDGET="2 pictures/total")

        refused(lambda: ask(session, n=2), "1 picture spent")
        assert ended(ask(session, seed=2)).status == "saved"


def test_an_unknown_earlier_price_is_not_taken_for_nothing(made: Rig) -> None:
    """With a job of unknown cost in the sum an amount cannot be kept, and that is said."""
    session = made.kernel()
    ledger = session.need_home().ledger
    draft = JobDraft(
        provider="gateway", model="wan2.6-image", mode="edit", prompt="x", request={}, fp_asked="a", fp_sent="a"
    )
    ledger.create_jobs([draft])
    session.sources.env["WAN_BUDGET"] = "5.00"  # type: ignore[index]

    refused(lambda: ask(session, seed=1), "cannot be kept", "Three ways out")
    assert made.service.tasks_created == 0


def test_the_ways_out_lead_past_the_cap_that_is_in_force(made: Rig) -> None:
    """An amount in ``WAN_BUDGET`` without a known price: what is advised helps, and the list says that it blocks."""
    session = made.kernel(WAN_BUDGET="$5 per day")
    caps = Caps(session.settings(), session.need_home().ledger, session.sources, "")

    refused(lambda: ask(session, seed=1), "cannot be kept", "WAN_BUDGET='40 pictures'")
    assert caps.lines()[0].endswith("refuses every call while a picture's price is not known")
    assert "`%wan budget off --per day`" in no_price_hint(parse_cap("5 per day"))
    session.sources.env["WAN_BUDGET"] = "40 pictures"  # type: ignore[index]
    assert ended(ask(session, seed=1)).status == "saved"


def test_pictures_of_unknown_price_are_not_free_once_a_price_is_known(tmp_path: Path) -> None:
    """What was made before anybody knew a price counts like the next picture, and the message says so."""
    with rig(tmp_path, dialect="dashscope") as made:
        session = made.kernel()
        ended(ask(session, n=2))
        set_price(session)
        caps_of(session).set(parse_cap("0.10"))

        assert "$0.06 spent" in caps_of(session).lines()[0]
        refused(lambda: ask(session, seed=9, n=2), "$0.06 spent", "2 pictures of unknown price")
        assert ended(ask(session, seed=9)).status == "saved"


def test_what_is_running_without_a_price_is_reserved_at_the_price_set_since(made: Rig) -> None:
    """A job sent before a price was set may be billed too."""
    made.service.config.__dict__["seconds"] = 200.0
    session = made.kernel()
    ask(session, n=3)
    set_price(session)
    caps_of(session).set(parse_cap("0.10"))

    refused(lambda: ask(session, seed=9), "$0.09 reserved for running jobs")


def test_folders_cannot_both_slip_under_one_cap(tmp_path: Path) -> None:
    """Kernels in different folders that order at the same moment keep the person's cap together."""
    with rig(tmp_path / "0") as one, rig(tmp_path / "1") as two, rig(tmp_path / "2") as three:
        kernels = [house.kernel(WAN_BUDGET="4 pictures") for house in (one, two, three)]
        for session in kernels:
            session.need_home()
        start, said = threading.Barrier(len(kernels)), []

        def order(number: int) -> None:
            start.wait()
            for seed in range(5):
                try:
                    ask(kernels[number], f"fox {number}", seed=seed)
                    said.append("sent")
                except BudgetError:
                    said.append("refused")

        threads = [threading.Thread(target=order, args=(number,)) for number in range(len(kernels))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert said.count("sent") == 4


def test_a_new_folder_knows_what_was_billed_and_spent_elsewhere(tmp_path: Path) -> None:
    """In a folder without a history the price is the one last billed anywhere, and the caps say what is spent."""
    with rig(tmp_path / "one") as first, rig(tmp_path / "two") as second:
        ended(ask(first.kernel(), seed=1))
        session = second.kernel()
        caps_of(session).set(parse_cap("0.05", per="day"))

        assert "$0.03 spent" in caps_of(session).lines()[0]
        refused(lambda: ask(session, seed=2), "could cost $0.03", "$0.03 spent")


def test_wan_budget_says_what_is_wrong_with_it(made: Rig) -> None:
    """A cap that cannot be read is never taken for no cap: nothing is sent, and the variable is named."""
    session = made.kernel(WAN_BUDGET="$5 per day; banana")

    refused(lambda: ask(session, seed=1), "WAN_BUDGET = 'banana'")
    assert made.service.tasks_created == 0


def test_the_cost_table_says_what_is_reserved(made: Rig) -> None:
    """What is in doubt or running is beside the sum, named as reserved; without a price it is unknown, not nothing."""
    session = made.kernel()
    tables = Tables(session, session.need_home(), base=made.folder)
    made.arm("submit.reset_after")
    ended(ask(session, seed=1))
    assert tables.cost().reserved_text == "1 unknown reserved for running jobs"
    made.arm("submit.reset_after")
    set_price(session)
    ended(ask(session, seed=2))

    assert tables.cost().reserved_text == "$0.03 + 1 unknown reserved for running jobs"


def test_the_cost_table_counts_the_pictures_that_there_are(made: Rig) -> None:
    """A job that was given up may be billed, but made no picture: the head counts what its bars add up to."""
    session = made.kernel()
    tables = Tables(session, session.need_home(), base=made.folder)
    ended(ask(session, seed=1))
    made.arm("submit.reset_after")
    session.doubts.resolve(ended(ask(session, seed=2)), "abandon")
    cost = tables.cost(by="day")

    assert cost.pictures == sum(row.pictures for row in cost.sections[0].rows) == 1
    assert cost.total_text == "$0.03 reported + 1 unknown"


def test_practice_does_not_make_unknown_prices_free(tmp_path: Path) -> None:
    """While the simulator is chosen, real pictures of unknown price are shown as unknown beside a cap's sum."""
    with rig(tmp_path, dialect="dashscope") as made:
        session = made.kernel()
        ended(ask(session, n=2))
        session.sources.env["WAN_PROVIDER"] = "simulator"  # type: ignore[index]
        caps_of(session).set(parse_cap("1.00"))

        assert "2 unknown" in caps_of(session).lines()[0]


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        *(("0.03", "0.03", "USD"), ("$0.03", "0.03", "USD"), ("0.2 CNY", "0.2", "CNY"), ("0.20CNY", "0.20", "CNY")),
        *(("¥0.2", "0.2", "CNY"), ("0.2 cny", "0.2", "CNY"), ("JPY 5", "5", "JPY"), ("5 JPY", "5", "JPY")),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, amount: str, currency: str) -> None:
    """A price and a budget take a symbol or a code, before or after; and what a cap suggests can be typed again."""
    assert read_amount(text) == (Decimal(amount), currency)
    assert parse_cap(text) == Cap(Decimal(amount), "total", currency)
    assert (
        read_subcall(Cap(Decimal(7), "day", currency).command(Decimal(9)).removeprefix("%wan ")).options["amount"] == 9
    )


@pytest.mark.parametrize("text", ["", "lots", "$5 CNY", "5 pis", "1.2.3", "-1", "5 £", "inf"])
def test_what_is_no_amount_is_none(text: str) -> None:
    """A slip of the finger sets no price and no cap."""
    assert read_amount(text) is None


@pytest.mark.parametrize("text", ["off", " None ", "OFF;", ""])
def test_the_environment_can_say_that_it_sets_no_cap(made: Rig, text: str) -> None:
    """WAN_BUDGET=off is what a person writes to have none from there; what the notebook set stands."""
    session = made.kernel(WAN_BUDGET=text)
    assert caps_of(session).all() == []
    caps_of(session).set(parse_cap("1 pictures"))
    ended(ask(session, seed=1))

    refused(lambda: ask(session, seed=2), "1 picture")


def test_off_takes_back_no_cap_that_stands_beside_it(made: Rig) -> None:
    """In doubt a cap stands: nobody pays for a contradiction."""
    assert [cap.text for cap in caps_of(made.kernel(WAN_BUDGET="off, 2 pictures")).all()] == ["2 pictures in total"]
