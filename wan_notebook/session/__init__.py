"""The composition root of one kernel: settings, clients, ledger, store, engine, and a request's way through them."""

from __future__ import annotations

from . import pickled as _pickled  # noqa: F401 - registers how a job is pickled
from .core import Session, default_session
from .meetings import Place
from .order import Order

__all__ = ["Order", "Place", "Session", "default_session"]
