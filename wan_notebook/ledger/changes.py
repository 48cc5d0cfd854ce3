"""The writes that move a job: each one an operation inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from wan_notebook.states import JobState, may_follow

from . import codec, schema
from .faults import LedgerConflict, LedgerError
from .job_row import JobDetails, JobRow
from .pictures import count_pictures, replace_inputs, save_picture
from .rows import InputRecord, Owner, PictureRecord
from .searching import reindex
from .tx import Tx

Load = Callable[[int], JobDetails]

_FIXED = frozenset({"seq", "id", "state", "created_at", "picture_count", "purged_at", "imported_at", "trashed_at"})
_FIXED_OWNER = frozenset({"owner_host", "owner_pid", "owner_started", "owner_token", "lease_until"})
_SEARCHED = frozenset({"prompt", "negative_prompt", "name", "seed", "tags"})
_TEXT_SET = frozenset(codec.TEXT_COLUMNS)

_NEEDED = {"cost_amount": ("cost_source", "cost_currency"), "reserved_amount": ("reserved_currency",)}

_j = schema.jobs.c
_CURRENT = sa.select(_j.seq, _j.state, _j.owner_token).where(_j.id == sa.bindparam("id"))
_NONE: frozenset[str] = frozenset()
_KEPT = {
    JobState.RUNNING: frozenset({"first_running_at"}),
    JobState.SAVED: frozenset({"finished_at"}),
    JobState.EXPIRED: frozenset({"finished_at"}),
}
"""Times that stay as they were written first."""

_INSERT_EVENT = schema.events.insert().values(
    {name: sa.bindparam(name) for name in ("job_seq", "at", "kind", "state", "detail")}
    | {
        "nr": sa.select(
            sa.func.coalesce(sa.func.max(schema.events.c.nr) + sa.literal_column("1"), sa.literal_column("0"))
        )
        .where(schema.events.c.job_seq == sa.bindparam("job_seq"))
        .scalar_subquery()
    }
)
_k = schema.cost_kinds.c
_ADD_KIND = sa.insert(schema.cost_kinds).from_select(
    ["source", "currency", "odd"],
    sa.select(*[sa.bindparam(name, type_=_k[name].type) for name in ("source", "currency", "odd")]).where(
        ~sa.exists().where(*[_k[name] == sa.bindparam(name) for name in ("source", "currency", "odd")])
    ),
)


def owner_columns(owner: Owner, until: float) -> dict[str, Any]:
    """Return the columns that say who holds a job, and until when."""
    return {
        "owner_host": owner.host,
        "owner_pid": owner.pid,
        "owner_started": owner.started,
        "owner_token": owner.token,
        "lease_until": until,
    }


def add_event(tx: Tx, seq: int, at: float, kind: str, state: str, detail: Mapping[str, Any]) -> None:
    """Append to a job's history."""
    text = codec.encode_json(detail) if detail else "{}"
    tx.run(_INSERT_EVENT, {"job_seq": seq, "at": at, "kind": kind, "state": state, "detail": text})


def transition(
    tx: Tx,
    job_id: str,
    state: JobState,
    *,
    load: Load,
    detail: Mapping[str, Any],
    columns: Mapping[str, Any],
    expect: Collection[JobState],
    holder: str,
    pictures: Sequence[PictureRecord],
) -> JobRow:
    """Move a job, if it may move from where it is now; record what came with it and when."""
    narrow, wide = split(tx, {**_stamps(state, tx.now), **_checked(columns)})
    kept = _KEPT.get(state, _NONE).difference(columns)
    sources = _sources(state, frozenset(expect))
    statement = _move(tuple(narrow), kept, sources)
    values = {"id": codec.encode_text(job_id), "holder": holder, "set_state": state.value}
    found = tx.run(statement, values | {f"set_{name}": value for name, value in narrow.items()}).fetchone()
    if found is None:
        raise _why_not(tx, job_id, state, sources)
    row = codec.job_row(found, load)
    for record in pictures:
        save_picture(tx, row.seq, record)
    if any(record.saved_at is not None for record in pictures):
        vars(row)["picture_count"] = count_pictures(tx, row.seq)
    add_event(tx, row.seq, tx.now, "state", state.value, detail)
    tx.update(schema.job_texts, "job_seq", row.seq, wide)
    if columns.keys() & _SEARCHED:
        reindex(tx, row.seq)
    return row


@cache
def _move(columns: tuple[str, ...], kept: frozenset[str], sources: tuple[str, ...]) -> sa.Update:
    """Return what moves the job ``id`` from one of these states, unless another than ``holder`` (if any) holds it.

    ``kept`` columns stay as they are where they have a value.
    """
    given = {name: sa.bindparam(f"set_{name}", type_=_j[name].type) for name in ("state", *columns)}
    values = {name: sa.func.coalesce(_j[name], value) if name in kept else value for name, value in given.items()}
    held = sa.or_(sa.bindparam("holder") == sa.literal_column("''"), _j.owner_token == sa.bindparam("holder"))
    fits = _j.state.in_([sa.literal_column(f"'{name}'") for name in sources]) if sources else sa.false()
    return sa.update(schema.jobs).where(_j.id == sa.bindparam("id"), fits, held).values(values).returning(*schema.JOB)


@cache
def _sources(new: JobState, expect: frozenset[JobState]) -> tuple[str, ...]:
    """Return the states that a job may be in to become ``new``.

    Staying where one is must be asked for: of two kernels that both mean intent → sending, the second one would
    otherwise pass as sending → sending, and pay twice.
    """
    allowed = expect or set(JobState) - {new}
    return tuple(state.value for state in JobState if state in allowed and may_follow(state, new))


def _why_not(tx: Tx, job_id: str, new: JobState, sources: Collection[str]) -> LedgerConflict:
    _seq, state, token = _current(tx, job_id)
    current = JobState(state)
    if state in sources:  # nobody may do what cannot be done, whoever holds the job
        return _held_by_another(job_id, current, token)
    return LedgerConflict(f"Job {job_id} is {current}, so it cannot become {new}.", job_id=job_id, current=current)


def _held_by_another(job_id: str, current: JobState, token: str) -> LedgerConflict:
    message = f"Job {job_id} is looked after by another kernel."
    return LedgerConflict(message, job_id=job_id, current=current, holder=token)


def _current(tx: Tx, job_id: str) -> Sequence[Any]:
    row: Sequence[Any] | None = tx.run(_CURRENT, {"id": codec.encode_text(job_id)}).fetchone()
    if row is None:
        raise LedgerError(f"The ledger has no job {job_id!r}.", hint="%wan history lists the jobs of this folder.")
    return row


def seq_of(tx: Tx, job_id: str) -> int:
    """Return the key of a job's row; ``LedgerError`` if there is none."""
    return int(_current(tx, job_id)[0])


def _stamps(state: JobState, now: float) -> dict[str, float | None]:
    match state:
        case JobState.SENDING:
            return {"sending_at": now}
        case JobState.ACCEPTED:
            return {"accepted_at": now, "finished_at": None}
        case JobState.RUNNING:
            return {"first_running_at": now}
        case JobState.SAVED:
            return {"saved_at": now, "finished_at": now}
        case JobState.SUCCEEDED | JobState.FAILED | JobState.CANCELLED | JobState.REFUSED | JobState.EXPIRED:
            return {"finished_at": now}
        case _:
            return {}


def _checked(columns: Mapping[str, Any]) -> Mapping[str, Any]:
    if bad := (_FIXED | _FIXED_OWNER) & columns.keys():
        raise LedgerError(f"The columns {sorted(bad)} of a job are not set this way.")
    return columns


def split(tx: Tx, columns: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode columns for ``jobs`` and for ``job_texts``. An amount without its source or currency is refused."""
    cost = columns.get("cost_amount")
    if isinstance(cost, Decimal) and not codec.is_sane(cost):
        # Nonsense from the service must not keep a paid picture out of the ledger.
        columns = {**columns, "cost_amount": None, "cost_source": "", "cost_note": f"reported as {str(cost)[:40]}"}
    for amount, needed in _NEEDED.items():
        if columns.get(amount) is not None and not all(columns.get(name) for name in needed):
            raise LedgerError(f"{amount} needs {' and '.join(needed)}, set together with it.")
    narrow: dict[str, Any] = {}
    wide: dict[str, Any] = {}
    for name, value in columns.items():
        (wide if name in _TEXT_SET else narrow)[name] = codec.encode(name, value)
    if "cost_amount" in narrow:
        narrow["cost_nano"] = codec.nano(columns["cost_amount"])
        if columns["cost_amount"] is not None:
            kind = {"source": narrow["cost_source"], "currency": narrow["cost_currency"]}
            tx.run(_ADD_KIND, {**kind, "odd": int(narrow["cost_nano"] is None)})
    return narrow, wide


def update(
    tx: Tx, job_id: str, *, load: Load, columns: Mapping[str, Any], inputs: Sequence[InputRecord] | None, holder: str
) -> JobRow:
    """Set columns of a job without moving it; ``inputs`` replaces its input pictures."""
    seq, state, token = _current(tx, job_id)
    if holder and token != holder:
        raise _held_by_another(job_id, JobState(state), token)
    narrow, wide = split(tx, _checked(columns))
    if inputs is not None:
        replace_inputs(tx, seq, inputs)
    tx.update(schema.job_texts, "job_seq", seq, wide)
    row = tx.update_job(seq, narrow or {"seq": seq})
    if columns.keys() & _SEARCHED:
        reindex(tx, seq)
    return codec.job_row(row, load)


def save_picture_of(tx: Tx, job_id: str, record: PictureRecord) -> PictureRecord:
    """Write what is known of a picture of the job with this id."""
    seq = seq_of(tx, job_id)
    save_picture(tx, seq, record)
    if record.saved_at is not None:
        count_pictures(tx, seq)
    return record


def give_up(tx: Tx, ids: Sequence[str], reason: str, load: Load) -> None:
    """End jobs in doubt as a person decided: not ``refused``, since one that did arrive was billed."""
    move = partial(transition, tx, load=load, detail={"how": reason}, holder="", pictures=())
    for job_id in ids:
        columns = {"error_message": reason, "finished_at": tx.now}
        move(job_id, JobState.EXPIRED, columns=columns, expect={JobState.IN_DOUBT})


def cancel_unsent(tx: Tx, ids: Sequence[str], load: Load) -> None:
    """Cancel jobs whose caller was interrupted before it could send them: nobody else would, or someone would twice."""
    move = partial(transition, load=load, detail={"why": "interrupted before sending"}, columns={}, holder="")
    for job_id in ids:
        move(tx, job_id, JobState.CANCELLED, expect={JobState.INTENT}, pictures=())
