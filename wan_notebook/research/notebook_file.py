"""A notebook as verification and bundles read it: its code, the pictures that its outputs name, the jobs behind them.

Nothing in the file is trusted: it may come from anybody.
"""

import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from ..database import FINAL, Database, HistoryQuery, JobRow
from ..errors import CellError, StoreError
from ..files import explained, read_file

_LINK: Final = re.compile(r"""(?:\b(?:href|src)=["']|\]\()(?!\w+:|//)([^\s"')#?]+)""")

Hashes = Annotated[tuple[Annotated[str, Field(pattern="^([0-9a-f]{64})?$")], ...], Field(max_length=10_000)]


class _Job(BaseModel):
    id: str = Field(pattern="^[0-9a-f]{6,40}$")
    sha256: Hashes = ()


class _Shown(BaseModel):
    """What our outputs say in ``metadata.wan``."""

    sha256: Hashes = ()
    jobs: tuple[_Job, ...] = ()
    jobs_left_off: NonNegativeInt = 0
    batch: str = Field("", max_length=40)


class NamedJob(NamedTuple):
    """A job that an output names, with the SHA-256 of its pictures as the service sent them, in their order.

    A picture that was not there yet has an empty hash. ``job_id`` is empty for pictures that are named by hash alone
    (a comparison). ``stands_for_group``: the output had no room to name the other jobs of the same call, or of
    ``batch``.
    """

    cell: str
    job_id: str
    sha256: tuple[str, ...]
    stands_for_group: bool = False
    batch: str = ""

    def others(self, database: Database, row: JobRow | None) -> list[JobRow]:
        """Return the jobs for which this one stands, as far as they are here."""
        if self.batch and self.stands_for_group:
            with suppress(StoreError):  # an opened bundle has the jobs, but no batches
                tasks = database.batch_tasks(database.batch(self.batch))
                return [*database.jobs(task.job_id for task in tasks).values()]
        return database.group(row.group_id) if row and self.stands_for_group else []


def ids_of(named: Sequence[NamedJob], database: Database) -> list[str]:
    """Return the ids of the jobs that outputs name, and of those for which these stand."""
    rows = database.jobs(item.job_id for item in named if item.job_id)
    groups = ((item.job_id, *(row.id for row in item.others(database, rows.get(item.job_id)))) for item in named)
    return [job_id for ids in groups for job_id in ids if job_id]


class NotebookFile(NamedTuple):
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
            count = cell.get("execution_count")
            label = f"cell [{count}]" if type(count) is int else f"code cell {ordinal}"
            for output in _outputs_of(cell):
                with suppress(ValidationError, LookupError, TypeError):  # another program's output, or a damaged one
                    shown = _Shown.model_validate(output["metadata"]["wan"])
                    found += [NamedJob(label, "", tuple(filter(None, shown.sha256)))] if shown.sha256 else []
                    found += [NamedJob(label, job.id, job.sha256) for job in shown.jobs]
                    if shown.jobs_left_off and shown.jobs:
                        found[-1] = found[-1]._replace(stands_for_group=True, batch=shown.batch)
        return found

    def dead_links(self, folder: PurePosixPath, files: Collection[str]) -> list[str]:
        """Return where Markdown cells and HTML outputs of a notebook in ``folder`` lead that is not in ``files``."""
        texts = [_source_of(cell) for cell in self.content["cells"] if cell.get("cell_type") == "markdown"]
        datas = [output.get("data") for cell in self.code_cells for output in _outputs_of(cell)]
        texts += [_source_of(data, "text/html") for data in datas if isinstance(data, dict)]
        links = dict.fromkeys(unquote(match[1]) for text in texts for match in _LINK.finditer(text))
        return [link for link in links if normpath(folder / link) not in files]


def _outputs_of(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    outputs = cell.get("outputs")
    return [output for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []


def _source_of(cell: Mapping[str, Any], name: str = "source") -> str:
    """Return a cell's text, which is one string or a list of lines."""
    source = cell.get(name, "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def read_notebook(path: Path) -> NotebookFile:
    """Read a notebook's file. Raise ``StoreError`` if it cannot be read or is not a notebook."""
    with explained(path, "read", "Name a notebook's file (.ipynb); one of format 3 must be saved anew first."):
        content = json.loads(read_file(path))
        cells = content.get("cells") if isinstance(content, dict) else None
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise ValueError("it is not a notebook")
    return NotebookFile(content)


def find_notebook(known: str, folder: Path) -> Path:
    """Return this notebook's file: the one that the front end names (``known``), else the only one in the folder.

    Raises ``CellError``, which lists what there is, if it cannot be told.
    """
    if known.endswith(".ipynb") and (folder / known).is_file():
        return folder / known
    found = sorted(path for path in folder.glob("[!.]*.ipynb") if path.is_file())
    if len(found) == 1:
        return found[0]
    listed = ", ".join(path.name for path in found[:5]) or "no notebook (.ipynb)"
    raise CellError(
        f"the name of this notebook is not known; {folder} has {listed}.",
        hint="Save it, say which one it is (`%env JPY_SESSION_NAME=NAME.ipynb`), then repeat.",
    )


def select_jobs(
    database: Database,
    shown: Sequence[str],
    *,
    tags: Sequence[str] = (),
    all_versions: bool = False,
    notebook: str = "",
) -> tuple[tuple[JobRow, ...], list[str]]:
    """Return finished jobs, oldest first, and the ids of those of ``shown`` that have no picture here.

    Jobs whose pictures serve them as inputs come along.

    Parameters
    ----------
    database
        The ledger.
    shown
        Ids of the jobs that outputs and kernel show; without any, it is the newest result of each request of the
        notebook, or of the whole history where no job says that it is of this notebook.
    tags
        Keep those with every one of these tags; if none has them, take the jobs of the history that do.
    all_versions
        Add every other result of the same requests.
    notebook
        The notebook's path.

    Raises
    ------
    CellError
        If a job is still open, or if nothing is left.
    """
    rows = database.jobs(shown)
    found = [rows[job_id] for job_id in dict.fromkeys(shown) if job_id in rows and rows[job_id].trashed_at is None]
    lost = sorted(set(shown) - {row.id for row in found if row.is_result or row.status not in FINAL})
    if tags:
        tagged = history_of(database, tags=tuple(tags))
        found = [row for row in found if row.id in {one.id for one in tagged}] or _newest(tagged)
    elif not shown:
        found = _newest(history_of(database, notebook=notebook)) or _newest(history_of(database))
    if open_ids := [row.id for row in found if row.status not in FINAL]:
        raise CellError(f"jobs not finished yet: {', '.join(open_ids[:5])}.", hint="`%wan wait`, then repeat.")
    for row in [*found] if all_versions else ():
        found += database.results(row.request_hash, with_seed=row.request_hash == row.request_hash_with_seed)
    chosen: dict[str, JobRow] = {}
    while found:  # jobs whose pictures are inputs of these come along: a cell may name them by id
        if (row := found.pop()).is_result and row.id not in chosen:
            chosen[row.id] = row
            sources = database.jobs(record.source_job for record in row.inputs if record.source_job)
            found += [source for source in sources.values() if source.trashed_at is None]
    if not chosen:
        raise CellError("there is no such finished picture.", hint="`%wan history` shows what there is.")
    return tuple(sorted(chosen.values(), key=lambda row: (row.created_at, row.id))), lost


def history_of(database: Database, **query: Any) -> tuple[JobRow, ...]:
    """Return every job that matches, newest first."""
    return database.history(HistoryQuery(limit=sys.maxsize, **query)).rows


def _newest(rows: Iterable[JobRow]) -> list[JobRow]:
    """Return the newest result of each request; the rows are the newest first."""
    return list({row.request_hash: row for row in reversed([*rows]) if row.is_result}.values())
