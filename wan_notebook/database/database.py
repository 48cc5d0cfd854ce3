"""``Database``: the whole ledger, with who works on a job and who may send one.

A lease that is not renewed, or whose process is dead, is free. The limits belong to the account, not to the machine: a
job may be sent only by the transaction that moved it to ``sending``, and that counts first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from .history import History
from .jobs import LEASE_S, Conflict, enter, locked_job, portions
from .models import IS_OPEN, JobRow, JobSummary, LimitRow, Owner, job_accounts
from .status import IN_FLIGHT, Status
from .transfer import Transfer

SHARE: Final = 0.95
"""Of the limit: clocks differ, and one request more in the worst second would be refused."""

ORPHAN_S: Final = 600.0
"""How long a job whose process died counts as in flight: its task may still run."""

FULL_WAIT_S: Final = 1.0
"""When to ask again if all places are taken: another process may free one at any time."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The answer to the question whether a job may be sent now.

    ``row`` is the job, in ``sending``: send it. Without one ask again after ``wait_s``; ``running`` of the account's
    places are taken, and ``ahead`` jobs that are waited for were asked before this one.
    """

    row: JobRow | None = None
    wait_s: float = 0.0
    running: int = 0
    ahead: int = 0


class Database(History, Transfer):
    """A ledger, open for this process: one SQLite file, or a server. Make one with ``Database.open``.

    Every method is one short transaction, blocks for a few milliseconds and may be called from any thread. What it
    returns is a snapshot, detached from the database; a change returns a new row. Errors are ``StoreError``; of these
    only ``DatabaseUnavailable`` (disk full, locked, connection lost) is worth another try.
    """

    def claim_to_send(
        self,
        job_id: str,
        owner: Owner,
        *,
        account: str,
        in_flight: int,
        submits_per_s: float,
    ) -> Claim:
        """Move an intent to ``sending`` if the account has room; only who gets the row may send it.

        Parameters
        ----------
        job_id : str
            The job; it must be an intent that nobody else holds.
        owner : Owner
            Who will send it.
        account : str
            Whose limits count, as ``provider:account``.
        in_flight : int
            Most tasks at once; 0 for no limit.
        submits_per_s : float
            Most submits a second; 0 for no limit.

        Raises
        ------
        Conflict
            If the job is not an intent any more, or another process holds it.
        """
        with self.writing() as session:
            self.serialize(account)
            gate = _locked_gate(session, account)
            now = self.now()
            row = locked_job(session, job_id)
            if row.status is not Status.INTENT:
                raise Conflict(row, f"{row.status}, so it is not sent")
            if row.owner_token != owner.token and row.is_held(now):
                raise Conflict(row, "looked after by another kernel")
            running = _count_in_flight(session, account, now) if in_flight else 0
            wait_s = max((gate.paused_until or 0.0) - now, 0.0)
            if in_flight and running >= in_flight:
                wait_s = max(wait_s, FULL_WAIT_S)
            elif not wait_s and submits_per_s:  # GCRA without bursts
                interval_s = 1 / (submits_per_s * SHARE)
                if now < gate.arrival_at <= now + interval_s:  # later than that: the clock was set back
                    wait_s = gate.arrival_at - now
                else:
                    gate.arrival_at = now + interval_s
            if wait_s:
                return Claim(wait_s=wait_s, running=running, ahead=_count_ahead(session, row, now))
            row.hold(owner, now + LEASE_S)
            session.execute(delete(job_accounts).where(job_accounts.c.job_seq == row.seq))
            session.execute(insert(job_accounts).values(job_seq=row.seq, account=account))
            enter(session, row, Status.SENDING, now)
            return Claim(row=row, running=running + 1)

    def pause_account(self, account: str, for_s: float, reason: str = "") -> None:
        """Let nobody submit with this account for some seconds."""
        with self.writing() as session:
            self.serialize(account)
            gate = _locked_gate(session, account)
            gate.paused_until = max(self.now() + for_s, gate.paused_until or 0.0)
            gate.paused_reason = reason

    def lease(self, job_ids: Iterable[str], owner: Owner) -> frozenset[str]:
        """Take open jobs that nobody living holds; return the ids that ``owner`` holds now."""
        held: set[str] = set()
        for ids in portions(job_ids):
            with self.writing() as session:
                now = self.now()
                wanted = select(JobSummary).where(IS_OPEN, JobSummary.id.in_(ids)).with_for_update()
                for row in session.scalars(wanted).all():
                    if row.owner_token == owner.token or not row.is_held(now):
                        row.hold(owner, now + LEASE_S)
                        held.add(row.id)
        return frozenset(held)

    def renew(self, job_ids: Iterable[str], owner: Owner) -> frozenset[str]:
        """Prolong the leases that ``owner`` still holds; return them. What is missing was taken by another process."""
        kept: set[str] = set()
        with self.writing() as session:
            until = self.now() + LEASE_S
            for ids in portions(job_ids):
                mine = (JobSummary.id.in_(ids), JobSummary.owner_token == owner.token)
                session.execute(update(JobSummary).where(*mine).values(lease_until=until))
                kept |= set(session.scalars(select(JobSummary.id).where(*mine)))
        return frozenset(kept)

    def release(self, job_ids: Iterable[str], owner: Owner) -> None:
        """Let go of what ``owner`` holds of these jobs, so that nobody waits for the leases to run out."""
        with self.writing() as session:
            for ids in portions(job_ids):
                mine = (JobSummary.id.in_(ids), JobSummary.owner_token == owner.token)
                session.execute(update(JobSummary).where(*mine).values(owner_token="", lease_until=None))


def _locked_gate(session: Session, account: str) -> LimitRow:
    """Return the row that all claims of an account pass through, one after the other."""
    key = {"account": account, "kind": "submit"}
    gate = session.get(LimitRow, key)
    if gate is None:
        gate = LimitRow(**key)
        session.add(gate)
        session.flush()
    return gate


def _count_in_flight(session: Session, account: str, now: float) -> int:
    """Count tasks that a living process holds, and for ten minutes those of a dead one, in doubt or not."""
    at_service = JobSummary.status.in_(IN_FLIGHT)
    is_held = and_(JobSummary.owner_token != "", JobSummary.lease_until >= now)
    last_sign = func.coalesce(JobSummary.first_running_at, JobSummary.accepted_at, JobSummary.sending_at)
    is_orphan = and_(or_(at_service, JobSummary.status == Status.IN_DOUBT), last_sign > now - ORPHAN_S)
    found = select(func.count()).select_from(JobSummary)
    found = found.join(job_accounts, job_accounts.c.job_seq == JobSummary.seq)
    counts = (IS_OPEN, job_accounts.c.account == account, or_(and_(at_service, is_held), is_orphan))
    return session.scalar(found.where(*counts)) or 0


def _count_ahead(session: Session, row: JobRow, now: float) -> int:
    """Count the intents of the same service and key that somebody holds and that were asked before this one."""
    same = (JobSummary.provider == row.provider, JobSummary.key_fingerprint == row.key_fingerprint)
    earlier = or_(
        JobSummary.created_at < row.created_at,
        and_(JobSummary.created_at == row.created_at, JobSummary.seq < row.seq),
    )
    held = (JobSummary.owner_token != "", JobSummary.lease_until >= now)
    found = select(func.count()).select_from(JobSummary)
    return session.scalar(found.where(IS_OPEN, JobSummary.status == Status.INTENT, *same, *held, earlier)) or 0
