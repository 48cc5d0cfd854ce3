"""A request as an editable ``%%wan`` cell: the inverse of ``read_cell``, for Copy as cell and recall."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .errors import CellError, RequestError
from .evaluate import parse_expression
from .request import ImageRequest
from .template import escape, literal, split_negative
from .words import expression_at, has_image_suffix, is_space, looks_like_place, option_at, quote

_LOST: Final = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_EDGES: Final = re.compile(r"\A\s+|\s+\Z")
# IPython takes these away, older ones three dots alone too.
_CONSOLE_SIGN: Final = re.compile(r"^([ \t]*)(>>>|\.{3}(?=[ \t]|$)|\.{3,}:|In \[)", re.MULTILINE)


def cell_text(
    request: ImageRequest,
    *,
    image_expressions: Sequence[str],
    name: str = "",
    tags: Sequence[str] = (),
    seed: int | None,
) -> str:
    """Write the cell that ``read_cell`` reads back to an equal request; only what is not the default is written.

    ``image_expressions`` are what stands after ``-i``, one an input, or fewer where one gives several; ``seed`` is
    written if it is not None, whatever the request's own is.
    """
    options: list[str] = [f"-i {_image(text)}" for text in image_expressions]
    if request.n != 1:
        options.append(f"-n {request.n}")
    if request.interleave:
        options.append("--interleave")
    if request.max_images is not None:
        options.append(f"--max-images {request.max_images}")
    if request.size is not None:
        options.append(f"--size {quote(request.size)}")
    if seed is not None:
        options.append(f"--seed {seed}")
    if request.prompt_extend is not None:
        options.append("--rewrite" if request.prompt_extend else "--no-rewrite")
    if request.watermark:
        options.append("--watermark")
    if name:
        options.append(f"--as {name}")
    options += [f"--tag {quote(escape(tag))}" for tag in tags]
    body, negative_option = _body(request.prompt, request.negative_prompt)
    if negative_option:
        options.append(f"--negative {quote(escape(request.negative_prompt))}")
    return "\n".join([" ".join(["%%wan", *options]), *body])


def image_expression(text: str) -> str:
    """Return what to write after ``-i`` for a path or URL, quoted where it needs to be."""
    return _image(text) if _reads_as_one(text) else _quoted_path(text)


def _body(prompt: str, negative: str) -> tuple[list[str], bool]:
    """Return the lines of the text, and whether the negative prompt must be an option because it has several."""
    lines = [_kept(escape(prompt))]
    as_option = negative != negative.strip() or _kept(negative) != negative or len(negative.splitlines()) > 1
    if negative and not as_option:
        lines.append(f"Negative prompt: {escape(negative)}")
    elif split_negative(lines[0])[1] is not None:
        lines.append("Negative prompt:")  # an empty one, so that the prompt's own last line stays in the prompt
    return lines, bool(negative) and as_option


def _kept(text: str) -> str:
    """Write what an editor, the notebook or ``read_cell`` would take away as a field that gives it back."""
    text = _EDGES.sub(lambda match: literal(match[0]), text)
    text = _LOST.sub(lambda match: literal(match[0]), text)
    return _CONSOLE_SIGN.sub(lambda match: match[1] + literal(match[2]), text)


def _image(text: str) -> str:
    """Write an expression so that it is one word: in brackets if it has spaces, quoted if it is none."""
    if _reads_as_one(text):
        return text
    if has_image_suffix(text) or looks_like_place(text):
        return _quoted_path(text)
    try:
        parse_expression(text, "image")
    except RequestError:
        return _quoted_path(text)
    return f"({text})"


def _reads_as_one(text: str) -> bool:
    if not text or is_space(text[0]) or option_at(text, 0):
        return False
    try:
        word = expression_at(text, 0)
    except CellError:
        return False
    return word.end == len(text) and word.value == text


def _quoted_path(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"' if "'" in text or '"' not in text else f"'{text}'"
