"""Between Python values and columns, for every column by name: one table says how each is stored.

Text from outside may hold NUL or lone surrogates, which databases refuse or cut: such text is stored escaped, behind a
mark, and comes back exactly as it was.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from wan_notebook.money import Source, to_decimal
from wan_notebook.states import JobState

from . import schema
from .faults import LedgerError
from .job_row import JobDetails, JobRow
from .rows import Event, InputRecord, PictureRecord

_DIGITS_MAX = 30
_MARK = "wan-escaped:"
_AWKWARD = re.compile("[\x00\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def encode_text(value: Any) -> str:
    """Return text as it can be stored."""
    if not isinstance(value, str):
        raise TypeError
    if value.isascii():
        plain = "\x00" not in value and not value.startswith(_MARK)
    else:
        plain = not _AWKWARD.search(value) and not value.startswith(_MARK)
    # str(): an enumeration's member is a str to Python, but drivers want the plain type.
    return str(value) if plain else _MARK + value.encode("unicode_escape").decode("ascii")


def decode_text(value: str) -> str:
    """Return stored text as it was given."""
    return value[len(_MARK) :].encode("ascii").decode("unicode_escape") if value.startswith(_MARK) else value


def _object(value: Any) -> str:
    if not isinstance(value, Mapping):
        raise TypeError
    return encode_json(value)


def _list(value: Any) -> str:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    return encode_json(value)


def encode_json(value: Any) -> str:
    """Return JSON as it can be stored; decimals become their text."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return json.dumps(value, default=_plain) if _SURROGATES.search(text) else text


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    raise TypeError


def search_text(*parts: object) -> str:
    """Return what the history's search looks through: case-folded, one line a part."""
    return _AWKWARD.sub(" ", "\n".join(str(part) for part in parts if part not in (None, ""))).casefold()


def _integer(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise TypeError
    return value


def _real(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def decimal_of(value: object) -> Decimal:
    """Return an exported amount; ``LedgerError`` if it is no decimal."""
    amount = to_decimal(value)
    if amount is None or not is_sane(amount):
        raise LedgerError(f"{str(value)[:40]!r} is no amount.")
    return amount


def _decimal(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError
    return str(value)


def is_sane(amount: Decimal) -> bool:
    """Say whether an amount can be a price: ``1e999999`` is a number, and writing it out takes a megabyte."""
    return amount.is_finite() and abs(amount.adjusted()) <= _DIGITS_MAX and len(amount.as_tuple().digits) <= _DIGITS_MAX


def nano(amount: Decimal | None) -> int | None:
    """Return an amount in billionths if it is a whole number of them and below a million, so that sums stay exact."""
    if amount is None or not 0 <= amount < 1_000_000:
        return None
    exponent = amount.as_tuple().exponent
    return int(amount * 10**9) if isinstance(exponent, int) and exponent >= -9 else None


def _flag(value: Any) -> int:
    if not isinstance(value, bool):
        raise TypeError
    return int(value)


def _source(value: Any) -> str:
    return Source(value).value if value != "" else ""


def _state(value: Any) -> str:
    return JobState(value).value


_FLAGS = {"simulated", "starred", "rejected"}
_DECIMALS = {"reserved_amount", "cost_amount"}
_OBJECTS = {"parameters", "request", "versions", "usage", "metadata", "detail"}
_LISTS = {"tags", "items", "notes", "pending_inputs"}


def _encoder(column: sa.Column[Any]) -> Callable[[Any], Any]:
    name = column.name
    if name in _FLAGS:
        return _flag
    if name in _DECIMALS:
        return _decimal
    if name in _OBJECTS:
        return _object
    if name in _LISTS:
        return _list
    if name == "cost_source":
        return _source
    if name == "state":
        return _state
    if isinstance(column.type, sa.Float):
        return _real
    return _integer if isinstance(column.type, sa.Integer) else encode_text


def _decoder(name: str, *, is_text: bool) -> Callable[[Any], Any] | None:
    special: dict[str, Callable[[Any], Any]] = {"state": JobState}
    if name in special:
        return special[name]
    if name in _FLAGS:
        return bool
    if name in _DECIMALS:
        return lambda text: None if text is None else Decimal(text)
    if name in _OBJECTS:
        return json.loads
    if name in _LISTS:
        return lambda text: tuple(json.loads(text)) if text != "[]" else ()
    return decode_text if is_text else None


def _tables(*tables: sa.Table) -> dict[str, Callable[[Any], Any]]:
    return {column.name: _encoder(column) for table in tables for column in table.columns}


JOB_COLUMNS = tuple(column.name for column in schema.JOB)
TEXT_COLUMNS = tuple(column.name for column in schema.job_texts.columns if column.name != "job_seq")
INPUT_COLUMNS = tuple(column.name for column in schema.inputs.columns if column.name != "job_seq")
PICTURE_COLUMNS = tuple(column.name for column in schema.pictures.columns if column.name != "job_seq")

_ENCODERS = _tables(schema.jobs, schema.job_texts)
_CHILD_ENCODERS = {**_tables(schema.inputs), **_tables(schema.pictures)}


def _decoders(columns: Iterable[sa.Column[Any]]) -> tuple[Callable[[Any], Any] | None, ...]:
    return tuple(
        _decoder(column.name, is_text=isinstance(column.type, sa.Text))
        for column in columns
        if column.name != "job_seq"
    )


_JOB_DECODERS = _decoders(schema.JOB)
_TEXT_DECODERS = _decoders(schema.job_texts.columns)
_INPUT_DECODERS = _decoders(schema.inputs.columns)
_PICTURE_DECODERS = _decoders(schema.pictures.columns)


def encode(name: str, value: Any) -> Any:
    """Return the value of one column of a job as it is stored; ``LedgerError`` if it is not of the column's type."""
    return _encode(_ENCODERS, name, value)


def _encode(encoders: Mapping[str, Callable[[Any], Any]], name: str, value: Any) -> Any:
    try:
        return encoders[name](value)
    except KeyError:
        raise LedgerError(f"The ledger has no column {name!r}.") from None
    except (TypeError, ValueError):
        raise LedgerError(f"The ledger cannot store {repr(value)[:80]} as {name!r}.") from None


def input_values(record: InputRecord) -> tuple[Any, ...]:
    """Return the columns of an input picture, in their order."""
    return tuple(_encode(_CHILD_ENCODERS, name, getattr(record, name)) for name in INPUT_COLUMNS)


def picture_values(record: PictureRecord) -> tuple[Any, ...]:
    """Return the columns of a picture, in their order. A saved picture's address is dropped: it is a signed one."""
    values = {name: _encode(_CHILD_ENCODERS, name, getattr(record, name)) for name in PICTURE_COLUMNS}
    if record.saved_at is not None:
        values["url"] = ""
    return tuple(values.values())


def job_row(row: Sequence[Any], load: Callable[[int], JobDetails]) -> JobRow:
    """Return a row of ``jobs``; ``load`` reads its details when they are asked for."""
    return JobRow(*[*_decoded(_JOB_DECODERS, row), load])


def text_values(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row of ``job_texts`` (without its key) as Python values by name."""
    return dict(zip(TEXT_COLUMNS, _decoded(_TEXT_DECODERS, row), strict=True))


def input_record(row: Sequence[Any]) -> InputRecord:
    """Return a row of ``inputs`` (without its key)."""
    return InputRecord(**dict(zip(INPUT_COLUMNS, _decoded(_INPUT_DECODERS, row), strict=True)))


def picture_record(row: Sequence[Any], job_id: str) -> PictureRecord:
    """Return a row of ``pictures`` (without its key)."""
    return PictureRecord(job_id=job_id, **dict(zip(PICTURE_COLUMNS, _decoded(_PICTURE_DECODERS, row), strict=True)))


def _decoded(decoders: Sequence[Callable[[Any], Any] | None], row: Sequence[Any]) -> list[Any]:
    return [value if decode is None else decode(value) for decode, value in zip(decoders, row, strict=True)]


def event(row: Sequence[Any]) -> Event:
    """Return ``at, kind, state, detail`` of a row of ``events``."""
    at, kind, state, detail = row
    return Event(at=at, kind=kind, state=state, detail=json.loads(detail))


def decode_list(text: str) -> tuple[Any, ...]:
    """Return a stored JSON list."""
    return tuple(json.loads(text))
