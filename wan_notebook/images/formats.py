"""WebP, BMP, GIF and the box formats: sizes, whole or cut off, and what is metadata."""

from __future__ import annotations

from typing import Final

from wan_notebook.images.facts import Container, PictureFacts, corrupt, truncated

_RIFF_HEADER: Final = 12
_CUT_WEBP: Final = "it is shorter than its header says"


def webp_header(data: bytes) -> PictureFacts:
    """Read the size from the first chunk of a WebP."""
    kind, body = data[12:16], data[20:34]
    if len(data) < 30:
        raise truncated("even its header is incomplete")
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    elif kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width, height = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    else:
        raise corrupt("it holds no WebP picture")
    if not (width and height):
        raise corrupt(f"its size is {width}×{height}")
    return PictureFacts("image/webp", width, height)


def _riff_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return kind, start and end (with padding) of each chunk that the RIFF header vouches for."""
    whole = 8 + int.from_bytes(data[4:8], "little")
    if whole > len(data):
        raise truncated(_CUT_WEBP)
    found, pos = [], _RIFF_HEADER
    while pos + 8 <= whole:
        length = int.from_bytes(data[pos + 4 : pos + 8], "little")
        end = pos + 8 + length + (length & 1)
        if pos + 8 + length > whole:
            raise truncated(_CUT_WEBP)
        found.append((data[pos : pos + 4], pos, end))
        pos = end
    return found


def webp(data: bytes) -> Container:
    """Check a whole WebP; a still picture in the extended format becomes a simple file without its metadata."""
    facts = webp_header(data)
    found = _riff_chunks(data)
    kinds = {kind for kind, _, _ in found}
    pixels = [(kind, start, end) for kind, start, end in found if kind in (b"VP8 ", b"VP8L")]
    if not pixels and b"ANMF" not in kinds:
        raise corrupt("it holds no pixels")
    moving_or_clear = bool(kinds & {b"ANIM", b"ANMF", b"ALPH"}) or len(pixels) != 1
    pieces: tuple[tuple[int, int] | bytes, ...] = ()
    if not moving_or_clear:
        kind, start, end = pixels[0]
        moving_or_clear = kind == b"VP8L" and bool(data[start + 12] & 0x10)  # alpha_is_used, bit 28 after the signature
        pieces = (b"RIFF" + (4 + end - start).to_bytes(4, "little") + b"WEBP", (start, end))
    icc = next((data[start + 8 : end] for kind, start, end in found if kind == b"ICCP"), b"")
    return Container(
        source=data,
        mime=facts.mime,
        width_px=facts.width_px,
        height_px=facts.height_px,
        plain=not moving_or_clear,
        animated=b"ANMF" in kinds,
        pieces=pieces,
        icc=icc,
        may_be_turned=bool(kinds & {b"EXIF", b"XMP "}),
    )


def bmp_header(data: bytes) -> PictureFacts:
    """Read the size of a BMP, old (12-byte) and new headers."""
    if len(data) < 30:
        raise truncated("even its header is incomplete")
    if int.from_bytes(data[14:18], "little") == 12:
        width, height = int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
    else:
        width = int.from_bytes(data[18:22], "little", signed=True)
        height = abs(int.from_bytes(data[22:26], "little", signed=True))
    if width <= 0 or height == 0:
        raise corrupt(f"its size is {width}×{height}")
    return PictureFacts("image/bmp", width, height)


def bmp(data: bytes) -> Container:
    """Check the length of a BMP; the common kind (24 bits, uncompressed, 40-byte header) may be sent as it is."""
    facts = bmp_header(data)
    offset, dib_size = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    old = dib_size == 12
    bits = int.from_bytes(data[24:26] if old else data[28:30], "little")
    compression = 0 if old else int.from_bytes(data[30:34], "little")
    row_bytes = (facts.width_px * bits + 31) // 32 * 4
    uncompressed = compression in (0, 3, 6)
    whole = offset + row_bytes * facts.height_px if uncompressed else int.from_bytes(data[2:6], "little")
    if whole > len(data):
        raise truncated(f"{whole} bytes are announced, {len(data)} are there")
    return Container(
        source=data,
        mime=facts.mime,
        width_px=facts.width_px,
        height_px=facts.height_px,
        plain=bits == 24 and compression == 0 and dib_size == 40 and offset == 54,
        pieces=((0, whole),),
    )


def gif_header(data: bytes) -> PictureFacts:
    """Read the size of a GIF's screen."""
    if len(data) < 13:
        raise truncated("even its header is incomplete")
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if not (width and height):
        raise corrupt(f"its size is {width}×{height}")
    return PictureFacts("image/gif", width, height)


def gif(data: bytes) -> Container:
    """Check that a GIF reaches its trailer; it is always decoded, for it is never plain RGB."""
    facts = gif_header(data)
    pos = 13 + _colour_table_bytes(data[10])
    frames = 0
    while pos < len(data):
        kind = data[pos]
        if kind == 0x3B:
            return Container(data, facts.mime, facts.width_px, facts.height_px, animated=frames > 1)
        if kind == 0x21:
            pos = _after_sub_blocks(data, pos + 2)
        elif kind == 0x2C and pos + 10 <= len(data):
            frames += 1
            pos = _after_sub_blocks(data, pos + 11 + _colour_table_bytes(data[pos + 9]))
        else:
            break
    if pos >= len(data) or data[pos] == 0x2C:
        raise truncated("its trailer is missing")
    raise corrupt(f"there is no block at byte {pos}")


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, pos: int) -> int:
    while pos < len(data) and data[pos]:
        pos += data[pos] + 1
    return pos + 1


def check_boxes(data: bytes) -> None:
    """Raise for an AVIF or HEIC whose top-level boxes do not add up to the file."""
    pos = 0
    while pos < len(data):
        length, start = int.from_bytes(data[pos : pos + 4]), 8
        if length == 1:
            length, start = int.from_bytes(data[pos + 8 : pos + 16]), 16
        if length == 0:  # the last box may reach to the end of the file
            return
        if length < start:
            raise corrupt(f"its box at byte {pos} has an impossible length")
        pos += length
    if pos > len(data):
        raise truncated("its last box is incomplete")
