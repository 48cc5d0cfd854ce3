"""The tables as SQLAlchemy models. Rows are snapshots: a change returns a new row.

The tables of schema 2 keep their names, columns and order, so that ledgers of the first edition open; attributes have
the names of this edition. ``jobs`` is narrow, since filters and sums read it whole; the long columns are in
``job_texts``. ``JobRow`` is both (joined-table inheritance).
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple, Self, TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Table,
    event,
    text,
    type_coerce,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column, relationship, validates
from sqlalchemy.orm.attributes import set_committed_value

from ..errors import StoreError
from ..money import Cost, Source
from ..text import one_line
from ..validation import Mode
from .column_types import Amount, Enumerated, Flag, JsonList, JsonObject, Seconds, StoredText, Whole, accepts, to_nano
from .owner import Owner
from .status import FINAL, OPEN, SETTLED, Status

_HINT: Final = "\n→ "
_OPEN_CLAUSE: Final = f"state IN ({', '.join(repr(status.value) for status in sorted(OPEN))})"

# Worded like the partial indexes, or SQLite could not use them: with bound values it cannot.
IS_OPEN: Final = text(f"jobs.{_OPEN_CLAUSE}")
IS_REPORTED: Final = text("jobs.cost_source = 'reported'")


class Price(NamedTuple):
    """What the service last reported for one picture, and the local day on which it did."""

    amount: Decimal
    currency: str
    day: dt.date


class Base(DeclarativeBase):
    """Fills in defaults and checks values when they are set; when read, replaces what a column cannot hold."""

    own_damage = ""

    def copy(self) -> Self:
        """Return a new row with the same values, of no job yet."""
        names = columns_of(type(self)).keys() - {"job_seq"}
        return type(self)(**{name: getattr(self, name) for name in names})


def _text(name: str | None = None) -> MappedColumn[str]:
    return mapped_column(name, StoredText, default="", server_default="")


def _words(*words: str) -> MappedColumn[str]:
    return mapped_column(Enumerated(("", *words)), default="", server_default="")


def _count(name: str | None = None) -> MappedColumn[int]:
    return mapped_column(name, Whole, default=0, server_default="0")


def _flag(name: str) -> MappedColumn[bool]:
    return mapped_column(name, Flag, default=False, server_default="0")


def _object(name: str | None = None) -> MappedColumn[Mapping[str, Any]]:
    return mapped_column(name, JsonObject, default=dict, server_default="{}")


def _list(item: type = str) -> MappedColumn[tuple[Any, ...]]:
    return mapped_column(JsonList(item), default=(), server_default="[]")


def _key(name: str | None = None) -> MappedColumn[int]:
    return mapped_column(name, Whole, primary_key=True, autoincrement=False)


def _job_key() -> MappedColumn[int]:
    return mapped_column(Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False)


def _partial_index(name: str, clause: str, *columns: Any) -> Index:
    return Index(name, *columns, sqlite_where=text(clause), postgresql_where=text(clause))


class JobSummary(Base):
    """The narrow columns of a job: what filters and sums read."""

    __tablename__ = "jobs"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(StoredText, unique=True)
    status: Mapped[Status] = mapped_column("state", Enumerated(tuple(Status), Status))
    is_simulated: Mapped[bool] = _flag("simulated")
    created_at: Mapped[float] = mapped_column(Seconds)
    trashed_at: Mapped[float | None] = mapped_column(Seconds)
    imported_at: Mapped[float | None] = mapped_column(Seconds)
    cost_amount: Mapped[Decimal | None] = mapped_column(Amount)
    cost_currency: Mapped[str] = _text()
    cost_source: Mapped[str] = _words(*Source)
    cost_nano: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """The amount in billionths, for sums; None where it is not a whole number of them."""
    n: Mapped[int] = _count()
    picture_count: Mapped[int] = _count()
    """Pictures on disk."""
    seed: Mapped[int | None] = mapped_column(Whole)
    duration_s: Mapped[float | None] = mapped_column(Seconds)
    is_starred: Mapped[bool] = _flag("starred")
    is_rejected: Mapped[bool] = _flag("rejected")
    notebook: Mapped[str] = _text()
    user: Mapped[str] = _text()
    provider: Mapped[str] = _text()
    model: Mapped[str] = _text()
    mode: Mapped[str] = _words(*Mode)
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
    reserved_amount: Mapped[Decimal | None] = mapped_column(Amount)
    """The most that it can cost; None if no price is known."""
    reserved_currency: Mapped[str] = _text()
    cost_note: Mapped[str] = _text()
    error_code: Mapped[str] = _text()
    sending_at: Mapped[float | None] = mapped_column(Seconds)
    accepted_at: Mapped[float | None] = mapped_column(Seconds)
    first_running_at: Mapped[float | None] = mapped_column(Seconds)
    finished_at: Mapped[float | None] = mapped_column(Seconds)
    saved_at: Mapped[float | None] = mapped_column(Seconds)
    expires_at: Mapped[float | None] = mapped_column(Seconds)
    owner_host: Mapped[str] = _text()
    owner_pid: Mapped[int | None] = mapped_column(Whole)
    owner_started: Mapped[float | None] = mapped_column(Seconds)
    owner_token: Mapped[str] = _text()
    lease_until: Mapped[float | None] = mapped_column(Seconds)
    purged_at: Mapped[float | None] = mapped_column(Seconds)
    missing: Mapped[int] = _count()
    """Pictures that were asked for and not delivered."""

    @validates("cost_amount")
    def _keep_nano(self, _name: str, amount: Decimal | None) -> Decimal | None:
        self.cost_nano = to_nano(amount)
        return amount

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
    parameters: Mapped[Mapping[str, Any]] = _object()
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
    def is_settled(self) -> bool:
        """Whether nothing more happens to it without a person."""
        return self.status in SETTLED

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
    source_index: Mapped[int | None] = mapped_column(Whole)


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
    width_px: Mapped[int | None] = mapped_column(Whole)
    height_px: Mapped[int | None] = mapped_column(Whole)
    size_bytes: Mapped[int | None] = mapped_column(Whole)
    mime: Mapped[str] = _text()
    note: Mapped[str] = _text()
    corrupt_file: Mapped[str] = _text()
    saved_at: Mapped[float | None] = mapped_column(Seconds)
    is_starred: Mapped[bool] = _flag("starred")
    is_rejected: Mapped[bool] = _flag("rejected")
    metadata_sha256: Mapped[str] = _text("recipe_sha256")


class EventRow(Base):
    """Something that happened to a job; ``status`` is set if it moved the job. Events are only ever added."""

    __tablename__ = "events"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    job_seq: Mapped[int] = _job_key()
    number: Mapped[int] = _key("nr")
    at: Mapped[float] = mapped_column(Seconds)
    kind: Mapped[str] = _text()
    status: Mapped[str] = _text("state")
    detail: Mapped[Mapping[str, Any]] = _object()


class LimitRow(Base):
    """How soon an account may be asked again. ``arrival_at`` is the theoretical arrival time (GCRA), Unix seconds."""

    __tablename__ = "limits"

    account: Mapped[str] = mapped_column(StoredText, primary_key=True)
    kind: Mapped[str] = mapped_column(StoredText, primary_key=True)
    arrival_at: Mapped[float] = mapped_column(Seconds, default=0.0, server_default="0")
    paused_until: Mapped[float | None] = mapped_column(Seconds)
    paused_reason: Mapped[str] = _text()


class MetaRow(Base):
    """A remembered value of this folder."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(StoredText, primary_key=True)
    value: Mapped[str] = _text()


NewJob: TypeAlias = JobRow
NewInput: TypeAlias = InputRow
"""What ``Database.create_or_join`` is given: rows that no database knows yet."""


# ------------------------------------------------------------------ tables without a class of their own


def _job_column(name: str = "job_seq", **options: Any) -> Column[Any]:
    return Column(name, Integer, ForeignKey("jobs.seq"), autoincrement=False, **options)


def _column(name: str, kind: Any, default: str | None = "", **options: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=default, **options)


job_search = Table("job_search", Base.metadata, _job_column(primary_key=True), _column("haystack", StoredText))

job_tags = Table(
    "job_tags",
    Base.metadata,
    _job_column(primary_key=True),
    Column("tag", StoredText, primary_key=True),
    Index("job_tags_tag", "tag"),
    sqlite_with_rowid=False,
)

deletions = Table("deletions", Base.metadata, Column("file", StoredText, primary_key=True))
"""Files of purged jobs that are still to be deleted, so that a crash in between leaves no forgotten picture."""

cost_kinds = Table(
    "cost_kinds",
    Base.metadata,
    Column("source", StoredText, primary_key=True),
    Column("currency", StoredText, primary_key=True),
    Column("odd", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Only the first edition used it."""

# Schema 3

job_accounts = Table(
    "job_accounts", Base.metadata, _job_column(primary_key=True), Column("account", StoredText, nullable=False)
)
"""The account that a job was sent with, whose place at the service it takes."""

caps = Table(
    "caps",
    Base.metadata,
    Column("period", StoredText, primary_key=True),
    _column("user", StoredText, primary_key=True),
    _column("notebook", StoredText, primary_key=True),
    _column("currency", StoredText, primary_key=True),
    Column("amount", Amount, nullable=False),
    _column("set_by", StoredText),
    Column("set_at", Seconds, nullable=False),
)
"""Budgets of a team. ``period`` is day, notebook or total; no user or notebook means all, no currency pictures."""

batches = Table(
    "batches",
    Base.metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", StoredText, nullable=False, unique=True),
    *(_column(name, StoredText) for name in ("name", "notebook", "cell_id", "user", "provider")),
    Column("created_at", Seconds, nullable=False),
    _column("simulated", Flag, "0"),
    _column("rows_hash", StoredText),
    *(_column(name, Whole, "0") for name in ("row_count", "task_count", "reserved_pictures")),
    Column("reserved_amount", Amount),
    _column("reserved_currency", StoredText),
    *(Column(name, Seconds) for name in ("reserved_at", "written_at", "finished_at", "cancelled_at")),
    _column("paused_reason", StoredText),
    _column("details", JsonObject, "{}"),
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
    *(_column(name, Whole, "0") for name in ("position", "part", "occurrence")),
    _column("current", Flag, "1"),
    _column("request_hash", StoredText),
    _column("row", JsonObject, "{}"),
    _job_column(),
    Index("batch_rows_position", "batch_seq", "position", "part"),
    Index("batch_rows_request", "batch_seq", "request_hash", "occurrence"),
    Index("batch_rows_job", "job_seq"),
)
"""One task of one row of a batch, with the job that answers it: ``part`` counts the tasks of a row.

Equal rows with a seed share a job. Seedless rows are found again by batch, hash and occurrence, also after calls with
other rows; those of former calls are not ``current``.
"""


# ------------------------------------------------------------------ defaults and checks


def flag_is(flag: Any, value: bool) -> ColumnElement[bool]:
    """Compare a flag, which is a number to the database."""
    return type_coerce(flag, Integer) == int(value)


@cache
def columns_of(model: type[Base]) -> Mapping[str, Any]:
    """Return the columns of a model by the names of their attributes."""
    return {attribute.key: attribute.columns[0] for attribute in model.__mapper__.column_attrs}


@event.listens_for(Base, "init", propagate=True)
def _fill_in(target: Base, _args: Any, given: dict[str, Any]) -> None:
    for relation in type(target).__mapper__.relationships:
        # Copies: the jobs of one call may be given the same pictures, and a row has one job.
        given[relation.key] = [child.copy() for child in given.get(relation.key, ())]
    for name, column in columns_of(type(target)).items():
        if column.default is not None and name not in given:
            given[name] = _default(column)


@event.listens_for(Base, "attribute_instrument")
def _check_what_is_set(_cls: type, name: str, attribute: Any) -> None:
    column = getattr(attribute.property, "columns", [None])[0]

    def check(_target: Base, value: Any, _old: object, _initiator: object) -> Any:
        if not (value is None and column.nullable) and not accepts(column.type, value):
            raise StoreError(f"{name} = {one_line(repr(value))} cannot be stored in the ledger.")
        return tuple(value) if isinstance(value, list) else value  # as it is read

    if column is not None:
        event.listen(attribute, "set", check, retval=True)


@event.listens_for(Base, "load", propagate=True)
def _check_what_is_read(target: Base, _context: object) -> None:
    damage = []
    for name, column in columns_of(type(target)).items():
        value = getattr(target, name)
        if not (value is None and column.nullable) and not accepts(column.type, value):
            damage.append(f"{name} ({one_line(repr(value), 40)}) cannot be read")
            set_committed_value(target, name, _default(column))
    target.own_damage = "; ".join(damage)


def _default(column: Any) -> Any:
    if column.default is not None:
        return column.default.arg(None) if column.default.is_callable else column.default.arg
    if column.nullable:
        return None
    return Status.FAILED if column.name == "state" else 0.0 if isinstance(column.type, Seconds) else ""
