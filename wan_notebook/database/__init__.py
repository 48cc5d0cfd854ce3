"""The ledger: every job, its statuses with their times, its money and its pictures.

What needs SQLAlchemy is loaded on first use: `%load_ext` counts open jobs without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .status import FINAL, FREE, NOT_SENT, OPEN, SETTLED, STATES, OpenSummary, Status, count_open, may_follow

if TYPE_CHECKING:
    from .database import Claim, Database
    from .engine import DatabaseUnavailable, on_network_filesystem
    from .history import HistoryPage, HistoryQuery, nothing_found
    from .jobs import Conflict
    from .models import EventRow, InputRow, JobRow, Owner, PictureRow, Price
    from .spending import CostKey, CostRow, OverBudget, Spend, SpendLimit, Used
    from .transfer import ImportReport

__all__ = ["FINAL", "FREE", "NOT_SENT", "OPEN", "SETTLED", "STATES", "OpenSummary", "Status", "count_open"]
__all__ += ["Database", "DatabaseUnavailable", "HistoryPage", "HistoryQuery", "nothing_found", "on_network_filesystem"]
__all__ += ["Claim", "Conflict", "CostKey", "CostRow", "EventRow", "ImportReport", "InputRow", "JobRow", "OverBudget"]
__all__ += ["Owner", "PictureRow", "Price", "Spend", "SpendLimit", "Used", "may_follow"]


def __getattr__(name: str) -> Any:
    modules = ("database", "engine", "history", "jobs", "models", "spending", "transfer")
    for module in modules if name in __all__ else ():
        loaded = import_module(f".{module}", __name__)
        if hasattr(loaded, name):
            return getattr(loaded, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
