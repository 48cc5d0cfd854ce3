"""Taking out of text what says whose machine it was: folders, signatures of addresses, keys; and what cells name."""

import ast
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..images import mime_of
from ..text import KeyMask
from .notebook_file import NotebookFile

if TYPE_CHECKING:
    from ..database import JobRow

_SIGNED: Final = re.compile(
    r"(?i)(https?://[^\s\"'<>\\?]+)\?[^\s\"'<>\\]*\b(?:sig|signature|x-amz-\w+|token|expires|ossaccesskeyid|sign)="
    r"[^\s\"'<>\\]*"
)
_LOCAL_PATH: Final = re.compile(
    r"(?<![\w/.:~)-])(?:/(?:home|Users|root|mnt|media|data|tmp|var|srv|opt|scratch|work|private)|[A-Z]:\\{1,2}\w+)"
    r"[/\\][^\s\"'<>()\\,;]+"
)
_BINARY: Final = ("image/", "video/", "audio/", "application/pdf")
_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\\n]){1,300})\1""")
_URL: Final = re.compile(r"https?://[^\s\"'<>\\]{1,2000}")
_PICTURE_MAX_BYTES: Final = 256 * 1024 * 1024


class Redactor:
    """Replaces what is private in texts and in plain data.

    Parameters
    ----------
    root, pictures
        The project's folder and its folder of pictures: they become ``.`` and ``wan-pictures``.
    keys
        Keys that must not leave, removed in every form.
    """

    def __init__(self, *, root: Path, pictures: Path, keys: Iterable[str]) -> None:
        places = {
            str(pictures): "wan-pictures",
            str(root): ".",
            sys.prefix: "(python)",
            sys.base_prefix: "(python)",
            tempfile.gettempdir(): "(temporary)",
            str(Path.home()): "~",
        }
        spelled = {text: new for old, new in places.items() for text in _spellings(old)}
        ordered = sorted(spelled.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        self._places = [(re.compile(rf"{re.escape(old)}(?![\w-])"), new) for old, new in ordered]
        self._masks = [KeyMask(key) for key in sorted(set(keys), key=len, reverse=True) if len(key) >= 8]

    def holds_key(self, text: str) -> bool:
        """Say whether a text holds one of the keys."""
        return any(mask.is_in(text) for mask in self._masks)

    def text(self, value: str) -> str:
        """Return a text without what is private."""
        for mask in self._masks:
            value = mask.mask(value)
        for pattern, new in self._places:
            value = pattern.sub(new, value)
        return _SIGNED.sub(r"\1?(signature removed)", value) if "://" in value else value

    def data(self, value: Any) -> Any:
        """Return plain data with every text of it redacted; encoded pictures are left as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.data(item) for item in value]
        if isinstance(value, dict):
            return {key: v if str(key).startswith(_BINARY) else self.data(v) for key, v in value.items()}
        return value

    def notebook(self, notebook: NotebookFile, original: bytes) -> bytes:
        """Return a notebook's bytes with outputs and metadata redacted; the cells' text is the record and stays.

        The very bytes given if there was nothing to take out.
        """
        content = {key: value if key == "cells" else self.data(value) for key, value in notebook.content.items()}
        content["cells"] = [self._cell(cell) for cell in notebook.content["cells"]]
        return original if content == notebook.content else json_bytes(content, indent=1) + b"\n"

    def _cell(self, cell: Any) -> Any:
        if not isinstance(cell, dict):
            return self.data(cell)
        return {key: value if key in ("source", "attachments") else self.data(value) for key, value in cell.items()}


def json_bytes(value: Any, **options: Any) -> bytes:
    """Return JSON as UTF-8; escaped where it holds half a character."""
    try:
        return json.dumps(value, ensure_ascii=False, **options).encode()
    except UnicodeEncodeError:
        return json.dumps(value, **options).encode()


def local_paths(notebook: NotebookFile) -> list[str]:
    """Return what still looks like a path of this machine, in code and outputs: for a person to judge."""
    texts = _texts(notebook.content)
    return list(dict.fromkeys(match[0].rstrip(".:") for text in texts for match in _LOCAL_PATH.finditer(text)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not str(key).startswith((*_BINARY, "text/html")):  # ours say the same as text/plain
                yield from _texts(item)


def _spellings(place: str) -> Iterator[str]:
    """Yield how a folder may be written: as it is, resolved, and with the slashes of Python's own texts."""
    for path in {place, str(Path(place).resolve())}:
        if len(Path(path).parts) > 1:  # not the root of a disk
            yield from {path, path.replace("\\", "\\\\"), path.replace("\\", "/")}


# What cells name -----------------------------------------------------------------------------------------------------


class NamedFiles(NamedTuple):
    """Pictures to pack; other files of the project that cells name, and pictures elsewhere: both are left out."""

    pictures: tuple[Path, ...]
    others: tuple[str, ...]
    outside: tuple[str, ...]


def files_in_code(
    code: Sequence[str], rows: "Iterable[JobRow]", *, folder: Path, root: Path, pictures: Path
) -> NamedFiles:
    """Return the files that cells read, by what stands in their text and in the jobs' inputs.

    Only pictures inside the project are packed by themselves: any other file may hold what is nobody's business.
    """
    typed = dict.fromkeys(word for text in code for word in _words(text))
    words = dict.fromkeys([*typed, *(record.name for row in rows for record in row.inputs)])
    packed, others, outside = dict[Path, None](), dict[str, None](), dict[str, None]()
    for word in words:
        path = _existing_file(folder.resolve(), word)
        if path is None or path.is_relative_to(pictures.resolve()):
            continue
        if not path.is_relative_to(root.resolve()):
            outside |= {word: None} if word in typed and _is_picture(path) else {}
            continue
        inside = path.relative_to(root.resolve())
        if any(part.startswith(".") for part in inside.parts):
            continue
        if _is_picture(path):
            packed[path] = None
        elif path.suffix not in ("", ".ipynb", ".zip"):
            others[inside.as_posix()] = None
    others |= {f"{name}.py": None for name in imports_of(code) if (folder / f"{name}.py").is_file()}
    return NamedFiles(tuple(sorted(packed)), tuple(sorted(others)), tuple(outside))


def addresses_in(texts: Iterable[str]) -> list[str]:
    """Return every http(s) address that stands in texts."""
    return list(dict.fromkeys(match[0].rstrip(",;)]}") for text in texts for match in _URL.finditer(text)))


def imports_of(code: Iterable[str]) -> list[str]:
    """Return the top names of what cells import, sorted; a cell that is not Python is read line by line."""
    names: set[str] = set()
    for text in code:
        for piece in [text] if _parsed(text) else text.splitlines():
            for node in ast.walk(_parsed(piece.strip()) or ast.Module(body=[], type_ignores=[])):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
    return sorted(names)


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _words(text: str) -> Iterator[str]:
    yield from (match[2] for match in _QUOTED.finditer(text))
    if text.lstrip().startswith("%"):
        yield from text.splitlines()[0].split()


def _existing_file(folder: Path, word: str) -> Path | None:
    if "://" in word or "\0" in word or not word.strip() or len(word) > 300:
        return None
    try:
        path = (folder / word).resolve()
        return path if path.is_file() and path.stat().st_size <= _PICTURE_MAX_BYTES else None
    except (OSError, ValueError, RuntimeError):
        return None


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return (mime_of(file.read(64)) or "").startswith("image/")
    except OSError:
        return False
