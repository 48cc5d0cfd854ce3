"""Whether every picture that a notebook shows is present and unchanged, and how to get back what is not."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..database import HistoryQuery
from ..display import Cell, Column, Table, format_time
from ..errors import StoreError
from ..text import pluralize
from .notebook_file import NamedJob, read_notebook
from .selection import matching
from .unbundle import change_of

if TYPE_CHECKING:
    from ..database import Database, JobRow, PictureRow
    from ..session import Session
    from ..storage import Storage

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
        columns = (
            Column(is_nowrap=True),
            Column(title="Cell", is_nowrap=True),
            Column(title="Picture", is_nowrap=True),
            Column(title="Found", is_nowrap=True),
            Column(title="File, and how to get it back", is_wide=True),
        )
        tone = _GREEN if self.is_ok else _RED
        return Table(title=self.summary, facts=[self.what], columns=columns, rows=rows, notes=self.notes, tone=tone)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One picture to check; without a record the store does not know it."""

    cell: str
    job_id: str
    index: int
    sha256: str
    row: "JobRow | None" = None
    record: "PictureRow | None" = None


def verify_notebook(
    session: "Session", notebook: Path | None, *, shown: Sequence[str] = (), cells_run: Collection[str] | None = None
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
    project = session.project(create=False)
    document = read_notebook(notebook) if notebook else None
    if document is not None and cells_run:
        document = document.without(cells_run)
    named = document.named() if document else []
    what = notebook.name if notebook and (named or not shown) else "this kernel"
    if project is None:
        checks = [Check(cell=n.cell, job_id=n.job_id, expression=n.job_id, finding=Finding.UNKNOWN) for n in named]
        return Verification(what=what, checks=tuple(checks), notes=("there is no ledger here",) if named else ())
    known = {item.job_id for item in named}
    rows = project.database.jobs([job_id for job_id in shown if job_id not in known])
    named += [
        NamedJob(cell="this kernel", job_id=row.id, sha256=tuple(p.sha256 for p in row.pictures if p.saved_at))
        for row in rows.values()
    ]
    finder = _Finder(project.database)
    wanted: dict[tuple[str, str, int], _Wanted] = {}
    for item in finder.wanted(named):
        wanted.setdefault((item.job_id, item.sha256, 0 if item.sha256 else item.index), item)
    now = session.wall_clock()
    checks = [_check(item, project.storage, now) for item in wanted.values()]
    return Verification(what=what, checks=tuple(checks), notes=tuple(finder.notes))


@dataclass
class _Finder:
    """Finds the records of what outputs name."""

    database: "Database"
    notes: list[str] = field(default_factory=list)
    by_hash: "dict[str, tuple[JobRow, PictureRow]]" = field(default_factory=dict)

    def wanted(self, named: Sequence[NamedJob]) -> Iterator[_Wanted]:
        """Yield every picture that is named; those that are named by hash alone are looked for last."""
        rows = self.database.jobs(item.job_id for item in named if item.job_id)
        for item in named:
            if item.job_id:
                yield from self._of_job(item, rows.get(item.job_id))
        for item in named:
            for sha256 in filter(None, item.sha256) if not item.job_id else ():
                row, record = self._of_hash(sha256)
                job_id, index = (row.id, record.index) if row and record else ("", 0)
                yield _Wanted(cell=item.cell, job_id=job_id, index=index, sha256=sha256, row=row, record=record)

    def _of_job(self, item: NamedJob, row: "JobRow | None") -> Iterator[_Wanted]:
        records = {p.sha256: p for p in row.pictures if p.saved_at} if row else {}
        self.by_hash |= {sha256: (row, record) for sha256, record in records.items() if row}
        for index, sha256 in enumerate(item.sha256):
            record = records.get(sha256)
            if not sha256 and row is not None:  # it was not there when the output was made
                record = next((p for p in row.pictures if p.index == index), None)
            yield _Wanted(
                cell=item.cell,
                job_id=item.job_id,
                index=record.index if record else index,
                sha256=sha256 or (record.sha256 if record else ""),
                row=row,
                record=record,
            )
        if item.left_off:  # the rest of the group, which the output had no room to name
            rest = self.database.group(row.group_id)[-item.left_off :] if row else []
            if len(rest) < item.left_off:
                self.notes.append(f"{item.cell} shows {item.left_off} more jobs than it can name: not all were checked")
            for one in rest:
                hashes = tuple(p.sha256 for p in one.pictures if p.saved_at)
                yield from self._of_job(NamedJob(cell=item.cell, job_id=one.id, sha256=hashes), one)

    def _of_hash(self, sha256: str) -> "tuple[JobRow | None, PictureRow | None]":
        if sha256 not in self.by_hash:
            for row in matching(self.database, HistoryQuery(include_trashed=True)):
                self.by_hash |= {p.sha256: (row, p) for p in row.pictures if p.saved_at}
                if sha256 in self.by_hash:
                    break
        return self.by_hash.get(sha256, (None, None))


def _check(item: _Wanted, storage: "Storage", now: float) -> Check:
    finding = _finding(item, storage)
    return Check(
        cell=item.cell,
        job_id=item.job_id,
        expression=f"{item.job_id}[{item.index}]" if item.job_id else f"picture {item.sha256[:12]}",
        finding=finding,
        file=item.record.file if item.record else "",
        hint="" if finding is Finding.OK else _hint(finding, item, storage, now),
    )


def _finding(item: _Wanted, storage: "Storage") -> Finding:
    record = item.record
    if record is None:
        return Finding.UNKNOWN
    if not record.saved_at:
        return Finding.NOT_FETCHED
    try:
        change = change_of(storage.path(record.file).read_bytes(), record)
    except (OSError, StoreError):
        return Finding.MISSING
    return {"": Finding.OK, "picture": Finding.CHANGED}.get(change, Finding.METADATA)


def _hint(finding: Finding, item: _Wanted, storage: "Storage", now: float) -> str:
    """Say how to get a picture back, the free and exact ways first."""
    row = item.row
    if finding is Finding.UNKNOWN or row is None:
        return "open the bundle that has it: `%wan bundle --open FILE.zip`, or set WAN_HOME to the folder that made it"
    is_kept = bool(row.task_id) and row.expires_at is not None and row.expires_at > now
    until = f" until {format_time(row.expires_at)}" if is_kept else ""
    if finding is Finding.NOT_FETCHED:
        return f"`%wan resume` fetches it{until}"
    move = (
        f"move {storage.path(item.record.file)} away, then " if finding is not Finding.MISSING and item.record else ""
    )
    fetch = f" or fetch it from the service, which keeps task {row.task_id}{until}," if until else ""
    cost = "which draws it anew, for free" if row.is_simulated else "which is paid anew and may differ"
    bundle = "open a bundle that has it (`%wan bundle --open FILE.zip`)"
    return f"{move}{bundle}{fetch} or go to {item.cell} and run it with --fresh, {cost}"
