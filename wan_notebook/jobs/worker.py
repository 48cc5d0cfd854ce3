"""The worker: brings jobs that are on disk to their end, on the background loop.

::

    run_job: intent ─ submit ─► accepted ─ poll ─► succeeded ─ download ─► saved

One kernel at a time works on a job, by a lease in the ledger; the others watch it there.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from ..database import FINAL, IN_FLIGHT, SETTLED, Conflict, Database, DatabaseUnavailable, JobRow, Owner, Price, Status
from ..environment import Settings
from ..errors import Problem, RequestError, ServiceError, StoreError, WanError
from ..models import RESULT_LIFETIME_S
from ..providers import ClientPool, TaskState
from ..request import ImageRequest
from ..storage import Storage
from ..text import EXPOSED_HINT
from .background import Background
from .download import download
from .poll import Poll, RateLimit
from .status import TrackedJob
from .submit import NOT_SENT_YET, cancel, submit

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""How often leases are renewed, and the jobs of other kernels looked up in the ledger."""

ANSWER_GRACE_S = 0.5
"""The longest that an end waits for answers, once something was sent and once more while it cancels the rest."""


@dataclass(eq=False)
class Account:
    """What the jobs of one account at one service share in this kernel.

    ``stopped_by`` is the error after which no further submit can succeed until a person acts; ``wake_ups`` counts the
    times that everybody who sleeps was told to query at once; ``freed`` is set when a task has left its place.
    """

    name: str
    limit: RateLimit = field(default_factory=RateLimit)
    stopped_by: WanError | None = None
    wake_ups: int = 0
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    posting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(5))


class Worker:
    """Everything that happens to the jobs of one project in this kernel.

    ``clock`` is monotonic, ``wall_clock`` Unix time; ``sleep`` waits seconds of them.
    """

    def __init__(
        self,
        background: Background,
        database: Database,
        storage: Storage,
        clients: ClientPool,
        *,
        settings: Callable[[str | None], Settings],
        price_for: Callable[[JobRow], Price | None],
        rng: random.Random,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.background, self.database, self.storage = background, database, storage
        self.settings, self.price_for, self.rng = settings, price_for, rng
        self.clock, self.wall_clock, self.sleep = clock, wall_clock, sleep
        self.in_thread, self.client = background.in_thread, clients.client_for
        self.known_keys = clients.loader.known_keys
        self.owner = Owner.this_process()
        self._tracked: WeakValueDictionary[str, TrackedJob] = WeakValueDictionary()
        self._open: dict[str, TrackedJob] = {}
        """Those that are not over, which nobody else may hold."""
        self._accounts: dict[str, Account] = {}
        self._keeper: asyncio.Task[None] | None = None

    # From any thread -------------------------------------------------------------------------------------------------

    @property
    def mine(self) -> list[TrackedJob]:
        """The open jobs that this kernel holds."""
        return [job for job in self._jobs() if job.row.owner_token == self.owner.token and job.status not in SETTLED]

    def track(self, row: JobRow) -> TrackedJob:
        """Return this kernel's view of a job, the same object each time."""
        job = self._tracked.setdefault(row.id, TrackedJob(row))
        if row.status not in FINAL:
            self._open[row.id] = job
        if job.work is None or job.status in SETTLED:  # what another kernel or a person did
            before, job.row = job.row, row
            if (before.status, before.picture_count) != (row.status, row.picture_count):
                self.background.call(job.changed)
        return job

    def start(self, jobs: Sequence[TrackedJob], requests: Mapping[str, ImageRequest]) -> None:
        """Bring jobs to their end: those that may be sent come with their request, others are open at the service.

        What is not known to be over is watched: a person may decide on a job in doubt in another kernel.
        """

        def begin() -> None:
            for job in jobs:  # again: the loop may just have heard why it stops
                job.stopped = ""
            self.wake()
            self.follow(jobs)

        for job in jobs:
            job.request, job.stopped = requests.get(job.id, job.request), ""
        self.background.call(begin)

    def tag(self, job_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Add and remove tags of a job, and return what it has. Raises ``RequestError`` for one that holds a key."""
        if self.known_keys().is_in(*add):
            raise RequestError([Problem("tag", "", "contains an API key.", EXPOSED_HINT)])
        return self.database.tag(job_id, add, remove)

    def cancel(self, jobs: Sequence[TrackedJob]) -> str:
        """Cancel what can be cancelled, wait for the service's word, and return one line a job."""
        answers = [self.background.submit(cancel(self, job)) for job in jobs]
        return "\n".join(answer.result() for answer in answers)

    def refresh(self, jobs: Sequence[TrackedJob]) -> None:
        """Read jobs again from the ledger, after a change that was not made through the worker."""
        for row in self.database.jobs([job.id for job in jobs]).values():
            self.track(row)

    async def shutdown(self, grace_s: float = 0.0) -> None:
        """End the work of this kernel; for use on the background loop.

        Jobs that are about to be sent get ``grace_s`` real seconds for it. A submit under way is waited for, since
        its answer holds the task's id.
        """
        until_s = time.monotonic() + grace_s
        while time.monotonic() < until_s:
            # Those that only need a moment: they wait neither for others, as their note says, nor for a picture.
            moving = [job for job in self.mine if not (job.stopped or job.note or job.row.pending_inputs)]
            unsent = [job for job in moving if job.status in (Status.INTENT, Status.SENDING)]
            if not unsent:
                break
            if any(job.is_sending for job in unsent):  # a cold start takes its time, an answer should not
                until_s = min(until_s, time.monotonic() + ANSWER_GRACE_S)
            await asyncio.sleep(0.01)
        if self._keeper is not None:
            self._keeper.cancel()
        until_s = time.monotonic() + ANSWER_GRACE_S
        while time.monotonic() < until_s and [job for job in self._jobs() if _cancel_work(job)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Release the leases, so that another kernel need not wait for them; nobody waits here in vain."""
        with suppress(WanError):
            self.database.release([job.id for job in self.mine], self.owner)
        for job in self._jobs():
            if job.status not in SETTLED and not job.stopped:
                job.stop("The session that followed it was closed.")

    def remaining_s(self, row: JobRow) -> tuple[float, float] | None:
        """Return the interval of seconds in which a task probably ends; None if nothing is known."""
        job = self._tracked.get(row.id) if row.status in (Status.ACCEPTED, Status.RUNNING) else None
        law = job.law if job else None
        age_s = max(0.0, self.wall_clock() - (row.accepted_at or self.wall_clock()))
        return law.remaining_s(age_s) if law else None

    def _jobs(self) -> list[TrackedJob]:
        return list(self._open.values())  # a copy: other threads add to it

    # One job, on the loop --------------------------------------------------------------------------------------------

    async def _work(self, job: TrackedJob) -> None:
        """Do all that is left to do for a job; what goes wrong is shown on its card."""
        try:
            if job.status is not Status.INTENT:  # for an intent the claim to send it decides
                if not await self.in_thread(self.database.lease, [job.id], self.owner):
                    return  # another kernel was quicker: it is watched
                job.changed(await self.in_thread(self.database.get, job.id))
            if job.status is Status.SENDING:  # an earlier kernel sent it
                await self.fail(job, Status.IN_DOUBT, StoreError("the program ended while the request was being sent"))
            if job.status is Status.INTENT:
                await submit(self, job)
            if job.status in (Status.ACCEPTED, Status.RUNNING):
                await Poll(self, job).run()
            if job.status is Status.SUCCEEDED:
                await download(self, job)
        except Conflict as conflict:  # from here on it is watched
            log.info("job %s was changed by another kernel (%s)", job.id, conflict)
            job.changed(await self.in_thread(self.database.get, job.id))
        except Exception as error:  # the thread's boundary: it must be seen, and must not end the others
            is_known, unknown = isinstance(error, WanError), f"An unexpected error ({type(error).__name__}) stopped it"
            log.log(logging.WARNING if is_known else logging.ERROR, "job %s: %s", job.id, error, exc_info=not is_known)
            job.stopped = error.message if isinstance(error, WanError) else f"{unknown}; the log has more."
            with suppress(WanError):  # only then: what is released must not be taken up again by itself
                await self.in_thread(self.database.release, [job.id], self.owner)
            job.stop(job.stopped)
        finally:
            job.work = None

    async def move(self, job: TrackedJob, to: Status, **change: Any) -> None:
        """Commit a transition (see ``Database.transition``), then tell everybody who listens."""
        row = await self.in_thread(self.database.transition, job.id, to, **change)
        job.note = job.stopped = job.unwritten_task = ""
        if to not in IN_FLIGHT:
            for account in self._accounts.values():
                account.freed.set()
        job.changed(row)

    async def fail(self, job: TrackedJob, to: Status, error: WanError, *, code: str = "") -> None:
        """Commit an ending with its error, in the service's own words where there are any."""
        said, request_id = error.message, job.row.request_id
        if isinstance(error, ServiceError):
            said, status = error.service_message, f"HTTP {error.http_status}" if error.http_status else ""
            said = f"{said.rstrip('.')} ({status})" if error.code and status else said
            request_id, code = error.request_id or request_id, code or error.code or status
        words = {"error_code": code, "error_message": said, "error_hint": error.hint}
        await self.move(job, to, detail={"error": error.message}, request_id=request_id, **words)

    async def accept(
        self, job: TrackedJob, reply: TaskState, *, how: str = "submitted", expect: Status | None = None
    ) -> None:
        """Commit a task's id, as often as it takes until it is written: without its id a paid task is lost."""
        ids = {"task_id": reply.task_id, "request_id": reply.request_id}
        expires_at = (job.row.sending_at or self.wall_clock()) + RESULT_LIFETIME_S
        change = {**ids, "expires_at": expires_at, "detail": {"how": how, **ids}, "error_code": "", "error_message": ""}
        while True:
            try:
                await self.move(job, Status.ACCEPTED, expect=expect, **change)
                return
            except DatabaseUnavailable as error:
                job.unwritten_task = reply.task_id
                job.noted(f"{error.message} The id of its task ({reply.task_id}) is kept until it can be written.")
                await self.sleep(0.25)

    def account(self, row: JobRow) -> Account:
        """Return what the jobs of a row's account share."""
        settings = self.settings(row.provider)
        name = f"{row.provider}:{settings.account}"
        account = self._accounts.get(name) or self._accounts.setdefault(name, Account(name))
        account.limit.per_s = settings.queries_per_s
        return account

    async def sleep_until(self, event: asyncio.Event, longest_s: float) -> None:
        """Sleep until an event is set, at most so long."""
        waits = [asyncio.ensure_future(wait) for wait in (self.sleep(longest_s), event.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # All jobs, on the loop -------------------------------------------------------------------------------------------

    def follow(self, jobs: Sequence[TrackedJob]) -> None:
        """Work on the jobs that nobody living works on; the others are watched."""
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name="wan-leases")
        for job in jobs:
            is_elsewhere = job.row.owner_token != self.owner.token and job.row.is_held(self.wall_clock())
            if job.work or job.stopped or job.status in SETTLED or is_elsewhere:
                continue
            if job.status is Status.INTENT and job.request is None:  # only the call that asks for it sends it
                if job.row.owner_token != self.owner.token:  # else its batch does, in its turn
                    job.stop(NOT_SENT_YET)
            else:
                job.work = asyncio.create_task(self._work(job), name=f"wan-job-{job.id}")

    def wake(self, has_new_key: bool = False) -> None:
        """Try again what had stopped: a key or a certificate may have been put right."""
        for account in self._accounts.values():
            account.wake_ups += has_new_key or account.limit.paused_until_s > self.clock()
            account.stopped_by, account.limit.paused_until_s = None, 0.0

    async def _keep(self) -> None:
        """Renew the leases of this kernel's jobs, and take over what others did with those that it only watches."""
        await self.sleep(LOOK_EVERY_S)  # what is followed was just read
        while open_jobs := [job for job in self._jobs() if not (job.stopped or job.status in FINAL)]:
            for job in self._jobs():
                if job.status in FINAL:
                    del self._open[job.id]
            try:
                working = {job.id: job for job in self.mine if job.work is not None}
                held = await self.in_thread(self.database.renew, list(working), self.owner)
                for job_id in working.keys() - held:  # another kernel took it while this one was asleep
                    if working[job_id].status not in SETTLED and not working[job_id].stopped:  # or is about to say so
                        _cancel_work(working[job_id])
                waits = {job.id for job in self.mine if job.status is Status.INTENT}  # for their turn in a batch
                if watched := [job.id for job in open_jobs if job.work is None and job.id not in waits]:
                    rows = await self.in_thread(self.database.jobs, watched)
                    self.follow([self.track(row) for row in rows.values()])
            except WanError as error:  # a locked or full ledger must not end this
                log.warning("leases and other kernels' jobs: %s", error)
            await self.sleep(LOOK_EVERY_S)


def _cancel_work(job: TrackedJob) -> bool:
    """Stop working on a job, unless its POST is under way: the answer holds the task's id. False if nobody does."""
    if job.work is not None and not job.is_sending:
        job.work.cancel()
    return job.work is not None
