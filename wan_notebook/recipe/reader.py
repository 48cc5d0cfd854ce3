"""Recipes from JSON: strict about kinds, closed to newer versions, bounded on hostile text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar

from wan_notebook.errors import RecipeError
from wan_notebook.money import Cost, Source, to_decimal
from wan_notebook.recipe.model import SCHEMA, VERSION, Recipe, RecipeInput, RecipeParameters, RecipePicture

MAX_JSON_CHARACTERS: Final = 2_000_000
"""A recipe has a few thousand; more is not read."""

_AMOUNT: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,30})?\Z")
_WHOLE_MAX: Final = 2**63  # what a database column holds

_T = TypeVar("_T")


def recipe_from_dict(data: object) -> Recipe:
    """Read the JSON form; RecipeError for another schema, a newer version, or a field of the wrong kind."""
    top = _Fields(data, "the recipe")
    if top.data.get("schema") != SCHEMA:
        raise RecipeError(f"This is no recipe of wan_notebook: its schema is {_shown(top.data.get('schema'))}.")
    _check_version(top.data.get("version"))
    return Recipe(
        model=top.text("model"),
        provider=top.text("provider"),
        mode=top.text("mode"),
        prompt=top.text("prompt"),
        negative_prompt=top.text("negative_prompt", ""),
        job_id=top.text("job_id", ""),
        task_id=top.text("task_id", ""),
        parameters=_parameters(top.part("parameters")),
        picture=_picture(top.part("picture")),
        seeds=tuple(top.items("seeds", _whole)),
        inputs=tuple(top.items("inputs", _input)),
        times=top.texts("times"),
        cost=_cost(top.part("cost")),
        fingerprints=top.texts("fingerprints"),
        versions=top.texts("versions"),
    )


def recipe_from_json(text: str) -> Recipe:
    """Read the JSON text; RecipeError for anything else."""
    if len(text) > MAX_JSON_CHARACTERS:
        raise RecipeError(f"The recipe has {len(text)} characters; that is none of ours.")
    data = load_json(text)
    if data is None:
        raise RecipeError("The recipe is damaged: it is no JSON.")
    return recipe_from_dict(data)


def load_json(text: str) -> Any:
    """Parse JSON of any origin; None for what is none, nests too deep, or holds numbers that JSON has not."""
    if len(text) > MAX_JSON_CHARACTERS:
        return None
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _check_version(version: object) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise RecipeError(f"The recipe is damaged: its version is {_shown(version)}.")
    if version > VERSION:
        raise RecipeError(
            f"This recipe has version {version}; this wan_notebook reads up to {VERSION}.",
            hint="Update it: pip install -U wan-notebook.",
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


@dataclass(frozen=True)
class _Fields:
    """One JSON object, read field by field; each complaint names the place."""

    data: Any
    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            raise RecipeError(f"The recipe is damaged: {self.where} is {_shown(self.data)}, not an object.")

    def _get(self, name: str, default: _T, kind: Callable[[object], bool], what: str) -> Any | _T:
        value = self.data.get(name, default)
        if value is not default and not kind(value):
            raise RecipeError(f"The recipe is damaged: {self.where}'s {name} is {_shown(value)}, not {what}.")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default it must be there."""
        value = self._get(name, default, lambda v: isinstance(v, str), "text")
        if value is None:
            raise RecipeError(f"The recipe is damaged: {self.where} has no {name}.")
        return str(value)

    def whole(self, name: str) -> int | None:
        """Return a whole number, or None if it is not there."""
        value = self._get(name, None, _is_whole, "a whole number")
        return None if value is None else int(value)

    def flag(self, name: str) -> bool | None:
        """Return true or false, or None if it is not there."""
        value = self._get(name, None, lambda v: isinstance(v, bool), "true or false")
        return None if value is None else bool(value)

    def part(self, name: str) -> _Fields:
        """Return an object within; an empty one if it is not there."""
        return _Fields(self.data.get(name, {}), name)

    def items(self, name: str, read: Callable[[object, str], _T]) -> list[_T]:
        """Return a list's items, each read by a function."""
        values = self._get(name, (), lambda v: isinstance(v, list), "a list")
        return [read(value, f"{name}[{index}]") for index, value in enumerate(values)]

    def texts(self, name: str) -> dict[str, str]:
        """Return an object of texts."""
        part = self.part(name)
        return {key: part.text(key) for key in part.data}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _WHOLE_MAX


def _whole(value: object, where: str) -> int:
    if not _is_whole(value):
        raise RecipeError(f"The recipe is damaged: {where} is {_shown(value)}, not a whole number.")
    return int(value)  # type: ignore[call-overload,no-any-return]  # _is_whole has said so


def _input(value: object, where: str) -> RecipeInput:
    part = _Fields(value, where)
    return RecipeInput(
        name=part.text("name"),
        identity=part.text("identity"),
        sha256=part.text("sha256"),
        width_px=_whole(part.data.get("width_px"), f"{where}.width_px"),
        height_px=_whole(part.data.get("height_px"), f"{where}.height_px"),
    )


def _parameters(part: _Fields) -> RecipeParameters:
    return RecipeParameters(
        size=part.text("size") if "size" in part.data else None,
        n=part.whole("n"),
        max_images=part.whole("max_images"),
        seed=part.whole("seed"),
        prompt_extend=part.flag("prompt_extend"),
        watermark=part.flag("watermark"),
        enable_interleave=part.flag("enable_interleave"),
    )


def _picture(part: _Fields) -> RecipePicture:
    index, count = part.whole("index"), part.whole("count")
    return RecipePicture(
        index=0 if index is None else index,
        count=1 if count is None else count,
        sha256=part.text("sha256", ""),
        width_px=part.whole("width_px"),
        height_px=part.whole("height_px"),
    )


def _cost(part: _Fields) -> Cost:
    given = part.data.get("amount")
    # The pattern keeps out 1E999999999, which would fill the memory when it is written out.
    amount: Decimal | None = to_decimal(given) if isinstance(given, str) and _AMOUNT.match(given) else None
    if given is not None and amount is None:
        raise RecipeError(f"The recipe is damaged: cost's amount is {_shown(given)}, not a decimal text.")
    source = part.text("source", Source.UNKNOWN.value)
    if source not in set(Source):
        raise RecipeError(f"The recipe is damaged: cost's source is {_shown(source)}.")
    return Cost(amount, part.text("currency", "USD"), Source(source), part.text("note", ""))
