"""Who works on a job: one kernel at a time, by comparing and setting. Whether an owner is dead is judged elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from wan_notebook.states import FINAL

from . import codec, schema
from .changes import add_event, owner_columns
from .rows import Owner
from .tx import Tx

_j = schema.jobs.c
_HOLDER = sa.select(_j.seq, _j.state, _j.owner_token, _j.lease_until).where(_j.id == sa.bindparam("id"))
_RENEW = (
    sa.update(schema.jobs)
    .where(_j.id == sa.bindparam("job"), _j.owner_token == sa.bindparam("token"))
    .values(lease_until=sa.bindparam("until"))
    .returning(_j.id)
)
_RELEASE = (
    sa.update(schema.jobs)
    .where(_j.id == sa.bindparam("job"), _j.owner_token == sa.bindparam("token"))
    .values(lease_until=sa.null(), owner_token=sa.literal_column("''"))
)


def lease(
    tx: Tx, job_ids: Sequence[str], owner: Owner, ttl_s: float, now: float, replacing: Collection[str]
) -> frozenset[str]:
    """Take each open job that nobody holds, whose lease is over, or whose holder is in ``replacing``; return them."""
    held = set()
    for job_id in job_ids:
        row = tx.run(_HOLDER, {"id": codec.encode_text(job_id)}).fetchone()
        if row is None or row[1] in FINAL:
            continue
        seq, _, token, until = row
        free = not token or token == owner.token or token in replacing or until is None or until < now
        if free:
            tx.update(schema.jobs, "seq", seq, owner_columns(owner, now + ttl_s))
            held.add(job_id)
            if token != owner.token:
                detail = {"host": owner.host, "pid": owner.pid, "before": token}
                add_event(tx, seq, tx.now, "taken", "", detail)
    return frozenset(held)


def renew(tx: Tx, job_ids: Sequence[str], owner: Owner, ttl_s: float, now: float) -> frozenset[str]:
    """Prolong the leases that this owner still holds; return them. What is missing was taken by another kernel."""
    kept = set()
    for job_id in job_ids:
        values = {"job": job_id, "token": owner.token, "until": now + ttl_s}
        if tx.run(_RENEW, values).fetchone():
            kept.add(job_id)
    return frozenset(kept)


def release(tx: Tx, job_ids: Sequence[str], owner: Owner) -> None:
    """Let go of what this owner holds of these jobs."""
    for job_id in job_ids:
        tx.run(_RELEASE, {"job": job_id, "token": owner.token})
