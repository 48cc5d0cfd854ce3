"""The writes that make a job: its row, its texts, its inputs and its first event."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from . import codec, schema
from .changes import Load, add_event, owner_columns, split
from .job_row import JobDetails, JobRow
from .pictures import set_inputs
from .rows import JobDraft, Owner
from .searching import index
from .tx import Tx, insert

_DRAFT_CHILDREN = frozenset({"inputs", "created_at", "batch_id", "part"})
_DRAFT_COLUMNS = tuple(
    name for name in (*codec.JOB_COLUMNS, *codec.TEXT_COLUMNS) if name in JobDraft.__dataclass_fields__
)
_TEXTS = tuple(schema.job_texts.columns)
_j = schema.jobs.c
_TAKEN = sa.select(_j.seq).where(_j.id == sa.bindparam("id"))


def new_id() -> str:
    """Return a fresh id: ten lowercase hex digits, the first a letter, so that no tool takes it for a number."""
    return secrets.choice("abcdef") + secrets.token_hex(5)[:9]


def create_jobs(tx: Tx, drafts: Sequence[JobDraft], owner: Owner | None, lease_s: float, load: Load) -> list[JobRow]:
    """Insert jobs with their inputs, tags and first event; all or none. Their rows hold their details."""
    made: list[JobRow] = []
    held = owner_columns(owner, tx.now + lease_s) if owner is not None else {}
    for part, draft in enumerate(drafts):
        batch_id, place = (draft.batch_id, draft.part) if draft.batch_id else (made[0].id if made else "", part)
        made.append(_create(tx, draft, {"batch_id": batch_id, "part": place, **held}, load))
    return made


def _create(tx: Tx, draft: JobDraft, own: Mapping[str, Any], load: Load) -> JobRow:
    at = tx.now if draft.created_at is None else draft.created_at
    given = {name: getattr(draft, name) for name in _DRAFT_COLUMNS if name not in _DRAFT_CHILDREN}
    narrow, wide = split(tx, {**given, **own, "created_at": at})
    row = codec.job_row(_insert_job(tx, narrow), load)
    seq = row.seq
    texts = insert(schema.job_texts, ("job_seq", *wide), _TEXTS)
    _seq, *values = tx.run(texts, {"job_seq": seq, **wide}).fetchone()
    index(tx, seq, (draft.prompt, draft.negative_prompt, draft.name, row.id, draft.seed), draft.tags)
    set_inputs(tx, seq, draft.inputs)
    add_event(tx, seq, at, "state", draft.state.value, {})
    vars(row)["details"] = JobDetails(**codec.text_values(values), inputs=tuple(draft.inputs), pictures=())
    return row


def _insert_job(tx: Tx, columns: Mapping[str, Any]) -> Sequence[Any]:
    """Insert a job under a new id, which is its batch's too if it has none; return its row."""
    while True:
        job_id = new_id()
        values = {**columns, "id": job_id, "batch_id": columns["batch_id"] or job_id}
        try:
            row: Sequence[Any] = tx.run(insert(schema.jobs, tuple(values), schema.JOB), values).fetchone()
        except sqlite3.IntegrityError:  # to look before each would cost more than to do it again once in a lifetime
            if tx.run(_TAKEN, {"id": job_id}).fetchone() is None:
                raise
        else:
            return row
