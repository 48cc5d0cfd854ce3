"""The gallery: a grid of thumbnails with a full view, thin over its module."""

from __future__ import annotations

from typing import Any

import traitlets

from wan_notebook.views.panel_widgets import Part, joined


class Gallery(Part):
    """Pictures as plain JSON in ``items``; thumbnails and full pictures travel by key, as messages with buffers.

    An item has id, stack (what its seed's siblings share), seed, star, rej, kind, label, expr, alt and facts. ``total``
    counts what the filter matches, ``empty`` is said where that is nothing, ``selected`` is an item's id.
    """

    _esm = joined(
        "panel_kit.js",
        "gallery_slider.js",
        "gallery_actions.js",
        "gallery_light.js",
        "gallery_filters.js",
        "gallery_pictures.js",
        "gallery.js",
    )
    _css = joined("gallery.css", "gallery_light.css")
    items: Any = traitlets.List().tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    empty = traitlets.Unicode().tag(sync=True)
    tags: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
