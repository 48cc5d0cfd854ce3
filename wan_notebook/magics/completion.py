"""What Tab offers on a ``%wan`` or ``%%wan`` line: plain text in, candidates out."""

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..images import is_job, looks_like_image
from .options import cell_parser, command_parsers, find_command
from .parser import EXPRESSIONS, REPEATABLE, Kind, LineParser, ReadLine
from .tokenize import DASHES, QUOTES, Word, flag_of, is_location, quote, quoted, split_line

if TYPE_CHECKING:
    from ..session import Session

_SHOWN_MAX: Final = 200
_SCANNED_MAX: Final = 5000
_LAST: Final = "_wan"
_LINE: Final = re.compile(r"\s*(%%?)wan(?=\s)")
_OPEN_ITEM: Final = re.compile(r"""([^\W\d]\w*)\[["']?([^"'\]]*)\Z""")


@dataclass(frozen=True)
class Completion:
    """Candidates in the order to show them, and the text before the cursor that a candidate replaces."""

    candidates: tuple[str, ...] = ()
    matched_fragment: str = ""


@dataclass(frozen=True)
class Known:
    """What exists: the notebook's variables, ids of jobs (newest first), and a call that returns the tags in use."""

    names: Mapping[str, object]
    jobs: Sequence[str] = ()
    tags: Callable[[], Iterable[str]] = tuple

    def variables(self, wanted: Callable[[object], bool]) -> list[str]:
        """Return the names of the variables that are wanted."""
        names = [name for name in list(self.names) if not name.startswith("_") or name == _LAST]
        return [name for name in names if wanted(self.names.get(name))]


def known_to(session: "Session | None", names: Mapping[str, object]) -> Known:
    """Return what a kernel's session knows, beside the notebook's variables."""
    if session is None:
        return Known(names)
    project = session.known_project()
    ids = dict.fromkeys(job.id for _, job in reversed(session.last))
    tags = (lambda: [row.key for row in project.database.cost_by("tag") if row.key]) if project else tuple
    return Known(names, tuple(ids), tags)


def complete(line: str, cursor: int, known: Known) -> Completion:
    """Complete a line at the cursor; empty for a line of another magic. Never raises and never reads a file."""
    before = line[:cursor]
    match = _LINE.match(before)
    if match is None:
        return Completion()
    words = split_line(before, match.end())
    current = ""
    if opened := next((word for word in words if word.fault), None):  # a bracket or quote is still open
        words, current = words[: words.index(opened)], before[opened.start :]
    elif words and words[-1].end == len(before):
        current = words.pop().text
    if match[1] == "%%":
        return _complete(cell_parser(), before, words, current, known)
    if not words:
        return _matching(current, filter(None, command_parsers()))
    parser = find_command(words[0].text)
    return _complete(parser, before, words[1:], current, known) if parser else Completion()


def _complete(parser: LineParser, before: str, words: Sequence[Word], current: str, known: Known) -> Completion:
    scan = ReadLine(parser, words)
    while scan.read_options():
        if parser.prog == "%wan make":
            return Completion()  # the prompt has begun
        scan.read_word()
    flag = flag_of(current)
    action, typed = scan.pending if flag is None else None, current
    if flag is not None and flag.value is not None:  # --size=1
        action, typed = parser.find(flag.name), flag.value
    if action is None:
        values = _positional(scan, current, known) if current[:1] not in tuple(DASHES) else []
        return _matching(current, [*values, *_flags(scan, is_dashed=bool(current))])
    if action.type is Kind.IMAGE and (item := _OPEN_ITEM.search(before)) and (found := _items(item, known)):
        return Completion(tuple(found), item[0])
    if action.type in EXPRESSIONS and typed[:1] not in (*QUOTES, ""):
        typed = re.split(r"[\[(,\s]+", typed)[-1]  # an item of a list
    return _matching(typed, _values(action, typed, known))


def _positional(scan: ReadLine, typed: str, known: Known) -> Iterable[str]:
    action = scan.parser.positional(len(scan.positionals))
    if action is not None and scan.parser.prog == "%wan help":
        options = [name.lstrip("-") for option in cell_parser().options for name in option.option_strings]
        return [*filter(None, command_parsers()), *options]
    return _values(action, typed, known) if action else []


def _values(action: argparse.Action, typed: str, known: Known) -> Iterable[str]:
    """Return what may stand as a value; paths are those of the folder that is typed."""
    if choices := action.choices:
        return [choice if choice.endswith("=") else quote(choice) for choice in choices]
    match action.type:
        case Kind.IMAGE:
            pictures = [] if is_location(typed) else [*known.variables(_is_picture), *known.jobs]
            return [*pictures, *_files(typed, images_only=True)]
        case Kind.JOB | Kind.JOB_OR_FILE:
            files = _files(typed, images_only=True) if action.type is Kind.JOB_OR_FILE else []
            return [*known.variables(is_job), *known.jobs, *files]
        case Kind.NUMBER:
            return known.variables(_is_number)
        case Kind.SEED:
            return known.variables(_is_seed)
        case Kind.PATH:
            return _files(typed, images_only=False)
        case Kind.TAG | Kind.TAGS:
            return [quote(tag) for tag in known.tags()]
        case Kind.DURATION:
            return ["60s", "5m", "15m", "1h"]
        case Kind.SINCE:
            return ["today", "yesterday", "7d", "30d"]
    return []


def _flags(scan: ReadLine, *, is_dashed: bool) -> list[str]:
    """Return the options that may still come; second names only once a dash is typed."""
    found: list[str] = []
    for option in scan.parser.options:
        if option.dest in scan.seen and option.dest not in REPEATABLE:
            continue
        names = list(option.option_strings)
        if not is_dashed:
            is_pair = isinstance(option, argparse.BooleanOptionalAction)
            names = names[:2] if is_pair else [name for name in names if name[:2] == "--" or len(names) == 1][:1]
        found += names
    return [name for name in found if is_dashed or name != "--help"]


def _items(item: re.Match[str], known: Known) -> list[str]:
    """Return ``d["key"]``, ``photos[0]`` or ``job[1]`` for the pictures in what has its bracket open."""
    value = known.names.get(item[1])
    found: Iterable[tuple[object, object]] = ()
    if is_job(value):  # only pictures that are there: nothing is waited for
        found = ((index, value) for index, _ in enumerate(getattr(value, "saved_pictures", ())))
    elif isinstance(value, list | tuple):
        found = enumerate(value)
    elif isinstance(value, Mapping):
        found = ((quoted(key), one) for key, one in value.items() if isinstance(key, str))
    keys = [str(key) for key, one in islice(found, _SHOWN_MAX) if _is_picture(one)]
    return [f"{item[1]}[{key}]" for key in keys if key.lstrip('"').startswith(item[2])]


def _matching(typed: str, candidates: Iterable[str]) -> Completion:
    bare = typed.lstrip("".join(QUOTES))
    if typed[:1] in tuple(DASHES):
        flag = flag_of(typed)
        bare = flag.name if flag else "-" * (len(typed) + (typed[0] != "-"))
    found = [c for c in dict.fromkeys(candidates) if c.lstrip("\"'").lower().startswith(bare.lower()) and c != typed]
    found.sort(key=lambda candidate: candidate == _LAST)  # behind all that has a name of its own
    return Completion(tuple(found[:_SHOWN_MAX]), typed)


def _is_picture(value: object) -> bool:
    return looks_like_image(_first(value)) or is_job(value)


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and hasattr(type(value), "__index__") and not hasattr(type(value), "__len__")


def _is_seed(value: object) -> bool:
    return _is_number(_first(value)) or isinstance(value, range)


def _first(value: object) -> object:
    """Return the first item of a list or tuple, which stands for all of them; else the value."""
    return next(iter(value), None) if isinstance(value, list | tuple) else value


def _files(typed: str, *, images_only: bool) -> list[str]:
    """Return paths that go on from what is typed: folders, and files (images only, if asked)."""
    sign, path = (typed[0], typed[1:]) if typed[:1] in ("'", '"') else ("", typed)
    folder = path[: max(path.rfind("/"), path.rfind(os.sep)) + 1]
    hidden = path[len(folder) :].startswith(".")
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - what is typed stays as typed
            found = sorted(
                folder + entry.name + ("/" if entry.is_dir() else "")
                for entry in islice(entries, _SCANNED_MAX)
                if (hidden or not entry.name.startswith("."))
                and (entry.is_dir() or not images_only or looks_like_image(entry.name))
            )
    except (OSError, ValueError):
        return []
    quoted = [(sign or '"' if sign or " " in name else "", name) for name in found]
    return [f"{mark}{name}{'' if name.endswith('/') else mark}" for mark, name in quoted]
