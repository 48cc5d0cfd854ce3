"""The history: filters, sorts, pages, totals; what answers a request again, and what a half-typed id means."""

from typing import Any

import pytest

from tests.unit.database.kit import NOON, PATH, PICTURE, Clock, create, finish, given, move, new, owner, reported
from wan_notebook.database import NOT_SENT, STATES, Database, HistoryPage, HistoryQuery, Status
from wan_notebook.errors import StoreError


def found(database: Database, **query: Any) -> list[str]:
    """Return the prompts that a query finds, in their order."""
    page = database.history(HistoryQuery(**query))
    assert page.total_rows >= len(page.rows)
    return [row.prompt for row in page.rows]


def test_pages_follow_each_other(database: Database, clock: Clock) -> None:
    """Newest first, no row twice and none left out, with the totals of the whole on every page."""
    assert database.history() == HistoryPage()
    for at in range(10):
        clock.now = NOON + at // 2
        finish(database, str(at), cost=reported("0.02"))
    pages = [database.history(HistoryQuery(offset=offset, limit=4)) for offset in (0, 4, 8, 12)]
    assert [[row.prompt for row in page.rows] for page in pages] == [list("9876"), list("5432"), list("10"), []]
    assert {(page.total_rows, page.pictures, str(page.total)) for page in pages} == {(10, 10, "$0.20 reported")}
    assert found(database, descending=False, limit=3) == ["0", "1", "2"]


def test_words_are_found_in_any_case_and_script(database: Database) -> None:
    """All words must occur, as parts of words too; a wildcard is a character like any other."""
    for prompt in ("A Red FOX", "a red dog", "狐在雪中", "Straße 100%", "snake_case", "a\x00fox"):
        create(database, prompt)
    wanted = {"fox": ["a\x00fox", "A Red FOX"], "RED fo": ["A Red FOX"], "狐": ["狐在雪中"], "STRASSE": ["Straße 100%"]}
    wanted |= {"%": ["Straße 100%"], "e_c": ["snake_case"], "/": []}
    for words, prompts in wanted.items():
        assert found(database, words=words) == prompts


def test_words_look_at_everything_a_person_remembers(database: Database) -> None:
    """A job is found by its negative prompt, name, tag, seed and id, also after these have changed."""
    job_id = create(database, "p", negative_prompt="blurry", name="hero", tags=("figure-2",), seed=771)
    for words in ("blurry", "HERO", "figure-2", "771", job_id):
        assert found(database, words=words) == ["p"], words
    database.tag(job_id, ["cover"], remove=["figure-2"])
    database.update(job_id, name="star")
    assert found(database, words="cover star") == ["p"]
    assert found(database, words="figure-2") == found(database, words="hero") == []


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


def test_sorts(database: Database) -> None:
    """Every sort works both ways; amounts sort as numbers, and what is unknown comes last either way."""
    made = (("a", "9", 2.0, 9, 1), ("b", "0.5", None, 1, 3), ("c", "10", 1.0, 5, 2))
    for name, amount, duration_s, seed, pictures in made:
        job_id = finish(database, name, seed=seed, cost=reported(amount), pictures=pictures, user=name)
        database.update(job_id, duration_s=duration_s)
    orders = {"created": "abc", "prompt": "abc", "cost": "bac", "seed": "bca", "pictures": "acb", "user": "abc"}
    for sort, ascending in orders.items():
        assert found(database, sort=sort, descending=False) == list(ascending), sort
        assert found(database, sort=sort) == list(ascending[::-1]), sort
    assert found(database, sort="duration") == ["a", "c", "b"]
    assert found(database, sort="duration", descending=False) == ["c", "a", "b"]


def test_what_cannot_be_asked_is_said() -> None:
    """A wrong sort, status or range is an error with the choices, in a folder without a ledger too."""
    wrong = [{"sort": "colour"}, {"limit": 0}, {"offset": -1}, {"status": ("saved", "savd")}]
    for query in wrong:
        with pytest.raises(StoreError, match=r"colour|1 row|'savd' is not a status\. Did you mean saved") as caught:
            HistoryQuery(**query)
    assert caught.value.hint == f"Did you mean saved? Use one of: {', '.join(STATES)}."  # no internal words


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
    database.update(job_id, pictures=[{"index": 1, "corrupt_file": "x.png.corrupt"}])
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
    """The first characters of an id suffice, in any case; an ambiguous beginning lists its ids."""
    ids = [create(database)]
    for text in (ids[0], ids[0][:3], ids[0][:1], f" {ids[0].upper()} "):
        assert database.get(text).id == ids[0]
    while len({job_id[0] for job_id in ids}) == len(ids):
        ids.append(create(database))
    with pytest.raises(StoreError) as caught:
        database.get(ids[-1][0])
    assert all(job_id in str(caught.value) for job_id in ids if job_id[0] == ids[-1][0])
    assert "one more character" in caught.value.hint


def test_an_unknown_id_finds_nothing(database: Database) -> None:
    """A wildcard or any other text is not an id, nor an error of the database; the nearest ids are named."""
    with pytest.raises(StoreError, match="no jobs yet"):
        database.get("abc")
    job_id = create(database)
    for text in ("", "%", "a%", "'", "\x00", "狐", "\ud800", "x" * 500):
        with pytest.raises(StoreError, match=job_id):
            database.get(text)


def test_durations_are_those_of_alike_jobs(database: Database) -> None:
    """The poll schedule learns from jobs of the same kind, the newest ones, in their order."""
    kinds = [(30, 13.0, {}), (10, 11.0, {}), (20, 12.0, {}), (40, None, {}), (0, 9.0, {"size_tier": "2K"})]
    for at, duration_s, changes in [*kinds, (0, 9.0, {"n": 2})]:
        job_id = create(database, **{"size_tier": "1K", **changes})
        move(database, job_id, *PATH[:4], duration_s=duration_s, finished_at=NOON + at)
    kind = ("gateway", "wan2.6-image", "text to image", "1K", 1)
    assert database.durations(*kind) == [11.0, 12.0, 13.0]


def test_what_else_a_folder_knows(database: Database) -> None:
    """Real work, the service's tasks, what an input was called first, remembered values, and where a job was shown."""
    create(database, is_simulated=True)
    move(database, create(database), Status.REFUSED)
    assert not database.has_real_jobs()
    job_id = create(database)
    move(database, job_id, *PATH[:2], task_id="t1")
    assert (database.has_real_jobs(), database.task_ids()) == (True, {"t1"})
    for value in ("5.00", "\x00 狐", None):
        database.meta_set("budget", value)
        assert database.meta_get("budget") == value
    database.add_event(job_id, "shown", {"cell_id": "c1"})
    event = database.events(job_id)[-1]
    assert (event.kind, event.at, event.detail) == ("shown", NOON, {"cell_id": "c1"})
