"""ComfyUI's graphs: from a sampler back along the links to its texts, seed and size.

Only nodes whose effect on a text is known are followed. One unknown node on the way leaves the text empty, with a note
on what was found: half a prompt is a wrong prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Names of inputs, in the order in which they are looked for.
_ENCODER_TEXTS: Final = (
    *("text", "text_g", "text_l", "t5xxl", "clip_g", "clip_l", "mt5xl", "bert", "prompt"),
    "populated_text",
)
_COMBINED: Final = re.compile(r"conditioning(_?\w+)?|cond\d")
_STRINGS: Final = ("value", "string", "String", "text")
_JOINED: Final = re.compile(r"(?:string|text)_?[a-z1-9]")
_NUMBERS: Final = ("seed", "noise_seed", "value", "int", "number", "Number")
_LATENTS: Final = ("samples", "latent", "latent_image")
_WIDTHS: Final = ("width", "empty_latent_width")
_MODELS: Final = ("ckpt_name", "unet_name", "model_name")
_SLOTS: Final = {"Efficient Loader": {1: "positive", 2: "negative"}, "Eff. Loader SDXL": {1: "positive", 2: "negative"}}
"""Which output is which text, where it is not the first two."""
_MAX_HOPS: Final = 60
_MAX_LINKS: Final = 500
_NUMBER_NODE_INPUTS: Final = 3

Node = Mapping[str, Any]
Link = tuple[str, int]


@dataclass
class Graph:
    """A graph in the form in which it was run: node id → class and inputs; a link is ``[node id, output]``."""

    nodes: Mapping[str, Node]
    notes: list[str] = field(default_factory=list)

    def samplers(self) -> list[Node]:
        """Return the inputs of the samplers that no other sampler feeds, and so decide what the picture shows."""
        all_inputs = {key: self._inputs(key) for key in self.nodes}
        found = {
            key: inputs
            for key, inputs in all_inputs.items()
            if "latent_image" in inputs and ("positive" in inputs or "guider" in inputs)
        }
        first = [inputs for inputs in found.values() if not self._upstream(inputs["latent_image"]) & found.keys()]
        return first or list(found.values())

    def texts(self, sampler: Node) -> tuple[str, str]:
        """Return the prompt and the negative prompt of a sampler, empty if any node on the way is unknown."""
        source = self._conditioned(sampler)
        positive = [source[name] for name in ("positive", "conditioning", "cond1", "cond2") if name in source]
        negative = [source["negative"]] if "negative" in source else []
        prompt = self._text(positive or [sampler["guider"]], "prompt")
        if not prompt and not self.notes:
            self.notes.append("no prompt was found")
        return prompt, self._text(negative, "negative prompt")

    def number(self, value: Any, names: tuple[str, ...] = _NUMBERS) -> int | None:
        """Follow a number that is linked from other nodes."""
        for _ in range(_MAX_HOPS):
            link = _link(value)
            if link is None:
                return value if type(value) is int else None
            inputs = self._inputs(link[0])
            is_plain = len(inputs) <= _NUMBER_NODE_INPUTS  # a node with more may calculate
            value = next((inputs[name] for name in names if name in inputs and is_plain), None)
        return None

    def size(self, sampler: Node) -> tuple[int | None, ...]:
        """Return width and height of the empty latent picture that a sampler starts from."""
        inputs = self._first_with(_WIDTHS, sampler, "latent_image", _LATENTS)
        width = next((name for name in _WIDTHS if name in inputs), "width")
        names = (width, width.replace("width", "height"))
        return tuple(self.number(inputs.get(name), (*_NUMBERS, name)) for name in names)

    def model(self, sampler: Node) -> str:
        """Return the name of the model, behind whatever patches it."""
        inputs = self._first_with(_MODELS, self._conditioned(sampler), "model", ("model",))
        return next((inputs[name] for name in _MODELS if isinstance(inputs.get(name), str)), "")

    def loras(self) -> list[str]:
        """Return the names of the networks that the graph loads."""
        names = (self._inputs(key).get("lora_name") for key in self.nodes)
        return [name for name in names if isinstance(name, str)]

    def _conditioned(self, sampler: Node) -> Node:
        """Return the inputs that hold texts and model: the sampler's own, or those of its guider."""
        return sampler if "positive" in sampler else self._behind(sampler.get("guider")) or sampler

    def _inputs(self, key: str) -> Node:
        inputs = self.nodes.get(key, {}).get("inputs")
        return inputs if isinstance(inputs, dict) else {}

    def _behind(self, value: Any) -> Node:
        link = _link(value)
        return self._inputs(link[0]) if link else {}

    def _first_with(self, wanted: tuple[str, ...], inputs: Node, name: str, onward: tuple[str, ...]) -> Node:
        for _ in range(_MAX_HOPS):
            inputs = self._behind(inputs.get(name))
            if any(key in inputs for key in wanted):
                return inputs
            name = next((key for key in onward if key in inputs), "")
        return {}

    def _upstream(self, value: Any) -> set[str]:
        """Return the ids of all nodes that a linked input comes from."""
        seen: set[str] = set()
        waiting = [value]
        while waiting:
            link = _link(waiting.pop())
            if link is not None and link[0] not in seen:
                seen.add(link[0])
                waiting += self._inputs(link[0]).values()
        return seen

    def _text(self, links: list[Any], what: str) -> str:
        """Return the texts behind conditionings, joined; empty, with a note, if one of them is not understood."""
        texts: list[str] = []
        unknown: list[str] = []
        seen: set[Link] = set()
        waiting = links[::-1]
        while waiting:  # each output of a node is looked at once
            link = _link(value := waiting.pop())
            if link is None or len(seen) > _MAX_LINKS:
                unknown.append(repr(value))
            elif link not in seen:
                seen.add(link)
                waiting += self._conditionings(link, texts, unknown)[::-1]
        joined = ", ".join(dict.fromkeys(filter(None, texts)))
        if not unknown:
            return joined
        found = f"; found on the way: {joined}" if joined else ""
        self.notes.append(f"the {what} is not understood ({', '.join(unknown[:5])}){found}")
        return ""

    def _conditionings(self, link: Link, texts: list[str], unknown: list[str]) -> list[Any]:
        """Gather the texts of one node, and return the conditionings that it passes on or combines."""
        key, slot = link
        inputs, kind = self._inputs(key), str(self.nodes.get(key, {}).get("class_type", key))
        is_encoder = "TextEncode" in kind or "WildcardEncode" in kind
        if kind == "ConditioningZeroOut":
            return []
        if "positive" in inputs and "negative" in inputs:  # both pass through, each by its own output
            value = inputs.get(_SLOTS.get(kind, {0: "positive", 1: "negative"}).get(slot, ""))
            if not isinstance(value, str) or kind not in _SLOTS:
                return [value]
            texts.append(value.strip())
        elif combined := [held for name, held in inputs.items() if _COMBINED.fullmatch(name) and _link(held)]:
            return combined
        elif is_encoder and (names := [name for name in _ENCODER_TEXTS if name in inputs]):
            for name in names:
                text = self._string(inputs[name])
                texts.append((text or "").strip())
                unknown += [f"node {key} {kind}: {name}"] if text is None else []
        elif "Reroute" in kind and len(inputs) == 1:
            return list(inputs.values())
        else:
            unknown.append(f"node {key} {kind}")
        return []

    def _string(self, value: Any, hops: int = 0) -> str | None:
        """Follow a text that is linked from other nodes; None if one of them may change it in an unknown way."""
        if isinstance(value, str) or hops > _MAX_HOPS:
            return value if isinstance(value, str) else None
        inputs = self._behind(value)
        if "populated_text" in inputs:  # a wildcard's text, filled in
            return self._string(inputs["populated_text"], hops + 1)
        parts = sorted(name for name in inputs if _JOINED.fullmatch(name))
        if 1 < len(parts) < 20:
            texts = [self._string(inputs[name], hops + 20) for name in parts]
            return None if None in texts else str(inputs.get("delimiter", "")).join(text or "" for text in texts)
        names = [name for name in _STRINGS if name in inputs]
        others = [name for name, held in inputs.items() if name not in names and (isinstance(held, str) or _link(held))]
        return self._string(inputs[names[0]], hops + 1) if len(names) == 1 and not others else None


def _link(value: Any) -> Link | None:
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int
    return (str(value[0]), value[1]) if is_link else None
