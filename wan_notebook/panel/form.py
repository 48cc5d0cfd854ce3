"""What the panel's fields hold, as plain data, and the ``%%wan`` cell that they stand for."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Self

from ..errors import CellError
from ..magics import CellText, cell_parser, split_negative, write_cell
from ..models import MODEL, MODELS
from ..text import did_you_mean
from ..validation import Mode, mode_for, size_text

LIMITS: Final = MODELS[MODEL]
_NUMBER_OR_NAME: Final = r"(?:\d{1,12}|[^\W\d]\w*)"
_SEEDS: Final = re.compile(rf"{_NUMBER_OR_NAME}(?:(?:\.\.\.?|…|,){_NUMBER_OR_NAME})*")
_SAME: Final = ("interleave", "n", "max_images", "seed", "watermark", "tags", "name")
"""Fields that a cell's options have under the same names."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The fields, named as the parameters of ``generate``.

    Texts are as typed: ``prompt``, ``negative_prompt`` and ``tags`` (separated by commas) may hold ``{names}``,
    ``seed`` may be ``5``, ``5..8`` or ``5,9``. ``images`` are what stands after ``-i``. An empty text leaves the
    choice to the service.
    """

    prompt: str = ""
    negative_prompt: str = ""
    images: tuple[str, ...] = ()
    interleave: bool = False
    size: str = ""
    n: int = 1
    max_images: int = LIMITS.max_images_default
    seed: str = ""
    prompt_extend: bool = True
    watermark: bool = False
    provider: str = ""
    tags: str = ""
    name: str = ""

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Self:
        """Read what the page holds; what cannot be read becomes the default."""
        return cls(**{field.name: _read(values.get(field.name), field.default) for field in fields(cls)})

    def with_fields(self, given: Mapping[str, Any]) -> Self:
        """Return the form with other values, in any type that ``generate`` takes. Raise ``CellError``."""
        known = asdict(Form())
        if unknown := [name for name in given if name not in known]:
            hint = did_you_mean(unknown[0], known) or f"Fields are: {', '.join(known)}."
            raise CellError(f"the panel has no field {unknown[0]}.", hint=hint)
        texts = {**given, "size": size_text(given.get("size"))}
        return replace(self, **{name: _read(texts[name], known[name]) for name in given})

    def with_cell(self, cell: str) -> Self:
        """Return the form with what a cell asks; the service stays."""
        line, _, body = cell.removeprefix("%%wan").partition("\n")
        options = cell_parser().read(line).options
        prompt, negative, _ = split_negative(body)
        read = {name: getattr(options, name) for name in _SAME}
        read |= {"prompt": prompt.strip(), "negative_prompt": options.negative or negative, "images": options.image}
        read |= {"size": options.size, "prompt_extend": options.prompt_extend is not False}
        return self.with_fields(read)

    @property
    def values(self) -> dict[str, Any]:
        """The fields as plain JSON."""
        return asdict(self) | {"images": list(self.images)}

    @property
    def mode(self) -> Mode:
        """What is asked for: it follows from the inputs."""
        return mode_for(self.images, interleave=self.interleave)

    @property
    def seeds(self) -> str | None:
        """What stands after ``--seed``; None for anything but numbers, names, ranges and lists of them."""
        text = "".join(self.seed.split())
        return text if _SEEDS.fullmatch(text) or not text else None

    @property
    def cell(self) -> CellText:
        """The cell that asks the same, without a seed that cannot be read."""
        is_illustrated = self.mode is Mode.ILLUSTRATED
        has_own_max = is_illustrated and self.max_images != LIMITS.max_images_default
        return write_cell(
            self.prompt.strip(),
            self.negative_prompt.strip(),
            images=self.images,
            n=1 if is_illustrated else self.n,
            interleave=self.interleave,
            max_images=self.max_images if has_own_max else None,
            size=self.size.strip(),
            seed=self.seeds,
            prompt_extend=False if self.mode is Mode.EDIT and not self.prompt_extend else None,
            watermark=self.watermark,
            name=self.name.strip(),
            tags=dict.fromkeys(tag for part in self.tags.split(",") if (tag := " ".join(part.split()))),
            provider=self.provider,
        )


def _read(value: Any, default: Any) -> Any:
    """Return a value in the type of its field; the default for None and for what is not a number."""
    if value is None:
        return default
    if isinstance(default, tuple):
        return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
    if type(default) is int:
        return int(value) if re.fullmatch(r"-?\d{1,6}", str(value), re.ASCII) else default
    if isinstance(value, list | tuple | range):  # several seeds or tags
        return ", ".join(map(str, value))
    return type(default)(value)
