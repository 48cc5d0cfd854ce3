"""File names: made from a prompt so that they suit every system, and checked before they lead anywhere."""

from __future__ import annotations

import datetime as dt
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from wan_notebook.errors import StoreError

NAME_MAX_BYTES: Final = 120
"""Under the 143 bytes of encrypted home folders and the 255 of everything else, with room for ``.corrupt``."""

SLUG_MAX_BYTES: Final = 60
TRIES_MAX: Final = 10_000

EXTENSIONS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/tiff": "tif",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


def slug(text: str, max_bytes: int = SLUG_MAX_BYTES) -> str:
    """Return the words of a text as a part of a file name: letters and digits of any script, joined by ``-``."""
    # Lower case and NFC: two names that a Mac or Windows takes for the same one are then the same one.
    words = unicodedata.normalize("NFC", text[:400].lower())
    kept = "".join(c if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc") else "-" for c in words)
    parts = [part for part in kept.split("-") if any(c.isalnum() for c in part)]
    made = ""
    for part in parts:
        longer = f"{made}-{part}" if made else part
        if len(longer.encode()) > max_bytes:
            break
        made = longer
    return made or (_cut(parts[0], max_bytes) if parts else "picture")


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")


def picture_name(
    created_at_local: dt.datetime,
    prompt: str,
    seed: int | None,
    idx: int,
    ext: str,
    existing: Callable[[str], bool] = lambda _: False,
) -> str:
    """Return ``2026-11-24/1432-a-fox-in-snow-s5-1.png``; ``idx`` counts from 0, the name from 1.

    ``existing`` says whether a name is taken; then ``_2``, ``_3``, … follow. Raises ``StoreError`` after 10,000.
    """
    shown_seed = "" if seed is None else f"-s{seed}"
    kind = _cut("".join(c for c in ext.lower() if c.isascii() and c.isalnum()), 5) or "bin"
    stem = f"{created_at_local:%H%M}-{slug(prompt)}{shown_seed}-{idx + 1}"
    return free_name(f"{created_at_local:%Y-%m-%d}/{_cut(stem, NAME_MAX_BYTES - 12)}.{kind}", existing)


def free_name(relative: str, existing: Callable[[str], bool]) -> str:
    """Return the name, or its first numbered variant that is not taken."""
    stem, dot, ext = relative.rpartition(".")
    for count in range(1, TRIES_MAX):
        name = relative if count == 1 else f"{stem}_{count}{dot}{ext}"
        if not existing(name):
            return name
    raise StoreError(f"There are too many files named like {relative}.", hint="Move some of them elsewhere.")


def safe_relative(relative: str) -> PurePosixPath:
    """Return a path that stays inside whatever folder it is joined to; ``StoreError`` otherwise.

    Only ``/`` separates: a backslash, a colon (drives, streams), NUL, an empty part, ``.`` and ``..`` are refused on
    every system, so that a bundle made on one opens on another.
    """
    parts = relative.split("/")
    bad = not relative or any(part in ("", ".", "..") or part != part.rstrip(" .") for part in parts)
    if bad or any(c in relative for c in "\\:\x00"):
        raise StoreError(f"{relative[:80]!r} is no path inside the folder of pictures.")
    return PurePosixPath(*parts)


def inside(folder: Path, relative: str) -> Path:
    """Join a relative path to a folder; ``StoreError`` if it leads out of it, by name or by a link."""
    path = folder
    is_plain = os.name != "nt"  # there a junction leads elsewhere without being a link
    for part in safe_relative(relative).parts:
        path = path / part
        is_plain = is_plain and not path.is_symlink()
    # Only a link inside can lead out; to resolve the whole path each time costs a call to the system for each folder.
    if not is_plain and not path.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{relative[:80]!r} leads out of {folder}.", hint="Remove the link that does.")
    return path
