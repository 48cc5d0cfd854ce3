r"""The cell's text: ``{name}`` from the notebook's variables, the negative prompt, and hints.

Fields are ``{name}``, ``{obj.attr}``, ``{d[key]}``, ``{d["key"]}``, each with ``!r``, ``!s``, ``!a`` and ``:spec`` as
in ``str.format``; no calls. ``{{`` and ``}}`` are braces; ``{"\u2028"}`` stands for characters that editors lose.
Everything is replaced once: a value's own braces stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import Problem, RequestError
from .evaluate import nearest, raised
from .words import quoted, unescape

_NEGATIVE: Final = re.compile(r"[ \t]*negative prompt[ \t]*[:：](.*)\Z", re.IGNORECASE)
_NAME: Final = re.compile(r"\s*([^\W\d]\w*)")
_STEP: Final = re.compile(
    r"""\.\s*(?P<attribute>[^\W\d]\w*)
      | \[\s*(?: "(?P<double>[^"\\\n]*(?:\\.[^"\\\n]*)*)" | '(?P<single>[^'\\\n]*(?:\\.[^'\\\n]*)*)' )\s*\]
      | \[(?P<bare>[^\[\]{}"'\n]+)\]""",
    re.VERBOSE,
)
_TAIL: Final = re.compile(r"\s*(?:!(?P<conversion>[rsa]))?(?::(?P<spec>[^{}\n]*))?\}")
_LITERAL: Final = re.compile(r'\{"((?:[^"\\\n]|\\.)*)"\}')
_CLOSED: Final = re.compile(r"\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\}")
_WIDE: Final = re.compile(r"\d{5,}")
_CONVERT: Final[dict[str, Callable[[Any], str]]] = {"r": repr, "s": str, "a": ascii}
_BRACES: Final = "Write {{ and }} for braces, or add --raw."
_OTHERWISE: Final = "For literal braces write {{ and }}, or add --raw."
_REPR: Final = re.compile(r"<.* at 0x[0-9A-Fa-f]+.*>\Z", re.DOTALL)
_IMAGE_NUMBER: Final = re.compile(r"\b(?:image|picture|photo)\s*#?(\d{1,2})\b|[图圖]\s*(\d{1,2})(?!\d)", re.IGNORECASE)
_FOREIGN: Final = (  # spellings of other tools, which this model takes for words
    (
        re.compile(r"(?<!\S)--(?:ar|aspect)\s+(\d+:\d+)"),
        "--ar is not read in the text: use --size {0} in the first line",
    ),
    (
        re.compile(r"(?<!\S)(--(?!ar\b|aspect\b)[a-z][a-z-]*)"),
        "{0} is not read in the text: options stand in the first line",
    ),
    (re.compile(r"(?<!\S)(-[in]\s?\d)\b"), "{0} is not read in the text: options stand in the first line"),
    (re.compile(r"\(([^()\n]{1,60}):\d+(?:\.\d+)?\)"), "weights like ({0}:1.3) are not known here: say it in words"),
    (re.compile(r"<lora:([^<>:\n]{1,60})"), "<lora:{0}> is not known here: there are no LoRAs, give a picture with -i"),
    (re.compile(r"\S\s*(::-?\d+(?:\.\d+)?)"), "{0} is no weight here: say in words what matters more"),
    (re.compile(r"\A\s*[\"“][^\"“”]*[\"”]\s*\Z"), "the quotes around the text are part of the prompt"),
    (
        re.compile(r"^[ \t]*negative prompt[ \t]*[:：]", re.IGNORECASE | re.MULTILINE),
        "'Negative prompt:' is read as the text's last line only",
    ),
    (re.compile(r"\bSeed:\s*(\d+)", re.IGNORECASE), "a seed in the text is not read: use --seed {0} in the first line"),
)


@dataclass(frozen=True)
class Expanded:
    """A text with its fields replaced, what is wrong with it, and what is worth saying about it."""

    text: str
    problems: tuple[Problem, ...] = ()
    hints: tuple[str, ...] = ()


def expand(text: str, namespace: Mapping[str, Any], *, field: str = "prompt") -> Expanded:
    """Replace every field once; where a field is wrong it stays, and a problem says why, with line and column."""
    pieces: list[str] = []
    problems: list[Problem] = []
    hints: list[str] = []
    position = 0
    while position < len(text):
        brace = _next_brace(text, position)
        pieces.append(text[position:brace])
        if brace == len(text):
            break
        if text[brace : brace + 2] in ("{{", "}}"):
            pieces.append(text[brace])
            position = brace + 2
            continue
        try:
            value, position = _field_at(text, brace, namespace, field)
        except RequestError as error:
            problems += error.problems
            position = _after_field(text, brace)
            value = text[brace:position]
        else:
            if _REPR.match(value):
                hints.append(f"{text[brace:position]} became {_short(value)} in the {field}")
        pieces.append(value)
    return Expanded("".join(pieces), tuple(problems), tuple(hints))


def escape(text: str) -> str:
    """Double the braces, so that ``expand`` gives the text back."""
    return text.replace("{", "{{").replace("}", "}}")


def literal(text: str) -> str:
    """Write characters that an editor or a cell would lose, as a field that gives them back."""
    return "{" + quoted(text) + "}"


def split_negative(body: str) -> tuple[str, str | None]:
    """Take a last line ``Negative prompt: …`` off a text; None if there is none."""
    head, newline, last = body.rstrip().rpartition("\n")
    match = _NEGATIVE.match(last)
    return (head if newline else "", match[1].strip()) if match else (body, None)


def text_hints(prompt: str, images: int) -> tuple[str, ...]:
    """Return what a text holds that this model does not read, each with what to write instead."""
    found = [hint.format(*match.groups()) for pattern, hint in _FOREIGN if (match := pattern.search(prompt))]
    named = {int(number) for pair in _IMAGE_NUMBER.findall(prompt) for number in pair if number}
    if beyond := sorted(number for number in named if number > images):
        given = "no picture is given" if not images else f"{images} {'is' if images == 1 else 'are'} given"
        found.append(f"the text names image {beyond[0]}, but {given}: add -i")
    return tuple(found)


def _next_brace(text: str, position: int) -> int:
    found = [at for at in (text.find("{", position), text.find("}", position)) if at >= 0]
    return min(found, default=len(text))


def _after_field(text: str, brace: int) -> int:
    """Return where to go on after a field that cannot be read: after its closing brace, if it has one nearby."""
    end = _CLOSED.match(text, brace)
    return end.end() if end else brace + 1


def _field_at(text: str, brace: int, namespace: Mapping[str, Any], field: str) -> tuple[str, int]:
    if text[brace] == "}":
        raise _malformed(text, brace, field, "a } without its {.")
    if match := _LITERAL.match(text, brace):
        return unescape(match[1]), match.end()
    name = _NAME.match(text, brace + 1)
    if name is None:
        closed = re.compile(r"\{\s*\}").match(text, brace)
        raise _malformed(
            text, brace, field, "a pair of braces with no name." if closed else "no variable name after {."
        )
    steps, position = _steps(text, name.end())
    tail = _TAIL.match(text, position)
    if tail is None:
        raise _malformed(text, brace, field, "braces that are no field like {name}, {obj.attr}, {d[key]} or {x:.2f}.")
    shown = text[brace : tail.end()]
    if name[1] not in namespace:
        raise _unknown(field, shown, f"no variable {name[1]}.", name[1], namespace)
    value = namespace[name[1]]
    for step in steps:
        value = _take(value, step, field, shown)
    return _formatted(value, tail, field, shown), tail.end()


def _steps(text: str, position: int) -> tuple[list[re.Match[str]], int]:
    steps = []
    while match := _STEP.match(text, position):
        steps.append(match)
        position = match.end()
    return steps, position


def _take(value: Any, step: re.Match[str], field: str, shown: str) -> Any:
    """Follow one attribute or item. Raises ``RequestError``."""
    if name := step["attribute"]:
        if name.startswith("__"):
            raise RequestError([Problem(field, shown, f"{name} is internal to Python.", "Use a variable for it.")])
        try:
            return getattr(value, name)
        except AttributeError:
            kind = type(value).__name__
            raise _unknown(field, shown, f"{kind} has no {name}.", name, _directory(value)) from None
        except Exception as error:  # noqa: BLE001 - a property is a person's own code
            raise _failed(field, shown, error) from None
    return _item(value, _keys(step), field, shown)


def _keys(step: re.Match[str]) -> list[Any]:
    """Return the keys that an item may mean, in order: ``[0]`` is a position, or else the text ``0``."""
    for key in (step["double"], step["single"]):
        if key is not None:
            return [unescape(key)]
    bare = step["bare"].strip()
    return [int(bare), bare] if re.fullmatch(r"-?\d{1,18}", bare, re.ASCII) else [bare]


def _item(value: Any, keys: list[Any], field: str, shown: str) -> Any:
    first: Exception | None = None
    for key in keys:
        try:
            return value[key]
        except Exception as error:  # noqa: BLE001 - __getitem__ may be a person's own code
            first = first or error
    if isinstance(first, KeyError) and isinstance(value, Mapping):
        known = [str(k) for k in list(value)[:1000]]
        raise _unknown(field, shown, f"no key {keys[-1]!r}.", str(keys[-1]), known)
    if isinstance(first, IndexError):
        length = f" (it has {len(value)})" if hasattr(value, "__len__") else ""
        raise RequestError([Problem(field, shown, f"no item {keys[0]}{length}.", "Items are counted from 0.")])
    raise _failed(field, shown, first or KeyError(keys[0]))


def _formatted(value: Any, tail: re.Match[str], field: str, shown: str) -> str:
    spec = tail["spec"] or ""
    if _WIDE.search(spec):
        raise RequestError([Problem(field, shown, "would be far too wide.", "Use a smaller number after the colon.")])
    try:
        return format(_CONVERT[tail["conversion"]](value) if tail["conversion"] else value, spec)
    except Exception as error:  # noqa: BLE001 - __format__ and __str__ may be a person's own code
        raise _failed(field, shown, error) from None


def _directory(value: object) -> list[str]:
    try:
        return [str(name) for name in dir(value)]
    except Exception:  # noqa: BLE001 - __dir__ may be a person's own code
        return []


def _unknown(field: str, shown: str, message: str, word: str, known: Iterable[object]) -> RequestError:
    hint = f"{nearest(word, known) or 'Define it in a cell above.'} {_OTHERWISE}"
    return RequestError([Problem(field, shown, message, hint)])


def _failed(field: str, shown: str, error: Exception) -> RequestError:
    return RequestError([raised(field, shown, error)])


def _malformed(text: str, brace: int, field: str, what: str) -> RequestError:
    line, column = text.count("\n", 0, brace) + 1, brace - (text.rfind("\n", 0, brace) + 1) + 1
    message = f"line {line}, column {column}: {what}"
    closed = _CLOSED.match(text, brace)
    shown = closed[0] if closed else text[brace : brace + 24].split("\n")[0]
    return RequestError([Problem(field, _short(shown), message, _BRACES)])


def _short(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 40 else f"{shown[:37]}…"
