"""How jobs and pictures show themselves in a cell; the layer of jobs knows no display, others tell it.

The package says at import what holds without the extension; the extension says what holds while it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


# What is shown has no type here: this module is below jobs and pictures.
@dataclass
class _Ways:
    """``render`` displays a job, live where it can; ``bundle`` is the lasting MIME bundle of a job or a picture."""

    render: Callable[[Any], bool] | None = None
    bundle: Callable[[Any], Any] | None = None


_default = _Ways()
_loaded = _Ways()


def set_defaults(render_one: Callable[[Any], bool], bundle: Callable[[Any], Any]) -> None:
    """Say how jobs show themselves without the extension, after nothing but ``import wan_notebook``."""
    _default.render, _default.bundle = render_one, bundle


def set_renderer(renderer: Callable[[Any], bool] | None) -> None:
    """Say how a job displays itself, and whether it did; None goes back to the default."""
    _loaded.render = renderer


def set_bundler(bundler: Callable[[Any], Any] | None) -> None:
    """Say what the lasting MIME bundle of a job or of one picture is; None goes back to the default."""
    _loaded.bundle = bundler


def render(job: Any) -> bool:
    """Display a job and return whether there is somebody who does it."""
    way = _loaded.render or _default.render
    return way is not None and way(job)


def bundle_of(shown: Any) -> Any:
    """Return ``(data, metadata)``, or None: IPython then shows the repr."""
    way = _loaded.bundle or _default.bundle
    return way(shown) if way is not None else None
