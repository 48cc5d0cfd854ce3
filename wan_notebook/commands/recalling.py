"""From a job, a picture file or a sidecar to the ``%%wan`` cell that asks the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ..cell_text import cell_text, image_expression
from ..errors import CellError, RecipeError, RequestError, StoreError
from ..inputs import InputImage
from ..recipe import ForeignRecipe, Recipe, can_embed, read_any, read_sidecar
from ..request import ImageRequest
from ..rules import Mode
from .context import Context

_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".json")


def recall_text(word: str, ctx: Context) -> tuple[str, list[str]]:
    """Return the cell's text, and what could not be carried over. Raises ``CellError``, ``RecipeError``."""
    path = Path(word).expanduser()
    if path.is_file():
        return text_of_file(path, ctx)
    if len(path.parts) > 1 or path.suffix.lower() in _SUFFIXES:
        raise CellError(f"there is no file {word}.", hint="Check the path; it starts from the notebook's folder.")
    job, index = ctx.pictures(word)
    live = job.lives[0] if index is None else job[index].live
    request = ctx.session.request_of(live.row)
    return ctx.presenter().cell_text(request, live.row), []


def text_of_file(path: Path, ctx: Context) -> tuple[str, list[str]]:
    """Return the cell of a picture or sidecar."""
    path, data = read_carrier(path)
    recipe = read_sidecar(data.decode("utf-8", "replace")) if path.suffix == ".json" else read_any(data)
    if recipe is None:
        raise carries_none(path)
    if isinstance(recipe, ForeignRecipe):
        return _foreign(recipe)
    return _ours(recipe, ctx)


def read_carrier(path: Path) -> tuple[Path, bytes]:
    """Return the file that carries a picture's recipe, with its bytes: a JPEG or WebP has it in the one beside it.

    Raises ``CellError`` if it cannot be read.
    """
    try:
        data = path.read_bytes()
        beside = path.with_name(f"{path.name}.json")
        if path.suffix != ".json" and not can_embed(data) and read_any(data) is None and beside.is_file():
            return beside, beside.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error})."
        raise CellError(message, hint="Check the path.") from error
    return path, data


def carries_none(path: Path) -> RecipeError:
    """Return the error for a picture that says nothing of how it was made."""
    hint = "Only pictures made here, or by A1111, InvokeAI or ComfyUI, say how they were made."
    return RecipeError(f"{path.name} carries no recipe.", hint=hint)


def _ours(recipe: Recipe, ctx: Context) -> tuple[str, list[str]]:
    parameters, notes = recipe.parameters, []
    mode = Mode(recipe.mode) if recipe.mode in set(Mode) else Mode.TEXT_TO_IMAGE
    expressions = []
    for image in recipe.inputs:
        kept = _kept_input(image.sha256, ctx)
        expressions.append(image_expression(kept) if kept else "MISSING")
        if not kept:
            notes.append(f"# the input {image.name} ({image.width_px}×{image.height_px}) is not in this store: name it")
    fields: dict[str, Any] = {
        "prompt": recipe.prompt,
        "negative_prompt": recipe.negative_prompt,
        "size": None if mode is Mode.EDIT and parameters.size == "1K" else parameters.size,
        "watermark": bool(parameters.watermark),
        "interleave": mode is Mode.ILLUSTRATED,
        "images": tuple(
            InputImage(name=i.name, identity=i.identity, data=b"", mime="", width_px=i.width_px, height_px=i.height_px)
            for i in recipe.inputs
        ),
    }
    if mode is Mode.EDIT:
        fields |= {"n": parameters.n or 1, "prompt_extend": parameters.prompt_extend}
    elif mode is Mode.ILLUSTRATED:
        fields["max_images"] = parameters.max_images
    return _written(fields, expressions, parameters.seed, notes)


def _foreign(recipe: ForeignRecipe) -> tuple[str, list[str]]:
    notes = [f"# not carried over: {text}" for text in recipe.not_carried]
    fields = {"prompt": recipe.prompt, "negative_prompt": recipe.negative_prompt, "size": recipe.size}
    try:
        return _written(fields, [], recipe.seed, notes)
    except RequestError as error:
        bad = {problem.field for problem in error.problems}
        notes += [f"# not carried over: {problem}" for problem in error.problems]
        kept = {name: value for name, value in fields.items() if name not in bad}
        seed = None if "seed" in bad else recipe.seed
        return _written({"prompt": recipe.prompt[:2000] or "…", **kept}, [], seed, notes)


def _written(
    fields: dict[str, Any], expressions: list[str], seed: int | None, notes: list[str]
) -> tuple[str, list[str]]:
    request = ImageRequest(**fields, seed=seed)
    return cell_text(request, image_expressions=expressions, seed=seed), notes


def _kept_input(sha256: str, ctx: Context) -> str:
    """Return the path of the kept copy of an input, from the notebook's folder, or an empty text."""
    folder = ctx.home.store.folder / "inputs"
    try:
        found = next(iter(sorted(folder.glob(f"{sha256[:16]}.*"))), None) if sha256 else None
    except (OSError, StoreError):
        return ""
    return ctx.presenter().link(found) if found else ""
