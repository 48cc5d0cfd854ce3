"""The Exif block of JPEG and WebP files: the comment where A1111 keeps its parameters, and our recipe; nothing else."""

from __future__ import annotations

from typing import Final, Literal

_EXIF_IFD: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_MAKER_NOTE: Final = 0x927C
_OURS: Final = b"wan_notebook\0"
_LONG, _UNDEFINED = 4, 7
_MAX_BYTES: Final = 65_000  # a JPEG segment holds 65533
_MAX_TAGS: Final = 500
_MAX_SEGMENTS: Final = 500


def user_comment(data: bytes) -> str | None:
    """Return the UserComment of a JPEG's or WebP's Exif; None if there is none or it is damaged."""
    found = _value(data, _USER_COMMENT)
    return _decoded(*found) if found is not None else None


def recipe_text(data: bytes) -> str | None:
    """Return the recipe's JSON from a JPEG's or WebP's Exif; None if there is none of ours."""
    found = _value(data, _MAKER_NOTE)
    if found is None or not found[0].startswith(_OURS):
        return None
    return found[0].removeprefix(_OURS).decode("utf-8", "replace")


def block(recipe_json: str, parameters: str) -> bytes:
    """Return an Exif block with both texts, for a JPEG or WebP; empty if they are longer than a block can be."""
    note, comment = _OURS + recipe_json.encode(), b"UNICODE\0" + parameters.encode("utf-16-be", "replace")
    values_at = 56  # behind a head of 8 bytes, a directory of one entry and one of two
    entries = _written(_MAKER_NOTE, _UNDEFINED, len(note), values_at)
    entries += _written(_USER_COMMENT, _UNDEFINED, len(comment), values_at + len(note))
    head = b"MM\0*" + (8).to_bytes(4) + (1).to_bytes(2) + _written(_EXIF_IFD, _LONG, 1, 26) + bytes(4)
    whole = b"Exif\0\0" + head + (2).to_bytes(2) + entries + bytes(4) + note + comment
    return whole if len(whole) <= _MAX_BYTES else b""


def _written(tag: int, kind: int, count: int, value: int) -> bytes:
    return tag.to_bytes(2) + kind.to_bytes(2) + count.to_bytes(4) + value.to_bytes(4)


def _value(data: bytes, tag: int) -> tuple[bytes, Literal["little", "big"]] | None:
    """Return the bytes of a tag in the Exif directory, and the block's byte order."""
    tiff = _tiff(data)
    if tiff is None or tiff[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    pointer = _entry(tiff, int.from_bytes(tiff[4:8], order), _EXIF_IFD, order)
    if pointer is None:
        return None
    found = _entry(tiff, int.from_bytes(tiff[pointer[0] : pointer[0] + 4], order), tag, order)
    if found is None:
        return None
    entry, count = found
    at = int.from_bytes(tiff[entry : entry + 4], order) if count > 4 else entry
    return tiff[at : at + count], order


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
