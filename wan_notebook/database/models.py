"""The tables as SQLAlchemy models. Rows are snapshots: a change returns a new row.

The tables of schema 2 keep their names, columns and order, so that ledgers of the first edition open; attributes have
the names of this edition. ``jobs`` is narrow, since filters and sums read it whole; the long columns are in
``job_texts``. ``JobRow`` is both (joined-table inheritance).

What a column may hold is part of its type, and checked once a row, before it is written and when it is read. A stored
value that does not fit is replaced by a default and named in ``damage``: one odd row stops no query.
"""

import datetime as dt
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, Self

from sqlalchemy import BigInteger, Column, Dialect, ForeignKey, Index, Integer, Table, Text, and_, event, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.types import UserDefinedType

from ..errors import StoreError
from ..files import is_inside
from ..money import Cost, Source, to_decimal
from ..request import hash_of_canonical
from ..text import one_line
from ..validation import Mode, limits_of
from .status import OPEN, Status

TIME_MAX_S: Final = 7_258_118_400
"""1 January 2200: pandas ends in 2262."""
INTEGER_MAX: Final = 2**31 - 1
LEFT_MAX_S: Final = 3600.0
"""A lease that ends later than this was given by a clock that was wrong: it holds nothing."""
_ESCAPED: Final = "wan-escaped:"
"""Marks a text in which the first edition escaped NUL and lone surrogates."""
_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half a character: also what stands for a byte that is not UTF-8, where SQLite's texts are read."""

HINT: Final = "\n→ "
"""Stands between an error message and its hint."""
_OPEN_CLAUSE: Final = f"state IN ({', '.join(repr(status.value) for status in sorted(OPEN))})"

# Worded like the partial index, or SQLite could not use it: with bound values it cannot.
IS_OPEN: Final = text(f"jobs.{_OPEN_CLAUSE}")


LISTED: Final = "list price"
"""How the note of a cost begins that nobody but the price list said."""


class Price(NamedTuple):
    """The price of one picture.

    ``day`` is the local one on which the service billed it; ``listed`` says when it was in the service's price list.
    With neither it is a price as set.
    """

    amount: Decimal
    currency: str
    day: dt.date | None = None
    listed: str = ""

    @property
    def note(self) -> str:
        """Who says so."""
        if self.listed:
            return f"{LISTED}, {self.listed}"
        return f"as billed {self.day:%-d %b}" if self.day else "price as set"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that works on jobs. ``token`` is unique to this run of it."""

    host: str
    pid: int
    token: str

    @classmethod
    def this_process(cls) -> Self:
        """Return an owner for this process, with a token of its own."""
        return cls(host=socket.gethostname(), pid=os.getpid(), token=secrets.token_hex(8))

    def is_dead(self) -> bool:
        """Say whether it certainly lives no more: it ran on this host, and its pid is gone."""
        if self.host != socket.gethostname() or os.name == "nt":  # where signal 0 would end the process
            return False
        try:
            os.kill(self.pid, 0)
        except OSError as error:  # another one: it is a process of somebody else
            return isinstance(error, ProcessLookupError)
        return False


# Types of columns ----------------------------------------------------------------------------------------------------


class Stored(UserDefinedType[Any]):
    """A type with its rule: ``fits`` tells whether a value can be kept as it is.

    ``write`` makes it a text or number where the driver has no type for it, ``read`` makes it a value again, or leaves
    what it cannot read.
    """

    cache_ok = True

    def __init__(
        self,
        sql: str,
        fits: Callable[[Any], bool],
        write: Callable[[Any], Any] | None = None,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self.sql, self.fits, self.write, self.read = sql, fits, write, read

    def get_col_spec(self, **_: Any) -> str:
        return self.sql

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:  # noqa: ARG002
        return self.write

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:  # noqa: ARG002
        return self.read


def storable(text: str) -> str:
    """Return a text that every database takes, lone surrogates replaced, and that does not look like an escaped one."""
    text = _HALF.sub("?", text)
    return f" {text}" if text.startswith(_ESCAPED) else text


def _unescaped(text: str) -> str:
    """Return a stored text as it was before the first edition escaped it, without half characters."""
    text = text.removeprefix(_ESCAPED).encode("ascii", "replace").decode("unicode_escape", "replace")
    return _HALF.sub("?", text)


def is_plausible(amount: object) -> bool:
    """Say whether something can be a price: ``1e999999`` is a number, and writing it out takes a megabyte."""
    return (
        isinstance(amount, Decimal)
        and (amount.is_finite() and amount >= 0)
        and max(len(amount.as_tuple().digits), abs(amount.adjusted())) <= 30
    )


def _parsed(value: Any) -> Any:
    try:
        found = json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value
    return tuple(found) if isinstance(found, list) else found


def _words(*words: str) -> Stored:
    return Stored("TEXT", lambda value: isinstance(value, str) and value in words, str)


_dumped = partial(json.dumps, default=lambda value: str(value) if isinstance(value, Decimal) else dict(value))


def _object_of(**fields: type) -> Stored:
    """Return the type of an object whose known fields, if they are there, are of these types."""
    return Stored(
        "TEXT",
        lambda value: isinstance(value, Mapping) and all(type(value.get(k, v())) is v for k, v in fields.items()),
        _dumped,
        _parsed,
    )


def _list_of(item: type) -> Stored:
    """Return the type of a list of items, which a row holds as a tuple."""
    return Stored(
        "TEXT", lambda v: isinstance(v, tuple | list) and all(isinstance(i, item) for i in v), _dumped, _parsed
    )


INTEGER: Final = Stored("INTEGER", lambda value: type(value) is int and abs(value) <= INTEGER_MAX)
TIME: Final = Stored("FLOAT", lambda value: type(value) in (int, float) and 0 <= value <= TIME_MAX_S)
"""Unix seconds, or a duration in seconds."""
TEXT: Final = Stored(
    "TEXT",
    lambda value: isinstance(value, str) and (value.isascii() or not _HALF.search(value)),
    read=lambda value: _unescaped(value) if str(value).startswith(_ESCAPED) else value,
)
FILE: Final = Stored(
    "TEXT",
    lambda value: TEXT.fits(value) and (not value or ("/" in value and is_inside(value) and value.isprintable())),
)
"""A picture's path, relative to the project's folder: beside the ledger stands none, so that none can be its name."""
FLAG: Final = Stored("INTEGER", lambda value: type(value) is bool, int, bool)
"""Partial indexes say ``= 1``, so statements compare it with a number."""
AMOUNT: Final = Stored(
    "TEXT",
    is_plausible,
    write=lambda value: value if value is None else str(value),
    read=lambda value: value if (amount := to_decimal(value)) is None else amount,
)
"""A decimal amount of money, exactly as it was reported."""
STATUS: Final = Stored("TEXT", lambda v: isinstance(v, Status), str, lambda v: Status(v) if v in list(Status) else v)
JSON: Final = _object_of()


class Base(DeclarativeBase):
    """A row. ``own_damage`` says which stored values could not be read."""

    own_damage = ""


Words = Annotated[str, mapped_column(TEXT, default="", server_default="")]
File = Annotated[str, mapped_column(FILE, default="", server_default="")]
Count = Annotated[int, mapped_column(INTEGER, default=0, server_default="0")]
Number = Annotated[int, mapped_column(INTEGER)]
Moment = Annotated[float, mapped_column(TIME)]
Amount = Annotated[Decimal, mapped_column(AMOUNT)]
Flag = Annotated[bool, mapped_column(FLAG, default=False, server_default="0")]
Object = Annotated[Mapping[str, Any], mapped_column(JSON, default=MappingProxyType({}), server_default="{}")]
Texts = Annotated[tuple[str, ...], mapped_column(_list_of(str), default=(), server_default="[]")]
Objects = Annotated[tuple[Mapping[str, Any], ...], mapped_column(_list_of(dict), default=(), server_default="[]")]
Position = Annotated[int, mapped_column(INTEGER, primary_key=True, autoincrement=False, default=0)]
JobKey = Annotated[int, mapped_column(Integer, ForeignKey("jobs.seq"), primary_key=True, autoincrement=False)]
WIDE: Final = {"sqlite_with_rowid": False}


def _partial_index(name: str, clause: str, *columns: Any) -> Index:
    return Index(name, *columns, sqlite_where=text(clause), postgresql_where=text(clause))


# Tables --------------------------------------------------------------------------------------------------------------


class JobSummary(Base):
    """The narrow columns of a job: what filters and sums read."""

    __tablename__ = "jobs"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(TEXT, unique=True, default="")
    status: Mapped[Status] = mapped_column("state", STATUS, default=Status.FAILED)
    is_simulated: Mapped[Flag] = mapped_column("simulated")
    created_at: Mapped[float] = mapped_column(TIME, default=0.0)
    trashed_at: Mapped[Moment | None]
    imported_at: Mapped[Moment | None]
    cost_amount: Mapped[Amount | None]
    cost_currency: Mapped[Words]
    cost_source: Mapped[Words] = mapped_column(_words("", *Source))
    cost_nano: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """Only the first edition used it."""
    n: Mapped[Count]
    picture_count: Mapped[Count]
    """Pictures on disk."""
    seed: Mapped[Number | None]
    duration_s: Mapped[Moment | None]
    is_starred: Mapped[Flag] = mapped_column("starred")
    is_rejected: Mapped[Flag] = mapped_column("rejected")
    notebook: Mapped[Words]
    user: Mapped[Words]
    provider: Mapped[Words]
    model: Mapped[Words]
    mode: Mapped[Words] = mapped_column(_words("", *Mode))
    size_tier: Mapped[Words]
    group_id: Mapped[Words] = mapped_column("batch_id")
    """The jobs of one call share the id of its first new job."""
    group_position: Mapped[Count] = mapped_column("part")
    request_hash: Mapped[Words] = mapped_column("fp_asked")
    request_hash_with_seed: Mapped[Words] = mapped_column("fp_sent")
    task_id: Mapped[Words]
    request_id: Mapped[Words]
    envelope: Mapped[Words]
    name: Mapped[Words]
    tags: Mapped[Texts]
    cell_id: Mapped[Words]
    key_fingerprint: Mapped[Words]
    reserved_amount: Mapped[Amount | None]
    """The most that it can cost; None if no price is known."""
    reserved_currency: Mapped[Words]
    cost_note: Mapped[Words]
    error_code: Mapped[Words]
    sending_at: Mapped[Moment | None]
    accepted_at: Mapped[Moment | None]
    first_running_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]
    saved_at: Mapped[Moment | None]
    expires_at: Mapped[Moment | None]
    owner_host: Mapped[Words]
    owner_pid: Mapped[Number | None]
    owner_started: Mapped[Moment | None]
    owner_token: Mapped[Words]
    lease_until: Mapped[Moment | None]
    purged_at: Mapped[Moment | None]
    missing: Mapped[Count]
    """Pictures that were asked for and not delivered."""

    def hold(self, owner: Owner, until: float) -> None:
        """Write down who works on it, and until when (Unix seconds)."""
        self.owner_host, self.owner_pid, self.owner_token, self.lease_until = owner.host, owner.pid, owner.token, until

    def is_held(self, now: float) -> bool:
        """Say whether somebody who may live has a lease of it that is good at a time."""
        owner = Owner(host=self.owner_host, pid=self.owner_pid or 0, token=self.owner_token)
        return owner.token != "" and 0 <= (self.lease_until or 0.0) - now <= LEFT_MAX_S and not owner.is_dead()

    @classmethod
    def has_lease(cls, now: float) -> Any:
        """Return the same for statements, which cannot look for a process."""
        return and_(cls.owner_token != "", cls.lease_until.between(now, now + LEFT_MAX_S))

    def is_abandoned(self, now: float) -> bool:
        """Say whether it was never sent and nobody will: the same call sends it, and pays for it."""
        return self.status is Status.INTENT and not self.is_held(now)


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
KIND: Final = (JobSummary.provider, JobSummary.model, JobSummary.mode, JobSummary.size_tier, JobSummary.n)
"""Jobs that are alike in these take about as long."""
_partial_index("jobs_durations", "duration_s IS NOT NULL", *KIND, JobSummary.finished_at)
_partial_index("jobs_open", _OPEN_CLAUSE, JobSummary.status)
_partial_index("jobs_prices", "cost_source = 'reported'", *KIND[:2], JobSummary.created_at)
_partial_index("jobs_starred", "starred = 1", JobSummary.seq)

_PARAMETERS: Final = _object_of(
    **dict.fromkeys(("size", "negative_prompt"), str),
    **dict.fromkeys(("n", "max_images", "seed"), int),
    **dict.fromkeys(("enable_interleave", "enable_sequential", "watermark", "prompt_extend", "thinking_mode"), bool),
)


class JobRow(JobSummary):
    """A job with everything that is known of it; a new one, for ``Database.create_or_join``, has no id yet.

    ``request`` is the canonical request as sent, ``items`` are pictures and texts in their order
    (``{"picture": index}`` or ``{"text": "…"}``).
    """

    __tablename__ = "job_texts"

    job_seq: Mapped[JobKey]
    prompt: Mapped[Words]
    negative_prompt: Mapped[Words]
    base_url: Mapped[Words]
    parameters: Mapped[Object] = mapped_column(_PARAMETERS)
    request: Mapped[Object]
    versions: Mapped[Object]
    usage: Mapped[Object]
    service_metadata: Mapped[Object] = mapped_column("metadata")
    items: Mapped[Objects]
    notes: Mapped[Texts]
    pending_inputs: Mapped[Objects]
    error_text: Mapped[Words] = mapped_column("error_message")
    service_submit_text: Mapped[Words]
    service_end_text: Mapped[Words]
    inputs: Mapped[list["InputRow"]] = relationship(
        lazy="selectin", order_by="InputRow.position", cascade="all, delete-orphan"
    )
    pictures: Mapped[list["PictureRow"]] = relationship(
        lazy="selectin", order_by="PictureRow.index", cascade="all, delete-orphan"
    )

    request_position = 0
    """Of a new job: counts the tasks of one request. Only the first bears the hash of a request without a seed."""

    @property
    def cost(self) -> Cost:
        """What it cost, as far as known."""
        is_known = self.cost_amount is not None and self.cost_source not in ("", Source.UNKNOWN)
        source = Source(self.cost_source) if is_known else Source.UNKNOWN
        return Cost(self.cost_amount if is_known else None, self.cost_currency or "USD", source, self.cost_note)

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

    def hashes_agree(self) -> bool:
        """Say whether its hashes are those of its request and inputs: one that was edited must answer no other."""
        given, parameters = [each.identity for each in self.inputs], self.request.get("parameters")
        if not isinstance(parameters, Mapping) or (self.request.get("images") != given and not self.pending_inputs):
            return False
        seedless = {**self.request, "parameters": {k: v for k, v in parameters.items() if k != "seed"}}
        hashes = (hash_of_canonical(self.request), hash_of_canonical(seedless))
        return self.request_hash_with_seed == hashes[0] and self.request_hash in hashes

    @property
    def error_message(self) -> str:
        """The service's words about a failure."""
        return self.error_text.partition(HINT)[0]

    @property
    def error_hint(self) -> str:
        """What a person can do about it; empty if nothing is known."""
        return self.error_text.partition(HINT)[2]

    @property
    def rewrite(self) -> bool | None:
        """Whether the service rewrote the prompt: None where it was not said, and where it is never done."""
        is_rewritten = "prompt_extend" in limits_of(self.model, self.mode).options
        said = self.parameters.get("prompt_extend") if is_rewritten else None
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
    __table_args__ = WIDE

    job_seq: Mapped[JobKey]
    position: Mapped[Position]
    name: Mapped[Words]
    identity: Mapped[Words]
    sha256: Mapped[Words]
    file: Mapped[File]
    width_px: Mapped[Count]
    height_px: Mapped[Count]
    mime: Mapped[Words]
    source_job: Mapped[Words]
    source_index: Mapped[Number | None]


class PictureRow(Base):
    """A picture (or video) that the service delivered.

    ``url`` is a signed address, kept until the picture is saved; ``sha256`` is of the bytes as the service sent them;
    ``corrupt_file`` names bytes that cannot be read as a picture.
    """

    __tablename__ = "pictures"
    __table_args__ = (_partial_index("pictures_starred", "starred = 1", "job_seq"), WIDE)

    job_seq: Mapped[JobKey]
    index: Mapped[Position] = mapped_column("idx")
    kind: Mapped[Words]
    url: Mapped[Words]
    remote_id: Mapped[Words]
    sha256: Mapped[Words]
    file: Mapped[File]
    file_sha256: Mapped[Words]
    width_px: Mapped[Number | None]
    height_px: Mapped[Number | None]
    size_bytes: Mapped[Number | None]
    mime: Mapped[Words]
    note: Mapped[Words]
    corrupt_file: Mapped[File]
    saved_at: Mapped[Moment | None]
    is_starred: Mapped[Flag] = mapped_column("starred")
    is_rejected: Mapped[Flag] = mapped_column("rejected")
    metadata_sha256: Mapped[Words] = mapped_column("recipe_sha256")


class EventRow(Base):
    """Something that happened to a job; ``status`` is set if it moved the job. Events are only ever added."""

    __tablename__ = "events"
    __table_args__ = WIDE

    job_seq: Mapped[JobKey]
    number: Mapped[Position] = mapped_column("nr")
    at: Mapped[float] = mapped_column(TIME, default=0.0)
    kind: Mapped[Words]
    status: Mapped[Words] = mapped_column("state")
    detail: Mapped[Object]


class LimitRow(Base):
    """How soon an account may be asked again. ``arrival_at`` is the theoretical arrival time (GCRA), Unix seconds."""

    __tablename__ = "limits"

    account: Mapped[str] = mapped_column(TEXT, primary_key=True)
    kind: Mapped[str] = mapped_column(TEXT, primary_key=True)
    arrival_at: Mapped[float] = mapped_column(TIME, default=0.0, server_default="0")
    paused_until: Mapped[Moment | None]
    paused_reason: Mapped[Words]


class BatchRow(Base):
    """One call of ``map``: its identity, how many rows and tasks it has, and how it stands.

    ``reserved_pictures`` and ``reserved_amount`` are for tasks whose jobs are not written yet; they hold for a minute
    after ``reserved_at``, since a kernel that was killed writes no more. ``details`` has what a later kernel needs.
    """

    __tablename__ = "batches"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(TEXT, unique=True, default="")
    name: Mapped[Words]
    notebook: Mapped[Words]
    cell_id: Mapped[Words]
    user: Mapped[Words]
    provider: Mapped[Words]
    created_at: Mapped[float] = mapped_column(TIME, default=0.0)
    is_simulated: Mapped[Flag] = mapped_column("simulated")
    rows_hash: Mapped[Words]
    row_count: Mapped[Count]
    task_count: Mapped[Count]
    reserved_pictures: Mapped[Count]
    reserved_amount: Mapped[Amount | None]
    reserved_currency: Mapped[Words]
    reserved_at: Mapped[Moment | None]
    written_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]
    cancelled_at: Mapped[Moment | None]
    paused_reason: Mapped[Words]
    details: Mapped[Object]

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that say which batch it is: by its name, else by its cell and rows."""
        return ("notebook", "name") if self.name else ("notebook", "name", "cell_id", "rows_hash")


class BatchTaskRow(Base):
    """One task of a batch: the ``part``-th of a row, and the job that answers it; the first has the caller's row."""

    __tablename__ = "batch_rows"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    batch_seq: Mapped[int] = mapped_column(Integer, ForeignKey("batches.seq"))
    position: Mapped[Count]
    part: Mapped[Count]
    occurrence: Mapped[Count]
    is_current: Mapped[bool] = mapped_column("current", FLAG, default=True, server_default="1")
    request_hash: Mapped[Words]
    columns: Mapped[Object] = mapped_column("row")
    job_seq: Mapped[int | None] = mapped_column(Integer, ForeignKey("jobs.seq"))


Index("batches_name", BatchRow.name)
Index("batches_cell", BatchRow.notebook, BatchRow.cell_id)
Index("batch_rows_position", BatchTaskRow.batch_seq, BatchTaskRow.position, BatchTaskRow.part)
Index("batch_rows_request", BatchTaskRow.batch_seq, BatchTaskRow.request_hash, BatchTaskRow.occurrence)
Index("batch_rows_job", BatchTaskRow.job_seq)


class MetaRow(Base):
    """A remembered value of this folder."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(TEXT, primary_key=True)
    value: Mapped[Words]


def _table(name: str, *columns: Any, **options: Any) -> Table:
    key = Column("job_seq", Integer, ForeignKey("jobs.seq"), autoincrement=False, primary_key=True)
    return Table(name, Base.metadata, key, *columns, **options)


job_search = _table("job_search", Column("haystack", Text, nullable=False, server_default=""))
job_tags = _table("job_tags", Column("tag", TEXT, primary_key=True), Index("job_tags_tag", "tag"), **WIDE)
job_accounts = _table("job_accounts", Column("account", TEXT, nullable=False))
"""The account that a job was sent with, whose place at the service it takes. What no code uses is in ``unused.sql``."""


# Defaults and checks -------------------------------------------------------------------------------------------------


@cache
def columns_of(model: type[Base]) -> Mapping[str, Any]:
    """Return the columns of a model by the names of their attributes."""
    return {attribute.key: attribute.columns[0] for attribute in model.__mapper__.column_attrs}


@cache
def _defaults(model: type[Base]) -> Mapping[str, Any]:
    columns = columns_of(model).items()
    return {name: getattr(c.default, "arg", None) for name, c in columns if c.default is not None or not c.primary_key}


@cache
def _rules(model: type[Base]) -> Mapping[str, Callable[[Any], bool]]:
    """Return what tells whether a value fits, by attribute."""
    stored = {name: c for name, c in columns_of(model).items() if isinstance(c.type, Stored)}
    return {
        name: partial(_none_or, column.type.fits) if column.nullable or column.primary_key else column.type.fits
        for name, column in stored.items()
    }


def _none_or(fits: Callable[[Any], bool], value: Any) -> bool:
    return value is None or fits(value)


def _misfits(row: Base, names: Collection[str]) -> dict[str, Any]:
    """Return those values of some attributes that their columns cannot hold."""
    value_of = inspect(row).dict.get  # past the attributes: for each row that is read, they would take most of the time
    rules = _rules(type(row))
    return {name: value_of(name) for name in rules.keys() & names if not rules[name](value_of(name))}


@event.listens_for(Base, "init", propagate=True)
def _fill_in(row: Base, _args: Any, given: dict[str, Any]) -> None:
    given |= {**_defaults(type(row)), **given}


@event.listens_for(Base, "before_insert", propagate=True)
@event.listens_for(Base, "before_update", propagate=True)
def check(*event_and_row: Any) -> None:
    """Make texts storable. Raise ``StoreError`` for what cannot be stored, or would be wrong in every sum."""
    row: Base = event_and_row[-1]
    changed = columns_of(type(row)).keys() - inspect(row).unmodified
    for name in changed:
        value = getattr(row, name)
        if isinstance(value, str) and value != (safe := storable(value)):
            setattr(row, name, safe)
    for name, value in _misfits(row, changed).items():
        raise StoreError(f"{name} = {one_line(repr(value))} cannot be stored in the ledger.")


@event.listens_for(Base, "load", propagate=True)
@event.listens_for(Base, "refresh", propagate=True)
def _check_what_is_read(row: Base, *_: object) -> None:
    odd = _misfits(row, columns_of(type(row)))
    row.own_damage = "; ".join(f"{name} ({one_line(repr(value), 40)}) cannot be read" for name, value in odd.items())
    for name in odd:
        set_committed_value(row, name, _defaults(type(row)).get(name))


def search_text(*parts: object) -> str:
    """Return what the history's search looks through: case-folded, one line a part."""
    return re.sub("[\0\ud800-\udfff]", " ", "\n".join(str(part) for part in parts if part not in (None, ""))).casefold()
