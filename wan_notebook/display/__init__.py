"""Cards, galleries and tables, as HTML that needs no JavaScript and as text."""

from .batch_card import batch_bundle, plan_bundle
from .card import Card, live_state
from .formatting import format_duration, format_expected_size, format_time, relative_path, safe_line
from .gallery import compare_bundle, job_bundle, pages_bundles, picture_bundle, small_copy, versions_bundle
from .html import STATIC, static_module
from .publish import HEADLESS_TIMEOUT_S, FrontEnd, publish, show
from .table import Bundle, Cell, Column, Table, table_bundle
from .tables import cost_table, doctor_table, dry_run_bundle, folders_of, history_facts, history_table, status_table

__all__ = ["STATIC", "Bundle", "Card", "Cell", "Column", "FrontEnd", "Table", "batch_bundle"]
__all__ += ["compare_bundle", "plan_bundle"]
__all__ += ["cost_table", "doctor_table", "dry_run_bundle", "folders_of", "format_duration", "format_expected_size"]
__all__ += ["format_time", "history_facts", "history_table", "job_bundle", "live_state"]
__all__ += ["pages_bundles", "picture_bundle", "publish", "relative_path", "safe_line"]
__all__ += ["HEADLESS_TIMEOUT_S"]
__all__ += ["show", "small_copy", "static_module", "status_table", "table_bundle", "versions_bundle"]
