"""From a job or a picture's recipe back to the fields: nothing runs, and what a recipe does not say stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .. import catalog as c
from ..cell_text import image_expression
from ..recipe import ForeignRecipe, Recipe, read_any, read_sidecar
from ..rules import Mode
from ..store import Store
from ..template import escape
from ..views import html
from .form import Form, size_name

# The variable and the tags that stood there belong to another request: its variable must not be bound anew.
_NOT_ANOTHERS: Final = {"name": "", "tags": ""}


@dataclass(frozen=True)
class Recalled:
    """What a recipe says about the fields, and what could not be carried over."""

    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The beginning of the prompt, with the seed."""
        seed = f" · seed {self.values['seed']}" if self.values.get("seed") else ""
        return f"{html.one_line(self.values.get('prompt', ''), 100)}{seed}"

    def over(self, form: Form) -> Form:
        """Return the form with these values in it."""
        return replace(form, **self.values)


def recalled_of_file(data: bytes, name: str, store: Store, link: Callable[[Path], str]) -> Recalled | None:
    """Return what a picture file or a sidecar says; None if it says nothing. Raises ``RecipeError``."""
    if name.lower().endswith(".json"):
        found: Recipe | ForeignRecipe | None = read_sidecar(data.decode("utf-8", "replace"))
    else:
        found = read_any(data)
    if found is None:
        return None
    return _foreign(found) if isinstance(found, ForeignRecipe) else _ours(found, store, link)


def _ours(recipe: Recipe, store: Store, link: Callable[[Path], str]) -> Recalled:
    parameters, notes, images = recipe.parameters, [], []
    for image in recipe.inputs:
        kept = next(iter(sorted((store.folder / "inputs").glob(f"{image.sha256[:16]}.*"))), None)
        if kept is None or not image.sha256:
            notes.append(
                f"The input {image.name} ({image.width_px}×{image.height_px}) is not in this store: choose it."
            )
        else:
            images.append(image_expression(link(kept)))
    mode = recipe.mode
    size = parameters.size or ""
    values: dict[str, Any] = {
        "prompt": escape(recipe.prompt),
        "negative": escape(recipe.negative_prompt),
        "images": tuple(images),
        "interleave": mode == Mode.ILLUSTRATED,
        "size": "" if mode == Mode.EDIT and size == "1K" else size_name(size) if size else "",
        "seed": "" if parameters.seed is None else str(parameters.seed),
        "watermark": bool(parameters.watermark),
        "n": (parameters.n or 1) if mode == Mode.EDIT else 1,
        "max_images": parameters.max_images or c.MAX_IMAGES_DEFAULT,
        "rewrite": parameters.prompt_extend is not False,
        **_NOT_ANOTHERS,
    }
    return Recalled(values, tuple(notes))


def _foreign(recipe: ForeignRecipe) -> Recalled:
    values: dict[str, Any] = {
        "prompt": escape(recipe.prompt),
        "negative": escape(recipe.negative_prompt),
        **_NOT_ANOTHERS,
    }
    if recipe.seed is not None:
        values["seed"] = str(recipe.seed)
    if recipe.size:
        values["size"] = size_name(recipe.size)
    return Recalled(values, tuple(f"Not carried over: {text}" for text in recipe.not_carried))
