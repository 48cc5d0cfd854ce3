"""Tables from anything that holds one: lists of dicts, grids, data frames and files, as one list of rows."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import islice, product
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple, NoReturn

from ..errors import Problem, RequestError
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
        if isinstance(given, Mapping | Set):
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
    """The rows of a table and the names of its columns, in the order in which they appear."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]


def read_table(given: Any, most: int) -> Table:
    """Return the rows of a grid, a list of dicts, a data frame (pandas, polars, Arrow) or a file, at most ``most``.

    Raises
    ------
    RequestError
        If it is not a table, has no rows, or some of them cannot be read.
    """
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
    return _table(list(islice(given, most)))


def raise_problems(problems: Iterable[Problem], by_row: Mapping[int, Iterable[Problem]]) -> None:
    """Raise ``RequestError`` with the problems of a table and the first ones of its rows, if there are any."""
    found = list(dict.fromkeys(problems))
    listed = left_out = 0
    for number, each in by_row.items():
        of_row = dict.fromkeys(each)
        if not of_row:
            continue
        if listed >= PROBLEMS_MAX:
            left_out += 1
            continue
        where = (f"row {number:,}{f', {problem.field}' if problem.field else ''}" for problem in of_row)
        named = [Problem(name, one.value, one.message, one.hint) for name, one in zip(where, of_row, strict=True)]
        found += named[: PROBLEMS_MAX - listed]
        listed += len(named)
    if found:
        raise RequestError(found, more=f"and {pluralize(left_out, 'more row')} with problems" if left_out else "")


def _table(given: list[Any]) -> Table:
    """Return rows as a table: each a mapping from names to values."""
    if not given:
        _refuse("the table is empty.", "Give at least one row.")
    rows: list[Mapping[str, Any]] = []
    wrong: dict[int, list[Problem]] = {}
    for number, row in enumerate(given, 1):
        if not isinstance(row, Mapping) and callable(getattr(type(row), "keys", None)):  # sqlite3.Row
            row = dict(row)
        if not isinstance(row, Mapping):
            hint = 'Write for example [{"animal": "fox"}, {"animal": "owl"}].'
            message = f"is of type {type(row).__name__}, not a dict of columns."
            wrong[number] = [Problem("", shown_value(row), message, hint)]
        elif not all(type(name) is str for name in row):
            row = {str(name): value for name, value in row.items()}
        rows.append(row)
    raise_problems((), wrong)
    return Table(tuple(dict.fromkeys(name for row in rows for name in row)), rows)


# Files ---------------------------------------------------------------------------------------------------------------


def _read_file(path: Path, most: int) -> Table:
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            return read_table(_read_parquet(path), most)
        if kind not in (".csv", ".tsv", ".jsonl", ".ndjson", ".json"):
            hint = "Read it with pandas.read_excel, and give the DataFrame." if kind[:4] == ".xls" else ""
            _refuse(f"not a table that can be read: {_KINDS}.", hint, path.name)
        text = path.read_text("utf-8-sig")
        if kind in (".csv", ".tsv"):
            return _table(_read_csv(text)[:most])
        if kind != ".json":
            return _table(_read_lines(text)[:most])
        rows = json.loads(text, object_pairs_hook=_object)
        if not isinstance(rows, list):
            _refuse("not a list of objects.", 'Write [{"animal": "fox"}, …] (pandas: orient="records").', path.name)
        return _table(rows[:most])
    except UnicodeDecodeError:
        _refuse("not UTF-8 text.", "Save it as UTF-8 (Excel: CSV UTF-8).", path.name)
    except OSError as error:
        _refuse(f"cannot be read: {error.strerror or type(error).__name__}.", "Check the path.", path.name)
    except csv.Error as error:
        _refuse(f"not a valid CSV file: {error}.", "Put quotes around texts that hold commas or quotes.", path.name)
    except RequestError:
        raise
    except (ValueError, RecursionError) as error:
        _refuse(f"cannot be read: {one_line(error, 100)}.", "", path.name)


def _read_csv(text: str) -> list[dict[str, Any]]:
    # Not csv.Sniffer: prompts are full of commas, and it counts those too.
    header = re.sub('"[^"]*"', "", text.partition("\n")[0])
    delimiter = max("\t;,", key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    names = [name.strip() for name in next(lines, [])]
    _refuse_repeated(filter(None, names))  # a column without a name is an index, or the end of a line
    rows, wrong = list[dict[str, Any]](), dict[int, list[Problem]]()
    for cells in filter(any, lines):
        rows.append({name: cell or None for name, cell in zip(names, cells, strict=False) if name})
        if any(cells[len(names) :]):
            message = f"has {len(cells)} cells, but the header has {len(names)}."
            hint = f"Put quotes around texts that hold {delimiter!r}."
            wrong[len(rows)] = [Problem("", "", message, hint)]
    raise_problems((), wrong)
    return rows


def _read_lines(text: str) -> list[Any]:
    rows, wrong = list[Any](), dict[int, list[Problem]]()
    for line in filter(str.strip, text.split("\n")):
        try:
            rows.append(json.loads(line, object_pairs_hook=_object))
        except ValueError as error:
            rows.append({})
            wrong[len(rows)] = [Problem("", one_line(line, 40), f"not JSON: {one_line(error, 80)}.")]
    raise_problems((), wrong)
    return rows


def _read_parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        _refuse("needs pyarrow, which is not installed.", "Install it: `%pip install pyarrow`.", path.name)
    return parquet.read_table(path)


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
