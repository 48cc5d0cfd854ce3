"""The engine: takes up jobs that are on disk and brings each to its end, on the one background thread.

It owns the pollers, the submit gates and the leases; what follows what is in ``submit``, ``poller`` and ``download``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import catalog
from ..client import Client
from ..errors import StoreError, WanError
from ..inputs import InputImage
from ..ledger import JobRow, Ledger, LedgerConflict, PictureRecord
from ..recipe import strip
from ..runtime import Runtime
from ..schedule import PROMPT, Expired, Pacer, PollSetting
from ..states import JobState
from ..store import Store
from ..wire import Phase, TaskState
from .download import Embed, Fetcher, Held
from .estimate import Estimates
from .leases import Leases
from .live import LiveJob
from .moves import Moves
from .outcome import Price, fewest_pictures, missing_of
from .poller import Poller, Watch
from .results import read_end
from .submit import SubmitGate, submit_job
from .waiting import WaitingInputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the engine is made of; tests give their own clocks, stores and clients."""

    runtime: Runtime
    ledger: Ledger
    store: Store
    client_for: Callable[[JobRow], Client]
    key_fingerprint_for: Callable[[JobRow], str]
    price_for: Callable[[JobRow], Price | None]
    picture_of: Callable[[JobRow, PictureRecord, str], InputImage]
    hint_for: Callable[[JobRow], Sequence[float]] = lambda _row: ()
    """Durations in seconds to begin with, where the service says them by itself: the simulator's setting."""
    embed: Embed | None = None
    sidecar: Callable[[JobRow, PictureRecord], None] | None = None
    setting: PollSetting = PROMPT
    queries_per_s: float = catalog.QUERIES_PER_S
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time


class Engine:
    """Everything that happens to a job after it is on disk."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.moves = Moves(parts.ledger, wall_clock=parts.wall_clock)
        self.estimates = Estimates(parts.ledger, parts.hint_for)
        self.lives: dict[str, LiveJob] = {}
        self.inputs = WaitingInputs(parts.ledger, parts.store, parts.picture_of, self.moves, self.live)
        self.leases = Leases(parts.ledger, wall_clock=parts.wall_clock)
        self._pollers: dict[int, Poller] = {}
        self._gates: dict[int, SubmitGate] = {}
        self._held = Held()
        self._running: dict[str, asyncio.Task[None]] = {}

    # From any thread -------------------------------------------------------------------------------------------------

    def live(self, row: JobRow) -> LiveJob:
        """Return this kernel's view of a job, the same one each time."""
        return self.lives.setdefault(row.id, LiveJob(row))

    def start(self, lives: Sequence[LiveJob]) -> None:
        """Bring new jobs to their end; returns at once."""
        self.parts.runtime.submit(self._start(lives))

    def take_up(self, rows: Sequence[JobRow]) -> list[LiveJob]:
        """Take up jobs that an earlier kernel left, or watch those that another one owns."""
        lives = [self.live(row) for row in rows]
        self.parts.runtime.submit(self._take_up(lives))
        return lives

    def cancel(self, jobs: Sequence[LiveJob]) -> str:
        """Cancel what can be cancelled; return an honest answer. Waits for the service's word."""
        return self.parts.runtime.submit(self._cancel(jobs)).result(timeout=30)

    def read_picture(self, picture: PictureRecord, *, clean: bool) -> bytes:
        """Return a picture's bytes; ``clean`` as the service sent them."""
        data = self.parts.store.read(picture.file)
        return strip(data) if clean else data

    def path_of(self, relative: str) -> Path:
        """Return where a file of the store lies."""
        return self.parts.store.folder / relative

    def call_back(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a person's function where it may wait."""
        self.parts.runtime.call_back(fn, *args)

    def let_go(self) -> None:
        """Release the leases, so that another kernel need not wait for them to run out."""
        self.leases.release(self._owned())

    def forget_clients(self) -> None:
        """Let pollers and gates be made anew, after a key or an address changed."""
        self.parts.runtime.call(self._forget_clients)

    # On the loop -----------------------------------------------------------------------------------------------------

    async def _start(self, lives: Sequence[LiveJob]) -> None:
        for gate in self._gates.values():
            gate.stopped_by = None  # a person asked anew: what stopped the queue may be mended
        for live in lives:
            self._spawn(live)
        self.leases.keep(self._owned)

    async def _take_up(self, lives: Sequence[LiveJob]) -> None:
        free = [live for live in lives if live.id not in self._running]
        mine = await self.leases.claim([live.row for live in free])
        for live in free:
            if live.id in mine:
                live.row = mine[live.id]
                self._spawn(live, is_new=False)
        others = [live for live in free if live.id not in mine]
        if others:
            self._spawn_task("watch " + others[0].id, self._watch_others(others))
        self.leases.keep(self._owned)

    def _owned(self) -> list[str]:
        return [job_id for job_id, live in self.lives.items() if job_id in self._running and not live.is_settled]

    def _spawn(self, live: LiveJob, *, is_new: bool = True) -> None:
        self._spawn_task(live.id, self._guarded(live, is_new=is_new))

    def _spawn_task(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"wan-job-{name}")
        self._running[name] = task
        task.add_done_callback(lambda _t: self._running.pop(name, None) if self._running.get(name) is task else None)

    async def _guarded(self, live: LiveJob, *, is_new: bool) -> None:
        """Run a job; a fault of ours or of the disk is shown on its card instead of vanishing in a thread."""
        try:
            await self._run(live, is_new=is_new)
        except LedgerConflict as conflict:
            log.info("job %s was moved by another kernel (%s)", live.id, conflict)
            live.changed(await self._fresh_row(live))
            if not live.is_settled:
                self._spawn_task("watch " + live.id, self._watch_others([live]))
        except WanError as error:
            live.note = error.message
            live.changed()
            log.warning("job %s: %s", live.id, error)
        except Exception as error:  # the thread's boundary: it must be seen, and must not end the others
            log.exception("job %s", live.id)
            live.note = f"internal error: {type(error).__name__}: {error}"
            live.changed()

    async def _run(self, live: LiveJob, *, is_new: bool) -> None:
        if not is_new:
            await self._settle_unsent(live)
        if live.state is JobState.INTENT:
            request = await self.inputs.resolve(live)
            if request is not None:
                client = self.parts.client_for(live.row)
                await submit_job(live, request, self._gate(client), self.moves, self.parts.rng)
        if live.state in (JobState.ACCEPTED, JobState.RUNNING):
            await self._follow(live)
        if live.state is JobState.SUCCEEDED:
            await self._fetch(live)

    async def _settle_unsent(self, live: LiveJob) -> None:
        """Say what an earlier kernel's unfinished submit means: not sent, or nobody knows."""
        if live.state is JobState.INTENT:
            reason = "the kernel ended before it was sent"
            await self.moves.fail(live, JobState.REFUSED, StoreError(f"{reason}; nothing was paid"), reason)
        elif live.state is JobState.SENDING:
            reason = "the kernel ended while it was being sent"
            await self.moves.fail(live, JobState.IN_DOUBT, StoreError(reason), reason)

    async def _follow(self, live: LiveJob) -> None:
        client, row = self.parts.client_for(live.row), live.row
        kind = self.estimates.kind(row)
        watch = Watch(
            job_id=row.id,
            task_id=row.task_id or "",
            expected=fewest_pictures(row.parameters, row.mode),
            accepted_at=row.accepted_at or row.created_at,
            same_key=row.key_fingerprint in ("", self.parts.key_fingerprint_for(row)),
            on_state=lambda state: self._progress(live, state),
            on_note=lambda note: self._noted(live, note),
        )
        outcome = await self._poller(client).watch(watch, kind)
        if isinstance(outcome, Expired):
            await self.moves.to(
                live, JobState.EXPIRED, detail={"reason": outcome.reason}, error_message=outcome.reason,
                finished_at=self.parts.wall_clock(),
            )  # fmt: skip
        else:
            await self._ended(live, outcome)

    async def _progress(self, live: LiveJob, state: TaskState) -> None:
        live.note = ""
        if state.phase is Phase.RUNNING and live.state is JobState.ACCEPTED:
            await self.moves.to(live, JobState.RUNNING, first_running_at=self.parts.wall_clock())
        live.progress = state.progress
        live.changed()

    def _noted(self, live: LiveJob, note: str) -> None:
        live.note = note
        live.changed()

    async def _ended(self, live: LiveJob, state: TaskState) -> None:
        end = read_end(state, live.row, self.parts.price_for(live.row))
        detail = {"status": state.raw_status, "pictures": len(end.pictures)}
        await self.moves.to(
            live,
            end.state,
            detail=detail,
            pictures=end.pictures,
            finished_at=self.parts.wall_clock(),
            **end.columns,
        )

    async def _fetch(self, live: LiveJob) -> None:
        parts = self.parts
        fetcher = Fetcher(
            client=parts.client_for(live.row),
            ledger=parts.ledger,
            store=parts.store,
            rng=parts.rng,
            in_worker=parts.runtime.in_worker,
            embed=parts.embed,
            sidecar=parts.sidecar,
            held=self._held,
            wall_clock=parts.wall_clock,
        )
        wanted = live.row.pictures
        settled = await fetcher.fetch_all(live)
        saved = [p for p in (*wanted, *settled) if p.saved_at]
        left = len([p for p in wanted if not p.saved_at and not p.corrupt_file]) - len(settled)
        now = parts.wall_clock()
        expired = (live.row.expires_at or now + 1) <= now
        if left and not expired:
            count = f"{left} of {len(wanted)} pictures"
            live.note = f"{count} are not fetched yet; `%wan resume` tries again"
            live.changed()
            return
        if left and not saved and not settled:
            await self.moves.to(live, JobState.EXPIRED, detail={"reason": "the pictures can no longer be fetched"})
            return
        await self.moves.to(
            live,
            JobState.SAVED,
            saved_at=now,
            missing=missing_of(live.row, len(saved)),
            detail={"pictures": len(saved)},
        )

    async def _watch_others(self, lives: Sequence[LiveJob]) -> None:
        """Show the truth of jobs that another kernel owns; take over those whose owner died."""
        waiting = {live.id: live for live in lives}
        while waiting:
            await asyncio.sleep(1.0)
            for job_id, live in list(waiting.items()):
                row = await self._fresh_row(live)
                if row.state != live.row.state or len(row.pictures) != len(live.row.pictures):
                    live.changed(row)
                if live.is_settled:
                    del waiting[job_id]
            for job_id in await self.leases.claim([live.row for live in waiting.values()]):
                self._spawn(waiting.pop(job_id), is_new=False)

    async def _cancel(self, lives: Sequence[LiveJob]) -> str:
        from .cancel import cancel_all

        return await cancel_all(lives, self.parts.client_for, self.moves)

    async def _fresh_row(self, live: LiveJob) -> JobRow:
        return await asyncio.get_running_loop().run_in_executor(None, self.parts.ledger.get, live.id)

    def _poller(self, client: Client) -> Poller:
        if id(client) not in self._pollers:
            limit = self.parts.queries_per_s
            self._pollers[id(client)] = Poller(
                client,
                pacer=Pacer(queries_per_s=limit),
                setting=self.parts.setting,
                rng=self.parts.rng,
                clock=self.parts.clock,
                wall_clock=self.parts.wall_clock,
            )
        return self._pollers[id(client)]

    def _gate(self, client: Client) -> SubmitGate:
        return self._gates.setdefault(id(client), SubmitGate(client))

    def _forget_clients(self) -> None:
        for poller in self._pollers.values():
            poller.resume()
        self._gates.clear()


__all__ = ["Engine", "Parts"]
