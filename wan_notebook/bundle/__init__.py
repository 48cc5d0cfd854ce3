"""Reproducible research: bundles of a notebook with its pictures, their verification, and the methods paragraph."""

from __future__ import annotations

from .document import Named, find_notebook, read_document
from .methods import methods
from .pack import check_target, write_bundle
from .plan import Plan, Project, plan_bundle
from .selection import Selection, select, shown_by
from .unpack import Opened, open_bundle
from .verify import Check, Finding, Verification, named_of, verify, verify_notebook

__all__ = [
    "Check",
    "Finding",
    "Named",
    "Opened",
    "Plan",
    "Project",
    "Selection",
    "Verification",
    "check_target",
    "find_notebook",
    "methods",
    "named_of",
    "open_bundle",
    "plan_bundle",
    "read_document",
    "select",
    "shown_by",
    "verify",
    "verify_notebook",
    "write_bundle",
]
