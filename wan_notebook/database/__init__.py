"""The ledger: every job, its statuses with their times, its money and its pictures.

What needs SQLAlchemy is loaded on first use: `%load_ext` counts open jobs without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .status import (
    BATCH_KEY,
    FINAL,
    FREE,
    IN_FLIGHT,
    NOT_SENT,
    OCCURRENCE_KEY,
    OPEN,
    SETTLED,
    STATES,
    OpenSummary,
    Status,
    count_open,
    may_follow,
)

if TYPE_CHECKING:
    from .batches import WRITTEN_AT_ONCE, NewTask, TaskPlace, Wanted
    from .database import CostKey, Database, HistoryPage, HistoryQuery, Spend
    from .engine import DatabaseUnavailable, on_network_filesystem
    from .jobs import Claim, Conflict, new_id
    from .models import BatchRow, EventRow, InputRow, JobRow, Owner, PictureRow, Price
    from .transfer import ImportReport

__all__ = ["FINAL", "FREE", "NOT_SENT", "OPEN", "SETTLED", "STATES", "OpenSummary", "Status", "count_open"]
__all__ += ["Claim", "Conflict", "CostKey", "Database", "DatabaseUnavailable", "EventRow", "HistoryPage"]
__all__ += ["HistoryQuery", "ImportReport", "InputRow", "JobRow", "Owner", "PictureRow", "Price", "Spend", "may_follow"]
__all__ += ["BATCH_KEY", "IN_FLIGHT", "OCCURRENCE_KEY", "WRITTEN_AT_ONCE", "BatchRow", "NewTask", "TaskPlace", "Wanted"]
__all__ += ["new_id", "on_network_filesystem"]


def __getattr__(name: str) -> Any:
    for module in ("database", "batches", "engine", "jobs", "models", "transfer") if name in __all__ else ():
        if hasattr(loaded := import_module(f".{module}", __name__), name):
            return getattr(loaded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
