r"""The text of a cell: ``{name}`` from the notebook's variables, the negative prompt, and notes.

Fields are those of ``str.format``: ``{name}``, ``{obj.attr}``, ``{d[key]}``, each with ``!r`` and ``:spec``; also
``{d["key"]}``, but no calls. ``{{`` and ``}}`` are braces, and ``{"\u2028"}`` stands for characters that editors lose.
Everything is replaced once: braces in a value stay as they are.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from ..errors import Problem, RequestError
from ..text import did_you_mean, one_line
from .tokenize import quoted, unescape

_PIECE: Final = re.compile(
    r'\{\{|\}\}|\{"(?P<literal>(?:[^"\\\n]|\\.)*)"\}|(?P<field>\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\})|[{}]'
)
_STEP: Final = r"""\.\s*(?P<attribute>[^\W\d]\w*)
    | \[\s*(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote))[^\\\n])*)(?P=quote)\s*\]
    | \[(?P<bare>[^\[\]{}"'\n]+)\]"""
_STEPS: Final = re.compile(_STEP, re.VERBOSE)
_FIELD: Final = re.compile(
    rf"\{{\s*(?P<name>[^\W\d]\w*)(?P<steps>(?:{_STEP})*)\s*(?:!(?P<conversion>\w))?(?::(?P<spec>.*))?\}}",
    re.VERBOSE | re.DOTALL,
)
_REPR: Final = re.compile(r"<.* at 0x[0-9A-Fa-f]+.*>", re.DOTALL)
_OF_IPYTHON: Final = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})
_AS_TYPED: Final = "For literal braces write {{ and }}, or add --raw."
_NEGATIVE: Final = re.compile(r"^[ \t]*negative prompt[ \t]*[:：][ \t]*", re.IGNORECASE | re.MULTILINE)
_SETTINGS: Final = re.compile(r"(?:\A|\n)[ \t]*(Steps: \d+, [^\n]*\b[A-Z][\w ]*: [^\n]*)\Z")
_SETTING: Final = re.compile(r"\b(Seed|Size): (\d+(?:x\d+)?)")
_IMAGE_NUMBER: Final = re.compile(r"\b(?:image|picture|photo)\s*#?(\d{1,2})\b|[图圖]\s*(\d{1,2})(?!\d)", re.IGNORECASE)
_FOREIGN: Final = (  # what other tools read in a text, and this model takes for words
    (r"(?<!\S)--(?:ar|aspect)\s+(\d+:\d+)", "'--ar {0}' is part of the prompt: write --size {0} in the first line"),
    (
        r"(?<!\S)(--(?!ar\b|aspect\b)[a-z][a-z-]*|-[in]\s?\d\b)",
        "'{0}' is part of the prompt: put options in the first line",
    ),
    (
        r"(\([^()\n]{1,60}:\d+(?:\.\d+)?\)|::-?\d+(?:\.\d+)?)",
        "weights such as {0} are read as words: say what matters instead",
    ),
    (r"<lora:([^<>:\n]{1,60})", "<lora:{0}> is read as words: there are no LoRAs, give a picture with -i"),
    (r"\A\s*[\"“][^\"“”]*[\"”]\s*\Z", "the quotes around the text are part of the prompt"),
    (r"\bSeed:\s*(\d+)", "a seed in the text is not used: write --seed {0} in the first line"),
)


@dataclass(frozen=True)
class Expanded:
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
        try:
            value = _value_of(match, namespace, field)
        except RequestError as error:
            problems.extend(error.problems)
            return piece
        if value == "None" or _REPR.fullmatch(value):
            notes.append(f"{piece} became {one_line(value, 40)} in the {field.replace('_', ' ')}")
        return value

    return Expanded(_PIECE.sub(replacement, text), tuple(problems), tuple(notes))


def escape(text: str) -> str:
    """Double the braces, so that ``expand`` gives the text back."""
    return text.replace("{", "{{").replace("}", "}}")


def literal(text: str) -> str:
    """Write characters that an editor or a cell would lose, as a field that gives them back."""
    return "{" + quoted(text) + "}"


def split_negative(body: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Split a text at its last line ``Negative prompt: …``: the prompt, the negative prompt or None, and notes.

    The negative prompt goes on to the end. A pasted last line ``Steps: 20, Sampler: …`` belongs to neither.
    """
    text = body.rstrip()
    notes: tuple[str, ...] = ()
    if settings := _SETTINGS.search(text):
        text = text[: settings.start()].rstrip()
        options = " ".join(f"--{name.lower()} {value}" for name, value in _SETTING.findall(settings[1]))
        advice = f"; {options} in the first line asks for the same" if options else ""
        notes = (f"the pasted settings ('{one_line(settings[1], 30)}') are not used{advice}",)
    found = list(_NEGATIVE.finditer(text))
    if not found:
        return text, None, notes
    return text[: found[-1].start()], text[found[-1].end() :].strip(), notes


def split_negative_first_edition(body: str) -> tuple[str, str | None]:
    """Split a text as the first edition did: the negative prompt was the last line only, and nothing was left out."""
    head, newline, last = body.rstrip().rpartition("\n")
    match = _NEGATIVE.match(last)
    return (head if newline else "", last[match.end() :].strip()) if match else (body, None)


def text_notes(prompt: str, images: int) -> tuple[str, ...]:
    """Return what a prompt holds that this model does not read, each with what to write instead."""
    found = [note.format(*match.groups()) for pattern, note in _FOREIGN if (match := re.search(pattern, prompt))]
    named = {int(number) for pair in _IMAGE_NUMBER.findall(prompt) for number in pair if number}
    if beyond := sorted(number for number in named if number > images):
        given = "no picture is given" if not images else f"{images} {'is' if images == 1 else 'are'} given"
        found.append(f"the text names image {beyond[0]}, but {given}: add -i")
    return tuple(found)


def near_names(word: str, names: Iterable[object]) -> str:
    """Return ``Did you mean photo?`` for the nearest public name, or an empty text."""
    known = [name for name in names if isinstance(name, str) and name[:1] != "_" and name not in _OF_IPYTHON]
    return did_you_mean(word, known, cutoff=0.5)


def unknown_variable(field: str, text: str, name: str, namespace: Mapping[str, Any], more: str = "") -> RequestError:
    """Return the error for a variable that does not exist; ``more`` is added to its hint."""
    hint = near_names(name, namespace) or "Define it in a cell above."
    return RequestError([Problem(field, one_line(text, 60), f"no variable {name}.", f"{hint} {more}".strip())])


def raised(field: str, text: str, error: BaseException, hint: str = "Try it in a cell.") -> RequestError:
    """Return the error for an exception of a person's own code: its type and its text."""
    said = ""
    with suppress(Exception):  # even an exception's text is a person's own code
        said = one_line(error, 200).rstrip(".")
    message = f"raised {type(error).__name__}{f': {said}' if said else ''}."
    return RequestError([Problem(field, one_line(text, 60), message, hint)])


def _value_of(match: re.Match[str], namespace: Mapping[str, Any], field: str) -> str:
    """Return the text of one field. Raise ``RequestError``."""
    piece = match[0]
    parts = _FIELD.fullmatch(piece)
    if parts is None:
        before = match.string[: match.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"line {line}, column {column}: not a field such as {{name}}, {{obj.attr}} or {{d[key]}}."
        raise RequestError([Problem(field, one_line(piece, 60), message, _AS_TYPED)])
    name, steps = parts["name"], list(_STEPS.finditer(parts["steps"]))
    if name not in namespace:
        raise unknown_variable(field, piece, name, namespace, _AS_TYPED)
    if any((step["attribute"] or "").startswith("__") for step in steps):
        raise RequestError([Problem(field, piece, "names that begin with __ are internal.", "Use a variable for it.")])
    value, wanted = namespace[name], ""
    try:
        for step in steps:
            wanted = step["attribute"] or step["bare"] or step["text"]
            value = getattr(value, wanted) if step["attribute"] else _item(value, step)
        return format(Formatter().convert_field(value, parts["conversion"]), parts["spec"] or "")
    except Exception as error:  # noqa: BLE001 - a person's own objects may raise anything
        near = ""
        with suppress(Exception):  # asked for their names, too
            near = near_names(wanted, value if isinstance(error, KeyError) else dir(value)) if wanted else ""
        raise raised(field, piece, error, f"{near} {_AS_TYPED}".strip()) from None


def _item(value: Any, step: re.Match[str]) -> Any:
    """Return an item: ``[0]`` is a position, or else the text "0"."""
    key = step["bare"].strip() if step["bare"] else unescape(step["text"])
    if step["bare"] and re.fullmatch(r"-?\d{1,18}", key, re.ASCII):
        with suppress(KeyError):
            return value[int(key)]
    return value[key]
