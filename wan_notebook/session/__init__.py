"""The composition root of one kernel: settings, clients, ledger, store, engine, and a request's way through them."""

from __future__ import annotations

from .core import Order, Session, default_session
from .meetings import Place

__all__ = ["Order", "Place", "Session", "default_session"]
