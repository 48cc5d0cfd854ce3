"""From jobs and the ledger to the plain data that views show. The only place that knows both sides."""

from __future__ import annotations

from .cards import Presenter
from .dry_runs import dry_run
from .lasting import bundler
from .tables import Tables

__all__ = ["Presenter", "Tables", "bundler", "dry_run"]
