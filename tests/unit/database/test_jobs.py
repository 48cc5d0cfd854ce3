"""Jobs: created once, joined while open, moved one status at a time, held by one process."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from tests.unit.database.kit import NOON, PATH, PICTURE, Clock, create, finish, move, new, owner, reported
from wan_notebook.database import NOT_SENT, OPEN, TRANSITIONS, Conflict, Database, JobRow, Owner, Status
from wan_notebook.errors import StoreError
from wan_notebook.money import Cost, Source

ME = owner("me")


def ask(database: Database, *new_jobs: JobRow, by: Owner = ME, **options: Any) -> list[tuple[JobRow, bool]]:
    """Create or join, for a real service."""
    return database.create_or_join(new_jobs, owner=by, **{"simulated_ok": False, **options})


def request(prompt: str = "a fox", *, seed: int = 7, n: int = 3) -> list[JobRow]:
    """Return the tasks of one request without a seed; ``seed`` is the one that was drawn."""
    return [new(prompt, seed=seed + k, seedless=k == 0, request_position=k) for k in range(n)]


@pytest.mark.parametrize("status", list(Status))
def test_an_open_request_is_joined_and_an_ended_one_is_not(database: Database, status: Status) -> None:
    """What still costs or owes something is joined, ``in_doubt`` too; without a result it is asked anew."""
    ways = {Status.REFUSED: PATH[:1], Status.IN_DOUBT: PATH[:1], Status.SAVED: PATH[:4], Status.SUCCEEDED: PATH[:3]}
    way = ways.get(status, PATH[: PATH.index(status)] if status in PATH else PATH[:2])
    ((first, _),) = ask(database, new())
    if status is not Status.INTENT:
        move(database, first.id, *way, status)
    ((again, is_new),) = ask(database, new())
    assert (again.id == first.id) is (status in OPEN)
    assert is_new is (status not in OPEN)


def test_equal_tasks_are_one_job_unless_fresh(database: Database) -> None:
    """Twice in a table, or just made by another kernel: paid once; ``fresh`` takes a person at their word."""
    (first, is_new), (second, second_is_new) = ask(database, new(), new())
    assert (first.id, is_new, second_is_new) == (second.id, True, False)
    done = move(database, finish(database, "an owl"))
    assert [(row.id, is_new) for row, is_new in ask(database, new("an owl"))] == [(done.id, False)]
    fresh = ask(database, new(), new(), new("an owl"), fresh=True)
    assert len({row.id for row, _ in fresh} | {first.id, done.id}) == 5


def test_a_real_request_never_waits_for_practice(database: Database) -> None:
    """Simulated jobs answer simulated requests only; a real one serves everybody."""
    create(database, is_simulated=True, provider="simulator")
    assert ask(database, new())[0][1]
    assert not ask(database, new(is_simulated=True), simulated_ok=True)[0][1]


def test_a_request_that_is_taken_over_keeps_its_seeds(database: Database, clock: Clock) -> None:
    """Tasks that were sent already belong to the old seeds; another first seed would buy the rest twice."""
    first = ask(database, *request(seed=7), by=owner("dead"))
    move(database, first[1][0].id, Status.SENDING, Status.ACCEPTED)
    clock.now += 16
    again = ask(database, *request(seed=900))
    assert [(row.id, row.seed) for row, _ in again] == [(row.id, row.seed) for row, _ in first]
    assert [is_new for _, is_new in again] == [True, False, True]


@pytest.mark.parametrize(("way", "end"), [(PATH[:1], Status.REFUSED), (PATH[:2], Status.EXPIRED), (PATH[:4], PATH[4])])
def test_what_is_over_stays_so(database: Database, way: tuple[Status, ...], end: Status) -> None:
    """A job that has ended is not sent, asked for or fetched again by itself, whatever its kernel believed."""
    job_id = create(database)
    move(database, job_id, *way, end)
    before = len(database.events(job_id))
    for to in set(Status) - {end}:
        if to not in TRANSITIONS[end]:
            with pytest.raises(Conflict):
                database.transition(job_id, to, expect=end, detail={NOT_SENT: "HTTP 429"})
    assert Status.SENDING not in TRANSITIONS[end]
    assert len(database.events(job_id)) == before


def test_sending_becomes_intent_only_with_proof(database: Database) -> None:
    """Without the reason why no task was made, a job that may have been sent is never sent again."""
    job_id = create(database)
    move(database, job_id, Status.SENDING)
    for detail in ({}, {NOT_SENT: ""}, {"reason": "HTTP 429"}):
        with pytest.raises(StoreError, match="without proof"):
            database.transition(job_id, Status.INTENT, detail=detail)
    row = database.transition(job_id, Status.INTENT, detail={NOT_SENT: "HTTP 429"})
    assert (row.status, row.sending_at) == (Status.INTENT, None)


def test_costs_are_exact_and_have_source_and_currency(database: Database) -> None:
    """A reported decimal comes back digit by digit; a nonsensical one does not keep a paid picture out."""
    job_id = create(database)
    row = database.update(job_id, **reported("0.0255000000001"))
    assert row.cost == Cost(Decimal("0.0255000000001"), "USD", Source.REPORTED)
    row = move(database, job_id, *PATH[:4], **reported("1e999999"))
    assert (row.status, row.cost.amount, row.cost_note) == (Status.SUCCEEDED, None, "reported as 1E+999999")


def test_success_and_its_pictures_are_one_commit(database: Database) -> None:
    """A crash cannot part them; a saved picture is never forgotten for an address, and its marks stay."""
    job_id = create(database)
    found = [{"index": k, "url": f"https://files.test/{k}?sig=x"} for k in (0, 1)]
    row = move(database, job_id, *PATH[:4], pictures=found, usage={"n": 2}, items=[{"picture": 0}])
    assert [(p.index, p.kind, p.url) for p in row.pictures] == [(k, "image", found[k]["url"]) for k in (0, 1)]
    assert (row.usage, row.items, row.picture_count) == ({"n": 2}, ({"picture": 0},), 0)
    database.update(job_id, pictures=[{"index": 0, "file": "d/a.png", **PICTURE}])
    database.mark(job_id, 0, is_starred=True)
    row = database.update(job_id, pictures=[{"index": 0, "url": "https://files.test/0?sig=y", "file": ""}])
    assert (row.pictures[0].url, row.pictures[0].file, row.pictures[0].is_starred) == ("", "d/a.png", True)
    row = database.update(job_id, pictures=[{"index": 0, "width_px": 1280, "saved_at": NOON}])
    assert (row.pictures[0].width_px, row.pictures[0].file, row.picture_count) == (1280, "d/a.png", 1)
    with pytest.raises(StoreError, match="width_px"):
        move(database, job_id, Status.SAVED, pictures=[{"index": 1, "width_px": "wide"}])
    assert database.get(job_id).status is Status.SUCCEEDED


@hypothesis_given(st.text(st.characters() | st.sampled_from("\x00\ud800\u202e"), max_size=60))
def test_any_text_is_kept_as_it_is(one_database: Database, text: str) -> None:
    """NUL and right-to-left marks come back, wherever text is kept; half a character keeps no paid picture out."""
    job_id = create(one_database, text, tags=(text,), notebook=text)
    move(one_database, job_id, Status.REFUSED, error_message=text, detail={"said": text})
    row, kept = one_database.get(job_id), text.encode("utf-8", "replace").decode()
    assert {row.prompt, row.notebook, row.error_message} <= {kept, kept.partition("\n→ ")[0]}
    assert {row.request["prompt"], *row.tags, one_database.events(job_id)[-1].detail["said"]} == {text}
