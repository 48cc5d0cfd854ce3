"""A notebook as verification and bundles read it: its code, the pictures that its outputs name, the jobs behind them.

Nothing in the file is trusted: it may come from anybody.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from ..database import Database, HistoryQuery, JobRow
from ..errors import CellError, RecipeError
from ..text import pluralize

_MAX_BYTES: Final = 512 * 1024 * 1024
_FILES_TRIED_MAX: Final = 50
_PAGE_ROWS: Final = 1000

Hashes = Annotated[tuple[Annotated[str, Field(pattern="^([0-9a-f]{64})?$")], ...], Field(max_length=10_000)]


class _Job(BaseModel):
    id: str = Field(pattern="^[0-9a-f]{6,40}$")
    sha256: Hashes = ()


class _Shown(BaseModel):
    """What our outputs say in ``metadata.wan``."""

    sha256: Hashes = ()
    jobs: tuple[_Job, ...] = ()
    jobs_left_off: NonNegativeInt = 0


@dataclass(frozen=True, kw_only=True)
class NamedJob:
    """One job that an output names, with the SHA-256 of its pictures as the service sent them, in their order.

    ``job_id`` is empty for pictures that are named by hash alone (a comparison). ``left_off`` counts further jobs of
    the same output that it had no room to name. A picture that was not there yet has an empty hash.
    """

    cell: str
    job_id: str = ""
    sha256: tuple[str, ...] = ()
    left_off: int = 0


@dataclass(frozen=True)
class NotebookFile:
    """A notebook's content, parsed."""

    content: dict[str, Any]

    @property
    def code_cells(self) -> list[dict[str, Any]]:
        return [cell for cell in self.content["cells"] if cell.get("cell_type") == "code"]

    @property
    def code(self) -> list[str]:
        """The text of each code cell."""
        return [_source_of(cell) for cell in self.code_cells]

    def without(self, cells_run: Collection[str]) -> "NotebookFile":
        """Return the notebook without the cells that a kernel has run since: they have other outputs now."""
        kept = [cell for cell in self.content["cells"] if _source_of(cell).strip() not in cells_run]
        return NotebookFile({**self.content, "cells": kept})

    def named(self) -> list[NamedJob]:
        """Return what the outputs name, in their order; a cell is named by its prompt number or its position."""
        found: list[NamedJob] = []
        for ordinal, cell in enumerate(self.code_cells, 1):
            count, outputs = cell.get("execution_count"), cell.get("outputs")
            label = f"cell [{count}]" if type(count) is int else f"code cell {ordinal}"
            for output in outputs if isinstance(outputs, list) else ():
                with suppress(ValidationError, LookupError, TypeError):  # another program's output, or a damaged one
                    shown = _Shown.model_validate(output["metadata"]["wan"])
                    found += [NamedJob(cell=label, sha256=shown.sha256)] if shown.sha256 else []
                    jobs = [NamedJob(cell=label, job_id=job.id, sha256=job.sha256) for job in shown.jobs]
                    found += [*jobs[:-1], *(replace(last, left_off=shown.jobs_left_off) for last in jobs[-1:])]
        return found


def _source_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, which is one string or a list of lines."""
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def read_notebook(path: Path) -> NotebookFile:
    """Read a notebook's file. Raise ``RecipeError`` if it cannot be read or is not a notebook."""
    hint = "Name a notebook's file (.ipynb); one of format 3 must be saved anew first."
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RecipeError(f"{path} is larger than a notebook can be.")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror or type(error).__name__}).", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not a notebook: it is not JSON.", hint=hint) from error
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
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
    guesses = found if len(found) == 1 else _that_have(cells_run, found)
    if len(guesses) == 1:
        return guesses[0]
    hint = "Say which one it is: `%env JPY_SESSION_NAME=NAME.ipynb`, then repeat."
    if not found:
        raise CellError(f"there is no notebook (.ipynb) in {folder}.", hint=f"Save it there first. {hint}")
    listed = ", ".join(path.name for path in found[:5]) + (", …" if len(found) > 5 else "")
    raise CellError(f"{folder} has {len(found)} notebooks: {listed}; this one's name is not known.", hint=hint)


def _that_have(cells_run: Collection[str], paths: Sequence[Path]) -> list[Path]:
    """Return the files with most of these cells, and at least half of them."""
    counts: dict[Path, int] = {}
    for path in paths[:_FILES_TRIED_MAX] if cells_run else ():
        with suppress(RecipeError):
            counts[path] = len({text.strip() for text in read_notebook(path).code}.intersection(cells_run))
    most = max(counts.values(), default=0)
    return [path for path, count in counts.items() if count == most and count * 2 >= len(cells_run)]


# The jobs behind it --------------------------------------------------------------------------------------------------


def select_jobs(
    database: Database,
    shown: Sequence[str],
    *,
    tags: Sequence[str] = (),
    all_versions: bool = False,
    notebook: str = "",
) -> tuple[tuple[JobRow, ...], tuple[str, ...]]:
    """Return the jobs of ``shown``; without any, the newest result of each request of this notebook's history.

    They are finished, oldest first, and jobs whose pictures serve them as inputs come along. The notes are what a
    person should know about those that are not among them.

    Parameters
    ----------
    database
        The ledger.
    shown
        Ids of the jobs that outputs and kernel show.
    tags
        Keep those with every one of these tags.
    all_versions
        Add every other result of the same requests.
    notebook
        The notebook's path, where nothing is shown.

    Raises
    ------
    CellError
        If a job is still open, or if nothing is left.
    """
    rows = database.jobs(shown)
    found = [rows[job_id] for job_id in dict.fromkeys(shown) if job_id in rows and rows[job_id].trashed_at is None]
    missing = set(shown) - {row.id for row in found}
    notes = [f"job {job_id} is not here or in the trash: its cell cannot be replayed" for job_id in sorted(missing)]
    named = f"with the tag{'s' if len(tags) > 1 else ''} {' and '.join(tags)}" if tags else ""
    if tags:
        tagged = {row.id: row for row in matching(database, HistoryQuery(tags=tuple(tags)))}
        kept = [row for row in found if row.id in tagged]
        if kept and len(kept) < len(found):
            left = pluralize(len(found) - len(kept), "job")
            notes.append(f"{left} that the notebook shows are not {named}: their cells cannot be replayed")
        found = kept or _newest(tagged.values())
    elif not shown:
        # The whole history if no job says that it is of this notebook: not every front end tells its path.
        of_notebook = _newest(matching(database, HistoryQuery(notebook=notebook))) if notebook else []
        found = of_notebook or _newest(matching(database, HistoryQuery()))
    if open_ids := [row.id for row in found if not row.is_final]:
        message = f"{pluralize(len(open_ids), 'job')} not finished yet: {', '.join(open_ids[:5])}."
        raise CellError(message, hint="`%wan wait`, then repeat.")
    notes += [f"job {row.id} is {row.status}: its cell cannot be replayed" for row in found if not row.is_result]
    chosen: dict[str, JobRow] = {}
    waiting = [row for row in found if row.is_result]
    if all_versions:
        waiting += [version for row in waiting for version in _versions(database, row)]
    while waiting:  # jobs whose pictures are inputs of these come along: a cell may name them by id
        row = waiting.pop()
        chosen[row.id] = row
        sources = {record.source_job for record in row.inputs if record.source_job} - chosen.keys()
        waiting += [one for one in database.jobs(sources).values() if one.is_result and one.trashed_at is None]
    if not chosen:
        message = f"there is no finished picture {named}".rstrip()
        raise CellError(f"{message}.", hint="`%wan history` shows what there is.")
    return tuple(sorted(chosen.values(), key=lambda row: (row.created_at, row.id))), tuple(notes)


def matching(database: Database, query: HistoryQuery) -> Iterator[JobRow]:
    """Yield every job that a query matches, newest first."""
    offset = 0
    while rows := database.history(replace(query, offset=offset, limit=_PAGE_ROWS)).rows:
        yield from rows
        offset += len(rows)


def _versions(database: Database, row: JobRow) -> list[JobRow]:
    by_seed = row.request_hash == row.request_hash_with_seed
    return [one for one in database.results(row.request_hash, with_seed=by_seed) if one.is_result]


def _newest(rows: Iterable[JobRow]) -> list[JobRow]:
    return list({row.request_hash: row for row in reversed(list(rows)) if row.is_result}.values())
