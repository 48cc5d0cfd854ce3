"""Cards, galleries and tables, as HTML that needs no JavaScript and as text."""

from .card import Card, live_state, set_cell_text
from .formatting import (
    format_duration,
    format_eta,
    format_expected_size,
    format_time,
    relative_path,
    row_style,
    safe_line,
    safe_text,
    size_of,
)
from .gallery import (
    CompareItem,
    Thumbnails,
    compare_bundle,
    job_bundle,
    pages_bundles,
    picture_bundle,
    versions_bundle,
)
from .html import STATIC, static_module
from .publish import FrontEnd, publish, show_job
from .table import Bundle, Cell, Column, Table, message_bundle, table_bundle
from .tables import (
    budget_table,
    config_table,
    cost_table,
    doctor_table,
    dry_run_bundle,
    history_table,
    status_table,
)

__all__ = [
    "STATIC",
    "Bundle",
    "Card",
    "Cell",
    "Column",
    "CompareItem",
    "FrontEnd",
    "Table",
    "Thumbnails",
    "budget_table",
    "compare_bundle",
    "config_table",
    "cost_table",
    "doctor_table",
    "dry_run_bundle",
    "format_duration",
    "format_eta",
    "format_expected_size",
    "format_time",
    "history_table",
    "job_bundle",
    "live_state",
    "message_bundle",
    "pages_bundles",
    "picture_bundle",
    "publish",
    "relative_path",
    "row_style",
    "safe_line",
    "safe_text",
    "set_cell_text",
    "show_job",
    "size_of",
    "static_module",
    "status_table",
    "table_bundle",
    "versions_bundle",
]
