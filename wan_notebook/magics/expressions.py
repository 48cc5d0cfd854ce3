"""Evaluate what was typed with the notebook's variables: numbers, seeds, times, pictures."""

import argparse
import ast
import builtins
import operator
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..errors import CellError, ImageInputError, Problem, RequestError
from ..images import InputImage, PendingImage, PictureOf, is_job, looks_like_image
from ..models import TASKS_PER_CALL_MAX
from ..text import did_you_mean, one_line, shown
from ..validation import parse_size, plain_integer
from .parser import Kind
from .template import expand, raised, unknown_variable
from .tokenize import is_location, plain_spaces, split_list, unquoted

if TYPE_CHECKING:
    from ..resolver import Resolver

InputPicture = InputImage | PendingImage

_LARGEST: Final = 2**63
_RANGE: Final = re.compile(r"(.+?)(?:\.{2,3}|…)(.+)", re.DOTALL)
_NOT_A_RANGE: Final = re.compile(r"\d+\s*[-–—]\s*\d+|(?:\.\.|…).*|.*(?:\.\.|…)", re.DOTALL)  # 5-8 is a subtraction
_SEED_HINT: Final = "Write a number, 5..8 or 5,9,12."
_LONE_NAME: Final = re.compile(r"\{\s*([^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)\s*\}")
_JOB: Final = re.compile(r"([0-9a-f]{3,64})(?:\[\s*(-?\d{1,6})\s*\])?")
_DOTTED: Final = re.compile(r"([^\W\d]\w*)\.([^\W\d]\w*)(?:\.[^\W\d]\w*)*")
# Not pictures, but files all the same: what is said of one is about the file, not about a variable.
_OTHER_FILES: Final = (".txt", ".md", ".pdf", ".svg", ".csv", ".html", ".docx", ".psd", ".ico", ".mp4", ".mov", ".zip")
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|sec|m|min|h|d|w|)", re.IGNORECASE | re.ASCII)
_UNIT_S: Final = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_MAX_S: Final = 36500 * 86400


class FormerImages:
    """Gives also pictures that are refused today, by the identity that the first edition gave them."""

    def __init__(self, resolver: "Resolver") -> None:
        self.resolver, self.namespace, self.job_image = resolver, resolver.namespace, resolver.job_image

    def image(self, value: object, name: str) -> tuple[InputPicture, ...]:
        """Return the pictures of a value; one that is refused has no data."""
        try:
            return self.resolver.image(value, name)
        except ImageInputError:
            if former := self.resolver.former_image(value, name):
                return (former,)
            raise


# Expressions ---------------------------------------------------------------------------------------------------------


def evaluate(text: str, namespace: Mapping[str, Any], field: str, tree: ast.Expression | None = None) -> Any:
    """Evaluate an expression once. Raise ``RequestError`` with the nearest name, or the exception's type and text."""
    tree = tree or parse_expression(text, field)
    try:
        # A copy: eval would add __builtins__ to the notebook's own namespace.
        return eval(compile(tree, "<%%wan>", "eval"), dict(namespace))  # noqa: S307 - what its owner typed
    except NameError as error:
        if error.name in names_in(tree):
            hint = {"seed": _SEED_HINT, "image": "Or quote it, if it is a path."}.get(field, "")
            raise unknown_variable(field, text, str(error.name), namespace, hint) from None
        raise raised(field, text, error) from None
    except Exception as error:  # noqa: BLE001 - a person's own code may raise anything
        raise raised(field, text, error) from None


def evaluate_item(text: str, namespace: Mapping[str, Any], field: str) -> tuple[Any, int | None]:
    """Evaluate an expression; ``job[2]`` gives the job and 2, since a job's own ``[2]`` waits until it is done."""
    tree = parse_expression(text, field)
    body = tree.body
    if not isinstance(body, ast.Subscript):
        return evaluate(text, namespace, field, tree), None
    value = evaluate(text, namespace, field, ast.Expression(body.value))
    if is_job(value):
        with suppress(ValueError, TypeError):
            return value, operator.index(ast.literal_eval(body.slice))
    body.value = ast.copy_location(ast.Name("value before the bracket", ast.Load()), body.value)
    return evaluate(text, {**namespace, "value before the bracket": value}, field, tree), None


def parse_expression(text: str, field: str) -> ast.Expression:
    """Parse a Python expression. Raise ``RequestError``, which quotes Python's own words."""
    why = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd backslash is not worth a line in the notebook
            return ast.parse(plain_spaces(text).strip(), mode="eval")
    except SyntaxError as error:
        why = f" ({error.msg})"
    except (ValueError, RecursionError, MemoryError, UnicodeError):
        pass
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


# Values of options ---------------------------------------------------------------------------------------------------


def read_value(action: argparse.Action, text: str, namespace: Mapping[str, Any], *, name: str = "") -> Any:
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
            return _seconds(text, namespace, name)
        case Kind.SEED:
            return _seeds(text, namespace)
        case Kind.NUMBER:
            number = _integer(evaluate(without_braces(text), namespace, name), text, name)
            if type(number) is not int:
                message = f"{shown(text)} is not a whole number."
                raise RequestError([Problem(name, "", message, f"Write {action.option_strings[0]} 5.")])
            return number
    expanded = expand(text, namespace, field=name)
    if expanded.problems:
        raise RequestError(expanded.problems)
    if action.type is Kind.SINCE:
        return _moment(expanded.text, name)
    if action.type is Kind.SIZE and parse_size(expanded.text) is None:
        with suppress(RequestError):  # a variable, or (w, h); anything else is refused by name
            value = evaluate(expanded.text, namespace, name)
            return str(value) if isinstance(value, str | tuple | list) else expanded.text
    if action.type is not Kind.CHOICE:
        return expanded.text
    choice, choices = expanded.text.lower(), action.choices or ()
    if choice not in choices:
        hint = did_you_mean(choice, choices) or f"Choose {', '.join(choices)}."
        raise RequestError([Problem(name, "", f"{shown(expanded.text)} is not one of the choices.", hint)])
    return choice


def _moment(text: str, field: str) -> float | None:
    from ..history import parse_since

    try:
        return parse_since(text)
    except CellError as error:
        raise RequestError([Problem(field, "", error.message, error.hint)]) from None


def _seconds(text: str, namespace: Mapping[str, Any], field: str) -> float:
    """Read ``90``, ``90s``, ``15m``, ``2h``, or an expression that gives seconds or one of these."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        with suppress(RequestError):
            match = _DURATION.fullmatch(str(evaluate(without_braces(text), namespace, field)).strip())
    seconds = float(match[1]) * _UNIT_S[match[2].lower()] if match else 0.0
    if not 0 < seconds < _DURATION_MAX_S:
        message, hint = f"{shown(text)} is not a valid time.", "Write seconds, 90s or 15m."
        raise RequestError([Problem(field, "", message, hint)])
    return seconds


def _seeds(text: str, namespace: Mapping[str, Any]) -> list[Any]:
    """Read ``5``, ``5..8``, ``5,9,12`` or an expression that gives a number, a range or a list, in order.

    At most one more than ``TASKS_PER_CALL_MAX`` are returned.
    """
    text = without_braces(text)
    text = unquoted(text) or text  # "5, 9" in quotes means what it says
    parts = [text] if text.startswith(("(", "[")) else split_list(f"[{text}]")
    found = [seed for part in parts for seed in _seeds_of(part, namespace)]
    return found[: TASKS_PER_CALL_MAX + 1]


def _seeds_of(part: str, namespace: Mapping[str, Any]) -> list[Any]:
    """Return the seeds of one part of a list: a number, a range ``5..8``, or whatever an expression gives."""
    match = _RANGE.fullmatch(part)
    ends = [_integer(evaluate(end, namespace, "seed"), part, "seed") for end in match.groups()] if match else []
    if _NOT_A_RANGE.fullmatch(part) or any(type(end) is not int for end in ends) or (ends and ends[0] > ends[1]):
        message = "is not a range of seeds."
        raise RequestError([Problem("seed", one_line(part, 60), message, "Write 5..8, the smaller number first.")])
    if ends:
        return list(range(ends[0], min(ends[1], ends[0] + TASKS_PER_CALL_MAX) + 1))
    value = evaluate(part, namespace, "seed")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return [_integer(value, part, "seed")]
    try:
        items = list(islice(value, TASKS_PER_CALL_MAX + 1))
    except Exception as error:  # noqa: BLE001 - a person's own iterator may raise anything
        raise raised("seed", part, error) from None
    return [_integer(item, part, "seed") for item in items]


def _integer(value: Any, text: str, field: str) -> Any:
    """Return integers of any kind as Python's; what else was given passes, since the request says what is wrong."""
    number = plain_integer(value)
    if type(number) is int and abs(number) >= _LARGEST:
        raise RequestError([Problem(field, one_line(text, 60), "is far too large.", "Choose a smaller number.")])
    return number


# Pictures ------------------------------------------------------------------------------------------------------------


def pictures_of(text: str, resolver: "Resolver | FormerImages", field: str = "image") -> tuple[InputPicture, ...]:
    """Return the pictures that ``-i`` names; an expression is evaluated once. Raise ``RequestError``.

    A variable of the notebook comes before a job's id and before a file; paths, URLs and ids are never evaluated.
    """
    text, names = without_braces(text), resolver.namespace
    path = unquoted(text)
    if path is None:
        if text.startswith("[") and text.endswith("]") and not _is_comprehension(text):
            return tuple(picture for part in split_list(text) for picture in pictures_of(part, resolver, field))
        if text.startswith("*"):  # an item of a list; brackets take anything iterable
            return resolver.image(evaluate(f"[{text}]", names, field), text[1:])
        job = job_reference(text)
        if job and not is_known(job[0], names):
            return (resolver.job_image(*job, text),)
        path = text if is_location(text) or _is_path(text, names) else None
    if path is not None:
        if not path.strip() or "\0" in path:
            raise RequestError([Problem(field, text, "not a valid path.", "Give a path, a URL or a variable.")])
        # A path or URL is shown by its last part.
        last = re.split(r"[/\\]", path.split("?", 1)[0].rstrip("/\\"))[-1] or path
        return resolver.image(path, "data URL" if path[:5].lower() == "data:" else last)
    value, index = evaluate_item(text, names, field)
    return resolver.image(value if index is None else PictureOf(value, index), text)


def job_reference(text: str) -> tuple[str, int | None] | None:
    """Read ``a3f9c2`` or ``a3f9c2[0]``; None for what cannot be a job's id."""
    match = _JOB.fullmatch(text)
    return (match[1], int(match[2]) if match[2] else None) if match else None


def _is_path(text: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a word without quotes is a path: by its suffix or a slash, unless its variables exist."""
    if not looks_like_image(text) and not text.lower().endswith(_OTHER_FILES) and not ("/" in text or "\\" in text):
        return False
    if dotted := _DOTTED.fullmatch(text):
        # Not hasattr alone: a property of a job would wait for it.
        value = namespace.get(dotted[1])
        return not (hasattr(type(value), dotted[2]) or dotted[2] in getattr(value, "__dict__", ()))
    try:
        names = names_in(parse_expression(text, "image"))
    except RequestError:
        return True
    return not names or not all(is_known(name, namespace) for name in names)


def _is_comprehension(text: str) -> bool:
    with suppress(RequestError):
        return not isinstance(parse_expression(text, "image").body, ast.List)
    return False
