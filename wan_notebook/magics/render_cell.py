"""Write a request, a job or a form as an editable ``%%wan`` cell that is read back as exactly the same."""

import argparse
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..database import BATCH_KEY, JobRow
from ..display import relative_path
from ..errors import RequestError
from ..images import looks_like_image
from ..jobs import Job
from ..metadata import ForeignMetadata, Metadata
from ..request import ImageRequest, fields_of
from ..session import Session
from ..storage import Storage
from ..template import escape, literal, parse_expression
from ..text import one_line, ranges
from .options import cell_parser
from .parser import EXPRESSIONS, LOCATION, flag_of, quote, split_line

_LOST: Final = re.compile(r"\A\s+|\s+\Z|[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]+")
"""White space at the edges, what an editor, a notebook file or IPython takes out of a cell, and what reorders it."""
_LINE_STARTS: Final = re.compile(  # IPython removes prompts of a console; the others begin a part of the text
    r"^([ \t]*)(>>>|\.{3}(?=[ \t]|$)|\.{3,}:|In \[|n(?=egative prompt[ \t]*[:：])|s(?=teps: \d))",
    re.MULTILINE | re.IGNORECASE,
)
_PLAIN_PATH: Final = re.compile(r"[\w.][\w./-]*")


class CellText(NamedTuple):
    """A cell: what follows ``%%wan`` in its first line, and the text below."""

    line: str
    body: str

    def __str__(self) -> str:
        return f"%%wan {self.line}".rstrip() + (f"\n{self.body}" if self.body else "")


def write_cell(
    prompt: str, negative: str = "", *, images: Iterable[str] = (), tags: Iterable[str] = (), **options: Any
) -> CellText:
    """Write a cell from its parts; only what is not the default is written.

    Texts and tags are templates: ``{name}`` stays a field, so ``escape`` what is literal. ``images`` are expressions or
    paths as they stand after ``-i``; ``options`` are named as in ``generate``, and ``seed`` is anything that ``--seed``
    takes.
    """
    words = [f"-i {_image_argument(text)}" for text in images]
    usual = {name: field.default for name, field in ImageRequest.model_fields.items()}
    for option in cell_parser().options:
        value = options.get(option.dest)
        if option.dest == "tags":
            words += [_option(option, tag) for tag in tags]
        elif value not in (None, "", usual.get(option.dest)):
            words.append(_option(option, value))
    body = _kept(prompt) + (f"\nNegative prompt: {_kept(negative)}" if negative else "")
    return CellText(" ".join(words), body)


def _option(option: "argparse.Action", value: Any) -> str:
    flag = option.option_strings[0]
    if isinstance(value, bool):
        return flag if value else f"--no-{flag.removeprefix('--')}"
    if option.type in EXPRESSIONS:
        return f"{flag} ({value})" if str(value).startswith("-") else f"{flag} {value}"
    return f"{flag} {quote(str(value))}"


def cell_of_row(request: ImageRequest, row: JobRow, folder: Path, *, seed: str = "") -> CellText:
    """Write the cell of a job, with inputs named so that it runs in any kernel; ``folder`` holds the pictures."""
    images = [
        _result(one.source_job, one.source_index) if one.source_job else quoted_path(relative_path(folder / one.file))
        for one in row.inputs
    ]
    images += [_result(pending.get("job"), pending.get("index")) for pending in row.pending_inputs]
    options = {field: value for field, value in request if field not in ("prompt", "negative_prompt")}
    name = "" if BATCH_KEY in row.versions else row.name  # of the batch, which is another thing
    options |= {"images": images, "seed": seed or row.seed, "name": name, "tags": map(escape, row.tags)}
    return write_cell(escape(request.prompt), escape(request.negative_prompt), **options)


def _result(job: Any, index: Any) -> str:
    """Name a picture of a job; other words of a foreign ledger would be run as code."""
    return f"{job}[{index or 0}]" if re.fullmatch(r"\w+(None|\d+)", f"{job}{index}") else "MISSING"


def cell_of_job(job: Job, session: Session) -> str:
    """Write the cell that asks for all of a job's pictures; empty where no single cell does, as for versions."""
    request, seeds = job.request, [seed for seed in job.seeds if seed is not None]
    if len(set(seeds)) != len(job.rows):
        return ""
    seed = ",".join(ranges(seeds, "..")).replace(" ", "")
    if request.limits.splits and seeds == list(range(seeds[0], seeds[0] + request.n)):
        seed = str(seeds[0])
    elif request.limits.splits:
        request = request.model_copy(update={"n": 1})
    return str(cell_of_row(request, job.rows[0], session.project().storage.folder, seed=seed))


def cell_of_metadata(found: Metadata | ForeignMetadata, session: Session) -> tuple[CellText, tuple[str, ...]]:
    """Write the cell of what a picture's metadata says, and notes on what could not be carried over.

    Nothing is guessed: an input that is not here is written as ``MISSING``, and an unknown prompt stays empty; both
    are refused when the cell is run.
    """
    texts = escape(found.prompt), escape(found.negative_prompt)
    if isinstance(found, ForeignMetadata):
        size = f"{found.width_px}x{found.height_px}" if found.width_px and found.height_px else None
        return write_cell(*texts, size=size, seed=found.seed), found.notes
    kept = {image: _kept_input(image.sha256, session.loader.folder) for image in found.inputs}
    missing = [f"{image.name} ({image.width_px}×{image.height_px})" for image in found.inputs if not kept[image]]
    images = [kept[image] or "MISSING" for image in found.inputs]
    cell = write_cell(*texts, images=images, **fields_of(found.parameters.model_dump(), found.mode, found.model))
    return cell, tuple(f"the input {one_line(name)} is not in this folder: name it" for name in missing)


def _kept_input(sha256: str, folder: Path) -> str:
    """Return the path of the kept copy of an input, from the notebook's folder, or an empty text."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):  # a picture's own words must not name another file
        return ""
    paths, holds = sorted((folder / "inputs").glob(f"{sha256[:16]}.*")), Storage(folder).holds
    return next((quoted_path(relative_path(path)) for path in paths if holds(f"inputs/{path.name}", sha256)), "")


def _image_argument(text: str) -> str:
    """Return an expression or a path as one word: with spaces an expression gets brackets, a path gets quotes."""
    if split_line(text) == [(text, 0, len(text), "")] and not flag_of(text):
        return text
    is_path = looks_like_image(text) or LOCATION.match(text) is not None
    with suppress(RequestError):
        if not is_path:
            parse_expression(text, "image")
            return f"({text})"
    return quoted_path(text)


def quoted_path(path: str) -> str:
    """Return what to write after ``-i`` for a path or URL, in quotes unless it needs none."""
    return path if _PLAIN_PATH.fullmatch(path) else '"' + path.replace('"', '\\"') + '"'


def _kept(text: str) -> str:
    """Write what would be lost or misread as a field that gives it back."""
    kept = _LOST.sub(lambda match: literal(match[0]), text)
    return _LINE_STARTS.sub(lambda match: match[1] + literal(match[2]), kept)
