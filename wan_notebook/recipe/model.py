"""The recipe of one picture as plain data, and as the JSON that is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from wan_notebook.money import Cost
from wan_notebook.recipe.names import public_name, without_places

SCHEMA: Final = "wan-notebook/recipe"
VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class RecipeInput:
    """One input picture by its hashes; a path or URL in its name is reduced to the last part."""

    name: str
    identity: str
    sha256: str
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", public_name(self.name))


@dataclass(frozen=True, kw_only=True)
class RecipeParameters:
    """What was sent as parameters (WAN_API §1); None is what was not sent."""

    size: str | None = None
    n: int | None = None
    max_images: int | None = None
    seed: int | None = None
    prompt_extend: bool | None = None
    watermark: bool | None = None
    enable_interleave: bool | None = None


@dataclass(frozen=True, kw_only=True)
class RecipePicture:
    """Which picture of its job this is, and the hash of its bytes as the service sent them."""

    index: int = 0
    count: int = 1
    sha256: str = ""
    width_px: int | None = None
    height_px: int | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that made one picture; never a key, a signed URL or a local path.

    ``parameters.seed`` is the seed of the task that made it, ``seeds`` those of all tasks of its job. ``times`` are
    ISO 8601 with a zone, under the names of the states they belong to.
    """

    model: str
    provider: str
    mode: str
    prompt: str
    negative_prompt: str = ""
    job_id: str = ""
    task_id: str = ""
    parameters: RecipeParameters = RecipeParameters()
    picture: RecipePicture = RecipePicture()
    seeds: tuple[int, ...] = ()
    inputs: tuple[RecipeInput, ...] = ()
    times: Mapping[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("times", "fingerprints", "versions"):
            cleaned = {key: without_places(value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, cleaned)
        for name in ("provider", "model", "job_id", "task_id"):
            object.__setattr__(self, name, without_places(getattr(self, name)))
        note = without_places(self.cost.note)
        object.__setattr__(self, "cost", Cost(self.cost.amount, self.cost.currency, self.cost.source, note))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with schema and version."""
        cost = self.cost
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "model": self.model,
            "provider": self.provider,
            "mode": self.mode,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "job_id": self.job_id,
            "task_id": self.task_id,
            "parameters": _present(self.parameters),
            "picture": _present(self.picture),
            "seeds": list(self.seeds),
            "inputs": [_present(image) for image in self.inputs],
            "times": dict(self.times),
            "cost": {
                "amount": None if cost.amount is None else f"{cost.amount:f}",
                "currency": cost.currency,
                "source": cost.source.value,
                "note": cost.note,
            },
            "fingerprints": dict(self.fingerprints),
            "versions": dict(self.versions),
        }

    def to_json(self, *, by_line: bool = False) -> str:
        """Return the JSON text, ``by_line`` a field a line; characters stay as they are, except what UTF-8 cannot hold.

        By line, not indented throughout: that the encoder in C cannot do, and the other one is ten times as slow.
        """
        fields_of = self.to_dict()
        text = _text(fields_of, by_line=by_line, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            return _text(fields_of, by_line=by_line, ensure_ascii=True)
        return text


def _text(content: Mapping[str, Any], *, by_line: bool, ensure_ascii: bool) -> str:
    if not by_line:
        return json.dumps(content, ensure_ascii=ensure_ascii, separators=(",", ":"))
    lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=ensure_ascii)}" for k, v in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _present(part: RecipeInput | RecipeParameters | RecipePicture) -> dict[str, Any]:
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    return {name: value for name, value in values.items() if value is not None}
