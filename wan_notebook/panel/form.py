"""What stands in the panel's fields, as plain data, and the ``%%wan`` cell that it is. No widget is needed here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .. import catalog as c
from ..call_rules import name_problem
from ..errors import CellError, Problem
from ..line import read_line
from ..options import CELL_OPTIONS
from ..rules import Mode, parse_size
from ..template import literal, split_negative
from ..words import quote

MAGIC: Final = "%%wan"
_SEED_PART: Final = r"(?:\d{1,12}|[^\W\d]\w*)"
_SEED_RANGE: Final = rf"{_SEED_PART}(?:(?:\.\.\.?|…){_SEED_PART})?"
_SEEDS: Final = re.compile(rf"{_SEED_RANGE}(?:,{_SEED_RANGE})*")
# What an editor, a notebook file or IPython's prompt cleaning takes out of a cell.
_LOST: Final = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_CONSOLE_SIGN: Final = re.compile(r"^([ \t]*)(>>>|\.{3,}:|In \[)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Form:
    """The fields. ``images`` are expressions as they stand after ``-i``; empty texts leave a choice to the service."""

    prompt: str = ""
    negative: str = ""
    images: tuple[str, ...] = ()
    interleave: bool = False
    size: str = ""
    n: int = 1
    max_images: int = c.MAX_IMAGES_DEFAULT
    seed: str = ""
    rewrite: bool = True
    watermark: bool = False
    provider: str = ""
    tags: str = ""
    name: str = ""

    @property
    def mode(self) -> Mode:
        """Edit, text to image or illustrated text: it follows the input."""
        if self.interleave:
            return Mode.ILLUSTRATED
        return Mode.EDIT if self.images else Mode.TEXT_TO_IMAGE

    @property
    def is_seedless(self) -> bool:
        """Whether every run is to have a seed of its own."""
        return not self.seed.strip()


@dataclass(frozen=True)
class Cell:
    """The equivalent cell: the magic's line, the body, and what kept a field from being written into it."""

    line: str
    body: str
    problems: tuple[Problem, ...] = ()

    @property
    def text(self) -> str:
        """The whole cell, to paste."""
        return f"{MAGIC} {self.line}".rstrip() + (f"\n{self.body}" if self.body else "")


def cell_of(form: Form) -> Cell:
    """Write the cell that asks what the form asks; ``{names}`` stay as they were typed."""
    problems: list[Problem] = []
    options = [f"-i {text}" for text in form.images]
    options += _numbers(form)
    if form.size.strip():
        options.append(f"--size {quote(form.size.strip())}")
    options += _seed(form.seed, problems)
    if form.mode is Mode.EDIT and not form.rewrite:
        options.append("--no-rewrite")
    if form.watermark:
        options.append("--watermark")
    options += _name(form.name.strip(), problems)
    options += [f"--tag {quote(tag)}" for tag in tags_of(form.tags)]
    if form.provider:
        options.append(f"--provider {form.provider}")
    body, negative_option = _body(form)
    return Cell(" ".join([*options, *negative_option]), body, tuple(problems))


def tags_of(text: str) -> tuple[str, ...]:
    """Return the words of a comma-separated list, each once."""
    return tuple(dict.fromkeys(tag for part in text.split(",") if (tag := " ".join(part.split()))))


def form_of_cell(text: str, base: Form) -> Form:
    """Return a form with what a cell asks, with its name and tags; the service stays as it is in ``base``.

    Raises ``CellError`` for a text that is no ``%%wan`` cell.
    """
    first, _, body = text.strip().partition("\n")
    if not first.startswith(MAGIC):
        raise CellError("this is no %%wan cell.", hint="Its first line begins with %%wan.")
    read = read_line(first[len(MAGIC) :], CELL_OPTIONS)
    if read.problems:
        raise CellError(str(read.problems[0]))
    prompt, negative = split_negative(body)
    if word := read.word_of("negative"):
        negative = word.value
    size, seed = read.word_of("size"), read.word_of("seed")
    return replace(
        base,
        prompt=prompt.strip(),
        negative=negative or "",
        images=tuple(word.value for word in read.words_of("image")),
        interleave=bool(read.says("interleave")),
        size=size_name(size.value) if size else "",
        n=_count(read.word_of("n"), 1),
        max_images=_count(read.word_of("max_images"), c.MAX_IMAGES_DEFAULT),
        seed=seed.value if seed else "",
        rewrite=read.says("rewrite") is not False,
        watermark=bool(read.says("watermark")),
        tags=", ".join(word.value for word in read.words_of("tags")),
        name=name.value if (name := read.word_of("name")) else "",
    )


def size_name(size: str) -> str:
    """Return the name of a size where it has one (``16:9``), else the size with ``x``."""
    found = parse_size(size)
    if not isinstance(found, tuple):
        return found or size
    named = next((name for name, pixels in c.RATIOS.items() if pixels == found), "")
    return named or f"{found[0]}x{found[1]}"


# ----------------------------------------------------------------------------------------------------------------------


def _numbers(form: Form) -> list[str]:
    if form.mode is Mode.ILLUSTRATED:
        most = [] if form.max_images == c.MAX_IMAGES_DEFAULT else [f"--max-images {_number(form.max_images)}"]
        return ["--interleave", *most]
    return [] if form.n == 1 else [f"-n {_number(form.n)}"]


def _number(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"  # a bare -3 would be read as an option


def _seed(text: str, problems: list[Problem]) -> list[str]:
    compact = "".join(text.split())
    if not compact:
        return []
    if not _SEEDS.fullmatch(compact):
        hint = "Write a number, 5..8 or 5,9,12, or leave it empty for a new seed each time."
        problems.append(Problem("seed", text.strip()[:40], "is no seed.", hint))
        return []
    return [f"--seed {compact}"]


def _name(name: str, problems: list[Problem]) -> list[str]:
    if not name:
        return []
    why, hint = name_problem(name)
    if why:
        problems.append(Problem("--as", name[:40], why, hint))
        return []
    return [f"--as {name}"]


def _body(form: Form) -> tuple[str, Sequence[str]]:
    """Return the cell's text, and the negative prompt as an option where it cannot stand in the last line."""
    lines = [_kept(form.prompt.strip())]
    negative = form.negative.strip()
    if negative and _kept(negative) == negative and len(negative.splitlines()) == 1:
        return "\n".join([*lines, f"Negative prompt: {negative}"]), ()
    if split_negative(lines[0])[1] is not None:
        lines.append("Negative prompt:")  # an empty one, so that the prompt's own last line stays in the prompt
    return "\n".join(lines), [f"--negative {quote(negative)}"] if negative else ()


def _kept(text: str) -> str:
    text = _LOST.sub(lambda match: literal(match[0]), text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONSOLE_SIGN.sub(lambda match: match[1] + literal(match[2]), text)


def _count(word: object, default: int) -> int:
    text = getattr(word, "value", "").strip("()")
    return int(text) if re.fullmatch(r"-?\d{1,6}", text, re.ASCII) else default
