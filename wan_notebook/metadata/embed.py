"""Metadata in picture files: put into given PNG bytes without touching a pixel, and read from any format.

PNG, which the service delivers, takes the metadata as two text chunks behind its header. Other formats stay as they
are, with a file beside them; a JPEG or WebP that is made from a PNG takes the metadata along as Exif.
"""

import hashlib
import zlib
from contextlib import suppress
from typing import Final, Literal

from ..images import BadImageError, open_header, png_chunks
from .a1111 import write_parameters
from .model import JSON_MAX_CHARS, Metadata, read_json

_HEADER_END: Final = 33  # signature and IHDR
_KEYWORD: Final = "wan_notebook"
_EXIF_IFD, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C
_EXIF_TEXTS: Final = {0x010E: "description", 0x010F: "make", 0x0110: "model", 0x0131: "software"}
_EXIF_MAX_BYTES: Final = 65_000  # a JPEG segment holds 65,533
_TEXT_CHUNKS: Final = (b"tEXt", b"zTXt", b"iTXt")
_OURS: Final = b"wan_notebook\0"


def can_embed(data: bytes) -> bool:
    """Tell whether ``embed`` takes a file: a PNG that begins as it must."""
    return data[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" and len(data) >= _HEADER_END


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put metadata into a PNG, in front of any that is there; any other file is returned as it is.

    ``strip`` gives the very same bytes back, so that the hash of what the service sent can always be checked.
    """
    if not can_embed(data):
        return data
    parameters = write_parameters(metadata).replace("\0", " ")
    block = _international(_KEYWORD, metadata.to_json())
    if parameters.isascii():  # else readers disagree: tEXt is Latin-1 for some and UTF-8 for others
        block += _chunk(b"tEXt", b"parameters\0" + parameters.encode())
    else:
        block += _international("parameters", parameters)
    return data[:_HEADER_END] + block + data[_HEADER_END:]


def strip(data: bytes) -> bytes:
    """Take out what ``embed`` put in, byte for byte; the very object given if there is nothing."""
    end = _block_end(data)
    return data if end == _HEADER_END else data[:_HEADER_END] + data[end:]


def changed_in(
    data: bytes, *, sha256: str, file_sha256: str = "", metadata_sha256: str = ""
) -> Literal["", "picture", "metadata"]:
    """Say what in a saved file is not as it was recorded: its picture, or only its metadata; empty if nothing is.

    ``sha256`` is the hash of the picture as the service sent it, ``file_sha256`` that of the file as it was written.
    Where the first edition recorded that of the metadata alone, it is ``metadata_sha256``.
    """
    block = data[_HEADER_END : _block_end(data)]
    if hashlib.sha256(strip(data)).hexdigest() != sha256:
        if hashlib.sha256(data).hexdigest() != sha256:
            return "picture"
        block = b""  # the picture came with it
    if file_sha256:
        return "" if hashlib.sha256(data).hexdigest() == file_sha256 else "metadata"
    return "" if (hashlib.sha256(block).hexdigest() if block else "") == metadata_sha256 else "metadata"


def exif_block(metadata: Metadata) -> bytes:
    """Return metadata as the Exif block of a new JPEG or WebP; empty if it is too long for one."""
    from PIL import Image

    exif = Image.Exif()
    parameters = b"UNICODE\0" + write_parameters(metadata).encode("utf-16-be", "replace")
    exif.get_ifd(_EXIF_IFD).update({_MAKER_NOTE: _OURS + metadata.to_json().encode(), _USER_COMMENT: parameters})
    block = exif.tobytes()
    return block if len(block) <= _EXIF_MAX_BYTES else b""


def read_metadata(data: bytes) -> Metadata | None:
    """Read our metadata from a picture's bytes; None if there is none.

    Raises
    ------
    RecipeError
        If it is damaged, or of a newer version.
    """
    text = texts_of(data).get(_KEYWORD)
    return None if text is None else read_json(text)


def write_sidecar(metadata: Metadata) -> str:
    """Return the JSON text of the file beside the picture; it says the same as what is inside."""
    return metadata.to_json(by_line=True) + "\n"


def read_sidecar(text: str) -> Metadata:
    """Read a sidecar's text. Raises ``RecipeError`` as ``read_metadata`` does, also for any other text."""
    return read_json(text.removeprefix("\ufeff"))


def texts_of(data: bytes) -> dict[str, str]:
    """Return the readable texts in a picture: PNG text chunks, the first of each keyword, or those of Exif.

    Exif's are named ``comment`` (UserComment), ``description``, ``make``, ``model``, ``software`` and
    ``wan_notebook``. Never raises; a text of more than two million characters is left out.
    """
    found: dict[str, str] = {}
    if can_embed(data):
        with suppress(BadImageError):  # what stands in front of the damage counts
            for kind, start, end in png_chunks(data):
                if kind in _TEXT_CHUNKS:
                    keyword, _, body = data[start + 8 : end - 4].partition(b"\0")
                    text = _chunk_text(kind, body)
                    if text is not None:
                        found.setdefault(keyword.decode("latin-1"), text)
        return found
    with suppress(Exception):  # Pillow raises nearly anything on broken Exif
        exif = open_header(data).getexif()
        details = exif.get_ifd(_EXIF_IFD)
        found |= {name: _exif_text(exif[tag]) for tag, name in _EXIF_TEXTS.items() if tag in exif}
        if _USER_COMMENT in details:
            found["comment"] = _exif_text(details[_USER_COMMENT])
        note = details.get(_MAKER_NOTE, b"")
        if note.startswith(_OURS):
            found[_KEYWORD] = note.removeprefix(_OURS).decode("utf-8", "replace")
    return found


def _chunk_text(kind: bytes, body: bytes) -> str | None:
    """Decode what follows the keyword of a text chunk, unpacking a bounded amount; None if that is not possible."""
    is_packed = kind == b"zTXt" or (kind == b"iTXt" and body[:1] == b"\1")
    try:
        if kind == b"iTXt":
            body = body[2:].split(b"\0", 2)[2]  # behind language and translated keyword
        if is_packed:
            unpacker = zlib.decompressobj()
            body = unpacker.decompress(body[1:] if kind == b"zTXt" else body, JSON_MAX_CHARS)
            if not unpacker.eof:
                return None
    except (zlib.error, IndexError):
        return None
    return _utf8_or_latin1(body) if len(body) <= JSON_MAX_CHARS else None


def _exif_text(value: str | bytes) -> str:
    """Decode a text of Exif: programs write UTF-16 of either order, UTF-8 or Latin-1, whatever they declare."""
    raw = value.encode("latin-1", "replace") if isinstance(value, str) else value
    code, text = (raw[:8], raw[8:]) if raw[:8].rstrip(b"\0") in (b"UNICODE", b"ASCII", b"JIS", b"") else (b"", raw)
    if code == b"UNICODE\0" and b"\0" in text:
        # A prompt has more ASCII than anything else, and its zeros tell the order.
        is_big = text[::2].count(0) >= text[1::2].count(0)
        decoded = text.decode("utf-16-be" if is_big else "utf-16-le", "replace")
    else:
        decoded = _utf8_or_latin1(text)
    return decoded.strip("\0\ufeff ")


def _utf8_or_latin1(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _block_end(data: bytes) -> int:
    """Return where the block of two chunks ends that ``embed`` puts behind the header; the header's end without one."""
    end = _HEADER_END
    if can_embed(data):
        with suppress(BadImageError):
            chunks = png_chunks(data)
            next(chunks)
            for keyword in (b"wan_notebook\0", b"parameters\0"):
                kind, start, chunk_end = next(chunks)
                if kind not in _TEXT_CHUNKS or not data.startswith(keyword, start + 8):
                    break
                end = chunk_end
    return end


def _international(keyword: str, text: str) -> bytes:
    return _chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + text.encode("utf-8", "replace"))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
