"""Batches: many pictures from a table."""

from .batch import Batch, BatchProgress, find_batch, start_batch
from .export import save_sheet, to_dataset, to_pandas
from .plan import BatchPlan, plan_batch
from .rows import PlannedRow, plan_rows
from .run import Run
from .tables import ROWS_MAX, TABLE_FILES, Grid, grid, read_table

__all__ = ["ROWS_MAX", "TABLE_FILES", "Batch", "BatchPlan", "BatchProgress", "Grid", "PlannedRow", "Run", "find_batch"]
__all__ += ["grid", "plan_batch", "plan_rows", "read_table", "save_sheet", "start_batch", "to_dataset", "to_pandas"]
