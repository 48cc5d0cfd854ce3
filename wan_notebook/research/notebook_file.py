"""A notebook's file as verification and bundles read it: its code, and the pictures that its outputs name.

It is read with the standard library alone, and nothing in it is trusted: the file may come from anybody.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import CellError, RecipeError

MAX_BYTES: Final = 512 * 1024 * 1024
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_JOB_ID: Final = re.compile(r"[0-9a-f]{6,40}\Z")
_HASHES_MAX: Final = 10_000
_FILES_TRIED_MAX: Final = 50


@dataclass(frozen=True, kw_only=True)
class NamedJob:
    """One job that an output names, with the SHA-256 of its pictures as the service sent them, in their order.

    ``job_id`` is empty for pictures that are named by hash alone (a comparison). ``left_off`` counts further jobs of
    the same output that it had no room to name. A picture that was not there yet has an empty hash.
    """

    cell: str
    job_id: str
    sha256: tuple[str, ...]
    left_off: int = 0


@dataclass(frozen=True)
class NotebookFile:
    """A notebook's content, parsed."""

    content: dict[str, Any]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells that are sound."""
        found = self.content.get("cells")
        return [cell for cell in found if isinstance(cell, dict)] if isinstance(found, list) else []

    @property
    def code(self) -> list[str]:
        """The text of each code cell."""
        return [source_of(cell) for cell in self.cells if cell.get("cell_type") == "code"]

    def without(self, cells_run: Collection[str]) -> "NotebookFile":
        """Return the notebook without the cells that a kernel has run since: they have other outputs now."""
        kept = [cell for cell in self.cells if source_of(cell).strip() not in cells_run]
        return NotebookFile({**self.content, "cells": kept})

    def named(self) -> list[NamedJob]:
        """Return what the outputs name, in their order; a cell is named by its prompt number or its position."""
        found: list[NamedJob] = []
        code_cells = [cell for cell in self.cells if cell.get("cell_type") == "code"]
        for ordinal, cell in enumerate(code_cells, 1):
            count = cell.get("execution_count")
            label = f"cell [{count}]" if type(count) is int else f"code cell {ordinal}"
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else ():
                found += _named_by(output, label)
        return found


def source_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, which is one string or a list of lines."""
    source = cell.get("source", "")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def read_notebook(path: Path) -> NotebookFile:
    """Read a notebook's file. Raise ``RecipeError`` if it cannot be read or is not a notebook."""
    hint = "Name a notebook's file (.ipynb); one of format 3 must be saved anew first."
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"{path} is larger than a notebook can be.")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror or type(error).__name__}).", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not a notebook: it is not JSON.", hint=hint) from error
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise RecipeError(f"{path} is not a notebook: it has no cells.", hint=hint)
    return NotebookFile(content)


def find_notebook(known: str, folder: Path, cells_run: Collection[str] = ()) -> Path:
    """Return this notebook's file: the one that the front end names, else the only one that can be meant.

    Parameters
    ----------
    known
        The path that the front end gave, or an empty text.
    folder
        Where the kernel runs.
    cells_run
        The texts of the cells that this kernel has run: of several files, it is the one that has them.

    Raises
    ------
    CellError
        If it cannot be told; the error lists what there is.
    """
    if known and (folder / known).is_file():
        return folder / known
    found = sorted(path for path in folder.glob("*.ipynb") if path.is_file() and not path.name.startswith("."))
    if len(found) == 1:
        return found[0]
    if (guess := _that_has(cells_run, found)) is not None:
        return guess
    hint = "Say which one it is: `%env JPY_SESSION_NAME=NAME.ipynb`, then repeat."
    if not found:
        raise CellError(f"there is no notebook (.ipynb) in {folder}.", hint=f"Save it there first. {hint}")
    listed = ", ".join(path.name for path in found[:5]) + (", …" if len(found) > 5 else "")
    raise CellError(f"{folder} has {len(found)} notebooks: {listed}; this one's name is not known.", hint=hint)


def _that_has(cells_run: Collection[str], paths: Sequence[Path]) -> Path | None:
    """Return the one file with most of these cells; None if it has less than half of them, or another as many."""
    counts = []
    for path in paths[:_FILES_TRIED_MAX] if cells_run else ():
        with suppress(RecipeError):
            counts.append((len({text.strip() for text in read_notebook(path).code}.intersection(cells_run)), path))
    counts.sort(key=lambda pair: -pair[0])
    if not counts or counts[0][0] * 2 < len(cells_run) or (len(counts) > 1 and counts[0][0] == counts[1][0]):
        return None
    return counts[0][1]


def _named_by(output: Any, cell: str) -> Iterator[NamedJob]:
    metadata = output.get("metadata") if isinstance(output, dict) else None
    wan = metadata.get("wan") if isinstance(metadata, dict) else None
    if not isinstance(wan, dict):
        return
    if hashes := _hashes(wan.get("sha256")):
        yield NamedJob(cell=cell, job_id="", sha256=hashes)
    jobs = wan.get("jobs")
    entries = [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    left_off = wan.get("jobs_left_off")
    for position, job in enumerate(entries):
        job_id = job.get("id")
        if isinstance(job_id, str) and _JOB_ID.match(job_id):
            is_last = position == len(entries) - 1 and type(left_off) is int
            left = max(0, left_off) if is_last and isinstance(left_off, int) else 0
            yield NamedJob(cell=cell, job_id=job_id, sha256=_hashes(job.get("sha256")), left_off=left)


def _hashes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(h for h in value[:_HASHES_MAX] if isinstance(h, str) and (not h or _SHA256.match(h)))
