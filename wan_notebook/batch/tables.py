"""Tables from anything that holds one: lists of dicts, grids, data frames and files, as one list of rows."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple, NoReturn

from ..errors import Problem, RequestError, import_optional
from ..images import is_job, looks_like_image
from ..text import one_line, pluralize
from ..validation import shown_value

ROWS_MAX: Final = 1_000_000
"""Ours: an endless generator must end somewhere."""
PROBLEMS_MAX: Final = 20
"""Problems of rows that one error lists."""
_KINDS: Final = ".csv, .tsv, .jsonl, .json or .parquet"


class Grid(list[dict[str, Any]]):
    """Every combination of its axes, as rows; the last axis changes fastest."""

    def __init__(self, axes: Mapping[str, Sequence[Any]]) -> None:
        self.axes = {name: tuple(values) for name, values in axes.items()}
        super().__init__(dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values()))

    def __repr__(self) -> str:
        sizes = " × ".join(f"{name} ({len(values):,})" for name, values in self.axes.items())
        return f"<Grid of {pluralize(len(self), 'row')}: {sizes}>"


def grid(**axes: Iterable[Any]) -> Grid:
    """Return a table of every combination of values, for ``map``.

    Parameters
    ----------
    **axes
        A column each, with its values: ``seed=range(4)``, ``style=["ink", "oil"]``.

    Returns
    -------
    Grid
        A list of dicts in the order of the axes; the last one changes fastest.

    Raises
    ------
    RequestError
        If an axis is a single text, number or picture, has no values, or has no order (a set).

    Examples
    --------
    >>> wan.grid(animal=["fox", "owl"], style=["ink", "oil"], seed=[1, 2])
    <Grid of 8 rows: animal (2) × style (2) × seed (2)>
    """
    problems = [] if axes else [Problem("grid", "", "has no axis.", 'Write for example grid(style=["ink", "oil"]).')]
    found: dict[str, list[Any]] = {}
    for name, given in axes.items():
        is_one = isinstance(given, str | bytes | PurePath) or is_job(given) or looks_like_image(given)
        if isinstance(given, Mapping | set | frozenset):
            hint = f"Give a list, for example {name}=sorted(…)."
            problems.append(Problem(name, shown_value(given), "has no order of its own.", hint))
        elif is_one or not isinstance(given, Iterable):
            hint = f"Put it in a list: {name}=[{one_line(shown_value(given), 30)}]."
            problems.append(Problem(name, shown_value(given), "is one value, not the values of an axis.", hint))
        elif not (values := list(islice(given, ROWS_MAX + 1))):
            problems.append(Problem(name, "[]", "has no values.", "Give at least one, or leave the axis out."))
        else:
            found[name] = values
    if (count := math.prod(map(len, found.values()))) > ROWS_MAX:
        problems.append(Problem("grid", "", f"has {count:,} rows, more than {ROWS_MAX:,}.", "Use shorter axes."))
    if problems:
        raise RequestError(problems)
    return Grid(found)


class Table(NamedTuple):
    """The rows of a table and the names of its columns, in the order in which they appear; ``axes`` are a grid's."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    axes: tuple[str, ...] = ()

    def __repr__(self) -> str:  # a person's data belong in no traceback
        return f"<Table: {pluralize(len(self.rows), 'row')}>"


def read_table(given: Any, most: int = ROWS_MAX + 1) -> Table:
    """Return the rows of a grid, a list of dicts, a data frame (pandas, polars, Arrow) or a file, at most ``most``.

    Raises
    ------
    RequestError
        If it is not a table, has no rows, or some of them cannot be read.
    CellError
        If Parquet is to be read without pyarrow.
    """
    if isinstance(given, Table):
        return given
    if isinstance(given, str | PurePath):
        return _read_file(Path(given).expanduser(), most)
    if isinstance(given, Mapping):
        hint = "Use wan.grid(**axes) for every combination, [row] for one row, or a DataFrame of the columns."
        _refuse("a dict is not a table.", hint, shown_value(given))
    if callable(to_dicts := getattr(given, "to_dicts", None)):  # polars
        given = to_dicts()
    elif callable(to_pylist := getattr(given, "to_pylist", None)) and hasattr(given, "column_names"):  # Arrow
        _refuse_repeated(given.column_names)
        given = to_pylist()
    elif callable(to_dict := getattr(given, "to_dict", None)) and hasattr(given, "columns"):  # pandas
        _refuse_repeated(given.columns)
        given = to_dict(orient="records")
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        _refuse("not a table.", f"Give a list of dicts, a DataFrame, or a file: {_KINDS}.", shown_value(given))
    return _table(list(islice(given, most)))._replace(axes=tuple(given.axes) if isinstance(given, Grid) else ())


def raise_problems(problems: Iterable[Problem], by_row: Mapping[int, Iterable[Problem]]) -> None:
    """Raise ``RequestError`` with the problems of a table and the first ones of its rows, if there are any."""
    of_rows = [(number, one) for number, each in by_row.items() for one in dict.fromkeys(each)]
    named = [replace(one, field=f"row {number:,}, {one.field}".removesuffix(", ")) for number, one in of_rows]
    left_out = len({number for number, _ in of_rows} - {number for number, _ in of_rows[:PROBLEMS_MAX]})
    more = f"and {pluralize(left_out, 'more row')} with problems" if left_out else ""
    if found := [*dict.fromkeys(problems), *named[:PROBLEMS_MAX]]:
        raise RequestError(found, more=more)


def _table(rows: list[Any]) -> Table:
    """Return rows as a table: each a mapping from names to values."""
    if not rows:
        _refuse("the table is empty.", "Give at least one row.")
    hint = 'Write for example [{"animal": "fox"}, {"animal": "owl"}].'
    wrong = {
        number: [Problem("", shown_value(row), f"is of type {type(row).__name__}, not a dict of columns.", hint)]
        for number, row in enumerate(rows, 1)
        if not isinstance(row, Mapping)
    }
    raise_problems((), wrong)
    if not all(type(name) is str for row in rows for name in row):
        rows = [{str(name): value for name, value in row.items()} for row in rows]
    return Table(tuple(dict.fromkeys(name for row in rows for name in row)), rows)


# Files ---------------------------------------------------------------------------------------------------------------


def _read_file(path: Path, most: int) -> Table:
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            return read_table(import_optional("pyarrow.parquet").read_table(path), most)
        if kind not in _READERS:
            hint = "Read it with pandas.read_excel, and give the DataFrame." if kind[:4] == ".xls" else ""
            _refuse(f"not a table that can be read: {_KINDS}.", hint, path.name)
        return _table(_READERS[kind](path.read_text("utf-8-sig"))[:most])
    except RequestError:
        raise
    except UnicodeDecodeError:
        _refuse("not UTF-8 text.", "Save it as UTF-8 (Excel: CSV UTF-8).", path.name)
    except csv.Error as error:
        _refuse(f"not a valid CSV file: {error}.", "Put quotes around texts that hold commas or quotes.", path.name)
    except (OSError, ValueError, RecursionError) as error:  # of files that are gone, JSON and Parquet
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error, 100)
        _refuse(f"cannot be read: {reason}.", "Check the path and the file.", path.name)


def _read_csv(text: str) -> list[dict[str, Any]]:
    # Not csv.Sniffer: prompts are full of commas, and it counts those too.
    header = re.sub('"[^"]*"', "", text.partition("\n")[0])
    delimiter = max("\t;,", key=header.count)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    # A column without a name is an index, or the end of a line.
    _refuse_repeated(name for name in map(str.strip, lines.fieldnames or ()) if name)
    rows = [row for row in lines if any(row.values())]
    message, hint = "has more cells than the header.", f"Put quotes around texts that hold {delimiter!r}."
    long = [number for number, row in enumerate(rows, 1) if any(row.get(None) or ())]  # DictReader's rest of a line
    raise_problems((), {number: [Problem("", "", message, hint)] for number in long})
    return [{name.strip(): cell or None for name, cell in row.items() if name and name.strip()} for row in rows]


def _read_json(text: str) -> list[Any]:
    rows = json.loads(text, object_pairs_hook=_object)
    if not isinstance(rows, list):
        _refuse("not a list of objects.", 'Write [{"animal": "fox"}, …] (pandas: orient="records").')
    return rows


def _read_lines(text: str) -> list[Any]:
    rows: list[Any] = []
    for line in filter(str.strip, text.split("\n")):
        try:
            rows.append(json.loads(line, object_pairs_hook=_object))
        except json.JSONDecodeError as error:
            _refuse(f"row {len(rows) + 1} is not JSON: {error}.", "Put one object in each line.", one_line(line, 40))
    return rows


_READERS: Final[Mapping[str, Callable[[str], list[Any]]]] = {
    **dict.fromkeys((".csv", ".tsv"), _read_csv),
    **dict.fromkeys((".jsonl", ".ndjson"), _read_lines),
    ".json": _read_json,
}
TABLE_FILES: Final = (*_READERS, ".parquet", ".pq")
"""The endings of files that hold a table."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_repeated(name for name, _ in pairs)
    return dict(pairs)


def _refuse_repeated(names: Iterable[object]) -> None:
    """Refuse a table in which two columns have one name."""
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        _refuse("more than one column has this name.", "Rename one.", ", ".join(repeated))


def _refuse(message: str, hint: str = "", value: str = "") -> NoReturn:
    raise RequestError([Problem("rows", one_line(value, 60), message, hint)])
