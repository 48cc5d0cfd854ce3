"""The tables as SQLAlchemy models. Rows are snapshots: a change returns a new row.

The tables of schema 2 keep their names, columns and order, so that ledgers of the first edition open; attributes have
the names of this edition. ``jobs`` is narrow, since filters and sums read it whole; the long columns are in
``job_texts``. ``JobRow`` is both (joined-table inheritance).

What a column may hold is checked once a row, before it is written and when it is read. A stored value that does not
fit is replaced by a default and named in ``damage``: one bad row stops no query.
"""

import datetime as dt
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import BigInteger, Column, Dialect, Float, ForeignKey, Index, Integer, Table, Text, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column, relationship
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.types import UserDefinedType

from ..errors import StoreError
from ..files import is_inside
from ..money import Cost, Source, to_decimal
from ..text import one_line
from ..validation import Mode
from .status import FINAL, OPEN, Status

TIME_MAX_S: Final = 7_258_118_400
"""1 January 2200: pandas ends in 2262."""
INTEGER_MAX: Final = 2**31 - 1
DIGITS_MAX: Final = 30
SAME_START_S: Final = 0.5  # far above the rounding of one clock

_HINT: Final = "\n→ "
_ESCAPED: Final = "wan-escaped:"
"""Marks a text in which the first edition escaped NUL and lone surrogates."""
_OPEN_CLAUSE: Final = f"state IN ({', '.join(repr(status.value) for status in sorted(OPEN))})"

# Worded like the partial indexes, or SQLite could not use them: with bound values it cannot.
IS_OPEN: Final = text(f"jobs.{_OPEN_CLAUSE}")
IS_REPORTED: Final = text("jobs.cost_source = 'reported'")


class Price(NamedTuple):
    """The price of one picture; ``day`` is the local one on which the service billed it, None for a price as set."""

    amount: Decimal
    currency: str
    day: dt.date | None = None

    @property
    def note(self) -> str:
        """Who says so."""
        return f"as billed {self.day:%-d %b}" if self.day else "price as set"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that works on jobs. ``token`` is unique to this run of it; ``started`` is in seconds since boot."""

    host: str
    pid: int
    started: float
    token: str

    @classmethod
    def this_process(cls) -> Self:
        """Return an owner for this process, with a token of its own."""
        started = _process_start(os.getpid()) or 0.0
        return cls(host=socket.gethostname(), pid=os.getpid(), started=started, token=secrets.token_hex(8))

    def is_here(self) -> bool:
        """Say whether it runs, or ran, on this host, so that it can be told whether it lives."""
        return self.host == socket.gethostname()

    def is_dead(self) -> bool:
        """Say whether this owner certainly lives no more: it ran on this host, and its pid is gone or reused."""
        if not self.is_here():
            return False
        started = _process_start(self.pid)
        is_reused = min(started or 0.0, self.started) > 0 and abs((started or 0.0) - self.started) > SAME_START_S
        return started is None or is_reused


def _process_start(pid: int) -> float | None:
    """Return when a process started, in seconds since boot; None if there is none, 0.0 if that cannot be told.

    Not in Unix seconds: after a correction of the wall clock every owner would seem to have another start, thus dead.
    """
    try:
        if Path("/proc/stat").exists():
            stat = Path(f"/proc/{pid}/stat").read_text()
            return float(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        if os.name != "nt":  # where signal 0 would end the process
            os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except (OSError, ValueError, IndexError):
        pass
    return 0.0


# Columns -------------------------------------------------------------------------------------------------------------


class Stored(UserDefinedType[Any]):
    """What a driver has no type for: ``write`` makes it a text or number, ``read`` makes it a value again."""

    cache_ok = True

    def __init__(self, sql: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
        self.sql, self.write, self.read = sql, write, read

    def get_col_spec(self, **_: Any) -> str:
        return self.sql

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002
        return self.write

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        return self.read


def _amount(value: Any) -> Any:
    amount = to_decimal(value)
    return value if amount is None else amount


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value


def _plain(value: object) -> Any:
    return str(value) if isinstance(value, Decimal) else dict(value)  # type: ignore[call-overload]


AMOUNT: Final = Stored("TEXT", lambda value: value if value is None else str(value), _amount)
"""A decimal amount of money, exactly as it was reported."""
FLAG: Final = Stored("INTEGER", int, bool)
"""Partial indexes say ``= 1``, so statements compare it with a number."""
JSON: Final = Stored("TEXT", partial(json.dumps, default=_plain), _parsed)
"""An object, or a list of items of one type, which a row holds as a tuple."""


class Base(DeclarativeBase):
    """A row. ``own_damage`` says which stored values could not be read."""

    own_damage = ""


def _text(name: str | None = None, words: tuple[str, ...] | None = None) -> MappedColumn[str]:
    return mapped_column(name, Text, default="", server_default="", info={"words": words})


def _count(name: str | None = None) -> MappedColumn[int]:
    return mapped_column(name, Integer, default=0, server_default="0")


def _flag(name: str) -> MappedColumn[bool]:
    return mapped_column(name, FLAG, default=False, server_default="0")


def _object(name: str | None = None, fields: Mapping[str, type] | None = None) -> MappedColumn[Mapping[str, Any]]:
    return mapped_column(name, JSON, default=dict, server_default="{}", info={"fields": fields or {}})


def _list(item: type = str) -> MappedColumn[tuple[Any, ...]]:
    return mapped_column(JSON, default=(), server_default="[]", info={"item": item})


def _key(name: str | None = None) -> MappedColumn[int]:
    return mapped_column(name, Integer, primary_key=True, autoincrement=False, default=0)


def _job_key() -> MappedColumn[int]:
    return mapped_column(Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False)


def _partial_index(name: str, clause: str, *columns: Any) -> Index:
    return Index(name, *columns, sqlite_where=text(clause), postgresql_where=text(clause))


class JobSummary(Base):
    """The narrow columns of a job: what filters and sums read."""

    __tablename__ = "jobs"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(Text, unique=True, default="")
    status: Mapped[Status] = mapped_column("state", Text, default=Status.FAILED, info={"words": tuple(Status)})
    is_simulated: Mapped[bool] = _flag("simulated")
    created_at: Mapped[float] = mapped_column(Float, default=0.0)
    trashed_at: Mapped[float | None] = mapped_column(Float)
    imported_at: Mapped[float | None] = mapped_column(Float)
    cost_amount: Mapped[Decimal | None] = mapped_column(AMOUNT)
    cost_currency: Mapped[str] = _text()
    cost_source: Mapped[str] = _text(words=("", *Source))
    cost_nano: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """Only the first edition used it."""
    n: Mapped[int] = _count()
    picture_count: Mapped[int] = _count()
    """Pictures on disk."""
    seed: Mapped[int | None] = mapped_column(Integer)
    duration_s: Mapped[float | None] = mapped_column(Float)
    is_starred: Mapped[bool] = _flag("starred")
    is_rejected: Mapped[bool] = _flag("rejected")
    notebook: Mapped[str] = _text()
    user: Mapped[str] = _text()
    provider: Mapped[str] = _text()
    model: Mapped[str] = _text()
    mode: Mapped[str] = _text(words=("", *Mode))
    size_tier: Mapped[str] = _text()
    group_id: Mapped[str] = _text("batch_id")
    """The jobs of one call share the id of its first new job."""
    group_position: Mapped[int] = _count("part")
    request_hash: Mapped[str] = _text("fp_asked")
    request_hash_with_seed: Mapped[str] = _text("fp_sent")
    task_id: Mapped[str] = _text()
    request_id: Mapped[str] = _text()
    envelope: Mapped[str] = _text()
    name: Mapped[str] = _text()
    tags: Mapped[tuple[str, ...]] = _list()
    cell_id: Mapped[str] = _text()
    key_fingerprint: Mapped[str] = _text()
    reserved_amount: Mapped[Decimal | None] = mapped_column(AMOUNT)
    """The most that it can cost; None if no price is known."""
    reserved_currency: Mapped[str] = _text()
    cost_note: Mapped[str] = _text()
    error_code: Mapped[str] = _text()
    sending_at: Mapped[float | None] = mapped_column(Float)
    accepted_at: Mapped[float | None] = mapped_column(Float)
    first_running_at: Mapped[float | None] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)
    saved_at: Mapped[float | None] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)
    owner_host: Mapped[str] = _text()
    owner_pid: Mapped[int | None] = mapped_column(Integer)
    owner_started: Mapped[float | None] = mapped_column(Float)
    owner_token: Mapped[str] = _text()
    lease_until: Mapped[float | None] = mapped_column(Float)
    purged_at: Mapped[float | None] = mapped_column(Float)
    missing: Mapped[int] = _count()
    """Pictures that were asked for and not delivered."""

    @property
    def owner(self) -> Owner | None:
        """The process that holds it, or held it last; see ``is_held``."""
        host, pid, started = self.owner_host, self.owner_pid or 0, self.owner_started or 0.0
        return Owner(host=host, pid=pid, started=started, token=self.owner_token) if self.owner_token else None

    def hold(self, owner: Owner, until: float) -> None:
        """Write down who works on it, and until when (Unix seconds)."""
        self.owner_host, self.owner_pid = owner.host, owner.pid
        self.owner_started, self.owner_token, self.lease_until = owner.started, owner.token, until

    def is_held(self, now: float) -> bool:
        """Say whether somebody's lease of it is good at a time."""
        return bool(self.owner_token) and self.lease_until is not None and self.lease_until >= now


Index("jobs_asked", JobSummary.request_hash)
Index("jobs_sent", JobSummary.request_hash_with_seed)
Index("jobs_batch", JobSummary.group_id)
Index(  # holds all that a sum over the history reads
    "jobs_created",
    *(JobSummary.created_at, JobSummary.trashed_at, JobSummary.status, JobSummary.is_simulated),
    *(JobSummary.imported_at, JobSummary.picture_count, JobSummary.n, JobSummary.cost_source),
    *(JobSummary.cost_currency, JobSummary.cost_nano, JobSummary.cost_amount),
)
Index("jobs_notebook", JobSummary.notebook, JobSummary.created_at)
_LIKE: Final = (JobSummary.provider, JobSummary.model, JobSummary.mode, JobSummary.size_tier, JobSummary.n)
_partial_index("jobs_durations", "duration_s IS NOT NULL", *_LIKE, JobSummary.finished_at)
_partial_index("jobs_open", _OPEN_CLAUSE, JobSummary.status)
_partial_index("jobs_prices", "cost_source = 'reported'", *_LIKE[:2], JobSummary.created_at)
_partial_index("jobs_starred", "starred = 1", JobSummary.seq)


class JobRow(JobSummary):
    """A job with everything that is known of it; a new one, for ``Database.create_or_join``, has no id yet.

    ``request`` is the canonical request as sent, ``items`` are pictures and texts in their order
    (``{"picture": index}`` or ``{"text": "…"}``).
    """

    __tablename__ = "job_texts"

    job_seq: Mapped[int] = _job_key()
    prompt: Mapped[str] = _text()
    negative_prompt: Mapped[str] = _text()
    base_url: Mapped[str] = _text()
    parameters: Mapped[Mapping[str, Any]] = _object(
        fields={
            **dict.fromkeys(("size", "negative_prompt"), str),
            **dict.fromkeys(("n", "max_images", "seed"), int),
            **dict.fromkeys(("enable_interleave", "watermark", "prompt_extend"), bool),
        }
    )
    request: Mapped[Mapping[str, Any]] = _object()
    versions: Mapped[Mapping[str, Any]] = _object()
    usage: Mapped[Mapping[str, Any]] = _object()
    service_metadata: Mapped[Mapping[str, Any]] = _object("metadata")
    items: Mapped[tuple[Mapping[str, Any], ...]] = _list(dict)
    notes: Mapped[tuple[str, ...]] = _list()
    pending_inputs: Mapped[tuple[Mapping[str, Any], ...]] = _list(dict)
    error_text: Mapped[str] = _text("error_message")
    service_submit_text: Mapped[str] = _text()
    service_end_text: Mapped[str] = _text()
    inputs: Mapped[list["InputRow"]] = relationship(
        lazy="selectin", order_by="InputRow.position", cascade="all, delete-orphan"
    )
    pictures: Mapped[list["PictureRow"]] = relationship(
        lazy="selectin", order_by="PictureRow.index", cascade="all, delete-orphan"
    )

    request_position = 0
    """Of a new job: counts the tasks of one request. Only the first bears the hash of a request without a seed."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it and no money is reserved."""
        return self.status in FINAL

    @property
    def cost(self) -> Cost:
        """What it cost, as far as known."""
        source = Source(self.cost_source) if self.cost_amount is not None and self.cost_source else Source.UNKNOWN
        amount = None if source is Source.UNKNOWN else self.cost_amount
        return Cost(amount, self.cost_currency or "USD", source, self.cost_note)

    @property
    def reserved(self) -> Cost:
        """The most that it can cost, as estimated before it was sent."""
        known = self.reserved_amount is not None
        return Cost(self.reserved_amount, self.reserved_currency or "USD", Source.ESTIMATED) if known else Cost()

    @property
    def is_result(self) -> bool:
        """Whether it has something to show: pictures, or text alone."""
        has_text = any("text" in item for item in self.items)
        return self.status is Status.SAVED and self.purged_at is None and (self.picture_count > 0 or has_text)

    @property
    def is_complete(self) -> bool:
        """Whether it is a result of which every delivered picture is on disk.

        One that came as bytes that cannot be read holds nothing back: asking again would be paying again.
        """
        return self.is_result and all(p.saved_at is not None or p.corrupt_file for p in self.pictures)

    @property
    def error_message(self) -> str:
        """The service's words about a failure."""
        return self.error_text.partition(_HINT)[0]

    @property
    def error_hint(self) -> str:
        """What a person can do about it; empty if nothing is known."""
        return self.error_text.partition(_HINT)[2]

    def set_error(self, message: str, hint: str = "") -> None:
        """Keep an error message with its hint."""
        self.error_text = f"{message}{_HINT}{hint}" if hint else message

    @property
    def rewrite(self) -> bool | None:
        """Whether the service rewrote the prompt: None where it was not said, and in every mode but editing."""
        said = self.parameters.get("prompt_extend") if self.mode == Mode.EDIT else None
        return None if said is None else bool(said)

    @property
    def damage(self) -> str:
        """Which stored values could not be read and are shown as defaults, as one line; empty for a sound row."""
        found = [self.own_damage, *(child.own_damage for child in (*self.inputs, *self.pictures))]
        return one_line("; ".join(filter(None, found)), 300)


class InputRow(Base):
    """A picture that a job was given.

    ``identity`` is the tagged hash of what the person gave, ``sha256`` that of the bytes that are sent, ``file`` the
    kept copy relative to the project's folder.
    """

    __tablename__ = "inputs"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's form

    job_seq: Mapped[int] = _job_key()
    position: Mapped[int] = _key()
    name: Mapped[str] = _text()
    identity: Mapped[str] = _text()
    sha256: Mapped[str] = _text()
    file: Mapped[str] = _text()
    width_px: Mapped[int] = _count()
    height_px: Mapped[int] = _count()
    mime: Mapped[str] = _text()
    source_job: Mapped[str] = _text()
    source_index: Mapped[int | None] = mapped_column(Integer)


class PictureRow(Base):
    """A picture (or video) that the service delivered.

    ``url`` is a signed address, kept until the picture is saved; ``sha256`` is of the bytes as the service sent them;
    ``corrupt_file`` names bytes that cannot be read as a picture.
    """

    __tablename__ = "pictures"
    __table_args__ = (_partial_index("pictures_starred", "starred = 1", "job_seq"), {"sqlite_with_rowid": False})

    job_seq: Mapped[int] = _job_key()
    index: Mapped[int] = _key("idx")
    kind: Mapped[str] = _text()
    url: Mapped[str] = _text()
    remote_id: Mapped[str] = _text()
    sha256: Mapped[str] = _text()
    file: Mapped[str] = _text()
    file_sha256: Mapped[str] = _text()
    width_px: Mapped[int | None] = mapped_column(Integer)
    height_px: Mapped[int | None] = mapped_column(Integer)
    size_bytes: Mapped[int | None] = mapped_column(Integer)
    mime: Mapped[str] = _text()
    note: Mapped[str] = _text()
    corrupt_file: Mapped[str] = _text()
    saved_at: Mapped[float | None] = mapped_column(Float)
    is_starred: Mapped[bool] = _flag("starred")
    is_rejected: Mapped[bool] = _flag("rejected")
    metadata_sha256: Mapped[str] = _text("recipe_sha256")


class EventRow(Base):
    """Something that happened to a job; ``status`` is set if it moved the job. Events are only ever added."""

    __tablename__ = "events"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    job_seq: Mapped[int] = _job_key()
    number: Mapped[int] = _key("nr")
    at: Mapped[float] = mapped_column(Float, default=0.0)
    kind: Mapped[str] = _text()
    status: Mapped[str] = _text("state")
    detail: Mapped[Mapping[str, Any]] = _object()


class LimitRow(Base):
    """How soon an account may be asked again. ``arrival_at`` is the theoretical arrival time (GCRA), Unix seconds."""

    __tablename__ = "limits"

    account: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    arrival_at: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    paused_until: Mapped[float | None] = mapped_column(Float)
    paused_reason: Mapped[str] = _text()


class MetaRow(Base):
    """A remembered value of this folder."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = _text()


# Tables without a class of their own ---------------------------------------------------------------------------------


def _job_column(name: str = "job_seq", **options: Any) -> Column[Any]:
    return Column(name, Integer, ForeignKey("jobs.seq"), autoincrement=False, **options)


def _column(name: str, kind: Any, default: str | None = "", **options: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=default, **options)


job_search = Table("job_search", Base.metadata, _job_column(primary_key=True), _column("haystack", Text))

job_tags = Table(
    "job_tags",
    Base.metadata,
    _job_column(primary_key=True),
    Column("tag", Text, primary_key=True),
    Index("job_tags_tag", "tag"),
    sqlite_with_rowid=False,
)

deletions = Table("deletions", Base.metadata, Column("file", Text, primary_key=True))
"""Files of purged jobs that are still to be deleted, so that a crash in between leaves no forgotten picture."""

cost_kinds = Table(
    "cost_kinds",
    Base.metadata,
    Column("source", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("odd", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Only the first edition used it."""

# Schema 3

job_accounts = Table(
    "job_accounts", Base.metadata, _job_column(primary_key=True), Column("account", Text, nullable=False)
)
"""The account that a job was sent with, whose place at the service it takes."""

caps = Table(
    "caps",
    Base.metadata,
    Column("period", Text, primary_key=True),
    _column("user", Text, primary_key=True),
    _column("notebook", Text, primary_key=True),
    _column("currency", Text, primary_key=True),
    Column("amount", AMOUNT, nullable=False),
    _column("set_by", Text),
    Column("set_at", Float, nullable=False),
)
"""Budgets of a team. ``period`` is day, notebook or total; no user or notebook means all, no currency pictures."""

batches = Table(
    "batches",
    Base.metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    *(_column(name, Text) for name in ("name", "notebook", "cell_id", "user", "provider")),
    Column("created_at", Float, nullable=False),
    _column("simulated", FLAG, "0"),
    _column("rows_hash", Text),
    *(_column(name, Integer, "0") for name in ("row_count", "task_count", "reserved_pictures")),
    Column("reserved_amount", AMOUNT),
    _column("reserved_currency", Text),
    *(Column(name, Float) for name in ("reserved_at", "written_at", "finished_at", "cancelled_at")),
    _column("paused_reason", Text),
    _column("details", JSON, "{}"),
    Index("batches_name", "name"),
    Index("batches_cell", "notebook", "cell_id"),
)
"""One map over rows, known by user, notebook and name, or by its cell where it has no name.

``written_at`` is set with the last job: until then the same call writes the rest. ``reserved_at`` names the day whose
budget it counts against. ``details`` holds template, parameters, columns, axes, tags, notes and versions.
"""

batch_rows = Table(
    "batch_rows",
    Base.metadata,
    Column("seq", Integer, primary_key=True),
    Column("batch_seq", Integer, ForeignKey("batches.seq"), nullable=False),
    *(_column(name, Integer, "0") for name in ("position", "part", "occurrence")),
    _column("current", FLAG, "1"),
    _column("request_hash", Text),
    _column("row", JSON, "{}"),
    _job_column(),
    Index("batch_rows_position", "batch_seq", "position", "part"),
    Index("batch_rows_request", "batch_seq", "request_hash", "occurrence"),
    Index("batch_rows_job", "job_seq"),
)
"""One task of one row of a batch, with the job that answers it: ``part`` counts the tasks of a row.

Equal rows with a seed share a job. Seedless rows are found again by batch, hash and occurrence, also after calls with
other rows; those of former calls are not ``current``.
"""


# Defaults and checks -------------------------------------------------------------------------------------------------


@cache
def columns_of(model: type[Base]) -> Mapping[str, Any]:
    """Return the columns of a model by the names of their attributes."""
    return {attribute.key: attribute.columns[0] for attribute in model.__mapper__.column_attrs}


def misfits(row: Base) -> dict[str, Any]:
    """Return the values that their columns cannot hold, by attribute."""
    values = {name: getattr(row, name) for name in columns_of(type(row))}
    return {name: values[name] for name, column in columns_of(type(row)).items() if not _fits(column, values[name])}


def _fits(column: Any, value: Any) -> bool:
    if value is None:
        return bool(column.nullable or column.primary_key)
    kind, info = column.type, column.info
    if isinstance(kind, Text):
        is_known = isinstance(value, str) and value in (info.get("words") or (value,))
        return is_known and (column.name not in ("file", "corrupt_file") or not value or is_inside(value))
    if isinstance(kind, Integer):
        return type(value) is int and (isinstance(kind, BigInteger) or abs(value) <= INTEGER_MAX)
    if isinstance(kind, Float):  # a time in Unix seconds, or a duration
        return type(value) in (int, float) and 0 <= value <= TIME_MAX_S
    if kind is AMOUNT:
        return isinstance(value, Decimal) and is_plausible(value)
    if kind is FLAG:
        return type(value) is bool
    if "item" in info:
        return isinstance(value, tuple | list) and all(isinstance(each, info["item"]) for each in value)
    fields = info.get("fields", {})
    return isinstance(value, Mapping) and all(type(value[name]) is fields[name] for name in fields.keys() & value)


def _default(column: Any) -> Any:
    default = column.default
    return None if default is None else default.arg(None) if default.is_callable else default.arg


@event.listens_for(Base, "init", propagate=True)
def _fill_in(row: Base, _args: Any, given: dict[str, Any]) -> None:
    for name, column in columns_of(type(row)).items():
        if not column.primary_key or column.default is not None:
            given.setdefault(name, _default(column))


def check(row: Base) -> None:
    """Raise ``StoreError`` for what cannot be stored, or would be wrong in every sum."""
    for name, value in misfits(row).items():
        raise StoreError(f"{name} = {one_line(repr(value))} cannot be stored in the ledger.")
    if isinstance(row, JobSummary) and row.cost_amount is not None and not (row.cost_source and row.cost_currency):
        raise StoreError("cost_amount needs cost_source and cost_currency.")
    if isinstance(row, JobSummary) and row.reserved_amount is not None and not row.reserved_currency:
        raise StoreError("reserved_amount needs reserved_currency.")


@event.listens_for(Base, "before_insert", propagate=True)
@event.listens_for(Base, "before_update", propagate=True)
def _check_what_is_written(_mapper: Any, _connection: Any, row: Base) -> None:
    check(row)
    for name, column in columns_of(type(row)).items():
        value = getattr(row, name)
        if isinstance(column.type, Text) and value != (safe := storable(value)):
            setattr(row, name, safe)


@event.listens_for(Base, "load", propagate=True)
@event.listens_for(Base, "refresh", propagate=True)
def _check_what_is_read(row: Base, *_: object) -> None:
    columns = columns_of(type(row))
    for name, column in columns.items():
        value = getattr(row, name)
        if isinstance(value, list):
            set_committed_value(row, name, tuple(value))
        elif isinstance(column.type, Text) and isinstance(value, str) and value.startswith(_ESCAPED):
            set_committed_value(row, name, unescaped(value))
    bad = misfits(row)
    row.own_damage = "; ".join(f"{name} ({one_line(repr(value), 40)}) cannot be read" for name, value in bad.items())
    for name in bad:
        set_committed_value(row, name, _default(columns[name]))
    if isinstance(row, JobSummary):
        set_committed_value(row, "status", Status(row.status))


def storable(text: str) -> str:
    """Return a text that every database takes, lone surrogates replaced, and that does not look like an escaped one."""
    text = text.encode("utf-8", "replace").decode()
    return f" {text}" if text.startswith(_ESCAPED) else text


def unescaped(text: str) -> str:
    """Return a text as it was before the first edition escaped it."""
    if not text.startswith(_ESCAPED):
        return text
    return text.removeprefix(_ESCAPED).encode("ascii", "replace").decode("unicode_escape", "replace")


def search_text(*parts: object) -> str:
    """Return what the history's search looks through: case-folded, one line a part."""
    said = "\n".join(str(part) for part in parts if part not in (None, ""))
    return re.sub("[\x00\ud800-\udfff]", " ", said).casefold()


def is_plausible(amount: Decimal) -> bool:
    """Say whether an amount can be a price: ``1e999999`` is a number, and writing it out takes a megabyte."""
    is_short = amount.is_finite() and len(amount.as_tuple().digits) <= DIGITS_MAX
    return is_short and amount >= 0 and abs(amount.adjusted()) <= DIGITS_MAX
