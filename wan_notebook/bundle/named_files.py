"""What a notebook's cells name beside their jobs: picture files that they read, addresses, and what is not packed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..images import NotAPictureError, mime_of
from ..images.pillow import open_picture, quietly, reading
from ..ledger import JobRow

_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\\n]){1,300})\1""")
_URL: Final = re.compile(r"https?://[^\s\"'<>\\]{1,2000}")
_HEAD_BYTES: Final = 64
_MAX_BYTES: Final = 256 * 1024 * 1024
_GPS_TAG: Final = 0x8825


@dataclass(frozen=True)
class NamedFiles:
    """Pictures to pack, other files of the project that cells name, and pictures elsewhere: both are left out."""

    pictures: tuple[Path, ...]
    others: tuple[str, ...]
    outside: tuple[str, ...] = ()


def named_files(code: Iterable[str], rows: Iterable[JobRow], folder: Path, root: Path, store: Path) -> NamedFiles:
    """Return the files inside the project that cells read, by what stands in their text and in the jobs' inputs.

    Only pictures are packed by themselves: any other file may hold what is nobody's business.
    """
    cells = list(code)
    typed = dict.fromkeys(word for text in cells for word in _words(text))
    words = [*typed, *(record.name for row in rows for record in row.inputs)]
    inside, top, kept = folder.resolve(), root.resolve(), store.resolve()
    pictures: dict[Path, None] = {}
    others: dict[str, None] = {}
    outside: dict[str, None] = {}
    for word in dict.fromkeys(words):
        path = _file(inside, word)
        if path is None or path.is_relative_to(kept):
            continue
        if not path.is_relative_to(top):
            outside |= {word: None} if word in typed and _is_picture(path) else {}
            continue
        if _is_hidden(path, top):
            continue
        if _is_picture(path):
            pictures[path] = None
        elif path.suffix not in ("", ".ipynb", ".zip"):
            others[path.relative_to(top).as_posix()] = None
    others |= dict.fromkeys(f"{name}.py" for name in imports_of(cells) if (inside / f"{name}.py").is_file())
    return NamedFiles(tuple(sorted(pictures)), tuple(sorted(others)), tuple(outside))


def addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """Return every http(s) address that stands in texts."""
    return tuple(dict.fromkeys(match[0].rstrip(",;)]}") for text in texts for match in _URL.finditer(text)))


def imports_of(code: Iterable[str]) -> list[str]:
    """Return the top names of what cells import, sorted; a cell that is no Python (a magic) is read line by line."""
    found: set[str] = set()
    for text in code:
        plain = "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in text.splitlines())
        for piece in (plain,) if _parsed(plain) is not None else plain.splitlines():
            tree = _parsed(piece.strip())
            for node in ast.walk(tree) if tree is not None else ():
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return sorted(found)


def says_where(path: Path) -> bool:
    """Say whether a picture carries the position where it was taken."""
    try:
        data = path.read_bytes()
        with quietly(), reading(), open_picture(data, mime_of(data)) as picture:
            return bool(picture.getexif().get_ifd(_GPS_TAG))
    except (NotAPictureError, OSError):  # broken metadata tell no position
        return False


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _words(text: str) -> Iterator[str]:
    for match in _QUOTED.finditer(text):
        yield match[2]
    for line in text.splitlines()[:1]:
        if line.lstrip().startswith("%"):
            yield from line.split()


def _file(folder: Path, word: str) -> Path | None:
    if "://" in word or "\0" in word or not word.strip() or len(word) > 300:
        return None
    try:
        path = folder.joinpath(word).resolve()
        return path if path.is_file() and path.stat().st_size <= _MAX_BYTES else None
    except (OSError, ValueError, RuntimeError):
        return None


def _is_hidden(path: Path, top: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(top).parts)


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return (mime_of(file.read(_HEAD_BYTES)) or "").startswith("image/")
    except OSError:
        return False
