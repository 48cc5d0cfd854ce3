"""Writing jobs: created or joined within the budgets, moved from status to status, and told of their pictures.

"Never pay twice" rests on this file. A request that is open is joined inside the transaction that would otherwise
create its job, and every change of status is one compare-and-set.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from ..errors import StoreError
from .column_types import is_plausible, search_text
from .models import (
    IS_OPEN,
    EventRow,
    InputRow,
    JobRow,
    JobSummary,
    PictureRow,
    columns_of,
    deletions,
    job_search,
    job_tags,
)
from .owner import Owner
from .queries import JobQueries, newest, seq_of
from .spending import SpendingQueries, SpendLimit
from .status import FINAL, NOT_SENT, Status, sources_of

LEASE_S: Final = 15.0
"""How long a process holds a job without saying so again."""

_OWN_WAY: Final = frozenset(
    {"seq", "job_seq", "id", "status", "created_at", "picture_count", "purged_at", "imported_at", "trashed_at"}
    | {"owner_host", "owner_pid", "owner_started", "owner_token", "lease_until", "cost_nano", "error_text"}
)
"""Columns that are not set by name: each has a method of its own."""

_SETTABLE: Final = columns_of(JobRow).keys() - _OWN_WAY
_SEARCHED: Final = frozenset({"prompt", "negative_prompt", "name", "seed", "tags"})
_PICTURE_COLUMNS: Final = columns_of(PictureRow).keys() - {"job_seq", "index"}
_WHO_AND_WHERE: Final = (
    *("provider", "base_url", "is_simulated", "envelope", "name", "tags", "notebook", "cell_id", "user"),
    *("key_fingerprint", "versions", "reserved_amount", "reserved_currency", "notes"),
)
"""What an abandoned intent takes from the call that takes it over; its request and seed stay."""


class Conflict(StoreError):
    """The job is no longer where the caller thought: another process moved or holds it. ``current`` is its status."""

    def __init__(self, row: JobSummary, why: str) -> None:
        super().__init__(f"Job {row.id} is {why}.", hint="Nothing was changed.")
        self.job_id, self.current = row.id, row.status


class JobWriter(JobQueries, SpendingQueries):
    """What changes jobs."""

    def create_or_join(
        self,
        new_jobs: Sequence[JobRow],
        *,
        owner: Owner,
        simulated_ok: bool,
        limits: Sequence[SpendLimit] = (),
        lease_s: float = LEASE_S,
        replacing: Iterable[str] = (),
        fresh: bool = False,
        replay: bool = True,
    ) -> list[tuple[JobRow, bool]]:
        """Create jobs, or join those that answer them already, in one transaction.

        Parameters
        ----------
        new_jobs : sequence of JobRow
            In order; the tasks of one request stand together. Those without a ``group_id`` become one group.
        owner : Owner
            Who holds the new ones.
        simulated_ok : bool
            Whether simulated jobs may answer: a real request never waits for a practice picture.
        limits : sequence of SpendLimit
            What the new ones must keep.
        lease_s : float
            For how long the new ones are held.
        replacing : iterable of str
            Jobs in doubt that are given up for these.
        fresh : bool
            Join nothing.
        replay : bool
            Whether a stored result also answers a request with a seed: another process may just have made it.

        Returns
        -------
        list of (JobRow, bool)
            One for each new job; True if it is to be sent. An intent whose owner is gone is taken over by the same
            call made again, with the seed that it has.

        Raises
        ------
        OverBudget
            If a limit would be exceeded; then nothing was written.
        Conflict
            If a job of ``replacing`` is not in doubt any more.
        """
        self.refuse_if_moved()
        with self.writing() as session:
            self.serialize("create")
            now = self.now()
            _look_after_intents(session, now + lease_s)
            found = (
                [None] * len(new_jobs) if fresh else self._find_answers(session, new_jobs, now, simulated_ok, replay)
            )
            answers: list[tuple[JobRow, bool]] = []
            started: dict[JobRow, JobRow] = {}
            by_hash: dict[str, JobRow] = {}
            for new, row in zip(new_jobs, found, strict=True):
                same = new if fresh else by_hash.setdefault(new.request_hash_with_seed, new)
                answer = row or same
                is_new = answer not in started and (row is None or _is_abandoned(row, now))
                if is_new:
                    started[answer] = new
                answers.append((answer, is_new))
            self.check_limits(limits, [row.n for row in started])
            _start(session, started, now, owner, now + lease_s)
            if answers:
                self.abandon(replacing, f"sent again by a person's decision, as job {answers[0][0].id}")
            return answers

    def transition(
        self,
        job_id: str,
        to: Status,
        *,
        expect: Status | Collection[Status] | None = None,
        detail: Mapping[str, Any] | None = None,
        pictures: Iterable[Mapping[str, Any]] = (),
        **columns: Any,
    ) -> JobRow:
        """Move a job to another status, with an event, pictures and columns, in one transaction.

        Parameters
        ----------
        job_id : str
            Its whole id.
        to : Status
            Must be able to follow the job's status. sending → intent needs ``detail["not_sent"]``, the reason why
            the service certainly made no task.
        expect : Status or several, optional
            Where the job must stand. Staying in a status needs it to be named.
        detail : mapping, optional
            Goes into the event.
        pictures : iterable of mappings
            Columns of ``PictureRow`` with ``index``; see ``save_picture``.
        **columns
            Columns of ``JobRow``; the times of a status are set unless given. ``error_message`` goes with
            ``error_hint``.

        Raises
        ------
        Conflict
            If the job has moved.
        """
        if to is Status.INTENT and not (detail or {}).get(NOT_SENT):
            raise StoreError(f"Job {job_id} cannot become intent again without proof that the service made no task.")
        sources = sources_of(to, {expect} if isinstance(expect, Status) else expect or ())
        moved = update(JobSummary).where(JobSummary.id == job_id, JobSummary.status.in_(sources)).values(status=to)
        with self.writing() as session:
            now = self.now()
            seq = session.scalar(moved.returning(JobSummary.seq).execution_options(synchronize_session=False))
            if seq is None:
                row = locked_job(session, job_id)
                raise Conflict(row, f"{row.status}, so it cannot become {to}")
            row = session.get_one(JobRow, seq, populate_existing=True)
            append_event(session, seq, now, "state", status=to, detail=detail)
            _stamp(row, to, now)
            _set_columns(session, row, columns)
            _put_pictures(session, row, pictures)
            return row

    def update(self, job_id: str, *, inputs: Iterable[InputRow] | None = None, **columns: Any) -> JobRow:
        """Set columns of a job without moving it; ``inputs`` replaces its input pictures."""
        with self.writing() as session:
            row = locked_job(session, job_id)
            if inputs is not None:
                row.inputs.clear()
                session.flush()
                row.inputs.extend(given.copy() for given in inputs)
                _keep_files(session, [given.file for given in row.inputs])
            _set_columns(session, row, columns)
            return row

    def save_picture(self, job_id: str, *, index: int, **columns: Any) -> JobRow:
        """Write what is known of one picture: named columns are set, others stay.

        A picture that is on disk (``saved_at``) is never overwritten by one that is not, and keeps no ``url``.
        """
        with self.writing() as session:
            row = locked_job(session, job_id)
            _put_pictures(session, row, [{"index": index, **columns}])
            return row

    def add_event(self, job_id: str, kind: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append something to a job's events that does not move it: a retry, a pause, a warning."""
        with self.writing() as session:
            append_event(session, seq_of(session, job_id, lock=True), self.now(), kind, detail=detail)

    def record_shown(self, job_id: str, notebook: str, cell_id: str, how: str) -> None:
        """Remember that a job was shown in a cell."""
        self.add_event(job_id, "shown", {"notebook": notebook, "cell_id": cell_id, "how": how})

    def abandon(self, job_ids: Iterable[str], reason: str) -> None:
        """Give up jobs in doubt, as a person decided. Raises ``Conflict`` if one is not in doubt any more.

        They end as expired, not as refused: one that did arrive was billed, so its cost stays unknown.
        """
        with self.writing():
            for job_id in job_ids:
                detail = {"how": reason}
                self.transition(job_id, Status.EXPIRED, expect=Status.IN_DOUBT, detail=detail, error_message=reason)

    def _find_answers(
        self, session: Session, new_jobs: Sequence[JobRow], now: float, simulated_ok: bool, replay: bool
    ) -> list[JobRow | None]:
        """Return, for each new job, the job that answers it already."""
        hashes = {h for new in new_jobs for h in (new.request_hash, new.request_hash_with_seed)}
        columns = (JobSummary.request_hash, JobSummary.request_hash_with_seed)
        known = {h for column in columns for h in session.scalars(select(column).where(column.in_(hashes)))}
        found: list[JobRow | None] = []
        first: JobRow | None = None
        for new in new_jobs:
            row: JobRow | None = None
            if new.request_position == 0:
                first = None
            if first is not None:  # the whole request is joined, with the seeds that it has
                position = first.group_position + new.request_position
                group = select(JobRow).where(JobRow.group_id == first.group_id, JobRow.group_position == position)
                row = session.scalars(group.order_by(JobRow.seq)).first()
            elif new.request_hash != new.request_hash_with_seed:  # its seed was drawn: it goes by what was asked
                is_open = JobRow.group_id.in_(select(JobSummary.group_id).where(IS_OPEN))
                request = newest(simulated_ok=simulated_ok).where(JobRow.request_hash == new.request_hash, is_open)
                row = first = session.scalars(request).first()
            elif new.request_hash_with_seed in known:
                task = newest(simulated_ok=simulated_ok).where(
                    JobRow.request_hash_with_seed == new.request_hash_with_seed, IS_OPEN
                )
                rows = sorted(session.scalars(task), key=lambda row: _is_abandoned(row, now))
                row = rows[0] if rows else None
                if row is None and replay:
                    row = self.find_result(new.request_hash_with_seed, simulated_ok=simulated_ok)
            found.append(row)
        return found


# ------------------------------------------------------------------ inside a transaction


def append_event(
    session: Session, seq: int, now: float, kind: str, *, status: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Append to a job's events."""
    number = select(func.coalesce(func.max(EventRow.number) + 1, 0)).where(EventRow.job_seq == seq).scalar_subquery()
    values = {"job_seq": seq, "number": number, "at": now, "kind": kind, "status": status, "detail": detail or {}}
    session.execute(insert(EventRow).values(values))


def locked_job(session: Session, job_id: str) -> JobRow:
    """Return a job that nobody else changes before this transaction ends."""
    return session.get_one(JobRow, seq_of(session, job_id, lock=True), populate_existing=True)


def reindex(session: Session, rows: Sequence[JobRow]) -> None:
    """Write anew what the search and the tag filters look through."""
    session.flush()
    for table in (job_search, job_tags):
        session.execute(delete(table).where(table.c.job_seq.in_([row.seq for row in rows])))
    words = [(row.prompt, row.negative_prompt, row.name, row.id, row.seed, *row.tags) for row in rows]
    texts = [{"job_seq": row.seq, "haystack": search_text(*said)} for row, said in zip(rows, words, strict=True)]
    session.execute(insert(job_search), texts)
    if tags := [{"job_seq": row.seq, "tag": tag} for row in rows for tag in dict.fromkeys(row.tags)]:
        session.execute(insert(job_tags), tags)


def refuse_bare_amounts(row: JobRow) -> None:
    """Raise ``StoreError`` for an amount without its currency or source: it would be wrong in every sum."""
    if row.cost_amount is not None and not (row.cost_source and row.cost_currency):
        raise StoreError("cost_amount needs cost_source and cost_currency.")
    if row.reserved_amount is not None and not row.reserved_currency:
        raise StoreError("reserved_amount needs reserved_currency.")


def _stamp(row: JobRow, to: Status, now: float) -> None:
    """Set the times that belong to a status; what began or ended once keeps its time."""
    match to:
        case Status.INTENT:
            row.sending_at = None
        case Status.SENDING:
            row.sending_at = now
        case Status.ACCEPTED:
            row.accepted_at, row.finished_at = now, None  # an expired job may be found again
        case Status.RUNNING:
            row.first_running_at = row.first_running_at or now
        case Status.SAVED | Status.EXPIRED:
            row.saved_at = now if to is Status.SAVED else row.saved_at
            row.finished_at = row.finished_at or now
        case _ if to is Status.SUCCEEDED or to in FINAL:
            row.finished_at = now


def _set_columns(session: Session, row: JobRow, columns: Mapping[str, Any]) -> None:
    given = dict(columns)
    if "error_message" in given:
        row.set_error(given.pop("error_message"), given.pop("error_hint", ""))
    if unknown := given.keys() - _SETTABLE:
        raise StoreError(f"These columns of a job cannot be set: {', '.join(sorted(unknown))}.")
    cost = given.get("cost_amount")
    if isinstance(cost, Decimal) and not is_plausible(cost):
        # Nonsense from the service must not keep a paid picture out of the ledger.
        given |= {"cost_amount": None, "cost_source": "", "cost_note": f"reported as {str(cost)[:40]}"}
    for name, value in given.items():
        setattr(row, name, value)
    refuse_bare_amounts(row)
    if given.keys() & _SEARCHED:
        reindex(session, [row])


def _put_pictures(session: Session, row: JobRow, pictures: Iterable[Mapping[str, Any]]) -> None:
    known = {picture.index: picture for picture in row.pictures}
    for given in pictures:
        columns = {name: value for name, value in given.items() if name != "index"}
        if unknown := columns.keys() - _PICTURE_COLUMNS:
            raise StoreError(f"These columns of a picture cannot be set: {', '.join(sorted(unknown))}.")
        picture = known.get(given["index"])
        if picture is None:
            picture = known[given["index"]] = PictureRow(index=given["index"], kind="image")
            row.pictures.append(picture)
        if picture.saved_at is not None and columns.get("saved_at") is None:
            continue
        for name, value in columns.items():
            setattr(picture, name, value)
        if picture.saved_at is not None:
            picture.url = ""
        _keep_files(session, [picture.file, picture.corrupt_file])
    row.picture_count = sum(picture.saved_at is not None for picture in row.pictures)


def _keep_files(session: Session, files: Iterable[str]) -> None:
    """Take files that are wanted again off the list of those to delete."""
    session.execute(delete(deletions).where(deletions.c.file.in_([file for file in files if file])))


def _look_after_intents(session: Session, lease_until: float) -> None:
    """Let go of intents whose process on this host is dead; one that lives keeps them, however busy it was.

    Without this a crash would hold up the next run until its lease is over.
    """
    intents = (JobSummary.status == Status.INTENT, JobSummary.owner_token != "")
    columns = (JobSummary.owner_host, JobSummary.owner_pid, JobSummary.owner_started, JobSummary.owner_token)
    for host, pid, started, token in session.execute(select(*columns).where(IS_OPEN, *intents).distinct()):
        holder = Owner(host=host, pid=pid or 0, started=started or 0.0, token=token)
        changes = {"owner_token": "", "lease_until": None} if holder.is_dead() else {"lease_until": lease_until}
        if holder.is_here():
            session.execute(update(JobSummary).where(*intents, JobSummary.owner_token == token).values(changes))


def _is_abandoned(row: JobRow, now: float) -> bool:
    return row.status is Status.INTENT and not row.is_held(now)


def _start(session: Session, started: Mapping[JobRow, JobRow], now: float, owner: Owner, lease_until: float) -> None:
    """Insert new jobs and take over abandoned ones; ``started`` maps what is to be sent to what was asked for."""
    ids = iter(_new_ids(session, len(started)))
    made: list[JobRow] = []
    for row, asked in started.items():
        row.created_at = now  # of one that is taken over too: the day on which it is paid
        row.hold(owner, lease_until)
        refuse_bare_amounts(asked)
        if row is not asked:
            for name in _WHO_AND_WHERE:
                setattr(row, name, getattr(asked, name))
            append_event(session, row.seq, now, "taken", detail={"host": owner.host, "pid": owner.pid})
            continue
        row.id, row.status = next(ids), Status.INTENT
        if not row.group_id:
            row.group_id, row.group_position = made[0].group_id if made else row.id, len(made)
        made.append(row)
    session.add_all(made)
    session.flush()
    session.add_all([EventRow(job_seq=row.seq, number=0, at=now, kind="state", status=Status.INTENT) for row in made])
    if started:
        reindex(session, list(started))
        _keep_files(session, [given.file for row in started for given in row.inputs])


def _new_ids(session: Session, count: int) -> list[str]:
    """Return ids of ten hex digits that begin with a letter, so that no tool takes one for a number."""
    ids: set[str] = set()
    while len(ids) < count:
        ids |= {secrets.choice("abcdef") + secrets.token_hex(5)[:9] for _ in range(count - len(ids))}
        ids -= set(session.scalars(select(JobSummary.id).where(JobSummary.id.in_(ids))))
    return list(ids)
