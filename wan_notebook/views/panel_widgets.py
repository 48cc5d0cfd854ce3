"""The parts of the panel that stock widgets cannot be: thin, with plain JSON in their traits; a key is never there.

Each hands its messages on; what they mean is not decided here. All may be changed from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

_STATIC: Final = Path(__file__).parent / "static"
Message = dict[str, Any]
Receiver = Callable[[Message, Sequence[Any]], None]


def joined(*names: str) -> str:
    """Return one module of the parts of it: a widget's module comes from a blob, and cannot import its neighbours."""
    return "\n".join((_STATIC / name).read_text("utf-8") for name in names)


class Part(anywidget.AnyWidget):
    """What every part has: changes that are sent only if they are some, and messages that are handed on."""

    def __init__(self, on_message: Receiver | None = None, **traits: Any) -> None:
        self._guard = threading.RLock()
        self._on_message = on_message
        super().__init__(**traits)
        self.on_msg(self._receive)

    def show(self, **traits: Any) -> None:
        """Change traits together; what is the same is not sent again."""
        with self._guard:
            changed = {name: value for name, value in traits.items() if getattr(self, name) != value}
            if changed:
                with self.hold_sync():
                    for name, value in changed.items():
                        setattr(self, name, value)

    def _receive(self, _widget: object, content: Any, buffers: Sequence[Any]) -> None:
        if self._on_message is not None and isinstance(content, dict) and isinstance(content.get("kind"), str):
            self._on_message(content, buffers)

    def __repr__(self) -> str:
        # A widget's own repr lists its traits in every text/plain.
        return f"<{type(self).__name__}>"


class FieldNote(Part):
    """The line below a stock field: problems or a hint, the length of the text, the text with its names resolved.

    ``count`` is the length of ``typed`` with names resolved, in code points; the browser counts what was typed since.
    """

    _esm = joined("panel_kit.js", "panel_note.js")
    problems = traitlets.List(traitlets.Unicode()).tag(sync=True)
    soft = traitlets.Bool(default_value=False).tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    limit = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(None, allow_none=True).tag(sync=True)
    typed = traitlets.Unicode().tag(sync=True)
    pieces: Any = traitlets.List().tag(sync=True)


class RunBar(Part):
    """The button that orders, with its price. ``answered`` is the number of the last click that was dealt with.

    ``running`` says what was ordered and still runs: in a narrow panel its rows are out of sight.
    """

    _esm = joined("panel_kit.js", "panel_run.js")
    _css = joined("panel.css", "panel_parts.css")
    label = traitlets.Unicode("Generate").tag(sync=True)
    detail = traitlets.Unicode().tag(sync=True)
    running = traitlets.Unicode().tag(sync=True)
    lines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    enabled = traitlets.Bool(default_value=False).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)


class CellRecord(Part):
    """The equivalent cell, to look at and to copy."""

    _esm = joined("panel_kit.js", "panel_cell.js")
    text = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)


class SizePicker(Part):
    """The size as tiers, shapes and free pixels. ``choices`` have value, name, title, width, height, disabled."""

    _esm = joined("panel_kit.js", "panel_size.js")
    value = traitlets.Unicode().tag(sync=True)
    choices: Any = traitlets.List().tag(sync=True)
    expected = traitlets.Unicode().tag(sync=True)
    limits = traitlets.Unicode().tag(sync=True)
    problems = traitlets.List(traitlets.Unicode()).tag(sync=True)


class JobRows(Part):
    """Rows of running and newly finished jobs; ``sent_at`` is the wall clock in unix seconds."""

    _esm = joined("panel_kit.js", "card_clock.js", "panel_jobs.js")
    jobs: Any = traitlets.List().tag(sync=True)
    sent_at = traitlets.Float(0.0).tag(sync=True)


class Sources(Part):
    """The chosen pictures and where others can be chosen from.

    ``chosen`` are expressions in order; ``facts`` say what is known of each (label, size, key, problem); ``variables``
    and ``results`` are dicts of expression, label, size, key. Thumbnails travel by key, as messages.
    """

    _esm = joined("panel_kit.js", "panel_chips.js", "panel_sources.js")
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)
    variables: Any = traitlets.List().tag(sync=True)
    results: Any = traitlets.List().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    offer = traitlets.Dict().tag(sync=True)
    problems = traitlets.List(traitlets.Unicode()).tag(sync=True)
