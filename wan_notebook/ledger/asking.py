"""What the ledger can be asked. Every answer is one consistent snapshot of what is committed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from . import codec, find, schema, spend, transfer
from .core import Core
from .faults import LedgerError
from .figures import CostRow, DurationKey, HistoryPage, HistoryQuery, Price, Spend
from .history import history
from .job_row import JobRow
from .rows import Event
from .spend import CostKey, SpendReader

_META = sa.select(schema.meta.c.value).where(schema.meta.c.key == sa.bindparam("key"))


class Asking(Core):
    """The questions; each blocks for a millisecond or so and may be asked from any thread."""

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

    def jobs(self, ids: Collection[str]) -> dict[str, JobRow]:
        """Return the jobs with these ids, as far as there are any."""
        with self._reading() as read:
            return find.jobs(read, ids)

    def open_jobs(self) -> list[JobRow]:
        """Return the jobs that still cost or owe something, oldest first."""
        with self._reading() as read:
            return find.open_jobs(read)

    def has_real(self) -> bool:
        """Say whether any job here went to a real service and may have made something."""
        with self._reading() as read:
            return find.has_real(read)

    def task_ids(self) -> frozenset[str]:
        """Return the service's ids of all jobs that have one."""
        with self._reading() as read:
            return find.task_ids(read)

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
        with self._reading(once=True) as read:
            return spend.last_price(read, provider, model)

    def spend(self, since: float | None = None, notebook: str | None = None, *, simulated: bool = False) -> Spend:
        """Return what jobs created since a time, or of one notebook, cost and may still cost.

        Real ones, or with ``simulated`` the simulated ones alone: practice is never added to money.
        """
        with self._reading() as read:
            return SpendReader(read).spend(since=since, notebook=notebook, simulated=simulated)

    def cost_by(self, by: CostKey, *, since: float | None = None) -> list[CostRow]:
        """Return costs by local day, notebook, tag or user."""
        if by not in ("day", "notebook", "tag", "user"):
            raise LedgerError(f"Costs cannot be summed by {by!r}.", hint="By day, notebook, tag or user.")
        with self._reading() as read:
            return spend.cost_by(read, by, since)

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Return one page of jobs and the totals of the whole filter. Raises ``LedgerError`` for an unknown sort."""
        with self._reading() as read:
            return history(read, query or HistoryQuery())

    # ------------------------------------------------------------------ the rest

    def input_name(self, file: str) -> str:
        """Return what a person called a kept input picture when it was first given; "" if nobody gave it."""
        with self._reading() as read:
            return find.input_name(read, file)

    def meta_get(self, key: str) -> str | None:
        """Return a remembered value."""
        with self._reading(once=True) as read:
            rows = read(_META, {"key": codec.encode_text(key)})
        return codec.decode_text(rows[0][0]) if rows else None

    def export_rows(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return finished jobs as JSON-ready data for a bundle, without anything private."""
        with self._reading() as read:
            return transfer.export_rows(read, ids)
