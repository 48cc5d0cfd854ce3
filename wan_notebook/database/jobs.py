"""Jobs: looked up, created or joined within the budgets, moved from status to status, and told of their pictures.

"Never pay twice" rests on this file. A request that is open is joined inside the transaction that would otherwise
create its job, and a change of status looks at the old one under the row's lock.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from os.path import samestat
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, delete, func, insert, inspect, or_, select, true, tuple_, update
from sqlalchemy.orm import Session, joinedload

from ..errors import StoreError
from ..text import one_line
from .engine import DatabaseEngine
from .models import (
    HINT,
    IS_OPEN,
    KIND,
    TIME_MAX_S,
    Base,
    EventRow,
    InputRow,
    JobRow,
    JobSummary,
    LimitRow,
    MetaRow,
    Owner,
    PictureRow,
    is_plausible,
    job_accounts,
    job_search,
    job_tags,
    search_text,
    storable,
)
from .status import FINAL, FREE, IN_FLIGHT, NOT_SENT, OPEN, TRANSITIONS, Status

PAUSE_MAX_S: Final = 600.0
"""The longest pause of an account, and for how long a task that nobody follows may hold a place."""
LEASE_S: Final = 15.0
"""How long a process holds a job without saying so again."""

NEWEST: Final = (JobSummary.created_at.desc(), JobSummary.seq.desc())

_TIMES: Final = {
    Status.SENDING: "sending_at",
    Status.ACCEPTED: "accepted_at",
    Status.RUNNING: "first_running_at",
    Status.SAVED: "saved_at",
}
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


class Jobs(DatabaseEngine):
    """Reads and writes jobs. Rows are complete, with texts, inputs and pictures."""

    def get(self, id_or_prefix: str) -> JobRow:
        """Return the job with this id or unique beginning of one. Raises ``StoreError`` that names some ids."""
        wanted = id_or_prefix.strip().lower()
        # A range, not LIKE: it uses the index of ids, whatever the collation.
        found = select(JobRow).where(JobRow.id >= wanted, JobRow.id < wanted + "g").order_by(JobRow.id).limit(5)
        rows: list[JobRow] = self._rows(found) if wanted.isascii() and wanted.isalnum() else []
        if len(rows) == 1 or (rows and rows[0].id == wanted):
            return rows[0]
        if rows:
            message = f"{id_or_prefix!r} fits several jobs: {', '.join(row.id for row in rows)}."
            raise StoreError(message, hint="Give one more character.")
        newest = one_line(", ".join(map(str, self._rows(select(JobSummary.id).order_by(*NEWEST).limit(3)))))
        hint = f"The newest: {newest}. `%wan history` lists all." if newest else "This folder has no jobs yet."
        raise StoreError(f"No job has the id {id_or_prefix[:40]!r}.", hint=hint)

    def jobs(self, ids: Iterable[str]) -> dict[str, JobRow]:
        """Return the jobs with these ids, as far as there are any."""
        return {row.id: row for row in self._rows(select(JobRow).where(JobRow.id.in_(list(ids))))}

    def group(self, group_id: str) -> list[JobRow]:
        """Return the jobs of one call, in their order."""
        in_order = (JobRow.group_position, JobRow.seq)
        return self._rows(select(JobRow).filter_by(group_id=group_id).order_by(*in_order))

    def open_jobs(self) -> list[JobRow]:
        """Return the jobs that still cost or owe something, oldest first."""
        return self._rows(select(JobRow).where(IS_OPEN).order_by(JobRow.created_at, JobRow.seq))

    def results(self, request_hash: str, with_seed: bool = False) -> list[JobRow]:
        """Return every job of a request that is not in the trash, oldest first, but none whose hashes were edited."""
        found = _SENT if with_seed else _ASKED
        return [row for row in self._rows(found, {"request_hash": request_hash}) if row.hashes_agree()]

    def events(self, job_id: str) -> list[EventRow]:
        """Return what happened to a job, oldest first."""
        found = select(EventRow).join(JobSummary, JobSummary.seq == EventRow.job_seq).where(JobSummary.id == job_id)
        return self._rows(found.order_by(EventRow.number))

    def durations(self, row: JobRow) -> list[float]:
        """Return the newest durations of jobs of a row's kind in seconds."""
        return self._rows(_DURATIONS, {column.key: getattr(row, column.key) for column in KIND})

    def has_real_jobs(self) -> bool:
        """Say whether any job went to a real service and may have made something."""
        return bool(self._rows(_REAL))

    def task_ids(self) -> frozenset[str]:
        """Return the service's ids of all jobs that have one."""
        return frozenset(self._rows(select(JobSummary.task_id).where(JobSummary.task_id != "")))

    def meta_get(self, key: str) -> str | None:
        """Return a remembered value."""
        return next((row.value for row in self._rows(_META, {"key": key})), None)

    def _rows(self, found: Select[Any], values: Mapping[str, Any] | None = None) -> list[Any]:
        with self.reading() as session:
            return list(session.scalars(found, values))

    def create_or_join(
        self,
        new_jobs: Sequence[JobRow],
        *,
        owner: Owner,
        simulated_ok: bool,
        check: Callable[[int], None] | None = None,
        replacing: Sequence[str] = (),
        fresh: bool = False,
        replay: bool = True,
        answers_of: "Answers | None" = None,
        lease_s: float = LEASE_S,
    ) -> list[tuple[JobRow, bool]]:
        """Create jobs, or join those that answer them already, in one transaction.

        Parameters
        ----------
        new_jobs : sequence of JobRow
            In order; the tasks of one request stand together. Those without a ``group_id`` become one group; one with
            a group has its id, too.
        owner : Owner
            Who holds the new ones.
        simulated_ok : bool
            Whether simulated jobs may answer: a real request never waits for a practice picture.
        check : callable, optional
            Raises ``BudgetError`` if new jobs of so many pictures would break a budget; then nothing is written.
        replacing : sequence of str
            Jobs in doubt that are given up for these.
        fresh : bool
            Join nothing.
        replay : bool
            Whether a stored result also answers a request with a seed: another process may just have made it.
        answers_of : callable, optional
            Looks up what answers the new jobs, inside the transaction, in place of the rule for single calls.
        lease_s : float
            How long the new ones are held at first, in seconds.

        Returns
        -------
        list of (JobRow, bool)
            One for each new job; True if it is to be sent. An intent whose owner is gone is taken over by the same
            call made again, with the seed that it has.

        Raises
        ------
        Conflict
            If a job of ``replacing`` is not in doubt any more.
        """
        if self.path and self.opened and not (self.path.exists() and samestat(self.opened, self.path.stat())):
            # Nobody would find what is written.
            raise StoreError(
                f"The ledger {self.place} was deleted, moved or replaced while it was in use. Nothing was sent.",
                hint="Put it back, or restart the kernel to go on with what is there now.",
            )
        with self.writing("create") as session:
            now = self.now()
            look_up = answers_of or _answers
            found = [None] * len(new_jobs) if fresh else look_up(session, new_jobs, now, simulated_ok, replay)
            answers: list[tuple[JobRow, bool]] = []
            started: dict[JobRow, JobRow] = {}  # what is to be sent, and what was asked for
            by_hash: dict[str, JobRow] = {}
            for new, row in zip(new_jobs, found, strict=True):
                answer = row or (new if fresh else by_hash.setdefault(new.request_hash_with_seed, new))
                is_new = answer not in started and (row is None or row.is_abandoned(now))
                if is_new:
                    started[answer] = new
                    answer.owner_token = ""  # what is taken over reserves nothing beside what is asked for now
                answers.append((answer, is_new))
            if check is not None and started:
                check(sum(row.n for row in started))
            made: list[JobRow] = []
            for row, asked in started.items():
                row.created_at = now  # of one that is taken over too: the day on which it is paid
                row.hold(owner, now + lease_s)
                if row is not asked:
                    for name in _WHO_AND_WHERE:
                        setattr(row, name, getattr(asked, name))
                    continue
                row.id = row.id or new_id()
                row.status, row.pictures = Status.INTENT, []  # loaded: it is read detached
                if not row.group_id:
                    row.group_id, row.group_position = made[0].group_id if made else row.id, len(made)
                made.append(row)
            session.add_all(made)
            reindex(session, started)
            for row in made:
                append_event(session, row.seq, now, "state", status=Status.INTENT)
            if replacing and answers:
                self.abandon(replacing, f"sent again by a person's decision, as job {answers[0][0].id}")
            return answers

    def transition(
        self,
        job_id: str,
        to: Status,
        *,
        expect: Status | None = None,
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
        expect : Status, optional
            Where the job must stand. Staying in a status needs it to be named.
        detail : mapping, optional
            Goes into the event.
        pictures : iterable of mappings
            Columns of ``PictureRow`` with ``index``; see ``update``.
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
        with self.writing() as session:
            row, now = locked_job(session, job_id), self.now()
            # Of two kernels that both mean intent → sending, the second one must not pass as sending → sending.
            is_expected = row.status is expect if expect else row.status is not to
            if not is_expected or to not in TRANSITIONS[row.status]:
                raise Conflict(row, f"{row.status}, so it cannot become {to}")
            row.status = to
            if to in _TIMES:
                setattr(row, _TIMES[to], now)
            if to is Status.INTENT:
                row.sending_at = None
            elif to is Status.ACCEPTED:
                row.finished_at = None  # an expired job may be found again
            elif to is Status.SUCCEEDED or to in FINAL:
                row.finished_at = row.finished_at or now  # what has ended once keeps its time
            _set_columns(row, columns)
            _put_pictures(row, pictures)
            append_event(session, row.seq, now, "state", status=to, detail=detail)
            return row

    def update(
        self,
        job_id: str,
        *,
        inputs: Iterable[InputRow] | None = None,
        pictures: Iterable[Mapping[str, Any]] = (),
        **columns: Any,
    ) -> JobRow:
        """Set columns of a job and its pictures without moving it; ``inputs`` replaces its input pictures.

        Of a picture (by its ``index``) named columns are set, others stay. One that is on disk (``saved_at``) is never
        overwritten by one that is not, and keeps no ``url``.
        """
        with self.writing() as session:
            row = locked_job(session, job_id)
            row.inputs = row.inputs if inputs is None else list(inputs)
            _set_columns(row, columns)
            _put_pictures(row, pictures)
            return row

    def add_event(self, job_id: str, kind: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append something to a job's events that does not move it: a retry, a pause, a warning."""
        with self.writing() as session:
            append_event(session, locked_job(session, job_id).seq, self.now(), kind, detail=detail)

    def abandon(self, job_ids: Iterable[str], reason: str) -> None:
        """Give up jobs in doubt, as a person decided. Raises ``Conflict`` if one is not in doubt any more.

        They end as expired, not as refused: one that did arrive was billed, so its cost stays unknown.
        """
        with self.writing():
            for job_id in job_ids:
                detail = {"how": reason}
                self.transition(job_id, Status.EXPIRED, expect=Status.IN_DOUBT, detail=detail, error_message=reason)

    def claim_to_send(
        self, job_id: str, owner: Owner, *, account: str, in_flight: int, submits_per_s: float, key_fingerprint: str
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
        key_fingerprint : str
            The key that sends it, which may be another one than when it was asked for.

        Raises
        ------
        Conflict
            If the job is not an intent any more, or another process holds it.
        """
        with self.writing(account) as session:
            row, now = locked_job(session, job_id), self.now()
            # All claims of an account pass through this row, one after the other.
            gate = session.get(LimitRow, (account, "submit")) or LimitRow(account=account, kind="submit")
            session.add(gate)
            if row.status is not Status.INTENT:
                raise Conflict(row, f"{row.status}, so it is not sent")
            if row.owner_token != owner.token and row.is_held(now):
                raise Conflict(row, "looked after by another kernel")
            running = 0
            if in_flight:  # tasks that a living process holds, and for ten minutes those of a dead one
                at_service = JobSummary.status.in_(IN_FLIGHT)
                last_sign = func.coalesce(JobSummary.first_running_at, JobSummary.accepted_at, JobSummary.sending_at)
                is_recent = last_sign.between(now - PAUSE_MAX_S, now + PAUSE_MAX_S)
                is_orphan = and_(or_(at_service, JobSummary.status == Status.IN_DOUBT), is_recent)
                takes_place = or_(and_(at_service, JobSummary.has_lease(now)), is_orphan)
                counts = (IS_OPEN, job_accounts.c.account == account, takes_place)
                is_of = job_accounts.c.job_seq == JobSummary.seq
                running = session.scalar(select(func.count()).where(*counts, is_of)) or 0
            wait_s = max((gate.paused_until or 0.0) - now, 0.0)
            wait_s = wait_s if wait_s <= PAUSE_MAX_S else 0.0  # longer: the clock was set back
            if in_flight and running >= in_flight:
                wait_s = max(wait_s, 1.0)  # another process may free a place at any time
            elif not wait_s and submits_per_s:  # GCRA without bursts, at 95 %: clocks differ
                interval_s = 1 / (submits_per_s * 0.95)
                if now < gate.arrival_at <= now + interval_s:  # later than that: the clock was set back
                    wait_s = gate.arrival_at - now
                else:
                    gate.arrival_at = now + interval_s
            if wait_s:
                return Claim(wait_s=wait_s, running=running, ahead=_count_ahead(session, row, now))
            row.hold(owner, now + LEASE_S)
            row.status, row.sending_at, row.key_fingerprint = Status.SENDING, now, key_fingerprint
            session.execute(_UNPLACE, {"of_job": row.seq})
            session.execute(_PLACE, {"job_seq": row.seq, "account": account})
            append_event(session, row.seq, now, "state", status=Status.SENDING)
            return Claim(row=row, running=running + 1)

    def pause_account(self, account: str, for_s: float) -> None:
        """Let nobody submit with this account for some seconds."""
        with self.writing(account) as session:
            gate = session.get(LimitRow, (account, "submit")) or LimitRow(account=account, kind="submit")
            session.add(gate)
            gate.paused_until = max(self.now() + for_s, gate.paused_until or 0.0)

    def lease(self, job_ids: Iterable[str], owner: Owner) -> frozenset[str]:
        """Take open jobs that nobody living holds; return the ids that ``owner`` holds now."""
        with self.writing() as session:
            now = self.now()
            wanted = select(JobSummary).where(IS_OPEN, JobSummary.id.in_(list(job_ids))).with_for_update()
            rows = [row for row in session.scalars(wanted) if row.owner_token == owner.token or not row.is_held(now)]
            for row in rows:
                row.hold(owner, now + LEASE_S)
            return frozenset(row.id for row in rows)

    def renew(self, job_ids: Iterable[str], owner: Owner) -> frozenset[str]:
        """Prolong the leases that ``owner`` still holds; return them. What is missing was taken by another process."""
        mine = (JobSummary.id.in_(list(job_ids)), JobSummary.owner_token == owner.token)
        with self.writing() as session:
            renewed = update(JobSummary).where(*mine).values(lease_until=self.now() + LEASE_S)
            return frozenset(session.scalars(renewed.returning(JobSummary.id)))

    def release(self, job_ids: Iterable[str], owner: Owner) -> None:
        """Let go of what ``owner`` holds of these jobs, so that nobody waits for the leases to run out."""
        mine = (JobSummary.id.in_(list(job_ids)), JobSummary.owner_token == owner.token)
        with self.writing() as session:
            session.execute(update(JobSummary).where(*mine).values(owner_token="", lease_until=None))


Answers = Callable[[Session, Sequence[JobRow], float, bool, bool], Sequence[JobRow | None]]
"""Returns the job that answers each new one: (session, new jobs, now, simulated_ok, replay)."""


def new_id() -> str:
    """Return ten hex digits that begin with a letter, so that no tool takes them for a number."""
    return secrets.choice("abcdef") + secrets.token_hex(5)[:9]


# Inside a transaction ------------------------------------------------------------------------------------------------

# Statements that every job needs are put together once, which takes longer than running them.
_KEPT: Final = select(JobRow).where(JobRow.trashed_at.is_(None)).order_by(JobRow.created_at, JobRow.seq)
_ASKED: Final = _KEPT.where(JobRow.request_hash == bindparam("request_hash"))
_SENT: Final = _KEPT.where(JobRow.request_hash_with_seed == bindparam("request_hash"))
_REAL: Final = select(JobSummary.seq).where(JobSummary.is_simulated == 0, JobSummary.status.not_in(FREE)).limit(1)
_META: Final = select(MetaRow).where(MetaRow.key == bindparam("key"))
_DURATIONS: Final = (
    select(JobSummary.duration_s)
    .where(*(column == bindparam(column.key) for column in KIND), JobSummary.duration_s.between(0, TIME_MAX_S))
    .order_by(JobSummary.finished_at.desc(), JobSummary.seq.desc())
    .limit(200)
)
_EVENTS: Final = Base.metadata.tables["events"]
_OF_JOB: Final = _EVENTS.c.job_seq == bindparam("of_job")
_UNPLACE: Final = delete(job_accounts).where(job_accounts.c.job_seq == bindparam("of_job"))
_PLACE: Final = insert(job_accounts)
_APPEND: Final = insert(_EVENTS).values(
    nr=select(func.coalesce(func.max(_EVENTS.c.nr) + 1, 0)).where(_OF_JOB).scalar_subquery()
)
_LOCKED: Final = (
    select(JobRow)
    .where(JobRow.id == bindparam("job_id"))
    .options(joinedload(JobRow.inputs), joinedload(JobRow.pictures))
    .with_for_update(of=JobSummary)
    .execution_options(populate_existing=True)
)


def _answers(
    session: Session, new_jobs: Sequence[JobRow], now: float, simulated_ok: bool, replay: bool
) -> list[JobRow | None]:
    """Return, for each new job, the job that answers it already."""
    newest = select(JobRow).where(true() if simulated_ok else JobRow.is_simulated == 0).order_by(*NEWEST)
    found: list[JobRow | None] = []
    first: JobRow | None = None
    for new in new_jobs:
        first = None if new.request_position == 0 else first
        is_drawn = new.request_hash != new.request_hash_with_seed
        if first is not None:  # the whole request is joined, with the seeds that it has
            position = first.group_position + new.request_position
            where = and_(JobRow.group_id == first.group_id, JobRow.group_position == position)
        elif is_drawn:  # it goes by what was asked
            is_open = JobRow.group_id.in_(select(JobSummary.group_id).where(IS_OPEN))
            where = and_(JobRow.request_hash == new.request_hash, is_open)
        else:
            where = and_(JobRow.request_hash_with_seed == new.request_hash_with_seed, JobRow.trashed_at.is_(None))
        # One whose hashes were edited answers nothing.
        rows = [row for row in session.scalars(newest.where(where)) if row.hashes_agree()]
        if first is None and not is_drawn:
            done = [row for row in rows if replay and row.is_complete]
            rows = sorted((row for row in rows if row.status in OPEN), key=lambda row: row.is_abandoned(now)) + done
        found.append(rows[0] if rows else None)
        first = found[-1] if is_drawn else first
    return found


def append_event(
    session: Session, seq: int, now: float, kind: str, *, status: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Append to a job's events."""
    values = {"job_seq": seq, "at": now, "kind": kind, "state": status, "detail": detail or {}}
    session.execute(_APPEND, {"of_job": seq, **values})


def locked_job(session: Session, job_id: str) -> JobRow:
    """Return a job that nobody else changes before this transaction ends."""
    row = session.scalars(_LOCKED, {"job_id": job_id}).unique().one_or_none()
    if row is None:
        raise StoreError(f"The ledger has no job {job_id!r}.", hint="`%wan history` lists the jobs of this folder.")
    return row


def reindex(session: Session, rows: Collection[JobRow]) -> None:
    """Write anew what the search and the tag filters look through."""
    known = [row.seq for row in rows if inspect(row).persistent]  # a new row has no entries yet
    session.flush()
    searched = [(row, (row.prompt, row.negative_prompt, row.name, row.id, row.seed, *row.tags)) for row in rows]
    texts = [{"job_seq": row.seq, "haystack": search_text(*parts)} for row, parts in searched]
    tags = [{"job_seq": row.seq, "tag": storable(tag)} for row in rows for tag in dict.fromkeys(row.tags)]
    for table, new in ((job_search, texts), (job_tags, tags)):
        if known:
            session.execute(delete(table).where(table.c.job_seq.in_(known)))
        if new:
            session.execute(insert(table), new)


def _set_columns(row: JobRow, columns: Mapping[str, Any]) -> None:
    given = dict(columns)
    if "error_message" in given:
        words = (given.pop("error_message"), given.pop("error_hint", ""))
        row.error_text = HINT.join(filter(None, words))
    cost = given.get("cost_amount")
    if isinstance(cost, Decimal) and not is_plausible(cost):
        # Nonsense from the service must not keep a paid picture out of the ledger.
        given |= {"cost_amount": None, "cost_source": "", "cost_note": f"reported as {str(cost)[:40]}"}
    _assign(row, given)


def _put_pictures(row: JobRow, pictures: Iterable[Mapping[str, Any]]) -> None:
    for given in pictures:
        picture = next((known for known in row.pictures if known.index == given["index"]), None)
        if picture is None:
            picture = PictureRow(index=given["index"], kind="image")
            row.pictures.append(picture)
        if picture.saved_at is None or given.get("saved_at") is not None:
            _assign(picture, given)
            picture.url = picture.url if picture.saved_at is None else ""
    row.picture_count = sum(picture.saved_at is not None for picture in row.pictures)


def _assign(row: Base, columns: Mapping[str, Any]) -> None:
    for name, value in columns.items():
        setattr(row, name, tuple(value) if isinstance(value, list) else value)  # as it is read


def _count_ahead(session: Session, row: JobRow, now: float) -> int:
    """Count the intents of the same service and key that somebody holds and that were asked before this one."""
    same = (JobSummary.provider == row.provider, JobSummary.key_fingerprint == row.key_fingerprint)
    earlier = tuple_(JobSummary.created_at, JobSummary.seq) < tuple_(row.created_at, row.seq)
    waits = (IS_OPEN, JobSummary.status == Status.INTENT, JobSummary.has_lease(now))
    return session.scalar(select(func.count()).select_from(JobSummary).where(*waits, *same, earlier)) or 0
