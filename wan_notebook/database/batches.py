"""Batches: the rows of one call of ``map``, each with the jobs that answer it.

A batch's jobs are jobs like all others. Those that wait are ``intent``, in the order of rows; whoever runs the batch
renews all their leases with one statement.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select, and_, delete, func, inspect, or_, select, true, tuple_, update
from sqlalchemy.orm import Session

from ..errors import StoreError
from ..text import one_line
from .jobs import NEWEST, Jobs, append_event, new_id
from .models import IS_OPEN, BatchRow, BatchTaskRow, JobRow, JobSummary, Owner, columns_of
from .status import BATCH_KEY, OCCURRENCE_KEY, OPEN, Status

WAITING_LEASE_S: Final = 60.0
"""How long a waiting job of a batch is held: the leases of 10,000 are not renewed every second."""
WRITTEN_AT_ONCE: Final = 500
"""The most tasks in one transaction: other kernels wait for it."""


class Batches(Jobs):
    """Reads and writes batches."""

    def batches(self, *, notebook: str | None = None, name: str = "", limit: int = 100) -> list[BatchRow]:
        """Return the newest batches first, of a notebook or name if one is given."""
        found = select(BatchRow).order_by(BatchRow.created_at.desc(), BatchRow.seq.desc()).limit(limit)
        found = found if notebook is None else found.where(BatchRow.notebook == notebook)
        with self.reading() as session:
            found = found.where(BatchRow.name == name) if name else found
            return list(session.scalars(found)) if has_batches(session) else []

    def batch(self, name: str, notebook: str = "") -> BatchRow:
        """Return the newest batch of a name (of this notebook, if it has one) or with an id. Raises ``StoreError``."""
        found = self.batches(name=name) or [row for row in self.batches(limit=1000) if row.id == name]
        if not found:
            known = dict.fromkeys(row.name for row in self.batches() if row.name)
            listed = one_line(", ".join(known), 200)
            hint = f"Known: {listed}." if known else "Give one a name: wan.map(rows, prompt, name='zoo')."
            raise StoreError(f"No batch has the name {name[:40]!r}.", hint=hint)
        return next((row for row in found if row.notebook == notebook), found[0])

    def batch_pictures(self, batch: BatchRow, statuses: Collection[Status]) -> dict[str, int]:
        """Return how many pictures the tasks of a batch in these statuses can make, by model."""
        found = _tasks(batch, JobSummary.model, func.sum(JobSummary.n)).where(JobSummary.status.in_(statuses))
        with self.reading() as session:
            return {model: int(pictures) for model, pictures in session.execute(found.group_by(JobSummary.model))}

    def batch_now(self, batch: BatchRow) -> BatchRow:
        """Return a batch as it stands now."""
        with self.reading() as session:
            return session.get_one(BatchRow, batch.seq)

    def open_batch(self, new: BatchRow, check: Callable[[int], None] | None) -> BatchRow:
        """Write a batch down, with a reservation for its new pictures, or find it: it is what this call says.

        Parameters
        ----------
        new : BatchRow
            The batch; ``notebook`` with ``name``, or with ``cell_id`` and ``rows_hash``, says which it is.
        check : callable, optional
            Raises ``BudgetError`` if so many new pictures would break a budget; then nothing is written.
        """
        with self.writing("create") as session:
            if check is not None and new.reserved_pictures:
                check(new.reserved_pictures)
            known = session.scalar(
                select(BatchRow).filter_by(**{name: getattr(new, name) for name in new.identity}).limit(1)
            )
            new.id, new.created_at = new_id(), self.now()
            new.reserved_at = new.created_at
            if known is not None:
                session.execute(delete(BatchTaskRow).where(BatchTaskRow.batch_seq == known.seq))
                for name in columns_of(BatchRow).keys() - {"seq", "id"}:
                    setattr(known, name, getattr(new, name))
                return known
            session.add(new)
            return new

    def write_tasks(
        self,
        batch: BatchRow,
        tasks: Sequence[tuple[BatchTaskRow, JobRow | None]],
        *,
        owner: Owner,
        is_last: bool,
        **joining: Any,
    ) -> None:
        """Write down some tasks, in one transaction: new ones, and such as get another job.

        Each comes with a new job, unless it names the one that answers it. ``joining`` is as in ``create_or_join``:
        ``simulated_ok``, ``fresh``, ``replay``. The reservation of a new job takes the place of its part of the
        batch's.
        """
        asked = [(task, job) for task, job in tasks if job is not None]
        with self.writing("create") as session:
            how = {"owner": owner, "answers_of": _answers, "lease_s": WAITING_LEASE_S, **joining}
            made = self.create_or_join([job for _, job in asked], **how)
            for (task, _), (row, _) in zip(asked, made, strict=True):
                task.job_seq = row.seq
            new = [task for task, _ in tasks if not task.seq]
            if new:
                # Another kernel may write the same batch down at this moment.
                places = tuple_(BatchTaskRow.position, BatchTaskRow.part)
                ends = [tuple_(task.position, task.part) for task in (new[0], new[-1])]
                twice = (BatchTaskRow.batch_seq == batch.seq, places >= ends[0], places <= ends[1])
                session.execute(delete(BatchTaskRow).where(*twice))
            for task, _ in tasks:
                task.batch_seq = batch.seq
                if task.seq:
                    session.get_one(BatchTaskRow, task.seq).job_seq = task.job_seq
            session.add_all(new)
            now, stored = self.now(), session.get_one(BatchRow, batch.seq)
            pictures = sum(job.n for _, job in asked)
            each = stored.reserved_amount / stored.reserved_pictures if stored.reserved_amount else None
            stored.reserved_pictures = max(0, stored.reserved_pictures - pictures)
            stored.reserved_amount = None if each is None else each * stored.reserved_pictures
            stored.reserved_at, stored.written_at = now, now if is_last else None

    def answers(self, wanted: Sequence[JobRow], *, simulated_ok: bool, replay: bool) -> list[tuple[int, Status] | None]:
        """Return, for each, the number (``seq``) and status of the job that answers it.

        Of the jobs that are wanted their hashes count, and without a seed the batch's key and the occurrence, too.
        """
        found = list[tuple[int, Status] | None]()
        for at in range(0, len(wanted), WRITTEN_AT_ONCE):
            with self.reading() as session:
                now = self.now()
                rows = _answers(session, wanted[at : at + WRITTEN_AT_ONCE], now, simulated_ok, replay)
                found += [None if row is None or row.is_abandoned(now) else (row.seq, row.status) for row in rows]
        return found

    # How it stands ---------------------------------------------------------------------------------------------------

    def batch_counts(self, batch: BatchRow) -> Counter[Status]:
        """Return how many tasks stand where; those that are not written yet are left out."""
        counted = _tasks(batch, JobSummary.status, func.count()).group_by(JobSummary.status)
        with self.reading() as session:
            return Counter(dict(map(tuple, session.execute(counted))))

    def batch_tasks(self, batch: BatchRow, *, after: int = 0, limit: int = -1, only_open: bool = False) -> list[Any]:
        """Return ``seq``, ``position``, ``job_id`` and ``status`` of tasks in the order of rows, after a ``seq``."""
        columns = (BatchTaskRow.seq, BatchTaskRow.position, JobSummary.id.label("job_id"), JobSummary.status)
        found = _tasks(batch, *columns).where(BatchTaskRow.seq > after, IS_OPEN if only_open else true())
        found = found.order_by(BatchTaskRow.seq).limit(limit)
        with self.reading() as session:
            return list(session.execute(found))

    def batch_jobs(self, batch: BatchRow, positions: range) -> list[tuple[int, Mapping[str, Any], JobRow]]:
        """Return position, the caller's row and the job of each task of some rows, in their order."""
        within = BatchTaskRow.position.between(positions.start, positions.stop - 1)
        found = _tasks(batch, BatchTaskRow.position, BatchTaskRow.columns, JobRow, of=JobRow).where(within)
        with self.reading() as session:
            return [tuple(row) for row in session.execute(found.order_by(BatchTaskRow.position, BatchTaskRow.part))]

    def batch_of_job(self, job: JobSummary) -> BatchRow | None:
        """Return the newest batch that a job belongs to."""
        found = select(BatchRow).join(BatchTaskRow, BatchTaskRow.batch_seq == BatchRow.seq)
        newest = found.where(BatchTaskRow.job_seq == job.seq).order_by(BatchRow.created_at.desc()).limit(1)
        with self.reading() as session:
            return session.scalar(newest)

    # Changes ---------------------------------------------------------------------------------------------------------

    def set_batch(self, batch: BatchRow, **columns: Any) -> BatchRow:
        """Set columns of a batch."""
        with self.writing() as session:
            row = session.get_one(BatchRow, batch.seq)
            for name, value in columns.items():
                setattr(row, name, value)
            return row

    def hold_batch(self, batch: BatchRow, owner: Owner, *, take: bool = False) -> None:
        """Renew the leases of the waiting jobs that ``owner`` holds; with ``take`` also hold what nobody holds."""
        with self.writing() as session:
            now = self.now()
            nobodys = or_(JobSummary.owner_token == "", func.coalesce(JobSummary.lease_until, 0) < now)
            held = {"owner_host": owner.host, "owner_pid": owner.pid, "owner_token": owner.token}
            mine = JobSummary.owner_token == owner.token
            session.execute(
                update(JobSummary)
                .where(_waits(batch), or_(mine, nobodys) if take else mine)
                .values(**held, lease_until=now + WAITING_LEASE_S)
            )

    def take_batch(self, batch: BatchRow, owner: Owner, check: Callable[[int], None] | None) -> BatchRow:
        """Let ``owner`` send the waiting jobs that nobody living holds, if the budget has room for them."""
        with self.writing("create") as session:
            now = self.now()
            waiting = session.scalars(select(JobSummary).where(_waits(batch)))
            pictures = sum(row.n for row in waiting if not row.is_held(now))
            if check is not None and pictures:
                check(pictures)
            self.hold_batch(batch, owner, take=True)
            return self.set_batch(batch, paused_reason="", cancelled_at=None, finished_at=None)

    def relink_batch(self, batch: BatchRow) -> None:
        """Give tasks whose job was given up the job that was sent in its place."""
        with self.writing() as session:
            given_up = _tasks(batch, BatchTaskRow, JobSummary).where(JobSummary.status == Status.EXPIRED)
            for task, job in session.execute(given_up).all():
                same = (JobSummary.request_hash_with_seed == job.request_hash_with_seed, JobSummary.seq > job.seq)
                newest = session.scalar(select(JobSummary.seq).where(*same).order_by(JobSummary.seq.desc()).limit(1))
                task.job_seq = newest or task.job_seq

    def batch_columns(self, batch: BatchRow) -> list[Mapping[str, Any]]:
        """Return the caller's rows, in their order."""
        first = (BatchTaskRow.batch_seq == batch.seq, BatchTaskRow.part == 0)
        with self.reading() as session:
            return list(session.scalars(select(BatchTaskRow.columns).where(*first).order_by(BatchTaskRow.position)))

    def release_batch(self, batch: BatchRow, owner: Owner) -> None:
        """Let go of what ``owner`` holds of the waiting jobs."""
        with self.writing() as session:
            mine = (_waits(batch), JobSummary.owner_token == owner.token)
            session.execute(update(JobSummary).where(*mine).values(owner_token="", lease_until=None))

    def cancel_batch(self, batch: BatchRow) -> tuple[BatchRow, int]:
        """Cancel what is not sent, for free; return the batch as it is now, and how many tasks that were."""
        with self.writing() as session:
            now, seqs = self.now(), list(session.scalars(select(JobSummary.seq).where(_waits(batch))))
            session.execute(update(JobSummary).where(_waits(batch)).values(status=Status.CANCELLED, finished_at=now))
            for seq in seqs:
                how = {"how": "before it was sent"}
                append_event(session, seq, now, "state", status=Status.CANCELLED, detail=how)
            stored = session.get_one(BatchRow, batch.seq)
            stored.cancelled_at, stored.reserved_pictures, stored.reserved_amount = now, 0, None
            written = select(func.count()).where(BatchTaskRow.batch_seq == batch.seq)
            unwritten = stored.task_count - (session.scalar(written) or 0)
            stored.task_count -= unwritten
            return stored, len(seqs) + unwritten


def has_batches(session: Session) -> bool:
    """Say whether there are batches: an older ledger that cannot be written has no table of them."""
    return inspect(session.connection()).has_table(BatchRow.__tablename__)


def _tasks(batch: BatchRow, *columns: Any, of: Any = JobSummary) -> Select[Any]:
    """Select from the tasks of a batch and their jobs."""
    joined = select(*columns).select_from(BatchTaskRow).join(of, of.seq == BatchTaskRow.job_seq)
    return joined.where(BatchTaskRow.batch_seq == batch.seq, BatchTaskRow.is_current == 1)


def _waits(batch: BatchRow) -> Any:
    """Return the condition for jobs of a batch that are not sent yet."""
    of_batch = select(BatchTaskRow.job_seq).where(BatchTaskRow.batch_seq == batch.seq)
    return and_(IS_OPEN, JobSummary.status == Status.INTENT, JobSummary.seq.in_(of_batch))


def _answers(
    session: Session, wanted: Sequence[JobRow], now: float, simulated_ok: bool, replay: bool
) -> list[JobRow | None]:
    """Return the job that answers each, the newest of several."""
    with_seed = {one.request_hash for one in wanted if _has_seed(one)}
    asked = {one.request_hash for one in wanted if not _has_seed(one)}
    hits = (JobRow.request_hash_with_seed.in_(with_seed), JobRow.request_hash.in_(asked))
    found = select(JobRow).where(or_(*hits), JobRow.trashed_at.is_(None)).order_by(*NEWEST)
    by_hash = defaultdict[Any, list[JobRow]](list)
    for row in session.scalars(found if simulated_ok else found.where(JobRow.is_simulated == 0)):
        if (row.status in OPEN or (replay and row.is_complete)) and row.hashes_agree():
            by_hash[row.request_hash_with_seed].append(row)
            by_hash[row.request_hash, *_place(row)].append(row)

    def rank(row: JobRow) -> int:
        """Prefer what is on its way, else what is complete; what was left unsent would have to be paid."""
        return 2 if row.is_abandoned(now) else row.status not in OPEN

    keys = ((one.request_hash if _has_seed(one) else (one.request_hash, *_place(one))) for one in wanted)
    return [min(by_hash[key], key=rank, default=None) for key in keys]


def _has_seed(row: JobRow) -> bool:
    return row.request_hash == row.request_hash_with_seed


def _place(row: JobRow) -> tuple[str, str]:
    return str(row.versions.get(BATCH_KEY, "")), str(row.versions.get(OCCURRENCE_KEY) or 0)
