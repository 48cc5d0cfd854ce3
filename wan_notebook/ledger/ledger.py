"""The ledger's face: what the rest of the house may ask of it, and how each call waits.

Calls that only the engine makes return a ``concurrent.futures.Future`` (``await asyncio.wrap_future(…)``): it resolves
once the change is durable. Calls that a person waits for block. Every method may be called from any thread, except
that nothing may wait inside a future's done-callback, since that runs on the writing thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from wan_notebook import interrupts
from wan_notebook.states import JobState

from . import changes, curate, lease, transfer
from .asking import Asking
from .creating import create_jobs
from .figures import ImportReport
from .job_row import JobRow
from .rows import InputRecord, JobDraft, Owner, PictureRecord
from .spend import SpendReader
from .tx import Tx

LEASE_S = 15.0
"""How long a kernel holds a job without saying so again."""


class Ledger(Asking):
    """One ledger file, open for this process. Make one with ``Ledger.open``."""

    # ------------------------------------------------------------------ making and moving jobs

    def create_jobs(
        self,
        drafts: Sequence[JobDraft],
        *,
        check: Callable[[SpendReader], None] | None = None,
        owner: Owner | None = None,
        lease_s: float = LEASE_S,
        instead_of: Sequence[str] = (),
    ) -> list[JobRow]:
        """Create jobs, all or none, and return them once they are durable.

        ``check`` runs inside the same transaction, before anything is inserted, and may raise: two kernels cannot
        both slip under a cap. ``owner`` holds the jobs from the first moment. ``instead_of`` are jobs in doubt that are
        given up for these, in the same transaction: ``LedgerConflict`` if one is not in doubt any more. If the wait is
        interrupted, jobs that nobody was told of are withdrawn or cancelled. Raises ``LedgerError`` and what ``check``
        raises.
        """

        def work(tx: Tx) -> list[JobRow]:
            self._check_in_place()
            if check is not None:
                check(SpendReader(tx.read))
            rows = create_jobs(tx, drafts, owner, lease_s, self._load)
            if rows:
                changes.give_up(tx, instead_of, f"sent again by a person's decision, as job {rows[0].id}", self._load)
            return rows

        if self._writer.is_this_thread:
            return self._write_now(work)
        operation = self._writer.operation(work)
        try:  # from before it is queued: Ctrl-C may come at any point
            return interrupts.wait(self._writer.put(operation))
        except BaseException:
            operation.withdrawn = True
            operation.future.add_done_callback(self._cancel_unsent)
            raise

    def _cancel_unsent(self, created: Future[list[JobRow]]) -> None:
        if created.exception() is None:
            ids = [row.id for row in created.result()]
            self._write(lambda tx: changes.cancel_unsent(tx, ids, self._load))

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

    # ------------------------------------------------------------------ what a person does to a job

    def star(self, job_id: str, idx: int | None = None, *, on: bool = True) -> None:
        """Star a job, or one picture of it."""
        self._write_now(lambda tx: curate.mark(tx, "starred", job_id, idx, on))

    def reject(self, job_id: str, idx: int | None = None, *, on: bool = True) -> None:
        """Reject a job, or one picture of it; it stays in the history and still answers."""
        self._write_now(lambda tx: curate.mark(tx, "rejected", job_id, idx, on))

    def tag(self, job_id: str, *add: str, remove: Collection[str] = ()) -> tuple[str, ...]:
        """Add and remove tags; return those that the job has now."""
        return self._write_now(lambda tx: curate.tag(tx, job_id, add, remove))

    def trash(self, job_id: str, *, on: bool = True) -> None:
        """Put a job into the trash, or take it out. Raises ``LedgerError`` for an open job."""
        self._write_now(lambda tx: curate.trash(tx, job_id, on))

    def purge_trash(self, older_than: float) -> list[str]:
        """Forget prompts, inputs and pictures of jobs trashed before a time (Unix seconds); costs stay.

        Returns the files to delete, those of an earlier call that crashed included: delete them, then say so to
        ``files_deleted``.
        """
        return self._write_now(lambda tx: curate.purge(tx, older_than))

    def files_deleted(self, files: Collection[str]) -> None:
        """Confirm that these files of purged jobs are gone."""
        self._write_now(lambda tx: curate.files_deleted(tx, files))

    def record_shown(self, job_id: str, notebook: str, cell_id: str, how: str) -> Future[None]:
        """Remember that a job was shown in a cell, as an event."""
        return self._write(lambda tx: curate.record_shown(tx, job_id, notebook, cell_id, how))

    def meta_set(self, key: str, value: str | None) -> None:
        """Remember a value under a key; None forgets it."""
        self._write_now(lambda tx: curate.meta_set(tx, key, value))

    def import_rows(self, rows: Iterable[Mapping[str, Any]]) -> ImportReport:
        """Add jobs of a bundle that this ledger does not have; all or none, and safe to repeat.

        Their cost was paid elsewhere: it is shown, and counts in no sum. Raises ``LedgerError`` if a row is not sound.
        """
        given = list(rows)
        return self._write_now(lambda tx: transfer.import_rows(tx, given))
