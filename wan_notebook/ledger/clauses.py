"""Conditions in SQL that partial indexes and the queries that use them must word alike. Imports nothing heavy."""

from __future__ import annotations

from typing import Final

from wan_notebook.states import OPEN

OPEN_CLAUSE: Final = f"state IN ({', '.join(repr(state.value) for state in sorted(OPEN))})"
REPORTED_CLAUSE: Final = "cost_source = 'reported'"
STARRED_CLAUSE: Final = "starred = 1"
TIMED_CLAUSE: Final = "duration_s IS NOT NULL"
