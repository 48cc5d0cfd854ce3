"""What the panel's fields hold, as plain data, and the ``%%wan`` cell that they stand for."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Self

from ..errors import CellError, Problem
from ..magics import CellText, cell_parser, split_negative, write_cell
from ..models import MODEL, MODELS, RATIOS
from ..text import did_you_mean, one_line
from ..validation import Mode, mode_for, name_problem, parse_size, size_text

LIMITS: Final = MODELS[MODEL]
_MAGIC: Final = "%%wan"
_NUMBER_OR_NAME: Final = r"(?:\d{1,12}|[^\W\d]\w*)"
_SEEDS: Final = re.compile(rf"{_NUMBER_OR_NAME}(?:(?:\.\.\.?|…|,){_NUMBER_OR_NAME})*")
_SAME: Final = ("interleave", "n", "max_images", "seed", "watermark", "tags", "name")
"""Fields that a cell's options have under the same names."""
_SEED_HINT: Final = "Write a number, 5..8 or 5,9,12, or leave it empty for a new seed each time."


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
        """Read what the page holds; whatever is not a value of its field's kind becomes the default."""
        return cls(**{field.name: _read(values.get(field.name), field.default) for field in fields(cls)})

    def with_fields(self, given: Mapping[str, Any]) -> Self:
        """Return the form with other values, in any type that ``generate`` takes. Raise ``CellError``."""
        known = [field.name for field in fields(self)]
        if unknown := [name for name in given if name not in known]:
            hint = did_you_mean(unknown[0], known) or f"Fields are: {', '.join(known)}."
            raise CellError(f"the panel has no field {unknown[0]}.", hint=hint)
        texts = {**given, "size": size_text(given.get("size"))}
        return replace(self, **{name: _read(texts[name], getattr(Form, name)) for name in given})

    def with_cell(self, text: str) -> Self:
        """Return the form with what a cell asks; the service stays. Raise ``CellError`` for any other text."""
        first, _, body = text.strip().partition("\n")
        read = cell_parser().read(first.removeprefix(_MAGIC))
        if not first.startswith(_MAGIC) or read.problems:
            raise CellError("this is not a %%wan cell.", hint="Its first line begins with %%wan.")
        options = read.options
        prompt, negative, _ = split_negative(body)
        return self.with_fields(
            {
                "prompt": prompt.strip(),
                "negative_prompt": options.negative or negative,
                "images": options.image,
                "size": size_name(options.size or ""),
                "prompt_extend": options.prompt_extend is not False,
                **{name: getattr(options, name) for name in _SAME},
            }
        )

    @property
    def values(self) -> dict[str, Any]:
        """The fields as plain JSON."""
        return asdict(self) | {"images": list(self.images)}

    @property
    def mode(self) -> Mode:
        """What is asked for: it follows from the inputs."""
        return mode_for(self.images, interleave=self.interleave)

    @property
    def problems(self) -> list[Problem]:
        """What cannot be written into a cell; every other rule is the cell's own."""
        is_seed = _SEEDS.fullmatch("".join(self.seed.split()) or "0")
        found = [] if is_seed else [Problem("seed", "", f"{one_line(self.seed, 40)!r} is not a seed.", _SEED_HINT)]
        problem = name_problem(self.name.strip()) if self.name.strip() else None
        return [*found, problem] if problem else found

    @property
    def cell(self) -> CellText:
        """The cell that asks the same, without the fields that have ``problems``."""
        bad = {problem.field for problem in self.problems}
        is_illustrated = self.mode is Mode.ILLUSTRATED
        has_own_max = is_illustrated and self.max_images != LIMITS.max_images_default
        return write_cell(
            self.prompt.strip(),
            self.negative_prompt.strip(),
            images=self.images,
            n=1 if is_illustrated else self.n,
            interleave=self.interleave,
            max_images=self.max_images if has_own_max else None,
            size=self.size.strip() or None,
            seed=None if "seed" in bad else "".join(self.seed.split()) or None,
            prompt_extend=False if self.mode is Mode.EDIT and not self.prompt_extend else None,
            watermark=self.watermark,
            name="" if "name" in bad else self.name.strip(),
            tags=dict.fromkeys(tag for part in self.tags.split(",") if (tag := " ".join(part.split()))),
            provider=self.provider,
        )


def size_name(size: str) -> str:
    """Return the name of a size where it has one (``16:9``), else ``1000x800``."""
    found = parse_size(size)
    if not isinstance(found, tuple):
        return found or size
    return next((name for name, pixels in RATIOS.items() if pixels == found), f"{found[0]}x{found[1]}")


def _read(value: Any, default: Any) -> Any:
    """Return a value in the type of its field; the default for None and for what cannot be read."""
    if value is None:
        return default
    if isinstance(default, tuple):
        several = [value] if isinstance(value, str) else value
        return tuple(map(str, several)) if isinstance(several, list | tuple) else default
    if isinstance(default, int) and not isinstance(default, bool):
        text = str(value).strip("() ")
        return int(text) if re.fullmatch(r"-?\d{1,6}", text, re.ASCII) else default
    if isinstance(value, list | tuple | range):  # several seeds or tags
        return ", ".join(map(str, value))
    return type(default)(value)
