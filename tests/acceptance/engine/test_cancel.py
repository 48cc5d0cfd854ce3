"""Cancelling, honestly: what it costs, and where it cannot be done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.kit import ask, ended, rig, until
from wan_notebook.errors import JobCancelled
from wan_notebook.jobs import cancel


def test_pending_at_dashscope_can_be_cancelled(tmp_path: Path) -> None:
    """A task that waits there is cancelled and costs nothing."""
    with rig(tmp_path, dialect="dashscope", seconds=400.0) as made:
        job = ask(made.kernel(), seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        made.service.state = lambda _task: "PENDING"
        made.service.cancel = lambda task: made.service._store.cancel(task.task_id, made.time.wall_clock()) or True
        said = job.cancel()

        assert "nothing is paid" in said
        assert job.status == "cancelled"
        assert job.cost.amount == 0
        with pytest.raises(JobCancelled):
            job.result(1)


def test_a_cancel_right_after_the_click_waits_for_the_answer(tmp_path: Path) -> None:
    """While the request is on its way nothing can be cancelled yet; a moment later it is, without asking twice."""
    with rig(tmp_path, dialect="dashscope", seconds=400.0) as made:
        made.arm("submit.trickle")
        job = ask(made.kernel(), seed=5)
        until(lambda: job.lives[0].is_sending)
        made.service.state = lambda _task: "PENDING"
        made.service.cancel = lambda task: made.service._store.cancel(task.task_id, made.time.wall_clock()) or True

        assert "nothing is paid" in job.cancel()
        assert job.status == "cancelled"


def test_what_stays_on_its_way_can_be_cancelled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come leaves no wish behind that nobody carries out."""
    monkeypatch.setattr(cancel, "SENDING_S", 0.0)
    with rig(tmp_path, dialect="dashscope", seconds=400.0) as made:
        made.arm("submit.trickle")
        job = ask(made.kernel(), seed=5)
        until(lambda: job.lives[0].is_sending)

        assert "cancel it again" in job.cancel()
        assert not job.lives[0].cancel_asked


def test_running_at_dashscope_is_made_and_billed(tmp_path: Path) -> None:
    """What runs there goes on, is fetched, and the answer says so."""
    with rig(tmp_path, dialect="dashscope", seconds=60.0) as made:
        job = ask(made.kernel(), seed=5)
        until(lambda: job.status == "running")
        said = job.cancel()

        assert "made, billed and fetched" in said
        assert ended(job).status == "saved"


def test_the_gateway_cannot_cancel(tmp_path: Path) -> None:
    """No request is made for it: the answer is that the picture will be made and billed."""
    with rig(tmp_path, seconds=20.0) as made:
        job = ask(made.kernel(), seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        said = job.cancel()

        assert "cannot cancel" in said
        assert made.service.requests["POST", "cancel"] == 0
        assert ended(job).status == "saved"


def test_a_cancel_that_gets_no_answer_says_so(tmp_path: Path) -> None:
    """If the service does not answer, the job goes on and is fetched."""
    with rig(tmp_path, dialect="dashscope", seconds=60.0) as made:
        job = ask(made.kernel(), seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        made.arm("cancel.500:always")

        assert "goes on" in job.cancel()
        assert ended(job).status == "saved"


def test_a_cancel_whose_answer_is_lost_claims_nothing(tmp_path: Path) -> None:
    """The connection breaks after the request was sent: it may be cancelled, and nobody says that it goes on."""
    with rig(tmp_path, dialect="dashscope", seconds=60.0) as made:
        made.serve()
        job = ask(made.kernel(), seed=5)
        until(lambda: bool(job.lives[0].row.task_id))
        made.service.state = lambda _task: "PENDING"
        made.service.cancel = lambda task: made.service._store.cancel(task.task_id, made.time.wall_clock()) or True
        made.arm("cancel.reset_after")
        said = job.cancel()
        del made.service.state

        assert "may be cancelled or go on" in said
        assert ended(job).status == "cancelled"
        assert job.cost.amount == 0


def test_between_two_attempts_it_is_free(tmp_path: Path) -> None:
    """A submit that was certainly not taken (429) and waits for its next try is cancelled, and never sent."""
    with rig(tmp_path) as made:
        made.service.config.__dict__["retry_after_s"] = 100
        made.arm("submit.429_retry_after:always")
        job = ask(made.kernel(), seed=5)
        until(lambda: "trying again" in job.lives[0].note)
        said = job.cancel()
        made.arm()

        assert "nothing is paid" in said
        assert job.status == "cancelled"
        assert made.service.requests["POST", "submit"] == 1
        assert made.service.tasks_created == 0


def test_before_it_is_sent_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while the permission to send is being written: it is not sent, as was said."""
    with rig(tmp_path) as made:
        session = made.kernel()
        session.need_home()
        said: list[str] = []
        engine = session.need_home().engine
        to = engine.moves.to

        async def cancel_meanwhile(live: object, state: str, **options: object) -> None:
            if state == "sending" and not said:
                from wan_notebook.jobs.cancel import cancel_all

                said.append("")
                writing = asyncio.ensure_future(to(live, state, **options))
                await asyncio.sleep(0)  # it is with the ledger's thread now
                said.append(await cancel_all([live], engine.parts.client_for, engine.moves, lambda _live: True))
                await writing
                return
            await to(live, state, **options)

        monkeypatch.setattr(engine.moves, "to", cancel_meanwhile)
        job = ask(session, seed=5)
        ended(job)

        assert "will not be" in said[-1]
        assert job.status == "cancelled"
        assert made.service.requests["POST", "submit"] == 0


def test_an_edit_that_waits_for_its_input_is_free(tmp_path: Path) -> None:
    """An edit of a picture that is still being made is cancelled at once, and not sent when that is done."""
    with rig(tmp_path, seconds=60.0) as made:
        session = made.kernel()
        fox = ask(session, seed=5)
        edit = ask(session, "at night", images=[fox], seed=6)
        said = edit.cancel()

        assert "nothing is paid" in said
        assert ended(edit).status == "cancelled"
        assert ended(fox).status == "saved"
        until(lambda: edit.id not in session.need_home().engine._running)
        assert made.service.tasks_created == 1


def test_what_is_over_says_so(tmp_path: Path) -> None:
    """Finished, shown again from the store, in doubt: each answer says what there is."""
    with rig(tmp_path) as made:
        session = made.kernel()
        job = ended(ask(session, seed=5))
        again = ask(made.kernel(), seed=5)
        made.arm("submit.reset_after")
        doubtful = ended(ask(session, seed=6))

        assert "already saved" in job.cancel()
        assert "already saved" in again.cancel()
        assert f"%wan resolve {doubtful.id}" in doubtful.cancel()


def test_another_kernels_job(tmp_path: Path) -> None:
    """A kernel that only watches can cancel what was not sent: the ledger decides, and the owner does not send it."""
    with rig(tmp_path, seconds=60.0) as made:
        one, two = made.kernel(), made.kernel()
        fox = ask(one, seed=5)
        edit = ask(one, "at night", images=[fox], seed=6)
        seen = two.job(edit.id)

        assert "nothing is paid" in seen.cancel()
        assert {ended(edit).status, ended(seen).status} == {"cancelled"}
        assert ended(fox).status == "saved"
        assert made.service.tasks_created == 1
