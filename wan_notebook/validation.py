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
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final

from .errors import CellError, Problem
from .images import InputImage, PendingImage
from .models import LIKE_STEP_PX, MODEL, MODELS, TASKS_PER_CALL_MAX, TIERS, ModeLimits, ModelRecord
from .models import Mode as Mode
from .text import did_you_mean, one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

    from .request import ImageRequest


Rule = tuple[bool, str, object, str, str]
"""Whether it is broken; field, value, message and hint of the problem."""


_MODES: Final = {  # what makes a request one of a mode that some models lack, and how the mode is called there
    Mode.EDIT: ("images", "edits"),
    Mode.ILLUSTRATED: ("interleave", "illustrated text"),
    Mode.SET: ("sequential", "picture sets"),
}
_OPTIONS: Final = {  # what only some models or modes have: what a mode without it is told, hints of mode and model
    "negative_prompt": ("", "", "Say it in the prompt"),
    "prompt_extend": ("only edits are rewritten", "Leave it out.", "Leave it out"),
    "max_images": ("needs illustrated text", "Use n, or add interleave.", "Use n"),
    "thinking": ("needs text to image", "Leave it out.", "Leave it out"),
}


def mode_for(images: Sequence[object], *, interleave: bool, sequential: bool = False) -> Mode:
    """Return the mode that these inputs lead to."""
    if interleave or sequential:
        return Mode.ILLUSTRATED if interleave else Mode.SET
    return Mode.EDIT if images else Mode.TEXT_TO_IMAGE


def record_of(model: str) -> ModelRecord:
    """Return the limits of a model; of an unknown one (a problem of its own) those of the default model."""
    return MODELS.get(model, MODELS[MODEL])


def limits_of(model: str, mode: str) -> ModeLimits:
    """Return what a mode of a model takes; of one that it does not have (a problem of its own) what another takes."""
    modes = record_of(model).modes
    return next((limits for known, limits in modes.items() if known == mode), next(iter(modes.values())))


def models_with(has: Callable[[ModelRecord], bool]) -> str:
    """Return the names of the models of which something is true, to be read."""
    *others, last = [name for name, record in MODELS.items() if has(record)]
    return f"{', '.join(others)} or {last}" if others else last


def problems_of(request: ImageRequest) -> list[Problem]:
    """Return every rule that a request breaks, each with its field, value, message and hint."""
    if request.model not in MODELS:  # nobody knows its limits
        return [Problem("model", _text(request.model), "unknown model.", f"Use {', '.join(MODELS)}.")]
    record, mode, count, limits = record_of(request.model), request.mode, len(request.images), request.limits
    is_story, in_range = mode is Mode.ILLUSTRATED, "Choose a number in that range."
    least, n_max = limits.n_min, TASKS_PER_CALL_MAX if limits.splits else limits.n_max
    n_hint = "Set the number of pictures with max_images." if is_story else in_range
    seed, most, over = request.seed or 0, request.max_images, count - limits.images_max
    is_most = most is None or not is_story or 1 <= most <= record.max_images_max
    rules: list[Rule] = [
        (not request.prompt.strip(), "prompt", "", "must not be empty.", "Describe the picture that you want."),
        (request.interleave and request.sequential, "sequential", True, "is not for illustrated text.", "Keep one."),
        (
            mode in record.modes and not least <= request.n <= n_max,
            "n",
            request.n,
            f"must be {'1' if is_story else f'{least} to {n_max}'} ({mode}).",
            n_hint,
        ),
        (not is_most, "max_images", most, f"must be 1 to {record.max_images_max}.", in_range),
        (not 0 <= seed <= record.seed_max, "seed", seed, f"must be 0 to {record.seed_max}.", in_range),
    ]
    if mode in record.modes:
        rules.append((over > 0, "images", count, f"at most {limits.images_max} ({mode}).", f"Leave out {over}."))
    else:
        (field, what), others = _MODES[mode], models_with(lambda one: mode in one.modes)
        hint = f"Leave {'them' if field == 'images' else 'it'} out, or use {others}."
        rules.append((True, field, count if field == "images" else True, f"{record.name} makes no {what}.", hint))
    for name in _OPTIONS.keys() - limits.options:
        if (value := getattr(request, name)) not in (None, ""):
            rules += _option_rules(name, value, mode, record)
    for name, text, most_chars in (
        ("prompt", request.prompt, record.prompt_max_chars),
        ("negative_prompt", request.negative_prompt, record.negative_prompt_max_chars),
    ):
        extra, half = len(text) - most_chars, "contains half a character (a lone surrogate), which cannot be sent."
        message = f"has {len(text)} characters, but the model reads at most {most_chars} and drops the rest."
        rules += [
            (extra > 0, name, f"{text[:24]}…", message, f"Shorten it by {extra} characters."),
            (bool(re.search("[\ud800-\udfff]", text)), name, "", half, "Type the text again."),
        ]
    longest = record.image_aspect_max
    for image in request.images:
        if isinstance(image, InputImage) and (shorter := min(image.width_px, image.height_px)):
            is_long = max(image.width_px, image.height_px) > longest * shorter
            shape = f"{image.width_px}×{image.height_px}, and {record.name} takes 1:{longest:g} to {longest:g}:1."
            rules.append((is_long, "images", image.name, f"is {shape}", "Crop it."))
    if request.size is not None:
        rules += _size_rules(request.size, mode, record)
    return [Problem(field, _text(value), *said) for is_broken, field, value, *said in rules if is_broken]


def _option_rules(name: str, value: object, mode: Mode, record: ModelRecord) -> list[Rule]:
    """Return what is wrong with a field that this model does not have, or not in this mode."""
    of_mode, mode_hint, model_hint = _OPTIONS[name]

    def has(one: ModelRecord) -> bool:
        return any(name in limits.options for limits in one.modes.values())

    if has(record):  # a mode that the model does not have is a problem of its own
        return [(mode in record.modes, name, value, f"{of_mode}, but this is {mode}.", mode_hint)]
    shown = one_line(value, 24) if isinstance(value, str) else value
    return [(True, name, shown, f"{record.name} has no {name}.", f"{model_hint}, or use {models_with(has)}.")]


# Sizes ---------------------------------------------------------------------------------------------------------------

DEFAULT_TIER: Final = "1K"


def parse_size(text: str, record: ModelRecord = MODELS[MODEL]) -> str | tuple[int, int] | None:
    """Read a size: a tier name (``1K``), or (width, height) in pixels; None if the text is neither.

    A ratio such as ``16:9`` gives the size in pixels that the model has for it.
    """
    name = text.strip()
    if name.upper() in TIERS:
        return name.upper()
    match = re.fullmatch(r"\(?\s*(\d{1,6})\s*[*xX×,]\s*(\d{1,6})\s*\)?", name)
    return (int(match[1]), int(match[2])) if match else record.ratios.get(name)


def size_text(size: Any) -> Any:
    """Return a size given as a pair of whole numbers as text, anything else as it is."""
    if isinstance(size, list | tuple) and len(size) == 2:
        width, height = map(plain_integer, size)
        with suppress(ValueError):  # Python writes no number of more than 4,300 digits
            if type(width) is int and type(height) is int:
                return f"{width}x{height}"
    return size


def _size_rules(asked: str, mode: Mode, record: ModelRecord) -> list[Rule]:
    size, limits = parse_size(asked, record), limits_of(record.name, mode)
    if size is None:
        hint = f"Use {', '.join((*limits.tiers, *record.ratios))}, or width x height in pixels."
        return [(True, "size", repr(asked), "not a valid size.", hint)]
    if isinstance(size, str):
        modes = [_MODES.get(one, ("", one))[1] for one, its in record.modes.items() if size in its.tiers]
        belongs, side = f"belongs to {' and '.join(modes)}, but this is {mode}.", math.isqrt(limits.total_max_px)
        message = belongs if modes else f"not a size of {record.name}."
        if limits.tiers or not modes:
            owners = models_with(lambda one: any(size in its.tiers for its in one.modes.values()))
            hint = f"Use {', '.join((*limits.tiers, 'a shape such as 16:9'))} or pixels; {size} is of {owners}."
        else:
            hint = (
                f"Give a size in pixels, at most {side}x{side} in total, or leave it out; then edit the result at 2K."
            )
        return [(size not in (*limits.tiers, *limits.sent_as), "size", size, message, hint)]
    width, height = size
    low, high = math.isqrt(limits.total_min_px), math.isqrt(limits.total_max_px)
    message = f"has {width * height:,} pixels, but the total must be {low}×{low} to {high}×{high} ({mode})."
    hint, longest = "Choose a size in that range, or a ratio such as 16:9.", record.aspect_max
    is_total = limits.total_min_px <= width * height <= limits.total_max_px or size in record.ratios.values()
    is_odd = not width or not height or max(width, height) / min(width, height) > longest
    odd = f"the sides must be between 1:{longest:g} and {longest:g}:1."
    return [
        (not is_total, "size", asked, message, hint),
        (is_odd, "size", asked, odd, "Make the shorter side longer."),
    ]


def _fit_total(width_px: float, height_px: float, total_px: int, *, step_px: int = 1) -> tuple[int, int]:
    """Scale a shape to at most ``total_px`` pixels in total, each side cut down to a multiple of ``step_px``."""
    aspect = width_px / height_px
    width, height = math.sqrt(total_px * aspect), math.sqrt(total_px / aspect)
    return max(step_px, int(width) // step_px * step_px), max(step_px, int(height) // step_px * step_px)


def size_from_image(
    found: Sequence[InputImage | PendingImage], *, shown: str, size: str | None, mode: Mode, model: str = MODEL
) -> tuple[str | None, list[Problem]]:
    """Return the size that ``like`` sends at the tier of ``size``, and what is wrong with asking for it.

    ``shown`` is the picture as it was typed, ``found`` what it turned out to be.
    """
    record, limits = record_of(model), limits_of(model, mode)
    tier = parse_size(size, record) if size else None
    image = found[0] if found else None
    both = f"cannot be combined with size {size}: both set the shape."
    rules = (
        (isinstance(tier, tuple), both, "Leave one of them out; 1K or 2K may stay."),
        (len(found) > 1, f"holds {len(found)} pictures.", "Name the one to follow."),
        (isinstance(image, PendingImage), "is not here yet.", "Wait for it (`%wan wait`), or give a size."),
    )
    problems = [Problem("like", shown, message, hint) for is_broken, message, hint in rules if is_broken][:1]
    if problems or not isinstance(image, InputImage) or isinstance(tier, tuple):
        return size, problems
    if size and tier not in (*limits.tiers, DEFAULT_TIER):
        return size, []  # a tier that this mode does not have stays, so that the request says why
    total_px = limits.tiers.get(tier or limits.size or "", limits.total_max_px)
    width, height = _fit_total(image.width_px, image.height_px, total_px, step_px=LIKE_STEP_PX)
    return f"{width}*{height}", []


def expected_size(request: ImageRequest) -> tuple[int, int, str] | None:
    """Return the expected width and height in pixels and whose shape it is; None while an input is unknown (§1)."""
    record, limits = record_of(request.model), request.limits
    size = parse_size(request.size or limits.size or "", record)
    if isinstance(size, tuple):
        step = record.size_step_px
        return round(size[0] / step) * step, round(size[1] / step) * step, "as asked" if request.size else "default"
    total_px = limits.tiers.get(size or "", limits.total_max_px)
    last = request.images[-1] if request.images else None
    if not isinstance(last, InputImage):
        return None if last else (math.isqrt(total_px), math.isqrt(total_px), "default")
    whose = f"shape of image {len(request.images)} ({last.name})"
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


def split_seeds(given: object, *, n: object, mode: Mode, model: str = MODEL, most: int = TASKS_PER_CALL_MAX) -> Seeds:
    """Read what was given as seed: None, a number, or several (a range, list, array or Series).

    Values that are not whole numbers are passed on: the request says what is wrong with them.
    """
    items = [given]
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        with suppress(TypeError):  # an array without a dimension
            items = list(islice(given, most + 1))
    listed = [plain_integer(item) for item in items]
    first = {seed: at for at, seed in reversed([*enumerate(listed)]) if type(seed) is int}
    seeds = [seed for at, seed in enumerate(listed) if type(seed) is not int or first[seed] == at]
    notes = ("a seed that is listed twice is asked once",) if len(seeds) < len(listed) else ()
    each = n if type(n) is int and len(seeds) > 1 and mode is not Mode.ILLUSTRATED else 1
    ordered = sorted(seed for seed in seeds if type(seed) is int)
    splits = limits_of(model, mode).splits
    overlap = splits and any(later - earlier < each for earlier, later in pairwise(ordered))
    overlapping = "without input pictures, n pictures take the n seeds that follow, and here they overlap."
    rules: list[Rule] = [
        (not seeds, "seed", "[]", "the list is empty.", "Give at least one seed, or leave it out."),
        (overlap, "n", n, overlapping, "List every seed, or give one seed with n."),
        (len(seeds) * max(1, each) > most, "seed", "", f"more than {most:,} pictures in one call.", "Use fewer seeds."),
    ]
    return Seeds(
        tuple(seeds),
        notes,
        tuple(Problem(field, _text(value), *said) for is_broken, field, value, *said in rules if is_broken),
    )


def plain_integer(value: Any) -> Any:
    """Return NumPy's and other integers as Python's; anything else (True too) as it is."""
    with suppress(TypeError):  # text, fractions, an array of several
        return value if isinstance(value, bool) else operator.index(value)
    return value


def name_problems(name: str, *, field: str = "name") -> list[Problem]:
    """Return why no variable of a notebook should have this name, if there is one."""
    taken = {*dir(builtins), "In", "Out", "display", "exit", "get_ipython", "quit"}
    rules = (
        (keyword.iskeyword(name) or not name.isidentifier(), "not a valid variable name."),
        (name.startswith("_"), "starts with an underscore; IPython and %wan set such names themselves."),
        (name in taken, f"would hide Python's own {name} from other cells."),
    )
    hint = "Use letters, digits and _, for example fox_1."
    return [Problem(field, repr(name), message, hint) for is_broken, message in rules if is_broken and name][:1]


# Types ---------------------------------------------------------------------------------------------------------------

_TYPE_MESSAGES: Final = {  # by field or by pydantic's name of the error: message, hint; else its own words
    "images": ("not a picture.", "Give a picture, or a list of pictures."),
    "size": ("not a size.", "Write for example '16:9', '1280x720' or (1280, 720)."),
    "missing": ("is required.", ""),
    "string_type": ("must be text.", "Give text in quotes."),
    "int_type": ("must be a whole number.", "Give a number such as 3."),
    "bool_type": ("must be True or False.", "Write it without quotes."),
    "extra_forbidden": ("not a parameter.", ""),
}


def type_problems(error: ValidationError) -> list[Problem]:
    """Turn pydantic's findings into problems, one a field."""
    found: dict[str, Problem] = {}
    for item in error.errors(include_url=False):
        field, value = str(item["loc"][0]) if item["loc"] else "request", item.get("input")
        said = _TYPE_MESSAGES.get(field if field in _TYPE_MESSAGES else item["type"], (f"{item['msg']}.", ""))
        found.setdefault(field, Problem(field, "" if item["type"] == "missing" else shown_value(value), *said))
    return list(found.values())


def unknown_parameters(function: Callable[..., object], given: Mapping[str, object]) -> list[Problem]:
    """Return a problem for each misspelled parameter of a function, which takes them as ``**unknown``."""
    known = [name for name in signature(function).parameters if name != "unknown"]
    return [
        Problem(
            name,
            shown_value(value),
            "not a parameter.",
            did_you_mean(name, known) or f"Known parameters: {', '.join(known)}.",
        )
        for name, value in given.items()
    ]


def refuse_unknown(function: Callable[..., object], given: Mapping[str, object]) -> None:
    """Raise ``CellError`` for a misspelled parameter of a function that sends nothing."""
    for problem in unknown_parameters(function, given):
        raise CellError(f"{problem.field} = {problem.value}: {problem.message}", hint=problem.hint)


def shown_value(value: object) -> str:
    """Return plain values as typed, of others the type: the repr of an unknown object may hold anything."""
    items = value if isinstance(value, list | tuple) else (value,)
    with suppress(ValueError):  # see size_text
        if all(isinstance(item, str | int | float | None) for item in items):
            return one_line(repr(value), 60)
    return f"<{type(value).__name__}>"


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown_value(value)
