"""What Tab offers on a ``%wan`` or ``%%wan`` line: plain text in, candidates out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .images import looks_like_image
from .inputs import is_job
from .line import ReadLine, read_line
from .options import CELL_OPTIONS, HELP, Kind, Option, Subcommand, subcommand, subcommand_names
from .words import DASHES, has_image_suffix, is_space, looks_like_place, option_at, skip_spaces, word_end

_SHOWN_MAX: Final = 200
_SCANNED_MAX: Final = 5000
_CURSOR: Final = "\ue000"  # stands for the word at the cursor, so that an option before it has a value
_LAST: Final = "_wan"
_QUOTES: Final = "\"'"
_OPEN_ITEM: Final = re.compile(r"""([^\W\d]\w*)\[["']?([^"'\]]*)\Z""")


@dataclass(frozen=True)
class Completion:
    """Candidates in the order to show them, and the text before the cursor that a candidate replaces."""

    candidates: tuple[str, ...] = ()
    matched_fragment: str = ""


def complete(line: str, cursor: int, names: Mapping[str, object], jobs: Sequence[str] = ()) -> Completion:
    """Complete a line at the cursor; ``names`` are the notebook's variables, ``jobs`` ids of the history, newest first.

    Empty for a line of another magic. Reads names in a folder, never a file; never raises.
    """
    before = line[:cursor]
    start = skip_spaces(before, 0)
    is_cell = before.startswith("%%wan", start)
    after = start + len("%%wan" if is_cell else "%wan")
    if not (is_cell or before.startswith("%wan", start)) or len(before) <= after or not is_space(before[after]):
        return Completion()
    candidates = _Candidates(names, jobs)
    text = before[after:]
    if is_cell:
        return _after_command(text, CELL_OPTIONS, None, candidates)
    at = skip_spaces(text, 0)
    end = word_end(text, at)
    if end == len(text):
        return _matching(text[at:], subcommand_names())
    command = subcommand(text[at:end])
    return _after_command(text[end:], command.options, command, candidates) if command else Completion()


def _after_command(
    text: str, options: tuple[Option, ...], command: Subcommand | None, candidates: _Candidates
) -> Completion:
    fragment = _last_word(text)
    before = text[: len(text) - len(fragment)]
    read = read_line(before + _CURSOR, options, places=command.places if command else None)
    typed = option_at(fragment, 0)
    if typed and typed.end < len(fragment):  # --size=1
        value = fragment[typed.end + 1 :]
        return _of_option(_named(typed.flag, options), value, text, candidates)
    pending = next((given.option for given in read.given if given.word and _CURSOR in given.word.value), None)
    if pending and not typed:
        return _of_option(pending, fragment, text, candidates)
    if read.problems and (opened := _opened(text, read, options)):
        return _of_option(*opened, text, candidates)
    if read.rest not in ("", _CURSOR):
        return Completion()  # the prompt has begun
    found = [] if typed or fragment[:1] in tuple(DASHES) else _of_place(command, read, fragment, candidates)
    return _matching(fragment, [*found, *_flags(options, read, short=bool(fragment))])


def _of_option(option: Option | None, fragment: str, text: str, candidates: _Candidates) -> Completion:
    if option is None:
        return Completion()
    if option.kind is Kind.IMAGE and (item := _OPEN_ITEM.search(text)) and (items := candidates.items(item)):
        return Completion(tuple(items), item[0])
    return _matching(fragment, option.choices or candidates.of(option.kind, fragment))


def _of_place(command: Subcommand | None, read: ReadLine, fragment: str, candidates: _Candidates) -> list[str]:
    if command is None or not read.words:
        return []
    if command.choices and (len(read.words) == 2 or command.places[0] in (Kind.TEXT, Kind.WORDS, Kind.CHOICE)):
        return list(command.choices)
    if command.name == "help":
        return list(subcommand_names())
    return candidates.of(command.places[min(len(read.words), len(command.places)) - 1], fragment)


def _flags(options: tuple[Option, ...], read: ReadLine, *, short: bool) -> list[str]:
    """Return the flags that may still come; short and second spellings only once a dash is typed."""
    given = {g.option.name for g in read.given}
    left = [o for o in options if o.repeatable or o.name not in given]
    shown = [
        flag for o in left for flag in ((*o.flags, *o.off) if short else (o.flags[-1 if not o.off else 0], *o.off[:1]))
    ]
    return [*shown, *(HELP.flags if short else ())]


def _named(flag: str, options: tuple[Option, ...]) -> Option | None:
    return next((o for o in options if flag in (*o.flags, *o.off)), None)


def _opened(text: str, read: ReadLine, options: tuple[Option, ...]) -> tuple[Option, str] | None:
    """Return the option whose quote or bracket is open at the cursor, and what is typed after it."""
    option = _named(read.problems[-1].field, options)
    if option is None or "is not closed" not in read.problems[-1].message:
        return None
    quote_at = max(text.rfind(sign) for sign in _QUOTES)
    bracket_at = max(text.rfind(sign) for sign in "[(,")
    if quote_at > bracket_at:
        return option, text[quote_at:]
    return option, text[skip_spaces(text, bracket_at + 1) :]


def _last_word(text: str) -> str:
    start = len(text)
    while start and not is_space(text[start - 1]):
        start -= 1
    return text[start:]


def _matching(fragment: str, known: Iterable[str]) -> Completion:
    bare = fragment.lstrip(_QUOTES)
    if fragment[:1] in tuple(DASHES):
        option = option_at(fragment, 0)
        bare = option.flag if option else "-" * (len(fragment) + (fragment[0] != "-"))
    found = (k for k in dict.fromkeys(known) if k.lstrip(_QUOTES).lower().startswith(bare.lower()) and k != fragment)
    return Completion(tuple(islice(found, _SHOWN_MAX)), fragment)


class _Candidates:
    """What may stand where a value is expected."""

    def __init__(self, names: Mapping[str, object], jobs: Sequence[str]) -> None:
        self.names = names
        self.jobs = jobs

    def of(self, kind: Kind, fragment: str) -> list[str]:
        """Return values of a kind; paths are those of the folder that is typed."""
        match kind:
            case Kind.IMAGE:
                variables = [] if looks_like_place(fragment) else [*self._variables(_is_picture), *self.jobs]
                return _last([*variables, *_files(fragment, images_only=True)])
            case Kind.JOB_OR_FILE:
                return _last([*self._variables(is_job), *self.jobs, *_files(fragment, images_only=True)])
            case Kind.JOB:
                return _last([*self._variables(is_job), *self.jobs])
            case Kind.NUMBER:
                return self._variables(_is_number)
            case Kind.SEED:
                return self._variables(_is_seed)
            case Kind.PATH:
                return _files(fragment, images_only=False)
            case Kind.DURATION:
                return ["60s", "5m", "15m", "1h"]
            case Kind.SINCE:
                return ["1d", "7d", "30d"]
            case _:
                return []

    def _variables(self, wanted: Callable[[object], bool]) -> list[str]:
        shown = [name for name in list(self.names) if not name.startswith("_") or name == _LAST]
        return [name for name in shown if wanted(self.names.get(name))]

    def items(self, item: re.Match[str]) -> list[str]:
        """Return ``d["key"]``, ``photos[0]`` or ``job[1]`` for the pictures in what has its bracket open."""
        name, typed = item[1], item[2]
        value = self.names.get(name)
        if is_job(value):
            value = [True] * len(getattr(value, "saved_pictures", ()))  # those that are there: nothing is waited for
        if isinstance(value, list | tuple):
            shown = enumerate(value[:_SHOWN_MAX])
            return [f"{name}[{k}]" for k, v in shown if str(k).startswith(typed) and (v is True or _is_picture(v))]
        if not isinstance(value, Mapping):
            return []
        keys = [key for key in islice(value, _SHOWN_MAX) if isinstance(key, str) and key.isprintable()]
        return [f'{name}["{k}"]' for k in keys if '"' not in k and k.startswith(typed) and _is_picture(value[k])]


def _last(found: list[str]) -> list[str]:
    """Put `_wan` behind all that has a name of its own."""
    return [*(word for word in found if word != _LAST), *(word for word in found if word == _LAST)]


def _is_picture(value: object) -> bool:
    if isinstance(value, list | tuple):
        return 0 < len(value) <= _SCANNED_MAX and looks_like_image(value[0])
    return looks_like_image(value) or is_job(value)


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and hasattr(type(value), "__index__") and not hasattr(type(value), "__len__")


def _is_seed(value: object) -> bool:
    if isinstance(value, list | tuple):
        return 0 < len(value) <= _SCANNED_MAX and _is_number(value[0])
    return _is_number(value) or isinstance(value, range)


def _files(fragment: str, *, images_only: bool) -> list[str]:
    """Return paths that go on from what is typed: folders, and files (images only, if asked)."""
    sign, typed = (fragment[0], fragment[1:]) if fragment[:1] in tuple(_QUOTES) else ("", fragment)
    folder = typed[: max(typed.rfind("/"), typed.rfind(os.sep)) + 1]
    hidden = typed[len(folder) :].startswith(".")
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - what is typed stays as typed
            found = [
                folder + entry.name + ("/" if entry.is_dir() else "")
                for entry in islice(entries, _SCANNED_MAX)
                if (hidden or not entry.name.startswith("."))
                and (entry.is_dir() or not images_only or has_image_suffix(entry.name))
            ]
    except (OSError, ValueError):
        return []
    return [_as_typed(path, sign) for path in sorted(found)]


def _as_typed(path: str, sign: str) -> str:
    if sign or any(map(is_space, path)):
        sign = sign or '"'
        return f"{sign}{path}" if path.endswith("/") else f"{sign}{path}{sign}"
    return path
