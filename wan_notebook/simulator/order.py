"""A request that was accepted: everything its pictures depend on, in either dialect."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

Mode = Literal["edit", "interleave"]

FAIL_WORD = "[[fail]]"
EMPTY_WORD = "[[empty]]"
FEWER_WORD = "[[fewer]]"
_SECONDS_WORD = re.compile(r"\[\[seconds:([0-9]+(?:\.[0-9]+)?)\]\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Hold one accepted request; `inputs` are ids of stored input pictures, in order."""

    model: str
    mode: Mode
    prompt: str
    negative_prompt: str = ""
    inputs: tuple[str, ...] = ()
    width_px: int
    height_px: int
    images_n: int
    prompt_extend: bool = True
    watermark: bool = False
    seed: int

    @property
    def fails(self) -> bool:
        """Tell whether the task ends FAILED, as its prompt asks."""
        return FAIL_WORD in self.prompt

    @property
    def seconds(self) -> float | None:
        """Tell how long the prompt asks the task to take, if it does."""
        match = _SECONDS_WORD.search(self.prompt)
        return float(match[1]) if match else None

    def rng(self, *words: object) -> random.Random:
        """Make a generator that depends on this request, its seed and the given words only."""
        content = asdict(self)
        del content["model"], content["images_n"]  # neither the dialect nor the count may change a picture
        text = json.dumps([content, *map(str, words)], sort_keys=True)
        return random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311 (pictures, not secrets)

    def to_json(self) -> str:
        """Write this order for the state file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Read what `to_json` wrote."""
        content: dict[str, Any] = json.loads(text)
        content["inputs"] = tuple(content["inputs"])
        return cls(**content)


def images_made(prompt: str, mode: Mode, most_n: int, seed: int) -> int:
    """Decide how many pictures a request gets: all in editing, up to `most_n` in interleaved mode."""
    if EMPTY_WORD in prompt:
        return 0
    made = most_n
    if mode == "interleave":
        digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()
        made = min(most_n, 2 + digest[0] % 4)
    return max(1, made - 1) if FEWER_WORD in prompt else made
