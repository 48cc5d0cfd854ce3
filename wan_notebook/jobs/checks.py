"""Bytes that came for a picture: what they are, and whether they are whole. Pure, apart from the part file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from .. import catalog
from ..errors import DownloadError, StoreError
from ..images import NotAPictureError, check_picture, mime_of
from ..ledger import JobRow, PictureRecord

MAX_PIXELS = 4 * catalog.TOTAL_2K_PX  # far above any size that can be asked for: a bomb, not a surprise
SUFFIX = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/tiff": "tif",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


def bytes_of(part: Path) -> bytes:
    """Return what a part file holds. Raises ``StoreError``."""
    try:
        return part.read_bytes()
    except OSError as error:
        message = f"{part} cannot be read: {error.strerror or type(error).__name__}."
        raise StoreError(message, hint="Check the disk; the picture is fetched again.") from error


def checked(data: bytes, row: JobRow, picture: PictureRecord, *, sha256: str = "") -> PictureRecord:
    """Return a picture's record with what its bytes say. Raises ``DownloadError`` if they are no whole picture.

    Another size than asked is a note. Videos are taken as they are. ``sha256`` is the hash if it is known already.
    """
    try:
        facts = check_picture(data, max_pixels=MAX_PIXELS)
        mime, width, height = facts.mime, facts.width_px, facts.height_px
    except NotAPictureError as error:
        mime, width, height = mime_of(data) or "", 0, 0
        if picture.kind != "video" and not mime.startswith("video/"):
            kind = "page" if error.kind == "not-image" and _is_page(data) else error.kind
            raise DownloadError(error.message, kind=kind) from None
    return replace(
        picture,
        kind="video" if mime.startswith("video/") else picture.kind,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        mime=mime,
        width_px=width,
        height_px=height,
        note=_size_note(row, width, height),
    )


def write_part(part: Path, data: bytes) -> None:
    """Write bytes that were kept in memory. Raises ``StoreError``."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
    except OSError as error:
        message = f"{part} cannot be written: {error.strerror or type(error).__name__}."
        raise StoreError(message, hint="Free some space; the picture is kept in memory until then.") from error


def _is_page(data: bytes) -> bool:
    """Whether it is a page or a message (HTML, XML, JSON): somebody on the way answered, the picture still exists."""
    return data[:256].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"<", b"{", b"[")


def _size_note(row: JobRow, width_px: int, height_px: int) -> str:
    asked = str(row.parameters.get("size") or "")
    width, star, height = asked.partition("*")
    if not star or not width_px:
        return ""
    step = catalog.SIZE_STEP_PX
    rounded = [round(int(side) / step) * step for side in (width, height)]
    if [width_px, height_px] in (rounded, [int(width), int(height)]):
        return ""
    return f"{width_px}×{height_px} came, {width}×{height} was asked"
