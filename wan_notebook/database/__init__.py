"""The ledger: every job, its statuses with their times, its money and its pictures.

What needs SQLAlchemy is loaded on first use: `%load_ext` counts open jobs without it.
"""

from typing import TYPE_CHECKING

from ..lazy import lazily
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
    TRANSITIONS,
    OpenSummary,
    Status,
    count_open,
)

if TYPE_CHECKING:
    from .batches import WRITTEN_AT_ONCE
    from .database import CostKey, Database, HistoryPage, HistoryQuery, Spend
    from .engine import DatabaseUnavailable, on_network_filesystem
    from .jobs import Claim, Conflict, new_id
    from .models import BatchRow, EventRow, InputRow, JobRow, Owner, PictureRow, Price
    from .transfer import ImportReport

__all__ = ["FINAL", "FREE", "NOT_SENT", "OPEN", "SETTLED", "STATES", "TRANSITIONS", "OpenSummary", "Status"]
__all__ += ["Claim", "Conflict", "CostKey", "Database", "DatabaseUnavailable", "EventRow", "HistoryPage"]
__all__ += ["HistoryQuery", "ImportReport", "InputRow", "JobRow", "Owner", "PictureRow", "Price", "Spend", "count_open"]
__all__ += ["BATCH_KEY", "IN_FLIGHT", "OCCURRENCE_KEY", "WRITTEN_AT_ONCE", "BatchRow", "BatchTaskRow", "new_id"]
__all__ += ["on_network_filesystem"]

__getattr__ = lazily(__name__, ("database", "batches", "engine", "jobs", "models", "transfer"), __all__)
