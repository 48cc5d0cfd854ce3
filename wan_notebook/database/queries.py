"""Reading jobs: by id, by request, by group, and what is still open."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Select, Text, or_, select, type_coerce
from sqlalchemy.orm import Session

from ..errors import StoreError
from .engine import DatabaseEngine
from .models import IS_OPEN, EventRow, InputRow, JobRow, JobSummary, MetaRow, PictureRow, flag_is
from .status import FREE, OPEN, Status

PORTION: Final = 500
"""As many values as one statement names."""

NEWEST: Final = (JobSummary.created_at.desc(), JobSummary.seq.desc())


class JobQueries(DatabaseEngine):
    """What is asked about jobs. Rows are complete, with texts, inputs and pictures."""

    def get(self, id_or_prefix: str) -> JobRow:
        """Return the job with this id or unique beginning of one. Raises ``StoreError`` that names the nearest."""
        wanted = id_or_prefix.strip().lower()
        rows: list[JobRow] = []
        if wanted.isascii() and wanted.isalnum():
            # A range, not LIKE: it uses the index of ids, whatever the collation.
            in_range = (JobRow.id >= wanted, JobRow.id < wanted + "g")
            rows = self._rows(select(JobRow).where(*in_range).order_by(JobRow.id).limit(10))
        if len(rows) == 1 or (rows and rows[0].id == wanted):
            return rows[0]
        if rows:
            message = f"{id_or_prefix!r} fits {len(rows)} jobs: {_listed([row.id for row in rows])}."
            raise StoreError(message, hint="Give one more character.")
        known = self._rows(select(JobSummary.id).order_by(*NEWEST).limit(500))
        heads = {job_id[: max(len(wanted), 3)]: job_id for job_id in reversed(known)}
        near = [heads[head] for head in difflib.get_close_matches(wanted, heads, n=3)]
        hint = f"{'Nearest' if near else 'Newest'}: {_listed(near or known[:3])}. `%wan history` lists all."
        message = f"No job has the id {id_or_prefix[:40]!r}."
        raise StoreError(message, hint=hint if known else "This folder has no jobs yet.")

    def jobs(self, ids: Iterable[str]) -> dict[str, JobRow]:
        """Return the jobs with these ids, as far as there are any."""
        wanted, found = list(ids), dict[str, JobRow]()
        with self.reading() as session:
            for start in range(0, len(wanted), PORTION):
                rows = session.scalars(select(JobRow).where(JobRow.id.in_(wanted[start : start + PORTION])))
                found |= {row.id: row for row in rows}
        return found

    def group(self, group_id: str) -> list[JobRow]:
        """Return the jobs of one call, in their order."""
        in_order = (JobRow.group_position, JobRow.seq)
        return self._rows(select(JobRow).where(JobRow.group_id == group_id).order_by(*in_order))

    def open_jobs(self, statuses: Collection[Status] = OPEN) -> list[JobRow]:
        """Return the jobs that still cost or owe something, or those of them in some statuses, oldest first."""
        found = select(JobRow).where(IS_OPEN, JobRow.status.in_(statuses))
        return self._rows(found.order_by(JobRow.created_at, JobRow.seq))

    def results(self, request_hash: str, with_seed: bool = False) -> list[JobRow]:
        """Return every job of a request that is not in the trash, oldest first."""
        column = JobRow.request_hash_with_seed if with_seed else JobRow.request_hash
        found = select(JobRow).where(column == request_hash, JobRow.trashed_at.is_(None))
        return self._rows(found.order_by(JobRow.created_at, JobRow.seq))

    def find_result(self, request_hash_with_seed: str, *, simulated_ok: bool, cell_id: str = "") -> JobRow | None:
        """Return the newest complete result of a request, that of ``cell_id`` first.

        Complete: it has something to show, and every picture that was delivered is on disk. A picture that came as
        bytes that cannot be read, kept as ``corrupt_file``, holds nothing back: asking again would be paying again.
        """
        is_waiting = (PictureRow.job_seq == JobRow.seq, PictureRow.saved_at.is_(None), PictureRow.corrupt_file == "")
        has_text = type_coerce(JobRow.items, Text).contains('"text"')
        found = (
            newest(simulated_ok=simulated_ok)
            .where(JobRow.request_hash_with_seed == request_hash_with_seed, JobRow.status == Status.SAVED)
            .where(JobRow.trashed_at.is_(None), ~select(PictureRow.index).where(*is_waiting).exists())
            .where(or_(JobRow.picture_count > 0, has_text))
        )
        if cell_id:
            found = found.order_by(None).order_by((JobRow.cell_id == cell_id).desc(), *NEWEST)
        return next(iter(self._rows(found.limit(1))), None)

    def events(self, job_id: str) -> list[EventRow]:
        """Return what happened to a job, oldest first."""
        found = select(EventRow).join(JobSummary, JobSummary.seq == EventRow.job_seq).where(JobSummary.id == job_id)
        return self._rows(found.order_by(EventRow.number))

    def durations(self, provider: str, model: str, mode: str, size_tier: str, n: int, limit: int = 200) -> list[float]:
        """Return the newest durations of jobs of one kind in seconds, newest last."""
        found = (
            select(JobSummary.duration_s)
            .where(JobSummary.provider == provider, JobSummary.model == model, JobSummary.mode == mode)
            .where(JobSummary.size_tier == size_tier, JobSummary.n == n, JobSummary.duration_s.is_not(None))
            .order_by(JobSummary.finished_at.desc(), JobSummary.seq.desc())
            .limit(limit)
        )
        return self._rows(found)[::-1]

    def has_real_jobs(self) -> bool:
        """Say whether any job went to a real service and may have made something."""
        real = (flag_is(JobSummary.is_simulated, False), JobSummary.status.not_in(FREE))
        return bool(self._rows(select(JobSummary.seq).where(*real).limit(1)))

    def task_ids(self) -> frozenset[str]:
        """Return the service's ids of all jobs that have one."""
        return frozenset(self._rows(select(JobSummary.task_id).where(JobSummary.task_id != "")))

    def input_name(self, file: str) -> str:
        """Return what a person called a kept input picture when it was first given; "" if nobody gave it."""
        given = select(InputRow.name).where(InputRow.file == file, InputRow.name != "")
        return next(iter(self._rows(given.order_by(InputRow.job_seq).limit(1))), "")

    def meta_get(self, key: str) -> str | None:
        """Return a remembered value."""
        return next(iter(self._rows(select(MetaRow.value).where(MetaRow.key == key))), None)

    def _rows(self, found: Select[Any]) -> list[Any]:
        with self.reading() as session:
            return list(session.scalars(found))


def seq_of(session: Session, job_id: str, *, lock: bool = False) -> int:
    """Return the key of a job's row, which nobody else changes until the transaction ends if it is locked."""
    found = select(JobSummary.seq).where(JobSummary.id == job_id)
    seq = session.scalar(found.with_for_update() if lock else found)
    if seq is None:
        raise StoreError(f"The ledger has no job {job_id!r}.", hint="`%wan history` lists the jobs of this folder.")
    return seq


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")


def newest(*, simulated_ok: bool) -> Select[JobRow]:
    """Select jobs, newest first; without simulated ones if a real request asks."""
    found = select(JobRow).order_by(*NEWEST)
    return found if simulated_ok else found.where(flag_is(JobRow.is_simulated, False))
