"""The ledger: every job, its states with their times, its money and its pictures, in one database file.

Names are loaded on first use: a notebook that only peeks for open jobs (``ledger.peek``) must not pay for importing
SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for type checkers, which do not run __getattr__
    from .faults import LedgerConflict as LedgerConflict
    from .faults import LedgerError as LedgerError
    from .figures import CostRow as CostRow
    from .figures import DurationKey as DurationKey
    from .figures import HistoryPage as HistoryPage
    from .figures import HistoryQuery as HistoryQuery
    from .figures import ImportReport as ImportReport
    from .figures import Price as Price
    from .figures import Reserved as Reserved
    from .figures import Spend as Spend
    from .history import nothing_found as nothing_found
    from .job_row import JobDetails as JobDetails
    from .job_row import JobRow as JobRow
    from .job_row import with_hint as with_hint
    from .ledger import Ledger as Ledger
    from .peek import OpenSummary as OpenSummary
    from .peek import peek_open as peek_open
    from .rows import Event as Event
    from .rows import InputRecord as InputRecord
    from .rows import JobDraft as JobDraft
    from .rows import Owner as Owner
    from .rows import PictureRecord as PictureRecord
    from .spend import SpendReader as SpendReader

_HOMES = {
    "faults": ("LedgerConflict", "LedgerError"),
    "figures": ("CostRow", "DurationKey", "HistoryPage", "HistoryQuery", "ImportReport", "Price", "Reserved", "Spend"),
    "history": ("nothing_found",),
    "ledger": ("Ledger",),
    "peek": ("OpenSummary", "peek_open"),
    "job_row": ("JobDetails", "JobRow", "with_hint"),
    "rows": ("Event", "InputRecord", "JobDraft", "Owner", "PictureRecord"),
    "spend": ("SpendReader",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
