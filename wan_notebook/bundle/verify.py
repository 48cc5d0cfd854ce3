"""Whether every picture that a notebook shows is present and unchanged, and how to get back what is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ..errors import StoreError
from ..folders import LEDGER_NAME, store_folder
from ..ledger import HistoryQuery, JobRow, Ledger, PictureRecord
from ..recipe import changed_in
from ..store import Store
from .document import Named, read_document
from .selection import get_jobs, matching

THREADS: Final = 2
"""Hashing leaves the interpreter's lock: two files at a time, as the measured gain ends there."""


class Finding(StrEnum):
    """What a check found."""

    OK = "present and unchanged"
    MISSING = "missing"
    CHANGED = "changed"
    RECIPE = "recipe changed"
    """The picture is as the service sent it, but what the file says about it is not as it was written."""
    UNKNOWN = "not in this store"
    NOT_FETCHED = "not fetched yet"


_CHANGED: Final = {"": Finding.OK, "picture": Finding.CHANGED, "recipe": Finding.RECIPE}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One picture that an output names: ``expr`` is what to paste, ``file`` its path in the store."""

    cell: str
    job_id: str
    expr: str
    finding: Finding
    file: str = ""
    hint: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it is present and unchanged."""
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
        count = len(self.checks)
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        if not count:
            return "no output names a picture: there is nothing to verify (were the outputs cleared?)"
        if self.is_ok:
            return f"{pictures}: {'present and unchanged' if count == 1 else 'all present and unchanged'}"
        bad = len(self.problems)
        return f"{bad} of {pictures} {'is' if bad == 1 else 'are'} missing or changed"


def verify_notebook(notebook: Path, env: Mapping[str, str], *, now: float) -> Verification:
    """Check a notebook's file against the store near it, without a kernel.

    Raises ``RecipeError`` for what is no notebook, ``LedgerError`` for a ledger that cannot be read.
    """
    named = read_document(notebook).named()
    folder = store_folder(notebook.absolute().parent, env)
    if not (folder / LEDGER_NAME).is_file():
        return verify(named, None, Store(folder), what=str(notebook), now=now)
    with Ledger.open(folder / LEDGER_NAME) as ledger:
        return verify(named, ledger, Store(folder), what=str(notebook), now=now)


def verify(named: Sequence[Named], ledger: Ledger | None, store: Store, *, what: str, now: float) -> Verification:
    """Check every picture that is named, by two hashes: as the service sent it, and of what the file says of itself."""
    finder = _Finder(ledger, named)
    wanted = list(_unique(finder.wanted(named)))
    notes = [] if ledger is not None or not wanted else [f"there is no ledger in {store.folder}"]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="wan-verify") as pool:
        checks = tuple(pool.map(lambda item: _check(item, store, now), wanted))
    return Verification(what=what, checks=checks, notes=(*notes, *finder.notes))


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One picture to check; without a record the store does not know it."""

    cell: str
    job_id: str
    idx: int
    sha256: str
    row: JobRow | None = None
    record: PictureRecord | None = None


class _Finder:
    """Finds the records of what outputs name."""

    def __init__(self, ledger: Ledger | None, named: Iterable[Named]) -> None:
        self._ledger = ledger
        self._rows = get_jobs(ledger, [item.job_id for item in named if item.job_id]) if ledger else {}
        self._by_hash: dict[str, tuple[JobRow, PictureRecord]] = {}
        self.notes: list[str] = []

    def wanted(self, named: Iterable[Named]) -> Iterator[_Wanted]:
        """Yield every picture that is named; those that are named by hash alone are looked for last."""
        by_hash = []
        for item in named:
            if item.job_id:
                yield from self._of_job(item)
            else:
                by_hash.append(item)
        for item in by_hash:
            for digest in filter(None, item.sha256):
                row, record = self._of_hash(digest)
                job_id, idx = (row.id, record.idx) if row and record else ("", 0)
                yield _Wanted(cell=item.cell, job_id=job_id, idx=idx, sha256=digest, row=row, record=record)

    def _of_job(self, item: Named) -> Iterator[_Wanted]:
        row = self._rows.get(item.job_id)
        records = {p.sha256: p for p in row.pictures if p.saved_at} if row else {}
        self._by_hash |= {digest: (row, record) for digest, record in records.items() if row}
        for idx, digest in enumerate(item.sha256):
            record = records.get(digest)
            if not digest and row is not None:  # it was not there when the output was made
                record = next((p for p in row.pictures if p.idx == idx), None)
            yield _Wanted(
                cell=item.cell,
                job_id=item.job_id,
                idx=record.idx if record else idx,
                sha256=digest or (record.sha256 if record else ""),
                row=row,
                record=record,
            )
        if item.left_off:
            yield from self._siblings(item, row)

    def _siblings(self, item: Named, row: JobRow | None) -> Iterator[_Wanted]:
        """Yield the pictures of jobs that the output had no room to name: the rest of the batch."""
        rest = self._ledger.batch(row.batch_id)[-item.left_off :] if self._ledger and row else []
        if len(rest) < item.left_off:
            self.notes.append(f"{item.cell} shows {item.left_off} more jobs than it can name: not all were checked")
        for sibling in rest:
            for record in sibling.pictures:
                if record.saved_at:
                    yield _Wanted(
                        cell=item.cell, job_id=sibling.id, idx=record.idx, sha256=record.sha256, row=sibling,
                        record=record,
                    )  # fmt: skip

    def _of_hash(self, digest: str) -> tuple[JobRow | None, PictureRecord | None]:
        if digest not in self._by_hash and self._ledger:
            for row in matching(self._ledger, HistoryQuery(include_trashed=True)):
                self._by_hash |= {p.sha256: (row, p) for p in row.pictures if p.saved_at}
                if digest in self._by_hash:
                    break
        return self._by_hash.get(digest, (None, None))


def _unique(wanted: Iterable[_Wanted]) -> Iterator[_Wanted]:
    seen = set()
    for item in wanted:
        key = (item.job_id, item.sha256, item.idx if not item.sha256 else 0)
        if key not in seen:
            seen.add(key)
            yield item


def _check(item: _Wanted, store: Store, now: float) -> Check:
    finding = _finding(item, store)
    file = item.record.file if item.record else ""
    expr = f"{item.job_id}[{item.idx}]" if item.job_id else f"picture {item.sha256[:12]}"
    hint = "" if finding is Finding.OK else _hint(finding, item, store, now)
    return Check(cell=item.cell, job_id=item.job_id, expr=expr, finding=finding, file=file, hint=hint)


def _finding(item: _Wanted, store: Store) -> Finding:
    record = item.record
    if record is None:
        return Finding.UNKNOWN
    if not record.saved_at:
        return Finding.NOT_FETCHED
    try:
        data = store.path(record.file).read_bytes()
    except (OSError, StoreError):
        return Finding.MISSING
    return _CHANGED[changed_in(data, record)]


def _hint(finding: Finding, item: _Wanted, store: Store, now: float) -> str:
    """Say how to get a picture back, the free and exact ways first."""
    row = item.row
    if finding is Finding.UNKNOWN:
        return "open the bundle that has it: `%wan bundle --open FILE.zip`, or set WAN_HOME to the store that made it"
    ways = []
    if finding is Finding.NOT_FETCHED:
        return f"`%wan resume` fetches it{_until(row, now)}"
    if finding is not Finding.MISSING and item.record:
        ways.append(f"move {store.path(item.record.file)} away, then")
    ways.append("open a bundle that has it (`%wan bundle --open FILE.zip`)")
    if until := _until(row, now):
        ways.append(f"or fetch it from the service, which keeps task {row.task_id if row else ''}{until},")
    again = "run it with --fresh"
    cost = "which draws it anew, for nothing" if row and row.simulated else "which is paid anew and may differ"
    ways.append(f"or go to {item.cell} and {again}, {cost}")
    return " ".join(ways)


def _until(row: JobRow | None, now: float) -> str:
    if row is None or row.expires_at is None or row.expires_at <= now or not row.task_id:
        return ""
    return f" until {dt.datetime.fromtimestamp(row.expires_at, tz=dt.UTC).astimezone():%d %b %H:%M}"


def named_of(rows: Iterable[JobRow], cell: str) -> list[Named]:
    """Return jobs as if an output named them."""
    return [
        Named(cell=cell, job_id=row.id, sha256=tuple(p.sha256 for p in row.pictures if p.saved_at), state=row.state)
        for row in rows
    ]


__all__ = ["Check", "Finding", "Verification", "named_of", "verify", "verify_notebook"]
