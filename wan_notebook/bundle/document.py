"""A notebook's file, as verification and bundles read it: its code, and the pictures that its outputs name.

Read with the standard library alone and believed in nothing: the file may come from anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import CellError, RecipeError

MAX_BYTES: Final = 512 * 1024 * 1024
"""Larger ones are not read: an output of ours has at most 400 KB."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_ID: Final = re.compile(r"[0-9a-f]{6,40}\Z")
_TRY_HASHES: Final = 10_000
_TRY_FILES: Final = 50


@dataclass(frozen=True, kw_only=True)
class Named:
    """One job that an output names, with the hashes of its pictures as the service sent them, in their order.

    ``job_id`` is empty for pictures that are named by hash alone (a comparison). ``left_off`` counts further jobs of
    the same output that it has no room to name. A picture that was not there yet has an empty hash.
    """

    cell: str
    job_id: str
    sha256: tuple[str, ...]
    state: str = ""
    left_off: int = 0


@dataclass(frozen=True)
class Document:
    """A notebook's content."""

    content: dict[str, Any]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells that are sound."""
        found = self.content.get("cells")
        return [cell for cell in found if isinstance(cell, dict)] if isinstance(found, list) else []

    def without(self, ran: Collection[str]) -> Document:
        """Return the cells whose text is none of these: what a kernel has run has other outputs now."""
        return Document({**self.content, "cells": [c for c in self.cells if source_of(c).strip() not in ran]})

    @property
    def code(self) -> list[str]:
        """The text of each code cell."""
        return [source_of(cell) for cell in self.cells if cell.get("cell_type") == "code"]

    def named(self) -> list[Named]:
        """Return what the outputs name, in their order."""
        found: list[Named] = []
        ordinal = 0
        for cell in self.cells:
            if cell.get("cell_type") != "code":
                continue
            ordinal += 1
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else ():
                if isinstance(output, dict):
                    found += _named_by(output, label_of(cell, ordinal))
        return found


def label_of(cell: Mapping[str, Any], ordinal: int) -> str:
    """Return how a person finds a cell: ``cell [7]`` by its prompt, else ``code cell 3`` counted from the top."""
    count = cell.get("execution_count")
    is_number = isinstance(count, int) and not isinstance(count, bool)
    return f"cell [{count}]" if is_number else f"code cell {ordinal}"


def source_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, which is one string or a list of lines."""
    source = cell.get("source", "")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def read_document(path: Path) -> Document:
    """Read a notebook's file. Raises ``RecipeError`` if it cannot be read or is no notebook."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"{path} is larger than a notebook can be.")
        data = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or type(error).__name__})."
        raise RecipeError(message, hint="Name a notebook's file (.ipynb).") from error
    return document_of(data, str(path))


def document_of(data: bytes, what: str) -> Document:
    """Parse a notebook's bytes. Raises ``RecipeError`` if they are none."""
    hint = "Name a notebook's file (.ipynb); one of version 3 must be saved anew first."
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{what} is no notebook: it is no JSON.", hint=hint) from error
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise RecipeError(f"{what} is no notebook: it has no cells.", hint=hint)
    return Document(content)


def find_notebook(known: str, folder: Path, ran: Collection[str] = ()) -> Path:
    """Return this notebook's file: the one that the front end names, else the only one that can be meant.

    ``ran`` are the texts of the cells that this kernel has run: of several files, it is the one that has them.
    Raises ``CellError`` that lists what there is.
    """
    if known:
        path = folder / known
        if path.is_file():
            return path
    found = sorted(p for p in folder.glob("*.ipynb") if p.is_file() and not p.name.startswith("."))
    if len(found) == 1:
        return found[0]
    if (guess := _that_has(ran, found)) is not None:
        return guess
    hint = "Say which one it is: `%env JPY_SESSION_NAME=NAME.ipynb`, then repeat."
    if not found:
        raise CellError(f"there is no notebook (.ipynb) in {folder}.", hint=f"Save it there first. {hint}")
    listed = ", ".join(p.name for p in found[:5]) + (", …" if len(found) > 5 else "")
    message = f"the front end does not say which notebook this is, and {folder} has {len(found)}: {listed}."
    raise CellError(message, hint=hint)


def _that_has(ran: Collection[str], paths: Sequence[Path]) -> Path | None:
    """Return the one file with most of these cells; None if it has less than half of them, or another as many."""
    counts = []
    for path in paths[:_TRY_FILES] if ran else ():
        with suppress(RecipeError):
            cells = {text.strip() for text in read_document(path).code}
            counts.append((len(cells.intersection(ran)), path))
    counts.sort(key=lambda pair: -pair[0])
    if not counts or counts[0][0] * 2 < len(ran) or (len(counts) > 1 and counts[0][0] == counts[1][0]):
        return None
    return counts[0][1]


def _named_by(output: Mapping[str, Any], cell: str) -> Iterator[Named]:
    metadata = output.get("metadata")
    wan = metadata.get("wan") if isinstance(metadata, dict) else None
    if not isinstance(wan, dict):
        return
    if hashes := _hashes(wan.get("sha256")):
        yield Named(cell=cell, job_id="", sha256=hashes)
    jobs = wan.get("jobs")
    entries = [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    left_off = wan.get("jobs_left_off")
    for position, job in enumerate(entries):
        job_id, state = job.get("id"), job.get("state")
        if not isinstance(job_id, str) or not _ID.match(job_id):
            continue
        is_last = position == len(entries) - 1 and isinstance(left_off, int) and not isinstance(left_off, bool)
        yield Named(
            cell=cell,
            job_id=job_id,
            sha256=_hashes(job.get("sha256")),
            state=state if isinstance(state, str) else "",
            left_off=max(0, left_off) if is_last and isinstance(left_off, int) else 0,
        )


def _hashes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(h for h in value[:_TRY_HASHES] if isinstance(h, str) and (not h or _SHA256.match(h)))
