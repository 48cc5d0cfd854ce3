"""PNG files, chunk by chunk: checked by CRC, stripped without touching a pixel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from wan_notebook.images.facts import Container, PictureFacts, corrupt, truncated

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER_END: Final = 33  # signature, then IHDR: length, kind, 13 bytes, CRC
_MAX_CHUNKS: Final = 200_000
_MAX_ICC_BYTES: Final = 8_000_000
_RGB: Final = 2
_LOCKED_BYTES: Final = 5 * 1024
"""Up to so many bytes at a time zlib keeps the interpreter's lock. Letting go of it for each of some hundred chunks,
and waiting for it again beside other threads, takes several times what the sums do."""

# What says how pixels are to be read, and nothing about who made them.
_KEEP: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"sBIT", b"pHYs"})
_EXIF_TEXT: Final = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")


class Chunk(NamedTuple):
    """One chunk: ``start`` and ``end`` take in length and CRC; the content lies between ``start+8`` and ``end-4``."""

    kind: bytes
    start: int
    end: int


def header(data: bytes) -> PictureFacts:
    """Read the size from IHDR."""
    if len(data) < _HEADER_END:
        raise truncated("even its header is incomplete")
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise corrupt("a PNG begins with IHDR")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise corrupt(f"its size is {width}×{height}")
    return PictureFacts("image/png", width, height)


def chunks(data: bytes) -> Iterator[Chunk]:
    """Walk all chunks up to IEND, checking each CRC; what follows IEND is not looked at."""
    view = memoryview(data)
    pos = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        end = pos + 12 + int.from_bytes(view[pos : pos + 4])
        if pos + 12 > len(data) or end > len(data):
            raise truncated("its last part, IEND, is missing")
        kind = bytes(view[pos + 4 : pos + 8])
        if _crc(view[pos + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise corrupt(f"the checksum of its {kind.decode('latin-1')!r} chunk at byte {pos} is wrong")
        yield Chunk(kind, pos, end)
        if kind == b"IEND":
            return
        pos = end
    raise corrupt(f"it has more than {_MAX_CHUNKS} chunks")


def _crc(content: memoryview) -> int:
    found = 0
    for start in range(0, len(content), _LOCKED_BYTES):
        found = zlib.crc32(content[start : start + _LOCKED_BYTES], found)
    return found


def inspect(data: bytes) -> Container:
    """Check a whole PNG and find what in it is metadata."""
    facts = header(data)
    found = list(chunks(data))
    kinds = {chunk.kind for chunk in found}
    if b"IDAT" not in kinds:
        raise corrupt("it holds no pixels")
    depth, colour_type = data[24], data[25]
    return Container(
        source=data,
        mime=facts.mime,
        width_px=facts.width_px,
        height_px=facts.height_px,
        plain=depth == 8 and colour_type == _RGB and b"tRNS" not in kinds,
        pieces=(SIGNATURE, *((c.start, c.end) for c in found if c.kind in _KEEP)),
        icc=next((_icc(data[c.start + 8 : c.end - 4]) for c in found if c.kind == b"iCCP"), b""),
        animated=b"acTL" in kinds,
        may_be_turned=any(_may_hold_orientation(data, chunk) for chunk in found),
    )


def _icc(content: bytes) -> bytes:
    _, _, packed = content.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], _MAX_ICC_BYTES)
    except zlib.error:
        return b""  # Pillow ignores a broken profile too


def _may_hold_orientation(data: bytes, chunk: Chunk) -> bool:
    if chunk.kind == b"eXIf":
        return True
    return chunk.kind in (b"iTXt", b"zTXt", b"tEXt") and data.startswith(_EXIF_TEXT, chunk.start + 8)
