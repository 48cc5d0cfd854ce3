"""``ImageRequest``: what a person asks for, validated against every rule of WAN_API §1 and frozen.

One request is one prompt with its pictures and parameters. In text to image it may ask for several pictures; ``split``
turns it into the tasks that the service knows. All problems come back together in one ``RequestError``.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr, ValidationError, field_validator

from . import catalog as c
from .errors import RequestError
from .inputs import InputImage, PendingImage
from .rules import Mode, mode_of, rule_problems, type_problems, wire_size


class ImageRequest(BaseModel):
    """A request for pictures.

    ``size`` is ``1K``, ``2K``, ``W*H`` (also ``x`` and ``×``) in pixels, or a recommended ratio such as ``16:9``;
    None leaves it to the service. ``prompt_extend`` is the service's rewriting of the prompt (editing only; None means
    its default, on). ``max_images`` belongs to illustrated text. ``seed`` None means: a fresh one is chosen when sent.

    Raises ``RequestError`` with every problem.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    prompt: StrictStr
    images: tuple[InputImage | PendingImage, ...] = ()
    negative_prompt: StrictStr = ""
    size: StrictStr | None = None
    n: StrictInt = 1
    max_images: StrictInt | None = None
    interleave: StrictBool = False
    prompt_extend: StrictBool | None = None
    watermark: StrictBool = False
    seed: StrictInt | None = None
    model: StrictStr = c.MODEL

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            problems = type_problems(error)
            bad = {p.field for p in problems}
            readable = {k: v for k, v in data.items() if k in type(self).model_fields and k not in bad}
            partial = type(self).model_construct(**{"prompt": " ", **readable})
            problems += [p for p in rule_problems(partial) if p.field not in bad]
            raise RequestError(problems) from None
        if problems := rule_problems(self):
            raise RequestError(problems)

    @field_validator("n", "max_images", "seed", mode="before")
    @classmethod
    def _accept_any_integer(cls, value: object) -> object:
        # numpy's integers are integers to a person; True is not.
        if isinstance(value, bool | int) or value is None or not hasattr(value, "__index__"):
            return value
        try:
            return operator.index(value)
        except TypeError:  # an array of several
            return value

    @field_validator("images", mode="before")
    @classmethod
    def _accept_any_sequence(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @property
    def mode(self) -> Mode:
        """Edit, text to image, or illustrated text: it follows the input."""
        return mode_of(self)

    @property
    def is_pending(self) -> bool:
        """Whether it waits for another job's picture."""
        return any(isinstance(image, PendingImage) for image in self.images)

    @property
    def pictures_asked(self) -> int:
        """The most pictures it can make, which is the most it can be billed for."""
        if self.mode is Mode.ILLUSTRATED:
            return self.max_images or c.MAX_IMAGES_DEFAULT
        return self.n

    def replace(self, **changes: Any) -> Self:
        """Return a copy with changes, validated again; the very same if nothing changes."""
        if all(getattr(self, name, ...) is value for name, value in changes.items()):
            return self
        return type(self)(**{**dict(self), **changes})

    def split(self, seed: int) -> tuple[Self, ...]:
        """Return the service's tasks: seeds s … s+n−1 in text to image, else one task with seed s."""
        if self.mode is not Mode.TEXT_TO_IMAGE:
            return (self.replace(seed=seed),)
        return tuple(self.replace(n=1, seed=(seed + k) % (c.SEED_MAX + 1)) for k in range(self.n))

    def parameters(self) -> dict[str, Any]:
        """Return the service's ``parameters`` (§1): ``n`` always, each field only in the mode it belongs to."""
        shown: dict[str, Any] = {"enable_interleave": self.mode is not Mode.EDIT, "watermark": self.watermark}
        if self.mode is Mode.EDIT:
            shown |= {"n": self.n, "prompt_extend": self.prompt_extend is not False}
        elif self.mode is Mode.TEXT_TO_IMAGE:
            shown |= {"n": 1, "max_images": 1}
        else:
            shown |= {"n": 1, "max_images": self.pictures_asked}
        if (size := wire_size(self)) is not None:
            shown["size"] = size
        if self.negative_prompt:
            shown["negative_prompt"] = self.negative_prompt
        if self.seed is not None:
            shown["seed"] = self.seed
        return shown

    def canonical(self, *, with_seed: bool) -> dict[str, Any]:
        """Return what the request is, without names, tags or provider: the subject of a fingerprint."""
        parameters = self.parameters()
        if not with_seed:
            parameters.pop("seed", None)
        return {
            "model": self.model,
            "prompt": self.prompt,
            "images": [_identity(image) for image in self.images],
            "parameters": parameters,
        }

    def fingerprint(self, *, with_seed: bool) -> str:
        """Return the tagged hash of the canonical JSON; two requests that ask the same have the same."""
        return fingerprint(self.canonical(with_seed=with_seed))


class Fingerprint(StrEnum):
    """The two identities of a request (DESIGN: Replay)."""

    AS_ASKED = "asked"
    AS_SENT = "sent"


def canonical_json(value: Mapping[str, Any]) -> str:
    """Write JSON in the one form that is hashed: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(canonical: Mapping[str, Any]) -> str:
    """Hash a canonical request, tagged with its algorithm so that it can change one day."""
    digest = hashlib.sha256(canonical_json(canonical).encode("utf-8", "surrogatepass")).hexdigest()
    return f"wan1:sha256:{digest}"


def _identity(image: InputImage | PendingImage) -> str:
    if isinstance(image, PendingImage):
        return f"job:{image.job_id}[{image.index or 0}]"
    return image.identity
