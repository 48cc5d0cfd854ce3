"""Where the panel's parts stand, and the words around them."""

from __future__ import annotations

from typing import Any

import ipywidgets

from .fields import Fields
from .reading import Reading


def head_of(service: str, because: str) -> Any:
    """Return the panel's title, with the service that it asks and why that one."""
    text = ipywidgets.Label(f"{service}: {because}", tooltip=because)
    text.add_class("wan-service")
    return _box(ipywidgets.HBox, [ipywidgets.Label("Wan 2.6 Image"), text], "wan-head")


def columns_of(run: Any, jobs: Any, sources: Any, gallery: Any, cell: Any, fields: Fields) -> Any:
    """Lay out the request and its results: the order in which they are read, and in which Tab goes through them."""
    boxes = fields.boxes()
    rest = [boxes[name] for name in ("size", "numbers", "seed", "checks", "negative", "names")]
    go = _box(ipywidgets.VBox, [run], "wan-go")  # where the eye ends; it stays in sight while the form scrolls
    parts = [
        _box(ipywidgets.VBox, [boxes["prompt"], sources, *rest, go], "wan-left"),
        _box(ipywidgets.VBox, [jobs, cell, gallery], "wan-right"),
    ]
    return _box(ipywidgets.HBox, parts, "wan-columns")


def things_text(count: int) -> str:
    """Say how much is still wrong."""
    return "1 thing to mend above" if count == 1 else f"{count} things to mend above"


def shape_note(reading: Reading) -> str:
    """Say whose shape the result takes."""
    count = len(reading.form.images)
    if not count:
        return ""
    if reading.form.size in ("", "1K", "2K"):
        return (
            f"The result takes the shape of image {count}, the last one."
            if count > 1
            else "The result takes its shape."
        )
    return f"The result is {reading.form.size.replace('x', '×')}, whatever the pictures' shapes."


def _box(kind: Any, children: list[Any], name: str) -> Any:
    box = kind(children)
    box.add_class(name)
    return box
