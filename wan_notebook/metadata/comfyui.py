"""ComfyUI's graphs: from a sampler back along the links to its texts, seed and size.

Only nodes whose effect on a text is known are followed. One unknown node on the way leaves the text empty, with a note
on what was found: half a prompt is a wrong prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Names of inputs, in the order in which they are looked for.
_ENCODER_TEXTS: Final = ("text", "text_g", "text_l", "t5xxl", "clip_g", "clip_l", "mt5xl", "bert", "prompt")
_COMBINED: Final = re.compile(r"conditioning(_?\w+)?|cond\d")
_STRINGS: Final = ("value", "string", "String", "text")
_NUMBERS: Final = ("seed", "noise_seed", "value", "int", "number", "Number")
_MAX_HOPS: Final = 60
_MAX_CHARS: Final = 20_000
_MAX_STEPS: Final = 20_000
"""A graph may be made to be followed for ever."""

Inputs = Mapping[str, Any]


def read_graph(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a graph says: prompt, negative, seed, size, the rest, and notes on what was not understood.

    ``nodes`` is a graph in the form in which it was run: node id → class and inputs; a link is ``[node id, output]``.
    """
    graph = _Graph({key: node for key, node in nodes.items() if isinstance(node, dict)})
    samplers = graph.samplers() if len(nodes) <= 2000 else []
    if not samplers:
        kinds = ", ".join(sorted({str(node.get("class_type")) for node in graph.nodes.values()})[:8])
        return {"notes": [f"its graph of {len(nodes)} nodes has no sampler that is known ({kinds})"]}
    sampler, settings = samplers[0], ("steps", "cfg", "sampler_name", "scheduler", "denoise")
    rest = {name: sampler[name] for name in settings if isinstance(sampler.get(name), str | int | float)}
    rest["workflow"] = f"{len(nodes)} nodes"
    texts = list(dict.fromkeys(map(graph.texts, samplers)))
    if len(texts) > 1:
        shown = " | ".join(prompt for prompt, _ in texts)
        note = f"its samplers have different texts, and which made this picture is not said: {shown}"
        return {"rest": rest, "notes": [note, *graph.notes]}
    given = next((sampler[name] for name in ("seed", "noise_seed", "noise") if name in sampler), None)
    seed = graph.number(given)
    graph.notes += ["the seed is not understood"] if seed is None and given is not None else []
    said = {"prompt": texts[0][0], "negative": texts[0][1], "seed": seed, "size": graph.size(sampler)}
    return {**said, "rest": rest, "notes": graph.notes}


@dataclass
class _Graph:
    nodes: Mapping[str, Inputs]
    notes: list[str] = field(default_factory=list)
    steps: int = 0

    def inputs(self, key: str) -> Inputs:
        found = self.nodes.get(key, {}).get("inputs")
        return found if isinstance(found, dict) else {}

    def samplers(self) -> list[Inputs]:
        """Return the inputs of the samplers that no other sampler feeds, and so decide what the picture shows."""
        found = {
            key: inputs
            for key in self.nodes
            if "latent_image" in (inputs := self.inputs(key)) and ("positive" in inputs or "guider" in inputs)
        }
        first = [inputs for inputs in found.values() if not self._upstream(inputs["latent_image"]).keys() & found]
        return first or list(found.values())

    def texts(self, sampler: Inputs) -> tuple[str, str]:
        """Return the prompt and the negative prompt of a sampler, empty if any node on the way is unknown."""
        guider = _link(sampler.get("guider"))
        source = sampler if "positive" in sampler or guider is None else self.inputs(guider[0])
        positive = [source[name] for name in ("positive", "conditioning", "cond1", "cond2") if name in source]
        prompt = self._text(positive or [sampler.get("guider")], "prompt")
        if not prompt and not self.notes:
            self.notes.append("no prompt was found")
        return prompt, self._text([source["negative"]] if "negative" in source else [], "negative prompt")

    def number(self, value: Any, *names: str, hops: int = 0) -> int | None:
        """Follow a number that is linked from other nodes."""
        link = _link(value)
        if link is None or hops > _MAX_HOPS:
            return value if type(value) is int else None
        inputs = self.inputs(link[0])
        is_plain = len(inputs) <= 3  # a node with more may calculate
        held = next((inputs[name] for name in (*_NUMBERS, *names) if name in inputs and is_plain), None)
        return self.number(held, *names, hops=hops + 1)

    def size(self, sampler: Inputs) -> tuple[int | None, ...]:
        """Return width and height of the empty latent picture that a sampler starts from."""
        behind = self._upstream(sampler["latent_image"]).values()
        inputs = next((found for found in behind if "width" in found), {})
        return tuple(self.number(inputs.get(name), name) for name in ("width", "height"))

    def _upstream(self, value: Any) -> dict[str, Inputs]:
        """Return the inputs of all nodes that a linked input comes from, the nearest first."""
        seen: dict[str, Inputs] = {}
        waiting = [value]
        for item in waiting:
            link = _link(item)
            if link is not None and link[0] not in seen:
                seen[link[0]] = self.inputs(link[0])
                waiting += seen[link[0]].values()
        return seen

    def _text(self, waiting: list[Any], what: str) -> str:
        """Return the texts behind conditionings, joined; empty, with a note, if one of them is not understood."""
        texts, unknown, seen = list[str](), list[str](), set[tuple[str, int]]()
        while waiting and self.steps < _MAX_STEPS:  # each output of a node is looked at once
            self.steps += 1
            link = _link(value := waiting.pop(0))
            key, slot = link or ("", 0)
            inputs, kind = self.inputs(key), str(self.nodes.get(key, {}).get("class_type", key))
            if link is None:
                unknown.append(repr(value))
            if link is None or link in seen or kind == "ConditioningZeroOut":
                continue
            seen.add(link)
            if slot in (0, 1) and "positive" in inputs and "negative" in inputs:  # each passes by its own output
                waiting.insert(0, inputs[("positive", "negative")[slot]])
            elif combined := [held for name, held in inputs.items() if _COMBINED.fullmatch(name) and _link(held)]:
                waiting[:0] = combined[:_MAX_HOPS]
            elif names := [name for name in _ENCODER_TEXTS if name in inputs and "TextEncode" in kind]:
                read = {name: self._string(inputs[name]) for name in names}
                texts += [text.strip() for text in read.values() if text is not None]
                unknown += [f"node {key} {kind}: {name}" for name, text in read.items() if text is None]
            elif "Reroute" in kind and len(inputs) == 1:
                waiting[:0] = inputs.values()
            else:
                unknown.append(f"node {key} {kind}")
        unknown += ["more links than are followed"] if waiting else []
        joined = ", ".join(dict.fromkeys(filter(None, texts)))
        found = f"; found on the way: {joined}" if joined else ""
        self.notes += [f"the {what} is not understood ({', '.join(unknown[:5])}){found}"] if unknown else []
        return "" if unknown else joined

    def _string(self, value: Any, hops: int = 0) -> str | None:
        """Follow a text that is linked from other nodes; None if one of them may change it in an unknown way."""
        link = _link(value)
        self.steps += 1
        if link is None or hops > _MAX_HOPS or self.steps > _MAX_STEPS:
            return value if isinstance(value, str) else None
        inputs = self.inputs(link[0])
        parts = sorted(name for name in inputs if re.fullmatch(r"(?:string|text)_?[a-z1-9]", name))
        if 1 < len(parts) < 20:
            texts = [self._string(inputs[name], hops + 20) for name in parts]
            joined = str(inputs.get("delimiter", "")).join(text or "" for text in texts)
            return None if None in texts or len(joined) > _MAX_CHARS else joined
        names = [name for name in _STRINGS if name in inputs]
        others = [name for name, held in inputs.items() if name not in names and (isinstance(held, str) or _link(held))]
        return self._string(inputs[names[0]], hops + 1) if len(names) == 1 and not others else None


def _link(value: Any) -> tuple[str, int] | None:
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int
    return (str(value[0]), value[1]) if is_link else None
