"""Cards, galleries and tables, as HTML that needs no JavaScript and as text."""

from .card import Card, live_state, set_cell_text
from .formatting import format_duration, format_expected_size, format_time, relative_path, safe_line, safe_text
from .gallery import CompareItem, Thumbnails, compare_bundle, job_bundle, pages_bundles, picture_bundle, versions_bundle
from .html import STATIC, static_module
from .publish import FrontEnd, publish, show_job
from .table import Bundle, Cell, Column, Table, message_bundle, table_bundle
from .tables import cost_table, doctor_table, dry_run_bundle, folders_of, history_facts, history_table, status_table

__all__ = ["STATIC", "Card", "FrontEnd", "live_state", "publish", "set_cell_text", "show_job", "static_module"]
__all__ += ["Bundle", "Cell", "Column", "CompareItem", "Table", "Thumbnails", "message_bundle", "table_bundle"]
__all__ += ["compare_bundle", "dry_run_bundle", "job_bundle", "pages_bundles", "picture_bundle", "versions_bundle"]
__all__ += ["cost_table", "doctor_table", "history_table", "status_table"]
__all__ += ["format_duration", "format_expected_size", "format_time", "history_facts", "relative_path"]
__all__ += ["folders_of", "safe_line", "safe_text"]
