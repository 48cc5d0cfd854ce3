"""The history: filters, sorts, pages, totals; and that it stays quick because of how it asks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.ledger_kit import NOON, create, draft, finish, move, reported
from wan_notebook.ledger import HistoryQuery, Ledger, LedgerError
from wan_notebook.states import JobState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=lambda: NOON) as opened:
        yield opened


def found(ledger: Ledger, **query: Any) -> list[str]:
    """Return the prompts that a query finds, in their order."""
    page = ledger.history(HistoryQuery(**query))
    assert page.total_rows >= len(page.rows)
    return [row.prompt for row in page.rows]


def test_an_empty_ledger_has_an_empty_history(ledger: Ledger) -> None:
    """Nothing yet is a page like any other."""
    page = ledger.history()
    assert (page.rows, page.total_rows, str(page.total), page.pictures) == ((), 0, "$0.00", 0)


def test_pages_follow_each_other(ledger: Ledger) -> None:
    """Newest first, no row twice and none left out, with the totals of the whole on every page."""
    ledger.create_jobs([draft(prompt=str(at), created_at=NOON + at // 2) for at in range(10)])
    pages = [ledger.history(HistoryQuery(offset=offset, limit=4)) for offset in (0, 4, 8, 12)]
    assert [[row.prompt for row in page.rows] for page in pages] == [list("9876"), list("5432"), list("10"), []]
    assert {page.total_rows for page in pages} == {10}
    assert found(ledger, descending=False, limit=3) == ["0", "1", "2"]


def test_words_are_found_in_any_case_and_script(ledger: Ledger) -> None:
    """All words must occur, as parts of words too; a wildcard is a character like any other."""
    for prompt in ("A Red FOX", "a red dog", "狐在雪中", "Straße 100%", "snake_case", "a\x00fox \ud800"):
        create(ledger, prompt=prompt)
    assert found(ledger, words="fox") == ["a\x00fox \ud800", "A Red FOX"]
    assert found(ledger, words="RED fo") == ["A Red FOX"]
    assert found(ledger, words="狐") == ["狐在雪中"]
    assert found(ledger, words="STRASSE") == ["Straße 100%"]
    assert found(ledger, words="100%") == ["Straße 100%"]
    assert found(ledger, words="%") == ["Straße 100%"]
    assert found(ledger, words="e_c") == ["snake_case"]
    assert found(ledger, words="/") == []
    assert found(ledger, words="\x00 \ud800") != []  # awkward characters separate words


def test_words_look_at_everything_a_person_remembers(ledger: Ledger) -> None:
    """A job is found by its negative prompt, name, tag, seed and id, also after these have changed."""
    job_id = create(ledger, prompt="p", negative_prompt="blurry", name="hero", tags=("figure-2",), seed=771)
    for words in ("blurry", "HERO", "figure-2", "771", job_id):
        assert found(ledger, words=words) == ["p"], words
    ledger.tag(job_id, "cover", remove=["figure-2"])
    ledger.update(job_id, prompt="q", name="star").result(10)
    assert found(ledger, words="cover star") == ["q"]
    assert found(ledger, words="figure-2") == found(ledger, words="hero") == []


def test_filters(ledger: Ledger) -> None:
    """Each filter keeps what it names, and together they narrow."""
    finish(ledger, prompt="saved", notebook="a.ipynb", seed=1, tags=("t",), created_at=NOON - 10)
    failed = create(ledger, prompt="failed", notebook="b.ipynb", seed=1)
    move(ledger, failed, JobState.SENDING, JobState.REFUSED)
    doubt = create(ledger, prompt="doubt", seed=2, created_at=NOON + 10)
    move(ledger, doubt, JobState.SENDING, JobState.IN_DOUBT)
    assert found(ledger, state=JobState.REFUSED) == ["failed"]
    assert found(ledger, state=("saved", "in_doubt")) == ["doubt", "saved"]
    assert found(ledger, running=True) == ["doubt"]
    assert found(ledger, since=NOON) == ["doubt", "failed"]
    assert found(ledger, until=NOON) == ["saved"]
    assert found(ledger, tag="t") == ["saved"]
    assert found(ledger, notebook="b.ipynb") == ["failed"]
    assert found(ledger, seed=1) == ["failed", "saved"]
    assert found(ledger, seed=1, words="saved", until=NOON) == ["saved"]
    assert found(ledger, seed=1, tag="other") == []


def test_of_several_tags_a_job_bears_every_one(ledger: Ledger) -> None:
    """Tags narrow like every other filter: one more of them never finds more."""
    for prompt, tags in (("one", ("a",)), ("both", ("b", "a")), ("other", ("b",))):
        create(ledger, prompt=prompt, tags=tags)

    assert found(ledger, tag=("a", "b")) == ["both"]
    assert found(ledger, tag=("a", "c")) == []
    assert len(found(ledger, tag=("",))) == 3


def test_stars_rejections_and_the_trash(ledger: Ledger) -> None:
    """A job is starred if it is or one of its pictures is; the trash is shown only when asked for."""
    one, two, three = (finish(ledger, prompt=str(at), pictures=2, created_at=NOON + at) for at in range(3))
    ledger.star(one)
    ledger.star(two, 1)
    assert found(ledger, starred=True) == ["1", "0"]
    ledger.star(two, 1, on=False)
    assert found(ledger, starred=True) == ["0"]
    ledger.reject(three)
    assert found(ledger, rejected=True) == ["2"]
    assert found(ledger, rejected=False) == ["1", "0"]
    ledger.trash(one)
    assert found(ledger) == ["2", "1"]
    assert found(ledger, include_trashed=True) == ["2", "1", "0"]


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        ("created", "abc"),
        ("prompt", "abc"),
        ("cost", "bac"),
        ("duration", "cab"),
        ("seed", "bca"),
        ("pictures", "acb"),
        ("state", "bac"),
        ("provider", "abc"),
    ],
)
def test_sorts(ledger: Ledger, sort: str, ascending: str) -> None:
    """Every sort works both ways; what is unknown stands last either way; amounts sort as numbers."""
    for name, amount, duration, seed, pictures in (
        ("a", "9", 2.0, 9, 1),
        ("b", "0.5", None, 1, 3),
        ("c", "10", 1.0, 5, 2),
    ):
        made = finish(ledger, prompt=name, seed=seed, cost=reported(amount), pictures=pictures, provider=name, n=3)
        ledger.update(made, duration_s=duration).result(10)
    ledger.trash(finish(ledger, prompt="trashed"))
    connection = sqlite3.connect(ledger.path)
    connection.execute("UPDATE jobs SET state = 'expired' WHERE seq = 2")
    connection.commit()
    connection.close()
    if sort == "state":
        assert found(ledger, sort=sort, descending=False) == list(ascending)
        return
    descending = ascending[::-1] if sort != "duration" else "acb"
    assert found(ledger, sort=sort, descending=False) == list(ascending)
    assert found(ledger, sort=sort, descending=True) == list(descending)


def test_totals_are_those_of_the_filter(ledger: Ledger) -> None:
    """Under a filter stand the number, the cost and the pictures of what it found, not of the page."""
    for at in range(5):
        finish(ledger, prompt=f"fox {at}", cost=reported("0.02"), pictures=2)
    finish(ledger, prompt="dog", cost=reported("9"))
    page = ledger.history(HistoryQuery(words="fox", limit=2))
    assert (len(page.rows), page.total_rows, page.pictures) == (2, 5, 10)
    assert page.total.known() == Decimal("0.10")


@pytest.mark.parametrize(
    "query",
    [{"sort": "colour"}, {"limit": 0}, {"limit": 5000}, {"offset": -1}, {"state": "happy"}, {"state": ("saved", "x")}],
)
def test_what_cannot_be_asked_is_said(ledger: Ledger, query: dict[str, Any]) -> None:
    """A wrong sort, state or range is an error of ours, with the choices."""
    with pytest.raises(LedgerError):
        ledger.history(HistoryQuery(**query))


def listen(ledger: Ledger, asked: list[str]) -> None:
    """Write down each statement that a reading connection runs, with its values."""
    sa.event.listen(ledger._pool, "checkout", lambda driver, *_: driver.set_trace_callback(asked.append))


@pytest.mark.parametrize("query", [{}, {"words": "fox"}, {"starred": True}, {"sort": "cost"}, {"tag": "t"}])
def test_a_page_needs_a_handful_of_queries(ledger: Ledger, query: dict[str, Any]) -> None:
    """However many rows a page has, their inputs and pictures come together: no query a row."""
    for _ in range(12):
        ledger.star(finish(ledger, tags=("t",)))
    asked: list[str] = []
    listen(ledger, asked)
    page = ledger.history(HistoryQuery(**query))
    assert len(page.rows) == 12
    assert all(row.pictures for row in page.rows)
    assert len(asked) <= 9


def test_big_questions_use_indexes(ledger: Ledger) -> None:
    """A hundred thousand jobs are not scanned for what is open, for an answer, a price or a duration."""
    finish(ledger, cost=reported("0.03"))
    asked: list[str] = []
    listen(ledger, asked)
    ledger.open_jobs()
    ledger.find_answer("x", by="asked", simulated_ok=False, cell_id="c")
    ledger.find_open("x", by="sent", simulated_ok=True)
    ledger.takes("x", "sent")
    ledger.last_price("gateway", "wan26_image")
    ledger.batch("abc")
    connection = sqlite3.connect(ledger.path)
    assert sum(statement.startswith("SELECT") for statement in asked) >= 6
    for statement in asked:
        if statement.startswith("SELECT"):
            plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert not any(step.startswith("SCAN jobs") and "INDEX" not in step for step in plan), (statement, plan)
            assert not any("jobs_created" in step for step in plan), (statement, plan)
    connection.close()
