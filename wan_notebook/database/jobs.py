"""Jobs: looked up, created or joined within the budgets, moved from status to status, and told of their pictures.

"Never pay twice" rests on this file. A request that is open is joined inside the transaction that would otherwise
create its job, and a change of status looks at the old one under the row's lock.
"""

import difflib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.orm import Session

from ..errors import StoreError
from .models import (
    IS_OPEN,
    Base,
    EventRow,
    InputRow,
    JobRow,
    JobSummary,
    MetaRow,
    Owner,
    PictureRow,
    columns_of,
    deletions,
    is_plausible,
    job_search,
    job_tags,
    search_text,
    storable,
)
from .spending import Spending, SpendLimit
from .status import FINAL, FREE, NOT_SENT, OPEN, Status, may_follow

LEASE_S: Final = 15.0
"""How long a process holds a job without saying so again."""

PORTION: Final = 500
"""As many values as one statement names."""

NEWEST: Final = (JobSummary.created_at.desc(), JobSummary.seq.desc())

_SEARCHED: Final = frozenset({"prompt", "negative_prompt", "name", "seed", "tags"})
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


class Jobs(Spending):
    """Reads and writes jobs. Rows are complete, with texts, inputs and pictures."""

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
        with self.reading() as session:
            found = [session.scalars(select(JobRow).where(JobRow.id.in_(portion))).all() for portion in portions(ids)]
        return {row.id: row for rows in found for row in rows}

    def group(self, group_id: str) -> list[JobRow]:
        """Return the jobs of one call, in their order."""
        in_order = (JobRow.group_position, JobRow.seq)
        return self._rows(select(JobRow).where(JobRow.group_id == group_id).order_by(*in_order))

    def open_jobs(self) -> list[JobRow]:
        """Return the jobs that still cost or owe something, oldest first."""
        return self._rows(select(JobRow).where(IS_OPEN).order_by(JobRow.created_at, JobRow.seq))

    def results(self, request_hash: str, with_seed: bool = False) -> list[JobRow]:
        """Return every job of a request that is not in the trash, oldest first."""
        column = JobRow.request_hash_with_seed if with_seed else JobRow.request_hash
        found = select(JobRow).where(column == request_hash, JobRow.trashed_at.is_(None))
        return self._rows(found.order_by(JobRow.created_at, JobRow.seq))

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
        real = (JobSummary.is_simulated == 0, JobSummary.status.not_in(FREE))
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

    def create_or_join(
        self,
        new_jobs: Sequence[JobRow],
        *,
        owner: Owner,
        simulated_ok: bool,
        limits: Sequence[SpendLimit] = (),
        replacing: Sequence[str] = (),
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
        replacing : sequence of str
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
            _look_after_intents(session, now + LEASE_S)
            found = [None] * len(new_jobs) if fresh else self._answers(session, new_jobs, now, simulated_ok, replay)
            answers: list[tuple[JobRow, bool]] = []
            started: dict[JobRow, JobRow] = {}
            by_hash: dict[str, JobRow] = {}
            for new, row in zip(new_jobs, found, strict=True):
                answer = row or (new if fresh else by_hash.setdefault(new.request_hash_with_seed, new))
                is_new = answer not in started and (row is None or _is_abandoned(row, now))
                if is_new:
                    started[answer] = new
                answers.append((answer, is_new))
            self.check_limits(limits, [row.n for row in started])
            _start(session, started, now, owner)
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
        with self.writing() as session:
            row, now = locked_job(session, job_id), self.now()
            # Of two kernels that both mean intent → sending, the second one must not pass as sending → sending.
            is_expected = row.status is expect if expect else row.status is not to
            if not is_expected or not may_follow(row.status, to):
                raise Conflict(row, f"{row.status}, so it cannot become {to}")
            enter(session, row, to, now, detail)
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
                row.inputs.extend(inputs)
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
            append_event(session, locked_job(session, job_id).seq, self.now(), kind, detail=detail)

    def abandon(self, job_ids: Iterable[str], reason: str) -> None:
        """Give up jobs in doubt, as a person decided. Raises ``Conflict`` if one is not in doubt any more.

        They end as expired, not as refused: one that did arrive was billed, so its cost stays unknown.
        """
        with self.writing():
            for job_id in job_ids:
                detail = {"how": reason}
                self.transition(job_id, Status.EXPIRED, expect=Status.IN_DOUBT, detail=detail, error_message=reason)

    def _answers(
        self, session: Session, new_jobs: Sequence[JobRow], now: float, simulated_ok: bool, replay: bool
    ) -> list[JobRow | None]:
        """Return, for each new job, the job that answers it already."""
        hashes = {h for new in new_jobs for h in (new.request_hash, new.request_hash_with_seed)}
        columns = (JobSummary.request_hash, JobSummary.request_hash_with_seed)
        known = {h for column in columns for h in session.scalars(select(column).where(column.in_(hashes)))}
        newest = select(JobRow).order_by(*NEWEST)
        newest = newest if simulated_ok else newest.where(JobRow.is_simulated == 0)
        found: list[JobRow | None] = []
        first: JobRow | None = None
        for new in new_jobs:
            row: JobRow | None = None
            first = None if new.request_position == 0 else first
            if first is not None:  # the whole request is joined, with the seeds that it has
                position = first.group_position + new.request_position
                group = select(JobRow).where(JobRow.group_id == first.group_id, JobRow.group_position == position)
                row = session.scalars(group.order_by(JobRow.seq)).first()
            elif new.request_hash != new.request_hash_with_seed:  # its seed was drawn: it goes by what was asked
                is_open = JobRow.group_id.in_(select(JobSummary.group_id).where(IS_OPEN))
                row = first = session.scalars(newest.where(JobRow.request_hash == new.request_hash, is_open)).first()
            elif new.request_hash_with_seed in known:
                same = newest.where(JobRow.request_hash_with_seed == new.request_hash_with_seed)
                rows = session.scalars(same.where(JobRow.trashed_at.is_(None))).all()
                open_rows = sorted((row for row in rows if row.status in OPEN), key=lambda row: _is_abandoned(row, now))
                complete = [row for row in rows if row.is_complete] if replay else []
                row = next(iter([*open_rows, *complete]), None)
            found.append(row)
        return found


# Inside a transaction ------------------------------------------------------------------------------------------------


def append_event(
    session: Session, seq: int, now: float, kind: str, *, status: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Append to a job's events."""
    number = select(func.coalesce(func.max(EventRow.number) + 1, 0)).where(EventRow.job_seq == seq).scalar_subquery()
    values = {"job_seq": seq, "number": number, "at": now, "kind": kind, "status": status, "detail": detail or {}}
    session.execute(insert(EventRow).values(values))


def locked_job(session: Session, job_id: str) -> JobRow:
    """Return a job that nobody else changes before this transaction ends."""
    found = select(JobRow).where(JobRow.id == job_id).with_for_update()
    row = session.scalar(found.execution_options(populate_existing=True))
    if row is None:
        raise StoreError(f"The ledger has no job {job_id!r}.", hint="`%wan history` lists the jobs of this folder.")
    return row


def reindex(session: Session, rows: Sequence[JobRow]) -> None:
    """Write anew what the search and the tag filters look through."""
    session.flush()
    for table in (job_search, job_tags):
        session.execute(delete(table).where(table.c.job_seq.in_([row.seq for row in rows])))
    words = [(row.prompt, row.negative_prompt, row.name, row.id, row.seed, *row.tags) for row in rows]
    texts = [{"job_seq": row.seq, "haystack": search_text(*said)} for row, said in zip(rows, words, strict=True)]
    session.execute(insert(job_search), texts)
    if tags := [{"job_seq": row.seq, "tag": storable(tag)} for row in rows for tag in dict.fromkeys(row.tags)]:
        session.execute(insert(job_tags), tags)


def enter(session: Session, row: JobRow, to: Status, now: float, detail: Mapping[str, Any] | None = None) -> None:
    """Move a locked job, with an event and the times of the status; what began or ended once keeps its time."""
    row.status = to
    append_event(session, row.seq, now, "state", status=to, detail=detail)
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
    cost = given.get("cost_amount")
    if isinstance(cost, Decimal) and not is_plausible(cost):
        # Nonsense from the service must not keep a paid picture out of the ledger.
        given |= {"cost_amount": None, "cost_source": "", "cost_note": f"reported as {str(cost)[:40]}"}
    _assign(row, given)
    if given.keys() & _SEARCHED:
        reindex(session, [row])


def _put_pictures(session: Session, row: JobRow, pictures: Iterable[Mapping[str, Any]]) -> None:
    known = {picture.index: picture for picture in row.pictures}
    for given in pictures:
        picture = known.get(given["index"])
        if picture is None:
            picture = known[given["index"]] = PictureRow(index=given["index"], kind="image")
            row.pictures.append(picture)
        if picture.saved_at is not None and given.get("saved_at") is None:
            continue
        _assign(picture, given)
        if picture.saved_at is not None:
            picture.url = ""
        _keep_files(session, [picture.file, picture.corrupt_file])
    row.picture_count = sum(picture.saved_at is not None for picture in row.pictures)


def _assign(row: Base, columns: Mapping[str, Any]) -> None:
    for name, value in columns.items():
        if name not in columns_of(type(row)):
            raise StoreError(f"The ledger has no column {name}.")
        setattr(row, name, tuple(value) if isinstance(value, list) else value)  # as it is read


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


def _start(session: Session, started: Mapping[JobRow, JobRow], now: float, owner: Owner) -> None:
    """Insert new jobs and take over abandoned ones; ``started`` maps what is to be sent to what was asked for."""
    made: list[JobRow] = []
    for row, asked in started.items():
        row.created_at = now  # of one that is taken over too: the day on which it is paid
        row.hold(owner, now + LEASE_S)
        if row is not asked:
            for name in _WHO_AND_WHERE:
                setattr(row, name, getattr(asked, name))
            append_event(session, row.seq, now, "taken", detail={"host": owner.host, "pid": owner.pid})
            continue
        # Ten hex digits that begin with a letter, so that no tool takes them for a number.
        row.id = secrets.choice("abcdef") + secrets.token_hex(5)[:9]
        row.status, row.pictures = Status.INTENT, []  # loaded: it is read detached
        if not row.group_id:
            row.group_id, row.group_position = made[0].group_id if made else row.id, len(made)
        made.append(row)
    session.add_all(made)
    session.flush()
    session.add_all([EventRow(job_seq=row.seq, number=0, at=now, kind="state", status=Status.INTENT) for row in made])
    if started:
        reindex(session, list(started))
        _keep_files(session, [given.file for row in started for given in row.inputs])


def portions(ids: Iterable[str]) -> Iterator[list[str]]:
    """Divide ids into as many as one statement names."""
    rest = list(ids)
    return (rest[start : start + PORTION] for start in range(0, len(rest), PORTION))


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
