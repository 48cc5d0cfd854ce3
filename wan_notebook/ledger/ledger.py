"""The ledger's face: what the rest of the house may ask of it, and how each call waits.

Calls that only the engine makes return a ``concurrent.futures.Future`` (``await asyncio.wrap_future(…)``): it resolves
once the change is durable. Calls that a person waits for block. Every method may be called from any thread, except
that nothing may wait inside a future's done-callback, since that runs on the writing thread.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from wan_notebook.states import JobState

from . import changes, find, lease, spend
from .connect import Journal, prepare, reading_engine
from .faults import LedgerError, explain
from .figures import CostRow, DurationKey, Price, Spend
from .job_row import JobDetails, JobRow
from .rows import Event, InputRecord, JobDraft, Owner, PictureRecord
from .spend import CostKey, SpendReader
from .tx import Read, Tx
from .writer import Writer

T = TypeVar("T")

LEASE_S = 15.0
"""How long a kernel holds a job without saying so again."""


class Ledger:
    """One ledger file, open for this process. Make one with ``Ledger.open``."""

    def __init__(self, path: Path, wall_clock: Callable[[], float]) -> None:
        self.path = path
        self._wall_clock = wall_clock
        self._engine = reading_engine(path)
        self._writer = Writer(path, wall_clock)
        # Runs at exit too; what it holds must not be the ledger itself, or that would live for ever.
        self._closing = weakref.finalize(self, _close, self._writer, self._engine)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        journal: Journal = "auto",
        wall_clock: Callable[[], float] = time.time,
        mounts: str | None = None,
    ) -> Ledger:
        """Open the ledger in this file, creating it or bringing it up to date. Raises ``LedgerError``.

        ``journal`` is SQLite's: ``auto`` means a write-ahead log, but a rollback journal on a network filesystem
        (told from ``mounts``, by default ``/proc/mounts``).
        """
        prepare(path, journal=journal, mounts=mounts)
        return cls(path, wall_clock)

    def close(self) -> None:
        """Write what is queued and close; waits half a second at most. May be called twice."""
        self._closing()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ how calls reach the file

    def _write(self, work: Callable[[Tx], T]) -> Future[T]:
        return self._writer.submit(work).future

    def _write_now(self, work: Callable[[Tx], T]) -> T:
        if self._writer.is_this_thread:
            message = "a future's callback may not wait for the ledger: it runs on the thread that writes"
            raise RuntimeError(message)
        return self._write(work).result()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Read]:
        try:
            with self._engine.connect() as connection:
                yield lambda statement: connection.execute(statement).all()
        except sa.exc.DBAPIError as error:
            raise explain(self.path, error.orig or error) from error

    def _load(self, seq: int) -> JobDetails:
        with self._reading() as read:
            return find.details_of(read, seq)

    # ------------------------------------------------------------------ making and moving jobs

    def create_jobs(
        self,
        drafts: Sequence[JobDraft],
        *,
        check: Callable[[SpendReader], None] | None = None,
        owner: Owner | None = None,
        lease_s: float = LEASE_S,
    ) -> list[str]:
        """Create jobs, all or none, and return their ids once they are durable.

        ``check`` runs inside the same transaction, before anything is inserted, and may raise: two kernels cannot
        both slip under a cap. ``owner`` holds the jobs from the first moment. If the wait is interrupted, jobs that
        nobody was told of are withdrawn or cancelled. Raises ``LedgerError`` and what ``check`` raises.
        """

        def work(tx: Tx) -> list[str]:
            if check is not None:
                check(SpendReader(tx.read))
            return changes.create_jobs(tx, drafts, owner, lease_s)

        if self._writer.is_this_thread:
            return self._write_now(work)
        operation = self._writer.submit(work)
        try:
            return operation.future.result()
        except BaseException:
            operation.withdrawn = True
            operation.future.add_done_callback(self._cancel_unsent)
            raise

    def _cancel_unsent(self, created: Future[list[str]]) -> None:
        if created.exception() is None:
            self._write(lambda tx: changes.cancel_unsent(tx, created.result(), self._load))

    def transition(
        self,
        job_id: str,
        state: JobState,
        *,
        detail: Mapping[str, Any] | None = None,
        expect: JobState | Collection[JobState] = (),
        holder: str = "",
        pictures: Sequence[PictureRecord] = (),
        **columns: Any,
    ) -> Future[JobRow]:
        """Move a job and set columns, in one transaction with an event row and ``pictures``.

        Compared and set inside the transaction: ``LedgerConflict`` (with ``current``) if ``state`` may not follow the
        job's state there, if that is not one of ``expect``, or if ``holder`` is given and another token holds the job.
        To stay in a state (sending again after a certain not-sent) ``expect`` must name it. The state's time
        column is set by the ledger's clock unless it is given.
        """
        wanted = frozenset({expect} if isinstance(expect, JobState) else expect)
        return self._write(
            lambda tx: changes.transition(
                tx,
                job_id,
                state,
                load=self._load,
                detail=detail or {},
                columns=columns,
                expect=wanted,
                holder=holder,
                pictures=pictures,
            )
        )

    def update(
        self, job_id: str, *, inputs: Sequence[InputRecord] | None = None, holder: str = "", **columns: Any
    ) -> Future[JobRow]:
        """Set columns of a job without moving it; ``inputs`` replaces its input pictures."""
        return self._write(
            lambda tx: changes.update(tx, job_id, load=self._load, columns=columns, inputs=inputs, holder=holder)
        )

    def save_picture(self, job_id: str, record: PictureRecord) -> Future[PictureRecord]:
        """Write what is known of one picture, by its ``idx``. One that is on disk is not forgotten for an address."""
        return self._write(lambda tx: changes.save_picture_of(tx, job_id, record))

    def add_event(self, job_id: str, kind: str, detail: Mapping[str, Any] | None = None) -> Future[None]:
        """Append something to a job's history that moves nothing: a retry, a pause, a warning."""
        return self._write(lambda tx: changes.add_event(tx, changes.seq_of(tx, job_id), tx.now, kind, "", detail or {}))

    # ------------------------------------------------------------------ who works on a job

    def lease(
        self,
        job_ids: Sequence[str],
        owner: Owner,
        *,
        ttl_s: float = LEASE_S,
        now: float | None = None,
        replacing: Collection[str] = (),
    ) -> Future[frozenset[str]]:
        """Take open jobs that nobody holds, whose lease is over, or whose holder's token is in ``replacing``.

        The result holds the ids that ``owner`` now holds.
        """
        at = self._wall_clock() if now is None else now
        return self._write(lambda tx: lease.lease(tx, job_ids, owner, ttl_s, at, replacing))

    def renew(
        self, job_ids: Sequence[str], owner: Owner, *, ttl_s: float = LEASE_S, now: float | None = None
    ) -> Future[frozenset[str]]:
        """Prolong leases; the result lacks the ids that another kernel has taken."""
        at = self._wall_clock() if now is None else now
        return self._write(lambda tx: lease.renew(tx, job_ids, owner, ttl_s, at))

    def release(self, job_ids: Sequence[str], owner: Owner) -> Future[None]:
        """Let go of jobs."""
        return self._write(lambda tx: lease.release(tx, job_ids, owner))

    # ------------------------------------------------------------------ finding jobs

    def get(self, id_or_prefix: str) -> JobRow:
        """Return the job with this id or unique beginning of one. Raises ``LedgerError`` that names the nearest."""
        with self._reading() as read:
            return find.get(read, id_or_prefix)

    def find_answer(self, fingerprint: str, *, by: find.By, simulated_ok: bool, cell_id: str = "") -> JobRow | None:
        """Return the newest saved take whose delivered pictures are all on disk, that of ``cell_id`` first."""
        with self._reading() as read:
            return find.find_answer(read, fingerprint, by=by, simulated_ok=simulated_ok, cell_id=cell_id)

    def find_open(self, fingerprint: str, *, by: find.By, simulated_ok: bool) -> JobRow | None:
        """Return the newest job of this request that is still open, ``in_doubt`` included."""
        with self._reading() as read:
            return find.find_open(read, fingerprint, by=by, simulated_ok=simulated_ok)

    def takes(self, fingerprint: str, by: find.By) -> list[JobRow]:
        """Return every job of this request that is not in the trash, oldest first."""
        with self._reading() as read:
            return find.takes(read, fingerprint, by)

    def batch(self, batch_id: str) -> list[JobRow]:
        """Return the jobs of one batch in the order of their parts."""
        with self._reading() as read:
            return find.batch(read, batch_id)

    def open_jobs(self) -> list[JobRow]:
        """Return the jobs that still cost or owe something, oldest first."""
        with self._reading() as read:
            return find.open_jobs(read)

    def events(self, job_id: str) -> list[Event]:
        """Return what happened to a job, oldest first."""
        with self._reading() as read:
            return find.events(read, job_id)

    # ------------------------------------------------------------------ figures

    def durations(self, key: DurationKey, limit: int = 200) -> list[float]:
        """Return the newest durations (``duration_s``) of jobs of one kind in seconds, newest last."""
        with self._reading() as read:
            return spend.durations(read, key, limit)

    def last_price(self, provider: str, model: str) -> Price | None:
        """Return what a picture last cost as reported by the service; None if it never said."""
        with self._reading() as read:
            return spend.last_price(read, provider, model)

    def spend(self, since: float | None = None, notebook: str | None = None) -> Spend:
        """Return what jobs created since a time, or of one notebook, cost and may still cost."""
        with self._reading() as read:
            return SpendReader(read).spend(since=since, notebook=notebook)

    def cost_by(self, by: CostKey, *, since: float | None = None) -> list[CostRow]:
        """Return costs by local day, notebook, tag or user."""
        if by not in ("day", "notebook", "tag", "user"):
            raise LedgerError(f"Costs cannot be summed by {by!r}.", remedy="By day, notebook, tag or user.")
        with self._reading() as read:
            return spend.cost_by(read, by, since)


def _close(writer: Writer, engine: sa.Engine) -> None:
    writer.close()
    engine.dispose()
