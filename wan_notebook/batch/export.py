"""A batch as a data frame, as a contact sheet, and as a folder that Hugging Face's ``datasets`` reads."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Protocol

from PIL import Image

from ..errors import CellError, StoreError, import_optional
from ..figure import comparison_of, drawn, save_pages
from ..files import explained
from ..jobs import Job
from ..storage import write_file
from ..text import one_line, pluralize


class Exported(Protocol):
    """What is asked of a batch here."""

    @property
    def name(self) -> str: ...
    @property
    def jobs(self) -> Sequence[Job]: ...
    @property
    def rows(self) -> Sequence[Mapping[str, Any]]: ...


# Frames --------------------------------------------------------------------------------------------------------------

_TYPES: Final = {"seed": "Int64"} | dict.fromkeys(("state", "currency", "file", "job", "prompt"), "string")


def to_pandas(batch: Exported) -> Any:
    """Return a DataFrame with a row for each row of the batch: the caller's columns, then what became of it.

    Those are ``state``, ``seed``, ``cost`` (a ``Decimal``, missing where it is not known), ``currency``, ``file`` (of
    the first picture), ``files`` (of all), ``job`` (its id) and ``prompt``. Where the caller has a column of such a
    name that says something else, ours begins with ``wan_``; one that says the same is not repeated.

    Raises
    ------
    CellError
        Without pandas.
    """
    pd = import_optional("pandas")
    rows = [dict(row) for row in batch.rows]
    frame = pd.DataFrame(rows, dtype=object).convert_dtypes()
    records = [_record_of(job) for _, job in zip_longest(rows, batch.jobs)]
    for name, column in _columns_for(rows, records).items():
        frame[column] = pd.Series([record[name] for record in records], frame.index, _TYPES.get(name, object))
    return frame


def _columns_for(rows: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return where each value of ours goes: beside a column of the caller's that says something else, as ``wan_…``.

    One that says the same in every row is left out.
    """
    ours, theirs = dict.fromkeys(records[0] if records else ()), {name for row in rows for name in row}
    pairs = list(zip(rows, records, strict=True))
    same = {name for name in ours if name in theirs and all(row.get(name) == record[name] for row, record in pairs)}
    return {name: f"wan_{name}" if name in theirs else name for name in ours if name not in same}


def _record_of(job: Job | None) -> dict[str, Any]:
    """Return what became of a row; of one that is not written yet, that it waits."""
    files = [_shown(picture.file) for picture in job.saved_pictures] if job else []
    amount = job.cost.amount if job else None
    return {
        "state": job.status if job else "intent",
        "seed": job.seed if job else None,
        "cost": amount,
        "currency": job.cost.currency if job and amount is not None else None,
        "file": files[0] if files else None,
        "files": files,
        "job": job.id if job else None,
        "prompt": job.prompt if job else None,
    }


def _shown(path: Path) -> str:
    """Return a path from this folder if it lies in it: a full one would tell whose computer it was."""
    return (path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path).as_posix()


# Contact sheets ------------------------------------------------------------------------------------------------------

_SHEET_MAX_PX: Final = 12_000
_PAGE: Final = (5, 6)


def save_sheet(batch: Exported, path: str | Path) -> Path:
    """Write all saved pictures with small labels: a .pdf of as many pages as that takes, or one .png or .jpg.

    An image is at most 12,000 px high; its head says how many pictures had no room.

    Raises
    ------
    CellError
        If no picture is saved yet.
    StoreError
        If the ending is not known or the place cannot be written.
    """
    items = [item for item in comparison_of(batch.jobs).items if item.picture]
    if not items:
        raise CellError("No picture of the batch is saved yet.", hint="Wait for it: batch.wait().")
    title = f"{batch.name} · {pluralize(len(items), 'picture')}".removeprefix(" · ")

    def pages(kind: str) -> Iterator[Image.Image]:
        if kind == ".pdf":
            across, down = _PAGE
            count = -(-len(items) // (across * down))
            for number in range(count):
                part = items[number * across * down :][: across * down]
                yield drawn(part, across, 240, title=f"{title} · page {number + 1} of {count}")
            return
        across, side_px = (6, 240) if len(items) <= 240 else (16, 160)
        shown = items[: across * (_SHEET_MAX_PX // (side_px + 50) - 1)]
        left_off = f", {len(items) - len(shown):,} of them left off: a .pdf has all" if len(shown) < len(items) else ""
        yield drawn(shown, min(across, len(items)), side_px, title=f"{title}{left_off}")

    return save_pages(path, pages)


# Datasets ------------------------------------------------------------------------------------------------------------

_METADATA: Final = "metadata.jsonl"
_OURS: Final = re.compile(r"row\d{5,}-\d+\.\w+")
_A_PICTURE: Final = re.compile(r"image|(.*_)?file_names?")
"""Names of columns that ``imagefolder`` takes for pictures."""
_SAID: Final = ("prompt", "seed", "model")


def to_dataset(batch: Exported, folder: str | Path) -> Path:
    """Write all saved pictures with ``metadata.jsonl``, the form that ``datasets`` reads as ``imagefolder``.

    Each line has ``file_name``, the caller's columns (those that would be taken for pictures with ``_`` behind them),
    ``prompt``, ``seed`` and ``model``, named as in `to_pandas`. The pictures carry no metadata of ours. The same folder
    may be written again; what is no longer part of the batch goes.

    Raises
    ------
    CellError
        If no picture is saved yet.
    StoreError
        If the folder holds other files, or cannot be written.

    Examples
    --------
    >>> batch.to_dataset("zoo")
    >>> datasets.load_dataset("imagefolder", data_dir="zoo")["train"]
    """
    target = Path(folder).expanduser()
    with explained(target):
        former = {path.name for path in target.iterdir() if path.name[0] != "."} if target.exists() else set()
        if former and not _is_ours(target, former):
            other = min(former - {_METADATA} or former)
            message = f"{one_line(target, 200)} holds files that were not written here ({one_line(other)})."
            raise StoreError(message, hint="Give a new folder, or an empty one.")
    made = {
        f"row{number:05}-{picture.index + 1}{picture.file.suffix}": (row, picture)
        for number, (row, job) in enumerate(zip(batch.rows, batch.jobs, strict=False), 1)
        for picture in job.saved_pictures
        if picture.row.kind == "image"
    }
    if not made:
        raise CellError("No picture of the batch is saved yet.", hint="Wait for it: batch.wait().")
    for name, (_, picture) in made.items():
        write_file(target / name, picture.data)
    rows, pictures = [row for row, _ in made.values()], [picture for _, picture in made.values()]
    records = [{name: getattr(picture.tracked.row, name) for name in _SAID} for picture in pictures]
    columns = _columns_for(rows, records)
    lines = _alike(
        [
            {"file_name": file}
            | {f"{name}_" if _A_PICTURE.fullmatch(name) else name: value for name, value in row.items()}
            | {column: record[name] for name, column in columns.items()}
            for file, row, record in zip(made, rows, records, strict=True)
        ]
    )
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    write_file(target / _METADATA, text.encode("utf-8", "replace"))
    with explained(target):
        for name in former - made.keys() - {_METADATA}:
            (target / name).unlink()
    return Path(folder)


def _is_ours(folder: Path, names: set[str]) -> bool:
    """Say whether a folder holds nothing but what `to_dataset` writes, which may have been interrupted."""
    if not all(name == _METADATA or _OURS.fullmatch(name) for name in names):
        return False
    if _METADATA not in names:
        return True
    with (folder / _METADATA).open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith('{"file_name": "row')


def _alike(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return records that have the same columns, each of one type: others cannot be read as a table."""
    names = list(dict.fromkeys(name for record in records for name in record))
    kinds = {name: {type(record.get(name)) for record in records} - {type(None)} for name in names}
    mixed = {name for name, found in kinds.items() if len(found) > 1 and not found <= {int, float}}

    def plain(name: str, value: Any) -> Any:
        return str(value) if name in mixed and value is not None else value

    return [{name: plain(name, record.get(name)) for name in names} for record in records]
