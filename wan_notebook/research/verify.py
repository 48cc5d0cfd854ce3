"""Whether every picture that a notebook shows is present and unchanged, and how to get back what is not."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ..database import Database, JobRow, PictureRow
from ..display import Cell, Column, Table
from ..errors import StoreError
from ..session import Session
from ..storage import Storage
from ..text import pluralize
from .notebook_file import NamedJob, history_of, read_notebook
from .unbundle import change_of

_ROWS_MAX: Final = 400


class Finding(StrEnum):
    """What a check found."""

    OK = "present and unchanged"
    MISSING = "missing"
    CHANGED = "changed"
    METADATA = "metadata changed"
    """The picture is as the service sent it, but what the file says about it is not as it was written."""
    UNKNOWN = "not in this store"
    NOT_FETCHED = "not fetched yet"


_BUNDLE: Final = "open a bundle that has it (`%wan bundle --open FILE.zip`)"
_ANEW: Final = f"{_BUNDLE} or run its cell with --fresh, which is paid anew and may differ"
_HINTS: Final = {
    Finding.MISSING: _ANEW,
    Finding.CHANGED: f"move the file away, then {_ANEW}",
    Finding.METADATA: f"move the file away, then {_ANEW}",
    Finding.UNKNOWN: f"{_BUNDLE}, or set WAN_HOME to the folder that made it",
    Finding.NOT_FETCHED: "`%wan resume` fetches it",
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One picture that an output names: ``expression`` is what to paste, ``file`` its path in the store."""

    cell: str
    expression: str
    finding: Finding
    file: str = ""

    @property
    def hint(self) -> str:
        """How to get the picture back; empty if it is sound."""
        return _HINTS.get(self.finding, "")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All checks of one notebook, in the order of its cells; a picture that is shown twice is checked once."""

    what: str
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[Check, ...]:
        """The pictures that are not as they should be."""
        return tuple(check for check in self.checks if check.finding is not Finding.OK)

    @property
    def is_ok(self) -> bool:
        """Whether every picture is present and unchanged."""
        return not self.problems

    @property
    def summary(self) -> str:
        """The result in a few words."""
        if not self.checks:
            return "no output names a picture: there is nothing to verify (were the outputs cleared?)"
        pictures = pluralize(len(self.checks), "picture")
        return (
            f"{pictures}: present and unchanged"
            if self.is_ok
            else f"{len(self.problems)} of {pictures} missing or changed"
        )

    def table(self) -> Table:
        """Return what is wrong as a table."""
        rows = [
            [check.cell, f"`{check.expression}`", check.finding.value, Cell(text=check.file, below=f"→ {check.hint}")]
            for check in self.problems[:_ROWS_MAX]
        ]
        columns = [Column(title="Cell"), Column(title="Picture"), Column(title="Found")]
        columns.append(Column(title="File, and how to get it back", is_wide=True))
        tone = "#2f9659" if self.is_ok else "#d7494b"
        return Table(title=self.summary, facts=[self.what], columns=columns, rows=rows, tone=tone)


def verify_notebook(
    session: Session, notebook: Path | None, *, shown: Sequence[str] = (), cells_run: Collection[str] = ()
) -> Verification:
    """Check every picture that a notebook's outputs name, and what this kernel shows.

    Parameters
    ----------
    session
        Whose folder holds the pictures.
    notebook
        The notebook's file; None where only the kernel is checked.
    shown
        Ids of the jobs that this kernel shows: the file may not be saved yet.
    cells_run
        The texts of the cells that this kernel has run; outputs of those in the file are older and are left out.

    Raises
    ------
    RecipeError
        If the file is not a notebook.
    """
    named = read_notebook(notebook).without(cells_run).named() if notebook else []
    what = notebook.name if notebook and (named or not shown) else "this kernel"
    project = session.known_project()
    if project is None:
        checks = [Check(cell=item.cell, expression=item.job_id, finding=Finding.UNKNOWN) for item in named]
        return Verification(what=what, checks=tuple(checks))
    unsaved = project.database.jobs(set(shown) - {item.job_id for item in named})
    named += [_named(row, "this kernel") for row in unsaved.values()]
    found: dict[tuple[str, object], Check] = {}
    for item, job_id, position, record in _shown_pictures(project.database, named):
        index, sha256 = (record.index, record.sha256) if record else (position, item.sha256[position])
        check = Check(
            cell=item.cell,
            expression=f"{job_id}[{index}]" if job_id else f"picture {sha256[:12]}",
            finding=_finding(record, project.storage),
            file=record.file if record else "",
        )
        found.setdefault((job_id, sha256 or index), check)
    return Verification(what=what, checks=tuple(found.values()))


def _named(row: JobRow, cell: str) -> NamedJob:
    return NamedJob(cell, row.id, tuple(picture.sha256 for picture in row.pictures if picture.saved_at))


def _shown_pictures(
    database: Database, named: Sequence[NamedJob]
) -> Iterator[tuple[NamedJob, str, int, PictureRow | None]]:
    """Yield every picture that is named, with its job's id, its position and, where the store knows it, its record."""
    rows = database.jobs(item.job_id for item in named if item.job_id)
    everything = () if all(item.job_id for item in named) else history_of(database, include_trashed=True)
    by_hash = {picture.sha256: (row.id, picture) for row in everything for picture in row.pictures if picture.saved_at}
    for item in named:
        row = rows.get(item.job_id)
        pictures = row.pictures if row else []
        for position, sha256 in enumerate(item.sha256):
            # A picture has no hash if it was not there when the output was made.
            found = (p for p in pictures if (p.sha256 == sha256 if sha256 else p.index == position))
            job_id, record = (item.job_id, next(found, None)) if item.job_id else by_hash.get(sha256, ("", None))
            yield item, job_id, position, record
        if row and item.stands_for_group:
            yield from _shown_pictures(database, [_named(one, item.cell) for one in database.group(row.group_id)])


def _finding(record: PictureRow | None, storage: Storage) -> Finding:
    if record is None:
        return Finding.UNKNOWN
    if not record.saved_at:
        return Finding.NOT_FETCHED
    try:
        change = change_of(storage.path(record.file).read_bytes(), record)
    except (OSError, StoreError):
        return Finding.MISSING
    return {"": Finding.OK, "picture": Finding.CHANGED}.get(change, Finding.METADATA)
