"""The cell that a card shows asks for everything on it: several seeds and several pictures too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wan_notebook import generate
from wan_notebook.cell import read_cell
from wan_notebook.present import Presenter
from wan_notebook.session import Order, Place, Session

CUP = Path(__file__).resolve().parent.parent / "notebooks/data/coffee.jpg"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on the simulator, in the test's own folder."""
    monkeypatch.setenv("WAN_PROVIDER", "simulator")
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    session = Session()
    yield session
    session.close()


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"n": 3, "seed": 5}, "-n 3 --seed 5"),
        ({"seed": [5, 6, 7]}, "--seed 5..7"),
        ({"seed": [5, 9]}, "--seed 5,9"),
        ({"seed": [5, 9], "n": 2}, "--seed 5,6,9,10"),
        ({"seed": [3, 4], "images": [CUP], "n": 2}, "-n 2 --seed 3..4"),
        ({"seed": 3, "images": [CUP], "size": "1K", "prompt_extend": True}, "--seed 3"),
        ({"seed": 3, "images": [CUP], "size": "2K", "prompt_extend": False}, "--size 2K --seed 3 --no-rewrite"),
    ],
)
def test_the_cell_of_a_card_asks_for_all_of_it(session: Session, asked: dict[str, Any], options: str) -> None:
    """The shown cell has the options that were asked, nothing that is a default, and finds the same jobs again."""
    job = generate("a cup", session=session, **asked).result()

    text = Presenter(session, session.need_home()).card(job).jobs[0].cell_text
    first, body = text.split("\n", 1)
    call = read_cell(first.removeprefix("%%wan"), body, session.resolver({}))
    again = session.submit(Order.of_cell(call, Place()))

    assert first.endswith(options)
    assert [live.id for live in again.lives] == [live.id for live in job.lives]


def test_what_came_from_the_store_is_in_no_total(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that was served cost nothing now; and no new picture is promised where the store never buys."""
    generate("a cup", session=session, n=2).result()
    monkeypatch.setenv("WAN_REPLAY", "only")
    with_only = Presenter(session, session.need_home()).card(generate("a cup", session=session, n=2))
    monkeypatch.delenv("WAN_REPLAY")
    later = Session()
    card = Presenter(later, later.need_home()).card(generate("a cup", session=later, n=2))
    later.close()

    assert {job.replay_text[:18] for job in (*card.jobs, *with_only.jobs)} == {"from store · $0.00"}
    assert (card.total_text, with_only.total_text) == ("", "")
    assert [job.again_text for job in card.jobs] == ["run again for a new picture", ""]
    assert [job.again_text for job in with_only.jobs] == ["", ""]
