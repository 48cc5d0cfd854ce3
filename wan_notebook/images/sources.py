"""Bytes from what a person types or pastes: paths, addresses, data URLs and bare base64."""

import base64
import binascii
import difflib
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote, unquote_to_bytes

from ..errors import WanError
from ..text import file_size, one_line
from .detect import is_picture
from .inspect import BadImageError

Fetch = Callable[[str], bytes]
READ_MAX_BYTES: Final = 256 * 1024**2
"""A larger file is not a photograph; reading it would only fill the memory."""
_NEIGHBOURS_MAX: Final = 5000
_BASE64: Final = re.compile(rb"\s*([A-Za-z0-9+/_-]{24})")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_SAVE_IT: Final = "Save the picture and give its path."


def display_name(name: str) -> str:
    """Shorten a name for errors and records: a URL without query and password, no content of a data URL."""
    name = name.strip()
    if name[:5].lower() == "data:":
        return f"{re.split('[,;]', name[:40])[0]} URL"
    if _is_base64(name.encode(errors="replace")):
        return "base64 text"
    if "://" in name[:12]:
        name = re.sub("//[^/]*@", "//", re.split("[?#]", name)[0])
    return name if len(name) <= 200 else f"{name[:99]}…{name[-100:]}"


def bytes_of_text(text: str, *, fetch: Fetch | None) -> bytes:
    """Return the bytes that a path, address, data URL or base64 text stands for. Raises ``BadImageError``."""
    bare = text.strip()
    scheme = bare[:12].partition("://")[0].lower() if "://" in bare[:12] else ""
    if bare[:5].lower() == "data:" or _is_base64(bare.encode(errors="replace")):
        return unpacked(bare.encode(errors="replace"))
    if scheme in ("http", "https"):
        return read_url(bare, fetch=fetch)
    if scheme == "file":
        text = unquote(bare[bare.index("/", 7) :] if "/" in bare[7:] else bare[7:])
    elif scheme:
        raise BadImageError(f"{scheme}:// addresses are not fetched, only http:// and https://", hint=_SAVE_IT)
    return read_path(text)


def unpacked(data: bytes) -> bytes:
    """Return a picture's bytes, decoded where they are a data URL or base64. Raises ``BadImageError``."""
    is_data_url = data[:200].lstrip()[:5].lower() == b"data:"
    if not is_data_url and not _is_base64(data):
        return data
    head, comma, content = data.partition(b",") if is_data_url else (b";base64", b",", data)
    if not comma:
        raise BadImageError("the data URL has no comma, so no content", hint=f"Copy all of it. Or: {_SAVE_IT}")
    raw = unquote_to_bytes(content)
    if not head.lower().rstrip().endswith(b";base64"):
        return raw
    packed = b"".join(raw.split()).rstrip(b"=").translate(_FROM_URL_SAFE)
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise BadImageError(f"its base64 is broken: {error}", hint=f"Copy all of it. Or: {_SAVE_IT}") from error


def read_url(url: str, *, fetch: Fetch | None) -> bytes:
    """Fetch an address once. Raises ``BadImageError`` with the words of the server."""
    if fetch is None:
        raise BadImageError("addresses cannot be fetched here", hint=_SAVE_IT)
    try:
        return bytes(fetch(url))
    except (WanError, OSError, ValueError) as error:
        reason = error.message if isinstance(error, WanError) else str(error) or type(error).__name__
        message = f"it could not be fetched: {reason.rstrip('.')}"
        raise BadImageError(message, hint=f"Check the address. Or: {_SAVE_IT}") from error


def read_path(given: str | os.PathLike[str]) -> bytes:
    """Read a file; a missing one is an error that names the nearest. Raises ``BadImageError``."""
    try:
        path = _find(os.fsdecode(given))
        if not path.is_file():
            what = "folder" if path.is_dir() else "pipe, socket or device"
            raise BadImageError(f"it is a {what}, not a file", hint="Give the path of a picture file.")
        if not path.stat().st_size:
            return b""  # in /proc and the like, reading such a file may not end
        with path.open("rb") as file:
            return within_limit(file.read(READ_MAX_BYTES + 1))
    except WanError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # no permission, unknown ~user, a NUL, a name too long
        reason = getattr(error, "strerror", None) or str(error)
        raise BadImageError(f"it cannot be read: {reason}", hint="Check the path and its permissions.") from error


def within_limit(data: bytes) -> bytes:
    """Return the data, or raise ``BadImageError`` if it is more than is ever read."""
    if len(data) > READ_MAX_BYTES:
        message = f"the file has more than {file_size(READ_MAX_BYTES)}"
        raise BadImageError(message, hint="Make the picture smaller first.")
    return data


def _is_base64(text: bytes) -> bool:
    head = _BASE64.match(text)
    return head is not None and is_picture(base64.b64decode(head[1].translate(_FROM_URL_SAFE)))


def _find(text: str) -> Path:
    """Return the path of a file as it was typed, without blanks around it, or in another Unicode form."""
    if not text.strip():
        raise BadImageError("the path is empty", hint="Give the path of a picture file.")
    path = Path(text.strip()).expanduser()
    folders, names = [{normalize(form, part) for form in ("NFC", "NFD")} for part in (str(path.parent), path.name)]
    spellings = [Path(text).expanduser(), path, *(Path(folder) / name for folder in folders for name in names)]
    found = next((spelling for spelling in spellings if spelling.exists()), None)
    if found is None:
        raise _missing(path)
    return found


def _missing(path: Path) -> BadImageError:
    """Return the error for a missing file; its hint is a path that exists, if there is one near."""
    message, above = f"there is no file {one_line(path, 200)}", ".." / path
    if not path.is_absolute() and above.is_file():
        return BadImageError(message, hint=f"Did you mean {one_line(above, 200)}?")
    try:
        entries = [entry.name for entry in itertools.islice(path.parent.iterdir(), _NEIGHBOURS_MAX)]
    except OSError:
        return BadImageError(f"{message}, and no folder {one_line(path.parent, 200)}", hint="Check the path.")
    by_lower = {entry.lower(): entry for entry in sorted(entries)}
    near = difflib.get_close_matches(path.name.lower()[:255], by_lower, n=1, cutoff=0.5)
    nearest = f"Did you mean {one_line(path.parent / by_lower[near[0]], 200)}?" if near else ""
    return BadImageError(message, hint=nearest or "Check the name; a path starts from the notebook's folder.")
