"""Taking out of text what says whose machine it was: folders, signatures of addresses, keys; and what cells name."""

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..database import JobRow
from ..images import mime_of
from ..text import KeyMask
from .notebook_file import NotebookFile

_SIGNED: Final = re.compile(
    r"(?i)(https?://[^\s\"'<>\\?]+)\?[^\s\"'<>\\]*\b(?:sig|signature|x-amz-\w+|token|expires|ossaccesskeyid|sign)="
    r"[^\s\"'<>\\]*"
)
_KEPT: Final = ("image/", "video/", "audio/", "application/pdf")
_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\\n]){1,300})\1""")
_IMPORT: Final = re.compile(r"\s*(?:import|from)\s+(\w[^#]*?)(?:\simport\s.*)?$")
_IMPORTED: Final = re.compile(r"(?:^|,)\s*(\w+)")


class Redactor:
    """Replaces what is private in texts and in plain data.

    Parameters
    ----------
    root, pictures
        The project's folder and its folder of pictures: they become ``.`` and ``wan-pictures``.
    keys
        Finds the keys that must not leave, in every form.
    """

    def __init__(self, *, root: Path, pictures: Path, keys: KeyMask) -> None:
        places = {pictures: "wan-pictures", root: ".", Path(sys.prefix): "(python)", Path(sys.base_prefix): "(python)"}
        places |= {Path(tempfile.gettempdir()): "(temporary)", Path.home(): "~"}
        spelled = {
            text: new
            for place, new in places.items()
            for path in (place, place.resolve())
            if len(path.parts) > 1  # not the root of a disk
            for text in (str(path), str(path).replace("\\", "\\\\"), path.as_posix())
        }
        self._places = [
            (re.compile(rf"{re.escape(old)}(?![\w-])"), spelled[old]) for old in sorted(spelled, key=len, reverse=True)
        ]
        self._keys = keys

    def text(self, value: str) -> str:
        """Return a text without what is private."""
        value = self._keys.mask(value)
        for pattern, new in self._places:
            value = pattern.sub(new, value)
        return _SIGNED.sub(r"\1?(signature removed)", value)

    def data(self, value: Any, kept: tuple[str, ...] = _KEPT) -> Any:
        """Return plain data with every text of it redacted, except under keys that begin with one of ``kept``."""
        if isinstance(value, dict):
            return {key: held if key.startswith(kept) else self.data(held) for key, held in value.items()}
        if isinstance(value, list):
            return [self.data(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def notebook(self, notebook: NotebookFile, original: bytes) -> bytes:
        """Return a notebook's bytes with outputs and metadata redacted; the cells' text is the record and stays.

        The very bytes given if there was nothing to take out.
        """
        content = self.data({**notebook.content, "cells": None})
        content["cells"] = [self.data(cell, ("source", "attachments")) for cell in notebook.content["cells"]]
        return original if content == notebook.content else json_bytes(content, indent=1) + b"\n"


def json_bytes(value: Any, **options: Any) -> bytes:
    """Return JSON as UTF-8; half a character is escaped, as JSON itself would write it."""
    return json.dumps(value, ensure_ascii=False, **options).encode(errors="backslashreplace")


# What cells name -----------------------------------------------------------------------------------------------------


def pictures_in_code(
    code: Sequence[str], rows: Iterable[JobRow], *, folder: Path, root: Path, pictures: Path
) -> list[Path]:
    """Return the pictures of the project that cells read; they stand in their text and in the jobs' inputs.

    Only pictures inside the project are packed by themselves: any other file may hold what is nobody's business.
    """
    packed = set[Path]()
    words = [match[2] for text in code for match in _QUOTED.finditer(text)]
    words += [word for text in code if text.lstrip().startswith("%") for word in text.split("\n", 1)[0].split()]
    for word in {*words, *(record.name for row in rows for record in row.inputs)}:
        with suppress(OSError, ValueError, RuntimeError):  # elsewhere, too long, with odd characters, unreadable
            path = (folder / word).resolve()
            inside = path.relative_to(root).as_posix()
            if not path.is_file():  # opening a pipe would wait for ever
                continue
            with path.open("rb") as file:
                is_picture = (mime_of(file.read(64)) or "").startswith("image/")
            if is_picture and "/." not in f"/{inside}" and not path.is_relative_to(pictures):
                packed.add(path)
    return sorted(packed)


def imports_of(code: Iterable[str]) -> list[str]:
    """Return the top names of what cells import, sorted, whatever else stands in them."""
    found = (_IMPORT.match(line) for text in code for line in text.splitlines())
    return sorted({name for match in found if match for name in _IMPORTED.findall(match[1])})
