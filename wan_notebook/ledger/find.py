"""Reading jobs: by id, by fingerprint, by batch, the open ones. Children come in one query each, however many jobs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa

from wan_notebook.states import FREE, JobState

from . import codec, schema
from .clauses import OPEN_CLAUSE
from .faults import LedgerError
from .job_row import JobDetails, JobRow
from .rows import Event, InputRecord, PictureRecord
from .tx import Read

By = Literal["asked", "sent"]
PORTION = 500

_j = schema.jobs.c
_p = schema.pictures.c
_t = schema.job_texts.c
_NEWEST = (_j.created_at.desc(), _j.seq.desc())
_BY_ID = sa.select(*schema.JOB).where(_j.id == sa.bindparam("id"))
_TEXTS_OF_ONE = sa.select(schema.job_texts).where(_t.job_seq == sa.bindparam("seq"))
_INPUTS_OF_ONE = (
    sa.select(schema.inputs).where(schema.inputs.c.job_seq == sa.bindparam("seq")).order_by(schema.inputs.c.position)
)
# Clustered by job: the first one is found without going through the rest.
_NAME_OF_INPUT = (
    sa.select(schema.inputs.c.name)
    .where(schema.inputs.c.file == sa.bindparam("file"), schema.inputs.c.name != "")
    .order_by(schema.inputs.c.job_seq)
    .limit(1)
)
_PICTURES_OF_ONE = sa.select(schema.pictures).where(_p.job_seq == sa.bindparam("seq")).order_by(_p.idx)


def _unloadable(seq: int) -> JobDetails:
    message = f"row {seq} was read without its details"
    raise AssertionError(message)


def rows_of(read: Read, found: Sequence[Sequence[Any]]) -> list[JobRow]:
    """Make job rows of rows of ``jobs``, with details and children."""
    details = load_details(read, {row[0]: row[1] for row in found})
    made = []
    for row in found:
        job = codec.job_row(row, _unloadable)
        job.__dict__["details"] = details[job.seq]  # where cached_property keeps it
        made.append(job)
    return made


def load_details(read: Read, ids: dict[int, str]) -> dict[int, JobDetails]:
    """Return details by ``seq``; ``ids`` maps it to the job's id. Asks in portions that SQLite's parameters allow."""
    made: dict[int, JobDetails] = {}
    seqs = list(ids)
    for start in range(0, len(seqs), PORTION):
        made |= _load_portion(read, seqs[start : start + PORTION], ids)
    return made


def _load_portion(read: Read, seqs: list[int], ids: dict[int, str]) -> dict[int, JobDetails]:
    if len(seqs) == 1:
        return _load_one(read, seqs[0], ids[seqs[0]])
    inputs: dict[int, list[InputRecord]] = {}
    for seq, *row in _children(read, schema.inputs, seqs, "position"):
        inputs.setdefault(seq, []).append(codec.input_record(row))
    pictures: dict[int, list[PictureRecord]] = {}
    for seq, *row in _children(read, schema.pictures, seqs, "idx"):
        pictures.setdefault(seq, []).append(codec.picture_record(row, ids[seq]))
    return {
        seq: JobDetails(
            **codec.text_values(row), inputs=tuple(inputs.get(seq, ())), pictures=tuple(pictures.get(seq, ()))
        )
        for seq, *row in read(sa.select(schema.job_texts).where(_t.job_seq.in_(seqs)))
    }


def _load_one(read: Read, seq: int, job_id: str) -> dict[int, JobDetails]:
    """Do the same for one job, as nearly every call wants it."""
    found = read(_TEXTS_OF_ONE, {"seq": seq})
    if not found:
        return {}
    inputs = tuple(codec.input_record(row[1:]) for row in read(_INPUTS_OF_ONE, {"seq": seq}))
    pictures = tuple(codec.picture_record(row[1:], job_id) for row in read(_PICTURES_OF_ONE, {"seq": seq}))
    return {seq: JobDetails(**codec.text_values(found[0][1:]), inputs=inputs, pictures=pictures)}


def input_name(read: Read, file: str) -> str:
    """Return what a person called the picture that is kept under this path, when it was first given; "" if unknown."""
    found = read(_NAME_OF_INPUT, {"file": file})
    return str(found[0][0]) if found else ""


def _children(read: Read, table: sa.Table, seqs: list[int], order: str) -> Sequence[Sequence[Any]]:
    key = table.c.job_seq
    return read(sa.select(table).where(key.in_(seqs)).order_by(key, table.c[order]))


def get(read: Read, id_or_prefix: str) -> JobRow:
    """Return the job with this id or unique beginning of one; ``LedgerError`` names the nearest otherwise."""
    wanted = id_or_prefix.strip().lower()
    found: Sequence[Any] = []
    if wanted.isascii() and wanted.isalnum():
        found = read(_BY_ID, {"id": wanted}) or _starting_with(read, wanted)
    if len(found) == 1:
        return rows_of(read, found)[0]
    if found:
        raise LedgerError(
            f"{wanted!r} begins {len(found) if len(found) < 10 else 'many'} ids: {_listed(row[1] for row in found)}.",
            hint="Give one more character.",
        )
    raise LedgerError(f"No job has the id {id_or_prefix[:40]!r}.", hint=_nearest(read, wanted))


def _starting_with(read: Read, prefix: str) -> Sequence[Any]:
    # A range, not LIKE: it uses the index of ids, whatever the collation.
    found = sa.select(*schema.JOB).where(_j.id >= prefix, _j.id < prefix + "g").order_by(_j.id).limit(10)
    return read(found)


def _nearest(read: Read, wanted: str) -> str:
    known = [row[0] for row in read(sa.select(_j.id).order_by(*_NEWEST).limit(500))]
    heads = {job_id[: max(len(wanted), 3)]: job_id for job_id in reversed(known)}
    near = [heads[head] for head in difflib.get_close_matches(wanted, heads, n=3)]
    if not known:
        return "This folder has no jobs yet."
    return f"{'Nearest' if near else 'Newest'}: {_listed(near or known[:3])}. %wan history lists all."


def _listed(ids: Any) -> str:
    shown = [str(job_id) for job_id in ids]
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "")


@cache
def _answers(by: By, *, simulated_ok: bool) -> sa.Select[Any]:
    waiting = sa.exists().where(_p.job_seq == _j.seq, _p.saved_at.is_(None), _p.corrupt_file == "")
    has_text = sa.exists().where(_t.job_seq == _j.seq, _t["items"].contains('"text"'))
    found = _matching(by, simulated_ok=simulated_ok).where(
        _j.state == JobState.SAVED.value,
        _j.trashed_at.is_(None),
        ~waiting,
        (_j.picture_count > 0) | has_text,
    )
    in_this_cell = (sa.bindparam("cell") != "") & (_j.cell_id == sa.bindparam("cell"))
    return found.order_by(in_this_cell.desc(), *_NEWEST).limit(1)


@cache
def _open_ones(by: By, *, simulated_ok: bool) -> sa.Select[Any]:
    return _matching(by, simulated_ok=simulated_ok).where(sa.text(OPEN_CLAUSE)).order_by(*_NEWEST).limit(1)


@cache
def _open_requests(*, simulated_ok: bool) -> sa.Select[Any]:
    parts = schema.jobs.alias("parts")
    is_open = sa.exists().where(parts.c.batch_id == _j.batch_id, sa.text(f"parts.{OPEN_CLAUSE}"))
    return _matching("asked", simulated_ok=simulated_ok).where(is_open).order_by(*_NEWEST).limit(1)


@cache
def _takes(by: By) -> sa.Select[Any]:
    found = _matching(by, simulated_ok=True).where(_j.trashed_at.is_(None))
    return found.order_by(_j.created_at, _j.seq)


def _matching(by: By, *, simulated_ok: bool) -> sa.Select[Any]:
    found = sa.select(*schema.JOB).where((_j.fp_asked if by == "asked" else _j.fp_sent) == sa.bindparam("fingerprint"))
    return found if simulated_ok else found.where(_j.simulated == 0)


def find_answer(read: Read, fingerprint: str, *, by: By, simulated_ok: bool, cell_id: str = "") -> JobRow | None:
    """Return the newest saved take that has something to show and all of whose delivered pictures are on disk.

    A picture that came as bytes which are no picture, kept as ``.corrupt``, holds nothing back: to ask again would
    be to pay again.
    """
    values = {"fingerprint": codec.encode_text(fingerprint), "cell": codec.encode_text(cell_id)}
    return _first(read, _answers(by, simulated_ok=simulated_ok), values)


def find_open(read: Read, fingerprint: str, *, by: By, simulated_ok: bool) -> JobRow | None:
    """Return the newest job that still costs or owes something, ``in_doubt`` included."""
    return _first(read, _open_ones(by, simulated_ok=simulated_ok), {"fingerprint": codec.encode_text(fingerprint)})


def find_open_request(read: Read, asked: str, *, simulated_ok: bool) -> JobRow | None:
    """Return the first job of the newest request as asked of which any part still costs or owes something.

    Only a request's first job bears what was asked without a seed; the others of its batch go by their seeds.
    """
    return _first(read, _open_requests(simulated_ok=simulated_ok), {"fingerprint": codec.encode_text(asked)})


def _first(read: Read, found: sa.Select[Any], values: Mapping[str, Any]) -> JobRow | None:
    rows = rows_of(read, read(found, values))
    return rows[0] if rows else None


def takes(read: Read, fingerprint: str, by: By) -> list[JobRow]:
    """Return every job of this request that is not in the trash, oldest first."""
    return rows_of(read, read(_takes(by), {"fingerprint": codec.encode_text(fingerprint)}))


def jobs(read: Read, ids: Collection[str]) -> dict[str, JobRow]:
    """Return the jobs with these ids, as far as there are any. Asks in portions that SQLite's parameters allow."""
    wanted, made = list(ids), dict[str, JobRow]()
    for start in range(0, len(wanted), PORTION):
        found = read(sa.select(*schema.JOB).where(_j.id.in_(wanted[start : start + PORTION])))
        made |= {row.id: row for row in rows_of(read, found)}
    return made


def open_jobs(read: Read) -> list[JobRow]:
    """Return the jobs that still cost or owe something, oldest first."""
    found = sa.select(*schema.JOB).where(sa.text(OPEN_CLAUSE)).order_by(_j.created_at, _j.seq)
    return rows_of(read, read(found))


def batch(read: Read, batch_id: str) -> list[JobRow]:
    """Return the jobs of one batch, in the order of their parts."""
    found = sa.select(*schema.JOB).where(_j.batch_id == codec.encode_text(batch_id)).order_by(_j.part, _j.seq)
    return rows_of(read, read(found))


def has_real(read: Read) -> bool:
    """Say whether any job here went to a real service and may have made something."""
    free = [state.value for state in sorted(FREE)]
    return bool(read(sa.select(_j.seq).where(_j.simulated == 0, _j.state.not_in(free)).limit(1)))


def task_ids(read: Read) -> frozenset[str]:
    """Return the service's ids of all jobs that have one."""
    return frozenset(codec.decode_text(row[0]) for row in read(sa.select(_j.task_id).where(_j.task_id != "")))


def events(read: Read, job_id: str) -> list[Event]:
    """Return what happened to a job, oldest first."""
    e = schema.events.c
    found = (
        sa.select(e.at, e.kind, e.state, e.detail)
        .join(schema.jobs, _j.seq == e.job_seq)
        .where(_j.id == codec.encode_text(job_id))
        .order_by(e.nr)
    )
    return [codec.event(row) for row in read(found)]


def details_of(read: Read, seq: int) -> JobDetails:
    """Return the details of one row; ``LedgerError`` if it is gone."""
    made = load_details(read, {row[0]: row[1] for row in read(sa.select(_j.seq, _j.id).where(_j.seq == seq))})
    if seq not in made:
        raise LedgerError(f"The ledger's row {seq} is gone.")
    return made[seq]
