"""The pictures of a job, those that it was given and those that it made: rows whose files are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from . import codec, schema
from .rows import InputRecord, PictureRecord
from .tx import Tx, insert

_INSERT_INPUT = insert(schema.inputs, ("job_seq", *codec.INPUT_COLUMNS))
_DROP_INPUTS = sa.delete(schema.inputs).where(schema.inputs.c.job_seq == sa.bindparam("job_seq"))
_REVIVE_FILE = sa.delete(schema.deletions).where(schema.deletions.c.file == sa.bindparam("file"))
_p = schema.pictures.c
_PICTURE_NOW = sa.select(_p.saved_at, _p.starred, _p.rejected).where(
    _p.job_seq == sa.bindparam("job_seq"), _p.idx == sa.bindparam("idx")
)
_DROP_PICTURE = sa.delete(schema.pictures).where(_p.job_seq == sa.bindparam("job_seq"), _p.idx == sa.bindparam("idx"))
_INSERT_PICTURE = insert(schema.pictures, ("job_seq", *codec.PICTURE_COLUMNS))
_COUNT_PICTURES = (
    sa.update(schema.jobs)
    .where(schema.jobs.c.seq == sa.bindparam("seq"))
    .values(
        picture_count=sa.select(sa.func.count())
        .where(_p.job_seq == sa.bindparam("seq"), _p.saved_at.is_not(None))
        .scalar_subquery()
    )
)


def set_inputs(tx: Tx, seq: int, records: Sequence[InputRecord]) -> None:
    """Write a job's input pictures; their kept files are wanted from now on."""
    rows = []
    for record in records:
        rows.append({"job_seq": seq, **dict(zip(codec.INPUT_COLUMNS, codec.input_values(record), strict=True))})
        tx.run(_REVIVE_FILE, {"file": rows[-1]["file"]})
    if rows:
        tx.run_many(_INSERT_INPUT, rows)


def replace_inputs(tx: Tx, seq: int, records: Sequence[InputRecord]) -> None:
    """Write other input pictures in place of a job's."""
    tx.run(_DROP_INPUTS, {"job_seq": seq})
    set_inputs(tx, seq, records)


def save_picture(tx: Tx, seq: int, record: PictureRecord) -> PictureRecord:
    """Write what is known of a picture. One that is on disk is never forgotten for an address; stars are kept."""
    now = tx.run(_PICTURE_NOW, {"job_seq": seq, "idx": record.idx}).fetchone()
    values = dict(zip(codec.PICTURE_COLUMNS, codec.picture_values(record), strict=True))
    if now is not None:
        if now[0] is not None and record.saved_at is None:
            return record
        values |= {"starred": now[1], "rejected": now[2]}
        tx.run(_DROP_PICTURE, {"job_seq": seq, "idx": record.idx})
    tx.run(_INSERT_PICTURE, {"job_seq": seq, **values})
    for file in filter(None, (values["file"], values["corrupt_file"])):
        tx.run(_REVIVE_FILE, {"file": file})
    if record.saved_at is not None or (now is not None and now[0] is not None):
        tx.run(_COUNT_PICTURES, {"seq": seq})
    return record
