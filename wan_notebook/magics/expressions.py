"""Evaluate what was typed with the notebook's variables: numbers, seeds, pictures."""

import argparse
import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol

from ..errors import Problem, RequestError
from ..images import InputImage, PendingImage, PictureOf, is_job, looks_like_image
from ..models import TASKS_PER_CALL_MAX
from ..text import did_you_mean, one_line, shown
from ..validation import plain_integer
from .parser import Kind
from .template import expand, raised, unknown_variable
from .tokenize import is_location, plain_spaces, split_list, unquoted

InputPicture = InputImage | PendingImage

_LARGEST: Final = 2**63
_RANGE: Final = re.compile(r"(.+?)(?:\.{2,3}|…)(.+)", re.DOTALL)
_HALF_RANGE: Final = re.compile(r"(?:\.\.|…).*|.*(?:\.\.|…)", re.DOTALL)
_DASHED: Final = re.compile(r"(\d+)\s*[-–—]\s*(\d+)")
_SEED_LIST: Final = re.compile(r"\d{1,10}(?:\s*(?:,|\.{2,3}|…)\s*\d{1,10})+", re.ASCII)
_SEED_HINT: Final = "Write a number, 5..8 or 5,9,12."
_LONE_NAME: Final = re.compile(r"\{\s*([^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)\s*\}")
_JOB: Final = re.compile(r"([0-9a-f]{3,64})(?:\[\s*(-?\d{1,6})\s*\])?")
_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
# Not pictures, but files all the same: what is said of one is about the file, not about a variable.
_OTHER_FILES: Final = (".txt", ".md", ".pdf", ".svg", ".csv", ".html", ".docx", ".psd", ".ico", ".mp4", ".mov", ".zip")
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|sec|m|min|h|d|w|)", re.IGNORECASE | re.ASCII)
_UNIT_S: Final = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_MAX_S: Final = 36500 * 86400
_NESTED_MAX: Final = 50


class PictureSource(Protocol):
    """Turns values and job ids into pictures: the session's resolver, or one that also accepts what it refuses."""

    namespace: Mapping[str, Any]

    def image(self, value: object, name: str) -> tuple[InputPicture, ...]:
        """Return the pictures that a value is. Raise ``ImageInputError``."""

    def job_image(self, job_id: str, index: int | None, name: str) -> InputPicture:
        """Return a picture of a job. Raise ``ImageInputError``, which lists the choices."""


# Expressions ---------------------------------------------------------------------------------------------------------


def evaluate(text: str, namespace: Mapping[str, Any], field: str) -> Any:
    """Evaluate an expression once. Raise ``RequestError`` with the nearest name, or the exception's type and text."""
    tree = parse_expression(text, field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            code = compile(tree, "<%%wan>", "eval")
        # A copy: eval would add __builtins__ to the notebook's own namespace.
        return eval(code, dict(namespace))  # noqa: S307 - a cell evaluates what its owner typed
    except NameError as error:
        if error.name in names_in(tree):
            hint = {"seed": _SEED_HINT, "image": "Or quote it, if it is a path."}.get(field, "")
            raise unknown_variable(field, text, str(error.name), namespace, hint) from None
        raise raised(field, text, error) from None
    except Exception as error:  # noqa: BLE001 - a person's own code may raise anything
        raise raised(field, text, error) from None


def parse_expression(text: str, field: str) -> ast.Expression:
    """Parse a Python expression. Raise ``RequestError``, which quotes Python's own words."""
    text, why = text.strip(), ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd backslash is not worth a line in the notebook
            return ast.parse(text, mode="eval")
    except SyntaxError as error:
        why = f" ({error.msg})"
    except (ValueError, RecursionError, MemoryError, UnicodeError):
        pass
    if (plain := plain_spaces(text)) != text:
        return parse_expression(plain, field)
    hint = _SEED_HINT if field == "seed" else "Quote it if it is a path."
    raise RequestError([Problem(field, one_line(text, 60), f"not a Python expression{why}.", hint)])


def names_in(tree: ast.AST) -> frozenset[str]:
    """Return the variables that an expression reads."""
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def is_known(name: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a name can be evaluated."""
    return name in namespace or hasattr(builtins, name)


def without_braces(text: str) -> str:
    """Return ``name`` for ``{name}``: a lone field is that variable, whichever option it stands in."""
    match = _LONE_NAME.fullmatch(text)
    return match[1] if match else text


def item_of(text: str, field: str) -> tuple[str, int | None]:
    """Split ``whatever[2]`` into the expression before the bracket and the index; None where there is none."""
    body = parse_expression(text, field).body
    if isinstance(body, ast.Subscript):
        with suppress(ValueError, TypeError, SyntaxError):
            index = ast.literal_eval(body.slice)
            if type(index) is int:
                return ast.unparse(body.value), index
    return text, None


# Values of options ---------------------------------------------------------------------------------------------------


def read_value(
    action: argparse.Action, text: str, namespace: Mapping[str, Any], *, choices: Iterable[str] = (), name: str = ""
) -> Any:
    """Return the value of an option or word in its type; jobs stay as typed, since the session looks them up.

    Raises
    ------
    RequestError
        With what is wrong, under ``name``.
    """
    name = name or action.option_strings[0]
    match action.type:
        case Kind.JOB | Kind.JOB_OR_FILE:
            return text
        case Kind.DURATION:
            return evaluate_duration(text, namespace, name)
        case Kind.NUMBER:
            number = evaluate_number(text, namespace, name)
            if type(number) is not int:
                message = f"{shown(text)} is not a whole number."
                raise RequestError([Problem(name, "", message, f"Write {name} 5.")])
            return number
    expanded = expand(text, namespace, field=name)
    if expanded.problems:
        raise RequestError(expanded.problems)
    if action.type is Kind.CHOICE and expanded.text.lower() not in choices:
        hint = did_you_mean(expanded.text.lower(), choices) or f"Choose {', '.join(choices)}."
        raise RequestError([Problem(name, "", f"{shown(expanded.text)} is not one of the choices.", hint)])
    return expanded.text.lower() if action.type is Kind.CHOICE else expanded.text


def evaluate_number(text: str, namespace: Mapping[str, Any], field: str) -> Any:
    """Evaluate ``-n`` and the like; the request itself refuses what is not a whole number. Raise ``RequestError``."""
    return _number(evaluate(without_braces(text), namespace, field), text, field)


def evaluate_duration(text: str, namespace: Mapping[str, Any], field: str) -> float:
    """Read a duration or an expression that gives seconds. Raise ``RequestError``."""
    text = without_braces(text)
    seconds = duration_s(text)
    if seconds is None:
        with suppress(RequestError):
            value = evaluate(text, namespace, field)
            seconds = float(value) if type(value) in (int, float) else duration_s(str(value))
    if seconds is None or not 0 < seconds < _DURATION_MAX_S:
        message, hint = f"{shown(text)} is not a valid time.", "Write seconds, 90s or 15m."
        raise RequestError([Problem(field, "", message, hint)])
    return seconds


def duration_s(text: str) -> float | None:
    """Read ``90``, ``90s``, ``15m``, ``2h``, ``7d`` as seconds; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * _UNIT_S[match[2].lower()] if match else None


def evaluate_seeds(text: str, namespace: Mapping[str, Any], field: str = "seed") -> list[Any]:
    """Read ``5``, ``5..8``, ``5,9,12`` or an expression that gives a number, a range or a list, in order.

    At most one more than ``TASKS_PER_CALL_MAX`` are returned. Raise ``RequestError``.
    """
    text = without_braces(text)
    if (inner := unquoted(text)) and _SEED_LIST.fullmatch(inner.strip()):
        text = inner.strip()  # "5, 9" in quotes means what it says
    parts = [text] if text.startswith(("(", "[")) else split_list(f"[{text}]")
    found = [seed for part in parts for seed in _seeds_of(part, namespace, field)]
    return found[: TASKS_PER_CALL_MAX + 1]


def _seeds_of(part: str, namespace: Mapping[str, Any], field: str) -> list[Any]:
    """Return the seeds of one part of a list: a number, a range ``5..8``, or whatever an expression gives."""
    if match := _DASHED.fullmatch(part):
        raise _seed_problem(part, "is a subtraction, not a range.", f"A range is written {match[1]}..{match[2]}")
    if _HALF_RANGE.fullmatch(part):
        raise _seed_problem(part, "needs both of its ends.", "Write 5..8")
    if match := _RANGE.fullmatch(part):
        first, last = [_number(evaluate(end, namespace, field), part, field) for end in match.groups()]
        if type(first) is not int or type(last) is not int:
            raise _seed_problem(part, "needs two whole numbers.", "Write 5..8")
        if first > last:
            raise _seed_problem(part, "runs backwards.", f"Write {last}..{first}")
        return list(range(first, min(last, first + TASKS_PER_CALL_MAX) + 1))
    value = evaluate(part, namespace, field)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return [_number(value, part, field)]
    try:
        items = list(islice(value, TASKS_PER_CALL_MAX + 1))
    except Exception as error:  # noqa: BLE001 - a person's own iterator may raise anything
        raise raised(field, part, error) from None
    return [_number(item, part, field) for item in items]


def _number(value: Any, text: str, field: str) -> Any:
    """Return integers of any kind as Python's; what else was given passes, since the request says what is wrong."""
    number = plain_integer(value)
    if type(number) is int and abs(number) >= _LARGEST:
        raise RequestError([Problem(field, one_line(text, 60), "is far too large.", "Choose a smaller number.")])
    return number


def _seed_problem(part: str, message: str, hint: str) -> RequestError:
    return RequestError([Problem("seed", one_line(part, 60), message, hint)])


# Pictures ------------------------------------------------------------------------------------------------------------


def pictures_of(text: str, resolver: PictureSource, field: str = "image") -> tuple[InputPicture, ...]:
    """Return the pictures that ``-i`` names; an expression is evaluated once. Raise ``RequestError``.

    A variable of the notebook comes before a job's id and before a file; paths, URLs and ids are never evaluated.
    """
    text = without_braces(text)
    path = unquoted(text)
    if path is None and text.startswith("[") and text.endswith("]") and not _is_comprehension(text):
        return tuple(picture for part in split_list(text) for picture in _list_item(part, resolver, field))
    job = job_reference(text)
    if path is None and job and not is_known(job[0], resolver.namespace):
        return (resolver.job_image(*job, text),)
    if path is None and (is_location(text) or _is_path(text, resolver.namespace)):
        path = text
    if path is not None:
        if not path.strip() or "\0" in path:
            raise RequestError([Problem(field, text, "not a valid path.", "Give a path, a URL or a variable.")])
        return resolver.image(path, _location_name(path))
    base, index = item_of(text, field)
    value = evaluate(base, resolver.namespace, field)
    if index is None:
        return resolver.image(value, text)
    if is_job(value):  # its own [index] would hold up the cell until the job is done
        return resolver.image(PictureOf(value, index), text)
    try:
        value = value[index]
    except Exception as error:  # noqa: BLE001 - a person's own object may raise anything
        raise raised(field, text, error) from None
    return resolver.image(value, text)


def job_reference(text: str) -> tuple[str, int | None] | None:
    """Read ``a3f9c2`` or ``a3f9c2[0]``; None for what cannot be a job's id."""
    match = _JOB.fullmatch(text)
    return (match[1], int(match[2]) if match[2] else None) if match else None


def _location_name(location: str) -> str:
    """Return the name that a path or URL is shown by: its last part."""
    if location[:5].lower() == "data:":
        return "data URL"
    return re.split(r"[/\\]", location.split("?", 1)[0].rstrip("/\\"))[-1] or location


def _is_path(text: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a word without quotes is a path: by its suffix or a slash, unless its variables exist."""
    if not looks_like_image(text) and not text.lower().endswith(_OTHER_FILES) and not ("/" in text or "\\" in text):
        return False
    if _DOTTED.fullmatch(text):
        first, step = text.split(".")[:2]
        value = namespace.get(first)
        return first not in namespace or not (hasattr(type(value), step) or step in getattr(value, "__dict__", ()))
    try:
        names = names_in(parse_expression(text, "image"))
    except RequestError:
        return True
    return not names or not all(is_known(name, namespace) for name in names)


def _list_item(text: str, resolver: PictureSource, field: str) -> tuple[InputPicture, ...]:
    """Read one item of a list: everything that ``-i`` takes, and ``*photos``."""
    if not text.startswith("*"):
        return pictures_of(text, resolver, field)
    # Evaluated inside brackets, which take anything iterable.
    return resolver.image(evaluate(f"[{text}]", resolver.namespace, field), text[1:])


def _is_comprehension(text: str) -> bool:
    """Say whether brackets hold a comprehension; nested deeper than Python reads, they are not taken apart either."""
    if text.count("[") > _NESTED_MAX:
        return True
    try:
        return isinstance(parse_expression(text, "image").body, ast.ListComp)
    except RequestError:
        return False
