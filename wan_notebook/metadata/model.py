"""The metadata of one picture as pydantic models, and the JSON that is written and read."""

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import unquote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
)

from ..errors import RecipeError
from ..money import Cost, Source
from ..text import one_line

SCHEMA: Final = "wan-notebook/recipe"
VERSION: Final = 1
JSON_MAX_CHARS: Final = 2_000_000
"""Metadata has a few thousand characters; more is not read."""
_QUOTED: Final = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)
_AMOUNT: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,30})?")


def public_name(name: str) -> str:
    """Reduce a path or address to its last part, also inside an expression: ``open("a/b.png")`` is ``open("b.png")``.

    What leaves the machine in a picture names no folder, no signature and no host.
    """
    text = one_line(name, 2000)
    if text[:5].lower() == "data:":
        return "data URL"
    text = _QUOTED.sub(lambda match: f"{match[1]}{_last_part(match[2])}{match[1]}", text)
    return one_line(_last_part(text), 120) or "image"


def _last_part(text: str) -> str:
    if "://" in text:
        text = re.split(r"[?#]", text, maxsplit=1)[0].rstrip("/")
        text = unquote(text) if text.count("/") > 2 else ""  # a host alone
    return re.split(r"[/\\]", text.rstrip("/\\"))[-1] if re.search(r"[/\\]", text) else text


def _without_places(text: str) -> str:
    text = one_line(text, 500)
    is_place = "://" in text or re.match(r"[/\\~]|[A-Za-z]:[/\\]", text)
    return public_name(text) if is_place else text


def _read_cost(value: Any) -> Any:
    """Make a cost of its JSON form; pydantic complains about whatever is not one."""
    if isinstance(value, dict):
        amount, source = value.get("amount"), value.get("source", Source.UNKNOWN.value)
        # The pattern keeps out 1E999999999, which would fill the memory when it is written out.
        if amount is not None and not (isinstance(amount, str) and _AMOUNT.fullmatch(amount)):
            raise ValueError(f"its amount is {one_line(repr(amount))}, not a decimal number as text")
        texts = [value.get("currency", "USD"), value.get("note", "")]
        if source not in set(Source) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"its source, currency or note is not valid ({one_line(repr(source))})")
        value = Cost(None if amount is None else Decimal(amount), texts[0], Source(source), texts[1])
    if not isinstance(value, Cost):
        return value
    return Cost(value.amount, value.currency, value.source, _without_places(value.note))


def _write_cost(cost: Cost) -> dict[str, str | None]:
    amount = None if cost.amount is None else f"{cost.amount:f}"
    return {"amount": amount, "currency": cost.currency, "source": cost.source.value, "note": cost.note}


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
    """What was sent as parameters (WAN_API §1); None is what was not sent."""

    size: Line | None = None
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
    parameters: MetadataParameters = MetadataParameters()
    picture: MetadataPicture = MetadataPicture()
    seeds: tuple[Whole, ...] = Field((), strict=False)
    inputs: tuple[MetadataInput, ...] = Field((), strict=False)
    times: Texts = {}
    cost: Annotated[InstanceOf[Cost], BeforeValidator(_read_cost), PlainSerializer(_write_cost)] = Cost()
    fingerprints: Texts = {}
    versions: Texts = {}

    def to_json(self, *, by_line: bool = False) -> str:
        """Return the JSON text, ``by_line`` with one field a line."""
        fields = {"schema": SCHEMA, "version": VERSION, **self.model_dump(mode="json", exclude_none=True)}
        if not by_line:
            return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
        return "{\n" + ",\n".join(lines) + "\n}"


def read_json(text: str) -> Metadata:
    """Read the JSON text of our own metadata.

    Raises
    ------
    RecipeError
        For any other text, damaged metadata (it names the field), and that of a newer version.
    """
    data = load_json(text)
    if not isinstance(data, dict):
        raise RecipeError("The metadata is damaged: it is not a JSON object.")
    if data.get("schema") != SCHEMA:
        raise RecipeError(f"This is not metadata of wan_notebook: its schema is {one_line(repr(data.get('schema')))}.")
    version = data.get("version")
    if type(version) is not int or version < 1:
        raise RecipeError(f"The metadata is damaged: its version is {one_line(repr(version))}.")
    if version > VERSION:
        message = f"This metadata has version {version}; this wan_notebook reads up to {VERSION}."
        raise RecipeError(message, hint="Update it: pip install -U wan-notebook.")
    try:
        return Metadata.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, given = ".".join(str(part) for part in first["loc"]), first["input"]
        shown = "" if isinstance(given, dict) else f" ({one_line(repr(given), 60)})"
        message = one_line(f"{place}: {first['msg']}", 300)
        raise RecipeError(f"The metadata is damaged: {message}{shown}.") from None


def load_json(text: str) -> Any:
    """Parse JSON of any origin, also with NaN as Python writes it; None for anything else or too much of it."""
    if len(text) > JSON_MAX_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
