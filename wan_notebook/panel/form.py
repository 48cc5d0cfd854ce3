"""What the panel's fields hold, as plain data, and the ``%%wan`` cell that they stand for."""

import re
from collections.abc import Mapping
from typing import Any, Final

from ..errors import CellError
from ..magics import CellText, cell_parser, split_negative, write_cell
from ..models import MODEL, MODELS
from ..validation import Mode, mode_for, size_text

LIMITS: Final = MODELS[MODEL]
FIELDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("prompt", "negative_prompt", "size", "seed", "provider", "tags", "name"), ""),
    **dict.fromkeys(("interleave", "watermark"), False),
    "images": [],
    "n": 1,
    "max_images": LIMITS.max_images_default,
    "prompt_extend": True,
}
"""The fields, named as the parameters of ``generate``, with what they hold at first.

Texts are as typed: ``prompt``, ``negative_prompt`` and ``tags`` (separated by commas) may hold ``{names}``, ``seed``
may be ``5``, ``5..8`` or ``5,9``. ``images`` are what stands after ``-i``. An empty text leaves it to the service.
"""
_NUMBER_OR_NAME: Final = r"(?:\d{1,12}|[^\W\d]\w*)"
_SEEDS: Final = re.compile(rf"{_NUMBER_OR_NAME}(?:(?:\.\.\.?|…|,){_NUMBER_OR_NAME})*|")
_SAME: Final = ("interleave", "n", "max_images", "seed", "size", "watermark", "tags", "name")
"""Fields that a cell's options have under the same names."""


def read_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of fields in their own types, from any type that ``generate`` takes. Raise ``CellError``."""
    if unknown := [name for name in given if name not in FIELDS]:
        raise CellError(f"the panel has no field {unknown[0]}.", hint=f"Fields are: {', '.join(FIELDS)}.")
    return {name: _read(size_text(value) if name == "size" else value, FIELDS[name]) for name, value in given.items()}


def values_of_cell(cell: str) -> dict[str, Any]:
    """Return what a cell asks, without its service."""
    line, _, body = cell.removeprefix("%%wan").partition("\n")
    options = cell_parser().read(line).options
    prompt, negative, _ = split_negative(body)
    texts = {"prompt": prompt.strip(), "negative_prompt": options.negative or negative, "images": options.image}
    same = {name: getattr(options, name) for name in _SAME}
    return read_values({**texts, **same, "prompt_extend": options.prompt_extend is not False})


def seeds_of(values: Mapping[str, Any]) -> str | None:
    """Return what stands after ``--seed``; None for anything but numbers, names, ranges and lists of them."""
    text = "".join(values["seed"].split())
    return text if _SEEDS.fullmatch(text) else None


def cell_of_values(values: Mapping[str, Any]) -> CellText:
    """Return the cell that asks the same, without a seed that cannot be read."""
    cell = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    mode = mode_for(values["images"], interleave=values["interleave"])
    is_limited = mode is Mode.ILLUSTRATED and values["max_images"] != LIMITS.max_images_default
    cell |= {
        "seed": seeds_of(values),
        "tags": dict.fromkeys(tag for part in values["tags"].split(",") if (tag := " ".join(part.split()))),
        "n": 1 if mode is Mode.ILLUSTRATED else values["n"],
        "max_images": values["max_images"] if is_limited else None,
        "prompt_extend": None if mode is not Mode.EDIT or values["prompt_extend"] else False,
    }
    return write_cell(cell.pop("prompt"), cell.pop("negative_prompt"), **cell)


def _read(value: Any, default: Any) -> Any:
    """Return a value in the type of its field; the default for None and for what is not a number."""
    if value is None:
        return default
    if isinstance(default, list):
        return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
    if type(default) is int:
        return int(value) if re.fullmatch(r"-?\d{1,6}", str(value), re.ASCII) else default
    if isinstance(value, list | tuple | range):  # several seeds or tags
        return ", ".join(map(str, value))
    return type(default)(value)
