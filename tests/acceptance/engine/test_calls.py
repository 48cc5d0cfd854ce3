"""Calls that cannot be made, and practice: what to do is said before a job is written down where that is possible."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import WAIT_S, Rig, ask, command, history_of
from wan_notebook.errors import BudgetError, RequestError, SettingsError
from wan_notebook.session import Session
from wan_notebook.settings import SettingsLoader


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WAN_BASE_URL", "banana", "banana"),
        ("WAN_BASE_URL", "ftp://host", "http"),
        ("WAN_BASE_URL", "https://me:secret@host", "user"),
        ("WAN_API_KEY", "sk x", "key"),
    ],
)
def test_what_cannot_be_used_leaves_no_job_behind(made: Rig, name: str, value: str, words: str) -> None:
    """A job that cannot be sent would wait in the ledger, and be bought later without anybody asking again."""
    session = made.kernel(**{name: value})
    with pytest.raises(SettingsError, match=words) as caught:
        ask(session, seed=5)
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    assert not made.service.tasks_created
    assert session.known_project() is None or history_of(session) == []


@pytest.mark.parametrize(("n", "notes"), [(4, 0), (5, 1)])
def test_many_pictures_of_unknown_price_are_pointed_out(made: Rig, n: int, notes: int) -> None:
    """The first slip with ``n=`` says how a budget would have stopped it."""
    shown = ask(made.kernel(), n=n).rows[0].notes
    assert [note for note in shown if "price unknown" in note] == [
        "5 pictures, price unknown: `%wan budget 40 pictures` limits what a slip can cost"
    ] * notes


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session without a key: its simulator reads the environment, as in a notebook."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    made = Session(SettingsLoader(cwd=tmp_path, use_keyring=False))
    yield made
    made.close()


def test_practice_counts_for_practice_and_not_against_money(session: Session) -> None:
    """What is shown and what refuses are the same number; "$0.00 spent" after three pictures is explained beside it."""
    ask(session, n=3, seed=1).result(WAIT_S)
    command(session, "budget 4 pictures")
    (line,) = session.budgets.lines()
    assert "3 used" in line
    with pytest.raises(BudgetError, match="3 used"):
        ask(session, n=4, seed=9)
    command(session, "budget 0.01")
    *_, money, practice = session.budgets.lines()
    assert ("$0.00" in money, "Practice" in practice) == (True, True)


def test_a_price_without_a_service_names_the_form_that_works(session: Session) -> None:
    """`price=0.03` without a key sets nobody's price; the hint can be pasted, and then works."""
    with pytest.raises(RequestError) as caught:
        command(session, "config price=0.03")
    assert "price.gateway=0.03" in str(caught.value)
    command(session, "config price.gateway=0.03")
    assert "gateway" in session.settings().prices


def test_the_simulators_variables_hold_from_the_next_call_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAN_SIMULATOR_SECONDS and WAN_SIMULATOR_PRICE are read at each call, as every other variable."""
    assert "$0.03" in ask(session, seed=1).result(WAIT_S).cost.note
    monkeypatch.setenv("WAN_SIMULATOR_PRICE", "0.5")
    assert "$0.50" in ask(session, seed=2).result(WAIT_S).cost.note
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "3600")
    slow = ask(session, seed=3)
    assert not slow.wait(1.0)
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "soon")
    with pytest.raises(SettingsError, match="WAN_SIMULATOR_SECONDS"):
        ask(session, seed=4)
