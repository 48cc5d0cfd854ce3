"""What the history's search and the tag filter look through: written with a job, and anew when its words change."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from . import codec, schema
from .tx import Tx, insert

_j = schema.jobs.c
_INSERT_TAG = insert(schema.job_tags, ("job_seq", "tag"))
_DROP_TAGS = sa.delete(schema.job_tags).where(schema.job_tags.c.job_seq == sa.bindparam("job_seq"))
_DROP_SEARCH = sa.delete(schema.job_search).where(schema.job_search.c.job_seq == sa.bindparam("job_seq"))
_INSERT_SEARCH = insert(schema.job_search, ("job_seq", "haystack"))
_SEARCHED_NOW = (
    sa.select(_j.id, schema.job_texts.c.prompt, schema.job_texts.c.negative_prompt, _j.name, _j.tags, _j.seed)
    .join(schema.job_texts, schema.job_texts.c.job_seq == _j.seq)
    .where(_j.seq == sa.bindparam("seq"))
)


def index(tx: Tx, seq: int, words: Sequence[object], tags: Sequence[str]) -> None:
    """Write it for a job that has none yet."""
    tx.run(_INSERT_SEARCH, {"job_seq": seq, "haystack": codec.search_text(*words, *tags)})
    if tags:
        tx.run_many(_INSERT_TAG, [{"job_seq": seq, "tag": codec.encode_text(tag)} for tag in dict.fromkeys(tags)])


def reindex(tx: Tx, seq: int) -> None:
    """Write it anew, after the columns have changed."""
    tx.run(_DROP_SEARCH, {"job_seq": seq})
    tx.run(_DROP_TAGS, {"job_seq": seq})
    job_id, prompt, negative, name, tags_text, seed = tx.run(_SEARCHED_NOW, {"seq": seq}).fetchone()
    words = (*[codec.decode_text(text) for text in (prompt, negative, name)], job_id, seed)
    index(tx, seq, words, codec.decode_list(tags_text))
