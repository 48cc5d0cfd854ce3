"""Values of options, with the notebook's variables: numbers, seeds, times, pictures."""

import argparse
import ast
import builtins
import inspect
import operator
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from ..batch import ROWS_MAX, TABLE_FILES
from ..errors import RequestError
from ..images import PictureOf, looks_like_image
from ..jobs import Job
from ..template import evaluate, expand, failed, parse_expression, refuse
from ..text import did_you_mean, shown
from ..validation import parse_size, plain_integer
from .parser import LOCATION, Kind, split_list, unquoted

_RANGE: Final = re.compile(r"(.+?)(?:\.{2,3}|…)(.+)", re.DOTALL)
LONE_FIELD: Final = re.compile(r"\A\{\s*([^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)\s*\}\Z")
"""``{name}`` alone is that variable, whichever option it stands in."""
_JOB: Final = re.compile(r"([0-9a-f]{3,64})(?:\[\s*(-?\d{1,6})\s*\])?")
_DOTTED: Final = re.compile(r"([^\W\d]\w*)\.([^\W\d]\w*)(?:\.[^\W\d]\w*)*")
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smh]?)", re.IGNORECASE | re.ASCII)
_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


# Expressions ---------------------------------------------------------------------------------------------------------


def evaluate_item(text: str, namespace: Mapping[str, Any], field: str) -> tuple[Any, int | None]:
    """Evaluate an expression; ``job[2]`` gives the job and 2, since a job's own ``[2]`` waits until it is done."""
    tree = parse_expression(text, field)
    body = tree.body
    if not isinstance(body, ast.Subscript):
        return evaluate(text, namespace, field, tree), None
    value = evaluate(text, namespace, field, ast.Expression(body.value))
    if isinstance(value, Job):
        with suppress(ValueError, TypeError):
            return value, operator.index(ast.literal_eval(body.slice))
    body.value = ast.copy_location(ast.Name("value before the bracket", ast.Load()), body.value)
    return evaluate(text, {**namespace, "value before the bracket": value}, field, tree), None


def is_known(name: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a name can be evaluated."""
    return name in namespace or hasattr(builtins, name)


# Values of options ---------------------------------------------------------------------------------------------------


def read_value(action: argparse.Action, text: Any, namespace: Mapping[str, Any], *, name: str) -> Any:
    """Return the value of an option or word in its type; jobs stay as typed, since the session looks them up.

    Raises
    ------
    RequestError
        With what is wrong, under ``name``.
    """
    if not isinstance(text, str):  # several texts, a switch, or nothing
        return [read_value(action, one, namespace, name=name) for one in text] if isinstance(text, list) else text
    match action.type:
        case Kind.JOB | Kind.JOB_OR_FILE | Kind.ROWS:
            return text
        case Kind.DURATION:
            return _seconds(text, namespace, name)
        case Kind.SEED:
            return _seeds(text, namespace)
        case Kind.NUMBER:
            return plain_integer(evaluate(LONE_FIELD.sub(r"\1", text), namespace, name))
    expanded = expand(text, namespace, field=name)
    if expanded.problems:
        raise RequestError(expanded.problems)
    found = expanded.text
    if action.type is Kind.SINCE:
        from ..history import parse_since

        return parse_since(found)
    if action.type is Kind.SIZE and parse_size(found) is None:
        with suppress(RequestError, ValueError):  # a variable, or (w, h); anything else is refused by name
            value = evaluate(found, namespace, name)
            return str(value) if isinstance(value, str | tuple | list) else found
    if action.type is not Kind.CHOICE:
        return found
    choices = action.choices or ()
    if found.lower() not in choices:
        hint = did_you_mean(found.lower(), choices) or f"Choose {', '.join(choices)}."
        refuse(name, f"{shown(found)} is not one of the choices.", hint)
    return found.lower()


def _seconds(text: str, namespace: Mapping[str, Any], field: str) -> float:
    """Read ``90``, ``90s``, ``15m``, ``2h``, or an expression that gives seconds or one of these."""
    match = _DURATION.fullmatch(text)
    with suppress(RequestError, ValueError):  # ValueError: a number of thousands of digits
        match = match or _DURATION.fullmatch(str(evaluate(LONE_FIELD.sub(r"\1", text), namespace, field)))
    seconds = float(match[1]) * _UNIT_S[match[2].lower()] if match else 0.0
    return seconds or refuse(field, f"{shown(text)} is not a valid time.", "Write seconds, 90s or 15m.")


def _seeds(text: str, namespace: Mapping[str, Any]) -> list[Any]:
    """Read ``5``, ``5..8``, ``5,9,12`` or an expression that gives a number, a range or a list, in order."""
    text, found = LONE_FIELD.sub(r"\1", text), list[Any]()
    text = unquoted(text) or text  # "5, 9" in quotes means what it says
    for part in split_list(f"[{text}]") if _RANGE.search(text) else [text]:
        if match := _RANGE.fullmatch(part):
            first, last = (plain_integer(evaluate(end, namespace, "seed")) for end in match.groups())
            if {type(first), type(last)} != {int} or first > last:
                refuse("seed", "is not a range of seeds.", "Write 5..8, the smaller number first.", part)
            found += range(first, min(last, first + ROWS_MAX) + 1)
            continue
        value = evaluate(part, namespace, "seed")
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            value = [value]
        try:
            found += islice(value, ROWS_MAX + 1)
        except Exception as error:  # noqa: BLE001 - a person's own iterator may raise anything
            raise failed("seed", part, error) from None
    return found[: ROWS_MAX + 1]


# Tables and pictures -------------------------------------------------------------------------------------------------


def table_value(text: str, names: Mapping[str, Any]) -> object:
    """Return the table that ``--over`` names, or its path: a variable of the notebook comes before a file."""
    text = LONE_FIELD.sub(r"\1", text)
    path = unquoted(text)
    if path is None and text not in names and (LOCATION.match(text) or _is_path(text, names)):
        path = text
    return evaluate(text, names, "--over") if path is None else path


def image_values(text: str, names: Mapping[str, Any], field: str = "image") -> list[tuple[object, str]]:
    """Return the values that ``-i`` names, each with what to call it. Raise ``RequestError``.

    A variable of the notebook comes before a job's id and before a file; paths, URLs and ids are never evaluated.
    """
    text = LONE_FIELD.sub(r"\1", text)
    if text in names:
        return [(names[text], text)]
    path = unquoted(text)
    if path is None:
        if text.startswith("[") and text.endswith("]") and not re.search(r"\*| for ", text):  # else it is evaluated
            return [value for part in split_list(text) for value in image_values(part, names, field)]
        if (job := job_reference(text)) and not is_known(job[0], names):
            return [(PictureOf(*job), text)]
        path = text if LOCATION.match(text) or _is_path(text, names) else None
    if path is not None:
        if not path.strip() or "\0" in path:
            refuse(field, "not a valid path.", "Give a path, a URL or a variable.", text)
        # A path or URL is shown by its last part.
        last = re.split(r"[/\\]", path.split("?", 1)[0].rstrip("/\\"))[-1] or path
        return [(path, "data URL" if path[:5].lower() == "data:" else last)]
    value, index = evaluate_item(text, names, field)
    return [(value if index is None else PictureOf(value, index), text)]


def job_reference(text: str) -> tuple[str, int | None] | None:
    """Read ``a3f9c2`` or ``a3f9c2[0]``; None for what cannot be a job's id."""
    match = _JOB.fullmatch(text)
    return (match[1], int(match[2]) if match[2] else None) if match else None


def _is_path(text: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a word without quotes is a path: by its suffix or a slash, unless its variables exist."""
    if not (looks_like_image(text) or text.lower().endswith(TABLE_FILES) or "/" in text or "\\" in text):
        return False
    if dotted := _DOTTED.fullmatch(text):
        # Not hasattr: a property of a job would wait for it.
        return inspect.getattr_static(namespace.get(dotted[1]), dotted[2], None) is None
    try:
        names = {node.id for node in ast.walk(parse_expression(text, "image")) if isinstance(node, ast.Name)}
    except RequestError:
        return True
    return not names or not all(is_known(name, namespace) for name in names)
