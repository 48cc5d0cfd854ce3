"""Rules of a whole call rather than of one request: several seeds, and a shape that is taken from a picture."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from . import catalog as c
from .errors import Problem
from .inputs import InputImage, PendingImage
from .rules import Mode, parse_size, size_like

_TAKEN = frozenset(dir(builtins)) | {"In", "Out", "display", "exit", "get_ipython", "quit"}


def name_problem(name: str) -> tuple[str, str]:
    """Return why no variable of a notebook should have this name, and what to do; empty texts if one may."""
    if keyword.iskeyword(name):
        return "belongs to Python and is no variable name.", "Use letters, digits and _: fox_1"
    if not name.isidentifier():
        return "is no variable name.", "Use letters, digits and _: fox_1"
    if name.startswith("_"):
        return "begins with an underscore, as names do that IPython and %wan set themselves.", "Write fox_1"
    if name in _TAKEN:
        return f"belongs to Python: {name} would no longer be what other cells mean by it.", f"Write {name}_1"
    return "", ""


def call_mode(images: Sequence[object], *, interleave: bool) -> Mode:
    """Tell the mode before there is a request."""
    return Mode.ILLUSTRATED if interleave else Mode.EDIT if images else Mode.TEXT_TO_IMAGE


def like_size(
    found: Sequence[InputImage | PendingImage], shown: str, size: str | None, mode: Mode
) -> tuple[str | None, list[Problem]]:
    """Return the size that ``--like`` sends at the tier of ``--size``, and what is wrong with asking for it."""
    if isinstance(parse_size(size or ""), tuple):
        message = "is the size already; next to it --size takes 1K or 2K only."
        return size, [Problem("like", shown, message, f"Leave out --like or --size {size}.")]
    if len(found) > 1:
        return size, [Problem("like", shown, f"holds {len(found)} pictures.", "Name the one to follow.")]
    if not found:
        return size, []
    if isinstance(found[0], PendingImage):
        message = "is not finished, so its shape is not known yet."
        hint = f"Wait for it: %wan wait {found[0].job_id}"
        if found[0].is_address:
            message, hint = "is not fetched here, so its shape is not known.", "Give its size with --size instead."
        return size, [Problem("like", shown, message, hint)]
    tier = parse_size(size) if size else "1K"
    # a tier that this mode does not have stays, so that the request says why
    return (size_like(found[0], size, mode) if tier == "1K" or (tier and mode is Mode.EDIT) else size), []


def distinct_seeds(given: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return each seed once, in order, and a line about each that was listed again."""
    seeds: list[Any] = []
    hints = []
    for seed in given:
        if type(seed) is int and seed in seeds:
            hints.append(f"seed {seed} is listed more than once: asked once")
        else:
            seeds.append(seed)
    return seeds, hints


def sweep_problems(seeds: Sequence[Any], n: object, mode: Mode) -> list[Problem]:
    """Return what is wrong with several seeds, and with several seeds and ``n`` together."""
    most, count = c.TASKS_PER_CALL_MAX, len(seeds)
    if count > most:
        text = f"more than {most} seeds; one call asks for at most {most} pictures."
        return [Problem("seed", "", text, "Use fewer seeds, or several cells.")]
    if count < 2 or type(n) is not int or n < 2 or mode is Mode.ILLUSTRATED:
        return []
    if mode is Mode.TEXT_TO_IMAGE and _collide(seeds, n):
        text = "without images the pictures of one seed take the seeds after it, so -n and several seeds collide."
        return [Problem("n", str(n), text, "List every seed, or give one seed with -n.")]
    if n * count > most:
        text = f"{count} seeds with {n} pictures each are {n * count}; one call asks for at most {most}."
        return [Problem("seed", "", text, "Use fewer seeds, or several cells.")]
    return []


def _collide(seeds: Sequence[Any], n: int) -> bool:
    """Whether a seed's pictures would take a seed that is listed itself, or another one's pictures take it too."""
    ordered = sorted(seed for seed in seeds if type(seed) is int)
    return any(later - earlier < n for earlier, later in pairwise(ordered))
