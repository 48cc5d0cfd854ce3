r"""What a cell says, with the notebook's variables: texts with ``{fields}``, numbers, seeds, times, pictures.

Fields of a text are those of ``str.format``: ``{name}``, ``{obj.attr}``, ``{d[key]}``, each with ``!r`` and ``:spec``;
also ``{d["key"]}``, but no calls. ``{{`` and ``}}`` are braces, and ``{"\u2028"}`` stands for characters that editors
lose. Everything is replaced once: braces in a value stay as they are.
"""

import argparse
import ast
import builtins
import inspect
import operator
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from string import Formatter
from typing import Any, Final, NamedTuple, NoReturn

from ..errors import Problem, RequestError
from ..images import PictureOf, looks_like_image
from ..jobs import Job
from ..models import TASKS_PER_CALL_MAX
from ..text import did_you_mean, one_line, shown
from ..validation import parse_size, plain_integer
from .parser import LOCATION, Kind, quoted, split_list, unescape, unquoted

_PIECE: Final = re.compile(
    r'\{\{|\}\}|\{"(?P<literal>(?:[^"\\\n]|\\.)*)"\}|(?P<field>\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\})|[{}]'
)
_FIELD: Final = re.compile(
    r"""\{\s*(?P<path>(?P<name>[^\W\d]\w*)
    (?:\.\s*(?!__)[^\W\d]\w* | \[\s*(?:"(?:\\.|[^\\"\n])*"|'(?:\\.|[^\\'\n])*')\s*\] | \[[^\[\]{}"'\n]+\])*)
    \s*(?:!(?P<conversion>\w))?(?::(?P<spec>.*))?\}""",
    re.VERBOSE | re.DOTALL,
)
_BARE_KEY: Final = re.compile(r"\[(?!-?(?:0|[1-9]\d{0,17})\])([^\[\]{}\"'\n]+)\]")  # `d[key]`, but not `d[0]`
_REPR: Final = re.compile(r"None|<.* at 0x[0-9A-Fa-f]+.*>", re.DOTALL)
_AS_TYPED: Final = "For literal braces write {{ and }}, or add --raw."

_RANGE: Final = re.compile(r"(.+?)(?:\.{2,3}|…)(.+)", re.DOTALL)
_HINTS: Final = {"seed": "Write a number, 5..8 or 5,9,12.", "image": "Quote it if it is a path."}
LONE_FIELD: Final = re.compile(r"\A\{\s*([^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)\s*\}\Z")
"""``{name}`` alone is that variable, whichever option it stands in."""
_JOB: Final = re.compile(r"([0-9a-f]{3,64})(?:\[\s*(-?\d{1,6})\s*\])?")
_DOTTED: Final = re.compile(r"([^\W\d]\w*)\.([^\W\d]\w*)(?:\.[^\W\d]\w*)*")
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smh]?)", re.IGNORECASE | re.ASCII)
_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


# Texts ---------------------------------------------------------------------------------------------------------------


class Expanded(NamedTuple):
    """A text with its fields replaced, what is wrong with it, and what is worth a note."""

    text: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def expand(text: str, namespace: Mapping[str, Any], *, field: str = "prompt") -> Expanded:
    """Replace every field once; where one is wrong it stays, and a problem says why."""
    problems: list[Problem] = []
    notes: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        piece = match[0]
        if piece in ("{{", "}}"):
            return piece[0]
        if match["literal"] is not None:
            return unescape(match["literal"])
        parts = _FIELD.fullmatch(piece)
        try:
            if parts is None:
                refuse(field, "not a field such as {name}, {obj.attr} or {d[key]}.", _AS_TYPED, piece)
            if parts["name"] not in namespace:  # nor may a builtin be text
                raise failed(field, piece, NameError(name=parts["name"]), namespace, _AS_TYPED)
            found = evaluate(_BARE_KEY.sub(lambda key: f"[{key[1].strip()!r}]", parts["path"]), namespace, field)
            if isinstance(found, Job):  # its text says how it stands: no run would be like another
                refuse(field, "a job, not text.", "Give its picture with -i, and write 'image 1' in the text.", piece)
            try:
                value = format(Formatter().convert_field(found, parts["conversion"]), parts["spec"] or "")
            except Exception as error:  # noqa: BLE001 - a person's own objects may raise anything
                raise failed(field, piece, error, hint=_AS_TYPED) from None
        except RequestError as error:
            problems.extend(error.problems)
            return piece
        is_odd = ("\n" in value or "<" in value) and not isinstance(found, str)  # a table, an array or an object
        if is_odd or _REPR.fullmatch(value):
            notes.append(f"{piece} became {one_line(value, 40)} in the {field.replace('_', ' ')}")
        return value

    return Expanded(_PIECE.sub(replacement, text), tuple(problems), tuple(notes))


def escape(text: str) -> str:
    """Double the braces, so that ``expand`` gives the text back."""
    return text.replace("{", "{{").replace("}", "}}")


def literal(text: str) -> str:
    """Write characters that an editor or a cell would lose, as a field that gives them back."""
    return "{" + quoted(text) + "}"


# Expressions ---------------------------------------------------------------------------------------------------------


def evaluate(text: str, namespace: Mapping[str, Any], field: str, tree: ast.Expression | None = None) -> Any:
    """Evaluate an expression once. Raise ``RequestError`` with the nearest name, or the exception's type and text."""
    tree = tree or parse_expression(text, field)
    try:
        # A copy: eval would add __builtins__ to the notebook's own namespace.
        return eval(compile(tree, "<%%wan>", "eval"), dict(namespace))  # noqa: S307 - what its owner typed
    except Exception as error:  # noqa: BLE001 - a person's own code may raise anything
        raise failed(field, text, error, namespace, _HINTS.get(field, "")) from None


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


def parse_expression(text: str, field: str) -> ast.Expression:
    """Parse a Python expression. Raise ``RequestError``."""
    try:
        return ast.parse(re.sub(r"[\s\u200b\u2060\ufeff]", " ", text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        refuse(field, "not a Python expression.", _HINTS.get(field, ""), text)


def is_known(name: str, namespace: Mapping[str, Any]) -> bool:
    """Say whether a name can be evaluated."""
    return name in namespace or hasattr(builtins, name)


def near_names(word: str, names: Iterable[object]) -> str:
    """Return ``Did you mean photo?`` for the nearest public name, or an empty text."""
    own = [name for name in names if isinstance(name, str) and name[:1] != "_" and not hasattr(builtins, name)]
    return did_you_mean(word, own, cutoff=0.5)


def failed(field: str, text: str, error: BaseException, names: Iterable[object] = (), hint: str = "") -> RequestError:
    """Return the error for what a person's own code raised: the nearest name, or the exception's type and text."""
    message, near = f"raised {type(error).__name__}.", ""
    with suppress(Exception):  # even an exception's text and attributes are a person's own code
        if isinstance(error, NameError):
            message, near = (
                f"no variable {error.name}.",
                near_names(str(error.name), names) or "Define it in a cell above.",
            )
        else:
            message = f"raised {type(error).__name__}: {one_line(error, 200)}".rstrip(": .") + "."
            near = near_names(str(error.name), dir(error.obj)) if isinstance(error, AttributeError) else ""
    return RequestError([Problem(field, one_line(text, 60), message, f"{near} {hint}".strip())])


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
        case Kind.JOB | Kind.JOB_OR_FILE:
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


def refuse(field: str, message: str, hint: str = "", value: str = "") -> NoReturn:
    """Raise ``RequestError`` with one problem."""
    raise RequestError([Problem(field, one_line(value, 60), message, hint)])


def _seconds(text: str, namespace: Mapping[str, Any], field: str) -> float:
    """Read ``90``, ``90s``, ``15m``, ``2h``, or an expression that gives seconds or one of these."""
    match = _DURATION.fullmatch(text)
    with suppress(RequestError, ValueError):  # ValueError: a number of thousands of digits
        match = match or _DURATION.fullmatch(str(evaluate(LONE_FIELD.sub(r"\1", text), namespace, field)))
    seconds = float(match[1]) * _UNIT_S[match[2].lower()] if match else 0.0
    return seconds or refuse(field, f"{shown(text)} is not a valid time.", "Write seconds, 90s or 15m.")


def _seeds(text: str, namespace: Mapping[str, Any]) -> list[Any]:
    """Read ``5``, ``5..8``, ``5,9,12`` or an expression that gives a number, a range or a list, in order.

    At most one more than ``TASKS_PER_CALL_MAX`` are returned.
    """
    text, found = LONE_FIELD.sub(r"\1", text), list[Any]()
    text = unquoted(text) or text  # "5, 9" in quotes means what it says
    for part in split_list(f"[{text}]") if _RANGE.search(text) else [text]:
        if match := _RANGE.fullmatch(part):
            first, last = (plain_integer(evaluate(end, namespace, "seed")) for end in match.groups())
            if {type(first), type(last)} != {int} or first > last:
                refuse("seed", "is not a range of seeds.", "Write 5..8, the smaller number first.", part)
            found += range(first, min(last, first + TASKS_PER_CALL_MAX) + 1)
            continue
        value = evaluate(part, namespace, "seed")
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            value = [value]
        try:
            found += islice(value, TASKS_PER_CALL_MAX + 1)
        except Exception as error:  # noqa: BLE001 - a person's own iterator may raise anything
            raise failed("seed", part, error) from None
    return found[: TASKS_PER_CALL_MAX + 1]


# Pictures ------------------------------------------------------------------------------------------------------------


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
    if not (looks_like_image(text) or "/" in text or "\\" in text):
        return False
    if dotted := _DOTTED.fullmatch(text):
        # Not hasattr: a property of a job would wait for it.
        return inspect.getattr_static(namespace.get(dotted[1]), dotted[2], None) is None
    try:
        names = {node.id for node in ast.walk(parse_expression(text, "image")) if isinstance(node, ast.Name)}
    except RequestError:
        return True
    return not names or not all(is_known(name, namespace) for name in names)
