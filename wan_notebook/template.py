r"""Templates: texts with ``{fields}`` that variables, or the columns of a table, replace; and expressions.

Fields of a text are those of ``str.format``: ``{name}``, ``{obj.attr}``, ``{d[key]}``, each with ``!r`` and ``:spec``;
also ``{d["key"]}``, but no calls. ``{{`` and ``}}`` are braces, and ``{"\u2028"}`` stands for characters that editors
lose. Everything is replaced once: braces in a value stay as they are.
"""

import ast
import builtins
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final, NamedTuple, NoReturn

from .errors import Problem, RequestError
from .text import did_you_mean, one_line

_PIECE: Final = re.compile(
    r'\{\{|\}\}|\{"(?P<literal>(?:[^"\\\n]|\\.)*)"\}|(?P<field>\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\})|[{}]'
)
_FIELD: Final = re.compile(
    r"""\{\s*(?P<path>(?P<name>[^\W\d]\w*)
    (?:\.\s*(?!__)[^\W\d]\w* | \[\s*(?:"(?:\\.|[^\\"\n])*"|'(?:\\.|[^\\'\n])*')\s*\] | \[[^\[\]{}"'\n]+\])*)
    \s*(?:!(?P<conversion>\w))?(?::(?P<spec>.*))?\}""",
    re.VERBOSE | re.DOTALL,
)
_COLUMN: Final = re.compile(r"\{\s*(?P<name>[^{}\n]+?)\s*(?:!(?P<conversion>\w))?(?::(?P<spec>.*))?\}", re.DOTALL)
_BARE_KEY: Final = re.compile(r"\[(?!-?(?:0|[1-9]\d{0,17})\])([^\[\]{}\"'\n]+)\]")  # `d[key]`, but not `d[0]`
_REPR: Final = re.compile(r"None|<.* at 0x[0-9A-Fa-f]+.*>", re.DOTALL)
AS_TYPED: Final = "For literal braces write {{ and }}, or add --raw."

_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE: Final = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|([nrt\\"']))""")
_WRITTEN: Final = {char: f"\\{letter}" for letter, char in _ESCAPES.items() if char != "'"}
_HINTS: Final = {
    "seed": "Write a number, 5..8 or 5,9,12.",
    "image": "Quote it if it is a path.",
    "--over": "Give a table: a DataFrame, a list of dicts, wan.grid(…), or a path such as rows.csv.",
}

# Texts ---------------------------------------------------------------------------------------------------------------


class Expanded(NamedTuple):
    """A text with its fields replaced, what is wrong with it, and what is worth a note."""

    text: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


class Field(NamedTuple):
    """One field as it was typed, and what it asks for; without a name it could not be read."""

    typed: str
    name: str = ""
    path: str = ""
    conversion: str | None = None
    spec: str = ""


@dataclass(frozen=True)
class Template:
    """A text that is read once and filled in often: literal texts, and the fields between them.

    ``field`` is the parameter that its problems name, ``hint`` the way out where a brace was not meant as a field.
    """

    parts: tuple[str | Field, ...]
    field: str = "prompt"
    hint: str = AS_TYPED

    @classmethod
    def read(
        cls, text: str, *, field: str = "prompt", columns: Collection[str] = (), hint: str = AS_TYPED
    ) -> "Template":
        """Read a text. A column of a table may have any name: ``{Art style}`` is a field if there is such a column."""
        parts: list[str | Field] = []
        start = 0
        for match in _PIECE.finditer(text):
            parts += [text[start : match.start()], _part(match, columns)]
            start = match.end()
        return cls((*parts, text[start:]), field, hint)

    @property
    def fields(self) -> list[Field]:
        """The fields, in order."""
        return [part for part in self.parts if isinstance(part, Field)]

    def fill(self, namespace: Mapping[str, Any]) -> Expanded:
        """Replace every field once; where one is wrong it stays, and a problem says why."""
        texts: list[str] = []
        problems: list[Problem] = []
        notes: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            try:
                found, text = self._value(part, namespace)
            except RequestError as error:
                problems += error.problems
                texts.append(part.typed)
                continue
            is_odd = ("\n" in text or "<" in text) and not isinstance(found, str)  # a table, an array or an object
            if is_odd or _REPR.fullmatch(text):
                notes.append(f"{part.typed} became {one_line(text, 40)} in the {self.field.replace('_', ' ')}")
            texts.append(text)
        return Expanded("".join(texts), tuple(problems), tuple(notes))

    def _value(self, part: Field, namespace: Mapping[str, Any]) -> tuple[Any, str]:
        """Return what a field holds, and its text. Raise ``RequestError``."""
        from .jobs import Job  # not by `%load_ext`, which reads this module

        if not part.name:
            refuse(self.field, "not a field such as {name}, {obj.attr} or {d[key]}.", self.hint, part.typed)
        if part.name not in namespace:  # nor may a builtin be text
            raise failed(self.field, part.typed, NameError(name=part.name), namespace, self.hint)
        is_plain = part.path == part.name
        found = namespace[part.name] if is_plain else evaluate(part.path, namespace, self.field)
        if isinstance(found, Job):  # its text says how it stands: no run would be like another
            refuse(
                self.field, "a job, not text.", "Give its picture with -i, and write 'image 1' in the text.", part.typed
            )
        try:
            return found, format(Formatter().convert_field(found, part.conversion), part.spec)
        except Exception as error:  # noqa: BLE001 - a person's own objects may raise anything
            raise failed(self.field, part.typed, error, hint=self.hint) from None


def _part(match: re.Match[str], columns: Collection[str]) -> str | Field:
    """Return a piece between braces: a field, or the text that it stands for."""
    piece = match[0]
    if piece in ("{{", "}}"):
        return piece[0]
    if match["literal"] is not None:
        return unescape(match["literal"])
    if (name := piece[1:-1].strip()) in columns:
        return Field(piece, name, name)
    column = _COLUMN.fullmatch(piece) if columns else None
    if column and column["name"] in columns:
        return Field(piece, column["name"], column["name"], column["conversion"], column["spec"] or "")
    parts = _FIELD.fullmatch(piece)
    if parts is None:
        return Field(piece)
    path = _BARE_KEY.sub(lambda key: f"[{key[1].strip()!r}]", parts["path"])
    return Field(piece, parts["name"], path, parts["conversion"], parts["spec"] or "")


def expand(text: str, namespace: Mapping[str, Any], *, field: str = "prompt") -> Expanded:
    """Replace every field of a text once; where one is wrong it stays, and a problem says why."""
    return Template.read(text, field=field).fill(namespace)


def escape(text: str) -> str:
    """Double the braces, so that ``expand`` gives the text back."""
    return text.replace("{", "{{").replace("}", "}}")


def literal(text: str) -> str:
    """Write characters that an editor or a cell would lose, as a field that gives them back."""
    return "{" + quoted(text) + "}"


def quoted(text: str) -> str:
    """Write a text in double quotes, on one line, so that ``unescape`` gives it back."""
    # A joiner is part of an emoji or a letter; beyond the first plane \u cannot name a character.
    odd = (char for char in text if not (char.isprintable() or char in "\u200c\u200d" or ord(char) > 0xFFFF))
    written = {char: f"\\u{ord(char):04x}" for char in odd} | _WRITTEN
    return f'"{"".join(written.get(char, char) for char in text)}"'


def unescape(text: str) -> str:
    r"""Replace ``\n``, ``\t``, ``\\``, ``\"`` and ``\u2028``; every other backslash stays."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPES[m[2]], text)


# Expressions ---------------------------------------------------------------------------------------------------------


def evaluate(text: str, namespace: Mapping[str, Any], field: str, tree: ast.Expression | None = None) -> Any:
    """Evaluate an expression once. Raise ``RequestError`` with the nearest name, or the exception's type and text."""
    tree = tree or parse_expression(text, field)
    try:
        # A copy: eval would add __builtins__ to the notebook's own namespace.
        return eval(compile(tree, "<%%wan>", "eval"), dict(namespace))  # noqa: S307 - what its owner typed
    except Exception as error:  # noqa: BLE001 - a person's own code may raise anything
        raise failed(field, text, error, namespace, _HINTS.get(field, "")) from None


def parse_expression(text: str, field: str) -> ast.Expression:
    """Parse a Python expression. Raise ``RequestError``."""
    try:
        return ast.parse(re.sub(r"[\s\u200b\u2060\ufeff]", " ", text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        refuse(field, "not a Python expression.", _HINTS.get(field, ""), text)


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


def refuse(field: str, message: str, hint: str = "", value: str = "") -> NoReturn:
    """Raise ``RequestError`` with one problem."""
    raise RequestError([Problem(field, one_line(value, 60), message, hint)])
