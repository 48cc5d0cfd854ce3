"""What the ledger answers in figures: sums, pages, prices; plain data."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from wan_notebook.money import Total
from wan_notebook.states import JobState

from .job_row import JobRow


@dataclass(frozen=True, kw_only=True)
class DurationKey:
    """The kind of job whose durations resemble each other."""

    provider: str
    model: str
    mode: str
    size_tier: str
    n: int


class Price(NamedTuple):
    """What the service last reported for one picture, and the day (here) on which it did."""

    amount: Decimal
    currency: str
    day: dt.date


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """What open jobs may still cost; ``unknown`` counts those without a known price. ``in_doubt`` counts.

    ``unpriced`` is the most pictures that those without a known price may make.
    """

    amounts: tuple[tuple[str, Decimal], ...] = ()
    unknown: int = 0
    unpriced: int = 0

    def known(self, currency: str = "USD") -> Decimal:
        """Return what is reserved in one currency."""
        return dict(self.amounts).get(currency, Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What was spent and what is reserved; simulated and imported jobs count nothing.

    ``pictures_made`` are those that may have been billed: delivered ones, and those of expired jobs;
    ``pictures_saved`` are those on disk alone. ``pictures_reserved`` is the most that open jobs may still make.
    ``unpriced`` are pictures made whose cost nobody knows.
    """

    total: Total
    reserved: Reserved
    pictures_made: int
    pictures_saved: int
    pictures_reserved: int
    jobs: int
    unpriced: int = 0


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """The cost of one day (``2026-11-24``), notebook, tag or user."""

    key: str
    jobs: int
    pictures: int
    total: Total


@dataclass(frozen=True, kw_only=True)
class HistoryQuery:
    """What to show of the history.

    ``words`` must all occur in prompt, name, tags, seed or id, in any case. Times are Unix seconds, ``since``
    inclusive, ``until`` exclusive. ``sort`` is a column: created, prompt, state, mode, seed, n, cost, duration,
    pictures, notebook, model, provider.
    """

    words: str = ""
    state: JobState | str | tuple[str, ...] | None = None
    running: bool = False
    since: float | None = None
    until: float | None = None
    tag: str | tuple[str, ...] = ""
    """Of several, a job must bear every one."""
    notebook: str = ""
    seed: int | None = None
    starred: bool = False
    rejected: bool | None = None
    include_trashed: bool = False
    only_trashed: bool = False
    """What is in the trash and can be taken out again."""
    sort: str = "created"
    descending: bool = True
    offset: int = 0
    limit: int = 20

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that a job must bear."""
        return tuple(filter(None, (self.tag,) if isinstance(self.tag, str) else self.tag))


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """One page, and what the whole filter adds up to; ``pictures`` counts pictures on disk."""

    rows: tuple[JobRow, ...]
    total_rows: int
    total: Total
    pictures: int


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did, as ids. ``conflicts`` are other jobs here with the same id: they were left alone."""

    added: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
