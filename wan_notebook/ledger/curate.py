"""What a person does to a job afterwards: stars, tags, the trash; and what is remembered of showing it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from wan_notebook.states import FINAL, JobState

from . import codec, schema
from .changes import add_event, seq_of
from .faults import LedgerError
from .searching import reindex
from .tx import Tx, insert

_PORTION = 500  # as many parameters as any SQLite takes

_j = schema.jobs.c
_p = schema.pictures.c
_i = schema.inputs.c

_MARK = {
    name: sa.update(schema.pictures)
    .where(_p.job_seq == sa.bindparam("job_seq"), _p.idx == sa.bindparam("index"))
    .values({name: sa.bindparam("on")})
    .returning(_p.idx)
    for name in ("starred", "rejected")
}
_TAGS = sa.select(_j.tags).where(_j.seq == sa.bindparam("seq"))
_STATE = sa.select(_j.state).where(_j.seq == sa.bindparam("seq"))
_PUT_META = insert(schema.meta, ("key", "value"))
_DROP_META = sa.delete(schema.meta).where(schema.meta.c.key == sa.bindparam("name"))

_DUE = sa.select(_j.seq).where(_j.trashed_at < sa.bindparam("before"), _j.purged_at.is_(None))
_OWN_FILES = (
    sa.select(_p.file).where(_p.job_seq == sa.bindparam("seq")),
    sa.select(_p.corrupt_file).where(_p.job_seq == sa.bindparam("seq")),
    sa.select(_i.file).where(_i.job_seq == sa.bindparam("seq")),
)
_INSERT_DELETION = insert(schema.deletions, ("file",))
_DROP_DELETION = sa.delete(schema.deletions).where(schema.deletions.c.file == sa.bindparam("name"))
_ALL_DELETIONS = sa.select(schema.deletions.c.file).order_by(schema.deletions.c.file)
_DROP_INPUTS = sa.delete(schema.inputs).where(_i.job_seq == sa.bindparam("job_seq"))
_DROP_EVENT_DETAILS = (
    sa.update(schema.events)
    .where(schema.events.c.job_seq == sa.bindparam("seq"))
    .values(detail=sa.literal_column("'{}'"))
)

# What goes when the trash is emptied; states, times, seeds and amounts stay, since the bill does.
_FORGOTTEN_TEXTS = {"prompt": "", "negative_prompt": "", "error_message": "", "parameters": {}, "request": {}}
_FORGOTTEN_TEXTS |= {"usage": {}, "metadata": {}, "items": (), "notes": (), "pending_inputs": ()}
_FORGOTTEN_PICTURE = {"file": "", "corrupt_file": "", "url": "", "note": ""}


def mark(tx: Tx, name: str, job_id: str, idx: int | None, on: bool) -> None:
    """Star or reject a job, or one picture of it."""
    seq = seq_of(tx, job_id)
    if idx is None:
        tx.update(schema.jobs, "seq", seq, {name: int(on)})
    elif not tx.run(_MARK[name], {"job_seq": seq, "index": idx, "on": int(on)}).fetchone():
        raise LedgerError(f"Job {job_id} has no picture [{idx}].")


def tag(tx: Tx, job_id: str, add: Collection[str], remove: Collection[str]) -> tuple[str, ...]:
    """Add and remove tags of a job; return what it has now."""
    seq = seq_of(tx, job_id)
    now = codec.decode_list(tx.run(_TAGS, {"seq": seq}).fetchone()[0])
    kept = tuple(dict.fromkeys(tag for tag in (*now, *add) if tag not in remove and tag.strip()))
    tx.update(schema.jobs, "seq", seq, {"tags": codec.encode("tags", kept)})
    reindex(tx, seq)
    return kept


def trash(tx: Tx, job_id: str, on: bool) -> None:
    """Put a job into the trash, or take it out again. An open one stays: it still costs or owes something."""
    seq = seq_of(tx, job_id)
    state = JobState(tx.run(_STATE, {"seq": seq}).fetchone()[0])
    if on and state not in FINAL:
        raise LedgerError(f"Job {job_id} is {state}.", hint=f"Cancel it, wait for it, or %wan resolve {job_id}.")
    tx.update(schema.jobs, "seq", seq, {"trashed_at": tx.now if on else None})


def purge(tx: Tx, older_than: float) -> list[str]:
    """Forget prompts, inputs and pictures of jobs trashed before a time; return all files that are to be deleted.

    The list is kept until ``files_deleted`` is told, so that a crash in between leaves no forgotten file. A file that
    another job uses is not in it.
    """
    files: set[str] = set()
    for (seq,) in tx.run(_DUE, {"before": older_than}).fetchall():
        files |= _forget(tx, int(seq))
    files -= {row[0] for row in tx.run(_ALL_DELETIONS).fetchall()} | _still_used(tx, sorted(files))
    tx.run_many(_INSERT_DELETION, [{"file": file} for file in sorted(files)])
    return [codec.decode_text(row[0]) for row in tx.run(_ALL_DELETIONS).fetchall()]


def _still_used(tx: Tx, files: Sequence[str]) -> set[str]:
    used: set[str] = set()
    for start in range(0, len(files), _PORTION):
        some = files[start : start + _PORTION]
        for column in (_p.file, _p.corrupt_file, _i.file):
            used |= {row[0] for row in tx.read(sa.select(column).where(column.in_(some)))}
    return used


def _forget(tx: Tx, seq: int) -> set[str]:
    files = {row[0] for query in _OWN_FILES for row in tx.run(query, {"seq": seq}).fetchall()} - {""}
    texts = {name: codec.encode(name, value) for name, value in _FORGOTTEN_TEXTS.items()}
    tx.update(schema.job_texts, "job_seq", seq, texts)
    tx.update(schema.pictures, "job_seq", seq, _FORGOTTEN_PICTURE)
    tx.run(_DROP_INPUTS, {"job_seq": seq})
    tx.run(_DROP_EVENT_DETAILS, {"seq": seq})
    tx.update(schema.jobs, "seq", seq, {"name": "", "purged_at": tx.now})
    reindex(tx, seq)
    return files


def files_deleted(tx: Tx, files: Collection[str]) -> None:
    """Strike files off the list of those to delete."""
    for file in files:
        tx.run(_DROP_DELETION, {"name": codec.encode_text(file)})


def record_shown(tx: Tx, job_id: str, notebook: str, cell_id: str, how: str) -> None:
    """Remember that a job was shown in a cell: a replay is an event too."""
    detail: dict[str, Any] = {"notebook": notebook, "cell_id": cell_id, "how": how}
    add_event(tx, seq_of(tx, job_id), tx.now, "shown", "", detail)


def meta_set(tx: Tx, key: str, value: str | None) -> None:
    """Remember a value under a key; None forgets it."""
    name = codec.encode_text(key)
    tx.run(_DROP_META, {"name": name})
    if value is not None:
        tx.run(_PUT_META, {"key": name, "value": codec.encode_text(value)})
