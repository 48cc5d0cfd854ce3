"""One job's way: from its row on disk over the service to its pictures on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..errors import StoreError
from ..ledger import JobRow, PictureRecord
from ..runtime import DaemonExecutor, from_thread
from ..schedule import Expired, StopAsking
from ..states import JobState
from ..text import count_of
from ..wire import Phase, TaskState
from .attempt import Fetched, Held
from .download import IN_MEMORY_MAX, Fetcher
from .estimate import Estimates
from .live import LiveJob
from .moves import Moves
from .outcome import NEVER_SENT, fewest_pictures, missing_of
from .parts import Parts
from .poller import LET_GO, Outcome, Watch
from .results import read_end
from .services import Services
from .submit import submit_job, was_not_sent
from .waiting import WaitingInputs

DISK_WORKERS = 6
"""They mostly wait for the disk to say that something is durable."""


class Course:
    """Brings a job from wherever it stands to its end. Lives on the runtime's loop."""

    def __init__(
        self, parts: Parts, moves: Moves, services: Services, estimates: Estimates, inputs: WaitingInputs
    ) -> None:
        self._parts, self._moves, self._services = parts, moves, services
        self._estimates, self._inputs = estimates, inputs
        self._held, self._room = Held(), asyncio.Semaphore(IN_MEMORY_MAX)
        self._disk = DaemonExecutor(DISK_WORKERS, "wan-disk")

    async def run(self, live: LiveJob, *, is_new: bool) -> None:
        """Do all that is left to do. Raises ``LedgerConflict`` if another kernel moved it, ``WanError``."""
        if not is_new:
            await self._settle_unsent(live)
        if live.state is JobState.INTENT:
            request = await self._inputs.resolve(live)
            if request is not None:
                await submit_job(live, request, self._services.of(live.row).gate, self._moves)
        if live.state in (JobState.ACCEPTED, JobState.RUNNING):
            await self._follow(live)
        if live.state is JobState.SUCCEEDED:
            await self._fetch(live)

    def end(self) -> None:
        """Let the threads at the disk end; what they were given is done first."""
        self._disk.shutdown()

    async def _settle_unsent(self, live: LiveJob) -> None:
        """Say what an earlier kernel's unfinished submit means: not sent, or nobody knows."""
        if live.state is JobState.INTENT and live.request is None:
            await self._moves.fail(live, JobState.REFUSED, StoreError(NEVER_SENT), NEVER_SENT)
        elif live.state is JobState.SENDING:
            events = await asyncio.get_running_loop().run_in_executor(None, self._parts.ledger.events, live.id)
            if was_not_sent(events):
                await self._moves.fail(
                    live, JobState.REFUSED, StoreError(NEVER_SENT), f"{NEVER_SENT} (no attempt arrived)"
                )
            else:
                reason = "the kernel ended while it was being sent"
                await self._moves.fail(live, JobState.IN_DOUBT, StoreError(reason), reason)

    # Until the task ends ----------------------------------------------------------------------------------------------

    async def _follow(self, live: LiveJob) -> None:
        while (outcome := await self._watched(live)) is LET_GO:
            continue
        if isinstance(outcome, TaskState):
            await self._ended(live, outcome)
        elif isinstance(outcome, Expired):
            await self._expire(live, outcome.reason)
        elif isinstance(outcome, StopAsking):
            live.stop(outcome.reason)

    async def _watched(self, live: LiveJob) -> Outcome:
        row = live.row
        watch = Watch(
            job_id=row.id,
            task_id=row.task_id or "",
            expected=fewest_pictures(row.parameters, row.mode),
            accepted_at=row.accepted_at or row.created_at,
            kind=self._estimates.kind(row),
            same_key=lambda: row.key_fingerprint in ("", self._parts.key_fingerprint_for(row)),
            on_state=lambda state: self._progress(live, state),
            on_note=lambda note: self._noted(live, note),
        )
        return await self._services.of(row).poller.watch(watch)

    async def _progress(self, live: LiveJob, state: TaskState) -> None:
        live.note = ""
        if state.phase is Phase.RUNNING and live.state is JobState.ACCEPTED:
            await self._moves.to(live, JobState.RUNNING, first_running_at=self._parts.wall_clock())
        live.progress = state.progress
        live.changed()

    def _noted(self, live: LiveJob, note: str) -> None:
        live.note = note
        live.changed()

    async def _ended(self, live: LiveJob, state: TaskState) -> None:
        price = None if live.row.simulated or state.cost_usd is not None else self._parts.price_for(live.row)
        end = read_end(state, live.row, price)
        detail = {"status": state.raw_status, "pictures": len(end.pictures)}
        now = self._parts.wall_clock()
        await self._moves.to(live, end.state, detail=detail, pictures=end.pictures, finished_at=now, **end.columns)

    async def _expire(self, live: LiveJob, reason: str) -> None:
        now = self._parts.wall_clock()
        await self._moves.to(live, JobState.EXPIRED, detail={"reason": reason}, error_message=reason, finished_at=now)

    # Until the pictures are on disk -----------------------------------------------------------------------------------

    async def _fetch(self, live: LiveJob) -> None:
        fetched = await self._fetcher(live.row).fetch_all(live)
        saved = {f.record.idx for f in fetched if f.how == "saved"} | {p.idx for p in live.row.pictures if p.saved_at}
        left = [f for f in fetched if f.how == "left"]
        gone = [f for f in fetched if f.how == "gone"]
        aside = any(f.how == "aside" for f in fetched) or any(p.corrupt_file for p in live.row.pictures)
        if left:
            await self._record(live, fetched)
            count = f"{len(left)} of {count_of(len(live.row.pictures), 'picture')}"
            live.stop(f"{count} could not be fetched: {left[0].reason}. `%wan resume` tries again")
        elif gone and not saved and not aside:
            await self._expire(live, gone[0].reason)
        else:
            await self._moves.to(
                live,
                JobState.SAVED,
                pictures=_unrecorded(live.row, fetched),
                saved_at=self._parts.wall_clock(),
                missing=missing_of(live.row, len(saved)),
                detail={"pictures": len(saved)},
            )

    async def _record(self, live: LiveJob, fetched: Sequence[Fetched]) -> None:
        for record in _unrecorded(live.row, fetched):
            await self._moves.picture(live, record)

    def _at_the_disk(self, fn: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        return from_thread(self._disk.submit(fn, *args))

    def _fetcher(self, row: JobRow) -> Fetcher:
        parts = self._parts
        return Fetcher(
            client=self._services.of(row).client,
            moves=self._moves,
            store=parts.store,
            rng=parts.rng,
            in_worker=self._at_the_disk,
            recipe_of=parts.recipe_of,
            held=self._held,
            room=self._room,
            wall_clock=parts.wall_clock,
            sleep=parts.sleep,
        )


def _unrecorded(row: JobRow, fetched: Sequence[Fetched]) -> list[PictureRecord]:
    """Return the records of saved pictures that the ledger does not have yet."""
    known = {p.idx for p in row.pictures if p.saved_at}
    return [f.record for f in fetched if f.how == "saved" and f.record.idx not in known]
