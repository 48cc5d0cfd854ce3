"""The history: filters, sorts, pages, totals; what answers a request again, and what a half-typed id means."""

from typing import Any

import pytest

from tests.unit.database.kit import PATH, PICTURE, Clock, create, finish, given, move, new, owner
from wan_notebook.database import NOT_SENT, Database, HistoryQuery, Status
from wan_notebook.errors import StoreError


def found(database: Database, **query: Any) -> list[str]:
    """Return the prompts that a query finds, in their order."""
    page = database.history(HistoryQuery(**query))
    assert page.total_rows >= len(page.rows)
    return [row.prompt for row in page.rows]


def test_words_look_at_everything_a_person_remembers(database: Database) -> None:
    """All words must occur, in any case and script, in prompt, name, tag, seed or id; a wildcard is a character."""
    for prompt in ("Straße 100%", "snake_case", "a\x00fox"):
        create(database, prompt)
    job_id = create(database, "A Red FOX", negative_prompt="blurry", name="hero", tags=("figure-2",), seed=771)
    wanted = {"fox": ["A Red FOX", "a\x00fox"], "STRASSE": ["Straße 100%"], "%": ["Straße 100%"], "e_c": ["snake_case"]}
    wanted |= {words: ["A Red FOX"] for words in ("RED fo", "blurry", "HERO", "figure-2", "771", job_id)} | {"/": []}
    for words, prompts in wanted.items():
        assert found(database, words=words) == prompts, words
    database.tag(job_id, ["cover"], remove=["figure-2"])
    assert found(database, words="cover hero") == ["A Red FOX"]
    assert found(database, words="figure-2") == []


def test_a_status_is_asked_for_in_plain_words(database: Database) -> None:
    """A status goes by its name, with a space or a dash, and by what people say."""
    create(database, "waiting")
    finish(database, "saved")
    move(database, create(database, "running"), *PATH[:3])
    for prompt, code in (("refused", "InvalidParameter"), ("not sent", NOT_SENT)):
        move(database, create(database, prompt), *PATH[:1], Status.REFUSED, error_code=code)
    move(database, create(database, "doubt"), *PATH[:1], Status.IN_DOUBT)
    wanted = {Status.REFUSED: ["not sent", "refused"], "not sent": ["not sent"], "in doubt": ["doubt"]}
    wanted |= {"in-doubt": ["doubt"], "Open": ["doubt", "running", "waiting"], "waiting": ["waiting"]}
    wanted |= {"running": ["running"], ("not sent", "done"): ["not sent", "saved"]}
    for status, prompts in wanted.items():
        assert sorted(found(database, status=status)) == prompts, status


def answer(database: Database) -> str | None:
    """Return the id of the newest complete result of the usual request."""
    rows = database.results(new().request_hash_with_seed, with_seed=True)
    return next((row.id for row in reversed(rows) if row.is_complete), None)


def test_results_are_those_not_in_the_trash(database: Database, clock: Clock) -> None:
    """A request's results come oldest first; what is in the trash answers nothing."""
    here = finish(database, cell_id="c1")
    clock.now += 60
    newest = finish(database, cell_id="c2")
    assert [row.id for row in database.results(new().request_hash)] == [here, newest]
    database.trash(newest)
    assert answer(database) == here
    (row, is_new), *_ = database.create_or_join([new()], owner=owner(), simulated_ok=False)
    assert (row.id, is_new) == (here, False)


def test_only_a_complete_result_answers(database: Database) -> None:
    """Every delivered picture must be on disk; bytes that cannot be read hold nothing back, text alone suffices."""
    job_id = create(database)
    move(database, job_id, *PATH, pictures=[{"index": 0}, {"index": 1}])
    database.update(job_id, pictures=[{"index": 0, **PICTURE}])
    assert answer(database) is None
    database.update(job_id, pictures=[{"index": 1, "corrupt_file": "d/x.png.corrupt"}])
    assert answer(database) == job_id
    database.trash(job_id)
    text_alone = create(database)
    move(database, text_alone, *PATH)
    assert answer(database) is None
    database.update(text_alone, items=[{"text": "I would rather write."}])
    assert answer(database) == text_alone


@pytest.mark.parametrize("change", ["request_hash", "request", "inputs"])
def test_an_edited_row_answers_no_other_request(database: Database, change: str) -> None:
    """A foreign ledger must not pass its picture as the answer to somebody's request."""
    mine = new("my own prompt")
    theirs = finish(database, "theirs")
    hashes = {"request_hash": mine.request_hash, "request_hash_with_seed": mine.request_hash_with_seed}
    more = {"request": {"request": {"prompt": "x"}}, "inputs": {"request": mine.request, "inputs": [given()]}}
    database.update(theirs, **hashes, **more.get(change, {}))
    assert database.results(mine.request_hash_with_seed, with_seed=True) == database.results(mine.request_hash) == []
    database.update(theirs, request={})
    assert database.results(mine.request_hash) == []
    ((row, is_new),) = database.create_or_join([mine], owner=owner(), simulated_ok=False)
    assert (row.id != theirs, is_new) == (True, True)


def test_an_id_may_be_begun(database: Database) -> None:
    """In any case; an ambiguous beginning lists its ids, and what is no id is no error of the database either."""
    with pytest.raises(StoreError, match="no jobs yet"):
        database.get("abc")
    ids = [create(database)]
    for text in (ids[0], ids[0][:3], ids[0][:1], f" {ids[0].upper()} "):
        assert database.get(text).id == ids[0]
    for text in ("", "%", "a%", "'", "\x00", "狐", "\ud800", "x" * 500):
        with pytest.raises(StoreError, match=ids[0]):  # the nearest one
            database.get(text)
    while len({job_id[0] for job_id in ids}) == len(ids):
        ids.append(create(database))
    with pytest.raises(StoreError) as caught:
        database.get(ids[-1][0])
    assert all(job_id in str(caught.value) for job_id in ids if job_id[0] == ids[-1][0])
    assert "one more character" in caught.value.hint
