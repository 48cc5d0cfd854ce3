"""Rows of a table into valid requests: what each column sets, and every problem with its row, before anything else."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from ..errors import Problem, RequestError
from ..images import InputImage, PendingImage, is_job, looks_like_image
from ..models import MODEL
from ..request import ImageRequest
from ..template import Template, near_names
from ..text import did_you_mean, one_line
from ..validation import Mode, mode_for, plain_integer, shown_value, size_from_image, size_text, split_seeds
from .tables import ROWS_MAX, Table, raise_problems, read_table

if TYPE_CHECKING:
    from ..resolver import Resolver

Inputs = tuple[InputImage | PendingImage, ...]

PARAMETERS: Final = (*ImageRequest.model_fields, "like", "tags")
"""What an argument or a column of that name sets; a column ``image`` sets ``images``."""
_OF_THE_CALL: Final = ("name", "limit", "dry_run", "fresh", "provider", "embed", "raw", "session")
_TEXTS: Final = ("prompt", "negative_prompt")
_PICTURES: Final = ("images", "like")
_NOTES_MAX: Final = 10
_TEXT_MAX_CHARS: Final = 200
_BRACES: Final = "For literal braces write {{ and }}, or set raw (--raw)."


@dataclass(frozen=True, kw_only=True, repr=False)
class PlannedRow:
    """A row of a batch: its columns as JSON holds them, with ``seed`` where seeds multiply the rows, and its request.

    The request has no seed if none was asked. Its pictures of ``files`` (by identity) are without data, since a table
    may name thousands: they are read again when the row is written down.
    """

    columns: Mapping[str, Any]
    request: ImageRequest
    tags: tuple[str, ...] = ()
    files: Mapping[str, str | PurePath] = field(default_factory=dict)


def plan_rows(
    rows: object,
    prompt: str | None,
    *,
    resolver: "Resolver",
    images: object = None,
    limit: int | None = None,
    raw: bool = False,
    parameters: Mapping[str, Any],
    problems: Sequence[Problem] = (),
) -> tuple[tuple[PlannedRow, ...], tuple[str, ...]]:
    """Return the rows of a batch, each with a valid request, and notes; nothing is written or sent.

    Parameters
    ----------
    rows : table
        A grid, dicts, a data frame (pandas, polars, Arrow), or the path of a CSV, JSON, JSONL or Parquet file.
    prompt : str or None
        A template: its braces take columns first, then variables. None where a column holds the prompts, as they are.
    resolver : Resolver
        The notebook's variables, and what turns values into pictures.
    images : picture, name of a column, or list of these, optional
        The input pictures of every row.
    limit : int, optional
        The first so many rows only, counted after seeds have multiplied them.
    raw : bool
        Whether braces stay as they are.
    parameters : mapping
        Other parameters of ``generate``, for all rows; several seeds multiply the rows: each row with each seed.
    problems : sequence of Problem
        What else is wrong with the call: it is told together with the rest.

    Raises
    ------
    RequestError
        With the problems of all rows asked for, each with the number of its row in the table.
    CellError
        If Parquet is to be read without pyarrow.
    """
    arguments = {"prompt": prompt, "images": images, **parameters}
    number = plain_integer(limit)
    most: int | None = number if type(number) is int and number > 0 else None
    table = read_table(rows, most or ROWS_MAX + 1)
    plan = _Plan(table, resolver, {name: value for name, value in arguments.items() if value is not None}, raw)
    plan.problems[:0] = problems
    if limit is not None and most is None:
        plan.problems.append(Problem("limit", shown_value(limit), "must be a whole number from 1.", "Write limit=100."))
    return plan.rows(most), tuple(plan.notes)[:_NOTES_MAX]


@dataclass(repr=False)  # a person's data belong in no traceback
class _Plan:
    """What the columns and arguments of one call set, and what is wrong with them."""

    table: Table
    resolver: "Resolver"
    arguments: dict[str, Any]
    is_raw: bool
    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    loaded: dict[object, tuple[object, Inputs, list[Problem]]] = field(default_factory=dict)
    sources: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)  # of pictures: columns, or pictures of all
    files: dict[str, str | PurePath] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (name for name in self.arguments if name not in PARAMETERS):
            hint = did_you_mean(name, (*PARAMETERS, *_OF_THE_CALL)) or f"Known parameters: {', '.join(PARAMETERS)}."
            self.problems.append(Problem(name, shown_value(self.arguments[name]), "not a parameter.", hint))
        self.seeds = self._seeds()
        self.columns = tuple(dict.fromkeys([*self.table.columns, *["seed"][: len(self.seeds)]]))
        self.known = f"Columns: {one_line(', '.join(self.columns), _TEXT_MAX_CHARS)}."
        self.templates = self._templates()
        in_braces = {part.name: (one.field, part.typed) for one in self.templates for part in one.fields if part.name}
        self.variables = {name: self._variable(name, *place) for name, place in in_braces.items()}
        for name in (name for name in _PICTURES if name in self.arguments):
            self._name_pictures(name, self.arguments[name])
        self.setters = self._setters(in_braces.keys() | {column for one in self.sources.values() for column, _ in one})
        self.sources |= {name: [(self.setters.pop(name), None)] for name in _PICTURES if name in self.setters}
        if "prompt" not in self.arguments and "prompt" not in self.setters:
            self.problems.append(Problem("prompt", "", "is missing.", f"Give a text, or a column prompt. {self.known}"))
            self.arguments["prompt"] = "?"  # so that the rest is checked
        fixed = self.arguments.keys() & ImageRequest.model_fields.keys() - self.setters.keys() - {*_PICTURES}
        self.fixed = {name: self.arguments[name] for name in fixed}

    # The call --------------------------------------------------------------------------------------------------------

    def _seeds(self) -> tuple[Any, ...]:
        """Return the seeds that multiply the rows, each once; none if there are not several."""
        given = self.arguments.get("seed")
        if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
            return ()
        has_images = "images" in self.arguments or {"image", "images"} & {*self.table.columns}
        mode = Mode.EDIT if has_images else Mode.TEXT_TO_IMAGE
        n, model = self.arguments.get("n", 1), str(self.arguments.get("model", MODEL))
        seeds = split_seeds(given, n=n, mode=mode, model=model, most=ROWS_MAX)
        self.notes |= dict.fromkeys(seeds.notes)
        self.problems += [*seeds.problems, *([_both("seed", "seed")] if "seed" in self.table.columns else [])]
        return seeds.values or (None,)

    def _templates(self) -> list[Template]:
        """Read the texts of the call, in which columns and variables stand unless it is raw."""
        given: list[tuple[str, Any]] = [(name, self.arguments[name]) for name in _TEXTS if name in self.arguments]
        given += [("tags", tag) for tag in _listed(self.arguments.get("tags", ()))]
        self.problems += [_not_text(name, text) for name, text in given if not isinstance(text, str)]
        return [
            Template((text,), name)
            if self.is_raw
            else Template.read(text, field=name, columns=self.columns, hint=_BRACES)
            for name, text in given
            if isinstance(text, str)
        ]

    def _variable(self, name: str, field: str, typed: str) -> Any:
        """Return a variable that stands in braces; what is neither that nor a column is one problem for all rows."""
        names = self.resolver.namespace
        if name not in self.columns and name not in names:
            hint = f"{near_names(name, [*self.columns, *names])} {self.known} {_BRACES}".strip()
            self.problems.append(Problem(field, typed, f"no column or variable {name}.", hint))
            self.templates = [one if one.field != field else replace(one, parts=("?",)) for one in self.templates]
        return names.get(name)

    def _name_pictures(self, name: str, given: object) -> None:
        """Tell the names of columns from pictures that all rows share."""
        for number, value in enumerate(_listed(given), 1):
            is_column = isinstance(value, str) and value in self.columns
            self.sources.setdefault(name, []).append((value, None) if is_column else ("", value))
            if not is_column:
                near = did_you_mean(value, self.columns) if isinstance(value, str) else ""
                wrong = self._load(value, name, f"image {number}" if name == "images" else name, is_shared=True)[1]
                self.problems += [replace(one, hint=f"{one.hint} {near}".strip()) for one in wrong]

    def _setters(self, taken: Collection[str]) -> dict[str, str]:
        """Return the column that sets each parameter; those that stand in braces or hold the call's pictures do not."""
        setters = {"seed": "seed"} if self.seeds else {}
        for column in self.table.columns:
            name = "images" if column == "image" else column
            if name not in PARAMETERS and column not in taken:
                if near := did_you_mean(column.lower(), PARAMETERS, cutoff=0.8):
                    self.notes[f"nothing uses the column {one_line(column, 40)}: {near}"] = None
            elif column in taken or (name == "seed" and self.seeds):
                continue
            elif name in setters:
                message = f"the columns {setters[name]} and {column} both set it."
                self.problems.append(Problem(name, "", message, "Keep one, or rename the other."))
            else:
                setters[name] = column
                if name in self.arguments:
                    self.problems.append(_both(name, column))
        return setters

    # The rows --------------------------------------------------------------------------------------------------------

    def rows(self, limit: int | None) -> tuple[PlannedRow, ...]:
        """Return the rows, each with each seed. Raise ``RequestError`` with what is wrong with any of them."""
        planned, by_row = list[PlannedRow](), dict[int, list[Problem]]()
        seeds, number = self.seeds or (None,), 0
        if min(len(self.table.rows) * len(seeds), limit or math.inf) > ROWS_MAX:
            self.problems.append(Problem("rows", "", f"are more than {ROWS_MAX:,}.", "Take the first ones with limit."))
            limit = 1
        each = ((number, row, seed) for number, row in enumerate(self.table.rows, 1) for seed in seeds)
        for number, row, seed in islice(each, limit):
            values = {name: _plain(row.get(name)) for name in self.columns}
            if self.seeds:
                values["seed"] = seed
            try:
                planned.append(self._row(values))
            except RequestError as error:
                by_row.setdefault(number, []).extend(error.problems)
        if by_row and len(by_row) == number:  # what is wrong with an argument is said once
            shared = [one for one in by_row[1] if one.field in self.arguments]
            shared = [one for one in shared if all(one in others for others in by_row.values())]
            self.problems += shared
            by_row = {number: [one for one in found if one not in shared] for number, found in by_row.items()}
        raise_problems(self.problems, by_row)
        return tuple(planned)

    def _row(self, values: dict[str, Any]) -> PlannedRow:
        """Return a row from its values. Raise ``RequestError`` with everything that is wrong with it."""
        problems = list[Problem]()
        given = {name: values[column] for name, column in self.setters.items() if not _is_blank(values[column])}
        fields = self.fixed | {name: _READERS.get(name, lambda it: it)(value) for name, value in given.items()}
        tags = fields.pop("tags", [])
        for template in self.templates:
            text = self._text(template, values, problems)
            if template.field == "tags":
                tags.append(text)
            else:
                fields[template.field] = text
        problems += [_not_text("tags", tag) for tag in tags if not isinstance(tag, str)]
        fields["images"] = self._pictures("images", values, problems)
        story, in_set = fields.get("interleave") is True, fields.get("sequential") is True
        mode = mode_for(fields["images"], interleave=story, sequential=in_set)
        shapes, size = self._pictures("like", values, problems), size_text(fields.get("size"))
        is_known = all(one.data if isinstance(one, InputImage) else one.job_id for one in shapes)
        if shapes and is_known and isinstance(size, str | None):
            shown, model = shapes[0].name, str(fields.get("model", MODEL))
            fields["size"], wrong = size_from_image(shapes, shown=shown, size=size, mode=mode, model=model)
            problems += wrong
        try:
            request = ImageRequest(**fields)
        except RequestError as error:
            raise RequestError([*problems, *error.problems]) from None
        if problems:
            raise RequestError(problems)
        columns = {name: self._json(value) for name, value in values.items()}
        return PlannedRow(columns=columns, request=request, tags=tuple(dict.fromkeys(tags)), files=self.files)

    def _text(self, template: Template, values: dict[str, Any], problems: list[Problem]) -> str:
        """Return a text with the fields of a row filled in."""
        empty = {part.name for part in template.fields if values.get(part.name, "") is None}
        if empty:
            message, hint = f"has no value, but stands in the {template.field}.", "Fill it in, or leave the row out."
            problems += [Problem(name, "", message, hint) for name in sorted(empty)]
            return "?"
        expanded = template.fill(self.variables | values)
        problems += expanded.problems
        self.notes |= dict.fromkeys(expanded.notes)
        return expanded.text

    def _pictures(self, name: str, values: Mapping[str, Any], problems: list[Problem]) -> Inputs:
        """Return the pictures of a row; one that cannot be used keeps its place, and so the mode."""
        found: Inputs = ()
        for column, value in self.sources.get(name, ()):
            given = values[column] if column else value
            if not _is_blank(given):
                images, wrong = self._load(given, column or name)
                found += images
                problems += wrong if column else ()
            elif column and name in self.arguments:  # leaving it out would make another picture "image 2"
                problems.append(Problem(column, "", "holds no picture.", "Fill it in, or leave the row out."))
        return found

    def _load(
        self, value: object, field: str, name: str = "", *, is_shared: bool = False
    ) -> tuple[Inputs, list[Problem]]:
        """Return the pictures that a value is, read once for all rows, and what is wrong with them."""
        if isinstance(value, InputImage | PendingImage):
            return (value,), []
        if isinstance(value, list | tuple):
            each = [self._load(one, field, f"image {number}") for number, one in enumerate(value, 1)]
            return tuple(one for images, _ in each for one in images), [one for _, wrong in each for one in wrong]
        key = (type(value), value) if isinstance(value, str | PurePath) else id(value)
        if key not in self.loaded:
            images, _, problems = self.resolver.inputs(value, name or field)
            if (
                not is_shared
                and isinstance(value, str | PurePath)
                and not re.match(r"(?i)\s*(https?|data):", str(value))
            ):
                self.files |= {one.identity: value for one in images if isinstance(one, InputImage)}
                images = tuple(replace(one, data=b"") if isinstance(one, InputImage) else one for one in images)
            self.loaded[key] = value, images, problems
        _, images, problems = self.loaded[key]
        return images, [replace(one, field=field) for one in problems]

    def _json(self, value: Any) -> Any:
        """Return a value as JSON holds it: dates and other numbers as text, pictures by their names."""
        match value:
            case None | bool():
                return value
            case int() if not isinstance(value, Enum):
                return int(value)
            case float() if math.isfinite(value):
                return float(value)
            case date() | time():
                return value.isoformat()
            case Mapping():
                return {str(name): self._json(_plain(inner)) for name, inner in value.items()}
            case list() | tuple() | Set():
                return [self._json(_plain(inner)) for inner in value]
            case str():
                return str(value) if value[:5] != "data:" else "picture"
        name = self.resolver.label(value) if not isinstance(value, PurePath) else ""
        if name or looks_like_image(value) or is_job(value):
            return name or "picture"
        with suppress(Exception):  # a person's own class may raise anything
            if " at 0x" not in (text := str(value)):
                return one_line(text, _TEXT_MAX_CHARS)
        return f"<{type(value).__name__}>"


# Values --------------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return NumPy's scalars as Python's, and None for everything that stands for a missing value."""
    if type(value) in (str, int, bool):
        return value
    if hasattr(type(value), "dtype") and getattr(value, "shape", None) == ():
        is_time = getattr(value.dtype, "kind", "") in ("m", "M")  # whose item may be a bare number
        value = str(value).replace("NaT", "") or None if is_time else value.item()
    is_nan = (isinstance(value, float) and value != value) or (isinstance(value, Decimal) and value.is_nan())
    return None if is_nan or type(value).__name__ in ("NAType", "NaTType") else value


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> Any:
    """Return ``"7"``, and 7.0 from a column in which others are missing, as 7; anything else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}(\.0+)?\s*", value):
        return int(value.partition(".")[0])
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: Any) -> Any:
    return {"true": True, "false": False}.get(value.strip().lower(), value) if isinstance(value, str) else value


def _words(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return list(value) if isinstance(value, list | tuple | Set) else [value]


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("seed", "n", "max_images"), _number),
    **dict.fromkeys(("interleave", "prompt_extend", "sequential", "thinking", "watermark"), _flag),
    "tags": _words,
}
"""How the value of a column is read, as the text of an option is."""


def _not_text(name: str, value: object) -> Problem:
    return Problem(name, shown_value(value), "must be text.", "Give text in quotes.")


def _both(name: str, column: str) -> Problem:
    """Return the problem of a parameter that is given twice."""
    hint = f"Leave one out, or {'write {prompt} in the text' if name == 'prompt' else 'rename the column'}."
    return Problem(name, "", f"is an argument, and the column {column} sets it too.", hint)


def _listed(given: Any) -> list[Any]:
    """Return what a person gave as one or several."""
    return list(given) if isinstance(given, list | tuple | Set) else [given]
