"""Who works on a job: one process at a time. A lease that is not renewed, or whose process is dead, is free."""

from collections.abc import Iterable, Sequence
from itertools import islice

from sqlalchemy import select, update

from .jobs import LEASE_S, JobWriter, append_event
from .models import IS_OPEN, JobSummary
from .owner import Owner
from .queries import PORTION


class Leases(JobWriter):
    """Taking, renewing and releasing jobs. What keeps renewing them belongs to the worker."""

    def lease(self, job_ids: Iterable[str], owner: Owner, lease_s: float = LEASE_S) -> frozenset[str]:
        """Take open jobs that nobody living holds; return the ids that ``owner`` holds now."""
        held: set[str] = set()
        for ids in _portions(job_ids):
            with self.writing() as session:
                now = self.now()
                wanted = select(JobSummary).where(IS_OPEN, JobSummary.id.in_(ids)).with_for_update()
                for row in session.scalars(wanted).all():
                    before = row.owner
                    is_mine = before is not None and before.token == owner.token
                    if before is not None and not is_mine and row.is_held(now) and not before.is_dead():
                        continue
                    row.hold(owner, now + lease_s)
                    held.add(row.id)
                    if not is_mine:
                        detail = {"host": owner.host, "pid": owner.pid, "before": before.token if before else ""}
                        append_event(session, row.seq, now, "taken", detail=detail)
        return frozenset(held)

    def renew(self, job_ids: Iterable[str], owner: Owner, lease_s: float = LEASE_S) -> frozenset[str]:
        """Prolong the leases that ``owner`` still holds; return them. What is missing was taken by another process."""
        kept: set[str] = set()
        with self.writing() as session:
            until = self.now() + lease_s
            for ids in _portions(job_ids):
                mine = (JobSummary.id.in_(ids), JobSummary.owner_token == owner.token)
                renewed = update(JobSummary).where(*mine).values(lease_until=until).returning(JobSummary.id)
                kept |= set(session.scalars(renewed.execution_options(synchronize_session=False)))
        return frozenset(kept)

    def release(self, job_ids: Iterable[str], owner: Owner) -> None:
        """Let go of what ``owner`` holds of these jobs, so that nobody waits for the leases to run out."""
        with self.writing() as session:
            for ids in _portions(job_ids):
                mine = (JobSummary.id.in_(ids), JobSummary.owner_token == owner.token)
                session.execute(update(JobSummary).where(*mine).values(owner_token="", lease_until=None))


def _portions(ids: Iterable[str]) -> Iterable[Sequence[str]]:
    rest = iter(ids)
    while portion := list(islice(rest, PORTION)):
        yield portion
