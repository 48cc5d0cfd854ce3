"""Recipes of other programs: what can be carried over, and a list of what cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wan_notebook.catalog import (
    ASPECT_MAX,
    ASPECT_MIN,
    NEGATIVE_PROMPT_MAX_CHARACTERS,
    PROMPT_MAX_CHARACTERS,
    SEED_MAX,
    TOTAL_1K_PX,
    TOTAL_MIN_PX,
)
from wan_notebook.recipe.chunks import is_png, read_text
from wan_notebook.recipe.exif import user_comment
from wan_notebook.recipe.parameters import split_parameters
from wan_notebook.recipe.reader import load_json

_NETWORK: Final = re.compile(r"<(?:lora|lyco|hypernet):[^<>]{1,200}>")
_AVOIDED: Final = re.compile(r"\[([^\[\]]{1,500})\]")
_SIZE: Final = re.compile(r"(\d{1,5})\s*[x*×]\s*(\d{1,5})\Z")
_MAX_REMARKS: Final = 40
_MAX_HOPS: Final = 20
_INVOKE_KNOWN: Final = frozenset(
    {"positive_prompt", "negative_prompt", "seed", "width", "height", "model", "app_version"}
)
_COMFY_SETTINGS: Final = ("steps", "cfg", "sampler_name", "scheduler", "denoise")


@dataclass(frozen=True, kw_only=True)
class ForeignRecipe:
    """What another program's picture says, as far as Wan 2.6 can use it; ``not_carried`` names the rest."""

    dialect: str
    prompt: str
    negative_prompt: str = ""
    seed: int | None = None
    size: str | None = None
    model: str = ""
    not_carried: tuple[str, ...] = ()


def read_foreign(data: bytes) -> ForeignRecipe | None:
    """Read a picture of A1111 (PNG, JPEG, WebP), InvokeAI or ComfyUI (PNG); None if it says nothing known."""
    if not is_png(data):
        comment = user_comment(data)
        return from_parameters(comment) if comment and _is_a1111(comment) else None
    texts = read_text(data, "parameters", "invokeai_metadata", "sd-metadata", "prompt")
    invoke = load_json(texts.get("invokeai_metadata", ""))
    if isinstance(invoke, dict):
        return _from_invoke(invoke)
    old = load_json(texts.get("sd-metadata", ""))
    if isinstance(old, dict) and isinstance(old.get("image"), dict):
        return _from_old_invoke(old, old["image"])
    if "parameters" in texts:
        return from_parameters(texts["parameters"])
    graph = load_json(texts.get("prompt", ""))
    return _from_comfy(graph) if isinstance(graph, dict) else None


def _is_a1111(comment: str) -> bool:
    return bool(split_parameters(comment)[2])


def from_parameters(text: str) -> ForeignRecipe:
    """Read the ``parameters`` text of A1111 and those who write like it."""
    prompt, negative, settings = split_parameters(text)
    rest = dict(settings)
    if rest.get("Steps") == "0":
        del rest["Steps"]  # not stated
    size = _SIZE.match(rest.pop("Size", ""))
    return _carried(
        "A1111",
        prompt=prompt,
        negative=negative,
        seed=rest.pop("Seed", None),
        size=(int(size[1]), int(size[2])) if size else None,
        model=rest.pop("Model", ""),
        rest=rest,
    )


def _from_invoke(data: Mapping[str, Any]) -> ForeignRecipe:
    model = data.get("model")
    if isinstance(model, dict):
        model = model.get("name") or model.get("model_name") or model.get("key")
    return _carried(
        "InvokeAI",
        prompt=_text(data.get("positive_prompt")),
        negative=_text(data.get("negative_prompt")),
        seed=data.get("seed"),
        size=_pair(data.get("width"), data.get("height")),
        model=_text(model),
        rest={
            key: value for key, value in data.items() if key not in _INVOKE_KNOWN and value not in (None, [], {}, "")
        },
    )


def _from_old_invoke(data: Mapping[str, Any], image: Mapping[str, Any]) -> ForeignRecipe:
    """Read what InvokeAI wrote before version 3: weighted prompts, and what to avoid in square brackets."""
    given = image.get("prompt")
    parts = given if isinstance(given, list) else [{"prompt": given}]
    text = ", ".join(_text(part.get("prompt")) for part in parts if isinstance(part, dict))
    model = data.get("model_weights") or data.get("model")
    rest = {k: v for k, v in image.items() if k not in (*_INVOKE_KNOWN, "prompt") and v not in (None, [], {}, "")}
    return _carried(
        "InvokeAI",
        prompt=re.sub(r"\s{2,}", " ", _AVOIDED.sub(" ", text)).strip(" ,"),
        negative=", ".join(found.strip() for found in _AVOIDED.findall(text)),
        seed=image.get("seed"),
        size=_pair(image.get("width"), image.get("height")),
        model=_text(model),
        rest=rest,
    )


def _from_comfy(graph: Mapping[str, Any]) -> ForeignRecipe | None:
    """Follow the links of the first sampler to its texts and its size."""
    nodes = {key: node["inputs"] for key, node in graph.items() if isinstance(node, dict) and _has_inputs(node)}
    sampler = next((inputs for inputs in nodes.values() if "positive" in inputs and "latent_image" in inputs), None)
    if sampler is None:
        return None
    prompt = _follow(nodes, sampler["positive"], "text")
    latent = _follow(nodes, sampler["latent_image"], "width"), _follow(nodes, sampler["latent_image"], "height")
    seed = sampler.get("seed", sampler.get("noise_seed"))
    rest = {name: sampler[name] for name in _COMFY_SETTINGS if isinstance(sampler.get(name), str | int | float)}
    return _carried(
        "ComfyUI",
        prompt=_text(prompt),
        negative=_text(_follow(nodes, sampler.get("negative"), "text")),
        seed=seed,
        size=_pair(*latent),
        model=_text(_follow(nodes, sampler.get("model"), "ckpt_name")),
        rest={**rest, "workflow": f"{len(nodes)} nodes"},
    )


def _has_inputs(node: Mapping[str, Any]) -> bool:
    return isinstance(node.get("inputs"), dict)


def _follow(nodes: Mapping[str, Mapping[str, Any]], link: object, wanted: str) -> object:
    """Go from node to node until one holds the wanted value itself; None after too many."""
    for _ in range(_MAX_HOPS):
        if not (isinstance(link, list) and link and isinstance(link[0], str) and link[0] in nodes):
            return None
        inputs = nodes[link[0]]
        value = inputs.get(wanted)
        if value is not None and not isinstance(value, list):
            return value
        link = value if value is not None else next((v for v in inputs.values() if isinstance(v, list)), None)
    return None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _pair(width: object, height: object) -> tuple[int, int] | None:
    return (width, height) if type(width) is int and type(height) is int else None


def _carried(
    dialect: str,
    *,
    prompt: str,
    negative: str,
    seed: object,
    size: tuple[int, int] | None,
    model: str,
    rest: Mapping[str, object],
) -> ForeignRecipe:
    remarks: list[str] = []
    networks = _NETWORK.findall(prompt)
    if networks:
        prompt = re.sub(r"[ \t]{2,}", " ", _NETWORK.sub("", prompt)).strip(" ,")
        remarks += [f"{network} (Wan 2.6 loads no networks)" for network in networks]
    if len(prompt) > PROMPT_MAX_CHARACTERS:
        remarks.append(
            f"the prompt's length: {len(prompt)} characters, {PROMPT_MAX_CHARACTERS} are allowed; shorten it"
        )
    if len(negative) > NEGATIVE_PROMPT_MAX_CHARACTERS:
        limit = NEGATIVE_PROMPT_MAX_CHARACTERS
        remarks.append(f"the negative prompt's length: {len(negative)} characters, {limit} are allowed; shorten it")
    usable_seed = _seed(seed)
    if seed not in (None, "") and usable_seed is None:
        remarks.append(f"seed = {_short(seed)} (Wan 2.6 takes 0 to {SEED_MAX})")
    usable_size = _size(size)
    if size and usable_size is None:
        remarks.append(f"size = {size[0]}x{size[1]} (Wan 2.6 makes 768×768 to 1280×1280 pixels in total, 1:4 to 4:1)")
    if model:
        remarks.append(f"model = {_short(model)} (Wan 2.6 takes its place)")
    remarks += [f"{_short(key)} = {_short(value)}" for key, value in rest.items()]
    if len(remarks) > _MAX_REMARKS:
        remarks = [*remarks[:_MAX_REMARKS], f"and {len(remarks) - _MAX_REMARKS} more"]
    return ForeignRecipe(
        dialect=dialect,
        prompt=prompt,
        negative_prompt=negative,
        seed=usable_seed,
        size=usable_size,
        model=model,
        not_carried=tuple(remarks),
    )


def _seed(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        value = int(value)
    return value if type(value) is int and 0 <= value <= SEED_MAX else None


def _size(size: tuple[int, int] | None) -> str | None:
    if size is None or min(size) < 1:
        return None
    fits = TOTAL_MIN_PX <= size[0] * size[1] <= TOTAL_1K_PX and ASPECT_MIN <= size[0] / size[1] <= ASPECT_MAX
    return f"{size[0]}x{size[1]}" if fits else None


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
