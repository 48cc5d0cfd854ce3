"""The pictures of a job, those that it was given and those that it made: rows whose files are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa

from . import codec, schema
from .rows import InputRecord, PictureRecord
from .tx import Tx, insert

_INSERT_INPUT = insert(schema.inputs, ("job_seq", *codec.INPUT_COLUMNS))
_DROP_INPUTS = sa.delete(schema.inputs).where(schema.inputs.c.job_seq == sa.bindparam("job_seq"))
_REVIVE_FILE = sa.delete(schema.deletions).where(schema.deletions.c.file == sa.bindparam("file"))
_p = schema.pictures.c
_PERSON_S = frozenset({"starred", "rejected"})
_COUNT_PICTURES = (
    sa.update(schema.jobs)
    .where(schema.jobs.c.seq == sa.bindparam("seq"))
    .values(
        picture_count=sa.select(sa.func.count())
        .where(_p.job_seq == sa.bindparam("seq"), _p.saved_at.is_not(None))
        .scalar_subquery()
    )
    .returning(schema.jobs.c.picture_count)
)


@cache
def _put() -> sa.Insert:
    """Return what writes a picture, over what was known of it."""
    from sqlalchemy.dialects.sqlite import insert as insert_or_update  # PostgreSQL's has the same name and form

    key, columns = ("job_seq", "idx"), ("job_seq", *codec.PICTURE_COLUMNS)
    made = insert_or_update(schema.pictures).values({name: sa.bindparam(name) for name in columns})
    new = made.excluded
    return made.on_conflict_do_update(
        index_elements=key,
        set_={name: new[name] for name in columns if name not in _PERSON_S and name not in key},
        where=new.saved_at.is_not(None) | _p.saved_at.is_(None),
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
    """Write what is known of a picture. One that is on disk is never forgotten for an address; stars are kept.

    Whoever saves pictures counts them afterwards, see ``count_pictures``.
    """
    values = dict(zip(codec.PICTURE_COLUMNS, codec.picture_values(record), strict=True))
    is_written = tx.run(_put(), {"job_seq": seq, **values}).rowcount > 0
    for file in filter(None, (values["file"], values["corrupt_file"]) if is_written else ()):
        tx.run(_REVIVE_FILE, {"file": file})
    return record


def count_pictures(tx: Tx, seq: int) -> int:
    """Count the pictures of a job that are on disk, anew; return how many."""
    return int(tx.run(_COUNT_PICTURES, {"seq": seq}).fetchone()[0])
