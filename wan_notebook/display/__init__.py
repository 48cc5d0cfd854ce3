"""Cards, galleries and tables, as HTML that needs no JavaScript and as text."""

from typing import TYPE_CHECKING, Any

from .card import Card, set_cell_text
from .formatting import format_day, format_duration, format_eta, format_time, relative_path, safe_line, safe_text
from .gallery import (
    Bundle,
    CompareItem,
    compare_bundle,
    job_bundle,
    pages_bundles,
    picture_bundle,
    versions_bundle,
)
from .publish import FrontEnd, bundle_for, publish, raise_if_failed, show_job, show_pages
from .status_style import StatusStyle, row_style, shown_status, style_of
from .table import Cell, Column, Table, message_bundle, table_bundle
from .tables import (
    budget_table,
    config_table,
    cost_table,
    doctor_table,
    dry_run_bundle,
    dry_run_table,
    history_table,
    status_table,
)
from .thumbnails import Thumbnails

if TYPE_CHECKING:
    from .live_card import LiveCard, LiveDisplay, live_state, static_module

_LAZY = ("LiveCard", "LiveDisplay", "live_state", "static_module")

__all__ = [
    "Bundle",
    "Card",
    "Cell",
    "Column",
    "CompareItem",
    "FrontEnd",
    "LiveCard",
    "LiveDisplay",
    "StatusStyle",
    "Table",
    "Thumbnails",
    "budget_table",
    "bundle_for",
    "compare_bundle",
    "config_table",
    "cost_table",
    "doctor_table",
    "dry_run_bundle",
    "dry_run_table",
    "format_day",
    "format_duration",
    "format_eta",
    "format_time",
    "history_table",
    "job_bundle",
    "live_state",
    "message_bundle",
    "pages_bundles",
    "picture_bundle",
    "publish",
    "raise_if_failed",
    "relative_path",
    "row_style",
    "safe_line",
    "safe_text",
    "set_cell_text",
    "show_job",
    "show_pages",
    "shown_status",
    "static_module",
    "status_table",
    "style_of",
    "table_bundle",
    "versions_bundle",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:  # they need a widget library, which a script does without
        from . import live_card

        return getattr(live_card, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
