"""Names inside a bundle: each leads to one place inside a folder, on every system, or is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from ..errors import RecipeError

NAME_MAX_BYTES: Final = 400
PART_MAX_BYTES: Final = 200
DEPTH_MAX: Final = 8

# Device names of Windows, with any ending; the superscript digits are devices there too.
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])\Z")
_FORBIDDEN: Final = frozenset('\\:*?"<>|')


def checked_name(name: str) -> str:
    """Return a name that is safe to join to a folder; ``RecipeError`` for any other.

    Only ``/`` separates. Refused are what leads elsewhere (absolute, ``..``, drives, streams, devices), what a system
    reads differently (trailing dots and spaces, control and reordering characters), hidden parts, and sheer length.
    """
    if reason := _fault(name):
        raise RecipeError(f"The name {shown(name)} {reason}: refused, nothing was unpacked.")
    return name


def shown(name: str) -> str:
    """Return a hostile name as it can be printed."""
    return ascii(name[:80]) if len(name) <= 80 else f"{name[:77]!a}…"


def key_of(name: str) -> str:
    """Return what two names share that some system takes for one: case and Unicode form do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def refuse_twins(names: Iterable[str]) -> None:
    """Refuse names that some system takes for one, and a file that is another one's folder."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = key_of(name)
        if key in seen:
            raise RecipeError(f"The bundle names {shown(name)} twice: refused, nothing was unpacked.")
        seen[key] = name
        parts = key.split("/")
        folders |= {"/".join(parts[:end]): name for end in range(1, len(parts))}
    for key in seen.keys() & folders.keys():
        raise RecipeError(f"{shown(seen[key])} is a file and a folder: refused, nothing was unpacked.")


def _fault(name: str) -> str:
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "holds half of a character"
    if not 0 < size <= NAME_MAX_BYTES:
        return f"is empty or longer than {NAME_MAX_BYTES} bytes"
    if _FORBIDDEN.intersection(name) or any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in name):
        return "holds a character that leads elsewhere on some system"
    parts = name.split("/")
    if len(parts) > DEPTH_MAX:
        return f"has more than {DEPTH_MAX} parts"
    return next((fault for fault in map(_part_fault, parts) if fault), "")


def _part_fault(part: str) -> str:
    if not part:
        return "is absolute or has an empty part"
    if part.startswith("."):
        return "leads up or is hidden"
    if part != part.rstrip(" .") or part != part.lstrip(" "):
        return "begins or ends with a space or ends with a dot"
    if len(part.encode()) > PART_MAX_BYTES:
        return f"has a part of more than {PART_MAX_BYTES} bytes"
    return "is a device" if _DEVICE.match(part.split(".", 1)[0].rstrip(" ")) else ""
