"""The tables of the ledger, their version, and how an older file becomes a current one.

``jobs`` is kept narrow, since the history and the sums scan it whole: long texts live in ``job_texts``, what is
searched in ``job_search``. Each page that a commit touches is written and checksummed, so there are few indexes, and
children are stored within their key (no rowid). Money is TEXT (a decimal exactly as it was reported), JSON is TEXT,
times are REAL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Column, Float, ForeignKey, Index, Integer, Text

from .clauses import OPEN_CLAUSE, REPORTED_CLAUSE, STARRED_CLAUSE, TIMED_CLAUSE

SCHEMA_VERSION: Final = 2

MIGRATIONS: Final[Mapping[int, Sequence[str]]] = MappingProxyType(
    {1: ("ALTER TABLE pictures ADD COLUMN recipe_sha256 TEXT DEFAULT '' NOT NULL",)}
)
"""From version N to N+1: statements that only add (a table, a column, an index), never change or drop."""

metadata = sa.MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _json(name: str, empty: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=empty)


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


jobs = sa.Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    # First what is scanned: SQLite reads a row from its beginning, as far as it must.
    Column("state", Text, nullable=False),
    _flag("simulated"),
    Column("created_at", Float, nullable=False),
    Column("trashed_at", Float),
    Column("imported_at", Float),
    Column("cost_amount", Text),
    _text("cost_currency"),
    _text("cost_source"),
    Column("cost_nano", Integer),
    _count("n"),
    _count("picture_count"),
    Column("seed", Integer),
    Column("duration_s", Float),
    _flag("starred"),
    _flag("rejected"),
    _text("notebook"),
    _text("user"),
    _text("provider"),
    _text("model"),
    _text("mode"),
    _text("size_tier"),
    _text("batch_id"),
    _count("part"),
    _text("fp_asked"),
    _text("fp_sent"),
    _text("task_id"),
    _text("request_id"),
    _text("envelope"),
    _text("name"),
    _json("tags", "[]"),
    _text("cell_id"),
    _text("key_fingerprint"),
    Column("reserved_amount", Text),
    _text("reserved_currency"),
    _text("cost_note"),
    _text("error_code"),
    Column("sending_at", Float),
    Column("accepted_at", Float),
    Column("first_running_at", Float),
    Column("finished_at", Float),
    Column("saved_at", Float),
    Column("expires_at", Float),
    _text("owner_host"),
    Column("owner_pid", Integer),
    Column("owner_started", Float),
    _text("owner_token"),
    Column("lease_until", Float),
    Column("purged_at", Float),
    _count("missing"),
)
JOB = tuple(column for column in jobs.columns if column.name != "cost_nano")
"""The columns that a job row shows. ``cost_nano`` is the amount in billionths, for sums only: see sums.py."""

job_texts = sa.Table(
    "job_texts",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False),
    _text("prompt"),
    _text("negative_prompt"),
    _text("base_url"),
    _json("parameters", "{}"),
    _json("request", "{}"),
    _json("versions", "{}"),
    _json("usage", "{}"),
    _json("metadata", "{}"),
    _json("items", "[]"),
    _json("notes", "[]"),
    _json("pending_inputs", "[]"),
    _text("error_message"),
    _text("service_submit_text"),
    _text("service_end_text"),
)

job_search = sa.Table(
    "job_search",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False),
    _text("haystack"),
)

job_tags = sa.Table(
    "job_tags",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    sqlite_with_rowid=False,
)

inputs = sa.Table(
    "inputs",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("name"),
    _text("identity"),
    _text("sha256"),
    _text("file"),
    _count("width_px"),
    _count("height_px"),
    _text("mime"),
    _text("source_job"),
    Column("source_index", Integer),
    sqlite_with_rowid=False,
)

pictures = sa.Table(
    "pictures",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("url"),
    _text("remote_id"),
    _text("sha256"),
    _text("file"),
    _text("file_sha256"),
    Column("width_px", Integer),
    Column("height_px", Integer),
    Column("size_bytes", Integer),
    _text("mime"),
    _text("note"),
    _text("corrupt_file"),
    Column("saved_at", Float),
    _flag("starred"),
    _flag("rejected"),
    _text("recipe_sha256"),
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False),
    Column("nr", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    _text("kind"),
    _text("state"),
    _json("detail", "{}"),
    sqlite_with_rowid=False,
)

meta = sa.Table("meta", metadata, Column("key", Text, primary_key=True), _text("value"))

deletions = sa.Table("deletions", metadata, Column("file", Text, primary_key=True))
"""Files of purged jobs that are still to be deleted: a crash between the two steps leaves no forgotten picture."""

cost_kinds = sa.Table(
    "cost_kinds",
    metadata,
    Column("source", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("odd", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Which sources and currencies amounts have had: the few sums to make. ``odd`` ones have no ``cost_nano``."""


def _partial(name: str, clause: str, *columns: Column[Any]) -> None:
    Index(name, *columns, sqlite_where=sa.text(clause), postgresql_where=sa.text(clause))


Index("jobs_asked", jobs.c.fp_asked)
Index("jobs_sent", jobs.c.fp_sent)
Index("jobs_batch", jobs.c.batch_id)
Index(  # holds all that a sum over the history reads: half the time of reading the rows
    "jobs_created",
    *[jobs.c[name] for name in ("created_at", "trashed_at", "state", "simulated", "imported_at")],
    *[jobs.c[name] for name in ("picture_count", "n", "cost_source", "cost_currency", "cost_nano", "cost_amount")],
)
Index("jobs_notebook", jobs.c.notebook, jobs.c.created_at)
_partial(
    "jobs_durations",
    TIMED_CLAUSE,
    *[jobs.c[name] for name in ("provider", "model", "mode", "size_tier", "n", "finished_at")],
)
_partial("jobs_open", OPEN_CLAUSE, jobs.c.state)
_partial("jobs_prices", REPORTED_CLAUSE, jobs.c.provider, jobs.c.model, jobs.c.created_at)
_partial("jobs_starred", STARRED_CLAUSE, jobs.c.seq)
Index("job_tags_tag", job_tags.c.tag)
_partial("pictures_starred", STARRED_CLAUSE, pictures.c.job_seq)


def create_script() -> list[str]:
    """Return the statements that make an empty ledger of the current version."""
    from sqlalchemy.dialects import sqlite
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = sqlite.dialect()
    script = []
    for table in metadata.sorted_tables:
        script.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        ordered = sorted(table.indexes, key=lambda index: str(index.name))
        script += [str(CreateIndex(index).compile(dialect=dialect)).strip() for index in ordered]
    return script
