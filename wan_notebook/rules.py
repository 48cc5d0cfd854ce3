"""The rules of WAN_API §1, each worded for people. Pure functions over a request's fields."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from pydantic import ValidationError

from . import catalog as c
from .errors import Problem
from .inputs import InputImage, PendingImage


class Mode(StrEnum):
    """What the service is asked to do; it follows the input."""

    EDIT = "edit"
    TEXT_TO_IMAGE = "text to image"
    ILLUSTRATED = "illustrated text"


class Fields(Protocol):
    """A request's fields, as the rules read them."""

    prompt: str
    images: tuple[InputImage | PendingImage, ...]
    negative_prompt: str
    size: str | None
    n: int
    max_images: int | None
    interleave: bool
    prompt_extend: bool | None
    seed: int | None
    model: str


def mode_of(r: Fields) -> Mode:
    """Tell the mode from the input."""
    if r.interleave:
        return Mode.ILLUSTRATED
    return Mode.EDIT if r.images else Mode.TEXT_TO_IMAGE


def rule_problems(r: Fields) -> list[Problem]:
    """Return every rule that the request breaks, in the order of its fields."""
    checks: tuple[Callable[[Fields], list[Problem]], ...] = (
        _text_problems,
        _image_problems,
        _size_problems,
        _count_problems,
        _seed_problems,
    )
    return [problem for check in checks for problem in check(r)]


def _text_problems(r: Fields) -> list[Problem]:
    found = []
    if not r.prompt.strip():
        found.append(Problem("prompt", "", "is empty.", "Write what the picture shows."))
    for field, text, most in (
        ("prompt", r.prompt, c.PROMPT_MAX_CHARACTERS),
        ("negative_prompt", r.negative_prompt, c.NEGATIVE_PROMPT_MAX_CHARACTERS),
    ):
        if len(text) > most:
            over = f"{len(text)} characters, at most {most} are read; the service would cut the rest silently."
            found.append(Problem(field, f"{text[:24]}…", over, f"Shorten it by {len(text) - most}."))
        if any("\ud800" <= ch <= "\udfff" for ch in text):
            found.append(Problem(field, "", "contains half of a character (a lone surrogate).", "Type it again."))
    if r.model != c.MODEL:
        found.append(Problem("model", repr(r.model), f"is not known; the model is {c.MODEL}.", "Leave it out."))
    return found


def _image_problems(r: Fields) -> list[Problem]:
    count, mode = len(r.images), mode_of(r)
    if mode is Mode.EDIT and count > c.EDIT_IMAGES_MAX:
        return [Problem("images", str(count), f"editing takes 1 to {c.EDIT_IMAGES_MAX} pictures.", "Leave some out.")]
    if mode is Mode.ILLUSTRATED and count > c.INTERLEAVED_IMAGES_MAX:
        text = "illustrated text takes at most 1 picture."
        return [Problem("images", str(count), text, "Give one, or leave out --interleave to edit.")]
    return []


def _count_problems(r: Fields) -> list[Problem]:
    mode, found = mode_of(r), []
    most = {Mode.EDIT: c.N_MAX, Mode.TEXT_TO_IMAGE: c.TASKS_PER_CALL_MAX, Mode.ILLUSTRATED: 1}[mode]
    if not 1 <= r.n <= most:
        if mode is Mode.ILLUSTRATED:
            text, hint = "must be 1 in illustrated text.", "Use --max-images for the number of pictures."
        else:
            text = f"must be 1 to {most} in {mode}."
            hint = "Run the cell again for more." if r.n > most else "Choose a number in that range."
        found.append(Problem("n", str(r.n), text, hint))
    if r.max_images is not None:
        if mode is not Mode.ILLUSTRATED:
            text = f"belongs to illustrated text, this is {mode}."
            found.append(Problem("max_images", str(r.max_images), text, "Use -n, or add --interleave."))
        elif not 1 <= r.max_images <= c.MAX_IMAGES_MAX:
            text = f"must be 1 to {c.MAX_IMAGES_MAX}."
            found.append(Problem("max_images", str(r.max_images), text, "Choose a number in that range."))
    if r.prompt_extend is not None and mode is not Mode.EDIT:
        text = f"rewriting belongs to editing, this is {mode}."
        found.append(Problem("prompt_extend", str(r.prompt_extend), text, "Leave out --rewrite/--no-rewrite."))
    return found


def _seed_problems(r: Fields) -> list[Problem]:
    if r.seed is None or 0 <= r.seed <= c.SEED_MAX:
        return []
    text = f"must be 0 to {c.SEED_MAX}."
    return [Problem("seed", str(r.seed), text, "Choose one in that range, or leave it out.")]


# Sizes ---------------------------------------------------------------------------------------------------------------

_EXPLICIT = re.compile(r"\s*(\d{1,6})\s*[*xX×]\s*(\d{1,6})\s*\Z")


def parse_size(text: str) -> str | tuple[int, int] | None:
    """Read a size: a tier name, (width, height) in pixels, or None if it is neither. Ratio names give their table's."""
    name = text.strip()
    if name.upper() in c.TIERS:
        return name.upper()
    if name in c.RATIOS:
        return c.RATIOS[name]
    if match := _EXPLICIT.match(name):
        return int(match[1]), int(match[2])
    return None


def wire_size(r: Fields) -> str | None:
    """Return the size as it is sent (``1280*1280``, ``1K``), or None if it is left to the service."""
    if r.size is None:
        return "1K" if mode_of(r) is Mode.EDIT else None
    size = parse_size(r.size)
    if isinstance(size, tuple):
        return f"{size[0]}*{size[1]}"
    if size == "1K" and mode_of(r) is Mode.TEXT_TO_IMAGE:
        return "1280*1280"  # tiers are not documented here; with no input 1K can only mean this
    return size


def _size_problems(r: Fields) -> list[Problem]:
    if r.size is None:
        return []
    size, mode = parse_size(r.size), mode_of(r)
    if size is None:
        tiers = ("1K", "2K", "1280x1280") if mode is Mode.EDIT else ("1K",) if mode is Mode.TEXT_TO_IMAGE else ()
        known = f"Known: {', '.join((*tiers, *c.RATIOS))}, or width x height in pixels."
        more = " 2K is for editing: give a picture." if mode is Mode.TEXT_TO_IMAGE else ""
        return [Problem("size", repr(r.size), "is no size.", known + more)]
    if isinstance(size, str):
        return _tier_problems(size, mode)
    return _explicit_problems(r.size, size, mode)


def _tier_problems(size: str, mode: Mode) -> list[Problem]:
    if mode is Mode.EDIT or (mode is Mode.TEXT_TO_IMAGE and size == "1K"):
        return []
    if mode is Mode.TEXT_TO_IMAGE:
        hint = "Leave it out or choose at most 1280x1280, then edit the result at 2K."
        return [Problem("size", size, "without an image a picture has at most 1280×1280 pixels in total.", hint)]
    text = "illustrated text knows no tiers; at most 1280×1280 pixels in total."
    return [Problem("size", size, text, "Leave it out (the size follows the input) or give width x height.")]


def _explicit_problems(shown: str, size: tuple[int, int], mode: Mode) -> list[Problem]:
    width, height = size
    most, name = (c.TOTAL_2K_PX, "2048×2048") if mode is Mode.EDIT else (c.TOTAL_1K_PX, "1280×1280")
    found = []
    if not c.TOTAL_MIN_PX <= width * height <= most:
        text = f"has {width * height:,} pixels; in {mode} the total must be 768×768 to {name}."
        found.append(Problem("size", shown, text, "Choose a size in that range, or a ratio such as 16:9."))
    if not height or not c.ASPECT_MIN <= width / height <= c.ASPECT_MAX:
        text = "the sides must be in a proportion from 1:4 to 4:1."
        found.append(Problem("size", shown, text, "Make the short side longer."))
    return found


def fit_total(width_px: float, height_px: float, total_px: int, *, step_px: int = 1) -> tuple[int, int]:
    """Scale a shape to at most ``total_px`` pixels in total, each side cut down to a multiple of ``step_px``."""
    aspect = width_px / height_px
    width, height = math.sqrt(total_px * aspect), math.sqrt(total_px / aspect)
    return max(step_px, int(width) // step_px * step_px), max(step_px, int(height) // step_px * step_px)


def size_like(image: InputImage, size: str | None, mode: Mode) -> str:
    """Return the explicit size that has an image's shape at a tier (``1K`` without one): what ``--like`` sends."""
    tier = size.strip().upper() if size else "1K"
    total = c.TIERS.get(tier, c.TOTAL_1K_PX) if mode is Mode.EDIT else c.TOTAL_1K_PX
    width, height = fit_total(image.width_px, image.height_px, total, step_px=c.SIZE_STEP_PX)
    return f"{width}*{height}"


def expected_size(r: Fields) -> tuple[int, int, str] | None:
    """Return the expected width, height and whose shape it is; None while an input is not known yet (§1 `size`)."""
    size = parse_size(r.size) if r.size else None
    if isinstance(size, tuple):
        step = c.SIZE_STEP_PX
        return round(size[0] / step) * step, round(size[1] / step) * step, "as asked"
    if not r.images:
        return 1280, 1280, "default"
    last = r.images[-1]
    if isinstance(last, PendingImage):
        return None
    whose = f"shape of image {len(r.images)} ({last.name})"
    total = c.TIERS[size] if isinstance(size, str) else c.TOTAL_1K_PX
    if mode_of(r) is Mode.ILLUSTRATED and last.width_px * last.height_px <= total:
        return last.width_px, last.height_px, whose
    return *fit_total(last.width_px, last.height_px, total), whose


# Types ---------------------------------------------------------------------------------------------------------------

_WORDS = {"string_type": "must be text.", "int_type": "must be a whole number.", "bool_type": "must be True or False."}
_HINTS = {
    "prompt": "Give it as text in quotes.",
    "negative_prompt": "Give it as text in quotes.",
    "size": "Write e.g. '1280x720', '16:9' or '1K'.",
    "n": f"Choose one from 1 to {c.N_MAX}.",
    "max_images": f"Choose one from 1 to {c.MAX_IMAGES_MAX}.",
    "seed": f"Choose one from 0 to {c.SEED_MAX}.",
    "images": "Give pictures, or a list of them.",
}


def type_problems(error: ValidationError, known: Sequence[str] = ()) -> list[Problem]:
    """Word pydantic's findings, one a field."""
    found: dict[str, Problem] = {}
    for item in error.errors():
        field = str(item["loc"][0]) if item["loc"] else "request"
        value = repr(item.get("input"))[:60]
        match item["type"]:
            case "missing":
                problem = Problem(field, "", "is missing.", "Give it.")
            case "extra_forbidden":
                fields = ", ".join(known) or "prompt, images, size, n, max_images, seed, negative_prompt, …"
                problem = Problem(field, value, "is no field of a request.", f"Known: {fields}")
            case kind:
                hint = _HINTS.get(field, "Leave it out, or give one of these." if kind == "bool_type" else "")
                problem = Problem(field, value, _WORDS.get(kind, f"{item['msg']}."), hint)
        found.setdefault(field, problem)
    return list(found.values())
