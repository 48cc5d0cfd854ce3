"""Batches: many requests from the rows of a table, planned and checked as one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    from .export import save_sheet, to_dataset, to_pandas
    from .rows import PlannedRow, plan_rows
    from .tables import Grid, grid

    Batch: TypeAlias = Any  # these three stand for what is to come in batch.py
    BatchPlan: TypeAlias = Any
    BatchProgress: TypeAlias = Any

__all__ = ["Batch", "BatchPlan", "BatchProgress", "Grid", "PlannedRow", "grid", "plan_rows"]
__all__ += ["save_sheet", "to_dataset", "to_pandas"]
_HOMES = {"PlannedRow": "rows", "plan_rows": "rows", "Grid": "tables", "grid": "tables"}
_HOMES |= dict.fromkeys(("save_sheet", "to_dataset", "to_pandas"), "export")


def __getattr__(name: str) -> Any:
    if name in ("Batch", "BatchPlan", "BatchProgress"):
        return object
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
