"""The history as a paged table: one page as plain JSON in a trait, thumbnails and files as messages."""

from __future__ import annotations

from typing import Any

import traitlets

from wan_notebook.views.panel_widgets import Part, joined


class HistoryTable(Part):
    """``page`` has rows, offset, limit, total_rows, totals (a line of text), sort and descending.

    ``states`` are the names that can be filtered by.
    """

    _esm = joined("panel_kit.js", "history.js")
    _css = joined("history.css")
    page: Any = traitlets.Dict().tag(sync=True)
    states: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
