"""The history as a value: it shows itself as a table and gives itself as data. ``wan.history`` makes it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from . import data_out, host
from .errors import CellError
from .folders import LEDGER_NAME, known_folders
from .jobs import Job
from .ledger import HistoryPage, HistoryQuery, JobRow, Ledger, nothing_found
from .present import Tables
from .session import Session, default_session
from .subcommands import read_since
from .text import count_of

SHOWN = 20


@dataclass(frozen=True)
class History:
    """A part of the history; it shows itself as a table, and the ``to_…`` methods give it as data.

    The table, ``len`` and iteration are the newest ``query.limit`` jobs. The data are every job that matched, unless a
    limit was asked for (``is_limited``). Their columns, with units, are ``wan_notebook.data_out.COLUMNS``.
    """

    session: Session
    query: HistoryQuery
    everywhere: bool = False
    is_limited: bool = True

    @cached_property
    def page(self) -> HistoryPage:
        """The rows of this page, with the totals of everything that matched."""
        home = self.session.home(create=False)
        return home.ledger.history(self.query) if home else nothing_found(self.query)

    def __iter__(self) -> Iterator[JobRow]:
        return iter(self.page.rows)

    def __len__(self) -> int:
        return len(self.page.rows)

    def __getitem__(self, index: int) -> Job:
        return self.session.job_of_row(self.page.rows[index])

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield one flat record a job, newest first."""
        home, own_folder = self.session.home(create=False), self.session.settings().folder
        if home is not None:
            yield from data_out.matching(home.ledger, own_folder, self.query, is_limited=self.is_limited)
        for folder in known_folders() if self.everywhere else ():
            if folder != own_folder:
                with Ledger.open(folder / LEDGER_NAME) as ledger:
                    yield from data_out.matching(ledger, folder, self.query, is_limited=self.is_limited)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the records as a list: times in Unix seconds, money as ``Decimal``, None for what is missing."""
        return list(self.records())

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, one row a job; times are UTC, ``cost_amount`` stays ``Decimal``.

        Raises ``CellError`` without the ``pandas`` extra.
        """
        return data_out.to_pandas(self.records())

    def to_parquet(self, path: str | Path) -> Path:
        """Write a Parquet file (money as ``decimal128``) and return its path. Raises ``CellError``, ``StoreError``."""
        return data_out.to_parquet(self.records(), path)

    def to_csv(self, path: str | Path) -> Path:
        """Write a CSV file in UTF-8 and return its path. Raises ``StoreError``."""
        return data_out.to_csv(self.records(), path)

    def to_jsonl(self, path: str | Path) -> Path:
        """Write JSON Lines, one job a line, and return the path. Raises ``StoreError``."""
        return data_out.to_jsonl(self.records(), path)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        from .views.tables import history_bundle

        tables = Tables(self.session, self.session.home(create=False), base=host.notebook_folder())
        return history_bundle(tables.history(self.query, everywhere=self.everywhere))

    def __repr__(self) -> str:
        return f"<History: {len(self)} of {count_of(self.page.total_rows, 'job')}, {self.page.total}>"


def history(
    words: str = "",
    *,
    state: str | None = None,
    running: bool = False,
    since: float | dt.date | str | None = None,
    until: float | dt.date | str | None = None,
    tag: str | Sequence[str] = "",
    notebook: str = "",
    seed: int | None = None,
    starred: bool = False,
    trash: bool = False,
    limit: int | None = None,
    everywhere: bool = False,
    session: Session | None = None,
) -> History:
    """Return the jobs that match, newest first.

    ``since`` (inclusive) and ``until`` (exclusive) are Unix seconds, a ``datetime``, or a ``date``, which is local
    midnight; or such a day or moment in ISO form, or ``"7d"`` for so long ago. ``trash`` is what lies in the trash
    instead. Of several tags in ``tag`` a job bears every one. ``limit`` counts jobs; without one the table shows the
    newest 20 and the data are all of them.
    """
    if limit is not None and limit < 1:
        raise CellError(f"limit = {limit}: must be 1 or more.", hint="Leave it out for all of the data.")
    query = HistoryQuery(
        words=words,
        state=state,
        running=running,
        since=_seconds(since),
        until=_seconds(until),
        tag=tag if isinstance(tag, str) else tuple(tag),
        notebook=notebook,
        seed=seed,
        starred=starred,
        only_trashed=trash,
        limit=SHOWN if limit is None else limit,
    )
    return History(session or default_session(), query, everywhere, is_limited=limit is not None)


def _seconds(when: object) -> float | None:
    found = read_since(when.strip()) if isinstance(when, str) else when
    if isinstance(found, dt.timedelta):
        found = dt.datetime.now(tz=dt.UTC) - found
    if isinstance(found, dt.date) and not isinstance(found, dt.datetime):
        found = dt.datetime.combine(found, dt.time())
    if isinstance(found, dt.datetime):
        return found.timestamp()
    if (found is None and when is None) or (isinstance(found, int | float) and math.isfinite(found)):
        return found
    message = f"{repr(when)[:60]} is no time."
    raise CellError(message, hint="Write '2026-11-24', a date or datetime, Unix seconds, or '7d' for so long ago.")


__all__ = ["History", "history"]
