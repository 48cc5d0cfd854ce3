"""Batches: each row is paid once whatever happens, in the order of rows, within the budget, and the rest goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import WAIT_S, Rig, at_cell, database_of, ended, history_of, rig, side_by_side, small_png, until
from wan_notebook import api
from wan_notebook.batch import Batch, BatchPlan, start_batch
from wan_notebook.errors import BudgetError, JobError, ReplayError, RequestError, StoreError
from wan_notebook.session import Session

ROWS = [{"animal": animal, "seed": seed} for animal in ("fox", "owl", "cat") for seed in (1, 2)]


def ask_rows(session: Session, rows: Any = ROWS, prompt: str = "a {animal}", **options: Any) -> Batch:
    """Make a batch through the public function."""
    made = api.map(rows, prompt, session=session, **options)
    assert isinstance(made, Batch)
    return made


def done(batch: Batch) -> Batch:
    """Wait for a batch."""
    assert batch.wait(WAIT_S)
    return batch


def at_service(batch: Batch) -> int:
    """Return how many tasks the service has accepted and not ended."""
    return sum(batch.status.get(state, 0) for state in ("accepted", "running"))


def prompts_sent(made: Rig) -> list[str]:
    """Return the prompts of the service's tasks, in the order of submission."""
    return [task.request.prompt for task in sorted(made.service.stored(), key=lambda task: task.submitted_at)]


def test_the_same_call_again_adds_nothing_and_costs_nothing(made: Rig) -> None:
    """With seeds and without, in the same kernel and in a later one, also when a row is added: only that is made."""
    rows = [*ROWS, {"animal": "fox"}, {"animal": "fox"}, {"animal": "elk"}]
    first = done(ask_rows(made.kernel(), rows, name="zoo"))
    assert first.status == {"saved": 9}
    assert made.service.tasks_created == 9
    seeds = [job.seed for job in first]
    assert seeds[6] != seeds[7], "equal rows without a seed are separate jobs"
    for session in (first.session, made.kernel()):
        again = done(ask_rows(session, rows, name="zoo"))
        assert again.plan is not None
        assert again.plan.new_tasks == 0
        assert [job.seed for job in again] == seeds
    longer = done(ask_rows(made.kernel(), [{"animal": "bee"}, *rows], name="zoo"))
    assert [job.seed for job in longer][1:] == seeds
    assert made.service.tasks_created == 10
    done(ask_rows(made.kernel(), rows[:1], name="zoo", fresh=True))
    assert made.service.tasks_created == 11


def test_equal_rows_with_a_seed_are_one_job_shown_twice(made: Rig) -> None:
    """So are rows that a cell has made before."""
    session = made.kernel()
    single = ended(api.generate("a fox", seed=1, session=session))
    batch = done(ask_rows(session, [*ROWS[:2], ROWS[0]]))
    assert [job.id for job in batch] == [single.id, batch[1].id, single.id]
    assert made.service.tasks_created == 2


def test_two_maps_in_one_cell_are_two_batches_and_run_again_the_same_two(made: Rig) -> None:
    """Without a name a batch is known by its cell and its rows."""
    session = at_cell(made.kernel(), "cell", "1")
    one, two = ask_rows(session, ROWS[:2]), ask_rows(session, ROWS[2:4])
    assert one.id != two.id
    assert [done(one).status, done(two).status] == [{"saved": 2}, {"saved": 2}]
    again = ask_rows(at_cell(made.kernel(), "cell", "1"), ROWS[:2])
    assert done(again).id == one.id
    assert made.service.tasks_created == 4


def test_rows_are_sent_in_their_order(tmp_path: Path) -> None:
    """Whatever they take, with few at once."""
    with rig(tmp_path, seconds=5.0, in_flight=2) as made:
        rows = [{"animal": f"{number:02}", "seed": number} for number in range(12)]
        done(ask_rows(made.kernel(WAN_IN_FLIGHT="2"), rows))
        assert prompts_sent(made) == [f"a {number:02}" for number in range(12)]
        assert made.service.requests["submit 429"] == 0


def test_text_to_image_rows_with_n_have_several_tasks(made: Rig) -> None:
    """A row's job has all of its pictures."""
    batch = done(ask_rows(made.kernel(), [{"animal": "fox", "n": 3}, {"animal": "owl", "seed": 9, "n": 2}]))
    assert [len(job.files) for job in batch] == [3, 2]
    shown = [batch.session.job(job.id) for job in batch]
    assert [len(job.files) for job in shown] == [3, 2], "a row's tasks are one job of the history, others' are not"
    assert batch[1].seeds == (9, 10)
    assert batch.progress.total == 5


def test_a_picture_that_changes_before_its_row_is_written_is_not_sent(made: Rig, tmp_path: Path) -> None:
    """Pictures of a table are read again for their job: what was checked is sent, or nothing."""
    paths = [tmp_path / f"{colour}.png" for colour in ("teal", "blue", "green")]
    for path in paths:
        path.write_bytes(small_png(path.stem))
    session = made.kernel()
    plan = api.map([{"image": path, "seed": 1} for path in paths], "at night", session=session, dry_run=True)
    assert isinstance(plan, BatchPlan)
    assert [image.data for row in plan.rows for image in row.request.images] == [b""] * 3, "a table may name thousands"
    paths[1].write_bytes(small_png("red"))
    batch = start_batch(session, plan)
    with pytest.raises(JobError, match=r"blue.png was changed after its row"):
        batch.wait(WAIT_S)
    assert made.service.tasks_created == 0


def test_a_budget_is_checked_once_for_the_whole_batch(made: Rig) -> None:
    """What does not fit is refused before anything is written; `limit` makes it fit."""
    session = made.kernel(WAN_BUDGET="4 pictures")
    with pytest.raises(BudgetError, match=r"6 pictures"):
        ask_rows(session, name="zoo")
    assert not history_of(session)
    with pytest.raises(StoreError, match="No batch has the name"):
        api.batch("zoo", session=session)
    done(ask_rows(session, name="zoo", limit=4))
    with pytest.raises(BudgetError):
        api.generate("one more", session=session)
    assert made.service.tasks_created == 4


def test_a_dry_run_writes_and_sends_nothing(made: Rig) -> None:
    """It says what is new, and the most that it costs."""
    session = made.kernel()
    plan = api.map(ROWS, "a {animal}", session=session, dry_run=True)
    assert isinstance(plan, BatchPlan)
    assert (plan.new_tasks, plan.from_store, plan.pictures_max) == (6, 0, 6)
    assert not made.folder.exists()
    assert made.service.tasks_created == 0


def test_nothing_is_bought_where_the_store_only_replays(made: Rig) -> None:
    """A batch that is complete is shown; one that is not is refused before anything is written."""
    done(ask_rows(made.kernel(), [*ROWS, {"animal": "fox"}], name="zoo"))
    later = made.kernel(WAN_REPLAY="only")
    assert done(ask_rows(later, [*ROWS, {"animal": "fox"}], name="zoo")).status == {"saved": 7}
    with pytest.raises(ReplayError, match="never buys"):
        ask_rows(later, [{"animal": "bee", "seed": 1}])
    assert made.service.tasks_created == 7


def test_rows_that_fail_do_not_hold_up_others(made: Rig) -> None:
    """The result names them with their numbers; `retry` and the same call order them anew, nothing else."""
    session = made.kernel()
    ended(api.generate("the form of requests is known after the first", session=session))
    made.arm("submit.400@1")
    batch = ask_rows(session, name="zoo")
    with pytest.raises(JobError, match=r"1 of 6 rows have no picture. row 2:"):
        batch.result(WAIT_S)
    assert batch.status == {"saved": 5, "refused": 1}
    made.arm()
    assert done(batch.retry()).status == {"saved": 6}
    assert batch.result(WAIT_S)[1].seed == 2
    assert made.service.tasks_created == 7


@pytest.mark.parametrize("fault", ["401", "403"])
def test_an_account_that_must_not_go_on_pauses_the_batch(made: Rig, fault: str) -> None:
    """Its rows stay unsent, with the reason, instead of failing one after the other."""
    made.arm(f"submit.{fault}:always@2")
    batch = ask_rows(made.kernel(), [{"animal": "x", "seed": seed} for seed in range(40)], name="zoo")
    with pytest.raises(JobError, match="does not go on"):
        batch.wait(WAIT_S)
    assert batch.status == {"intent": 38, "saved": 2}
    assert batch.paused
    made.arm()
    assert done(batch.resume()).status == {"saved": 40}
    assert made.service.tasks_created == 40


def test_cancelling_is_free_for_what_is_not_sent(tmp_path: Path) -> None:
    """What runs is made and saved; the same call makes the rest after all."""
    with rig(tmp_path, seconds=30.0) as made:
        batch = ask_rows(made.kernel(WAN_IN_FLIGHT="2"), name="zoo")
        until(lambda: at_service(batch) == 2)
        assert "4 tasks not sent" in batch.cancel()
        made.configure(seconds=0.0)
        until(lambda: batch.status == {"saved": 2, "cancelled": 4})
        assert batch.is_done
        assert made.service.tasks_created == 2
        assert done(ask_rows(batch.session, name="zoo")).status == {"saved": 6}


def test_a_batch_is_gone_on_with_by_the_same_call_or_resume(made: Rig) -> None:
    """A kernel that ends leaves its waiting rows unsent: a later one follows what was sent, and sends when told to."""
    made.configure(seconds=30.0)
    first = ask_rows(made.kernel(WAN_IN_FLIGHT="2"), name="zoo")
    until(lambda: at_service(first) == 2)
    first.session.close()
    made.configure(seconds=0.0)
    later = made.kernel()
    batch = api.batch("zoo", session=later)
    assert batch.rows == ROWS
    with pytest.raises(JobError, match="4 tasks not sent"):
        batch.wait(WAIT_S)
    assert batch.status == {"saved": 2, "intent": 4}
    assert done(batch.resume()).status == {"saved": 6}
    assert made.service.tasks_created == 6


def test_two_kernels_with_the_same_batch_pay_once(made: Rig) -> None:
    """Both show all pictures."""
    one, two = made.kernel(), made.kernel()
    rows = [*ROWS, {"animal": "fox"}, {"animal": "owl"}]
    batches = side_by_side(*(lambda s=s: ask_rows(s, rows, name="zoo") for s in (one, two)))  # type: ignore[misc]
    assert [done(batch).status for batch in batches] == [{"saved": 8}] * 2
    assert made.service.tasks_created == 8


def test_doubts_are_settled_for_the_whole_batch(made: Rig) -> None:
    """A lost reply is never sent again by itself; a person decides for all at once."""
    made.arm("submit.reset_after:2@1")
    batch = done(ask_rows(made.kernel(), name="zoo"))
    assert batch.status == {"in_doubt": 2, "saved": 4}
    assert done(ask_rows(batch.session, name="zoo")).status == {"in_doubt": 2, "saved": 4}
    batch.resolve("again")
    assert done(batch).status == {"saved": 6}
    assert made.service.tasks_created == 8


def test_jobs_come_in_the_order_of_rows_and_as_they_end(made: Rig) -> None:
    """Each knows its row's columns."""
    batch = ask_rows(made.kernel())
    assert sorted(job.columns["animal"] for job in batch.as_completed(WAIT_S)) == sorted(r["animal"] for r in ROWS)
    assert [job.columns for job in batch] == ROWS
    assert [job.columns for job in batch[1:3]] == ROWS[1:3]
    assert len(batch) == 6


@pytest.mark.parametrize("change", [lambda rows: [], lambda rows: [*rows, {"animal": "x", "seed": -1}]])
def test_all_rows_are_checked_before_anything_is_written(made: Rig, change: Callable[..., Any]) -> None:
    """One bad row refuses the batch."""
    session = made.kernel()
    with pytest.raises(RequestError):
        ask_rows(session, change(ROWS))
    assert not made.folder.exists()


def test_a_batch_survives_the_end_of_its_cell(made: Rig) -> None:
    """The ledger has the batch under its name; another notebook's of the same name is not this one."""
    done(ask_rows(made.kernel(), name="zoo"))
    (row,) = database_of(made.kernel()).batches()
    assert (row.name, row.row_count, row.finished_at is not None) == ("zoo", 6, True)
