"""A batch as a data frame, as a contact sheet, and as a folder that Hugging Face's ``datasets`` reads."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from ..errors import CellError, StoreError, import_optional
from ..figure import comparison_of, drawn, pasted, save_pages, written
from ..files import explained
from ..jobs import Job, Picture
from ..storage import write_file
from ..text import one_line, pluralize

if TYPE_CHECKING:
    from .batch import Batch

_SHEET_MAX_PX: Final = 12_000
_PAGE: Final = (5, 6)
_METADATA: Final = "metadata.jsonl"
_OURS: Final = re.compile(r"row\d{5,}-\d+\.\w+|metadata\.jsonl")
_A_PICTURE: Final = re.compile(r"image|(.*_)?file_names?")
"""Names of columns that ``imagefolder`` takes for pictures."""


def to_pandas(batch: "Batch") -> Any:
    """Return a DataFrame with a row for each row of the batch: the caller's columns, then what became of it.

    Those are ``state``, ``seed``, ``cost`` (a ``Decimal``, missing where it is not known), ``currency``, ``file`` (of
    the first picture), ``files`` (of all), ``job`` (its id) and ``prompt``. Where the caller has a column of such a
    name that says something else, ours begins with ``wan_``; one that says the same is not repeated.

    Raises
    ------
    CellError
        Without pandas.
    """
    pd, jobs = import_optional("pandas"), batch.jobs
    theirs = pd.DataFrame([dict(job.columns) for job in jobs], dtype=object).convert_dtypes()
    ours = pd.DataFrame([_record_of(job) for job in jobs], dtype=object).convert_dtypes()
    ours = ours.drop(columns=[name for name in ours if name in theirs and ours[name].equals(theirs[name])])
    return pd.concat([theirs, ours.rename(columns=lambda name: f"wan_{name}" if name in theirs else name)], axis=1)


def _record_of(job: Job) -> dict[str, Any]:
    """Return what became of a row. Files are named from this folder: a full path would tell whose computer it was."""
    paths, here, cost = [picture.file for picture in job.saved_pictures], Path.cwd(), job.cost
    files = [(path.relative_to(here) if path.is_relative_to(here) else path).as_posix() for path in paths]
    return {
        "state": job.status,
        "seed": job.seed,
        "cost": cost.amount,
        "currency": None if cost.amount is None else cost.currency,
        "file": next(iter(files), None),
        "files": files,
        "job": job.id,
        "prompt": job.prompt,
    }


def save_sheet(batch: "Batch", path: str | Path) -> Path:
    """Write all saved pictures with small labels: a .pdf of as many pages as that takes, or one .png or .jpg.

    An image is at most 12,000 px high; its head says how many pictures had no room.

    Raises
    ------
    CellError
        If no picture is saved yet.
    StoreError
        If the ending is not known or the place cannot be written.
    """
    items = comparison_of([picture for _, picture in _saved(batch)]).items
    title = f"{batch.name} · {pluralize(len(items), 'picture')}".removeprefix(" · ")

    def pages(kind: str) -> Iterator[Image.Image]:
        (across, down), side_px = _PAGE, 240
        if kind != ".pdf":
            across, side_px = (6, 240) if len(items) <= 240 else (16, 160)
            down = _SHEET_MAX_PX // (side_px + 60) - 1
        step = across * down
        for at in range(0, len(items) if kind == ".pdf" else 1, step):
            last = min(at + step, len(items))
            shown = (
                f", {at + 1:,} to {last:,}" if kind == ".pdf" else f", {len(items) - last:,} left off: a .pdf has all"
            )
            page = drawn(items[at : at + step], min(across, len(items)), side_px, 11)
            yield pasted([[written(title + shown if len(items) > step else title, 15, page.width)], [page]])

    return save_pages(path, pages)


def to_dataset(batch: "Batch", folder: str | Path) -> Path:
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
    if strange := sorted(name for name in former if not _OURS.fullmatch(name) or former == {_METADATA}):
        message = f"{one_line(target, 200)} holds files that were not written here ({one_line(strange[0])})."
        raise StoreError(message, hint="Give a new folder, or an empty one.")
    made = {f"row{row:05}-{picture.index + 1}{picture.file.suffix}": picture for row, picture in _saved(batch)}
    lines: list[dict[str, Any]] = []
    for file, picture in made.items():
        write_file(target / file, picture.data)
        columns = picture.job.columns.items()
        given = {f"{name}_" if _A_PICTURE.fullmatch(name) else name: value for name, value in columns}
        lines.append({"file_name": file, **given})
    rows = [picture.tracked.row for picture in made.values()]
    for name, values in {n: [getattr(row, n) for row in rows] for n in ("prompt", "seed", "model")}.items():
        if values != [line.get(name) for line in lines]:
            column = f"wan_{name}" if any(name in line for line in lines) else name
            lines = [{**line, column: value} for line, value in zip(lines, values, strict=True)]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in _alike(lines))
    write_file(target / _METADATA, text.encode("utf-8", "replace"))
    with explained(target):
        for name in former - made.keys() - {_METADATA}:
            (target / name).unlink()
    return Path(folder)


def _saved(batch: "Batch") -> list[tuple[int, Picture]]:
    """Return the pictures that are on disk, each with the number of its row. Raise ``CellError`` if there is none."""
    pairs = [(row, picture) for row, job in enumerate(batch.jobs, 1) for picture in job.saved_pictures]
    if found := [(row, picture) for row, picture in pairs if picture.row.kind == "image"]:
        return found
    raise CellError("No picture of the batch is saved yet.", hint="Wait for it: batch.wait().")


def _alike(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return lines that have the same columns, each of one type: others cannot be read as a table."""
    names = dict.fromkeys(name for line in lines for name in line)
    lines = [{name: line.get(name) for name in names} for line in lines]
    for name in names:
        values = [line[name] for line in lines]
        kinds = {type(value) for value in values if value is not None}
        is_mixed = len(kinds) > 1 and not kinds <= {int, float}
        texts = [str(value) if is_mixed and value is not None else value for value in values]
        lines = [{**line, name: value} for line, value in zip(lines, texts, strict=True)]
    return lines
