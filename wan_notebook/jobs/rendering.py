"""How jobs and pictures show themselves in a cell; this layer knows no display, others tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What is shown has no type here: this module is below jobs and pictures.
_renderer: Callable[[Any], None] | None = None
_bundler: Callable[[Any], Any] | None = None


def set_renderer(renderer: Callable[[Any], None] | None) -> None:
    """Say how a job displays itself, live where it can."""
    global _renderer
    _renderer = renderer


def set_bundler(bundler: Callable[[Any], Any]) -> None:
    """Say what the lasting MIME bundle of a job or of one picture is."""
    global _bundler
    _bundler = bundler


def render(job: Any) -> bool:
    """Display a job and return whether there is somebody who does it."""
    if _renderer is None:
        return False
    _renderer(job)
    return True


def bundle_of(shown: Any) -> Any:
    """Return ``(data, metadata)``, or None: IPython then shows the repr."""
    return _bundler(shown) if _bundler is not None else None
