"""Evaluate what a person typed, in the notebook's namespace; whatever goes wrong becomes a ``Problem``."""

from __future__ import annotations

import ast
import builtins
import difflib
import itertools
import operator
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from . import catalog as c
from .errors import Problem, RequestError
from .words import split_list, unquoted

_LARGEST: Final = 2**63
_RANGE: Final = re.compile(r"(.+?)(?:\.{2,3}|…)(.+)\Z", re.DOTALL)
_SEEDS: Final = "Write a number, 5..8 or 5,9,12."
_HINTS: Final = {
    "seed": _SEEDS,
    "n": "Write a number.",
    "max_images": "Write a number.",
}
_SEED_LIST: Final = re.compile(r"\d{1,10}(?:\s*(?:,|\.{2,3}|…)\s*\d{1,10})+", re.ASCII)
_DEFINE: Final = "Define it in a cell above, or quote it if it is a path."
_OF_IPYTHON: Final = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})
_DASHED: Final = re.compile(r"\d+\s*[-–—]\s*\d+\Z")


def parse_expression(text: str, field: str) -> ast.Expression:
    """Parse a Python expression. Raises ``RequestError`` that quotes Python's own words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd backslash is no reason to print something
            return ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        hint = _HINTS.get(field, "Quote it if it is a path.")
        raise _problem(field, text, f"is no Python expression ({error.msg}).", hint) from None
    except (ValueError, RecursionError, MemoryError, UnicodeError):
        raise _problem(field, text, "is no Python expression.", "Put it in a variable first.") from None


def evaluate(text: str, namespace: Mapping[str, Any], field: str) -> Any:
    """Evaluate an expression once. Raises ``RequestError`` with nearest names, or the exception's type and text."""
    tree = parse_expression(text, field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            code = compile(tree, "<%%wan>", "eval")
        # a copy: eval would add __builtins__ to the person's own namespace
        return eval(code, dict(namespace))  # noqa: S307 - evaluating what its owner typed is what a cell does
    except NameError as error:
        if error.name in names_in(tree):
            raise RequestError([unknown_name(field, text, error.name, namespace)]) from None
        raise RequestError([raised(field, text, error)]) from None
    except Exception as error:  # noqa: BLE001 - a person's own code may raise anything
        raise RequestError([raised(field, text, error)]) from None


def names_in(tree: ast.AST) -> frozenset[str]:
    """Return the variables that an expression reads."""
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def is_known(name: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a name can be evaluated."""
    return name in namespace or hasattr(builtins, name)


def unknown_name(field: str, text: str, name: str, namespace: Mapping[str, Any]) -> Problem:
    """Word an unknown variable, with the nearest names."""
    known = (k for k in namespace if k not in _OF_IPYTHON)
    elsewhere = f"Define it in a cell above. {_HINTS[field]}" if field in _HINTS else _DEFINE
    hint = nearest(name, known) or elsewhere
    return Problem(field, text, f"no variable {name}.", hint)


def nearest(word: str, known: Iterable[object]) -> str:
    """Return ``Nearest: a, b.`` for the public names that resemble a word; empty if none does."""
    names = [k for k in known if isinstance(k, str) and not k.startswith("_")]
    found = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    return f"Nearest: {', '.join(found)}." if found else ""


def raised(field: str, shown: str, error: BaseException) -> Problem:
    """Word an exception of a person's own code: its type and its text."""
    try:
        said = " ".join(str(error).split())[:200].rstrip(".")
    except Exception:  # noqa: BLE001 - even an exception's text is a person's own code
        said = ""
    return Problem(
        field, _short(shown), f"raised {type(error).__name__}{f': {said}' if said else ''}.", "Try it in a cell."
    )


def evaluate_number(text: str, namespace: Mapping[str, Any], field: str) -> Any:
    """Evaluate ``-n`` and the like; the request itself says what is no whole number. Raises ``RequestError``."""
    return _sane(evaluate(text, namespace, field), text, field)


def evaluate_seeds(text: str, namespace: Mapping[str, Any]) -> list[Any]:
    """Read ``5``, ``5..8``, ``5,9,12`` or an expression that gives a number, a range or a list, in order.

    At most one more than ``TASKS_PER_CALL_MAX`` are returned. Raises ``RequestError``.
    """
    if (inner := unquoted(text)) and _SEED_LIST.fullmatch(inner.strip()):
        text = inner.strip()  # "5, 9" in quotes means what it says
    parts = split_list(f"[{text}]") if not text.startswith(("(", "[")) else [text]
    found: list[Any] = []
    for part in parts:
        found += itertools.islice(_seeds_of(part, namespace), c.TASKS_PER_CALL_MAX + 1)
    if not found:
        raise _problem("seed", text, "holds no seed.", _SEEDS)
    return found[: c.TASKS_PER_CALL_MAX + 1]


def _seeds_of(part: str, namespace: Mapping[str, Any]) -> Iterator[Any]:
    if _DASHED.match(part):
        first, last = re.split(r"\s*[-–—]\s*", part)
        raise _problem("seed", part, "is a subtraction, not a range.", f"A range is written {first}..{last}")
    if match := _RANGE.match(part):
        return iter(_range(part, match, namespace))
    if part.endswith(("..", "…")) or part.startswith(("..", "…")):
        raise _problem("seed", part, "a range needs both of its ends.", "Write 5..8")
    value = evaluate(part, namespace, "seed")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return iter([_sane(value, part, "seed")])
    return (_sane(item, part, "seed") for item in _whole(value, part))


def _range(part: str, match: re.Match[str], namespace: Mapping[str, Any]) -> range:
    ends = [_integer(evaluate(match[k], namespace, "seed"), part) for k in (1, 2)]
    first, last = ends
    if first > last:
        raise _problem("seed", part, "runs backwards.", f"Write {last}..{first}")
    return range(first, last + 1)


def _integer(value: object, part: str) -> int:
    number = _sane(value, part, "seed")
    if type(number) is not int:
        raise _problem("seed", part, "a range needs two whole numbers.", "Write 5..8")
    return number


def _whole(value: Iterable[Any], part: str) -> Iterator[Any]:
    """Go through what a person gave, which may fail at any step."""
    try:
        yield from value
    except Exception as error:  # noqa: BLE001 - a person's own iterator may raise anything
        raise RequestError([raised("seed", part, error)]) from None


def _sane(value: Any, text: str, field: str) -> Any:
    """Return a whole number as an int; text, floats, booleans and None pass, the request has the words for them."""
    if value is None or type(value) in (bool, float, str):
        return value
    if not hasattr(type(value), "__index__"):
        raise _problem(field, text, f"is a {type(value).__name__}, not a whole number.", "Give a number.")
    try:
        number = operator.index(value)
    except Exception as error:  # noqa: BLE001 - __index__ may be a person's own code
        raise RequestError([raised(field, text, error)]) from None
    if abs(number) >= _LARGEST:
        raise _problem(field, text, "is far too large.", "Choose a smaller number.")
    return number


def _problem(field: str, text: str, message: str, hint: str) -> RequestError:
    return RequestError([Problem(field, _short(text), message, hint)])


def _short(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
