"""The rules of a request, read from its model's record, and sizes: pure functions, worded for people.

Limits come from ``models.MODELS``; section numbers (§) are those of WAN_API.
"""

from __future__ import annotations

import builtins
import keyword
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from inspect import signature
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final

from .errors import CellError, Problem
from .images import InputImage, PendingImage
from .models import MODEL, MODELS, RATIOS, TASKS_PER_CALL_MAX, ModelRecord
from .text import did_you_mean, one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

    from .request import ImageRequest


class Mode(StrEnum):
    """The service's task; it follows from the input."""

    EDIT = "edit"
    TEXT_TO_IMAGE = "text to image"
    ILLUSTRATED = "illustrated text"


def mode_for(images: Sequence[object], *, interleave: bool) -> Mode:
    """Return the mode that these inputs lead to."""
    if interleave:
        return Mode.ILLUSTRATED
    return Mode.EDIT if images else Mode.TEXT_TO_IMAGE


def record_of(model: str) -> ModelRecord:
    """Return the limits of a model; of an unknown one (a problem of its own) those of the default model."""
    return MODELS.get(model, MODELS[MODEL])


_RANGE_HINT: Final = "Choose a number in that range."


def problems_of(request: ImageRequest) -> list[Problem]:
    """Return every rule that a request breaks, in the order of its fields."""
    record, mode = record_of(request.model), request.mode
    size = [] if request.size is None else _size_problems(request.size, mode, record)
    return [
        *_text_problems(request, record),
        *_image_problems(request, record),
        *size,
        *_count_problems(request, record),
    ]


def _text_problems(request: ImageRequest, record: ModelRecord) -> list[Problem]:
    found = []
    if not request.prompt.strip():
        found.append(Problem("prompt", "", "must not be empty.", "Describe the picture that you want."))
    for field, text, max_chars in (
        ("prompt", request.prompt, record.prompt_max_chars),
        ("negative_prompt", request.negative_prompt, record.negative_prompt_max_chars),
    ):
        if len(text) > max_chars:
            message = f"has {len(text)} characters, but the model reads at most {max_chars} and drops the rest."
            hint = f"Shorten it by {len(text) - max_chars} characters."
            found.append(Problem(field, f"{text[:24]}…", message, hint))
        if any("\ud800" <= char <= "\udfff" for char in text):
            message = "contains half a character (a lone surrogate), which cannot be sent."
            found.append(Problem(field, "", message, "Type the text again."))
    if request.model not in MODELS:
        hint = f"Leave it out, or use {', '.join(MODELS)}."
        found.append(Problem("model", repr(request.model), "unknown model.", hint))
    return found


def _image_problems(request: ImageRequest, record: ModelRecord) -> list[Problem]:
    count, mode = len(request.images), request.mode
    if mode is Mode.EDIT and count > record.edit_images_max:
        message = f"editing takes {record.edit_images_min} to {record.edit_images_max} pictures."
        return [Problem("images", str(count), message, f"Leave out {count - record.edit_images_max}.")]
    if mode is Mode.ILLUSTRATED and count > record.illustrated_images_max:
        message = f"illustrated text takes at most {record.illustrated_images_max} picture."
        hint = "Give one picture, or leave out interleave to edit several."
        return [Problem("images", str(count), message, hint)]
    return []


def _count_problems(request: ImageRequest, record: ModelRecord) -> list[Problem]:
    mode, found = request.mode, []
    n_max = {Mode.EDIT: record.n_max, Mode.TEXT_TO_IMAGE: TASKS_PER_CALL_MAX, Mode.ILLUSTRATED: 1}[mode]
    if mode is Mode.ILLUSTRATED and request.n != 1:
        hint = "Set the number of pictures with max_images."
        found.append(Problem("n", str(request.n), "must be 1 in illustrated text.", hint))
    elif not 1 <= request.n <= n_max:
        found.append(Problem("n", str(request.n), f"must be 1 to {n_max} ({mode}).", _RANGE_HINT))
    if request.max_images is not None and mode is not Mode.ILLUSTRATED:
        message = f"belongs to illustrated text, but this is {mode}."
        found.append(Problem("max_images", str(request.max_images), message, "Use n, or add interleave."))
    elif request.max_images is not None and not 1 <= request.max_images <= record.max_images_max:
        message = f"must be 1 to {record.max_images_max}."
        found.append(Problem("max_images", str(request.max_images), message, _RANGE_HINT))
    if request.prompt_extend is not None and mode is not Mode.EDIT:
        message = f"only edits can have their prompt rewritten, but this is {mode}."
        hint = "Leave out prompt_extend (--rewrite, --no-rewrite)."
        found.append(Problem("prompt_extend", str(request.prompt_extend), message, hint))
    if request.seed is not None and not 0 <= request.seed <= record.seed_max:
        found.append(Problem("seed", str(request.seed), f"must be 0 to {record.seed_max}.", _RANGE_HINT))
    return found


# Sizes ---------------------------------------------------------------------------------------------------------------

_EXPLICIT: Final = re.compile(r"\s*\(?\s*(\d{1,6})\s*[*xX×,]\s*(\d{1,6})\s*\)?\s*\Z")
_DEFAULT_TIER: Final = "1K"


def parse_size(text: str) -> str | tuple[int, int] | None:
    """Read a size: a tier name (``1K``), or (width, height) in pixels; None if the text is neither.

    A recommended ratio such as ``16:9`` gives its size in pixels.
    """
    name = text.strip()
    if any(name.upper() in record.tiers for record in MODELS.values()):
        return name.upper()
    if name in RATIOS:
        return RATIOS[name]
    match = _EXPLICIT.match(name)
    return (int(match[1]), int(match[2])) if match else None


def size_text(size: Any) -> Any:
    """Return a size given as a pair of whole numbers as text, anything else as it is."""
    if isinstance(size, list | tuple) and len(size) == 2:
        width, height = map(plain_integer, size)
        if type(width) is int and type(height) is int:
            return f"{width}x{height}"
    return size


def wire_size(asked: str | None, mode: Mode) -> str | None:
    """Return a valid size as it is sent (``1280*1280``, ``1K``), or None if it is left to the service."""
    if asked is None:
        return _DEFAULT_TIER if mode is Mode.EDIT else None
    size = parse_size(asked)
    if isinstance(size, tuple):
        return f"{size[0]}*{size[1]}"
    # Tiers are not documented in text to image; without an input 1K can only mean this.
    return "1280*1280" if size == _DEFAULT_TIER and mode is Mode.TEXT_TO_IMAGE else size


def _size_problems(asked: str, mode: Mode, record: ModelRecord) -> list[Problem]:
    size = parse_size(asked)
    if isinstance(size, tuple):
        width, height = size
        most_px = record.edit_total_max_px if mode is Mode.EDIT else record.text_total_max_px
        low, high, found = math.isqrt(record.total_min_px), math.isqrt(most_px), []
        if not record.total_min_px <= width * height <= most_px:
            message = f"has {width * height:,} pixels, but the total must be {low}×{low} to {high}×{high} ({mode})."
            found.append(Problem("size", asked, message, "Choose a size in that range, or a ratio such as 16:9."))
        if not height or not record.aspect_min <= width / height <= record.aspect_max:
            message = "the proportion of the sides must be between 1:4 and 4:1."
            found.append(Problem("size", asked, message, "Make the shorter side longer."))
        return found
    if size is None:
        tiers = {Mode.EDIT: (*record.tiers, "1280x1280"), Mode.TEXT_TO_IMAGE: (_DEFAULT_TIER,)}.get(mode, ())
        hint = f"Use {', '.join((*tiers, *RATIOS))}, or width x height in pixels."
        hint += " 2K needs an input picture." if mode is Mode.TEXT_TO_IMAGE else ""
        return [Problem("size", repr(asked), "not a valid size.", hint)]
    if mode is Mode.TEXT_TO_IMAGE and size != _DEFAULT_TIER:
        message = "without an input picture the result has at most 1280×1280 pixels in total."
        return [Problem("size", size, message, "Leave it out or choose at most 1280x1280, then edit the result at 2K.")]
    if mode is Mode.ILLUSTRATED:
        message = "illustrated text takes a size in pixels, at most 1280×1280 in total."
        hint = "Leave it out (the size follows the input), or give width x height."
        return [Problem("size", size, message, hint)]
    return []


def _fit_total(width_px: float, height_px: float, total_px: int, *, step_px: int = 1) -> tuple[int, int]:
    """Scale a shape to at most ``total_px`` pixels in total, each side cut down to a multiple of ``step_px``."""
    aspect = width_px / height_px
    width, height = math.sqrt(total_px * aspect), math.sqrt(total_px / aspect)
    return max(step_px, int(width) // step_px * step_px), max(step_px, int(height) // step_px * step_px)


def size_from_image(
    found: Sequence[InputImage | PendingImage], *, shown: str, size: str | None, mode: Mode
) -> tuple[str | None, list[Problem]]:
    """Return the size that ``like`` sends at the tier of ``size``, and what is wrong with asking for it.

    ``shown`` is the picture as it was typed, ``found`` what it turned out to be.
    """
    tier = parse_size(size) if size else _DEFAULT_TIER
    if isinstance(tier, tuple):
        message = f"cannot be combined with size {size}: both set the shape."
        return size, [Problem("like", shown, message, "Leave one of them out; 1K or 2K may stay.")]
    if len(found) > 1:
        return size, [Problem("like", shown, f"holds {len(found)} pictures.", "Name the one to follow.")]
    if not found:
        return size, []
    image = found[0]
    if isinstance(image, PendingImage):
        message, hint = "is not finished, so its shape is not known yet.", f"Wait for it: `%wan wait {image.job_id}`."
        if image.is_address:
            message, hint = "is not downloaded in a dry run, so its shape is not known.", "Give a size instead."
        return size, [Problem("like", shown, message, hint)]
    if tier != _DEFAULT_TIER and (tier is None or mode is not Mode.EDIT):
        return size, []  # a tier that this mode does not have stays, so that the request says why
    record = record_of(MODEL)
    total_px = record.tiers[tier] if mode is Mode.EDIT else record.text_total_max_px
    width, height = _fit_total(image.width_px, image.height_px, total_px, step_px=record.size_step_px)
    return f"{width}*{height}", []


def expected_size(request: ImageRequest) -> tuple[int, int, str] | None:
    """Return the expected width and height in pixels and whose shape it is; None while an input is unknown (§1)."""
    record = record_of(request.model)
    size = parse_size(request.size) if request.size else None
    if isinstance(size, tuple):
        step = record.size_step_px
        return round(size[0] / step) * step, round(size[1] / step) * step, "as asked"
    if not request.images:
        return 1280, 1280, "default"
    last = request.images[-1]
    if isinstance(last, PendingImage):
        return None
    whose = f"shape of image {len(request.images)} ({last.name})"
    total_px = record.tiers[size or _DEFAULT_TIER]
    if request.mode is Mode.ILLUSTRATED and last.width_px * last.height_px <= total_px:
        return last.width_px, last.height_px, whose
    return *_fit_total(last.width_px, last.height_px, total_px), whose


# Seeds and names of a whole call -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seeds:
    """The seeds of one call, each once and in order (``(None,)`` if none was asked), with notes and problems."""

    values: tuple[Any, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def split_seeds(given: object, *, n: object, mode: Mode) -> Seeds:
    """Read what was given as seed: None, a number, or several (a range, list, array or Series).

    Values that are not whole numbers are passed on: the request says what is wrong with them.
    """
    items = [given]
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        try:
            items = list(islice(given, TASKS_PER_CALL_MAX + 1))
        except TypeError:  # an array without a dimension
            items = [given]
    seeds: list[Any] = []
    notes = []
    for seed in map(plain_integer, items):
        if type(seed) is int and seed in seeds:
            notes.append(f"seed {seed} is listed more than once; it is asked once")
        else:
            seeds.append(seed)
    return Seeds(tuple(seeds), tuple(notes), tuple(_sweep_problems(seeds, n, mode)))


def plain_integer(value: Any) -> Any:
    """Return NumPy's and other integers as Python's; anything else (True too) as it is."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return value
    try:
        return operator.index(value)
    except TypeError:  # an array of several
        return value


def _sweep_problems(seeds: Sequence[Any], n: object, mode: Mode) -> list[Problem]:
    most, count = TASKS_PER_CALL_MAX, len(seeds)
    fewer = "Use fewer seeds, or several calls."
    if not seeds:
        return [Problem("seed", "[]", "the list is empty.", "Give at least one seed, or leave it out.")]
    if count > most:
        message = f"more than {most} seeds; one call asks for at most {most} pictures."
        return [Problem("seed", "", message, fewer)]
    if count < 2 or type(n) is not int or n < 2 or mode is Mode.ILLUSTRATED:
        return []
    ordered = sorted(seed for seed in seeds if type(seed) is int)
    if mode is Mode.TEXT_TO_IMAGE and any(later - earlier < n for earlier, later in pairwise(ordered)):
        message = "without input pictures, n pictures take the n seeds that follow, and here they overlap."
        return [Problem("n", str(n), message, "List every seed, or give one seed with n.")]
    if n * count > most:
        message = f"{count} seeds with {n} pictures each are {n * count}; one call asks for at most {most}."
        return [Problem("seed", "", message, fewer)]
    return []


_TAKEN: Final = frozenset(dir(builtins)) | {"In", "Out", "display", "exit", "get_ipython", "quit"}


def name_problem(name: str, *, field: str = "name") -> Problem | None:
    """Return why no variable of a notebook should have this name; None if one may."""
    if keyword.iskeyword(name) or not name.isidentifier():
        message, hint = "not a valid variable name.", "Use letters, digits and _, for example fox_1."
    elif name.startswith("_"):
        message = "starts with an underscore; IPython and %wan set such names themselves."
        hint = "Use a name such as fox_1."
    elif name in _TAKEN:
        message, hint = f"would hide Python's own {name} from other cells.", f"Use {name}_1."
    else:
        return None
    return Problem(field, repr(name), message, hint)


# Types ---------------------------------------------------------------------------------------------------------------

_TYPE_MESSAGES: Final = {
    "missing": "is required.",
    "string_type": "must be text.",
    "int_type": "must be a whole number.",
    "bool_type": "must be True or False.",
}
_TYPE_HINTS: Final = {
    "prompt": "Give text in quotes.",
    "negative_prompt": "Give text in quotes.",
    "size": "Give for example '1280x720', (1280, 720), '16:9' or '1K'.",
    "n": f"Choose a number from 1 to {MODELS[MODEL].n_max}.",
    "max_images": f"Choose a number from 1 to {MODELS[MODEL].max_images_max}.",
    "seed": f"Choose a number from 0 to {MODELS[MODEL].seed_max}.",
    "images": "Give a picture, or a list of pictures.",
}


def type_problems(error: ValidationError, known: Iterable[str]) -> list[Problem]:
    """Turn pydantic's findings into problems, one a field; ``known`` are the names that may be given."""
    found: dict[str, Problem] = {}
    for item in error.errors(include_url=False):
        field, kind = str(item["loc"][0]) if item["loc"] else "request", item["type"]
        if kind == "extra_forbidden":
            found.setdefault(field, unknown_parameter(field, item.get("input"), known))
        else:
            value = "" if kind == "missing" else shown_value(item.get("input"))
            message = _TYPE_MESSAGES.get(kind, "not a picture." if field == "images" else f"{item['msg']}.")
            found.setdefault(field, Problem(field, value, message, _TYPE_HINTS.get(field, "")))
    return list(found.values())


def unknown_parameter(name: str, value: object, known: Iterable[str]) -> Problem:
    """Return the problem of a misspelled parameter, with the nearest name."""
    hint = did_you_mean(name, known) or f"Known parameters: {', '.join(known)}."
    return Problem(name, shown_value(value), "not a parameter.", hint)


def unknown_parameters(function: Callable[..., object], given: Mapping[str, object]) -> list[Problem]:
    """Return a problem for each misspelled parameter of a function, which takes them as ``**unknown``."""
    known = [name for name in signature(function).parameters if name != "unknown"]
    return [unknown_parameter(name, value, known) for name, value in given.items()]


def refuse_unknown(function: Callable[..., object], given: Mapping[str, object]) -> None:
    """Raise ``CellError`` for a misspelled parameter of a function that sends nothing."""
    for problem in unknown_parameters(function, given):
        raise CellError(f"{problem.field} = {problem.value}: {problem.message}", hint=problem.hint)


def shown_value(value: object) -> str:
    """Return plain values as typed, of others the type: the repr of an unknown object may hold anything."""
    plain = (str, int, float, type(None))
    if isinstance(value, plain) or (isinstance(value, list | tuple) and all(isinstance(v, plain) for v in value)):
        return one_line(repr(value), 60)
    return f"<{type(value).__name__}>"
