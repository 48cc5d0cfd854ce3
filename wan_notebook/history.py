"""The history as a value: it shows itself as a table, gives jobs and pictures, and exports itself as data."""

import datetime as dt
import math
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, overload

from . import export as formats
from .database import Database, HistoryPage, HistoryQuery, JobRow
from .display import folders_of, history_table, table_bundle
from .errors import CellError, StoreError
from .export import By
from .jobs import Job, Picture
from .session import Session, default_session
from .text import pluralize
from .validation import plain_integer, refuse_unknown, shown_value

TABLE_ROWS: Final = 20
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(
    r"(?P<count>\d{1,5}|an?)?\s*(?P<unit>min(?:ute)?s?|h(?:our)?s?|d(?:ay)?s?|w(?:eek)?s?|m)(?:\s+ago)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class History:
    """The jobs that match a filter, newest first; ``wan.history`` makes one.

    It shows itself as a table of the newest 20. ``len``, iteration, indexing, ``pictures`` and the ``to_…`` methods
    cover every job that matches, unless a limit was given.

    Examples
    --------
    >>> best = wan.history(starred=True).pictures
    >>> wan.history(tag="poster", since="1 week").to_pandas(by="picture")
    >>> wan.history(starred=True).export("chosen/", csv=True)
    """

    session: Session
    query: HistoryQuery
    everywhere: bool = False
    limit: int | None = None

    @cached_property
    def page(self) -> HistoryPage:
        """The rows of the table, with the totals of everything that matches."""
        project = self.session.known_project()
        return project.database.history(self.query) if project else HistoryPage()

    @cached_property
    def rows(self) -> tuple[JobRow, ...]:
        """The ledger's rows, of this folder."""
        project = self.session.known_project()
        return self._rows_of(project.database) if project else ()

    def _rows_of(self, database: Database) -> tuple[JobRow, ...]:
        return database.history(replace(self.query, limit=self.limit or sys.maxsize, is_folded=False)).rows

    def __len__(self) -> int:
        return min(self.page.total_rows, self.limit or self.page.total_rows)

    def __iter__(self) -> Iterator[Job]:
        return (self.session.job_of_row(row, is_alone=True) for row in self.rows)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        try:
            rows = self.rows[index] if isinstance(index, slice) else (self.rows[index],)
        except (IndexError, TypeError):
            message = f"[{shown_value(index)}]: there are {pluralize(len(self.rows), 'job')}."
            raise CellError(message, hint="Count from 0: [0] is the newest.") from None
        jobs = [self.session.job_of_row(row, is_alone=True) for row in rows]
        return jobs if isinstance(index, slice) else jobs[0]

    @property
    def pictures(self) -> list[Picture]:
        """The saved pictures, without waiting; of ``starred=True`` those that have a star, or whose job has one."""
        found = [picture for job in self for picture in job.saved_pictures]
        return [p for p in found if not self.query.starred or p.row.is_starred or p.tracked.row.is_starred]

    def export(self, folder: str | Path, *, csv: bool = False, clean: bool = False) -> list[Path]:
        """Copy the pictures to a folder.

        Parameters
        ----------
        folder : str or Path
            Made if need be.
        csv : bool
            Also write ``pictures.csv``, one row a picture.
        clean : bool
            Leave the metadata out of the copies.

        Returns
        -------
        list of Path
            The files that were written.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        target, own, files, records = Path(folder).expanduser(), str(self.session.loader.folder), [], []
        for picture in self.pictures:
            try:
                name = picture.file.name if picture.data else ""
            except StoreError as error:  # an odd row or file must not hold up the others
                print(f"left out: {picture.tracked.id}[{picture.row.index}]: {error.message}", file=sys.stderr)  # noqa: T201
                continue
            files.append(picture.save(target / name, clean=clean))
            records.append(formats.record_of(picture.tracked.row, (picture.row,), own, "picture"))
        return [*files, formats.to_csv(records, target / "pictures.csv", "picture")] if csv else files

    def to_dicts(self, by: By = "job") -> list[dict[str, Any]]:
        """Return one flat record a job or a picture, newest first; of every folder with ``everywhere``.

        Times are Unix seconds, money is ``Decimal``, None is missing.
        """
        formats.columns_of(by)
        folders = folders_of(self.session, everywhere=self.everywhere)
        found = [(row, str(storage.folder)) for database, storage in folders for row in self._rows_of(database)]
        return [record for row, folder in found for record in formats.records_of(row, folder, by)]

    def to_pandas(self, by: By = "job") -> Any:
        """Return a pandas DataFrame, one row a job or (``by="picture"``) a picture.

        Times are UTC, money stays ``Decimal``. For Excel use ``to_excel``: it does not know time zones.

        Raises
        ------
        CellError
            Without the ``pandas`` extra.

        Examples
        --------
        >>> wan.history(tag="poster").to_pandas(by="picture").groupby("seed").size()
        """
        return formats.to_pandas(self.to_dicts(by), by)

    def to_excel(self, path: str | Path, by: By = "job") -> Path:
        """Write an Excel workbook, times local, and return its path. Raises ``CellError``, ``StoreError``."""
        return formats.to_excel(self.to_dicts(by), path, by)

    def to_parquet(self, path: str | Path, by: By = "job") -> Path:
        """Write a Parquet file, money as ``decimal128``, and return its path. Raises ``CellError``, ``StoreError``."""
        return formats.to_parquet(self.to_dicts(by), path, by)

    def to_csv(self, path: str | Path, by: By = "job") -> Path:
        """Write a CSV file in UTF-8 and return its path. Raises ``StoreError``."""
        return formats.to_csv(self.to_dicts(by), path, by)

    def to_jsonl(self, path: str | Path, by: By = "job") -> Path:
        """Write JSON Lines and return the path. Raises ``StoreError``."""
        return formats.to_jsonl(self.to_dicts(by), path, by)

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return table_bundle(history_table(self.session, self.query, everywhere=self.everywhere))

    def __repr__(self) -> str:
        jobs, pictures = pluralize(len(self), "job"), pluralize(self.page.pictures, "picture")
        return f"<History: {jobs}, {pictures}, {self.page.total}>"


def history(
    words: str = "",
    *,
    state: str | Sequence[str] | None = None,
    since: float | dt.date | dt.timedelta | str | None = None,
    until: float | dt.date | dt.timedelta | str | None = None,
    tag: str | Sequence[str] = (),
    notebook: str = "",
    user: str = "",
    seed: int | None = None,
    batch: str = "",
    starred: bool = False,
    running: bool = False,
    trash: bool = False,
    limit: int | None = None,
    everywhere: bool = False,
    session: Session | None = None,
    **unknown: object,
) -> History:
    """Return the jobs that match, newest first.

    Parameters
    ----------
    words : str
        Words that all occur in prompt, name, tags, seed or id.
    state : str or sequence of str, optional
        ``saved``, ``failed``, ``cancelled``, ``in_doubt``, ``not sent``, ``open``, …
    since, until : float, date, datetime, timedelta or str, optional
        From (inclusive) and to (exclusive): Unix seconds, a date (its local midnight) or datetime, or text such as
        ``2026-11-24``, ``today``, ``yesterday``, ``monday``, ``1 week``, ``7d``, ``12h``.
    tag : str or sequence of str
        A tag; of several a job must have every one.
    notebook, user : str
        Path of a notebook, name of a user.
    seed : int, optional
        A seed.
    batch : str
        The name of a batch, or its id. Without one the table has one line for all jobs of a batch.
    starred : bool
        Only jobs with a star, or with a picture that has one.
    running : bool
        Only jobs that are not over.
    trash : bool
        What is in the trash, instead of the rest.
    limit : int, optional
        The newest so many jobs; all without it.
    everywhere : bool
        The person's other folders too, in the table and in the data.
    session : Session, optional
        The session to use; this process's own by default.
    **unknown
        Nothing: a misspelled parameter is refused, with the nearest name.

    Returns
    -------
    History
        Shows itself as a table, and gives jobs, pictures and data.

    Raises
    ------
    CellError
        If a time or the limit is not valid, or a parameter is misspelled.
    StoreError
        If the ledger cannot be read, or a state is not known.

    Examples
    --------
    >>> wan.history("fox", since="yesterday")
    >>> for job in wan.history(starred=True): print(job.id, job.cost)
    """
    refuse_unknown(history, unknown)
    count = whole_number("limit", limit, 1) or sys.maxsize
    states = _texts("state", state)
    query = HistoryQuery(
        words=" ".join(_texts("words", words)),
        status=(*states, "open") if running else states or None,
        since=parse_since(since),
        until=parse_since(until),
        tags=_texts("tag", tag),
        notebook="".join(_texts("notebook", notebook)),
        user="".join(_texts("user", user)),
        seed=whole_number("seed", seed, 0),
        batch=(of_batch := "".join(_texts("batch", batch))),
        is_folded=not of_batch,
        starred=starred,
        only_trashed=trash,
        limit=min(count, TABLE_ROWS),
    )
    return History(session or default_session(), query, everywhere, limit)


def whole_number(name: str, value: Any, least: int) -> int | None:
    """Return a number that may be left out. Raise ``CellError`` for what is none, or too small."""
    number = plain_integer(value)
    if number is None or (type(number) is int and number >= least):
        return number
    message = f"{name} = {shown_value(value)}: must be a whole number, {least} or more."
    raise CellError(message, hint="Leave it out for no limit.")


def _texts(name: str, given: object) -> tuple[str, ...]:
    """Return one text or several; none for None. Raise ``CellError`` for anything else."""
    values: Any = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    if given is None or all(isinstance(value, str) for value in values):
        return () if given is None else values
    raise CellError(f"{name} = {shown_value(given)}: must be text.", hint="Several are a list of texts.")


def parse_since(when: object, now: float | None = None) -> float | None:
    """Read a moment in the past as Unix seconds; None stays None.

    Parameters
    ----------
    when
        Unix seconds, a ``date`` (its local midnight), ``datetime`` or ``timedelta`` (so long ago); or text: a day or
        moment in ISO form (also ``2026/11/24``), ``today``, ``yesterday``, a weekday (the last one), ``7d``,
        ``12h``, ``90 min``, ``1 week``.
    now : float, optional
        The present, in Unix seconds.

    Raises
    ------
    CellError
        For anything else.
    """
    present = dt.datetime.fromtimestamp(time.time() if now is None else now)  # noqa: DTZ006 - days are local
    with suppress(OverflowError, ValueError, OSError):  # of what no calendar has
        if when is None or (isinstance(when, int | float) and not isinstance(when, bool) and math.isfinite(when)):
            return when
        found = _moment_of_text(when.strip().lower(), present) if isinstance(when, str) else when
        if isinstance(found, dt.timedelta):
            found = present - found
        if isinstance(found, dt.date) and not isinstance(found, dt.datetime):
            found = dt.datetime.combine(found, dt.time())
        if isinstance(found, dt.datetime):
            return found.timestamp()
    hint = "Write for example 2026-11-24, today, yesterday, monday, 7d, 12h or '1 week'."
    raise CellError(f"{shown_value(when)} is not a valid time.", hint=hint)


def _moment_of_text(text: str, now: dt.datetime) -> dt.date | dt.timedelta | None:
    today = now.date()
    if text in ("today", "yesterday"):
        return today - dt.timedelta(days=text == "yesterday")
    for at, name in enumerate(_WEEKDAYS):
        if text in (name, name[:3]):
            return today - dt.timedelta(days=(today.weekday() - at) % 7)
    if (match := _AGO.fullmatch(text)) and (match["count"] or len(match["unit"]) > 1):
        count = int(match["count"]) if (match["count"] or "").isdecimal() else 1
        return dt.timedelta(**{_UNITS[match["unit"][0]]: count})
    return dt.datetime.fromisoformat(text.replace("/", "-").upper()) if "-" in text or "/" in text else None
