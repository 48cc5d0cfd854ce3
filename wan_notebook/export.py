"""The history as data: one flat record a job or a picture, for pandas, Excel, Parquet, CSV and JSON Lines.

Times are UTC, durations seconds, lengths pixels, money exact decimals beside their currency and source. What nobody
said is missing, never 0: the cost where a service reported none, the seed of a record that has none.
"""

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from .database import FREE, JobRow, PictureRow
from .errors import CellError, import_optional
from .jobs import cost_of
from .money import read_amount
from .storage import write_file

Kind = Literal["text", "whole", "number", "flag", "time", "money", "texts"]
By = Literal["job", "picture"]
Record = Mapping[str, Any]

# Where a spreadsheet of any language may begin a cell; Excel in Japanese takes the wide signs too.
_FORMULA: Final = re.compile(r"(^|[;\t\r\n])(?=[=+\-@＝＋－＠])")
_NOT_IN_EXCEL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Subject(NamedTuple):
    """What one record is about: a job with all its saved pictures, or with one of them."""

    row: JobRow
    pictures: tuple[PictureRow, ...]
    folder: str


class Column(NamedTuple):
    """One column: its kind of value, what it says (with the unit), and how it is read; None is missing."""

    kind: Kind
    says: str
    value: Callable[[Subject], Any]


_SHARED: Final = {
    "id": Column("text", "id of the job; `%wan show ID` shows it", lambda s: s.row.id),
    "created_at": Column("time", "time of the request, UTC", lambda s: s.row.created_at),
    "state": Column("text", "status of the job: saved, failed, cancelled, …", lambda s: str(s.row.status)),
    "mode": Column("text", "edit, text to image, illustrated text or picture set", lambda s: s.row.mode),
    "prompt": Column("text", "prompt as sent", lambda s: s.row.prompt),
    "negative_prompt": Column("text", "negative prompt as sent", lambda s: s.row.negative_prompt),
    "seed": Column("whole", "seed as sent", lambda s: s.row.seed),
    "n": Column("whole", "pictures asked for, at most", lambda s: s.row.n),
    "width_px": Column("whole", "width of the (first) picture, pixels", lambda s: _first(s, "width_px")),
    "height_px": Column("whole", "height of the (first) picture, pixels", lambda s: _first(s, "height_px")),
    "size": Column(
        "text", "size as sent: a tier such as 2K, or 1280*720 (pixels)", lambda s: s.row.parameters.get("size")
    ),
    "rewrite": Column("flag", "whether the service rewrote the prompt, where it does", lambda s: s.row.rewrite),
    "model": Column("text", "name of the model", lambda s: s.row.model),
    "provider": Column("text", "service that was asked", lambda s: s.row.provider),
    "simulated": Column("flag", "whether it is practice, not made by a model", lambda s: s.row.is_simulated),
    "task_id": Column("text", "the service's own id", lambda s: s.row.task_id),
    "duration_s": Column("number", "working time by the service's clock, seconds", lambda s: s.row.duration_s),
    "cost_amount": Column("money", "cost of the job; missing if nobody said", lambda s: _cost(s.row, "amount")),
    "cost_currency": Column("text", "ISO 4217 code", lambda s: _cost(s.row, "currency")),
    "cost_source": Column(
        "text", "reported, estimated, simulated, unknown, not billed", lambda s: _cost(s.row, "source")
    ),
    "practice_price": Column("money", "what a practice job would have cost, USD", lambda s: _practice_price(s.row)),
    "inputs": Column("texts", "names of the input pictures", lambda s: [given.name for given in s.row.inputs]),
    "input_hashes": Column("texts", "tagged hash of each input as given", lambda s: [i.identity for i in s.row.inputs]),
    "tags": Column("texts", "tags", lambda s: list(s.row.tags)),
    "name": Column("text", "variable that it was bound to (--as)", lambda s: s.row.name),
    "group": Column("text", "the jobs of one call share it", lambda s: s.row.group_id),
    "notebook": Column("text", "notebook of the request, if the front end said so", lambda s: s.row.notebook),
    "user": Column("text", "user who asked", lambda s: s.row.user),
    "imported": Column("flag", "whether the record came from a bundle", lambda s: s.row.imported_at is not None),
    "starred": Column("flag", "whether the job or a picture of it has a star", lambda s: _marked(s, "is_starred")),
    "rejected": Column("flag", "whether the job or a picture of it is rejected", lambda s: _marked(s, "is_rejected")),
    "error_code": Column("text", "the service's error code", lambda s: s.row.error_code),
    "error_message": Column("text", "the service's words about a failure", lambda s: s.row.error_message),
    "folder": Column("text", "folder of pictures", lambda s: s.folder),
}
COLUMNS: Final[Mapping[str, Column]] = {
    **_SHARED,
    "pictures": Column("whole", "pictures on disk", lambda s: len(s.pictures)),
    "missing": Column("whole", "pictures asked for and not delivered", lambda s: s.row.missing),
    "files": Column("texts", "files of the pictures, relative to `folder`", lambda s: [p.file for p in s.pictures]),
    "sha256": Column("texts", "SHA-256 of each picture as sent, hex", lambda s: [p.sha256 for p in s.pictures]),
}
"""Every column, one row a job, in its order."""

PICTURE_COLUMNS: Final[Mapping[str, Column]] = {
    **_SHARED,
    "picture": Column("whole", "number of the picture in its job, from 0", lambda s: s.pictures[0].index),
    "file": Column("text", "file of the picture, relative to `folder`", lambda s: s.pictures[0].file),
    "sha256": Column("text", "SHA-256 of the picture as sent, hex", lambda s: s.pictures[0].sha256),
}
"""Every column, one row a picture; costs are still those of the whole job, stars those of the picture or its job."""


def _first(subject: Subject, name: str) -> Any:
    return getattr(subject.pictures[0], name) if subject.pictures else None


def _marked(subject: Subject, name: str) -> bool:
    return any(getattr(marked, name) for marked in (subject.row, *subject.pictures))


def _cost(row: JobRow, name: str) -> Any:
    """Return a part of the cost of a whole job; of one that was never billed nobody reported an amount."""
    if row.status in FREE and not row.is_simulated:
        return "not billed" if name == "source" else None
    return getattr(cost_of(row), name)


def _practice_price(row: JobRow) -> Decimal | None:
    amount = read_amount(cost_of(row).note.removeprefix("would cost ")) if row.is_simulated else None
    return amount[0] if amount else None


def columns_of(by: By) -> Mapping[str, Column]:
    """Return the columns of one row a job or a picture. Raise ``CellError`` for anything else."""
    if by not in ("job", "picture"):
        raise CellError(f"by = {by!r} is not valid.", hint="Use 'job' or 'picture'.")
    return COLUMNS if by == "job" else PICTURE_COLUMNS


def records_of(row: JobRow, folder: str, by: By) -> list[dict[str, Any]]:
    """Return a job as flat records: times in Unix seconds, money as ``Decimal``, None for what is missing."""
    saved = tuple(picture for picture in row.pictures if picture.saved_at)
    parts = [saved] if by == "job" else [(picture,) for picture in saved]
    return [record_of(row, pictures, folder, by) for pictures in parts]


def record_of(row: JobRow, pictures: tuple[PictureRow, ...], folder: str, by: By) -> dict[str, Any]:
    """Return the record of a job with these pictures of it."""
    subject = Subject(row, pictures, folder)
    return {name: _whole(column.value(subject)) for name, column in columns_of(by).items()}


def _whole(value: Any) -> Any:
    """Return a value without half characters, which Excel and Parquet do not take: JSON of a bundle may hold them."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


# Frames and files ----------------------------------------------------------------------------------------------------


def to_pandas(records: Iterable[Record], by: By) -> Any:
    """Return a DataFrame of nullable types; money is ``Decimal``. Raise ``CellError`` without pandas."""
    pd, columns = import_optional("pandas"), columns_of(by)
    types = {"text": "string", "whole": "Int64", "number": "Float64", "flag": "boolean"}
    frame = pd.DataFrame(list(records), columns=list(columns))
    for name, column in columns.items():
        if column.kind == "time":
            frame[name] = pd.to_datetime(frame[name], unit="s", utc=True)
        elif column.kind in types:
            frame[name] = frame[name].astype(types[column.kind])
        else:  # an empty column of lists or decimals would become float
            frame[name] = frame[name].astype("object").where(frame[name].notna(), None)
    return frame


def to_excel(records: Iterable[Record], path: str | Path, by: By) -> Path:
    """Write an Excel workbook: times are local and without a zone, which Excel does not know; lists are JSON.

    Raises ``CellError`` without pandas and openpyxl, ``StoreError`` if the place cannot be written.
    """
    frame, buffer = to_pandas(records, by), io.BytesIO()
    import_optional("openpyxl")
    local = dt.datetime.now().astimezone().tzinfo
    for name, column in columns_of(by).items():
        if column.kind == "time":
            frame[name] = frame[name].dt.tz_convert(local).dt.tz_localize(None)
        elif column.kind in ("text", "texts"):
            values = frame[name].astype("object").where(frame[name].notna(), None)
            frame[name] = [_NOT_IN_EXCEL.sub("\ufffd", _in_cell(column.kind, value)) for value in values]
    frame.to_excel(buffer, index=False, engine="openpyxl")
    return write_file(path, buffer.getvalue())


def to_parquet(records: Iterable[Record], path: str | Path, by: By) -> Path:
    """Write Parquet: money as ``decimal128`` with 12 decimals, times in microseconds UTC, lists as lists.

    Each column says what it means in its metadata. Raises ``CellError`` without pyarrow, or ``StoreError``.
    """
    pa, parquet, columns, buffer = (
        import_optional("pyarrow"),
        import_optional("pyarrow.parquet"),
        columns_of(by),
        io.BytesIO(),
    )
    types = {
        "text": pa.string(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "money": pa.decimal128(38, 12),
        "texts": pa.list_(pa.string()),
    }
    schema = pa.schema([pa.field(n, types[c.kind], metadata={"description": c.says}) for n, c in columns.items()])
    times = [name for name, column in columns.items() if column.kind == "time"]
    rows = [{**record, **{n: dt.datetime.fromtimestamp(record[n], tz=dt.UTC) for n in times}} for record in records]
    try:
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    except pa.ArrowInvalid as error:
        hint = "Write CSV or JSON Lines, which keep any amount exactly."
        raise CellError(f"an amount does not fit a Parquet decimal of 38 digits: {error}.", hint=hint) from error
    return write_file(path, buffer.getvalue())


def to_csv(records: Iterable[Record], path: str | Path, by: By) -> Path:
    """Write CSV in UTF-8: times in ISO 8601 UTC, flags as true and false, lists as JSON, empty for what is missing.

    What a spreadsheet would run as a formula (``=``, ``+``, ``-``, ``@`` first, also after a separator that other
    languages use) gets an apostrophe before it. Raises ``StoreError`` if the place cannot be written.
    """
    columns, file = columns_of(by), io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([_in_cell(column.kind, record[name]) for name, column in columns.items()] for record in records)
    return write_file(path, file.getvalue().encode("utf-8", "backslashreplace"))


def to_jsonl(records: Iterable[Record], path: str | Path, by: By) -> Path:
    """Write one JSON object a line: times in ISO 8601 UTC, money as decimal text, null for what is missing.

    Raises ``StoreError`` if the place cannot be written.
    """
    columns = columns_of(by)
    rows = [{name: _plain(column.kind, record[name]) for name, column in columns.items()} for record in records]
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    return write_file(path, lines.encode("utf-8", "backslashreplace"))


def _plain(kind: Kind, value: Any) -> Any:
    if kind == "time":
        return dt.datetime.fromtimestamp(value, tz=dt.UTC).isoformat(timespec="microseconds")
    return f"{value:f}" if isinstance(value, Decimal) else value


def _in_cell(kind: Kind, value: Any) -> str:
    plain = "" if value is None else _plain(kind, value)
    if not isinstance(plain, str):  # a list is the same JSON without semicolons, which would begin a cell
        return json.dumps(plain, ensure_ascii=False).replace(";", "\\u003b")
    return _FORMULA.sub(r"\1'", plain) if kind == "text" else plain
