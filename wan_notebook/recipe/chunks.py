"""Text chunks of PNG files: found, read within bounds, put in and taken out without touching anything else."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER_END: Final = 33  # signature and IHDR
_MAX_CHUNKS: Final = 100_000
_MAX_TEXT_BYTES: Final = 2_000_000
KEYWORD: Final = "wan_notebook"
PARAMETERS: Final = "parameters"


class TextChunk(NamedTuple):
    """One text chunk; ``start`` and ``end`` take in its length and checksum."""

    keyword: str
    kind: bytes
    start: int
    end: int


def is_png(data: bytes) -> bool:
    """Tell a PNG that begins as it must, with IHDR."""
    return data[:16] == _SIGNATURE + b"\0\0\0\x0dIHDR" and len(data) >= _HEADER_END


def text_chunks(data: bytes) -> Iterator[TextChunk]:
    """Find all text chunks by jumping from header to header; ends without complaint where a file is damaged."""
    pos = len(_SIGNATURE) if is_png(data) else len(data)
    for _ in range(_MAX_CHUNKS):
        end = pos + 12 + int.from_bytes(data[pos : pos + 4])
        if pos + 12 > len(data) or end > len(data):
            return
        kind = data[pos + 4 : pos + 8]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, zero, _ = data[pos + 8 : min(end - 4, pos + 8 + 80)].partition(b"\0")
            if zero:
                yield TextChunk(keyword.decode("latin-1"), kind, pos, end)
        pos = end


def text_of(data: bytes, chunk: TextChunk) -> str | None:
    """Decode a text chunk, unpacking at most 2 MB; None if it is damaged or larger."""
    body = data[chunk.start + 8 + len(chunk.keyword) + 1 : chunk.end - 4]
    if chunk.kind == b"tEXt":
        return body.decode("latin-1") if len(body) <= _MAX_TEXT_BYTES else None
    if chunk.kind == b"zTXt":
        unpacked = _unpacked(body[1:])
        return None if unpacked is None else unpacked.decode("latin-1")
    packed, rest = body[:1] == b"\1", body[2:]
    _language, zero_1, rest = rest.partition(b"\0")
    _translated, zero_2, content = rest.partition(b"\0")
    if not (zero_1 and zero_2) or len(content) > _MAX_TEXT_BYTES:
        return None
    plain = _unpacked(content) if packed else content
    try:
        return None if plain is None else plain.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _unpacked(packed: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return plain if unpacker.eof else None  # cut off, or larger than allowed


def read_text(data: bytes, *keywords: str) -> dict[str, str]:
    """Return the first readable text of each keyword that is there."""
    found: dict[str, str] = {}
    for chunk in text_chunks(data):
        if chunk.keyword in keywords and chunk.keyword not in found:
            text = text_of(data, chunk)
            if text is not None:
                found[chunk.keyword] = text
    return found


def put_in(data: bytes, recipe_json: str, parameters: str) -> tuple[bytes, bytes, memoryview]:
    """Return a PNG's header, our block of two chunks to go behind it, and the rest, which is not copied."""
    block = _international(KEYWORD, recipe_json)
    # Plain text where it is the same in every reader's eyes; tEXt is Latin-1 for some and UTF-8 for others.
    line = parameters.replace("\0", " ")
    block += _chunk(b"tEXt", b"parameters\0" + line.encode()) if line.isascii() else _international(PARAMETERS, line)
    return data[:_HEADER_END], block, memoryview(data)[_HEADER_END:]


def parts(data: bytes) -> tuple[bytes, bytes, memoryview]:
    """Return the same three of a file; the block is empty where ``put_in`` put none."""
    end = _HEADER_END
    chunks = text_chunks(data)
    first = next(chunks, None)
    if first is not None and (first.keyword, first.kind, first.start) == (KEYWORD, b"iTXt", end):
        end = first.end
        second = next(chunks, None)
        if second is not None and second.start == end and second.keyword == PARAMETERS:
            end = second.end
    return data[:_HEADER_END], data[_HEADER_END:end], memoryview(data)[end:]


def take_out(data: bytes) -> bytes:
    """Remove our block where ``put_in`` puts it; the very object given if there is none."""
    head, block, rest = parts(data)
    return b"".join((head, rest)) if block else data


def _international(keyword: str, text: str) -> bytes:
    return _chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + text.encode("utf-8", "replace"))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
