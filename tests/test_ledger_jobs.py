"""Jobs in the ledger: made, moved one state at a time, held by one kernel."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger_kit import NOON, WAY, Clock, an_input, create, draft, move, owner, reported, saved_picture
from wan_notebook.ledger import Ledger, LedgerConflict, LedgerError, PictureRecord, creating
from wan_notebook.ledger.codec import decode_text, encode_text
from wan_notebook.ledger.creating import new_id
from wan_notebook.money import Cost, Source
from wan_notebook.states import OPEN, JobState, may_follow


@pytest.fixture
def clock() -> Clock:
    """Time at noon."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=clock) as opened:
        yield opened


def test_every_column_of_a_draft_comes_back(ledger: Ledger) -> None:
    """What was asked is what the ledger says was asked, column by column."""
    given_draft = draft(
        tags=("study", "狐"), inputs=(an_input(), an_input(1)), notes=("reduced",), versions={"python": "3.12"}
    )
    (made,) = ledger.create_jobs([given_draft])
    row = ledger.get(made.id)
    assert made.to_dict() == row.to_dict()  # what creating returns is what is on the disk
    for name in type(given_draft).__dataclass_fields__:
        if name not in ("created_at", "batch_id"):
            assert getattr(row, name) == getattr(given_draft, name), name
    assert row.created_at == NOON
    assert row.batch_id == row.id


def test_drafts_of_one_call_are_one_batch(ledger: Ledger) -> None:
    """Several tasks of one cell find each other again, in their order."""
    ids = [row.id for row in ledger.create_jobs([draft(seed=seed) for seed in (7, 8, 9)])]
    rows = ledger.batch(ledger.get(ids[1]).batch_id)
    assert [(row.id, row.part, row.seed) for row in rows] == [(ids[0], 0, 7), (ids[1], 1, 8), (ids[2], 2, 9)]


def test_a_draft_that_cannot_be_stored_makes_none_of_its_call(ledger: Ledger) -> None:
    """A cell's jobs are made all or none: half a batch would be reserved and never sent."""
    with pytest.raises(LedgerError, match="seed"):
        ledger.create_jobs([draft(), draft(seed="five")])
    assert ledger.open_jobs() == []


def test_ids_are_hex_and_never_look_like_a_number(ledger: Ledger) -> None:
    """An id survives spreadsheets and shells: it begins with a letter, so ``1e5`` cannot happen."""
    assert all(new_id()[0] in "abcdef" and set(new_id()) <= set("0123456789abcdef") for _ in range(200))
    assert len({new_id() for _ in range(2000)}) == 2000


def test_a_way_through_the_states_is_recorded_with_its_times(ledger: Ledger, clock: Clock) -> None:
    """Each transition is a row with its time, and sets the column of that time."""
    job_id = create(ledger)
    for step, state in enumerate(WAY, start=1):
        clock.now = NOON + step
        move(ledger, job_id, state, detail={"step": step})
    row = ledger.get(job_id)
    times = (row.sending_at, row.accepted_at, row.first_running_at, row.finished_at, row.saved_at)
    assert times == tuple(NOON + step for step in range(1, 6))
    events = ledger.events(job_id)
    assert [(event.state, event.at - NOON) for event in events] == [
        ("intent", 0),
        *((s, i + 1) for i, s in enumerate(WAY)),
    ]
    assert events[3].detail == {"step": 3}


def test_only_what_may_follow_follows(ledger: Ledger) -> None:
    """The ledger accepts exactly the transitions of the state machine, and a refused one changes nothing."""
    pairs = [(old, new) for old in JobState for new in JobState]
    ids = [row.id for row in ledger.create_jobs([draft(state=old) for old, _ in pairs])]
    moves = [ledger.transition(job_id, new, expect=old) for job_id, (old, new) in zip(ids, pairs, strict=True)]
    for job_id, moved, (old, new) in zip(ids, moves, pairs, strict=True):
        if may_follow(old, new):
            assert moved.result(10).state is new
        else:
            error = moved.exception(10)
            assert isinstance(error, LedgerConflict), (old, new)
            assert error.current is old
            assert ledger.get(job_id).state is old
            assert len(ledger.events(job_id)) == 1


def test_two_kernels_that_both_send_the_same_job_pay_once(tmp_path: Path) -> None:
    """Of two kernels that mean intent → sending, one wins; the other one learns it before it sends."""
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as one, Ledger.open(path) as two:
        job_id = create(one)
        moves = [ledger.transition(job_id, JobState.SENDING) for ledger in (one, two)]
        outcomes = [moved.exception(10) for moved in moves]
        lost = [error for error in outcomes if error is not None]
        assert len(lost) == 1
        assert isinstance(lost[0], LedgerConflict)
        assert lost[0].current is JobState.SENDING


def test_sending_again_must_be_meant(ledger: Ledger) -> None:
    """Only who says that the job is in ``sending`` may send it once more."""
    job_id = create(ledger)
    move(ledger, job_id, JobState.SENDING)
    with pytest.raises(LedgerConflict):
        move(ledger, job_id, JobState.SENDING)
    assert move(ledger, job_id, JobState.SENDING, expect=JobState.SENDING).state is JobState.SENDING
    assert [event.state for event in ledger.events(job_id)] == ["intent", "sending", "sending"]


def test_a_holder_that_lost_the_job_cannot_move_it(ledger: Ledger) -> None:
    """A kernel that slept while another one took its job over finds out at its next move."""
    job_id = ledger.create_jobs([draft()], owner=owner("first"))[0].id
    assert ledger.lease([job_id], owner("second"), now=NOON + 20).result(10) == {job_id}
    with pytest.raises(LedgerConflict) as caught:
        move(ledger, job_id, JobState.SENDING, holder="first")
    assert caught.value.holder == "second"
    with pytest.raises(LedgerConflict, match="is intent") as caught:
        move(ledger, job_id, JobState.SAVED, holder="first")
    assert (caught.value.current, caught.value.holder) == (JobState.INTENT, "")
    assert move(ledger, job_id, JobState.SENDING, holder="second").state is JobState.SENDING


def test_an_unknown_job_cannot_be_moved(ledger: Ledger) -> None:
    """A wrong id is an error, not a silent nothing."""
    with pytest.raises(LedgerError, match="no job 'f00'"):
        ledger.transition("f00", JobState.SENDING).result(10)


@pytest.mark.parametrize("column", ["state", "id", "owner_token", "trashed_at", "colour", "cost_nano"])
def test_columns_that_have_their_own_way_are_refused(ledger: Ledger, column: str) -> None:
    """A state can only change by a transition, an owner only by a lease, and no column is made up."""
    with pytest.raises(LedgerError):
        ledger.update(create(ledger), **{column: "x"}).result(10)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seed", 1.5),
        ("seed", 2**70),
        ("duration_s", float("nan")),
        ("starred", 1),
        ("task_id", 7),
        ("usage", [1]),
        ("items", "text"),
        ("cost_amount", 0.03),
        ("expires_at", True),
        ("cost_source", "guessed"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(ledger: Ledger, column: str, value: object) -> None:
    """What could not be read back as it was is not stored; the message names column and value."""
    with pytest.raises(LedgerError, match=column):
        ledger.update(create(ledger), **{column: value}).result(10)


def test_an_amount_needs_its_source_and_currency(ledger: Ledger) -> None:
    """Money without a source or a currency would be a lie in every sum."""
    with pytest.raises(LedgerError, match="cost_source"):
        ledger.update(create(ledger), cost_amount=Decimal("0.03")).result(10)
    with pytest.raises(LedgerError, match="reserved_currency"):
        create(ledger, reserved_currency="")


def test_cost_is_kept_exactly(ledger: Ledger) -> None:
    """A reported decimal comes back digit by digit; without one the cost is unknown, not 0."""
    job_id = create(ledger)
    assert ledger.get(job_id).cost == Cost()
    row = ledger.update(job_id, **reported("0.0255000000001")).result(10)
    assert row.cost == Cost(Decimal("0.0255000000001"), "USD", Source.REPORTED)
    assert row.reserved == Cost(Decimal("0.06"), "USD", Source.ESTIMATED)


def test_a_nonsensical_cost_does_not_stop_a_success(ledger: Ledger) -> None:
    """A number that can be no price is noted and counts as unknown; the job moves on to its paid pictures."""
    row = move(ledger, create(ledger), *WAY[:4], **reported("1e999999"))
    assert (row.state, row.cost.amount, row.cost_note) == (JobState.SUCCEEDED, None, "reported as 1E+999999")


def test_a_move_takes_pictures_and_long_columns_along(ledger: Ledger) -> None:
    """Success and the addresses of its pictures are one commit: a crash cannot part them."""
    job_id = create(ledger)
    move(ledger, job_id, *WAY[:3])
    found = [PictureRecord(idx=idx, url=f"https://files.test/{idx}?sig=x") for idx in range(2)]
    row = move(ledger, job_id, JobState.SUCCEEDED, pictures=found, usage={"n": 2}, items=[{"picture": 0}])
    assert [picture.url for picture in row.pictures] == [record.url for record in found]
    assert row.usage == {"n": 2}
    assert row.items == ({"picture": 0},)


def test_a_saved_picture_is_never_forgotten_for_an_address(ledger: Ledger) -> None:
    """A second kernel that learns of the same picture later cannot take back that it is on disk."""
    job_id = create(ledger)
    ledger.save_picture(job_id, PictureRecord(idx=0, url="https://files.test/0?sig=x")).result(10)
    ledger.save_picture(job_id, saved_picture(url="https://files.test/0?sig=x")).result(10)
    ledger.star(job_id, 0)
    ledger.save_picture(job_id, PictureRecord(idx=0, url="https://files.test/0?sig=y")).result(10)
    ledger.save_picture(job_id, saved_picture(width_px=1280)).result(10)
    row = ledger.get(job_id)
    assert row.picture_count == 1
    assert row.pictures[0].url == ""
    assert row.pictures[0].width_px == 1280
    assert row.pictures[0].starred


def test_inputs_can_be_told_later(ledger: Ledger) -> None:
    """A job that waited for another one's picture gets its inputs and its fingerprint when they are known."""
    job_id = create(ledger, pending_inputs=({"job_id": "abc", "index": 0},))
    ledger.update(job_id, inputs=[an_input(source_job="abc", source_index=0)], fp_sent="new", pending_inputs=()).result(
        10
    )
    row = ledger.get(job_id)
    assert row.inputs == (an_input(source_job="abc", source_index=0),)
    assert (row.pending_inputs, row.fp_sent) == ((), "new")


def test_an_expired_job_that_is_found_again_starts_its_end_anew(ledger: Ledger, clock: Clock) -> None:
    """An adopted task's end is when it really ended, not when it was given up."""
    job_id = create(ledger)
    move(ledger, job_id, JobState.SENDING, JobState.IN_DOUBT, JobState.EXPIRED)
    assert ledger.get(job_id).finished_at == NOON
    assert move(ledger, job_id, JobState.ACCEPTED, task_id="t").finished_at is None
    clock.now += 60
    assert move(ledger, job_id, JobState.SUCCEEDED).finished_at == NOON + 60


# ------------------------------------------------------------------ text from outside


@given(
    st.text(alphabet=st.characters(), max_size=200)
    | st.text(alphabet="\x00\ud800\udfff wan-escaped:é狐\u202e", max_size=30)
)
def test_any_text_is_stored_and_comes_back(text: str) -> None:
    """NUL, lone surrogates and right-to-left marks are text like any other; what is stored can be encoded."""
    stored = encode_text(text)
    stored.encode()
    assert "\x00" not in stored
    assert decode_text(stored) == text


@pytest.mark.parametrize(
    "text",
    [
        "狐" * 2000,
        "a\x00b",
        "\ud83d lone",
        "\u202eevil",
        "wan-escaped:[1]",
        "<img onerror=alert(1)>",
        "'; DROP TABLE jobs;--",
    ],
)
def test_hostile_prompts_survive_the_file(ledger: Ledger, text: str) -> None:
    """Whatever a person or a service writes is kept as it is, in every place where text is kept."""
    job_id = create(
        ledger, prompt=text, negative_prompt=text, name=text, tags=(text,), notebook=text, request={"prompt": text}
    )
    move(ledger, job_id, JobState.SENDING, JobState.REFUSED, error_message=text, detail={"said": text})
    row = ledger.get(job_id)
    assert {row.prompt, row.negative_prompt, row.name, row.notebook, row.error_message} == {text}
    assert row.tags == (text,)
    assert row.request == {"prompt": text}
    assert ledger.events(job_id)[-1].detail == {"said": text}


def test_open_jobs_are_those_that_still_cost_or_owe(ledger: Ledger) -> None:
    """``in_doubt`` is open: it counts as reserved and is joined."""
    ids = {state: create(ledger, state=state) for state in JobState}
    assert {row.id for row in ledger.open_jobs()} == {ids[state] for state in OPEN}


def test_no_drafts_make_no_jobs(ledger: Ledger) -> None:
    """Whoever has nothing to order gets no error for it."""
    assert ledger.create_jobs([]) == []
    assert ledger.history().rows == ()


def test_an_id_that_is_taken_is_drawn_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are drawn by chance: one that a job has already is not given to another, and the new job is made anyway."""
    taken = create(ledger)
    drawn = iter([taken, taken, "abcdef0123"])
    monkeypatch.setattr(creating, "new_id", lambda: next(drawn))
    (row,) = ledger.create_jobs([draft(prompt="an owl")])
    assert (row.id, row.batch_id, row.prompt) == ("abcdef0123", "abcdef0123", "an owl")
    assert ledger.get(taken).prompt != "an owl"
