"""``ImageRequest``: one prompt with its pictures and parameters, validated, frozen, and hashed.

The hash decides what is paid: the same request has the same hash for ever, so ``canonical`` and ``hash_of_canonical``
must not change by a single byte.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr, ValidationError

from .errors import Problem, RequestError
from .images import InputImage, PendingImage
from .models import MODEL
from .validation import (
    DEFAULT_TIER,
    Mode,
    Seeds,
    mode_for,
    parse_size,
    plain_integer,
    problems_of,
    record_of,
    size_text,
    type_problems,
)

_PLAIN: Final = {"n": plain_integer, "max_images": plain_integer, "seed": plain_integer, "size": size_text}
"""What is plain to a person: NumPy's integers, a size as a pair of numbers."""


class ImageRequest(BaseModel):
    """A valid request for pictures.

    In text to image a request may ask for several pictures; ``split`` turns it into the service's tasks.

    Parameters
    ----------
    prompt : str
        Description of the picture or of the edit; at most 2000 characters.
    images : sequence of InputImage or PendingImage
        Input pictures, 1 to 4 to edit, at most 1 for illustrated text.
    negative_prompt : str
        Description of what to avoid; at most 500 characters.
    size : str or (int, int), optional
        ``1K``, ``2K``, ``1280x720`` or ``(1280, 720)`` in pixels, or a recommended ratio such as ``16:9``.
        None leaves it to the service.
    n : int
        Number of pictures.
    max_images : int, optional
        Most pictures in illustrated text.
    interleave : bool
        Whether to make illustrated text.
    prompt_extend : bool, optional
        Whether the service rewrites the prompt (edits only; None means its default, on).
    watermark : bool
        Whether the service marks the picture as generated.
    seed : int, optional
        None means that a seed is drawn when the request is submitted.
    model : str
        Name of the model.

    Raises
    ------
    RequestError
        With every problem at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

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
    model: StrictStr = MODEL

    def __init__(self, **data: Any) -> None:
        data = {name: _PLAIN[name](value) if name in _PLAIN else value for name, value in data.items()}
        try:
            super().__init__(**data)
        except ValidationError as error:
            names = type(self).model_fields
            problems = type_problems(error)
            bad = {problem.field for problem in problems}
            readable = {name: value for name, value in data.items() if name in names and name not in bad}
            others = problems_of(type(self).model_construct(**{"prompt": " ", **readable}))
            raise RequestError([*problems, *(one for one in others if one.field not in bad)]) from None
        if problems := problems_of(self):
            raise RequestError(problems)

    @cached_property
    def mode(self) -> Mode:
        """Edit, text to image, or illustrated text; it follows from the input."""
        return mode_for(self.images, interleave=self.interleave)

    @property
    def pictures_asked(self) -> int:
        """The most pictures that it can make, and be billed for."""
        if self.mode is Mode.ILLUSTRATED:
            return self.max_images or record_of(self.model).max_images_default
        return self.n

    def replace(self, **changes: Any) -> Self:
        """Return a copy with changes, validated again; the very same object if nothing changes."""
        if all(getattr(self, name, ...) == value for name, value in changes.items()):
            return self
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    def split(self, seed: int) -> tuple[Self, ...]:
        """Return the service's tasks: seeds s … s+n−1 in text to image, else one task with seed s."""
        if self.mode is not Mode.TEXT_TO_IMAGE:
            return (self.replace(seed=seed),)
        seeds = record_of(self.model).seed_max + 1
        return tuple(self.replace(n=1, seed=(seed + position) % seeds) for position in range(self.n))

    def parameters(self) -> dict[str, Any]:
        """Return the service's ``parameters`` (§1): ``n`` always, every other field only in its own mode."""
        mode = self.mode
        shown: dict[str, Any] = {"enable_interleave": mode is not Mode.EDIT, "watermark": self.watermark}
        if mode is Mode.EDIT:
            shown |= {"n": self.n, "prompt_extend": self.prompt_extend is not False}
        else:
            shown |= {"n": 1, "max_images": 1 if mode is Mode.TEXT_TO_IMAGE else self.pictures_asked}
        usual = DEFAULT_TIER if mode is Mode.EDIT else None
        size = usual if self.size is None else parse_size(self.size)
        if isinstance(size, tuple):
            size = f"{size[0]}*{size[1]}"
        elif size == DEFAULT_TIER and mode is Mode.TEXT_TO_IMAGE:
            size = "1280*1280"  # tiers are not documented there; without an input it can only mean this
        optional = {"size": size, "negative_prompt": self.negative_prompt or None, "seed": self.seed}
        return shown | {name: value for name, value in optional.items() if value is not None}

    def canonical(self, *, with_seed: bool) -> dict[str, Any]:
        """Return what identifies the request, without names, tags or provider: the subject of its hash."""
        parameters = {name: value for name, value in self.parameters().items() if with_seed or name != "seed"}
        images = [
            f"job:{image.job_id}[{image.index or 0}]" if isinstance(image, PendingImage) else image.identity
            for image in self.images
        ]
        return {"model": self.model, "prompt": self.prompt, "images": images, "parameters": parameters}

    def request_hash(self, *, with_seed: bool) -> str:
        """Return the tagged hash of the canonical request; equal requests have equal hashes."""
        return hash_of_canonical(self.canonical(with_seed=with_seed))


def fields_of(parameters: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Return the fields of a request from the ``parameters`` that it sent, without what editing has by default."""
    # These say something in one mode only, or have a place of their own.
    others = {"n", "prompt_extend", "max_images", "prompt", "negative_prompt", "images"}
    own: Mapping[str, set[str]] = {Mode.EDIT: {"n", "prompt_extend"}, Mode.ILLUSTRATED: {"max_images"}}
    names = ImageRequest.model_fields.keys() - others | own.get(mode, set())
    usual = {"size": "1K", "prompt_extend": True} if mode == Mode.EDIT else {}
    told = {name: value for name, value in parameters.items() if name in names and value not in (None, usual.get(name))}
    return told | {"interleave": mode == Mode.ILLUSTRATED}


def hash_of_canonical(canonical: Mapping[str, Any]) -> str:
    """Hash a canonical request: SHA-256 of its JSON with sorted keys, no spaces, in UTF-8, tagged ``wan1:sha256:``."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"wan1:sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def build_requests(
    fields: Mapping[str, Any], seeds: Seeds, problems: Sequence[Problem] = ()
) -> tuple[ImageRequest, ...]:
    """Return one request a seed. Raise ``RequestError`` with ``problems`` and everything found here, each once."""
    found = [*problems, *seeds.problems]
    requests = []
    for seed in seeds.values if not seeds.problems else seeds.values[:1]:
        try:
            requests.append(ImageRequest(**fields, seed=seed))
        except RequestError as error:
            found += error.problems
    if found:
        raise RequestError(list(dict.fromkeys(found)))
    return tuple(requests)
