"""Other programs' metadata: what of it Wan 2.6 can use, and notes on everything else.

A text that is wrong is worse than none: what is not understood is named, and never guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from ..models import WAN26_IMAGE, Mode
from ..text import one_line
from .comfyui import read_graph
from .embed import Metadata, load_json, read_metadata, texts_of

_NETWORK: Final = r"<(?:lora|lyco|hypernet):[^<>]{1,200}>"
_AVOIDED: Final = r"\[([^\[\]]{1,500})\]"
_NOTHING: Final[tuple[object, ...]] = (None, "", "None", "null", [], {})
_PAIR: Final = re.compile(r'(\w[\w \-/]{0,58}):\s*("(?:\\.|[^\\"])+"|[^,\n]*)(?:[,\n]|\Z)', re.DOTALL)
_INLINE_PAIRS: Final = 3  # so many settings make it sure that a line holds more than a prompt

_KEYWORDS: Final = (
    *("invokeai_metadata", "sd-metadata", "Dream", "parameters", "Comment", "prompt"),  # PNG
    *("comment", "model", "make", "description"),  # Exif
    "workflow",
)
"""Where programs keep what they write, best first."""

_DIALECTS: Final = {
    "sui_image_params": "SwarmUI",
    "fooocus_scheme": "Fooocus",
    "metadata_scheme": "Fooocus",
    "base_model": "Fooocus",
    "Base Model": "Fooocus",
    "base_model_name": "Fooocus",
    "positive_prompt": "InvokeAI",
    "positive_conditioning": "InvokeAI",
    "uc": "NovelAI",
}
"""Programs that write one JSON object: a field that it has, the program."""

_FIELDS: Final = {
    "prompt": ("positive_prompt", "positive_conditioning", "prompt", "Prompt"),
    "negative": ("negative_prompt", "negativeprompt", "negative_conditioning", "Negative Prompt", "Negative", "uc"),
    "seed": ("seed", "Seed"),
    "size": ("resolution", "Resolution", "size"),
    "width": ("width",),
    "height": ("height",),
    "model": ("model", "base_model", "Base Model", "base_model_name", "model_weights"),
}
"""What the same thing is called there."""


@dataclass(frozen=True, kw_only=True)
class ForeignMetadata:
    """What another program's picture says, as far as Wan 2.6 can use it.

    ``seed``, ``width_px`` and ``height_px`` are None where Wan 2.6 does not take them; ``notes`` name that and all
    else that is not carried over, each one safe line. An empty ``prompt`` was not found, or not understood.
    """

    dialect: str
    prompt: str
    negative_prompt: str
    seed: int | None
    width_px: int | None
    height_px: int | None
    notes: tuple[str, ...]


def read_any(data: bytes) -> Metadata | ForeignMetadata | None:
    """Read our own metadata, else another program's; None if a picture says nothing. Raises as ``read_metadata``.

    Of several foreign texts the first that names a prompt counts, else the first that was recognised at all.
    """
    if (own := read_metadata(data)) is not None:
        return own
    texts = texts_of(data)
    found = [*filter(None, (_read_text(texts[keyword].strip(), keyword) for keyword in _KEYWORDS if keyword in texts))]
    return next((metadata for metadata in found if metadata.prompt), found[0] if found else None)


def _read_text(text: str, keyword: str) -> ForeignMetadata | None:
    """Read one text of a picture by what it looks like; None for one that says nothing."""
    if text in _NOTHING:
        return None
    data = load_json(re.sub(r"\A(?:prompt|workflow):\s*", "", text, flags=re.IGNORECASE))
    if isinstance(data, dict):
        return _read_object(data)
    if isinstance(data, list) or text.startswith('{"') or len(text) > 100_000:
        return None  # JSON of another kind, or cut off, is not a prompt; nor is a book
    if keyword == "Dream":
        return _read_dream(text)
    prompt, negative, rest = _split_parameters(text)
    if keyword != "parameters" and not rest:
        return None  # comments and descriptions hold anything; settings make one a generation's
    size, seed, model = rest.pop("Size", ""), rest.pop("Seed", None), rest.pop("Model", "")
    return _carried("A1111", prompt=prompt, negative=negative, seed=seed, size=size, model=model, rest=rest)


# A1111 and those that write like it -----------------------------------------------------------------------------------


def _split_parameters(text: str) -> tuple[str, str, dict[str, str]]:
    """Split into prompt, negative prompt and settings; any text at all is a prompt.

    The settings begin with ``Steps:``, or are a last line of three pairs or more. Each part may stand on a line of its
    own, or all may stand in one, as some programs write it.
    """
    text = text.replace("\r\n", "\n").strip()
    head, _, last = text.rpartition("\n")
    settings, negative = _settings(last), ""
    if len(settings) < _INLINE_PAIRS:
        head, settings = text, {}
    # One character in front at most: a longer run would be tried at each of its characters.
    for match in reversed(list(re.finditer(r"(?:\A|[\n \t])(?=Steps: ?\d)", text))[-20:]):
        found = _settings(text[match.end() :])
        if match[0] in ("", "\n") or len(found) >= _INLINE_PAIRS:
            head, settings = _before(text, match), found
            break
    if (avoided := re.search(r"(?:\A|[\n \t])Negative prompt:", head)) is not None:
        head, negative = _before(head, avoided), head[avoided.end() :]
    return head.strip(), negative.strip(), settings


def _before(text: str, match: re.Match[str]) -> str:
    """Return what stands before a part, without the comma or full stop that sets it off within a line."""
    head = text[: match.start()].strip()
    return head if match[0][:1] in ("", "\n") else head.rstrip(",.;")


def _settings(text: str) -> dict[str, str]:
    """Read ``Key: value, Key: "quoted, value"``; what is not a pair is passed over, and the first of a name counts."""
    found: dict[str, str] = {}
    for match in islice(_PAIR.finditer(text), 200):
        value = match[2].strip()
        if value[:1] == '"':
            value = str(load_json(value.replace("\n", r"\n")) or value.strip('"'))
        found.setdefault(match[1].strip(), value)
    return found


# Programs that write JSON ---------------------------------------------------------------------------------------------


def _read_object(data: dict[str, Any]) -> ForeignMetadata | None:
    for nodes in (data.get("prompt"), data):
        if isinstance(nodes, dict) and any(isinstance(node, dict) and "inputs" in node for node in nodes.values()):
            return _carried("ComfyUI", **read_graph(nodes))
    if isinstance(data.get("nodes"), list) and "links" in data:
        return _carried("ComfyUI", notes=["its workflow is there, but not the graph that was run"])
    dialect = next((dialect for name, dialect in _DIALECTS.items() if name in data), "")
    image, params = data.get("image"), data.get("sui_image_params")
    if isinstance(image, dict):  # InvokeAI before version 3
        prompt, avoided = _split_avoided(image.get("prompt"))
        dialect, weights = "InvokeAI", data.get("model_weights")
        data = {"model": weights, **image, "prompt": prompt, "negative_prompt": avoided}
    elif isinstance(params, dict):
        data = params
    if not dialect:
        return None
    told = {name: value for name, value in data.items() if value not in _NOTHING and name != "app_version"}
    value = {kind: next((told[name] for name in names if name in told), None) for kind, names in _FIELDS.items()}
    if isinstance(model := value["model"], dict):
        model = model.get("name") or model.get("model_name") or model.get("key")
    return _carried(
        dialect,
        prompt=", ".join([_text(value["prompt"]), *_characters(data.get("v4_prompt"))]),
        negative=", ".join([_text(value["negative"]), *_characters(data.get("v4_negative_prompt"))]),
        seed=value["seed"],
        size=value["size"] or (value["width"], value["height"]),
        model=_text(model),
        rest={name: held for name, held in told.items() if not any(name in names for names in _FIELDS.values())},
    )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _characters(version: Any) -> list[str]:
    """Return NovelAI's texts for single characters, which it keeps beside the prompt."""
    try:
        texts = [_text(character["char_caption"]) for character in version["caption"]["char_captions"]]
    except (LookupError, TypeError):
        return []
    return [text for text in texts if text]


def _read_dream(text: str) -> ForeignMetadata | None:
    """Read InvokeAI's first form: a quoted prompt and the options of its command line."""
    if (found := re.fullmatch(r'"(.*)"\s*(-.*)?', text, re.DOTALL)) is None:
        return None
    options = dict(re.findall(r"(?:\A|\s)-(\w)\s*([^\s-]\S*)", found[2] or ""))
    size, seed = f"{options.pop('W', '')}x{options.pop('H', '')}", options.pop("S", None)
    prompt, negative = _split_avoided(found[1])
    return _carried("InvokeAI", prompt=prompt, negative=negative, seed=seed, size=size, rest=options)


def _split_avoided(prompt: Any) -> tuple[str, str]:
    """Split what InvokeAI wrote before version 3: weighted prompts, and what to avoid in square brackets."""
    parts = prompt if isinstance(prompt, list) else [{"prompt": prompt}]
    text = ", ".join(_text(part.get("prompt")) for part in parts if isinstance(part, dict))
    avoided = ", ".join(found.strip() for found in re.findall(_AVOIDED, text))
    return re.sub(r"\s{2,}", " ", re.sub(_AVOIDED, " ", text)).strip(" ,"), avoided


# What Wan 2.6 takes ---------------------------------------------------------------------------------------------------


def _carried(
    dialect: str,
    *,
    prompt: str = "",
    negative: str = "",
    seed: object = None,
    size: object = None,
    model: str = "",
    rest: Mapping[str, object] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> ForeignMetadata:
    """Keep what Wan 2.6 takes, and note the rest."""
    record, limits, remarks = WAN26_IMAGE, WAN26_IMAGE.modes[Mode.TEXT_TO_IMAGE], list(notes)
    if networks := re.findall(_NETWORK, prompt):
        prompt = re.sub(r"[ \t]{2,}", " ", re.sub(_NETWORK, "", prompt)).strip(" ,")
        remarks += [f"{network} (Wan 2.6 loads no networks)" for network in networks]
    number = int(str(seed)) if re.fullmatch(r"[0-9]{1,20}", str(seed), re.ASCII) else None
    if seed not in _NOTHING and (number is None or number > record.seed_max):
        remarks.append(f"seed = {seed} (Wan 2.6 takes 0 to {record.seed_max})")
        number = None
    # `1024x768`, `(1024, 768)`, or two numbers
    found = re.fullmatch(r"\(?\s*(\d{1,5})\s*[x*×,]\s*(\d{1,5})\s*\)?", str(size))
    width, height = map(int, found.groups()) if found else (0, 0)
    is_shape = 0 < max(width, height) <= record.aspect_max * min(width, height)
    is_fit = is_shape and limits.total_min_px <= width * height <= limits.total_max_px
    if size not in (*_NOTHING, "x", (None, None)) and not is_fit:
        told = f"{width}x{height}" if found else size
        remarks.append(f"size = {told} (Wan 2.6 makes 768×768 to 1280×1280 pixels in total, 1:4 to 4:1)")
    remarks += [f"model = {model} (Wan 2.6 takes its place)"] if model else []
    remarks += [f"{name} = {value if isinstance(value, str) else repr(value)}" for name, value in rest.items()]
    return ForeignMetadata(
        dialect=dialect,
        prompt=prompt,
        negative_prompt=negative,
        seed=number,
        width_px=width if is_fit else None,
        height_px=height if is_fit else None,
        notes=tuple(one_line(remark, 200) for remark in remarks[:40]),
    )
