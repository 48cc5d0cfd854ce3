"""The history: filters, sorts, pages, totals; what answers a request again, and what a half-typed id means."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.database.kit import NOON, PATH, PICTURE, Clock, create, finish, ledger, move, new, owner, reported
from wan_notebook.database import NOT_SENT, Database, HistoryPage, HistoryQuery, Status, nothing_found
from wan_notebook.errors import StoreError


def found(database: Database, **query: Any) -> list[str]:
    """Return the prompts that a query finds, in their order."""
    page = database.history(HistoryQuery(**query))
    assert page.total_rows >= len(page.rows)
    return [row.prompt for row in page.rows]


def test_pages_follow_each_other(database: Database, clock: Clock) -> None:
    """Newest first, no row twice and none left out, with the totals of the whole on every page."""
    assert database.history() == HistoryPage() == nothing_found(HistoryQuery())
    for at in range(10):
        clock.now = NOON + at // 2
        create(database, str(at))
    pages = [database.history(HistoryQuery(offset=offset, limit=4)) for offset in (0, 4, 8, 12)]
    assert [[row.prompt for row in page.rows] for page in pages] == [list("9876"), list("5432"), list("10"), []]
    assert {page.total_rows for page in pages} == {10}
    assert found(database, descending=False, limit=3) == ["0", "1", "2"]


def test_words_are_found_in_any_case_and_script(database: Database) -> None:
    """All words must occur, as parts of words too; a wildcard is a character like any other."""
    for prompt in ("A Red FOX", "a red dog", "狐在雪中", "Straße 100%", "snake_case", "a\x00fox \ud800"):
        create(database, prompt)
    for words, prompts in {"fox": ["a\x00fox \ud800", "A Red FOX"], "RED fo": ["A Red FOX"], "狐": ["狐在雪中"],
                           "STRASSE": ["Straße 100%"], "%": ["Straße 100%"], "e_c": ["snake_case"], "/": []}.items():  # fmt: skip
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


def test_filters_narrow_together(database: Database, clock: Clock) -> None:
    """Each filter keeps what it names; of several tags a job must have every one."""
    finish(database, "saved", notebook="a.ipynb", seed=1, tags=("t", "u"), user="ann")
    clock.now += 10
    move(database, create(database, "failed", seed=1, tags=("t",)), *PATH[:2], Status.FAILED)
    move(database, create(database, "doubt", seed=2, notebook="b.ipynb"), Status.SENDING, Status.IN_DOUBT)
    for query, prompts in (
        ({"since": NOON + 10}, ["doubt", "failed"]), ({"until": NOON + 10}, ["saved"]), ({"tags": ("t",)}, ["failed", "saved"]),
        ({"tags": ("t", "u")}, ["saved"]), ({"tags": ("t", "x")}, []), ({"notebook": "b.ipynb"}, ["doubt"]),
        ({"user": "ann"}, ["saved"]), ({"seed": 1}, ["failed", "saved"]), ({"seed": 1, "words": "saved"}, ["saved"]),
    ):  # fmt: skip
        assert found(database, **query) == prompts, query


@pytest.mark.parametrize(
    ("status", "prompts"),
    [
        (Status.REFUSED, ["not sent", "refused"]), ("refused", ["not sent", "refused"]), ("not sent", ["not sent"]),
        ("in doubt", ["doubt"]), ("in-doubt", ["doubt"]), ("Open", ["doubt", "running", "waiting"]), ("waiting", ["waiting"]),
        ("running", ["running"]), ("done", ["saved"]), (("saved", "in_doubt"), ["doubt", "saved"]), (("not sent", "done"), ["not sent", "saved"]),
    ],
)  # fmt: skip
def test_a_status_is_asked_for_in_plain_words(database: Database, status: Any, prompts: list[str]) -> None:
    """A status goes by its name, with a space or a dash, and by what people say."""
    create(database, "waiting")
    finish(database, "saved")
    move(database, create(database, "running"), *PATH[:3])
    move(database, create(database, "refused"), *PATH[:1], Status.REFUSED, error_code="InvalidParameter")
    move(database, create(database, "not sent"), *PATH[:1], Status.REFUSED, error_code=NOT_SENT)
    move(database, create(database, "doubt"), *PATH[:1], Status.IN_DOUBT)
    assert sorted(found(database, status=status)) == prompts


def test_stars_rejections_and_the_trash(database: Database, clock: Clock) -> None:
    """A job is starred if it is or one of its pictures is; the trash is shown only when asked for."""
    ids = []
    for clock.now in (NOON, NOON + 1, NOON + 2):
        ids.append(finish(database, str(int(clock.now - NOON)), pictures=2))
    database.star(ids[0])
    database.star(ids[1], 1)
    assert found(database, starred=True) == ["1", "0"]
    database.star(ids[1], 1, on=False)
    assert found(database, starred=True) == ["0"]
    database.reject(ids[2])
    assert (found(database, rejected=True), found(database, rejected=False)) == (["2"], ["1", "0"])
    database.trash(ids[0])
    assert (found(database), found(database, only_trashed=True)) == (["2", "1"], ["0"])
    assert found(database, include_trashed=True) == ["2", "1", "0"]


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [("created", "abc"), ("prompt", "abc"), ("cost", "bac"), ("seed", "bca"), ("pictures", "acb"), ("user", "abc")],
)
def test_sorts(database: Database, clock: Clock, sort: str, ascending: str) -> None:
    """Every sort works both ways; amounts sort as numbers, and what is unknown comes last either way."""
    for name, amount, duration, seed, pictures in (("a", "9", 2.0, 9, 1), ("b", "0.5", None, 1, 3), ("c", "10", 1.0, 5, 2)):
        job_id = finish(database, name, seed=seed, cost=reported(amount), pictures=pictures, user=name)
        database.update(job_id, duration_s=duration)
        clock.now += 1
    assert found(database, sort=sort, descending=False) == list(ascending)
    assert found(database, sort=sort) == list(ascending[::-1])
    assert (found(database, sort="duration"), found(database, sort="duration", descending=False)) == (["a", "c", "b"], ["c", "a", "b"])


@pytest.mark.parametrize(
    ("query", "said"),
    [({"sort": "colour"}, "colour"), ({"limit": 0}, "rows"), ({"limit": 5000}, "rows"), ({"offset": -1}, "rows"),
     ({"status": "happy"}, "happy"), ({"status": ("saved", "savd")}, "Did you mean saved")],
)  # fmt: skip
def test_what_cannot_be_asked_is_said(database: Database, query: dict[str, Any], said: str) -> None:
    """A wrong sort, status or range is an error with the choices, in a folder without a ledger too."""
    for ask in (database.history, nothing_found):
        with pytest.raises(StoreError, match=said):
            ask(HistoryQuery(**query))


def test_the_first_page_is_quick(tmp_path: Path) -> None:
    """With 10,000 jobs a page with its texts, pictures and totals stays far below what a person notices."""
    with ledger(tmp_path) as database:
        finish(database)
        with sqlite3.connect(tmp_path / "ledger.db") as connection:
            for table in ("jobs", "job_texts", "job_search", "pictures"):
                key = "seq" if table == "jobs" else "job_seq"
                names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in (key, "id")]
                new_id = ", id" if table == "jobs" else ""
                connection.execute(
                    f"WITH RECURSIVE n(k) AS (SELECT 2 UNION ALL SELECT k + 1 FROM n WHERE k < 10000) "
                    f"INSERT INTO {table} ({key}{new_id}, {', '.join(names)}) "
                    f"SELECT k{', printf(?, k)' if new_id else ''}, {', '.join(names)} FROM {table}, n WHERE {key} = 1",
                    ["a%09d"] if new_id else [],
                )
        took = []
        for _ in range(4):
            begin = time.perf_counter()
            page = database.history()
            took.append(time.perf_counter() - begin)
        assert (len(page.rows), page.total_rows, len(page.rows[0].pictures)) == (20, 10000, 1)
        assert min(took) < 0.5  # 0.03 s on a quiet machine; the goal is 0.15 s


# ------------------------------------------------------------------ results


def answer(database: Database, **options: Any) -> str | None:
    """Return the id of the stored result of the usual request."""
    row = database.find_result(new().request_hash_with_seed, **{"simulated_ok": False, **options})
    return row.id if row else None


def test_the_newest_result_answers_that_of_the_same_cell_first(database: Database, clock: Clock) -> None:
    """A request is answered by its newest result, but two cells with the same prompt each get their own back."""
    assert answer(database) is None
    here = finish(database, cell_id="c1")
    clock.now += 60
    newest = finish(database, cell_id="c2")
    assert answer(database, cell_id="c1") == here
    assert answer(database, cell_id="c3") == answer(database) == newest
    database.trash(newest)
    assert answer(database) == here
    assert [row.id for row in database.results(new().request_hash)] == [here]
    assert len(database.results(new().request_hash_with_seed, with_seed=True)) == 1


def test_a_simulated_result_never_serves_a_real_request(database: Database, clock: Clock) -> None:
    """A practice picture is no answer to a paid question; a real one serves everybody."""
    simulated = finish(database, is_simulated=True)
    assert (answer(database), answer(database, simulated_ok=True)) == (None, simulated)
    clock.now += 60
    assert finish(database) == answer(database) == answer(database, simulated_ok=True)


def test_only_a_complete_result_answers(database: Database) -> None:
    """Every delivered picture must be on disk; bytes that cannot be read hold nothing back, text alone suffices."""
    job_id = create(database)
    move(database, job_id, *PATH, pictures=[{"index": 0}, {"index": 1}])
    database.save_picture(job_id, index=0, **PICTURE)
    assert answer(database) is None
    database.save_picture(job_id, index=1, corrupt_file="x.png.corrupt")
    assert answer(database) == job_id
    database.trash(job_id)
    text_alone = create(database)
    move(database, text_alone, *PATH)
    assert answer(database) is None
    database.update(text_alone, items=[{"text": "I would rather write."}])
    assert answer(database) == text_alone


# ------------------------------------------------------------------ ids and the rest


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


@pytest.mark.parametrize("text", ["", "%", "a%", "'", "\x00", "狐", "\ud800", "x" * 500, "abc"])
def test_an_unknown_id_finds_nothing(database: Database, text: str) -> None:
    """A wildcard or any other text is not an id, nor an error of the database; the nearest ids are named."""
    with pytest.raises(StoreError, match="no jobs yet"):
        database.get(text)
    job_id = create(database)
    with pytest.raises(StoreError, match=job_id):
        database.get(text or "x")


def test_durations_are_those_of_alike_jobs(database: Database) -> None:
    """The poll schedule learns from jobs of the same kind, the newest ones, in their order."""
    kinds = [(30, 13.0, {}), (10, 11.0, {}), (20, 12.0, {}), (40, None, {}), (0, 99.0, {"size_tier": "2K"}), (0, 99.0, {"n": 2})]
    for at, duration_s, changes in kinds:
        job_id = create(database, **{"size_tier": "1K", **changes})
        move(database, job_id, *PATH[:4], duration_s=duration_s, finished_at=NOON + at)
    kind = ("gateway", "wan2.6-image", "text to image", "1K", 1)
    assert database.durations(*kind) == [11.0, 12.0, 13.0]
    assert database.durations(*kind, limit=2) == [12.0, 13.0]


def test_what_else_a_folder_knows(database: Database) -> None:
    """Real work, the service's tasks, what an input was called first, and remembered values."""
    create(database, is_simulated=True)
    move(database, create(database), Status.REFUSED)
    assert not database.has_real_jobs()
    move(database, create(database), *PATH[:2], task_id="t1")
    assert (database.has_real_jobs(), database.task_ids()) == (True, {"t1"})
    assert [row.status for row in database.open_jobs({Status.ACCEPTED, Status.SAVED})] == [Status.ACCEPTED]
    assert database.input_name("inputs/abc.png") == ""
    for value in ("5.00", "\x00 狐", None):
        database.meta_set("budget", value)
        assert database.meta_get("budget") == value


def test_showing_again_is_remembered(database: Database) -> None:
    """A replay is an event, with where and how."""
    job_id = finish(database)
    database.record_shown(job_id, "a.ipynb", "c1", "replay")
    event = database.events(job_id)[-1]
    assert (event.kind, event.status, event.at) == ("shown", "", NOON)
    assert event.detail == {"notebook": "a.ipynb", "cell_id": "c1", "how": "replay"}
    assert create(database, by=owner("x")) != job_id
