"""The fields of the panel: stock widgets, each with a line of its own for what is wrong with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import ipywidgets

from .. import catalog as c
from ..rules import Mode
from ..views.panel_widgets import FieldNote, SizePicker
from .form import Form
from .reading import Reading

_SEED_HINT: Final = "empty: a new one each time · 5..8 or 5,9,12 for several"
_N_HINT: Final = {
    Mode.EDIT: "1 to 4, one batch",
    Mode.TEXT_TO_IMAGE: "each with the next seed",
    Mode.ILLUSTRATED: "1 to 5, the text decides",
}
_TEXTS: Final = ("prompt", "negative", "seed", "tags", "name")
_COUNTS: Final = ("n", "max_images")


class Fields:
    """The form. ``changed`` is called, on any thread, when a person changes something."""

    def __init__(self, provider_text: str, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._guard = threading.RLock()
        self._quiet = False
        self.notes = {
            "prompt": FieldNote(limit=c.PROMPT_MAX_CHARACTERS),
            "negative": FieldNote(limit=c.NEGATIVE_PROMPT_MAX_CHARACTERS),
            "n": FieldNote(hint=_N_HINT[Mode.TEXT_TO_IMAGE]),
            "seed": FieldNote(hint=_SEED_HINT),
            "name": FieldNote(),
            "tags": FieldNote(),
            "provider": FieldNote(),
        }
        text = {"continuous_update": True}
        self.stock: dict[str, Any] = {
            "prompt": ipywidgets.Textarea(
                description="Prompt",
                rows=5,
                placeholder="What the picture shows. {names} of variables are filled in.",
                **text,
            ),
            "negative": ipywidgets.Textarea(description="Negative prompt", rows=2, placeholder="What to avoid", **text),
            "interleave": ipywidgets.Checkbox(description="Illustrated text", indent=False),
            "n": ipywidgets.IntText(description="How many", value=1, **text),
            "max_images": ipywidgets.IntText(description="How many at most", value=c.MAX_IMAGES_DEFAULT, **text),
            "seed": ipywidgets.Text(description="Seed", placeholder="new each time", **text),
            "rewrite": ipywidgets.Checkbox(description="Rewrite prompt", value=True, indent=False),
            "watermark": ipywidgets.Checkbox(description="Watermark", indent=False),
            "provider": ipywidgets.Dropdown(
                description="Service", options=[(f"as set ({provider_text})", ""), *((p, p) for p in c.PROVIDERS)]
            ),
            "tags": ipywidgets.Text(description="Tags", placeholder="one, two", **text),
            "name": ipywidgets.Text(description="Variable", placeholder="e.g. fox", **text),
        }
        self.size = SizePicker(choices=size_choices(Mode.TEXT_TO_IMAGE), limits=limits_text(Mode.TEXT_TO_IMAGE))
        self.seed_buttons = {
            name: _button(name, title)
            for name, title in (
                ("New", "empty the field: every picture gets a new seed"),
                ("Keep", "take the seed of the newest picture"),
                ("From picture", "take the seed of the picture that is selected in the gallery"),
            )
        }
        for widget in (*self.stock.values(), self.size):
            widget.observe(self._on_change, names="value")

    # ------------------------------------------------------------------ values

    def read(self, images: tuple[str, ...]) -> Form:
        """Return what stands in the fields."""
        values = {name: widget.value for name, widget in self.stock.items()}
        return Form(images=images, size=self.size.value, **values)

    def fill(self, form: Form, *, only: Mapping[str, Any] | None = None) -> None:
        """Put values into the fields; nobody is told, since it is not a person who changes them."""
        values = only if only is not None else {name: getattr(form, name) for name in self.stock}
        with self._guard:
            self._quiet = True
            try:
                for name, value in values.items():
                    if self.stock[name].value != value:
                        self.stock[name].value = value
                if only is None:
                    self.size.show(value=form.size)
            finally:
                self._quiet = False

    def take(self, texts: Mapping[str, Any]) -> None:
        """Take over what stood in the page at a click: what was typed last may not have arrived yet."""
        found: dict[str, Any] = {name: texts[name] for name in _TEXTS if isinstance(texts.get(name), str)}
        for name in _COUNTS:
            text = str(texts.get(name, "")).strip()
            if text.lstrip("-").isdigit() and len(text) < 8:
                found[name] = int(text)
        self.fill(self.read(()), only=found)

    def _on_change(self, _change: object) -> None:
        if not self._quiet:
            self._changed()

    # ------------------------------------------------------------------ what is said

    def show(self, reading: Reading) -> None:
        """Show problems beside their fields, lengths, resolved names, and what the mode allows."""
        form, problems, mode = reading.form, reading.problems, reading.form.mode
        pieces = [list(piece) for piece in reading.preview]
        for name, note in self.notes.items():
            note.show(problems=list(problems.get(name, ())), soft=reading.is_untouched)
        hint = " · ".join(reading.hints)
        self.notes["prompt"].show(count=reading.characters, typed=form.prompt, pieces=pieces, hint=hint)
        self.notes["negative"].show(count=reading.negative_characters, typed=form.negative)
        self.notes["n"].show(hint=_N_HINT[mode])
        self.notes["seed"].show(hint=_SEED_HINT)
        rewrite = self.stock["rewrite"]
        if rewrite.disabled is (mode is Mode.EDIT):
            rewrite.disabled = mode is not Mode.EDIT
        for name, is_shown in (("n", mode is not Mode.ILLUSTRATED), ("max_images", mode is Mode.ILLUSTRATED)):
            display = None if is_shown else "none"
            if self.stock[name].layout.display != display:
                self.stock[name].layout.display = display
        self.size.show(
            choices=size_choices(mode),
            limits=limits_text(mode),
            expected=reading.expected_size,
            problems=list(problems.get("size", ())),
        )

    # ------------------------------------------------------------------ layout

    def boxes(self) -> dict[str, Any]:
        """Return the fields laid out, in the order in which they are filled in."""
        seed_row = _box(ipywidgets.HBox, [self.stock["seed"], *self.seed_buttons.values()], "wan-seed-row")
        checks = [self.stock["interleave"], self.stock["rewrite"], self.stock["watermark"]]
        count = _field("n", [self.stock["n"], self.stock["max_images"], self.notes["n"]])
        self.stock["max_images"].add_class("wan-f-max_images")
        return {
            "prompt": self._field("prompt"),
            "negative": self._field("negative"),
            "size": self.size,
            "checks": _box(ipywidgets.HBox, checks, "wan-checks"),
            "seed": _field("seed", [seed_row, self.notes["seed"]]),
            "numbers": _box(ipywidgets.HBox, [count, self._field("provider")], "wan-row"),
            "names": _box(ipywidgets.HBox, [self._field("tags"), self._field("name")], "wan-row"),
        }

    def _field(self, name: str) -> Any:
        return _field(name, [self.stock[name], self.notes[name]])


def size_choices(mode: Mode) -> list[dict[str, Any]]:
    """Return the sizes of a mode: what it does not have stays in its place, and cannot be chosen."""
    tiers = [
        {
            "value": tier,
            "name": tier,
            "title": f"{tier}: {width}×{width} pixels in total, the shape of the last picture"
            if mode is Mode.EDIT
            else f"{tier}: for editing a picture",
            "disabled": mode is not Mode.EDIT,
        }
        for tier, width in (("1K", 1280), ("2K", 2048))
    ]
    auto = {
        Mode.EDIT: "left to the service: 1K in the shape of the last picture",
        Mode.TEXT_TO_IMAGE: "left to the service: 1280×1280",
        Mode.ILLUSTRATED: "left to the service: follows the picture",
    }[mode]
    shapes = [
        {"value": name, "name": name, "title": f"{name}, {w}×{h} pixels", "width": w, "height": h, "disabled": False}
        for name, (w, h) in c.RATIOS.items()
    ]
    return [{"value": "", "name": "Auto", "title": auto, "disabled": False}, *tiers, *shapes]


def limits_text(mode: Mode) -> str:
    """Return what a free size may be."""
    most = "2048×2048" if mode is Mode.EDIT else "1280×1280"
    return f"768×768 to {most} pixels in total, sides from 1:4 to 4:1"


def _button(text: str, title: str) -> Any:
    button = ipywidgets.Button(description=text, tooltip=title)
    button.add_class("wan-stock")
    return button


def _field(name: str, children: list[Any]) -> Any:
    box = _box(ipywidgets.VBox, children, "wan-field")
    box.add_class(f"wan-f-{name}")
    return box


def _box(kind: Any, children: list[Any], name: str) -> Any:
    box = kind(children)
    box.add_class(name)
    return box
