"""Whether every picture that a notebook shows is present and unchanged, and how to get back what is not."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..database import Database, JobRow, PictureRow
from ..display import Cell, Column, Table
from ..errors import StoreError
from ..session import Session
from ..storage import Storage
from ..text import pluralize
from .notebook_file import NamedJob, history_of, read_notebook
from .unbundle import change_of

_BUNDLE: Final = "open a bundle that has it (`%wan bundle --open FILE.zip`)"
_ANEW: Final = f"{_BUNDLE} or run its cell with --fresh, which is paid anew and may differ"
_UNKNOWN: Final = "not in this store"
_HINTS: Final = {
    "missing": _ANEW,
    "changed": f"move the file away, then {_ANEW}",
    "metadata changed": f"move the file away, then {_ANEW}",
    "not fetched yet": "`%wan resume` fetches it",
    _UNKNOWN: f"{_BUNDLE}, or set WAN_HOME to the folder that made it",
}


class Check(NamedTuple):
    """One picture that an output names: ``expression`` is what to paste, ``file`` its path in the store."""

    cell: str
    expression: str
    finding: str
    """What is wrong with it; empty if it is present and unchanged."""
    file: str = ""

    @property
    def hint(self) -> str:
        """How to get the picture back."""
        return _HINTS[self.finding]


class Verification(NamedTuple):
    """All checks of one notebook, in the order of its cells; a picture that is shown twice is checked once."""

    what: str
    checks: Sequence[Check]

    @property
    def problems(self) -> list[Check]:
        """The pictures that are not as they should be."""
        return [check for check in self.checks if check.finding]

    @property
    def summary(self) -> str:
        """The result in a few words."""
        if not self.checks:
            return "no output names a picture: there is nothing to verify (were the outputs cleared?)"
        pictures, wrong = pluralize(len(self.checks), "picture"), len(self.problems)
        return f"{wrong} of {pictures} missing or changed" if wrong else f"{pictures}: present and unchanged"

    def table(self) -> Table:
        """Return what is wrong as a table."""
        return Table(
            title=self.summary,
            facts=[self.what],
            columns=[
                *(Column(title=title) for title in ("Cell", "Picture", "Found")),
                Column(title="File, and how to get it back", is_wide=True, is_whole=True),
            ],
            rows=[
                [check.cell, f"`{check.expression}`", check.finding, Cell(text=check.file, below=f"→ {check.hint}")]
                for check in self.problems[:400]
            ],
            tone="#2f9659" if not self.problems else "#d7494b",
        )


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
    StoreError
        If the file is not a notebook.
    """
    named = read_notebook(notebook).without(cells_run).named() if notebook else []
    what = notebook.name if notebook and (named or not shown) else "this kernel"
    project = session.known_project()
    if project is None:
        return Verification(what, [Check(item.cell, item.job_id, _UNKNOWN) for item in named])
    unsaved = project.database.jobs(set(shown) - {item.job_id for item in named})
    named += [_named(row, "this kernel") for row in unsaved.values()]
    found: dict[tuple[str, object], Check] = {}
    for item, job_id, position, record in _shown_pictures(project.database, named):
        index, sha256 = (record.index, record.sha256) if record else (position, item.sha256[position])
        expression = f"{job_id}[{index}]" if job_id else f"picture {sha256[:12]}"
        finding, file = _finding(record, project.storage), record.file if record else ""
        found.setdefault((job_id, sha256 or index), Check(item.cell, expression, finding, file))
    return Verification(what, [*found.values()])


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
        yield from _shown_pictures(database, [_named(one, item.cell) for one in item.others(database, row)])


def _finding(record: PictureRow | None, storage: Storage) -> str:
    if record is None or not record.saved_at:
        return _UNKNOWN if record is None else "not fetched yet"
    try:
        change = change_of(storage.read(record.file), record)
    except StoreError:
        return "missing"
    return {"picture": "changed", "metadata": "metadata changed"}.get(change, "")
