"""Whether every picture that a notebook shows is present and unchanged, and how to get back what is not."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from ..database import Database, HistoryQuery, JobRow, PictureRow
from ..display import Cell, Column, Table, format_time
from ..errors import StoreError
from ..session import Session
from ..storage import Storage
from ..text import pluralize
from .notebook_file import NamedJob, matching, read_notebook
from .unbundle import change_of

_ROWS_MAX: Final = 400
_GREEN: Final = "#2f9659"
_RED: Final = "#d7494b"


class Finding(StrEnum):
    """What a check found."""

    OK = "present and unchanged"
    MISSING = "missing"
    CHANGED = "changed"
    METADATA = "metadata changed"
    """The picture is as the service sent it, but what the file says about it is not as it was written."""
    UNKNOWN = "not in this store"
    NOT_FETCHED = "not fetched yet"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One picture that an output names: ``expression`` is what to paste, ``file`` its path in the store."""

    cell: str
    job_id: str
    expression: str
    finding: Finding
    file: str = ""
    hint: str = ""

    @property
    def is_ok(self) -> bool:
        return self.finding is Finding.OK


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All checks of one notebook, in the order of its cells; a picture that is shown twice is checked once."""

    what: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Check, ...]:
        """The pictures that are not as they should be."""
        return tuple(check for check in self.checks if not check.is_ok)

    @property
    def is_ok(self) -> bool:
        """Whether every picture is present and unchanged."""
        return not self.problems

    @property
    def summary(self) -> str:
        """One line about all of them."""
        count, bad = len(self.checks), len(self.problems)
        if not count:
            return "no output names a picture: there is nothing to verify (were the outputs cleared?)"
        pictures = pluralize(count, "picture")
        if self.is_ok:
            return f"{pictures}: {'present and unchanged' if count == 1 else 'all present and unchanged'}"
        return f"{bad} of {pictures} {'is' if bad == 1 else 'are'} missing or changed"

    def table(self, *, with_sound: bool = False) -> Table:
        """Return what is wrong as a table, with every picture on request."""
        shown = self.checks if with_sound else self.problems
        rows = [
            [
                Cell(text="✓" if check.is_ok else "✕", tone=_GREEN if check.is_ok else _RED),
                check.cell,
                f"`{check.expression}`",
                check.finding.value,
                Cell(text=check.file, below=f"→ {check.hint}" if check.hint else ""),
            ]
            for check in shown[:_ROWS_MAX]
        ]
        columns = [Column(title=title) for title in ("", "Cell", "Picture", "Found")]
        columns.append(Column(title="File, and how to get it back", is_wide=True))
        tone = _GREEN if self.is_ok else _RED
        return Table(title=self.summary, facts=[self.what], columns=columns, rows=rows, notes=self.notes, tone=tone)


class _Shown(NamedTuple):
    """One picture that an output names; without a record the store does not know it."""

    cell: str
    job_id: str
    position: int
    sha256: str
    row: JobRow | None
    record: PictureRow | None


def verify_notebook(
    session: Session, notebook: Path | None, *, shown: Sequence[str] = (), cells_run: Collection[str] | None = None
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
    named = read_notebook(notebook).without(cells_run or ()).named() if notebook else []
    what = notebook.name if notebook and (named or not shown) else "this kernel"
    project = session.known_project()
    if project is None:
        checks = [Check(cell=n.cell, job_id=n.job_id, expression=n.job_id, finding=Finding.UNKNOWN) for n in named]
        return Verification(what=what, checks=tuple(checks), notes=("there is no ledger here",) if named else ())
    unsaved = project.database.jobs(set(shown) - {item.job_id for item in named})
    named += [_named(row, "this kernel") for job_id, row in unsaved.items()]
    pictures, notes = _shown_pictures(project.database, named)
    distinct: dict[object, _Shown] = {}
    for item in pictures:
        distinct.setdefault((item.job_id, item.sha256, 0 if item.sha256 else item.position), item)
    now = session.wall_clock()
    checks = [_check(item, project.storage, now) for item in distinct.values()]
    return Verification(what=what, checks=tuple(checks), notes=tuple(notes))


def _named(row: JobRow, cell: str) -> NamedJob:
    return NamedJob(cell=cell, job_id=row.id, sha256=tuple(p.sha256 for p in row.pictures if p.saved_at))


def _shown_pictures(database: Database, named: Sequence[NamedJob]) -> tuple[list[_Shown], list[str]]:
    """Return every picture that is named, and notes; those that are named by hash alone come last."""
    rows = database.jobs(item.job_id for item in named if item.job_id)
    found, notes = [], []
    for item in named:
        row = rows.get(item.job_id)
        found += list(_of_job(item, row)) if item.job_id else []
        if item.left_off:  # the rest of the group, which the output had no room to name
            rest = database.group(row.group_id)[-item.left_off :] if row else []
            if len(rest) < item.left_off:
                notes.append(f"{item.cell} shows {item.left_off} more jobs than it can name: not all were checked")
            found += [picture for one in rest for picture in _of_job(_named(one, item.cell), one)]
    by_hash = {item.sha256: (item.row, item.record) for item in found if item.row and item.record}
    alone = [(item.cell, sha256) for item in named if not item.job_id for sha256 in filter(None, item.sha256)]
    if {sha256 for _, sha256 in alone} - by_hash.keys():
        for row in matching(database, HistoryQuery(include_trashed=True)):
            by_hash |= {picture.sha256: (row, picture) for picture in row.pictures if picture.saved_at}
    for cell, sha256 in alone:
        row, record = by_hash.get(sha256, (None, None))
        found.append(_Shown(cell, row.id if row else "", record.index if record else 0, sha256, row, record))
    return found, notes


def _of_job(item: NamedJob, row: JobRow | None) -> Iterator[_Shown]:
    records = {picture.sha256: picture for picture in row.pictures if picture.saved_at} if row else {}
    for position, sha256 in enumerate(item.sha256):
        record = records.get(sha256)
        if not sha256 and row is not None:  # it was not there when the output was made
            record = next((picture for picture in row.pictures if picture.index == position), None)
        index, known = (record.index, record.sha256) if record else (position, "")
        yield _Shown(item.cell, item.job_id, index, sha256 or known, row, record)


def _check(item: _Shown, storage: Storage, now: float) -> Check:
    finding = _finding(item.record, storage)
    return Check(
        cell=item.cell,
        job_id=item.job_id,
        expression=f"{item.job_id}[{item.position}]" if item.job_id else f"picture {item.sha256[:12]}",
        finding=finding,
        file=item.record.file if item.record else "",
        hint=_hint(finding, item, storage, now),
    )


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


def _hint(finding: Finding, item: _Shown, storage: Storage, now: float) -> str:
    """Say how to get a picture back, the free and exact ways first."""
    row, record = item.row, item.record
    if finding is Finding.OK:
        return ""
    if row is None or record is None:
        return "open the bundle that has it: `%wan bundle --open FILE.zip`, or set WAN_HOME to the folder that made it"
    is_kept = bool(row.task_id) and row.expires_at is not None and row.expires_at > now
    until = f" until {format_time(row.expires_at)}" if is_kept else ""
    if finding is Finding.NOT_FETCHED:
        return f"`%wan resume` fetches it{until}"
    move = f"move {storage.path(record.file)} away, then " if finding is not Finding.MISSING else ""
    fetch = f" or fetch it from the service, which keeps task {row.task_id}{until}," if until else ""
    cost = "which draws it anew, for free" if row.is_simulated else "which is paid anew and may differ"
    bundle = "open a bundle that has it (`%wan bundle --open FILE.zip`)"
    return f"{move}{bundle}{fetch} or go to {item.cell} and run it with --fresh, {cost}"
