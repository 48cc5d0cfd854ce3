"""The history as data: one flat record a job, with documented columns, for pandas, Parquet, CSV and JSON Lines.

Times are UTC, durations seconds, lengths pixels, money exact decimals beside their currency and source. What nobody
said is missing, never 0: a cost of a service that reported none, the seed of a record that has none.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TextIO

from .errors import CellError, StoreError
from .jobs.outcome import cost_of_row
from .ledger import HistoryQuery, JobRow, Ledger

Kind = Literal["text", "whole", "number", "flag", "time", "money", "texts"]
Record = Mapping[str, Any]

MONEY_DIGITS: Final = (38, 12)
"""Precision and scale of the Parquet column: every amount below 10²⁶ with up to 12 decimals, exactly."""

PAGE: Final = 1000

_INSTALL: Final = 'Run `pip install "wan-notebook[pandas]"`.'


@dataclass(frozen=True)
class Column:
    """One column: what kind of value, and what it says (with its unit)."""

    kind: Kind
    says: str


COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "id": Column("text", "the job's id; `%wan show ID` shows it"),
        "created_at": Column("time", "when it was asked, UTC"),
        "state": Column("text", "saved, failed, cancelled, …: the states of a job"),
        "mode": Column("text", "edit, text to image or illustrated text"),
        "prompt": Column("text", "the prompt as sent"),
        "negative_prompt": Column("text", "the negative prompt as sent"),
        "seed": Column("whole", "the seed that was sent"),
        "n": Column("whole", "pictures asked for, at most"),
        "pictures": Column("whole", "pictures on disk"),
        "missing": Column("whole", "pictures asked for and not delivered"),
        "width_px": Column("whole", "width of the first picture, pixels"),
        "height_px": Column("whole", "height of the first picture, pixels"),
        "size": Column("text", "the size as sent: 1K, 2K or 1280*720 (pixels)"),
        "rewrite": Column("flag", "whether the service rewrote the prompt; missing where the mode has no rewriting"),
        "model": Column("text", "the model's canonical name"),
        "provider": Column("text", "which service was asked"),
        "simulated": Column("flag", "a practice picture, which no model made"),
        "task_id": Column("text", "the service's own id"),
        "duration_s": Column("number", "how long the service worked by its own clock, seconds"),
        "cost_amount": Column("money", "what the job cost, in cost_currency; missing if nobody said"),
        "cost_currency": Column("text", "ISO 4217 code"),
        "cost_source": Column("text", "reported, estimated, simulated or unknown"),
        "tags": Column("texts", "tags"),
        "name": Column("text", "the variable it was bound to (--as)"),
        "notebook": Column("text", "the notebook it was asked in, if the front end said so"),
        "user": Column("text", "who asked"),
        "starred": Column("flag", "marked with a star"),
        "files": Column("texts", "the pictures' files, relative to `folder`"),
        "sha256": Column("texts", "SHA-256 of each picture as the service sent it, hex"),
        "error_code": Column("text", "the service's error code"),
        "error_message": Column("text", "the service's words about a failure"),
        "folder": Column("text", "the folder of pictures"),
    }
)
"""Every column of the history as data, in its order."""

_PANDAS: Final[Mapping[Kind, str]] = MappingProxyType(
    {"text": "string", "whole": "Int64", "number": "Float64", "flag": "boolean", "money": "object", "texts": "object"}
)


def record_of(row: JobRow, folder: str = "") -> dict[str, Any]:
    """Return one job as a flat record: times in Unix seconds, money as ``Decimal``, None for what is missing."""
    saved = [p for p in row.pictures if p.saved_at]
    cost = cost_of_row(row)
    return {
        "id": row.id,
        "created_at": row.created_at,
        "state": row.state.value,
        "mode": row.mode,
        "prompt": row.prompt,
        "negative_prompt": row.negative_prompt,
        "seed": row.seed,
        "n": row.n,
        "pictures": len(saved),
        "missing": row.missing,
        "width_px": saved[0].width_px if saved else None,
        "height_px": saved[0].height_px if saved else None,
        "size": row.parameters.get("size"),
        "rewrite": row.rewrite,
        "model": row.model,
        "provider": row.provider,
        "simulated": row.simulated,
        "task_id": row.task_id,
        "duration_s": row.duration_s,
        "cost_amount": cost.amount,
        "cost_currency": cost.currency,
        "cost_source": cost.source.value,
        "tags": list(row.tags),
        "name": row.name,
        "notebook": row.notebook,
        "user": row.user,
        "starred": row.starred,
        "files": [p.file for p in saved],
        "sha256": [p.sha256 for p in saved],
        "error_code": row.error_code,
        "error_message": row.error_message,
        "folder": folder,
    }


def matching(ledger: Ledger, folder: Path, query: HistoryQuery, *, is_limited: bool) -> Iterator[dict[str, Any]]:
    """Yield the jobs that a query matches as flat records: its one page, or, not limited, every page.

    A job that comes while pages are read is not among them, and none comes twice.
    """
    if is_limited:
        yield from (record_of(row, str(folder)) for row in ledger.history(query).rows)
        return
    seen: set[str] = set()
    offset = 0
    while True:
        rows = ledger.history(replace(query, offset=offset, limit=PAGE)).rows
        for row in rows:
            if row.id not in seen:
                seen.add(row.id)
                yield record_of(row, str(folder))
        if len(rows) < PAGE:
            return
        offset += PAGE


def to_pandas(records: Iterable[Record]) -> Any:
    """Return a DataFrame of nullable types; ``cost_amount`` holds ``Decimal``. Raises ``CellError`` without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise CellError("pandas is not installed.", hint=_INSTALL) from error
    frame = pd.DataFrame(list(records), columns=list(COLUMNS))
    for name, column in COLUMNS.items():
        if column.kind == "time":
            frame[name] = pd.to_datetime(frame[name], unit="s", utc=True)
        elif (dtype := _PANDAS[column.kind]) != "object":
            frame[name] = frame[name].astype(dtype)
        else:  # an empty column of lists or decimals would become float
            frame[name] = frame[name].astype("object").where(frame[name].notna(), None)
    return frame


def to_parquet(records: Iterable[Record], path: str | Path) -> Path:
    """Write Parquet: money as ``decimal128``, times in microseconds UTC, tags and files as lists.

    Each column says what it means in its metadata. Raises ``CellError`` without pyarrow, or ``StoreError``.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise CellError("pyarrow is not installed.", hint=_INSTALL) from error
    types = {
        "text": pa.string(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "money": pa.decimal128(*MONEY_DIGITS),
        "texts": pa.list_(pa.string()),
    }
    given = list(records)
    schema = pa.schema([pa.field(n, types[c.kind], metadata={"description": c.says}) for n, c in COLUMNS.items()])
    arrays = [pa.array([_for_arrow(n, r.get(n)) for r in given], type=schema.field(n).type) for n in COLUMNS]
    table = pa.Table.from_arrays(arrays, schema=schema)
    with _written(path) as part:
        pq.write_table(table, part)
    return Path(path)


def to_csv(records: Iterable[Record], path: str | Path) -> Path:
    """Write CSV in UTF-8: times in ISO 8601 UTC, flags as true and false, tags and files as JSON lists.

    A cell is empty for what is missing. Raises ``StoreError`` if the place cannot be written.
    """
    with _written(path) as part, _text(part) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([_in_cell(n, record.get(n)) for n in COLUMNS] for record in records)
    return Path(path)


def to_jsonl(records: Iterable[Record], path: str | Path) -> Path:
    """Write one JSON object a line: times in ISO 8601 UTC, money as decimal text, null for what is missing.

    Raises ``StoreError`` if the place cannot be written.
    """
    with _written(path) as part, _text(part) as file:
        file.writelines(json.dumps(as_json(record), ensure_ascii=False) + "\n" for record in records)
    return Path(path)


def as_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON can hold it."""
    return {name: _plain(COLUMNS[name].kind, record.get(name)) for name in COLUMNS}


def _plain(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    if kind == "time":
        return iso_time(value)
    return f"{value:f}" if isinstance(value, Decimal) else value


def iso_time(at: float) -> str:
    """Write a time as ISO 8601 in UTC, to the microsecond."""
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="microseconds")


def _in_cell(name: str, value: Any) -> str:
    plain = _plain(COLUMNS[name].kind, value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _for_arrow(name: str, value: Any) -> Any:
    kind = COLUMNS[name].kind
    if value is None:
        return None
    if kind == "time":
        return dt.datetime.fromtimestamp(value, tz=dt.UTC)
    if kind == "money":
        return _within(value)
    return [_sound(text) for text in value] if kind == "texts" else _sound(value)


def _within(amount: Decimal) -> Decimal:
    shorter = Decimal(f"{amount.normalize():f}")
    exponent, too_large = shorter.as_tuple().exponent, 10 ** (MONEY_DIGITS[0] - MONEY_DIGITS[1])
    if not isinstance(exponent, int) or -exponent > MONEY_DIGITS[1] or shorter >= too_large:
        message = f"the amount {amount} does not fit a Parquet decimal of {MONEY_DIGITS[0]} digits."
        raise CellError(message, hint="Write CSV or JSON Lines, which keep any amount exactly.")
    return shorter


def _sound(value: Any) -> Any:
    """Replace half a surrogate pair, which UTF-8 cannot hold."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield file


@contextmanager
def _written(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside the wanted one, which replaces it in one step; nothing is left half-written."""
    target = Path(path).expanduser()
    part = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(target)
    except OSError as error:
        message = f"cannot write {target} ({error.strerror or error})."
        raise StoreError(message, hint="Choose another place, or make room.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
