"""From what stands after ``-i`` to pictures: a variable or expression, a list, a path, a URL, or a job's id.

A name of the notebook wins over a job's id and over a file; paths, URLs and job ids are never evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from .errors import CellError, Problem, RequestError
from .evaluate import evaluate, is_known, names_in, nearest, parse_expression, raised
from .inputs import InputImage, PendingImage, PictureOf, is_job
from .words import has_image_suffix, looks_like_place, split_list, unquoted

Picture = InputImage | PendingImage

_JOB: Final = re.compile(r"([0-9a-f]{3,64})(?:\[\s*(-?\d{1,6})\s*\])?\Z")
_NESTED_MAX: Final = 50
_DEPTH_MAX: Final = 8
_ITEMS_MAX: Final = 100
# Not pictures, but files all the same: what is said of one is about the file, not about a variable.
_OTHER_FILES: Final = (".txt", ".md", ".pdf", ".svg", ".csv", ".html", ".docx", ".psd", ".ico", ".mp4", ".mov", ".zip")
_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+\Z")


class Resolver(Protocol):
    """What turns values and job ids into pictures: the session's knows jobs and fetches URLs."""

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The notebook's variables."""

    def image(self, value: object, name: str) -> tuple[Picture, ...]:
        """Make pictures of a value (several of a job). Raises ``ImageInputError``."""

    def job_image(self, job_id: str, index: int | None, name: str) -> Picture:
        """Return a picture of a job, or one that is waited for. Raises ``ImageInputError`` that lists the choices."""


def pictures_of(text: str, resolver: Resolver, *, field: str = "image") -> tuple[Picture, ...]:
    """Return the pictures that a word stands for; an expression is evaluated once. Raises ``RequestError``."""
    path = unquoted(text)
    if path is not None:
        return _place(path, text, resolver, field)
    if text.startswith("[") and text.endswith("]") and text.count("[") < _NESTED_MAX and not _is_comprehension(text):
        return tuple(picture for part in _parts(text, field) for picture in _part(part, resolver, field))
    if looks_like_place(text):
        return _place(text, text, resolver, field)
    if (job := _JOB.match(text)) and not is_known(job[1], resolver.namespace):
        return (_job(job, text, resolver),)
    if _is_path(text, resolver.namespace):
        return _place(text, text, resolver, field)
    return _value(text, resolver, field)


def job_reference(text: str) -> tuple[str, int | None] | None:
    """Read ``a3f9c2`` or ``a3f9c2[0]``; None for what cannot be a job's id."""
    match = _JOB.match(text)
    return (match[1], int(match[2]) if match[2] else None) if match else None


def place_name(place: str) -> str:
    """Return the name that a path or URL is shown by: its last part."""
    if place[:5].lower() == "data:":
        return "data URL"
    if "://" in place:
        try:
            parts = urlsplit(place)
            return unquote(PurePath(parts.path).name) or parts.netloc or place
        except ValueError:
            return place
    return re.split(r"[/\\]", place.rstrip("/\\"))[-1] or place


def _place(place: str, text: str, resolver: Resolver, field: str) -> tuple[Picture, ...]:
    if not place.strip() or "\0" in place:
        raise RequestError([Problem(field, text, "is no path.", "Write a path, a URL or a variable.")])
    return resolver.image(place, place_name(place))


def _job(match: re.Match[str], text: str, resolver: Resolver) -> Picture:
    try:
        return resolver.job_image(match[1], int(match[2]) if match[2] else None, text)
    except RequestError as error:
        near = nearest(match[1], resolver.namespace) if match[1].isidentifier() else ""
        if not near:
            raise
        first, *others = error.problems
        worded = Problem(first.field, first.value, first.message, f"{first.hint} Variables: {near}".strip())
        raise RequestError([worded, *others]) from None


def _is_path(text: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a word without quotes is a path: by its suffix or a slash, unless its variables exist."""
    suffixed = has_image_suffix(text) or text.lower().endswith(_OTHER_FILES)
    if not suffixed and not ("/" in text or "\\" in text):
        return False
    if _DOTTED.match(text):
        first, *steps = text.split(".")
        value = namespace.get(first)
        return first not in namespace or not (hasattr(type(value), steps[0]) or _holds(value, steps[0]))
    try:
        names = names_in(parse_expression(text, "image"))
    except RequestError:
        return True
    return not names or not all(is_known(name, namespace) for name in names)


def _holds(value: object, name: str) -> bool:
    try:
        return name in vars(value)
    except TypeError:  # it has no __dict__
        return False


def _value(text: str, resolver: Resolver, field: str) -> tuple[Picture, ...]:
    taken = _taken_from(text, field)
    if taken is None:
        return _flat(evaluate(text, resolver.namespace, field), text, resolver)
    base, index = evaluate(taken[0], resolver.namespace, field), taken[1]
    if is_job(base):  # its own [index] would hold up the cell until the job is over
        return resolver.image(PictureOf(base, index), text)
    try:
        value = base[index]
    except Exception as error:  # noqa: BLE001 - a person's own object may raise anything
        raise RequestError([raised(field, text, error)]) from None
    return _flat(value, text, resolver)


def _taken_from(text: str, field: str) -> tuple[str, int] | None:
    """Read ``whatever[2]`` as the expression before the bracket and the index; None for anything else."""
    body = parse_expression(text, field).body
    if not isinstance(body, ast.Subscript):
        return None
    try:
        index = ast.literal_eval(body.slice)
    except (ValueError, TypeError, SyntaxError):
        return None
    base = ast.get_source_segment(text.strip(), body.value)
    return (f"({base})", index) if base and type(index) is int else None


def _flat(value: object, name: str, resolver: Resolver, depth: int = 0) -> tuple[Picture, ...]:
    """Make pictures of a value; lists and tuples are taken apart."""
    if not isinstance(value, list | tuple) or depth >= _DEPTH_MAX:
        return resolver.image(value, name)
    items = [_flat(item, f"{name}[{k}]", resolver, depth + 1) for k, item in enumerate(value[:_ITEMS_MAX])]
    return tuple(picture for item in items for picture in item)


def _part(text: str, resolver: Resolver, field: str) -> tuple[Picture, ...]:
    """Read one item of a list: everything that ``-i`` takes, and ``*photos``."""
    if not text.startswith("*"):
        return pictures_of(text, resolver, field=field)
    # evaluated inside the brackets, which take whatever can be gone through
    return _flat(evaluate(f"[{text}]", resolver.namespace, field), text[1:], resolver)


def _parts(text: str, field: str) -> list[str]:
    try:
        return split_list(text)
    except CellError as error:
        raise RequestError([Problem(field, text, error.message, error.hint)]) from None


def _is_comprehension(text: str) -> bool:
    try:
        return isinstance(parse_expression(text, "image").body, ast.ListComp)
    except RequestError:
        return False
