"""The Exif comment of JPEG and WebP files, where A1111 keeps its parameters; nothing else of Exif."""

from __future__ import annotations

from typing import Final, Literal

_EXIF_IFD: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_MAX_TAGS: Final = 500
_MAX_SEGMENTS: Final = 500


def user_comment(data: bytes) -> str | None:
    """Return the UserComment of a JPEG's or WebP's Exif; None if there is none or it is damaged."""
    tiff = _tiff(data)
    if tiff is None or tiff[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    pointer = _entry(tiff, int.from_bytes(tiff[4:8], order), _EXIF_IFD, order)
    if pointer is None:
        return None
    comment = _entry(tiff, int.from_bytes(tiff[pointer[0] : pointer[0] + 4], order), _USER_COMMENT, order)
    if comment is None:
        return None
    entry, count = comment
    at = int.from_bytes(tiff[entry : entry + 4], order) if count > 4 else entry
    return _decoded(tiff[at : at + count], order)


def _tiff(data: bytes) -> bytes | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_exif(data)
    if data[:2] != b"\xff\xd8":
        return None
    pos = 2
    for _ in range(_MAX_SEGMENTS):
        if data[pos : pos + 1] != b"\xff" or data[pos + 1 : pos + 2] in (b"", b"\xda", b"\xd9"):
            return None
        end = pos + 2 + max(2, int.from_bytes(data[pos + 2 : pos + 4]))
        if data[pos + 1] == 0xE1 and data.startswith(b"Exif\0\0", pos + 4):
            return data[pos + 10 : end]
        pos = end
    return None


def _webp_exif(data: bytes) -> bytes | None:
    pos = 12
    for _ in range(_MAX_SEGMENTS):
        length = int.from_bytes(data[pos + 4 : pos + 8], "little")
        if data[pos : pos + 4] == b"EXIF":
            return data[pos + 8 : pos + 8 + length].removeprefix(b"Exif\0\0")
        pos += 8 + length + (length & 1)
        if pos >= len(data):
            return None
    return None


def _entry(tiff: bytes, ifd: int, tag: int, order: Literal["little", "big"]) -> tuple[int, int] | None:
    """Return where the value of a tag (or its offset) stands, and its count."""
    count = min(_MAX_TAGS, int.from_bytes(tiff[ifd : ifd + 2], order))
    for pos in range(ifd + 2, ifd + 2 + 12 * count, 12):
        if pos + 12 > len(tiff):
            return None
        if int.from_bytes(tiff[pos : pos + 2], order) == tag:
            return pos + 8, int.from_bytes(tiff[pos + 4 : pos + 8], order)
    return None


def _decoded(comment: bytes, order: Literal["little", "big"]) -> str | None:
    code, text = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        # Writers disagree about the byte order; a prompt has more ASCII than anything else.
        big = text[::2].count(0) >= text[1::2].count(0) if text.count(0) else order == "big"
        return text.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0 ") or None
    return text.decode("utf-8", "replace").strip("\0 ") or None
