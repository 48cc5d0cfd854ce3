"""What Tab offers on a ``%wan`` or ``%%wan`` line: plain text in, candidates out."""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..batch import TABLE_FILES, Batch
from ..images import is_job, looks_like_image
from .options import cell_parser, command_parsers, find_command, help_topics
from .parser import EXPRESSIONS, QUOTES, Kind, LineParser, ReadLine, Word, flag_of, quote, split_line

if TYPE_CHECKING:
    from ..session import Session

_LINE: Final = re.compile(r"\s*(%%?)wan(?=\s)")


class Completion(NamedTuple):
    """Candidates in the order to show them, and the text before the cursor that a candidate replaces."""

    candidates: tuple[str, ...] = ()
    matched_fragment: str = ""


class Known(NamedTuple):
    """What exists: the notebook's variables, ids of jobs (newest first), and calls that return tags and batches."""

    names: Mapping[str, object]
    jobs: Sequence[str] = ()
    tags: Callable[[], Iterable[str]] = tuple
    batches: Callable[[], Iterable[str]] = tuple


def known_to(session: "Session | None", names: Mapping[str, object]) -> Known:
    """Return what a kernel's session knows, beside the notebook's variables."""
    project = session.known_project() if session else None
    if session is None or project is None:
        return Known(names)
    ids = dict.fromkeys(job.id for _, job in reversed(session.last))
    database = project.database
    rows = (row for free in (False, True) for row in database.cost_by("tag", simulated=free))
    tags, batches = (lambda: [row.key for row in rows if row.key]), (lambda: [row.name for row in database.batches()])
    return Known(names, tuple(ids), tags, batches)


def complete(before: str, known: Known) -> Completion:
    """Complete what stands before the cursor; empty for a line of another magic. Never raises, never reads a file."""
    if (match := _LINE.match(before)) is None:
        return Completion()
    words, current = split_line(before, match.end()), ""
    if opened := next((word for word in words if word.fault), None):  # a bracket or quote is still open
        words, current = words[: words.index(opened)], before[opened.start :]
    elif words and words[-1].end == len(before):
        current = words.pop().text
    if match[1] == "%%":
        return _complete(cell_parser(), words, current, known)
    if not words:
        return _matching(current, filter(None, command_parsers()))
    parser = find_command(words[0].text)
    return _complete(parser, words[1:], current, known) if parser else Completion()


def _complete(parser: LineParser, words: Sequence[Word], current: str, known: Known) -> Completion:
    scan = ReadLine(parser, words)
    while scan.read_options():
        if parser.prog == "%wan make":
            return Completion()  # the prompt has begun
        scan.read_word()
    flag = flag_of(current)
    action, typed = scan.pending if flag is None else None, current
    if flag is not None and flag[1] is not None:  # --size=1
        action, typed = parser.named.get(flag[0]), flag[1]
    if action is None:
        word = scan.next_word() if not current.startswith("-") else None
        flags = [name for option in parser.options if not scan.is_given(option) for name in option.option_strings]
        return _matching(current, [*(_values(word, current, known) if word else ()), *flags])
    if action.type in EXPRESSIONS and typed[:1] not in tuple(QUOTES):
        typed = re.split(r"[\[(,\s]+", typed)[-1]  # an item of a list
    return _matching(typed, _values(action, typed, known))


def _values(action: argparse.Action, typed: str, known: Known) -> Iterable[str]:
    """Return what may stand as a value; paths are those of the folder that is typed."""
    kind = action.type
    if choices := help_topics() if action.dest == "topic" else action.choices:
        return [choice if choice.endswith("=") else quote(choice) for choice in choices]
    if kind is Kind.TAG:
        return map(quote, known.tags())
    if kind is Kind.BATCH:
        return map(quote, filter(None, known.batches()))
    if kind is Kind.PATH:
        return _files(typed, lambda _name: True)
    if kind not in (Kind.IMAGE, Kind.JOB, Kind.JOB_OR_FILE, Kind.ROWS):
        return ()
    values = [(name, value) for name, value in list(known.names.items()) if not name.startswith("_") or name == "_wan"]
    if kind is Kind.ROWS:
        tables = _files(typed, lambda name: name.lower().endswith(TABLE_FILES))
        return [*(name for name, value in values if _is_table(value)), *tables]
    is_other = _is_image if kind is Kind.IMAGE else lambda value: kind is Kind.JOB and isinstance(value, Batch)
    names = [name for name, value in values if is_job(value) or is_other(value)]
    return [*names, *known.jobs, *(_files(typed, looks_like_image) if kind is not Kind.JOB else ())]


def _is_image(value: object) -> bool:
    """Say whether a variable may be a picture, or a list of some: its first item stands for all of them."""
    return looks_like_image(next(iter(value), None) if isinstance(value, list | tuple) else value)


def _is_table(value: object) -> bool:
    """Say whether a variable may be a table: rows as dicts, of which the first stands for all, or a data frame."""
    if isinstance(value, list | tuple):
        return isinstance(next(iter(value), None), Mapping)
    return any(hasattr(type(value), name) for name in ("to_dicts", "to_pylist", "iterrows"))


def _matching(typed: str, candidates: Iterable[str]) -> Completion:
    flag = flag_of(typed)
    bare = (flag[0] if flag else typed.lstrip(QUOTES)).lower()
    found = [c for c in dict.fromkeys(candidates) if c.lstrip("\"'").lower().startswith(bare) and c != typed]
    return Completion(tuple(found), typed)


def _files(typed: str, is_wanted: Callable[[str], bool]) -> list[str]:
    """Return paths that go on from what is typed: folders, and the files that are wanted."""
    path = typed.lstrip("\"'")
    folder, found = path[: path.rfind("/") + 1], []
    with suppress(OSError, ValueError, RuntimeError):
        for entry in islice(Path(folder or ".").expanduser().iterdir(), 5000):
            name, end = folder + entry.name, "/" if entry.is_dir() else ""
            if not entry.name.startswith(".") and (end or is_wanted(name)):
                mark = typed[:1] if path != typed else '"' if " " in name else ""
                found.append(f"{mark}{name}{end or mark}")
    return sorted(found)
