"""The recipe in a picture file and beside it: written without touching a pixel, read from anybody's file.

PNG, which the service delivers, takes the recipe inside, as two chunks behind its header; ``strip`` gives back the
bytes that were there before, so that a hash of what the service sent can always be checked. Other formats stay as they
are: their recipe is the sidecar alone. A JPEG or WebP that is made from a PNG takes the recipe along as Exif.
"""

from __future__ import annotations

from wan_notebook.errors import RecipeError
from wan_notebook.recipe import chunks, exif
from wan_notebook.recipe.foreign import ForeignRecipe, from_parameters, read_foreign
from wan_notebook.recipe.model import SCHEMA, VERSION, Recipe, RecipeInput, RecipeParameters, RecipePicture
from wan_notebook.recipe.names import public_name
from wan_notebook.recipe.parameters import write_parameters
from wan_notebook.recipe.reader import recipe_from_dict, recipe_from_json
from wan_notebook.recipe.written import Embedded, changed_in, put_in

__all__ = [
    "SCHEMA",
    "VERSION",
    "Embedded",
    "ForeignRecipe",
    "Recipe",
    "RecipeError",
    "RecipeInput",
    "RecipeParameters",
    "RecipePicture",
    "can_embed",
    "changed_in",
    "embed",
    "embedded",
    "exif_block",
    "from_parameters",
    "public_name",
    "read_any",
    "read_foreign",
    "read_recipe",
    "read_sidecar",
    "recipe_from_dict",
    "strip",
    "write_parameters",
    "write_sidecar",
]


def can_embed(data: bytes) -> bool:
    """Tell whether ``embed`` would put the recipe inside: PNG only."""
    return chunks.is_png(data)


def embed(data: bytes, recipe: Recipe) -> bytes:
    """Put the recipe into a PNG, replacing one that ``embed`` put there; any other file is returned as it is."""
    return b"".join(embedded(strip(data), recipe).pieces) if can_embed(data) else data


def embedded(data: bytes, recipe: Recipe) -> Embedded:
    """Return a picture as it came with its recipe in it, in pieces: a file needs no second copy in memory."""
    if not can_embed(data):
        return Embedded((data,), "")
    return put_in(data, recipe.to_json(), write_parameters(recipe))


def exif_block(recipe: Recipe) -> bytes:
    """Return the recipe as the Exif block of a new JPEG or WebP; empty if it is too long for one."""
    return exif.block(recipe.to_json(), write_parameters(recipe))


def strip(data: bytes) -> bytes:
    """Take out what ``embed`` put in, byte for byte; the very object given if there is nothing."""
    return chunks.take_out(data)


def read_recipe(data: bytes) -> Recipe | None:
    """Read our recipe from a picture's bytes; None if there is none.

    Raises RecipeError for one of a newer version, or a damaged one.
    """
    text = chunks.read_text(data, chunks.KEYWORD).get(chunks.KEYWORD) or exif.recipe_text(data)
    return None if text is None else recipe_from_json(text)


def read_any(data: bytes) -> Recipe | ForeignRecipe | None:
    """Read our recipe, else another program's; None if the picture says nothing. Raises RecipeError as above."""
    return read_recipe(data) or read_foreign(data)


def write_sidecar(recipe: Recipe) -> str:
    """Return the JSON text of the file beside the picture; it says the same as what is inside."""
    return recipe.to_json(by_line=True) + "\n"


def read_sidecar(text: str) -> Recipe:
    """Read a sidecar's text; RecipeError if it is none of ours, damaged, or of a newer version."""
    return recipe_from_json(text.removeprefix("\ufeff"))
