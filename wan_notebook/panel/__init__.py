"""The panel: the same requests with the mouse, in a notebook. It knows the session and the views, and has no rules."""

from __future__ import annotations

from .form import Form
from .panel import Panel, latest

__all__ = ["Form", "Panel", "latest"]
