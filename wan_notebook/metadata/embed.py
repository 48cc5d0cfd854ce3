"""The metadata of one picture: its fields, and how it stands in the picture's file and beside it.

PNG, which the service delivers, takes it as two text chunks behind its header, without touching a pixel. Other formats
stay as they are, with a file beside them; a JPEG or WebP that is made from a PNG takes it along as Exif.
"""

import hashlib
import json
import re
import zlib
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError

from ..errors import RecipeError
from ..images import BadImageError, open_header, png_chunks
from ..money import Source
from ..text import one_line

_SCHEMA: Final = "wan-notebook/recipe"
_VERSION: Final = 1
_JSON_MAX_CHARS: Final = 2_000_000
"""Metadata has a few thousand characters; more is not read."""
_HEADER_END: Final = 33  # signature and IHDR
_EXIF_IFD, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C
_TEXT_CHUNKS: Final = (b"tEXt", b"zTXt", b"iTXt")
_OURS: Final = b"wan_notebook\0"


def public_name(name: str) -> str:
    """Reduce a path or address to its last part, also inside an expression: ``open("a/b.png")`` is ``open("b.png")``.

    What leaves the machine in a picture names no folder, no signature and no host.
    """
    text = re.sub(r"""(["'])(.*?)\1""", lambda match: match[1] + _last_part(match[2]) + match[1], one_line(name, 2000))
    return one_line(_last_part(text), 120) or "image"


def _last_part(text: str) -> str:
    if "://" in text:
        text = re.split(r"[?#]", text, maxsplit=1)[0].rstrip("/")
        text = unquote(text) if text.count("/") > 2 else ""  # a host alone
    return re.split(r"[/\\]", text.rstrip("/\\"))[-1]


def _without_places(text: str) -> str:
    text = one_line(text, 500)
    return public_name(text) if re.match(r".*://|[/\\~]|[A-Za-z]:[/\\]", text) else text


def _plain_only(parameters: Any) -> Any:
    """Leave out what a later edition may write and this one cannot keep."""
    return (
        {name: value for name, value in parameters.items() if not isinstance(value, list | dict)}
        if isinstance(parameters, dict)
        else parameters
    )


Whole = Annotated[int, Field(ge=0, lt=2**63)]  # what a database column holds
Hash = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Line = Annotated[str, AfterValidator(_without_places)]
Texts = dict[str, Line]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class MetadataInput(_Model):
    """One input picture by its hashes; a path or address in its name is reduced to the last part."""

    name: Annotated[str, AfterValidator(public_name)]
    identity: Line
    sha256: Hash
    width_px: Whole
    height_px: Whole


class MetadataParameters(_Model):
    """What was sent as parameters (WAN_API §1); None is what was not sent. Further ones are kept if they are plain."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool | int | FiniteFloat | Line] = Field(init=False)

    size: Annotated[str | None, Field(pattern=r"(?i)^\d+(k|[x*×:]\d+)$")] = None  # never an expression
    n: Whole | None = None
    max_images: Whole | None = None
    seed: Whole | None = None
    prompt_extend: bool | None = None
    watermark: bool | None = None
    enable_interleave: bool | None = None


class MetadataPicture(_Model):
    """Which picture of its job this is, and the hash of its bytes as the service sent them."""

    index: Whole = 0
    count: Whole = 1
    sha256: Hash = ""
    width_px: Whole | None = None
    height_px: Whole | None = None


class MetadataCost(_Model):
    """What the job cost; the amount is a decimal number as text, short enough to be written out."""

    amount: Annotated[
        str | None,
        Field(pattern=r"^[0-9]{1,18}(\.[0-9]{1,30})?$"),
        BeforeValidator(lambda amount: f"{amount:f}" if isinstance(amount, Decimal) else amount),
    ] = None
    currency: str = "USD"
    source: Annotated[Source, Field(strict=False)] = Source.UNKNOWN
    note: Line = ""


class Metadata(_Model):
    """All that made one picture; never a key, a signed address or a local path.

    ``parameters.seed`` is the seed of the task that made it, ``seeds`` those of all tasks of its job. ``times`` are
    ISO 8601 with a zone, under the names of the states they belong to; ``fingerprints`` are the request hashes.
    """

    model: Line
    provider: Line
    mode: Line
    prompt: str
    negative_prompt: str = ""
    job_id: Line = ""
    task_id: Line = ""
    parameters: Annotated[MetadataParameters, BeforeValidator(_plain_only)] = MetadataParameters()
    picture: MetadataPicture = MetadataPicture()
    seeds: tuple[Whole, ...] = Field((), strict=False)
    inputs: tuple[MetadataInput, ...] = Field((), strict=False)
    times: Texts = {}
    cost: MetadataCost = MetadataCost()
    fingerprints: Texts = {}
    versions: Texts = {}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the JSON text; an unknown amount is said to be null."""
        fields = {"schema": _SCHEMA, "version": _VERSION, **self.model_dump(mode="json", exclude_none=True)}
        fields["cost"] = self.cost.model_dump(mode="json")
        return json.dumps(fields, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))


def read_sidecar(text: str) -> Metadata:
    """Read the JSON text of our own metadata, as it stands beside a picture.

    Raises
    ------
    RecipeError
        For any other text, damaged metadata (it names the field), and that of a newer version.
    """
    data = load_json(text.removeprefix("\ufeff"))
    if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
        raise RecipeError("This is not metadata of wan_notebook, or it is damaged.")
    if data.get("version") != _VERSION:
        raise RecipeError(
            f"This metadata has another version than {_VERSION}.", hint="Update: pip install -U wan-notebook."
        )
    try:
        return Metadata.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = f"The metadata is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}."
        raise RecipeError(one_line(message, 300)) from None


def load_json(text: str) -> Any:
    """Parse JSON of any origin, also with NaN as Python writes it; None for anything else or too much of it."""
    with suppress(ValueError, RecursionError):
        return json.loads(text) if len(text) <= _JSON_MAX_CHARS else None
    return None


def _parameters_text(metadata: Metadata) -> str:
    """Write the ``parameters`` text that A1111, Civitai and InvokeAI read, as far as it is true of this picture.

    ``Steps`` is 0, which readers take as "not stated": Civitai knows the settings line only by its beginning with
    ``Steps: `` and a number, and the service does not tell the number of steps.
    """
    sent, picture = metadata.parameters, metadata.picture
    pairs = {
        "Steps": 0,
        "Seed": sent.seed,
        "Size": f"{picture.width_px}x{picture.height_px}" if picture.width_px and picture.height_px else None,
        "Model": metadata.model,
        "Prompt rewriting": None if sent.prompt_extend is None else ("off", "on")[sent.prompt_extend],
        "Mode": metadata.mode,
        "Version": f"wan_notebook {metadata.versions.get('wan-notebook', '')}".strip(),
    }
    settings = ", ".join(f"{key}: {_quoted(str(value))}" for key, value in pairs.items() if value is not None)
    negative = [f"Negative prompt: {metadata.negative_prompt}"] if metadata.negative_prompt else []
    return "\n".join([metadata.prompt, *negative, settings])


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:"\n]', value) else value


# In files ------------------------------------------------------------------------------------------------------------


def can_embed(data: bytes) -> bool:
    """Tell whether ``embed`` takes a file: a PNG that begins as it must."""
    return data[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" and len(data) >= _HEADER_END


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put metadata into a PNG, in front of any that is there; any other file is returned as it is.

    ``strip`` gives the very same bytes back, so that the hash of what the service sent can always be checked.
    """
    if not can_embed(data):
        return data
    parameters = _parameters_text(metadata).replace("\0", " ").encode("utf-8", "replace")
    # Readers disagree about other characters in tEXt: it is Latin-1 for some and UTF-8 for others.
    kind, head = (b"tEXt", b"parameters\0") if parameters.isascii() else (b"iTXt", b"parameters\0\0\0\0\0")
    ours = _OURS + b"\0\0\0\0" + metadata.to_json().encode("utf-8", "replace")
    return data[:_HEADER_END] + _chunk(b"iTXt", ours) + _chunk(kind, head + parameters) + data[_HEADER_END:]


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
    whole, block = _sha256(data), data[_HEADER_END : _block_end(data)]
    is_as_sent = _sha256(strip(data)) == sha256
    if not is_as_sent and whole != sha256:  # a picture may have come with such metadata
        return "picture"
    of_metadata = _sha256(block) if block and is_as_sent else ""
    is_same = whole == file_sha256 if file_sha256 else of_metadata == metadata_sha256
    return "" if is_same else "metadata"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def exif_block(metadata: Metadata) -> bytes:
    """Return metadata as the Exif block of a new JPEG or WebP; empty if it is too long for one."""
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(_EXIF_IFD).update(
        {
            _MAKER_NOTE: _OURS + metadata.to_json().encode(),
            _USER_COMMENT: b"UNICODE\0" + _parameters_text(metadata).encode("utf-16-be", "replace"),
        }
    )
    block = exif.tobytes()  # a segment of a JPEG holds 65,533 bytes
    return block if len(block) <= 65_000 else b""


def read_metadata(data: bytes) -> Metadata | None:
    """Read our metadata from a picture's bytes; None if there is none. Raises ``RecipeError`` as ``read_sidecar``."""
    text = texts_of(data).get("wan_notebook")
    return None if text is None else read_sidecar(text)


def texts_of(data: bytes) -> dict[str, str]:
    """Return the readable texts in a picture: PNG text chunks, the first of each keyword, or those of Exif.

    Exif's are named ``comment`` (UserComment), ``description``, ``make``, ``model`` and ``wan_notebook``. Never raises;
    reading ends at a damaged text, and after two million characters in all.
    """
    found: dict[str, str] = {}
    if can_embed(data):
        left = _JSON_MAX_CHARS
        with suppress(BadImageError, zlib.error, ValueError):  # what stands in front of the damage counts
            for kind, start, end in png_chunks(data):
                if kind in _TEXT_CHUNKS:
                    keyword, _, body = data[start + 8 : end - 4].partition(b"\0")
                    body = _unpacked(kind, body, left)
                    left -= len(body)
                    found.setdefault(keyword.decode("latin-1"), _utf8_or_latin1(body))
        return found
    with suppress(Exception):  # Pillow raises nearly anything on broken Exif
        exif = open_header(data).getexif()
        tags = {**exif, **exif.get_ifd(_EXIF_IFD)}
        names = {0x010E: "description", 0x010F: "make", 0x0110: "model", _USER_COMMENT: "comment"}
        found = {name: _exif_text(tags[tag]) for tag, name in names.items() if tag in tags}
        if (note := tags.get(_MAKER_NOTE, b"")).startswith(_OURS):
            found["wan_notebook"] = note.removeprefix(_OURS).decode("utf-8", "replace")
    return found


def _unpacked(kind: bytes, body: bytes, max_bytes: int) -> bytes:
    """Return the text behind the keyword of a text chunk. Raises ``ValueError`` or zlib's."""
    is_packed = kind == b"zTXt" or (kind == b"iTXt" and body[:1] == b"\1")
    if kind == b"iTXt":
        _language, _keyword, body = body[2:].split(b"\0", 2)
    unpacker = zlib.decompressobj()
    if is_packed:
        body = unpacker.decompress(body[1:] if kind == b"zTXt" else body, max_bytes + 1)
    if len(body) > max_bytes or (is_packed and not unpacker.eof):
        raise ValueError("it is cut off, or too long")
    return body


def _exif_text(value: str | bytes) -> str:
    """Decode a text of Exif: programs write UTF-16 of either order, UTF-8 or Latin-1, whatever they declare."""
    raw = value.encode("latin-1", "replace") if isinstance(value, str) else value
    text = re.sub(rb"\A(?:UNICODE\0|ASCII\0{3}|JIS\0{5}|\0{8})", b"", raw)
    if not raw.startswith(b"UNICODE\0") or b"\0" not in text:
        return _utf8_or_latin1(text).strip("\0\ufeff ")
    # A prompt has more ASCII than anything else, and its zeros tell the order.
    is_big = text[::2].count(0) >= text[1::2].count(0)
    return text.decode("utf-16-be" if is_big else "utf-16-le", "replace").strip("\0\ufeff ")


def _utf8_or_latin1(raw: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    return raw.decode("latin-1")


def _block_end(data: bytes) -> int:
    """Return where the block of two chunks ends that ``embed`` puts behind the header; the header's end without one."""
    end = _HEADER_END
    with suppress(BadImageError):
        for keyword, (kind, start, chunk_end) in zip((b"", _OURS, b"parameters\0"), png_chunks(data), strict=False):
            is_ours = data.startswith(keyword, start + 8) and kind in (b"IHDR", *_TEXT_CHUNKS)
            if not can_embed(data) or not is_ours:
                break
            end = chunk_end
    return end


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
