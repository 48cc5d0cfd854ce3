"""Jobs: the handle that a person holds, and the engine that brings each job to its end. Knows no IPython."""

from __future__ import annotations

from .engine import Engine, Parts
from .handle import Job, Picture, WaitInterrupted
from .live import LiveJob

__all__ = ["Engine", "Job", "LiveJob", "Parts", "Picture", "WaitInterrupted"]
