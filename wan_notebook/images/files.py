"""Paths, URLs and data URLs to bytes."""

from __future__ import annotations

import base64
import binascii
import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from wan_notebook.catalog import IMAGE_FILE_MAX_BYTES
from wan_notebook.errors import ImageInputError, WanError

_READ_MAX_BYTES: Final = 256 * 1024**2
"""A larger file is no photograph; reading it would only fill the memory."""
_NEIGHBOURS_MAX: Final = 5000
_ALIKE: Final = 0.2  # a name so much less like than the nearest one is no guess
_COPY_WHOLE: Final = "Copy all of it, or save the picture and give its path."


def is_url(text: str) -> bool:
    """Tell an http(s) URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def is_data_url(text: str) -> bool:
    """Tell a data: URL."""
    return text[:5].lower() == "data:"


def shown_name(name: str) -> str:
    """Shorten a name for people and records: no query or password of a URL, no content of a data URL."""
    if is_data_url(name):
        return f"{name[:40].split(',', 1)[0].split(';', 1)[0]} URL"
    if is_url(name):
        try:
            parts = urlsplit(name)
            name = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        except ValueError:
            name = "URL"
    return name if len(name) <= 200 else f"{name[:99]}…{name[-100:]}"


def read_url(url: str, *, name: str, fetch: Callable[[str], bytes] | None) -> bytes:
    """Fetch once through the caller's ``fetch``; at most 10 MB. Raises ImageInputError, which names the picture."""
    if fetch is None:
        raise ImageInputError(name, "URLs cannot be fetched here.", hint="Save the picture and give its path.")
    try:
        data = fetch(url)
    except (WanError, OSError, ValueError) as exc:
        if getattr(exc, "kind", "") == "too_large":
            raise _too_many_bytes(name) from exc
        hint = "Check the address, or save the picture yourself and give its path."
        reason = exc.message if isinstance(exc, WanError) else str(exc) or type(exc).__name__
        raise ImageInputError(name, f"it could not be fetched: {reason}", hint=hint) from exc
    if len(data) > IMAGE_FILE_MAX_BYTES:
        raise _too_many_bytes(name)
    return bytes(data)


def _too_many_bytes(name: str) -> ImageInputError:
    limit = IMAGE_FILE_MAX_BYTES // 1024**2
    hint = "Save it and give its path: a file is reduced."
    return ImageInputError(name, f"the URL holds more than {limit} MB.", hint=hint)


def read_data_url(url: str, *, name: str) -> bytes:
    """Decode a data: URL, base64 or percent-encoded."""
    head, comma, content = url[5:].partition(",")
    if not comma:
        raise ImageInputError(name, "the data URL has no comma, so no content.", hint=_COPY_WHOLE)
    raw = unquote_to_bytes(content)
    if not head.lower().replace(" ", "").endswith(";base64"):
        return raw
    try:
        packed = b"".join(raw.split())
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as exc:
        raise ImageInputError(name, f"the data URL's base64 is broken: {exc}.", hint=_COPY_WHOLE) from exc


def path_of_address(address: str, *, name: str) -> str:
    """Return the path of a file: URL. Raises ImageInputError for the addresses that nobody fetches."""
    scheme, _, rest = address.partition("://")
    if scheme.lower() != "file":
        message = f"{scheme}:// addresses are not fetched, only http and https."
        raise ImageInputError(name, message, hint="Save the picture and give its path.")
    return unquote(rest if rest.startswith("/") else rest[rest.find("/") :])


def read_path(given: str | os.PathLike[str], *, name: str) -> bytes:
    """Read a file; a missing one is an error that names the nearest ones in its folder."""
    text = os.fsdecode(os.fspath(given))
    try:
        path = Path(text).expanduser()
        if path.is_file():
            size = path.stat().st_size
            if size > _READ_MAX_BYTES:
                raise ImageInputError(name, f"the file has {size / 1e6:.0f} MB.", hint="Reduce it first.")
            return path.read_bytes()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, ValueError) as exc:  # no permission, unknown ~user, a NUL, a name too long
        reason = getattr(exc, "strerror", None) or str(exc)
        raise ImageInputError(name, f"it cannot be read: {reason}.", hint="Check the path and its rights.") from exc
    if is_folder:
        raise ImageInputError(name, "it is a folder.", hint="Give one file in it.")
    raise _missing(path, name=name)


def _missing(path: Path, *, name: str) -> ImageInputError:
    folder = path.parent
    shown = shown_name(str(path))
    try:
        names = [entry.name for entry, _ in zip(folder.iterdir(), range(_NEIGHBOURS_MAX), strict=False)]
    except OSError:
        message = f"there is no file {shown}, and no folder {shown_name(str(folder))}."
        return ImageInputError(name, message, hint="Check the path.")
    by_lower = {entry.lower(): entry for entry in sorted(names)}
    wanted = path.name.lower()[:255]
    found = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=0.5)
    likeness = {name: difflib.SequenceMatcher(None, wanted, name).ratio() for name in found}
    near = [by_lower[name] for name in found if likeness[name] >= max(likeness.values()) - _ALIKE]
    hint = f"Did you mean {' or '.join(near)}?" if near else "Check the name; it is looked for from the notebook."
    return ImageInputError(name, f"there is no file {shown}.", hint=hint)
