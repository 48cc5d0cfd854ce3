"""Practice pictures: what they count against, what their price is, and how long they take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wan_notebook.api import generate
from wan_notebook.budget import parse_cap
from wan_notebook.commands import Context, run
from wan_notebook.errors import BudgetError, CellError, SettingsError
from wan_notebook.folders import config_dir
from wan_notebook.keys import KeyStore
from wan_notebook.session import Session
from wan_notebook.session.caps import Caps
from wan_notebook.settings import Sources
from wan_notebook.subcommands import read_subcall


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Return a session without a key: its simulator reads the environment, as in a notebook."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    sources = Sources(cwd=tmp_path, config_path=config_dir() / "config.json", keys=KeyStore(use_keyring=False))
    made = Session(sources)
    yield made
    made.close()


def lines(session: Session) -> list[str]:
    """Return what ``%wan budget`` shows."""
    return Caps(session.settings(), session.need_home().ledger, session.sources, "").lines()


def test_the_budget_shows_what_the_next_call_would_be_held_against(session: Session) -> None:
    """A cap on pictures counts practice for practice: what is shown and what refuses are the same number."""
    generate("a fox", n=3, seed=1, session=session).result(60)
    Caps(session.settings(), session.need_home().ledger, session.sources, "").set(parse_cap("4 pictures"))

    assert "3 pictures spent" in lines(session)[0]
    with pytest.raises(BudgetError, match="3 pictures spent"):
        generate("a hen", n=4, seed=9, session=session)
    assert len(lines(session)) == 1


def test_practice_does_not_count_against_money(session: Session) -> None:
    """It is said beside the cap, since `$0.00 spent` after three pictures looks like a mistake."""
    Caps(session.settings(), session.need_home().ledger, session.sources, "").set(parse_cap("0.01"))
    generate("a fox", seed=1, session=session).result(60)
    shown = lines(session)
    assert "$0.00 spent" in shown[0]
    assert "do not count against money" in shown[1]


def test_a_price_without_a_service_names_the_form_that_works(session: Session) -> None:
    """`price=0.03` without a key sets nobody's price; the hint can be pasted, and then works."""
    context = Context(session, None, {})
    with pytest.raises(CellError) as caught:
        run(read_subcall("config price=0.03"), context)
    command = "config price.gateway=0.03"
    assert f"%wan {command}" in caught.value.hint
    run(read_subcall(command), context)
    assert "gateway" in session.settings().prices


def test_the_simulators_variables_hold_from_the_next_call_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAN_SIMULATOR_SECONDS and WAN_SIMULATOR_PRICE are read at each call, as every other variable."""
    assert generate("a fox", seed=1, session=session).result(60).cost.note == "would cost $0.03"
    monkeypatch.setenv("WAN_SIMULATOR_PRICE", "0.5")
    assert generate("a fox", seed=2, session=session).result(60).cost.note == "would cost $0.50"
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "3600")
    slow = generate("a fox", seed=3, session=session)
    assert not slow.wait(1.0)
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "soon")
    with pytest.raises(SettingsError, match="WAN_SIMULATOR_SECONDS"):
        generate("a fox", seed=4, session=session)
